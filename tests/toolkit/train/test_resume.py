"""Invariants 7 and 10: training that was interrupted ends in the same bits, and what is frozen does not move."""

import copy
import json
import re
from dataclasses import replace

import pytest
import torch

from auralign.data.frames import BranchFrames, open_frames
from auralign.method import MethodFailedError
from auralign.models.build import build_model, describe_parts
from auralign.recipe import load_recipe
from auralign.records import Records, Target, Utterance, write_records
from auralign.train.brain import AlignmentBrain
from auralign.train.checkpoint import Checkpoints
from auralign.train.examples import Examples
from auralign.train.resume import differences
from recipe import LORA, make_recipe, write_recipe_targets


class Interrupted(Exception):
    pass


# Of the four pairs of LLM and part that is trained these two: each kind and each part is in one.
@pytest.fixture(
    scope="module", params=[("llama", ""), ("qwen2", LORA)], ids=["connector", "connector and LoRA"]
)
def trained(request):
    """(kind of the LLM, lines of the YAML)"""
    return request.param


@pytest.fixture(scope="module")
def recipe(trained, make_llm, whisper_folder, tmp_path_factory):
    """The folder of a recipe whose targets are written."""
    kind, more = trained
    folder = make_recipe(
        tmp_path_factory.mktemp("recipe") / "r", llm=make_llm(kind), encoder=whisper_folder, more=more
    )
    return write_recipe_targets(folder)


@pytest.fixture(scope="module")
def whole(recipe, tmp_path_factory):
    """The weights of a training without interruption."""
    folder = tmp_path_factory.mktemp("whole")
    train(recipe, folder)
    return weights(folder)


def load(folder, **overrides):
    yaml = folder / "hparams" / ("drawn.yaml" if "order" in overrides else "sift.yaml")
    return load_recipe(yaml, overrides)


def train(folder, output, *, stop_after=None, model=None, **overrides):
    """Train in `output`; `stop_after` optimiser steps end it as an exception would. Returns the model."""
    hparams = load(folder, **overrides)
    built, renderer = build_model(hparams)
    model = model or built
    examples = {}
    for split in ("train", "valid"):
        manifest = Records(folder / "data" / f"{split}.jsonl", Utterance)
        frames = open_frames(
            model.encoder,
            manifest,
            cache=hparams.feature_cache,
            folder=output,
            max_gigabytes=1,
            batch_seconds=2,
            num_workers=hparams.num_workers,
        )
        examples[split] = Examples(
            Records(folder / f"{split}.targets.jsonl", Target),
            manifest,
            method=hparams.method,
            renderer=renderer,
            model=model,
            frames=BranchFrames({"speech": frames}),
            draws=hparams.draws if split == "train" else None,
        )
    brain = Stopped if stop_after else AlignmentBrain
    brain = brain(
        model,
        hparams.method,
        hparams,
        folder=output,
        description=describe_parts(hparams, model, renderer),
    )
    brain.stop_after = stop_after
    brain.run(examples["train"], examples["valid"])
    return model


class Stopped(AlignmentBrain):
    def fit_batch(self, packs):
        if self.optimizer_step == self.stop_after:
            raise Interrupted
        return super().fit_batch(packs)


def weights(folder):
    return {
        path.name: path.read_bytes() for path in sorted((folder / "checkpoints").rglob("*")) if path.is_file()
    } | {"log": (folder / "log.json").read_bytes()}


def test_training_lowers_the_loss(recipe, tmp_path):
    train(recipe, tmp_path, num_steps="40", lr="0.02")
    log = Checkpoints(tmp_path / "checkpoints").last().description["log"]
    assert log[-1]["train_loss"] < 0.9 * log[0]["train_loss"]


def test_threads_that_read_ahead_change_no_bit_and_may_come_and_go(recipe, tmp_path):
    train(recipe, tmp_path / "whole", feature_cache="off")
    with pytest.raises(Interrupted):
        train(recipe, tmp_path / "ahead", feature_cache="off", num_workers=3, stop_after=5)
    train(recipe, tmp_path / "ahead", feature_cache="off", num_workers=1)
    assert weights(tmp_path / "ahead") == weights(tmp_path / "whole")


@pytest.mark.parametrize("stop_after", [3, 4, 7, 9])
def test_interrupted_equals_uninterrupted(recipe, whole, tmp_path, stop_after):
    with pytest.raises(Interrupted):
        train(recipe, tmp_path / "resumed", stop_after=stop_after)
    train(recipe, tmp_path / "resumed")
    assert weights(tmp_path / "resumed") == whole


