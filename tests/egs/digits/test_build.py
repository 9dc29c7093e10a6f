"""Training of the tiny models: what is drawn, and what is left when it is interrupted."""

import random
from pathlib import Path

import numpy
import pytest
import torch

import augment
import build_encoder
import build_llm
import instructions
import rebuild_models
import world

LLM = Path(__file__).parents[3] / "egs" / "digits" / "models" / "llm"


def test_no_string_kept_for_evaluation_is_drawn_for_training():
    rng = random.Random(0)
    requests = [instructions.draw_request(rng) for _ in range(2000)]
    assert not any(world.is_held_out(world.split_content(request.content)[1]) for request in requests)
    assert {request.task for request in requests} == {None, *world.TASKS}
    assert all(request.reference for request in requests)


def test_even_pauses_are_around_every_word():
    from transformers import AutoTokenizer

    prompts = instructions.Prompts(AutoTokenizer.from_pretrained(LLM, local_files_only=True))
    ids = prompts.content_ids(("two", "six"), build_llm.Even(2))
    without = prompts.content_ids(("two", "six"))
    assert [one for one in ids if one != prompts.pause] == without
    assert ids[:2] == ids[-2:] == [prompts.pause] * 2
    assert ids.count(prompts.pause) == 3 * 2


def test_augmentation_is_the_same_for_the_same_generator_and_keeps_lengths_sane():
    waveform = numpy.sin(numpy.arange(16_000) / 20).astype(numpy.float32)
    strength = augment.Strength()
    first, second = (
        augment.augment_waveform(waveform, strength, numpy.random.default_rng(3)) for _ in range(2)
    )
    assert numpy.array_equal(first, second)
    assert 16_000 / 1.2 - 1 <= len(first) <= 16_000 / 0.85 + 2 * 3200
    assert first.dtype == numpy.float32


def test_blanked_stripes_are_no_wider_than_allowed():
    mel = torch.arange(80 * 200).reshape(1, 80, 200).float()
    strength = augment.Strength(tilt_decibels=0.0, max_bands=12, max_frames=10)
    augmented = augment.augment_features(
        mel.clone(), torch.tensor([200]), strength, numpy.random.default_rng(0)
    )
    changed = augmented[0] != mel[0]
    assert changed.all(dim=1).sum() <= 24
    assert changed.all(dim=0).sum() <= 20


def test_every_utterance_is_drawn_once_an_epoch():
    utterances = [(numpy.zeros(100 + index), ["one"]) for index in range(50)]
    for shortest_first in (True, False):
        batches = build_encoder.draw_batches(
            utterances, numpy.random.default_rng(0), shortest_first=shortest_first
        )
        assert sorted(index for batch in batches for index in batch) == list(range(50))
        assert len(batches) == 4


def test_a_missing_corpus_is_named_before_anything_is_built(tmp_path):
    with pytest.raises(FileNotFoundError, match="run stage 0"):
        rebuild_models.rebuild_models(
            tmp_path / "out", speech="synthetic", corpus=tmp_path / "nothing", seed=1, init=None
        )
    assert not (tmp_path / "out").exists()


def test_an_interrupted_build_leaves_the_old_model(tmp_path, monkeypatch):
    (tmp_path / "encoder").mkdir()
    (tmp_path / "encoder" / "config.json").write_text("the old one")
    monkeypatch.setattr(build_encoder, "read_corpus", lambda folder, split: [])
    monkeypatch.setattr(build_encoder, "train", lambda *arguments, **options: None)

    def fail(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(build_encoder, "to_bfloat16", fail)
    with pytest.raises(KeyboardInterrupt):
        build_encoder.build_encoder(tmp_path / "encoder", speech="synthetic", corpus=tmp_path, seed=1)
    assert [path.name for path in tmp_path.iterdir()] == ["encoder"]
    assert (tmp_path / "encoder" / "config.json").read_text() == "the old one"


def test_an_encoder_for_recordings_is_trained_once_for_a_corpus(tmp_path, monkeypatch):
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "labels.jsonl").write_text("{}\n")
    (tmp_path / "init").mkdir()
    built = []

    def build(folder, **options):
        folder.mkdir(parents=True, exist_ok=True)
        folder.with_name("encoder.scores.json").write_text("{}")
        built.append(options["seed"])
        return {}

    monkeypatch.setattr(rebuild_models, "build_encoder", build)
    for seed, force in ((1, False), (1, False), (2, False), (2, True)):
        rebuild_models.rebuild_models(
            tmp_path / "out",
            speech="recorded",
            corpus=tmp_path / "corpus",
            seed=seed,
            init=tmp_path / "init",
            force=force,
        )
    assert built == [1, 2, 2]


@pytest.mark.parametrize(("fails", "code"), [("", 0), ("build_llm.py", 7), ("build_encoder.py", 7)])
def test_llm_and_encoder_are_built_side_by_side_with_one_thread_each(
    tmp_path, monkeypatch, capfd, fails, code
):
    python = tmp_path / "python"
    python.write_text(
        f'#!/bin/sh\necho $OMP_NUM_THREADS $(basename $1)\n[ $(basename $1) != "{fails}" ] || exit 7\n'
    )
    python.chmod(0o755)
    monkeypatch.setattr(rebuild_models.sys, "executable", str(python))
    if code:
        with pytest.raises(SystemExit) as ended:
            rebuild_models.rebuild_from_scratch(tmp_path, tmp_path, seed=1)
        assert ended.value.code == code
    else:
        rebuild_models.rebuild_from_scratch(tmp_path, tmp_path, seed=1)
        assert capfd.readouterr().out.splitlines()[1:] == ["1 build_encoder.py", "1 build_llm.py"]


def test_best_path_loss_is_the_likelihood_of_one_path_per_word():
    # two frames, blank or word: the best path of one word is (word, word) at 0.6 * 0.7
    scores = torch.tensor([[[0.4, 0.6], [0.3, 0.7]]]).log()
    loss = build_encoder.best_path_loss(scores, torch.tensor([2]), [torch.tensor([1])])
    assert loss.item() == pytest.approx(-numpy.log(0.6 * 0.7), abs=1e-6)


def test_words_of_a_path_are_widened_around_their_surest_frames_up_to_a_blank():
    path = torch.tensor([0, 0, 0, 1, 0, 0, 1, 0, 0, 2, 2, 0])
    scores = torch.zeros(12, 3)
    scores[10, 2] = 1.0  # of the frames 9 and 10, the second word is surer on 10
    assert build_encoder.widen(path, scores).tolist() == [0, 1, 1, 1, 0, 1, 1, 1, 0, 2, 2, 2]


def test_different_words_on_neighbouring_frames_stay_there():
    path = torch.tensor([1, 2])
    assert build_encoder.widen(path, torch.zeros(2, 3)).tolist() == [1, 2]
