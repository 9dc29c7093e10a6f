"""A stage is skipped when complete, resumed when interrupted, redone when its inputs changed."""

import functools

import pytest

from auralign.files import hash_path
from auralign.fingerprint import describe
from auralign.stage import Stage, StageBusyError, content, renew, require


def run(folder, inputs, *, text="made", interrupt=False):
    """What the stage found at its start: "complete", or its partial output."""
    out = folder / "out.txt"
    with Stage("demo", folder, inputs=inputs, outputs=[out]) as stage:
        if stage.complete:
            return "complete"
        found = out.read_text() if out.exists() else ""
        out.write_text(text)
        if interrupt:
            raise KeyboardInterrupt
        return found


def test_complete_stage_is_skipped_and_says_so(tmp_path, capsys):
    run(tmp_path, {"lr": 1})
    assert run(tmp_path, {"lr": 1}) == "complete"
    assert "demo: already complete for these inputs, skipped" in capsys.readouterr().out


def test_interrupted_stage_finds_its_partial_output(tmp_path, capsys):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, {"lr": 1}, text="half", interrupt=True)
    assert run(tmp_path, {"lr": 1}) == "half"
    assert "resuming" in capsys.readouterr().err


def test_changed_input_starts_over_and_is_named(tmp_path, capsys):
    run(tmp_path, {"lr": 1, "seed": 1})
    assert run(tmp_path, {"lr": 2, "seed": 1}) == ""
    assert "demo: lr (1 -> 2) changed, starting over" in capsys.readouterr().err


def test_changed_input_of_an_interrupted_stage_starts_over(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, {"lr": 1}, text="half", interrupt=True)
    assert run(tmp_path, {"lr": 2}) == ""


def test_half_done_work_of_other_inputs_is_removed(tmp_path):
    half = tmp_path / "half"
    for inputs, expected in (({"lr": 1}, False), ({"lr": 1}, True), ({"lr": 2}, False)):
        with (
            pytest.raises(KeyboardInterrupt),
            Stage("demo", tmp_path, inputs=inputs, outputs=[], partial=[half]),
        ):
            assert half.exists() == expected
            half.write_text("")
            raise KeyboardInterrupt


def test_unfinished_stage_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"stage 3 \(train\) is not finished"):
        require(tmp_path, "demo", made_by="stage 3 (train)")
    run(tmp_path, {})
    assert require(tmp_path, "demo", made_by="stage 3 (train)") is None


def test_output_changed_by_hand_is_made_again(tmp_path):
    run(tmp_path, {"lr": 1})
    (tmp_path / "out.txt").write_text("tampered")
    assert run(tmp_path, {"lr": 1}) == ""
    assert (tmp_path / "out.txt").read_text() == "made"


def test_removed_output_is_made_again(tmp_path):
    run(tmp_path, {"lr": 1})
    (tmp_path / "out.txt").unlink()
    assert run(tmp_path, {"lr": 1}) == ""


def test_two_runs_in_one_folder_are_refused(tmp_path):
    with Stage("demo", tmp_path, inputs={}, outputs=[]), pytest.raises(StageBusyError, match="another run"):
        Stage("demo", tmp_path, inputs={}, outputs=[]).__enter__()


def test_stage_that_wrote_nothing_is_not_complete(tmp_path):
    with (
        pytest.raises(RuntimeError, match="ended without writing"),
        Stage("demo", tmp_path, inputs={}, outputs=[tmp_path / "out"]),
    ):
        pass


def test_constructor_is_described_with_the_content_of_its_path(tmp_path):
    (tmp_path / "model").write_text("weights")
    build = functools.partial(dict, path=str(tmp_path / "model"), stride=8)
    before = describe(build)
    assert before["call"] == "builtins.dict"
    assert before["with"]["stride"] == 8
    assert describe(functools.partial(dict, str(tmp_path / "model")))["content"] == before["content"]
    (tmp_path / "model").write_text("other weights")
    assert describe(build) != before


def test_value_that_cannot_be_described_is_refused():
    with pytest.raises(TypeError, match="cannot say what"):
        describe(object())


def test_absent_input_names_the_stage_that_makes_it(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"run stage 1 \(prepare\) first"):
        content(tmp_path / "train.jsonl", made_by="stage 1 (prepare)")


def fail(folder, inputs, *, write=False):
    with (
        pytest.raises(ValueError, match="no such LLM"),
        Stage("demo", folder, inputs=inputs, outputs=[folder / "out.txt"]),
    ):
        if write:
            (folder / "out.txt").write_text("half")
        raise ValueError("no such LLM")


def test_a_run_that_fails_at_once_costs_nothing_of_the_one_before(tmp_path, capsys):
    run(tmp_path, {"lr": 1}, text="dear")
    fail(tmp_path, {"lr": 2})
    assert "what was finished before is kept" in capsys.readouterr().err
    assert (tmp_path / "out.txt").read_text() == "dear"
    assert run(tmp_path, {"lr": 1}) == "complete"


