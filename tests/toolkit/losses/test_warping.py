"""Dynamic time warping against all monotonic alignments of small cases."""

from itertools import combinations

import pytest
import torch

from auralign.losses import warp


def cost_of(frames, tokens, owner):
    cosine = torch.nn.functional.cosine_similarity(frames, tokens[owner], dim=-1)
    return float((1 - cosine).sum())


@pytest.mark.parametrize("seed", range(10))
def test_it_finds_the_cheapest_of_all_alignments(seed):
    generator = torch.Generator().manual_seed(seed)
    frames, tokens = torch.randn(7, 4, generator=generator), torch.randn(3, 4, generator=generator)
    found = warp(frames, tokens)
    assert found.sum(0).tolist() == [1] * 7
    owner = found.int().argmax(0)
    assert owner.tolist() == sorted(owner.tolist())
    assert set(owner.tolist()) == {0, 1, 2}
    every = [
        torch.tensor([0] * first + [1] * (second - first) + [2] * (7 - second))
        for first, second in combinations(range(1, 7), 2)
    ]
    assert cost_of(frames, tokens, owner) == pytest.approx(
        min(cost_of(frames, tokens, one) for one in every), abs=1e-5
    )


def test_frames_that_repeat_their_token_are_its_own():
    tokens = torch.eye(3)
    owner = torch.tensor([0, 0, 1, 2, 2])
    assert warp(tokens[owner], tokens).int().argmax(0).tolist() == owner.tolist()


def test_fewer_frames_than_tokens_are_shared():
    found = warp(torch.randn(2, 4), torch.randn(4, 4))
    assert found.tolist() == [[True, False], [True, False], [False, True], [False, True]]
