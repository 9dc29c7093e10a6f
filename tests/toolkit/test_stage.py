"""A stage is skipped if complete, resumed if interrupted, run again if its inputs changed; no kill loses what was finished."""

import functools
import itertools
import os
from datetime import UTC, datetime

import pytest

from auralign.files import hash_path, read_json, write_atomically, write_json
from auralign.fingerprint import describe, same
from auralign.models.connectors import StackAndProject
from auralign.stage import Stage, StageBusyError, content, find_runs, renew, require
from processes import KILLED, die_at


def run(folder, inputs, *, text="made", interrupt=False, protected=(), restart=False):
    """What the stage found at its start: "complete", or its half-done work."""
    out = folder / "out.txt"
    options = {"protected": protected, "restart": restart}
    with Stage("demo", folder, inputs=inputs, outputs=[out], **options) as stage:
        if stage.complete:
            return "complete"
        partial = stage.partial(out)
        found = partial.read_text() if partial.exists() else ""
        partial.write_text(text)
        if interrupt:
            raise KeyboardInterrupt
        with write_atomically(out) as file:
            file.write(text)
        return found


def interrupt(folder, inputs, text="half"):
    with pytest.raises(KeyboardInterrupt):
        run(folder, inputs, text=text, interrupt=True)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


FINISHED = [".demo.done.json", ".demo.lock", "out.txt"]


def test_complete_stage_is_skipped_and_says_so(tmp_path, capsys):
    run(tmp_path, {"lr": 1})
    assert run(tmp_path, {"lr": 1}) == "complete"
    assert "demo: already complete for these inputs, skipped" in capsys.readouterr().out


def test_interrupted_stage_finds_its_half_done_work(tmp_path, capsys):
    interrupt(tmp_path, {"lr": 1})
    assert run(tmp_path, {"lr": 1}) == "half"
    assert "resuming" in capsys.readouterr().err
    assert names(tmp_path) == FINISHED


def test_changed_input_starts_over_and_is_named(tmp_path, capsys):
    run(tmp_path, {"lr": 1, "seed": 1})
    assert run(tmp_path, {"lr": 2, "seed": 1}) == ""
    assert "demo: starting over: lr 1 -> 2" in capsys.readouterr().err


def test_half_done_work_of_other_inputs_is_neither_read_nor_lost(tmp_path):
    interrupt(tmp_path, {"lr": 1}, "dear")
    interrupt(tmp_path, {"lr": 2}, "other")
    assert run(tmp_path, {"lr": 1}) == "dear"
    assert names(tmp_path) == FINISHED


def test_half_done_work_of_an_earlier_auralign_is_found(tmp_path):
    (tmp_path / "out.partial.jsonl").write_text("dear")
    write_json(tmp_path / ".demo.started.json", {"lr": 1})
    assert run(tmp_path, {"lr": 1}) == "dear"
    assert names(tmp_path) == FINISHED


def test_leftovers_of_an_earlier_auralign_break_nothing(tmp_path):
    run(tmp_path, {"lr": 1}, text="dear")
    for name in (
        ".demo.done.json.before",
        "out.txt.before",
        "out.txt.kept-0123456789ab",
        "out.txt.unfinished-unknown",
    ):
        (tmp_path / name).write_text("{}")
    assert run(tmp_path, {"lr": 1}) == "complete"
    run(tmp_path, {"lr": 2})
    assert (tmp_path / "out.txt.kept-0123456789ab").exists()
    assert not list(tmp_path.glob("*.before"))


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


@pytest.mark.parametrize(
    "before, now, alike",
    [
        ({}, {"stride": 4}, True),  # its default
        ({"stride": 4, "bias": True}, {"bias": True}, True),
        ({}, {"stride": 5}, False),
        ({}, {"input_width": 4}, False),  # without a default
        ({}, {"unknown": None}, False),
    ],
)
def test_an_argument_at_its_default_is_the_same_input_as_none(before, now, alike):
    made = (describe(functools.partial(StackAndProject, **options)) for options in (before, now))
    assert same(*made) is alike