def test_a_mixture_goes_on_where_it_was_and_the_log_says_what_it_held(recipe, tmp_path):
    yaml = (recipe / "hparams" / "sift.yaml").read_text()
    parts = "mixture: [{where: {seconds: 0.4}, share: 0.6}, {share: 0.4}]"
    (recipe / "hparams" / "drawn.yaml").write_text(f"{yaml}{parts}\nkeep: {{seconds: [null, 0.7]}}\n")
    train(recipe, tmp_path / "whole", order="kept")
    with pytest.raises(Interrupted):
        train(recipe, tmp_path / "resumed", order="kept", stop_after=6)
    train(recipe, tmp_path / "resumed", order="kept")
    assert weights(tmp_path / "resumed") == weights(tmp_path / "whole")
    held = [entry["held"] for entry in json.loads((tmp_path / "whole" / "log.json").read_text())]
    assert [*held[0]] == ["seconds=0.4", "the rest"]
    for stretch in held:
        assert stretch["seconds=0.4"] / sum(stretch.values()) == pytest.approx(0.6, abs=0.1)


def test_the_loss_scaler_of_fp16_goes_on_where_it_was(recipe, tmp_path, monkeypatch):
    real = AlignmentBrain.__init__

    def with_scaler(self, *arguments, **options):
        real(self, *arguments, **options)
        self.scaler = torch.GradScaler("cpu", init_scale=2.0**8, growth_interval=3)  # as it is on a GPU

    monkeypatch.setattr(AlignmentBrain, "__init__", with_scaler)
    train(recipe, tmp_path / "whole")
    with pytest.raises(Interrupted):
        train(recipe, tmp_path / "resumed", stop_after=9)
    train(recipe, tmp_path / "resumed")
    scaler = Checkpoints(tmp_path / "resumed" / "checkpoints").last().load_optimiser()["scaler"]
    assert (scaler["scale"], scaler["_growth_tracker"]) == (2.0**11, 1)  # doubled at steps 3, 6 and 9 of 10
    assert weights(tmp_path / "resumed") == weights(tmp_path / "whole")


def test_caches_do_not_change_training_beyond_rounding(recipe, tmp_path):
    for cache in ("memory", "disk", "off"):
        train(recipe, tmp_path / cache, feature_cache=cache)
    memory, disk = weights(tmp_path / "memory"), weights(tmp_path / "disk")
    assert memory == disk
    losses = [
        [
            entry["valid_loss"]
            for entry in Checkpoints(tmp_path / cache / "checkpoints").last().description["log"]
        ]
        for cache in ("memory", "off")
    ]
    torch.testing.assert_close(torch.tensor(losses[0]), torch.tensor(losses[1]), rtol=0, atol=1e-4)


def test_frozen_parts_are_bit_identical_after_training_and_absent_from_checkpoints(recipe, tmp_path):
    model, _ = build_model(load(recipe))
    before = copy.deepcopy({name: tensor for name, tensor in model.state_dict().items()})
    train(recipe, tmp_path, model=model)
    moved = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    trained = {name for name in before if name.startswith("connector.") or "lora_" in name}
    assert moved == trained
    from safetensors import safe_open

    with safe_open(
        Checkpoints(tmp_path / "checkpoints").last().folder / "trainable.safetensors", "pt"
    ) as file:
        names = [name.replace("/", ".") for name in file.keys()]  # noqa: SIM118 (no mapping)
    assert len(names) == len(trained)
    assert {name.removeprefix("lora.") for name in names} == {
        name.removeprefix("llm.model.") for name in trained
    }


def test_one_nan_loss_does_not_reach_the_weights(recipe, tmp_path, monkeypatch):
    real = AlignmentBrain.terms
    calls = [0]

    def poisoned(self, pack):
        calls[0] += 1
        terms = real(self, pack)
        if calls[0] == 4:
            terms = {name: type(term)(term.sum * float("nan"), term.count) for name, term in terms.items()}
        return terms

    monkeypatch.setattr(AlignmentBrain, "terms", poisoned)
    model = train(recipe, tmp_path)
    assert all(torch.isfinite(parameter).all() for parameter in model.connector.parameters())


def poison(monkeypatch, is_poisoned):
    """Make the loss NaN at the steps (counted from 1) for which `is_poisoned` is true."""
    real = AlignmentBrain.terms

    def terms(self, pack):
        found = real(self, pack)
        if torch.is_grad_enabled() and is_poisoned(self.optimizer_step + 1):
            return {name: type(term)(term.sum * float("nan"), term.count) for name, term in found.items()}
        return found

    monkeypatch.setattr(AlignmentBrain, "terms", terms)


