"""What a recipe leaves out of training is listed and counted, and is no part of the limit of rejected items."""

import json
from itertools import islice

import numpy as np
import pytest

from auralign.data.drawn import Drawn
from auralign.data.rejected import Rejected, TooManyRejectedError
from auralign.recipe.draws import Draws
from auralign.records import Choice, Records, Target, Utterance, write_records


def records(folder, snr):
    utterances = [
        Utterance(f"u{n}", "a.flac", 1.0, "x", labels={"snr": value}) for n, value in enumerate(snr)
    ]
    targets = [
        Target(f"k{n}", f"u{n}", Choice(), "x", "stop", "m", "1", "l", "r", "f", "p", {}, 1)
        for n in range(len(snr))
    ]
    write_records(folder / "train.jsonl", utterances, kind=Utterance)
    write_records(folder / "targets.jsonl", targets, kind=Target)
    return Records(folder / "targets.jsonl", Target), Records(folder / "train.jsonl", Utterance)


def test_what_keep_leaves_out_is_listed_with_its_value_beyond_the_limit_of_rejected_items(tmp_path):
    rejected = Rejected(limit=0.01)
    drawn = Drawn(Draws(keep={"snr": [15, None]}), *records(tmp_path, [10, 20, 5, 30]), rejected)
    assert [drawn.has(number) for number in range(4)] == [False, True, False, True]
    rejected.write(tmp_path / "list.jsonl", num_kept=2)
    assert [json.loads(line) for line in open(tmp_path / "list.jsonl")] == [
        {"id": "u0", "reason": "snr outside 15 to any", "detail": "10"},
        {"id": "u2", "reason": "snr outside 15 to any", "detail": "5"},
    ]
    assert rejected.summary(num_kept=2) == (
        "0 of 2 rejected; 2 left out by the recipe (snr outside 15 to any: 2)"
    )


def test_bounds_that_leave_nothing_stop_the_stage(tmp_path):
    rejected = Rejected(limit=0.01)
    Drawn(Draws(keep={"snr": [99, None]}), *records(tmp_path, [10, 20]), rejected)
    with pytest.raises(TooManyRejectedError, match="nothing was kept.*snr outside 99 to any: 2"):
        rejected.write(tmp_path / "list.jsonl", num_kept=0)


def test_without_the_keys_no_record_is_read_and_epochs_are_permutations_one_after_the_other():
    drawn = Drawn(Draws(), None, None, Rejected(limit=0.0))
    assert drawn.has(7)
    drawn.divide([0, 1, 2, 3, 4], np.array([10, 10, 10, 10, 10]))
    steps = list(islice(drawn.steps(tokens_per_step=20, seed=3), 6))
    assert [len(step) for step in steps] == [2, 2, 1, 2, 2, 1]
    epochs = [np.random.default_rng([3, epoch]).permutation(5) for epoch in (0, 1)]
    assert np.array_equal(np.concatenate(steps), np.concatenate(epochs))
    assert drawn.held(steps[0]) == {}


def test_a_step_says_what_it_holds_of_each_part(tmp_path):
    draws = Draws(mixture=[{"where": {"snr": 10}, "share": 0.5}, {"share": 0.5}])
    drawn = Drawn(draws, *records(tmp_path, [10, 20, 30]), Rejected(limit=0.0))
    drawn.divide([0, 1, 2], np.array([30, 10, 20]))
    assert drawn.held(np.array([0, 2, 0])) == {"snr=10": 60, "the rest": 20}


def test_a_value_that_has_no_bounds_is_named_with_its_row(tmp_path):
    with pytest.raises(ValueError, match="train.jsonl: u1: keep: snr is 'high', which is no number"):
        Drawn(Draws(keep={"snr": [15, None]}), *records(tmp_path, [20, "high"]), Rejected(limit=0.0))
