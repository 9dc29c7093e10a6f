"""The loop of the side-by-side over fake runs, and its page."""

import pytest
from local.side_by_side import Rows, keep_plan, make_runs, show_list
from local.side_page import publish, render
from local.side_plan import CELL, GROUPS, SPEED, START, TARGETS, Settings, plan

SETTINGS = Settings(num_utts=(10, 20), seeds=(1, 2), rates=(1e-3,))
COLUMN = {
    group: {"n": 2, "F1": 0.5, "first": 0.25, "exact": 0.0, "F1 interval": [0.4, 0.6]} for group in GROUPS
}
ABOUT = {"command": "python x", "commit": "c" * 40, "hardware": "a laptop", "threads": 1, "finished": "today"}


class Fakes:
    """Makes rows without any work, and remembers for which runs."""

    def __init__(self, broken=()):
        self.made, self.broken = [], broken

    def __call__(self, run, rows):
        assert set(run.needs) <= set(rows)
        if run.name in self.broken:
            raise ValueError(f"{run.name} is\nbroken")
        self.made.append(run.name)
        if run.kind == START:
            return {"columns": {"speech": COLUMN}, "llm": "a-llm", "encoder": "an-encoder"}
        if run.kind == TARGETS:
            return {
                "cpu_seconds": 30.0,
                "resumed": False,
                "num_targets": 19,
                "options": {"share_interleaved": 0.0},
            }
        if run.kind == SPEED:
            return {"seconds_per_step": 2.0}
        facts = {"rate": 1e-3, "num_steps": 120, "valid_loss": 1.0, "cpu_seconds": 239.0}
        return {**facts, "num_targets": 18, "columns": {"speech": COLUMN}} if run.kind == CELL else facts


@pytest.fixture
def rows(tmp_path):
    return Rows(tmp_path / "side", plan(SETTINGS))


def test_a_finished_run_is_not_made_again(rows):
    runs = plan(SETTINGS, ["sift"])
    first, second = Fakes(), Fakes()
    assert make_runs(runs, rows, first) == make_runs(runs, rows, second) == []
    assert first.made == [run.name for run in runs] and second.made == []


def test_the_budget_ends_after_a_run_and_the_next_command_goes_on(rows):
    runs, first, second = plan(SETTINGS, ["sift"]), Fakes(), Fakes()
    minutes = iter(range(100))
    make_runs(runs, rows, first, minutes=2.5, clock=lambda: 60 * next(minutes))  # begun at 0; a run a minute
    make_runs(runs, rows, second)
    assert first.made == ["start", "targets/sift"]
    assert first.made + second.made == [run.name for run in runs]


def test_a_failed_run_is_named_and_the_others_are_made(rows, capsys):
    runs = plan(SETTINGS, ["sift", "sit"])
    left_out = make_runs(runs, rows, Fakes(broken=["targets/sift"]))
    assert left_out == [run.name for run in runs if run.method == "sift"]
    assert rows.failed() == {"targets/sift": "targets/sift is broken"}
    assert "aligned/sit/seed_1" in rows.finished()
    assert (
        "scratch/sift/utts_20: left out, as it needs targets/sift, scratch/sift/speed"
        in capsys.readouterr().out
    )


def test_a_failed_run_is_tried_again(rows):
    runs = plan(SETTINGS, ["sift"])
    make_runs(runs, rows, Fakes(broken=["aligned/sift/seed_1"]))
    again = Fakes()
    assert make_runs(runs, rows, again) == []
    assert again.made == ["aligned/sift/seed_1"]
    assert rows.failed() == {}


def test_a_defect_is_not_a_failed_run(rows):
    def make(run, rows):
        raise KeyError("a defect")

    with pytest.raises(KeyError):
        make_runs(plan(SETTINGS), rows, make)


def test_the_list_has_a_state_for_each_run(rows):
    runs = plan(SETTINGS, ["sift"])
    make_runs(runs, rows, Fakes(broken=["aligned/sift/seed_1"]))
    lines = show_list(runs, rows).splitlines()
    states = dict(line.split(maxsplit=1) for line in lines[:-1])
    assert states["start"] == "finished"
    assert states["aligned/sift/seed_1"] == "failed: aligned/sift/seed_1 is broken"
    assert lines[-1] == f"{len(runs) - 1} of {len(runs)} runs are finished"


def test_a_folder_keeps_its_plan(tmp_path):
    keep_plan(tmp_path, SETTINGS)
    keep_plan(tmp_path, SETTINGS)
    with pytest.raises(
        ValueError, match=r"cpu_seconds 120.0 \(now 60.0\); give the same values, or another folder"
    ):
        keep_plan(tmp_path, Settings(num_utts=(10, 20), seeds=(1, 2), rates=(1e-3,), cpu_seconds=60.0))