def test_the_log_is_the_mean_of_the_steps_that_counted_and_names_the_others(recipe, tmp_path, monkeypatch):
    poison(monkeypatch, lambda step: step in (2, 3))
    counted, real = [], AlignmentBrain.fit_batch

    def recorded(self, packs):
        loss = real(self, packs)
        counted.append(float(loss))
        return loss

    monkeypatch.setattr(AlignmentBrain, "fit_batch", recorded)
    train(recipe, tmp_path)
    first, second, _ = Checkpoints(tmp_path / "checkpoints").last().description["log"]
    assert first["train_loss"] == pytest.approx((counted[0] + counted[3]) / 2, abs=1e-6)
    assert [entry["step"] for entry in first["skipped"]] == [2, 3]
    assert all(name.startswith("train-") for entry in first["skipped"] for name in entry["utterances"])
    assert "skipped" not in second


def leave_out(monkeypatch, rows):
    """Let every term leave out sequences of each pack; returns the ids of the first ones in training, step by step."""
    real, first = AlignmentBrain.terms, {}

    def terms(self, pack):
        if torch.is_grad_enabled():
            first.setdefault(self.optimizer_step + 1, set()).add(f"train-{pack.rows[0]}")
        return {name: replace(term, left_out=rows) for name, term in real(self, pack).items()}

    monkeypatch.setattr(AlignmentBrain, "terms", terms)
    return first


def test_what_a_term_leaves_out_is_named_in_the_log(recipe, tmp_path, monkeypatch, capfd):
    first = leave_out(monkeypatch, (0,))
    train(recipe, tmp_path)
    log = Checkpoints(tmp_path / "checkpoints").last().description["log"]
    for entry, steps in zip(log, (range(1, 5), range(5, 9), range(9, 11)), strict=True):
        assert entry["left_out"] == {"cross_entropy": sorted(set().union(*(first[step] for step in steps)))}
        assert entry["valid_left_out"]["cross_entropy"] >= 1
    said = capfd.readouterr().err
    assert (
        f"cross_entropy: {len(log[0]['left_out']['cross_entropy'])} utterances left out of training" in said
    )
    assert "left out of validation" in said


def test_an_interrupted_training_names_what_was_left_out_before(recipe, tmp_path, monkeypatch):
    leave_out(monkeypatch, (0,))
    train(recipe, tmp_path / "whole")
    with pytest.raises(Interrupted):
        train(recipe, tmp_path / "resumed", stop_after=6)
    train(recipe, tmp_path / "resumed")
    assert weights(tmp_path / "resumed") == weights(tmp_path / "whole")


def test_a_term_that_leaves_out_what_is_not_there_is_refused(recipe, tmp_path, monkeypatch):
    leave_out(monkeypatch, (99,))
    with pytest.raises(
        MethodFailedError, match=r"'cross_entropy' leaves out the sequences \[99\], the pack has \d"
    ):
        train(recipe, tmp_path)


def test_skipped_steps_are_counted_over_the_whole_run(recipe, tmp_path, monkeypatch):
    """Two in each stretch of four: none of them alone is too many."""
    poison(monkeypatch, lambda step: step % 2 == 0)
    with pytest.raises(ValueError, match=r"4 of 8 steps had no finite loss.*train-\d"):
        train(recipe, tmp_path)


@pytest.mark.parametrize("num_steps", ["1", "3", "10"])
def test_a_training_without_a_finite_loss_fails(recipe, tmp_path, monkeypatch, num_steps):
    poison(monkeypatch, lambda step: True)
    with pytest.raises(ValueError, match="steps had no finite loss"):
        train(recipe, tmp_path, num_steps=num_steps)
    assert not (tmp_path / "log.json").exists()


def test_a_training_whose_validations_are_not_finite_fails(recipe, tmp_path, monkeypatch):
    real = AlignmentBrain.terms

    def terms(self, pack):
        found = real(self, pack)
        if torch.is_grad_enabled():
            return found
        return {name: type(term)(term.sum * float("nan"), term.count) for name, term in found.items()}

    monkeypatch.setattr(AlignmentBrain, "terms", terms)
    with pytest.raises(ValueError, match="no validation of this run has a finite loss"):
        train(recipe, tmp_path)


