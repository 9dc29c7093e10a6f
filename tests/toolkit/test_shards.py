"""Stages 2 and 4 dealt to shards: the same files and marks as of one process, whatever was killed."""

import contextlib
import json
import os
import runpy
import shutil
import signal
import sys

import pytest

from auralign.shards import Shard, deal
from processes import PROCESSES
from ranks import SECONDS
from recipe import contents, make_recipe, run_script

YAML = "hparams/distillation.yaml"
TOP_K = "    name: distillation\n    top_k: 4\n"


@pytest.fixture(scope="module")
def whole(tmp_path_factory, make_llm, whisper_folder):
    """A recipe that keeps a teacher, with two questions about an utterance, through stages 2 to 4 without shards."""
    folder = make_recipe(
        tmp_path_factory.mktemp("whole") / "r",
        llm=make_llm("llama"),
        encoder=whisper_folder,
        method="distillation",
    )
    yaml = folder / YAML
    yaml.write_text(yaml.read_text().replace("    name: distillation\n", TOP_K))
    questions = folder / "data" / "test.questions.jsonl"
    text = questions.read_text()
    last = text.splitlines()[1].replace('"q0"', '"q9"')
    questions.write_text(f"{text}{last}\n")
    for name in ("generate.py", "train.py", "decode.py"):
        run_script(folder, name, YAML, "--num_steps", "2")
    return folder


@pytest.fixture
def copy(whole, tmp_path):
    """The recipe before stage 2, or with `after` all that came before stage 4."""

    def made(after="prepare"):
        folder = shutil.copytree(whole, tmp_path / "r")
        if after == "prepare":
            shutil.rmtree(folder / "exp")
        else:
            shutil.rmtree(folder / "exp" / "text")
            shutil.rmtree(folder / "exp" / "distillation" / "hypotheses")
        return folder

    return made


def marks(folder):
    """What the marks of finished stages say of inputs and outputs."""
    found = {path.relative_to(folder): json.loads(path.read_text()) for path in folder.rglob(".*.done.json")}
    return {path: {key: mark[key] for key in ("inputs", "outputs", "names")} for path, mark in found.items()}


def is_as(folder, whole, *places):
    for place in places:
        assert contents(folder / place) == contents(whole / place)
        assert marks(folder / place) == marks(whole / place)
        assert not list((folder / place).rglob("*.shards"))


TARGETS = "exp/distillation/targets"
HYPOTHESES = ("exp/text", "exp/distillation/hypotheses")


def test_the_targets_of_shards_are_those_of_one_process(whole, copy):
    folder = copy()
    for number in (3, 1, 4, 2):  # one has none of the three utterances of the validation
        said = run_script(folder, "generate.py", YAML, "--shard", f"{number}/4").stdout
    assert "generate train: 4 shards: 12 targets" in said
    is_as(folder, whole, TARGETS)


def _run(folder, argv, killed_at):
    """Run a script; `killed_at=(function of os, nth call)` ends it there as kill -9 would."""
    os.chdir(folder)
    sys.argv = argv
    calls = 0
    if killed_at:
        name, nth = killed_at
        real = getattr(os, name)

        def count(*arguments, **options):
            nonlocal calls
            calls += 1
            if calls == nth:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **options)

        setattr(os, name, count)
    with contextlib.redirect_stdout(open(os.devnull, "w")), contextlib.redirect_stderr(sys.stdout):
        runpy.run_path(argv[0], run_name="__main__")