# --- the page


def table(page, title):
    """The rows of a table of the page, each by its heads; heads that come twice have their place after them."""
    lines = page.split(f"### {title}\n")[1].split("\n### ")[0].splitlines()
    heads, _, *body = [line.strip("| ").split(" | ") for line in lines if line.startswith("|")]
    return [dict(zip(heads, row, strict=True)) for row in body]


def test_without_rows_every_cell_is_not_run():
    page = render(SETTINGS, {})
    for title in ("From aligned", "From scratch"):
        for row in table(page, title):
            assert {row[group] for group in GROUPS} == {"not run"}
    assert len(table(page, "From scratch")) == 10 * 2
    assert table(page, "Runs") == []


def test_a_finished_cell_has_its_measures_and_its_provenance(rows):
    make_runs(plan(SETTINGS, ["sift"]), rows, Fakes(), about=lambda: ABOUT)
    page = render(SETTINGS, rows.finished())
    found = {row["method"]: row for row in table(page, "From aligned")}
    assert found["sift"]["none (n 2)"] == "0.50 (0.50-0.50) / 0.25 / 0.00"
    assert (found["sift"]["lr"], found["sift"]["steps"], found["sift"]["seeds"]) == ("0.001", "120", "2 of 2")
    assert found["sit"]["none (n 2)"] == "not run"
    (run,) = [row for row in table(page, "Runs") if row["run"] == "scratch/sift/utts_10"]
    assert (run["command"], run["commit"], run["hardware"]) == ("`python x`", "c" * 12, "a laptop")
    assert (run["seed"], run["CPU s"]) == ("1", "239")


def test_seeds_are_averaged_with_their_range():
    rows = {}
    for seed, value in ((1, 0.2), (2, 0.6)):
        column = {group: {**found, "F1": value} for group, found in COLUMN.items()}
        facts = {
            "rate": 1e-3,
            "num_steps": 9,
            "cpu_seconds": 1.0,
            "num_targets": 5,
            "columns": {"speech": column},
        }
        rows[f"aligned/sit/seed_{seed}"] = {**facts, **ABOUT}
    found = {row["method"]: row for row in table(render(SETTINGS, rows), "From aligned")}
    assert found["sit"]["unseen task"] == "0.40 (0.20-0.60) / 0.25 / 0.00"


def test_what_the_trained_llm_forgot_is_in_the_table_from_scratch(rows):
    make_runs(plan(SETTINGS, ["self_powered"]), rows, Fakes(), about=lambda: ABOUT)
    finished = rows.finished()
    finished["scratch/self_powered/utts_20"]["columns"]["text of the trained LLM"] = {
        "none": {"n": 3, "F1": 1.0, "first": 1.0, "exact": 1.0},
        "seen wording": {"n": 1, "F1": 0.0, "first": 0.0, "exact": 0.0},
    }
    found = {
        (row["method"], row["utterances"]): row for row in table(render(SETTINGS, finished), "From scratch")
    }
    assert found["self_powered", "20"]["text kept"] == "0.75 / 0.75 / 0.75"
    assert found["sift", "20"]["text kept"] == "-"


def test_a_failure_is_on_the_page():
    page = render(SETTINGS, {}, {"aligned/sit/seed_2": "no memory"})
    assert {row["method"]: row["none"] for row in table(page, "From aligned")}["sit"] == "failed"
    assert "- aligned/sit/seed_2 failed: no memory" in page


def test_the_page_leaves_the_rest_of_the_file_as_it_is(tmp_path):
    path = tmp_path / "RESULTS.md"
    path.write_text("# Results\n\nOurs.\n")
    assert publish(path, render(SETTINGS, {}))
    path.write_text(path.read_text() + "\n## More\n\nOurs too.\n")
    assert publish(path, render(SETTINGS, {}, {"start": "no memory"}))
    text = path.read_text()
    assert text.startswith("# Results\n\nOurs.\n") and text.endswith("## More\n\nOurs too.\n")
    assert text.count("## Side by side") == 1 and "no memory" in text


def test_a_page_of_more_runs_is_not_replaced_by_one_of_fewer(tmp_path, rows):
    make_runs(plan(SETTINGS, ["sift"]), rows, Fakes(), about=lambda: ABOUT)
    path, more = tmp_path / "RESULTS.md", render(SETTINGS, rows.finished())
    assert publish(path, more)
    before = path.read_text()
    assert not publish(path, render(SETTINGS, {}))
    assert path.read_text() == before
