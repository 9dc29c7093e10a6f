"""A plan holds what a run then needs: parameters and positions exactly, what backward keeps within a tenth."""

import json
from dataclasses import replace

import pytest
import torch

from auralign.data.frames import live_frames
from auralign.models.build import build_model
from auralign.plan import plan
from auralign.plan.estimate import TRAINED_BYTES, bytes_per_position
from auralign.plan.sizes import LLMSizes
from auralign.records import Records, Target, Utterance
from auralign.run_folder import RunFolder
from auralign.train.examples import Examples
from recipe import LORA, make_recipe, run

QWEN_7B = LLMSizes(7_615_616_512, 2, layers=28, width=3_584, inner=18_944, query=3_584, vocabulary=152_064)


@pytest.fixture(scope="module", params=["", LORA], ids=["connector", "connector and LoRA"])
def folder(request, llm_folder, whisper_folder, tmp_path_factory):
    """A recipe whose stage 2 is done."""
    made = make_recipe(
        tmp_path_factory.mktemp("plan") / "r", llm=llm_folder, encoder=whisper_folder, more=request.param
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(made)
        code, _, said = run("generate.py", "hparams/sift.yaml", "--max_rejected", "1")
    assert code == 0, said
    return made


@pytest.fixture(scope="module")
def found(folder):
    """The run, and its plan."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        opened = RunFolder.open("hparams/sift.yaml")
        return opened, plan(opened, rate=1e9)


def test_parameters_are_those_of_the_models_that_are_built(found):
    opened, planned = found
    with opened.working_here():
        model, _ = build_model(opened.recipe)
    built = {name: sum(p.numel() for p in part.parameters()) for name, part in model.trained_parts.items()}
    assert {name: planned.models[f"trained: {name}"] for name in built} == built
    assert planned.models["LLM"] == sum(
        p.numel() for name, p in model.llm.model.named_parameters() if "lora_" not in name
    )
    assert planned.models["encoder speech"] == sum(p.numel() for p in model.encoder.parameters())
    assert planned.memory["trained parts"] == TRAINED_BYTES * sum(built.values())


def test_positions_are_those_that_stage_3_counts(found):
    opened, planned = found
    with opened.working_here():
        model, renderer = build_model(opened.recipe)
        manifest = Records(opened.data.manifest("train"), Utterance)
        examples = Examples(
            Records(opened.targets("train"), Target),
            manifest,
            method=opened.recipe.method,
            renderer=renderer,
            model=model,
            frames=live_frames(model, manifest),
        )
    data = planned.data["train"]
    assert data["are_counted"]
    assert (data["examples"], data["positions"]) == (len(examples), examples.lengths.sum())
    assert data["longest"] == examples.lengths.max()


def test_more_devices_share_the_time_and_not_the_memory(found):
    opened, one = found
    with opened.working_here():
        four = plan(opened, gpus=4, rate=1e9)
    assert four.seconds("train") == pytest.approx(one.seconds("train") / 4)
    assert four.memory == one.memory


def test_the_operations_of_training_are_four_a_parameter_and_position(found):
    _, planned = found
    assert planned.operations["train"] == pytest.approx(
        4 * planned.models["LLM"] * planned.training["positions"]
    )


def test_the_copy_of_frozen_weights_in_16_bits_is_counted(found):
    opened, in_fp32 = found
    with opened.working_here():
        model, _ = build_model(opened.recipe)
        in_bf16 = plan(RunFolder(replace(opened.recipe, precision="bf16")), rate=1e9)
    with model.llm.casts("bf16"):
        copied = sum(p.nbytes for p in model.llm.parameters() if p.dtype == torch.bfloat16)
    counted = in_bf16.memory["LLM"] - in_fp32.memory["LLM"]
    head = 2 * model.llm.vocabulary_size * model.llm.width  # counted where it is not tied to the embeddings
    assert copied <= counted <= 1.1 * copied + head


def test_what_does_not_fit_is_said_and_is_the_exit_code(folder, monkeypatch):
    monkeypatch.chdir(folder)
    code, out, _ = run("auralign", "plan", "hparams/sift.yaml", "--memory", "0.000001", "--rate", "1")
    assert code == 1
    assert "does not fit, even with one example in a pack" in out
    code, out, _ = run("auralign", "plan", "hparams/sift.yaml", "--memory", "80", "--rate", "1", "--json")
    assert code == 0
    planned = json.loads(out)
    assert planned["fits"]
    more = str(planned["largest_pack"] + 2)
    code, out, _ = run(
        "auralign", "plan", "hparams/sift.yaml", "--memory", "80", "--rate", "1", "--tokens_per_pack", more
    )
    assert code == 1
    assert f"does not fit with tokens_per_pack {int(more):,}" in out


def test_before_stage_1_the_plan_says_what_to_run(folder, monkeypatch, tmp_path):
    monkeypatch.chdir(folder)
    code, _, said = run("auralign", "plan", "hparams/sift.yaml", "--data_folder", str(tmp_path))
    assert code == 2
    assert "run stage 1 (prepare) first" in said


def test_before_stage_2_answers_of_full_length_are_expected(folder, monkeypatch, tmp_path):
    monkeypatch.chdir(folder)
    opened = RunFolder.open("hparams/sift.yaml", {"output_folder": str(tmp_path), "num_train_utts": 5})
    planned = plan(opened, rate=1e9)
    assert not planned.data["train"]["are_counted"]
    assert planned.data["train"]["examples"] == 5
    assert planned.data["train"]["mean"] > opened.recipe.max_new_tokens
    assert planned.seconds("generate") > 0


# Of one layer of Qwen2.5-7B in bf16, measured with hooks on saved tensors: kB a position.
@pytest.mark.parametrize(
    ("adapted", "trains_llm", "measured"),
    [
        (0, False, 174),
        (2 * 3_584, False, 203),
        (6 * 3_584 + 18_944, False, 336),
        (0, True, 247),
    ],
    ids=["frozen", "LoRA on q and v", "LoRA on all", "trained"],
)
def test_what_backward_keeps_is_as_measured(adapted, trains_llm, measured):
    sizes = replace(QWEN_7B, adapted=28 * adapted)
    assert bytes_per_position(sizes, trains_llm=trains_llm) / 28 / 1000 == pytest.approx(measured, rel=0.02)


def test_what_backward_keeps_of_a_small_llm_is_near_the_formula():
    from transformers import Qwen2Config, Qwen2ForCausalLM

    config = Qwen2Config(
        vocab_size=64,
        hidden_size=256,
        intermediate_size=704,
        num_hidden_layers=4,
        num_attention_heads=8,
        num_key_value_heads=2,
    )
    model = Qwen2ForCausalLM(config).model.requires_grad_(False)
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept = {}

    def note(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = (storage.nbytes(), tensor)  # held, so that no other gets its address
        return tensor

    embeddings = torch.randn(1, 128, 256, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        model(inputs_embeds=embeddings, use_cache=False)
    sizes = LLMSizes(0, 4, layers=4, width=256, inner=704, query=256, vocabulary=64)
    found = sum(size for size, _ in kept.values()) / 128
    assert bytes_per_position(sizes) == pytest.approx(found, rel=0.1)