def test_value_that_cannot_be_described_is_refused():
    with pytest.raises(TypeError, match="cannot say what"):
        describe(object())


def test_absent_input_names_the_stage_that_makes_it(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"run stage 1 \(prepare\) first"):
        content(tmp_path / "train.jsonl", made_by="stage 1 (prepare)")


def test_another_methods_run_is_not_replaced(tmp_path):
    method = {"method": "sit", "version": "1"}
    run(tmp_path, {"method": method}, text="dear")
    with pytest.raises(
        ValueError, match="holds a run of the method 'sit', this is 'sift'; give it its own output_folder"
    ):
        run(tmp_path, {"method": {**method, "method": "sift"}})
    assert run(tmp_path, {"method": method}) == "complete"


def test_a_deliberately_changed_output_is_accepted(tmp_path):
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


def test_the_old_version_stays_until_the_new_one_is_whole(tmp_path, capsys):
    run(tmp_path, {"lr": 1}, text="dear")
    interrupt(tmp_path, {"lr": 2})
    assert "what was finished before is kept" in capsys.readouterr().err
    assert content(tmp_path / "out.txt", made_by="demo") == hash_path(tmp_path / "out.txt")
    assert (tmp_path / "out.txt").read_text() == "dear"
    assert run(tmp_path, {"lr": 1}) == "complete"
    assert run(tmp_path, {"lr": 2}) == "half"


def test_outputs_of_which_some_are_new_are_refused(tmp_path):
    outputs = [tmp_path / "a", tmp_path / "b"]
    for inputs, broken in (({"lr": 1}, False), ({"lr": 2}, True)):
        try:
            with Stage("demo", tmp_path, inputs=inputs, outputs=outputs):
                for output in outputs:
                    output.write_text(str(inputs))
                    if broken:
                        raise KeyboardInterrupt
        except KeyboardInterrupt:
            pass
    for output in outputs:
        with pytest.raises(
            FileNotFoundError, match=r"stage 2 \(generate\) is not finished in .*; run it first"
        ):
            content(output, made_by="stage 2 (generate)")
    with pytest.raises(FileNotFoundError, match="is not finished"):
        require(tmp_path, "demo", made_by="stage 2 (generate)")


def test_what_was_trained_on_is_not_replaced(tmp_path):
    run(tmp_path, {"lr": 1}, text="dear")
    protected = {hash_path(tmp_path / "out.txt")}
    with pytest.raises(
        ValueError,
        match=r"trained on .*out.txt, .*: lr 1 -> 2; .* another output_folder, or --restart",
    ):
        run(tmp_path, {"lr": 2}, protected=protected)
    assert run(tmp_path, {"lr": 1}, protected=protected) == "complete"
    assert run(tmp_path, {"lr": 2}, protected={"another"}) == ""


def make_two_files(folder, inputs):
    """A stage of two files, with half-done work."""
    outputs = [folder / "a", folder / "b"]
    with Stage("demo", folder, inputs=inputs, outputs=outputs) as stage:
        if not stage.complete:
            for output in outputs:
                with open(stage.partial(output), "a") as file:
                    file.write("work\n")
            for output in outputs:
                with write_atomically(output) as file:
                    file.write(f"{output.name} of {inputs}")


def killed_at(moment, folder, inputs):
    """Whether the stage, in a process that ends before that change of a name on the disk, came so far."""
    child = os.fork()
    if child == 0:
        die_at(moment, "replace", "unlink")
        try:
            make_two_files(folder, inputs)
            os._exit(0)
        finally:
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, KILLED)
    return code == KILLED


def consumed(folder):
    """What a later stage reads: of one run, or nothing."""
    try:
        for output in ("a", "b"):
            content(folder / output, made_by="demo")
    except FileNotFoundError:
        return None
    first, second = ((folder / output).read_text().partition(" of ")[2] for output in ("a", "b"))
    assert first == second
    return first


