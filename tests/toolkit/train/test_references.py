"""A validation compares speech with shuffled speech and with text, and says if the model does not hear."""

import numpy as np
import pytest
import torch

from auralign.data.frames import BranchFrames, open_frames
from auralign.models.build import build_model, describe_parts
from auralign.plugins import load_method
from auralign.recipe import load_recipe
from auralign.records import Records, Target, Utterance
from auralign.testing import make_tiny_llm, make_tiny_whisper
from auralign.train.brain import AlignmentBrain
from auralign.train.checkpoint import Checkpoints
from auralign.train.examples import Examples
from auralign.train.references import (
    CROSS_ENTROPY,
    LEAST_SHARE,
    OWN_LOSS,
    SHARE,
    Comparison,
    References,
    choose,
    measure_of,
)
from recipe import make_recipe, write_recipe_targets


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """The folder of a recipe whose targets are written."""
    root = tmp_path_factory.mktemp("references")
    folder = make_recipe(
        root / "r", llm=make_tiny_llm(root / "llm"), encoder=make_tiny_whisper(root / "whisper")
    )
    return write_recipe_targets(folder)


def load(folder, **overrides):
    return load_recipe(folder / "hparams" / "sift.yaml", overrides)


def read(folder, split, hparams, model, renderer):
    manifest = Records(folder / "data" / f"{split}.jsonl", Utterance)
    frames = open_frames(
        model.encoder, manifest, cache="memory", folder=folder, max_gigabytes=1, batch_seconds=2
    )
    return Examples(
        Records(folder / f"{split}.targets.jsonl", Target),
        manifest,
        method=hparams.method,
        renderer=renderer,
        model=model,
        frames=BranchFrames({"speech": frames}),
    )


@pytest.fixture(scope="module")
def made(recipe):
    """(model, renderer, training set, which here is what is compared, recipe)"""
    hparams = load(recipe)
    model, renderer = build_model(hparams)
    return model, renderer, read(recipe, "train", hparams, model, renderer), hparams


def make_references(made, *, tokens_per_step=10**6, tokens_per_pack=64):
    model, _, examples, hparams = made
    return References(
        examples,
        method=hparams.method,
        model=model,
        tokens_per_step=tokens_per_step,
        tokens_per_pack=tokens_per_pack,
    )


def test_every_example_hears_another_text(made):
    model, _, valid, _ = made
    examples, heard = choose(valid, model)
    assert len(examples) >= 2

    def text(example):
        return valid.manifest[int(valid.rows[example])].text

    assert all(text(one) != text(other) for one, other in zip(examples, heard, strict=True))


def test_the_choice_is_always_the_same(made):
    model, _, valid, _ = made
    for once, again in zip(choose(valid, model), choose(valid, model), strict=True):
        assert np.array_equal(once, again)


@torch.no_grad()
def test_the_three_losses_are_cross_entropies_of_the_same_tokens(made):
    model, renderer, valid, _ = made
    references = make_references(made)
    found = references.compare(1, num_steps=1)
    sums, count = {"speech": 0.0, "shuffled": 0.0, "text": 0.0}, 0
    for example, other in zip(references.examples, references.heard, strict=True):
        target, prompt, utterance = valid.prompt(int(example))
        ids = torch.tensor(valid._render(valid._laid_out(int(example)))["student"].pieces[-1].ids)
        for name, of in (("speech", example), ("shuffled", other), ("text", None)):
            if of is None:
                view = valid._laid_out(int(example)).teacher
                embeddings = model.llm.embed(renderer.render(view).ids)
            else:
                frames = valid.frames.get([int(valid.rows[of])])
                speech, _ = model.listen([prompt], frames)
                embeddings = torch.cat([model.embed(prompt, speech[0]), model.llm.embed(ids.tolist())])
            hidden = model.llm.hidden_states(embeddings, torch.arange(len(embeddings)))
            logits = model.llm.head(hidden)[-len(ids) - 1 : -1]
            sums[name] += float(torch.nn.functional.cross_entropy(logits, ids, reduction="sum"))
        count += len(ids)
    assert found.measure == CROSS_ENTROPY
    assert {name: value / count for name, value in sums.items()} == pytest.approx(found.losses(), abs=2e-4)


