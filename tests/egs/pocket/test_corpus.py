"""The clips of the pocket model."""

import importlib.util
import sys
from pathlib import Path

import numpy
import pytest

SAMPLE_RATE = 16_000
SCRIPT = Path(__file__).parents[3] / "egs" / "pocket" / "local" / "make_corpus.py"


@pytest.fixture(scope="module")
def make_corpus():
    spec = importlib.util.spec_from_file_location(
        "pocket_corpus", SCRIPT
    )  # digits has a local.make_corpus too
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def as_recorded(make_corpus):
    return make_corpus.as_recorded


@pytest.fixture
def tone():
    return 0.5 * numpy.sin(2 * numpy.pi * 440 * numpy.arange(SAMPLE_RATE) / SAMPLE_RATE)


@pytest.mark.parametrize("seed", range(12))
def test_a_recorded_clip_keeps_its_length_and_fits_the_scale(as_recorded, tone, seed):
    found = as_recorded(tone, numpy.random.default_rng(seed))
    assert found.shape == tone.shape
    assert numpy.abs(found).max() == pytest.approx(0.3)


def test_a_recorded_clip_is_the_same_for_the_same_seed(as_recorded, tone):
    one, two, other = (as_recorded(tone, numpy.random.default_rng(seed)) for seed in (1, 1, 2))
    numpy.testing.assert_array_equal(one, two)
    assert not numpy.array_equal(one, other)


def test_a_silent_clip_stays_finite(as_recorded):
    assert numpy.isfinite(as_recorded(numpy.zeros(SAMPLE_RATE), numpy.random.default_rng(5))).all()


def test_new_voices_speak_the_first_group_of_the_test_set(make_corpus):
    texts = {
        name: [make_corpus.Text(f"{name} {number}") for number in range(3)]
        for name in ("train", "valid", "new")
    }
    clips = make_corpus.plan(texts, seed=1)
    spoken = {group: [clip.text for clip in clips if clip.group == group] for group in ("new", "new voice")}
    assert spoken["new voice"] == spoken["new"] == ["new 0", "new 1", "new 2"]
    trained = {clip.voice for clip in clips if clip.split == "train"}
    assert not trained & {clip.voice for clip in clips if clip.group == "new voice"}