@pytest.mark.parametrize("again", [{"lr": 2}, {"lr": 1}], ids=["the same again", "back to the one before"])
def test_a_kill_at_any_moment_ends_in_the_same_files(tmp_path, capsys, again):
    for moment in itertools.count(1):
        folder = tmp_path / str(moment)
        make_two_files(folder, {"lr": 1})
        killed = killed_at(moment, folder, {"lr": 2})
        before = consumed(folder)
        assert before in ("{'lr': 1}", "{'lr': 2}", None)
        capsys.readouterr()
        make_two_files(folder, again)
        if before == str(again) == "{'lr': 1}":  # no output was replaced: nothing is done again
            assert "already complete" in capsys.readouterr().out
        assert consumed(folder) == str(again)
        assert read_json(folder / ".demo.done.json")["inputs"] == again
        assert {".demo.done.json", ".demo.lock", "a", "b"} == {
            name for name in names(folder) if "partial" not in name and not name.endswith(".tmp")
        }
        if not killed:
            break
    assert moment > 8  # the mark of the start, two outputs, the mark of the end, and what is removed


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


def test_a_finished_stage_records_when_how_long_and_on_what_it_ran(tmp_path):
    run(tmp_path, {"lr": 1})
    ((name, found),) = find_runs(tmp_path)
    assert (name, found["resumed"]) == ("demo", False)
    assert 0 <= found["seconds"] < 60
    assert abs((datetime.now(UTC) - datetime.fromisoformat(found["finished"])).total_seconds()) < 60
    assert {"commit", "hardware", "versions"} <= set(found)


def test_a_resumed_stage_says_that_its_seconds_are_not_all(tmp_path):
    interrupt(tmp_path, {"lr": 1})
    run(tmp_path, {"lr": 1})
    assert find_runs(tmp_path)[0][1]["resumed"] is True


def test_a_stage_that_an_earlier_auralign_finished_is_complete_and_has_no_record(tmp_path):
    run(tmp_path, {"lr": 1})
    mark = tmp_path / ".demo.done.json"
    write_json(mark, {name: value for name, value in read_json(mark).items() if name != "run"})
    assert run(tmp_path, {"lr": 1}) == "complete"
    assert find_runs(tmp_path) == [("demo", {})]


@pytest.mark.parametrize("mark", ["{}", "[]", '{"inputs": {}}', "null"])
@pytest.mark.parametrize("kind", ["done", "started"])
def test_a_mark_that_is_none_is_named_in_one_line(tmp_path, mark, kind):
    (tmp_path / "out.txt").write_text("made")
    (tmp_path / f".demo.{kind}.json").write_text(mark)
    stage = Stage("demo", tmp_path, inputs={}, outputs=[tmp_path / "out.txt"])
    if kind == "started" and mark.startswith("{"):  # an earlier auralign wrote the inputs alone
        with stage:
            return
    with (
        pytest.raises(ValueError, match=rf"\.demo\.{kind}\.json: is no mark of a .* stage; delete the file"),
        stage,
    ):
        pass


def test_what_a_killed_run_was_writing_is_removed(tmp_path):
    for name in ("out.txt", "out.lengths.npz", ".demo.started.json", ".demo.done.json"):
        (tmp_path / f"{name}.tmp").write_text("half")
    with Stage("demo", tmp_path, inputs={}, outputs=[tmp_path / "out.txt"]):
        (tmp_path / "out.txt").write_text("made")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".demo.done.json", ".demo.lock", "out.txt"]


def test_a_run_whose_lock_file_was_deleted_keeps_others_out(tmp_path, monkeypatch):
    with Stage("demo", tmp_path, inputs={}, outputs=[]):
        (tmp_path / ".demo.lock").unlink()
        with monkeypatch.context() as patch:
            patch.setattr("auralign.marks.os.getpid", lambda: 1)  # as if this were another process
            with pytest.raises(StageBusyError, match=r"another run \(process \d+\) is at work in"):
                Stage("demo", tmp_path, inputs={}, outputs=[]).__enter__()