def test_no_random_number_is_drawn(made):
    torch.manual_seed(7)
    before, of_numpy = torch.get_rng_state(), np.random.get_state()[1].copy()
    with torch.no_grad():
        make_references(made).compare(1, num_steps=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(np.random.get_state()[1], of_numpy)


def test_the_loss_on_text_is_computed_once(made, monkeypatch):
    references, calls = make_references(made), []
    real = References._text_terms
    monkeypatch.setattr(References, "_text_terms", lambda self: calls.append(1) or real(self))
    with torch.no_grad():
        first, second = (references.compare(step, num_steps=9) for step in (8, 9))
        resumed = make_references(made)
        resumed.go_on_from([{"step": 8, "references": vars(first)}])
        third = resumed.compare(9, num_steps=9)
    assert len(calls) == 1
    assert first.text == second.text == third.text


def test_the_cost_is_bounded(made):
    references = make_references(made, tokens_per_step=50)
    num_positions = int(references.valid.lengths[references.examples].sum())
    assert num_positions <= SHARE * 50 * references.num_steps_between
    done = []
    references._mean = lambda terms: 1.0
    for step in range(1, 3 * references.num_steps_between + 1):
        if references.compare(step, num_steps=10**6):
            done.append(step)
    assert done == [references.num_steps_between * number for number in (1, 2, 3)]


def test_the_last_validation_compares(made):
    references = make_references(made, tokens_per_step=1)
    references._mean = lambda terms: 1.0
    assert references.compare(1, num_steps=2) is None
    assert references.compare(2, num_steps=2) is not None


@pytest.mark.parametrize("stage", ["joint", "distil"])
def test_a_method_that_runs_no_llm_has_its_own_loss(stage):
    from auralign.testing.world import get_world, make_packs

    weight = {"cross_entropy_weight": 0.0} if stage == "joint" else {}
    method = load_method("wav2prompt", stage=stage, **weight)
    references = References.__new__(References)
    references.method, (references.model, _) = method, get_world(method)
    (pack,) = make_packs(method, [[0, 1]])
    references.measure = measure_of(method)
    assert references.measure == (CROSS_ENTROPY if stage == "distil" else OWN_LOSS)
    references.examples, references.tokens_per_pack = np.arange(2), 64
    references.valid = type("Valid", (), {"packs": lambda self, *_, **__: iter([pack])})()
    with torch.no_grad():
        assert references._mean(references._terms(references.examples)) > 0


def compared(speech, shuffled, text):
    return Comparison(CROSS_ENTROPY if text is not None else OWN_LOSS, 64, speech, shuffled, text)


@pytest.mark.parametrize(
    ("speech", "shuffled", "text", "share"),
    [(2.0, 3.0, 1.0, 0.5), (3.0, 3.0, 1.0, 0.0), (1.5, 2.0, None, 0.25), (2.0, 1.0, 1.5, None)],
)
def test_the_share_of_the_way_by_hand(speech, shuffled, text, share):
    assert compared(speech, shuffled, text).share == share


@pytest.mark.parametrize(
    ("comparison", "expected"),
    [
        (compared(2.98, 3.0, 1.0), "do not part after 3 comparisons"),  # 1 % of the way
        (compared(2.0, 3.0, 1.0), None),
        (compared(0.99, 1.0, None), "do not part"),
        (compared(0.5, 1.0, None), None),
        (compared(1.0, 1.0, 1.2), "do not depend on what is said"),
    ],
)
def test_a_warning_says_that_speech_and_shuffled_speech_do_not_part(made, comparison, expected):
    references = make_references(made)
    references.num_compared = 2
    assert references.warn(comparison) is None
    references.num_compared = 3
    warning = references.warn(comparison)
    assert (warning is None) if expected is None else (expected in warning and "\n" not in warning)
    assert LEAST_SHARE == 0.05


def test_the_end_of_a_short_run_warns_too(made):
    references = make_references(made)
    with torch.no_grad():
        comparison = references.compare(5, num_steps=5)
    assert references.warn(compared(2.98, 3.0, 1.0)).startswith(
        "warning: speech and shuffled speech do not part after 1 comparison: "
    )
    assert comparison is not None


def train(folder, made, output, **overrides):
    _, _, examples, _ = made
    hparams = load(folder, **overrides)
    model, renderer = build_model(hparams)
    valid = read(folder, "valid", hparams, model, renderer)
    train = read(folder, "train", hparams, model, renderer)
    brain = AlignmentBrain(
        model,
        hparams.method,
        hparams,
        folder=output,
        description=describe_parts(hparams, model, renderer),
    )
    brain.run(train, valid)
    return Checkpoints(output / "checkpoints").last().description["log"]


def test_a_log_is_not_silent_during_a_validation(recipe, made, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("AURALIGN_LOG_SECONDS", "0")
    train(recipe, made, tmp_path, num_steps=1, valid_every=1, num_shown=2)
    said = capsys.readouterr().err
    assert said.count("train sift: 1 of 1 steps") > 1  # after the step, and with each pack of the validation
    assert "answer after validation: 1 of 2 answers" in said


def test_a_training_logs_the_comparison(recipe, made, tmp_path, capsys):
    entry = train(recipe, made, tmp_path)[-1]["references"]
    assert {"speech", "shuffled", "text", "measure", "num_examples"} == set(entry)
    assert "speech {speech:.3f}, shuffled speech {shuffled:.3f}, text {text:.3f}".format(**entry) in (
        capsys.readouterr().err
    )


def test_the_curves_have_the_comparison_and_the_numbers_of_the_log(recipe, made, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = train(recipe, made, tmp_path)
    curves = EventAccumulator(str(tmp_path / "curves"))
    curves.Reload()
    assert {
        "hears/speech",
        "hears/shuffled",
        "hears/text",
        "lr",
        "train/loss",
        "train/gradient_norm",
        "train/steps_per_second",
        "train/memory_gb",
    } <= set(curves.Tags()["scalars"])
    last = curves.Scalars("hears/shuffled")[-1]
    assert (last.step, last.value) == (log[-1]["step"], pytest.approx(log[-1]["references"]["shuffled"]))
