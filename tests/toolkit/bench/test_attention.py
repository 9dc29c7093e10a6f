"""The counters are those of lengths counted by hand, and a gate that fails makes the figures void."""

import numpy as np
import pytest
import torch

from auralign.bench import attention
from auralign.bench.corpus import LIBRISPEECH
from recipe import run


@pytest.fixture(autouse=True)
def small(monkeypatch):
    for name, value in (
        ("WIDTH", 32),
        ("INNER", 64),
        ("LAYERS", 2),
        ("NUM_STEPS", 3),
        ("TOKENS_PER_PACK", 400),
    ):
        monkeypatch.setattr(attention, name, value)


def test_the_benchmark_prints_counters_gates_and_times():
    code, said, error = run("auralign", "bench", "attention", "--repeats", "1")
    assert code == 0, error
    first, second, times = said.splitlines()
    assert "lengths like LibriSpeech" in first and "; bar " in first
    assert "lengths like Common Voice" in second
    assert "times as fast" in times and "from fp32, bf16 differs by" in times


def test_padding_and_pairs_are_as_counted_by_hand(monkeypatch):
    """One step of one pack of four: 1 s, 1 s, 2 s, 2 s of audio; 10, 10, 20 and 20 positions."""
    seconds, lengths = np.array([1.0, 2.0, 1.0, 2.0]), np.array([10, 20, 10, 20])
    said = attention.describe_padding(LIBRISPEECH, seconds, lengths).figure
    # Alike in length together, nothing is padding; in one batch 6 s of 8 s are audio. Pairs: 60^2 / (2 * 100 + 2 * 400).
    assert "audio that is padding 0.0% (a pack at once: 25.0%)" in said
    assert "(square: 3.6)" in said


def test_a_way_that_computes_something_else_is_void(monkeypatch):
    real = attention.gradient
    monkeypatch.setattr(
        attention,
        "gradient",
        lambda *given: real(*given) * (1.001 if given[2] == attention.SEQUENCES else 1.0),
    )
    _, void = attention.check_gates(attention.make_decoder(), (7, 5))
    assert void.startswith("a gate fails, at most 0.0001 in fp32")


def test_distances_are_relative_to_the_reference():
    assert attention.distance(torch.tensor([3.0, 4.0]), torch.tensor([0.0, 4.0])) == pytest.approx(0.75)
