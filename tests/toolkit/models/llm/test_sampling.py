"""Drawn tokens: by numbers that are published, whatever the batch, in the shares that the logits give."""

import numpy as np
import pytest
import torch

from auralign.models.llm.sampling import BLOCK, Sampler, Sampling, uniform

# SplitMix64 with the seed 1234567, as Rosetta Code lists it ("Pseudo-random numbers/Splitmix64").
PUBLISHED = (
    6457827717110365317,
    3203168211198807973,
    9817491932198370423,
    4593380528125082431,
    16408922859458223821,
)


def draw(logits, seeds, positions, **options):
    return Sampler(1.0, **options).draw(logits, seeds, positions).tolist()


def test_numbers_are_those_published_for_splitmix64():
    numbers = uniform([1234567] * 5, list(range(5)))
    assert numbers.tolist() == pytest.approx([number / 2**64 for number in PUBLISHED], abs=2**-47)


def test_a_token_depends_on_its_seed_and_position_alone():
    torch.manual_seed(0)
    logits, seeds, positions = torch.randn(6, 1300), [3, 1, 2**60, 7, -5, 0], [0, 9, 4, 4, 1, 2]
    together = draw(logits, seeds, positions)
    alone = [draw(logits[row : row + 1], [seeds[row]], [positions[row]])[0] for row in range(6)]
    assert together == alone
    assert len(set(together)) > 1


@pytest.mark.parametrize("size", [7, BLOCK, 3 * BLOCK + 1])
def test_shares_of_drawn_tokens_are_their_probabilities(size):
    """Pearson's statistic of tokens in ten classes: beyond 27.9 in one of 1,000 cases (9 degrees of freedom)."""
    torch.manual_seed(1)
    logits, number = torch.randn(size), 4000
    tokens = draw(logits.expand(number, -1), list(range(number)), [3] * number)
    classes = torch.arange(size) * 10 // size
    expected = number * torch.zeros(10).index_add(0, classes, logits.softmax(-1))
    found = torch.bincount(classes[tokens], minlength=10)
    assert float(((found - expected) ** 2 / expected.clamp_min(1e-9)).sum()) < 27.9


def test_tokens_that_are_excluded_are_never_drawn():
    logits = torch.randn(1, 1000)
    likely = set(logits[0].topk(3).indices.tolist())
    drawn = draw(logits.expand(300, -1), list(range(300)), [0] * 300, top_k=3)
    assert set(drawn) == likely


@pytest.mark.parametrize("temperature", [1e-38, 1e-320])
def test_a_tiny_temperature_draws_the_likeliest(temperature):
    logits = torch.tensor([[30.0, 50.0, 40.0]])
    assert Sampler(temperature).draw(logits, [1], [0]).tolist() == [1]


def test_numbers_of_numpy_are_numbers():
    found = Sampling(temperature=np.float32(0.5), top_k=np.int64(3))
    assert (found.temperature, found.top_k) == (0.5, 3)


def test_rounding_of_the_logits_seldom_changes_what_is_drawn():
    generator = torch.Generator().manual_seed(1)
    logits = 4 * torch.randn(1, 100 * BLOCK, generator=generator)
    rounded = logits + 3e-6 * torch.randn(logits.shape, generator=generator)
    sampler = Sampler(1.0)
    drawn = [[sampler.draw(one, [seed], [0]).item() for seed in range(400)] for one in (logits, rounded)]
    assert sum(first != second for first, second in zip(*drawn, strict=True)) <= 2