def test_a_run_that_failed_keeps_nobody_out_while_its_process_lives(tmp_path, monkeypatch):
    interrupt(tmp_path, {"lr": 1})
    monkeypatch.setattr("auralign.marks.os.getpid", lambda: 1)
    assert run(tmp_path, {"lr": 1}) == "half"


@pytest.mark.parametrize(
    ("kind", "mark"),
    [
        ("done", '{"inputs": {}, "outputs": {"0": 1}}'),
        ("done", '{"inputs": {}, "outputs": {}, "names": ["a"]}'),
        ("done", '{"inputs": {}, "outputs": {}, "run": []}'),
        ("done", '{"inputs": {}, "outp'),
        ("started", '{"inputs": [], "outputs": []}'),
        ("started", '{"inputs": {}, "outputs": {"a": 1}}'),
        ("started", '{"inputs": {}, "outputs": [1]}'),
        ("started", "[]"),
        ("started", ""),
    ],
)
@pytest.mark.parametrize("reader", ["content", "require", "run", "find_runs"])
def test_a_broken_mark_is_named_with_its_repair_by_whoever_reads_it(tmp_path, kind, mark, reader):
    run(tmp_path, {"lr": 1})
    (tmp_path / f".demo.{kind}.json").write_text(mark)
    read = {
        "content": lambda: content(tmp_path / "out.txt", made_by="demo"),
        "require": lambda: require(tmp_path, "demo", made_by="demo"),
        "run": lambda: run(tmp_path, {"lr": 1}),
        "find_runs": lambda: find_runs(tmp_path),
    }[reader]
    if (reader == "find_runs" and kind == "started") or (reader == "require" and kind == "done"):
        read()  # it does not read that mark
        return
    with pytest.raises(
        ValueError, match=rf"\.demo\.{kind}\.json:?.*; delete the file and run the stage again"
    ):
        read()


def edit_code(folder, kind):
    """As if a module were edited since a mark was written."""
    mark = folder / f".demo.{kind}.json"
    write_json(mark, {**read_json(mark), "code": {"auralign.files": "0 0", "auralign.records": "0 0"}})


SAID = "demo: the code of auralign.files, auralign.records was edited since this was {}; what was made stands"


def test_a_finished_stage_says_which_code_was_edited_and_stands(tmp_path, capsys):
    run(tmp_path, {"lr": 1})
    assert run(tmp_path, {"lr": 1}) == "complete"
    assert capsys.readouterr().err == ""
    edit_code(tmp_path, "done")
    for _ in range(2):
        assert run(tmp_path, {"lr": 1}) == "complete"
        assert capsys.readouterr().err == SAID.format("finished") + ", and --restart makes it again\n"


def test_a_half_done_stage_resumes_though_code_was_edited(tmp_path, capsys):
    interrupt(tmp_path, {"lr": 1})
    edit_code(tmp_path, "started")
    assert run(tmp_path, {"lr": 1}) == "half"
    assert SAID.format("begun") in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["done", "started"])
def test_restart_makes_again_what_other_code_made(tmp_path, capsys, kind):
    run(tmp_path, {"lr": 1}) if kind == "done" else interrupt(tmp_path, {"lr": 1})
    edit_code(tmp_path, kind)
    assert run(tmp_path, {"lr": 1}, restart=True) == ""
    said = "demo: starting over: the code of auralign.files, auralign.records"
    assert said in capsys.readouterr().err
    assert run(tmp_path, {"lr": 1}, restart=True) == "complete"


def test_a_mark_of_an_earlier_auralign_without_code_is_silent(tmp_path, capsys):
    run(tmp_path, {"lr": 1})
    mark = tmp_path / ".demo.done.json"
    write_json(mark, {name: value for name, value in read_json(mark).items() if name != "code"})
    assert run(tmp_path, {"lr": 1}, restart=True) == "complete"
    assert capsys.readouterr().err == ""