def run_shards(folder, script, *arguments, killed_at=(None, None)):
    """Run both halves of a stage at once, each killed at its moment; returns their exit codes."""
    processes = [
        PROCESSES.Process(
            target=_run, args=(folder, [script, YAML, *arguments, "--shard", f"{number}/2"], moment)
        )
        for number, moment in enumerate(killed_at, start=1)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(SECONDS)
    return [process.exitcode for process in processes]


def test_shards_at_once_of_which_one_is_killed_make_the_same_targets(whole, copy):
    folder = copy()
    # while it scores its targets for the teacher, and while the parts are joined
    assert run_shards(folder, "generate.py", killed_at=(("fsync", 15), None)) == [-9, 0]
    assert run_shards(folder, "generate.py", killed_at=(("replace", 14), None)) == [-9, 0]
    for _ in range(2):
        assert run_shards(folder, "generate.py") == [0, 0]
        is_as(folder, whole, TARGETS)


def test_shards_at_once_of_which_one_is_killed_make_the_same_answers(whole, copy):
    folder = copy(after="train")
    assert run_shards(folder, "decode.py", "--num_steps", "2", killed_at=(None, ("fsync", 12))) == [0, -9]
    assert run_shards(folder, "decode.py", "--num_steps", "2") == [0, 0]
    is_as(folder, whole, *HYPOTHESES)


def test_a_missing_shard_is_named_and_then_joined_without_an_option(whole, copy):
    folder = copy()
    run_script(folder, "generate.py", YAML, "--shard", "1/3")
    found = run_script(folder, "generate.py", YAML, check=False)
    assert found.returncode == 2
    assert (
        "generate train: not finished: shards 2/3, 3/3; run the same command with --shard 2/3" in found.stderr
    )
    other = run_script(folder, "generate.py", YAML, "--shard", "2/4", check=False)
    assert other.returncode == 2 and "into 3 shards, not 4" in other.stderr
    changed = run_script(folder, "generate.py", YAML, "--max_new_tokens", "7", "--shard", "2/3", check=False)
    assert changed.returncode == 2 and "max_new_tokens" in changed.stderr
    for shard in ("2/3", "3/3"):
        run_script(folder, "generate.py", YAML, "--shard", shard)
    is_as(folder, whole, TARGETS)
    again = run_script(folder, "generate.py", YAML, "--shard", "2/3").stdout
    assert "generate train: already complete" in again
    is_as(folder, whole, TARGETS)


def test_too_many_rejected_answers_are_found_when_the_parts_are_joined(copy):
    folder = copy()
    options = ("--keep_cut_off", "false", "--max_rejected", "0.5")
    run_script(folder, "generate.py", YAML, *options, "--shard", "1/2", check=False)
    found = run_script(folder, "generate.py", YAML, *options, "--shard", "2/2", check=False)
    assert found.returncode == 2 and "rejected" in found.stderr


@pytest.mark.parametrize("text", ["0/3", "4/3", "a/b", "1", "", "1/0", "-1/3", "1/2/3", "1.5/3", "¹/3"])
def test_what_is_no_shard_is_refused(text):
    with pytest.raises(ValueError, match="give i/n"):
        Shard.parse(text)


def test_a_shard_is_taken_from_the_arguments_once():
    assert Shard.of_arguments(["a.yaml", "--shard=2/3", "--lr", "1"]) == (
        Shard(2, 3),
        ["a.yaml", "--lr", "1"],
    )
    assert Shard.of_arguments(["a.yaml"]) == (None, ["a.yaml"])
    with pytest.raises(ValueError, match="give i/n"):
        Shard.of_arguments(["a.yaml", "--shard"])
    with pytest.raises(ValueError, match="given twice"):
        Shard.of_arguments(["--shard", "1/2", "--shard", "2/2"])


@pytest.mark.parametrize("num_items", [0, 1, 5, 64])
def test_ranges_are_contiguous_and_hold_everything(num_items):
    cut = [Shard(number, 7).cut(num_items, block=3) for number in range(1, 8)]
    assert [item for one in cut for item in one] == list(range(num_items))
    assert all(one.start % 3 == 0 for one in cut if one)


def test_questions_about_a_row_share_a_shard_and_shards_are_even():
    numbers = deal([5, 1, 1, 3, 5, 9, 3, 1], 3)
    assert numbers == [3, 1, 1, 2, 3, 3, 2, 1]
    assert deal([], 3) == []
