"""Steps and packs hold every example once, within their budgets, as a function of (seed, epoch)."""

from itertools import islice

import numpy as np
import pytest

from auralign.data.batching import epoch_steps, pack, steps_in_shares

LENGTHS = np.random.default_rng(0).integers(5, 60, size=200)


def test_every_example_is_in_exactly_one_step():
    steps = epoch_steps(LENGTHS, tokens_per_step=300, seed=1, epoch=0)
    assert sorted(np.concatenate(steps)) == list(range(200))


def test_steps_keep_their_budget():
    assert (
        max(LENGTHS[step].sum() for step in epoch_steps(LENGTHS, tokens_per_step=300, seed=1, epoch=0)) <= 300
    )


def test_longer_example_than_the_budget_is_a_step_of_its_own():
    steps = epoch_steps(np.array([10, 500, 10]), tokens_per_step=100, seed=1, epoch=0)
    assert [1] in [list(step) for step in steps]


def test_epochs_and_seeds_differ_and_repeat():
    orders = {
        (seed, epoch): tuple(
            np.concatenate(epoch_steps(LENGTHS, tokens_per_step=300, seed=seed, epoch=epoch))
        )
        for seed in (1, 2)
        for epoch in (0, 1)
    }
    assert len(set(orders.values())) == 4
    assert tuple(np.concatenate(epoch_steps(LENGTHS, tokens_per_step=300, seed=2, epoch=1))) == orders[2, 1]


def test_examples_in_their_order_are_in_the_order_of_the_manifest():
    steps = epoch_steps(LENGTHS, tokens_per_step=300, seed=1, epoch=3, shuffled=False)
    assert list(np.concatenate(steps)) == list(range(200))


PARTS = (np.arange(200) % 10 == 0).astype(int)  # the second part has a tenth of the examples
SHARES = (0.3, 0.7)


def in_shares(number, **changes):
    options = {"tokens_per_step": 1000, "seed": 1, **changes}
    return list(islice(steps_in_shares(LENGTHS, PARTS, SHARES, **options), number))


def test_each_step_holds_its_shares_of_positions_not_of_rows():
    long = np.where(PARTS == 0, 50, 5)  # rows of the first part are ten times as long
    steps = islice(steps_in_shares(long, PARTS, SHARES, tokens_per_step=1000, seed=1), 20)
    for step in steps:
        assert long[step].sum() <= 1000
        assert long[step][PARTS[step] == 1].sum() / long[step].sum() == pytest.approx(0.7, abs=0.06)


def test_each_part_is_gone_through_before_it_is_repeated():
    drawn = np.concatenate(in_shares(100))
    for part in (0, 1):
        of_part = drawn[PARTS[drawn] == part]
        size = int((PARTS == part).sum())
        assert len({*of_part[:size]}) == size
        assert len({*of_part[size : 2 * size]}) == len(of_part[size : 2 * size])


def test_steps_in_shares_are_a_function_of_the_seed_and_the_step():
    longer, shorter = in_shares(12), in_shares(5)
    assert all(np.array_equal(one, other) for one, other in zip(longer[:5], shorter, strict=True))
    assert not np.array_equal(shorter[0], in_shares(1, seed=2)[0])


def test_parts_in_their_order_begin_with_the_first_of_each():
    drawn = np.concatenate(in_shares(10, shuffled=False))
    assert list(drawn[PARTS[drawn] == 1][:3]) == [0, 10, 20]


def test_packs_hold_every_sequence_once_within_the_budget():
    packs = pack(LENGTHS, max_tokens=128)
    assert sorted(place for places in packs for place in places) == list(range(200))
    assert max(sum(LENGTHS[place] for place in places) for places in packs) <= 128


def test_first_fit_decreasing_wastes_little():
    packs = pack(LENGTHS, max_tokens=512)
    assert LENGTHS.sum() / (512 * len(packs)) > 0.9


def test_sequence_longer_than_a_pack_goes_alone():
    assert pack([10, 700, 20], max_tokens=512) == [[1], [0, 2]]


@pytest.mark.parametrize("lengths", [[], [5]])
def test_few_sequences(lengths):
    assert pack(lengths, max_tokens=10) == [[0]] * len(lengths)


def first_fit_decreasing(lengths, max_tokens):
    """The definition: each sequence, the longest first, goes into the first pack that has room."""
    packs, room = [], []
    for index in sorted(range(len(lengths)), key=lambda index: (-lengths[index], index)):
        fits = next((number for number, left in enumerate(room) if left >= lengths[index]), len(packs))
        if fits == len(packs):
            packs.append([])
            room.append(max_tokens)
        packs[fits].append(index)
        room[fits] -= lengths[index]
    return [sorted(indices) for indices in packs]


@pytest.mark.parametrize("seed", range(8))
def test_packs_are_those_of_the_definition(seed):
    random = np.random.default_rng(seed)
    lengths = random.integers(0 if seed % 2 else 1, (8, 60, 150)[seed % 3], size=300)
    assert pack(lengths, max_tokens=100) == first_fit_decreasing(lengths.tolist(), 100)


def test_the_time_to_pack_grows_with_the_number_of_sequences_alone(monkeypatch):
    """A hundred thousand sequences take a few array operations for each length that occurs, not one for each pack."""
    lengths = np.random.default_rng(0).integers(50, 250, size=100_000)
    calls, find = [], np.searchsorted
    monkeypatch.setattr(
        np, "searchsorted", lambda *args, **options: calls.append(1) or find(*args, **options)
    )
    assert sum(map(len, pack(lengths, max_tokens=2048))) == len(lengths)
    assert len(calls) == 200
