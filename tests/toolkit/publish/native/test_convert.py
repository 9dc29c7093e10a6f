"""Exported models: the classes of transformers compute the logits of the run."""

import json

import pytest
import torch
import transformers
from safetensors import safe_open
from transformers import AutoFeatureExtractor

from auralign.publish.native import convert
from auralign.publish.native.architectures import ARCHITECTURES
from auralign.publish.native.processor import PROCESSOR_FILE
from auralign.publish.native.usage import usage_of
from auralign.testing import make_tiny_llm
from recipe import LORA

NATIVE = [name for name, one in ARCHITECTURES.items() if one.class_name]


@torch.no_grad()
def assert_equal(exported, name):
    """The class, loaded as its users load it, computes the logits of the run."""
    one = ARCHITECTURES[name]
    native = (
        getattr(transformers, one.class_name).from_pretrained(exported.folder, dtype=torch.float32).eval()
    )
    extractor = AutoFeatureExtractor.from_pretrained(exported.folder)
    for case in exported.cases:
        features = extractor(
            case.waveform, sampling_rate=16_000, return_tensors="pt", return_attention_mask=True
        )
        mask = {one.mask: features.attention_mask} if one.mask else {}
        ids = torch.tensor([[native.config.audio_token_id if token < 0 else token for token in case.ids]])
        found = native(input_ids=ids, input_features=features.input_features, **mask).logits[0]
        torch.testing.assert_close(found[:, : case.logits.shape[1]], case.logits, atol=1e-4, rtol=0)
    return native


@pytest.mark.parametrize("kind", ["llama", "qwen2"])
@pytest.mark.parametrize("name", NATIVE)
def test_the_class_computes_the_logits_of_the_run(exported, name, kind):
    assert_equal(exported(name, kind, seconds=(0.31, 1.00005, 7.7, 30)), name)


@pytest.mark.parametrize("kind", ["llama3", "qwen3", "mistral", "phi3"])
def test_the_llm_can_be_of_other_classes(exported, kind):
    assert_equal(exported("voxtral", kind), "voxtral")


@pytest.mark.parametrize("activation", ["relu", "silu"])
def test_the_activation_of_the_connector_is_kept(exported, activation):
    changes = {"activation: gelu": f"activation: {activation}"}
    assert_equal(exported("audioflamingo3", changes=changes), "audioflamingo3")


def test_audio_flamingo_3_may_have_no_bias(exported):
    changes = {"activation: gelu": "activation: gelu\n    bias: False"}
    assert_equal(exported("audioflamingo3", changes=changes), "audioflamingo3")


@pytest.mark.parametrize("modules", ["[q_proj, v_proj]", "[down_proj, lm_head]"])
def test_lora_is_merged_though_embeddings_and_head_are_tied(exported, modules):
    made = exported("qwen2_audio", "qwen2", more=LORA.replace("[q_proj, v_proj]", modules))
    assert_equal(made, "qwen2_audio")


def test_embeddings_and_head_that_are_not_tied(exported, tmp_path):
    llm = make_tiny_llm(tmp_path / "untied", kind="qwen2")
    config = transformers.Qwen2Config.from_pretrained(llm)
    config.tie_word_embeddings = False
    torch.manual_seed(1)
    transformers.Qwen2ForCausalLM(config).save_pretrained(llm)
    assert_equal(exported("voxtral", llm=llm), "voxtral")


def test_weights_that_were_trained_with_the_connector_are_written(exported):
    assert_equal(exported("voxtral", more="train_llm: True\n"), "voxtral")


def test_weights_are_written_in_their_type(exported, make_llm):
    path = f"path: {make_llm('llama')}\n"
    made = exported("voxtral", changes={path: f"{path}    dtype: bfloat16\n"}, more=LORA)
    with safe_open(made.folder / "model.safetensors", "pt") as file:
        types = {name: file.get_tensor(name).dtype for name in file.keys()}  # noqa: SIM118
    layer = "language_model.model.layers.0.self_attn"
    kept = types[f"{layer}.k_proj.weight"], types["language_model.lm_head.weight"]
    assert kept == (torch.bfloat16, torch.bfloat16)
    assert types[f"{layer}.q_proj.weight"] == torch.float32  # LoRA was merged into it
    assert (
        types["audio_tower.conv1.weight"] == types["multi_modal_projector.linear_1.weight"] == torch.float32
    )
    assert json.loads((made.folder / "config.json").read_text())["dtype"] == "bfloat16"
    assert_equal(made, "voxtral")
    native = transformers.VoxtralForConditionalGeneration.from_pretrained(made.folder)
    assert native.dtype == torch.bfloat16


def test_the_audio_token_is_never_the_likeliest(exported):
    made = exported("qwen2_audio")
    native = assert_equal(made, "qwen2_audio")
    head, token = native.lm_head.weight.detach(), native.config.audio_token_id
    assert token == len(head) - 1
    torch.testing.assert_close(head[token], head[:token].mean(0))
    assert native.generation_config.suppress_tokens == [token]


def test_a_class_that_computes_something_else_is_refused(exported, monkeypatch):
    monkeypatch.setattr(convert, "TOLERANCE", -1.0)
    with pytest.raises(ValueError, match="as voxtral: VoxtralFor.* logits that differ by .* allowed are -"):
        exported("voxtral")


def test_a_folder_without_a_processor_says_how_the_class_is_used(exported):
    folder = exported("qwen2_audio").folder
    (folder / PROCESSOR_FILE).unlink(missing_ok=True)
    lines = "\n".join(usage_of(ARCHITECTURES["qwen2_audio"], folder))
    assert "feature_attention_mask=features.attention_mask" in lines and "AutoTokenizer" in lines