def test_a_run_that_has_written_something_goes_on_with_it(tmp_path):
    run(tmp_path, {"lr": 1}, text="dear")
    fail(tmp_path, {"lr": 2}, write=True)
    assert run(tmp_path, {"lr": 2}) == "half"
    assert sorted(path.name for path in tmp_path.iterdir()) == [".demo.done.json", ".demo.lock", "out.txt"]


def test_a_run_that_was_given_up_gives_back_the_one_before(tmp_path):
    run(tmp_path, {"lr": 1}, text="dear")
    fail(tmp_path, {"lr": 2}, write=True)
    assert run(tmp_path, {"lr": 1}) == "complete"
    assert (tmp_path / "out.txt").read_text() == "dear"


def test_another_methods_run_is_not_replaced(tmp_path):
    method = {"method": "sit", "version": "1"}
    run(tmp_path, {"method": method}, text="dear")
    with pytest.raises(
        ValueError, match="holds a run of the method 'sit', this is 'sift'; give it its own output_folder"
    ):
        run(tmp_path, {"method": {**method, "method": "sift"}})
    assert run(tmp_path, {"method": method}) == "complete"


def test_a_kill_while_stepping_aside_costs_nothing(tmp_path):
    run(tmp_path, {"lr": 1}, text="dear")
    (tmp_path / ".demo.done.json").rename(
        tmp_path / ".demo.done.json.before"
    )  # the first of the two has moved
    assert run(tmp_path, {"lr": 1}) == "complete"
    assert (tmp_path / "out.txt").read_text() == "dear"


def test_a_file_that_was_changed_with_a_purpose_is_stood_by(tmp_path):
    def run():
        with Stage("demo", tmp_path, inputs={}, outputs=[tmp_path / "a", tmp_path / "b"]) as stage:
            if not stage.complete:
                (tmp_path / "a").write_text("made")
                (tmp_path / "b").write_text("other")
            return stage.complete

    run()
    before = hash_path(tmp_path / "a")
    (tmp_path / "a").write_text("made, and aligned")
    renew(tmp_path, before=before, after=hash_path(tmp_path / "a"))
    assert run()
    assert (tmp_path / "a").read_text() == "made, and aligned"


def test_half_done_work_is_found_again_after_a_run_with_other_inputs_was_begun(tmp_path):
    for inputs, text in (({"lr": 1}, "dear"), ({"lr": 2}, "other")):
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, inputs, text=text, interrupt=True)
    assert run(tmp_path, {"lr": 1}) == "dear"


def test_half_done_work_of_other_inputs_goes_when_the_new_run_is_finished(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, {"lr": 1}, text="half", interrupt=True)
    run(tmp_path, {"lr": 2})
    assert sorted(path.name for path in tmp_path.iterdir()) == [".demo.done.json", ".demo.lock", "out.txt"]


def test_what_was_begun_over_a_finished_run_is_found_again_too(tmp_path):
    run(tmp_path, {"lr": 1}, text="dear")
    fail(tmp_path, {"lr": 2}, write=True)
    assert run(tmp_path, {"lr": 1}) == "complete"
    assert run(tmp_path, {"lr": 2}) == "half"


def test_files_without_a_mark_stay_until_there_are_new_ones(tmp_path):
    (tmp_path / "out.txt").write_text("of somebody")
    with pytest.raises(KeyboardInterrupt), Stage("demo", tmp_path, inputs={}, outputs=[tmp_path / "out.txt"]):
        raise KeyboardInterrupt
    (kept,) = tmp_path.glob("out.txt.*")
    assert kept.read_text() == "of somebody"


def needed(folder, inputs, text):
    out = folder / "out.txt"
    with Stage("demo", folder, inputs=inputs, outputs=[out], needed_by=folder / "checkpoints") as stage:
        if not stage.complete:
            out.write_text(text)
    return out.read_text()


def test_what_was_trained_on_is_kept_and_found_again(tmp_path, capsys):
    assert needed(tmp_path, {"t": 1}, "first") == "first"
    (tmp_path / "checkpoints" / "step_1").mkdir(parents=True)
    assert needed(tmp_path, {"t": 2}, "second") == "second"
    assert "stage 3 will want another output_folder, or --restart" in capsys.readouterr().err
    assert needed(tmp_path, {"t": 3}, "third") == "third"
    for inputs, text in (({"t": 1}, "first"), ({"t": 2}, "second"), ({"t": 3}, "third")):
        assert needed(tmp_path, inputs, "asked again") == text


def test_a_helper_of_ones_own_method_is_part_of_its_account(tmp_path, monkeypatch):
    (tmp_path / "own_helper.py").write_text("WORDS = 1\n")
    (tmp_path / "own_method.py").write_text(
        "from auralign_methods.sift import SIFT\nfrom own_helper import WORDS\n\nclass Mine(SIFT):\n    name = 'mine'\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    import own_method

    before = describe(own_method.Mine())
    (tmp_path / "own_helper.py").write_text("WORDS = 2\n")
    after = describe(own_method.Mine())
    assert {name for name in before if before[name] != after[name]} == {"imported"}