def without_memory(monkeypatch, largest):
    """Backward fails in the middle if a pack has more sequences than `largest`, as a GPU's memory may run out; so does a forward
    of the validation."""
    real = AlignmentBrain.terms

    class Full(torch.autograd.Function):
        @staticmethod
        def forward(ctx, value):
            return value.clone()

        @staticmethod
        def backward(ctx, gradient):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    def terms(self, pack):
        found = real(self, pack)
        if not torch.is_grad_enabled() and len(pack.choices) > max(1, largest):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        if torch.is_grad_enabled() and len(pack.choices) > largest:
            return {name: replace(term, sum=Full.apply(term.sum)) for name, term in found.items()}
        return found

    monkeypatch.setattr(AlignmentBrain, "terms", terms)


def test_packs_that_do_not_fit_into_memory_are_split_with_the_same_result(
    recipe, trained, tmp_path, monkeypatch, capsys
):
    options = {"num_steps": "4", **({"lora.lora_dropout": "0.0"} if LORA in trained else {})}
    train(recipe, tmp_path / "whole", **options)
    without_memory(monkeypatch, 1)
    train(recipe, tmp_path / "split", **options)
    assert "does not fit into the memory of cpu; it is split" in capsys.readouterr().err
    logs = [
        Checkpoints(tmp_path / name / "checkpoints").last().description["log"] for name in ("whole", "split")
    ]
    assert "packs_split" not in logs[0][-1]
    assert logs[1][-1]["packs_split"] > 0
    assert logs[1][-1]["train_loss"] == pytest.approx(logs[0][-1]["train_loss"], rel=1e-4)
    assert logs[1][-1]["valid_loss"] == pytest.approx(logs[0][-1]["valid_loss"], rel=1e-4)


def test_a_sequence_that_does_not_fit_alone_is_named(recipe, tmp_path, monkeypatch):
    without_memory(monkeypatch, 0)
    with pytest.raises(
        ValueError, match=r"step 1: the one sequence of train-\d+ does not fit into the memory"
    ):
        train(recipe, tmp_path)


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("llm_revision", "made with LLM other"),
        ("frame_hash", "made with prompt frame other"),
        ("prompt_hash", "made with prompt other"),
    ],
)
def test_targets_of_another_llm_or_template_are_refused(recipe, tmp_path, field, message):
    hparams = load(recipe)
    model, renderer = build_model(hparams)
    targets = [
        replace(target, **{field: "other"}) for target in Records(recipe / "train.targets.jsonl", Target)
    ]
    write_records(tmp_path / "t.jsonl", targets, kind=Target)
    with pytest.raises(ValueError, match=message):
        Examples(
            Records(tmp_path / "t.jsonl", Target),
            Records(recipe / "data" / "train.jsonl", Utterance),
            method=hparams.method,
            renderer=renderer,
            model=model,
            frames=None,
        )


@pytest.mark.parametrize(
    ("seconds", "reason", "detail"),
    [
        (31.0, "longer than the encoder hears", "lasts 31.00 s.*chunk_seconds: 30"),
        (0.01, "too short for the encoder", "0.01 s have no frame"),  # of two that a pool of 2 joins
    ],
)
def test_an_utterance_that_the_encoder_cannot_hear_is_left_out_and_listed(
    recipe, tmp_path, seconds, reason, detail
):
    hparams = load(recipe)
    model, renderer = build_model(hparams)
    model.encoder.pool = 2
    utterances = list(Records(recipe / "data" / "train.jsonl", Utterance))
    path = recipe / "data" / f"{seconds}.jsonl"
    write_records(path, [replace(utterances[0], seconds=seconds), *utterances[1:]], kind=Utterance)
    manifest = Records(path, Utterance)
    frames = open_frames(
        model.encoder, manifest, cache="memory", folder=tmp_path, max_gigabytes=1, batch_seconds=2
    )
    examples = Examples(
        Records(recipe / "train.targets.jsonl", Target),
        manifest,
        method=hparams.method,
        renderer=renderer,
        model=model,
        frames=BranchFrames({"speech": frames}),
        max_rejected=0.5,
    )
    (item,) = examples.rejected.items
    assert (item["id"], item["reason"]) == ("train-0", reason)
    assert re.search(detail, item["detail"])
    assert len(list(examples.packs(examples.numbers * 0 + range(len(examples)), tokens_per_pack=100))) > 0


def test_a_key_that_came_later_is_a_change_in_both_directions():
    usual = {"lr": 0.1}
    sgd = {"lr": 0.1, "optimizer": {"call": "torch.optim.SGD", "args": [], "with": {}}}
    assert [str(change) for change in differences(usual, sgd)] == [
        "optimizer.call torch.optim.AdamW -> torch.optim.SGD"
    ]
    assert [str(change) for change in differences(sgd, usual)] == [
        "optimizer.call torch.optim.SGD -> torch.optim.AdamW"
    ]
    assert differences(usual, usual) == []
