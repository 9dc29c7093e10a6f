"""The plan of the side-by-side: which runs there are, in which order, and at which cost."""

import pytest
from local.side_plan import (
    ALIGNED,
    CELL,
    DEV,
    GROUPS,
    METHODS,
    SCRATCH,
    SEEN,
    TASKS,
    UNSEEN_TASK,
    UNSEEN_WORDING,
    Run,
    Settings,
    choose_num_steps,
    choose_rate,
    plan,
)

RUNS = plan(Settings())
CELLS = [run for run in RUNS if run.kind == CELL]


def test_from_aligned_has_seven_methods_in_three_seeds():
    methods = "transcription sit sift blsp distillation mtbi self_powered".split()
    found = {(run.method, run.seed) for run in CELLS if run.table == ALIGNED}
    assert found == {(method, seed) for method in methods for seed in (1, 2, 3)}


def test_from_scratch_has_three_methods_more_in_one_seed_over_utterances():
    found = {(run.method, run.seed, run.num_utts) for run in CELLS if run.table == SCRATCH}
    assert {"diva", "wav2prompt", "acif"} < {method for method, _, _ in found}
    assert found == {(method, 1, number) for method in METHODS for number in (400, 800, 1600)}


def test_all_cells_from_aligned_have_equal_utterances():
    assert {run.num_utts for run in CELLS if run.table == ALIGNED} == {1600}


def test_every_method_has_the_same_learning_rates_to_choose_from():
    rates = {}
    for run in RUNS:
        if run.kind == DEV:
            rates.setdefault((run.table, run.method), []).append(run.rate)
    assert set(map(tuple, rates.values())) == {(1e-4, 1e-3)}
    assert set(rates) == {(run.table, run.method) for run in CELLS}


def test_what_a_run_needs_comes_before_it():
    names = [run.name for run in RUNS]
    assert len(set(names)) == len(names)
    for place, run in enumerate(RUNS):
        assert set(run.needs) <= set(names[:place])


def test_a_part_of_the_plan_is_whole():
    runs = plan(Settings(), ["diva"])
    assert {run.method for run in runs} == {"", "diva"}
    assert {name for run in runs for name in run.needs} <= {run.name for run in runs}


def test_a_method_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="no method sfit in the comparison; it has transcription, "):
        plan(Settings(), ["sfit"])


@pytest.mark.parametrize("seconds_per_step, num_steps", [(0.5, 480), (7.0, 34), (1000.0, 1)])
def test_the_budget_of_a_cell_is_spent_whatever_a_step_costs(seconds_per_step, num_steps):
    assert choose_num_steps(Run("a", CELL), Settings(cpu_seconds=240.0), seconds_per_step) == num_steps


def test_a_dev_run_has_a_third_of_the_budget():
    assert choose_num_steps(Run("a", DEV), Settings(cpu_seconds=240.0), 2.0) == 40


def test_the_learning_rate_with_the_lowest_validation_loss_is_chosen():
    assert choose_rate({1e-4: 2.5, 3e-4: 2.1, 1e-3: 2.3}) == 3e-4
    assert choose_rate({1e-3: 2.1, 3e-4: 2.1}) == 3e-4


@pytest.mark.parametrize(
    "values, message",
    [
        ({"num_utts": (800, 400)}, "num_utts .*ascending"),
        ({"cpu_seconds": 0.0}, "cpu_seconds 0.0: give a number above 0"),
        ({"num_steps": -2}, "num_steps -2: give a number above 0"),
    ],
)
def test_settings_that_compare_nothing_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        Settings(**values)


def test_wordings_that_are_called_unseen_are_of_no_training():
    trained = str([method.arguments for method in METHODS.values()])
    for group in (UNSEEN_WORDING, UNSEEN_TASK):
        assert not [one for one in GROUPS[group] if one.replace("{speech}", "").strip() in trained]


def test_every_task_is_asked_in_a_wording_of_training():
    assert [set(GROUPS[SEEN]) & set(wordings) for wordings in TASKS.values()] == [
        {one} for one in GROUPS[SEEN]
    ]
