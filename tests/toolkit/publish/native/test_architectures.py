"""What is in the way of an export is named with its value and the repair."""

import pytest
import transformers

from auralign.models.llm import load_llm
from auralign.publish.native.architectures import ARCHITECTURES, find_obstacles, refuse
from auralign.testing import make_tiny_llm
from recipe import LORA

BRANCH = """\
branches:
    voice:
        encoder: !name:auralign.models.encoders.load_whisper
            path: {encoder}
        connector: !name:auralign.models.connectors.StackAndProject
"""


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_nothing_is_in_the_way_of_the_yaml_that_a_refusal_names(recipe_of, name):
    recipe = recipe_of(name)
    assert find_obstacles(ARCHITECTURES[name], recipe, load_llm(recipe.llm.keywords["path"])) == []


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        (
            "voxtral",
            {"padding: whole_window": "padding: true_length"},
            "its padding is 'true_length', .* padding: whole_window",
        ),
        (
            "voxtral",
            {"padding: whole_window": "padding: 30_seconds"},
            "its padding is '30_seconds', .* padding: whole_window",
        ),
        (
            "audioflamingo3",
            {"padding: masked_window": "padding: whole_window"},
            "computes padding: masked_window",
        ),
        (
            "qwen2_audio",
            {"pool: 2": "pool: 4"},
            "its pool is 4, Qwen2AudioForConditionalGeneration computes pool: 2",
        ),
        ("voxtral", {"padding: ": "pool: 2\n    padding: "}, "its pool is 2, .* pool: 1"),
        ("voxtral", {"padding: ": "layers: all\n    padding: "}, "its layers are all, .* leave out layers"),
        ("voxtral", {"padding: ": "chunk_seconds: 10\n    padding: "}, "its chunk_seconds is 10, .* use 30"),
        ("voxtral", {"stride: 2": "stride: 4"}, r"its stride is 4, .* = 32 / 16 frames; use stride: 2"),
        ("voxtral", {"bias: False": "bias: True"}, "its bias is True, .* has bias: False"),
        ("audioflamingo3", {"stride: 1": "stride: 2"}, "its stride is 2, .* has stride: 1"),
        ("audioflamingo3", {"num_layers: 2": "num_layers: 1"}, "its num_layers is 1, .* has num_layers: 2"),
        (
            "voxtral",
            {"bias: False": "bias: False\n    hidden_width: 8"},
            "hidden_width is 8, .* the LLM's width, 32",
        ),
        ("qwen2_audio", {"bias: True": "bias: False"}, "its bias is False, .* has bias: True"),
        (
            "ultravox",
            {"UltravoxProjector": "StackAndProject"},
            "StackAndProject, Ultravox has what UltravoxProjector computes",
        ),
        (
            "voxtral",
            {"StackAndProject": "WindowedQFormer"},
            "WindowedQFormer, .* has what StackAndProject computes",
        ),
    ],
)
def test_another_encoder_or_connector_is_refused(recipe_of, name, changes, message):
    if "WindowedQFormer" in str(changes):
        changes |= {
            f"    {line}\n": "" for line in ("num_layers: 2", "bias: False", "activation: gelu", "stride: 2")
        }
    recipe = recipe_of(name, changes=changes)
    with pytest.raises(
        ValueError, match=f"(?s)cannot be exported as {name}:\n- .*{message}.*\nencoder: !name:"
    ):
        refuse(ARCHITECTURES[name], recipe, load_llm(recipe.llm.keywords["path"]))


@pytest.mark.parametrize(
    ("name", "more", "message"),
    [
        ("voxtral", LORA + "lora_scope: speech\n", "lora_scope: speech leaves text to the unadapted LLM"),
        ("ultravox", LORA, "lora: Ultravox's folder names the LLM and holds no weights of it"),
        ("ultravox", "train_llm: True\n", "train_llm: Ultravox's folder names the LLM"),
        ("voxtral", BRANCH, "branches: voice beside the main one"),
    ],
)
def test_parts_beside_the_connector_are_refused(recipe_of, whisper_folder, name, more, message):
    recipe = recipe_of(name, more=more.format(encoder=whisper_folder))
    (found,) = find_obstacles(ARCHITECTURES[name], recipe)
    assert message in found


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("name: desta", "desta gives the LLM a transcript beside the speech"),
        ("name: sift\n    views: [sp]\n    voice_branch: voice", "sift puts speech at 2 places"),
    ],
)
def test_another_slot_is_refused(recipe_of, method, message):
    found = find_obstacles(ARCHITECTURES["voxtral"], recipe_of("voxtral", changes={"name: sift": method}))
    assert any(message in one for one in found), found


def test_another_kind_of_encoder_is_refused(recipe_of, tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "wavlm"}')
    changes = {"load_whisper\n    path: ": f"load_encoder\n    path: {tmp_path}  # "}
    (found,) = find_obstacles(ARCHITECTURES["voxtral"], recipe_of("voxtral", changes=changes))
    assert "encoder: a model of type wavlm" in found


@pytest.mark.parametrize(
    ("kind", "message"),
    [("gemma2", "changes its logits by final_logit_softcapping"), ("falcon_h1", "by lm_head_multiplier 0.5")],
)
def test_an_llm_that_changes_its_logits_is_refused(recipe_of, kind, message):
    recipe = recipe_of("voxtral", kind)
    (found,) = find_obstacles(ARCHITECTURES["voxtral"], recipe, load_llm(recipe.llm.keywords["path"]))
    assert message in found


def test_an_llm_whose_head_has_a_bias_is_refused(recipe_of, tmp_path):
    folder = make_tiny_llm(tmp_path / "phi", kind="qwen2")
    config = transformers.PhiConfig(
        vocab_size=transformers.Qwen2Config.from_pretrained(folder).vocab_size, hidden_size=32, intermediate_size=64,
        num_hidden_layers=1, num_attention_heads=4, max_position_embeddings=64, bos_token_id=None, eos_token_id=1,
    )  # fmt: skip
    transformers.PhiForCausalLM(config).save_pretrained(folder)
    (found,) = find_obstacles(ARCHITECTURES["voxtral"], recipe_of("voxtral", llm=folder), load_llm(folder))
    assert "the head of PhiForCausalLM has a bias" in found
