"""tools/parse_options.sh, by a script that prints what its options became."""

import pytest

SCRIPT = """#!/usr/bin/env bash
# Say what the options are.
#
#   demo.sh --stage 3
set -euo pipefail

stage=corpus         # first stage to run
stop_stage=score     # last
method=              # one of #1 and #2; empty: all
rebuild_models=false # train the models again
. "$(dirname "$0")/tools/parse_options.sh"
after=1
if run_stage 2 generate "targets"; then :; fi
if run_stage 3 train "connectors"; then :; fi
echo "$stage|$stop_stage|$method|$rebuild_models|$after|$*"
"""


@pytest.fixture
def demo(checkout):
    checkout.program("./demo.sh", SCRIPT)
    return lambda *arguments: checkout.run("demo.sh", *arguments)


def last_line(done):
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def refusal(done):
    """The one line of an exit with 2, before which nothing was done."""
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    (line,) = done.stderr.splitlines()
    return line.removeprefix("demo.sh: ")


def test_without_arguments_the_variables_stay(demo):
    assert last_line(demo()) == "0|5||false|1|"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--stage", "3"], "3|5||false|1|"),
        (["--stage=3"], "3|5||false|1|"),
        (["--stage", "train"], "3|5||false|1|"),
        (["--stop-stage", "3"], "0|3||false|1|"),
        (["--stop_stage=decode"], "0|4||false|1|"),
        (["--method", "a b,c=d,e"], "0|5|a b,c=d,e|false|1|"),
        (["--method=a=b"], "0|5|a=b|false|1|"),
        (["--method", "$(touch hacked); `id`"], "0|5|$(touch hacked); `id`|false|1|"),
        (["--method="], "0|5||false|1|"),
        (["--method", "a", "--method", "b"], "0|5|b|false|1|"),
        (["--rebuild-models"], "0|5||true|1|"),
        (["--rebuild-models", "--stage", "1"], "1|5||true|1|"),
        (["--rebuild-models", "true", "--stage", "1"], "1|5||true|1|"),
        (["--rebuild-models=false"], "0|5||false|1|"),
        (["--stage", "1", "--", "--lr", "3e-4", "--stage"], "1|5||false|1|--lr 3e-4 --stage"),
        (["--"], "0|5||false|1|"),
    ],
)
def test_options_set_the_variables_and_the_rest_is_left(demo, arguments, line):
    assert last_line(demo(*arguments)) == line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--stge", "3"], "unknown option --stge; did you mean --stage?"),
        (["--stgae=3"], "unknown option --stgae; did you mean --stage?"),
        (["--stop-stag", "3"], "unknown option --stop-stag; did you mean --stop-stage?"),
        (["--lr", "3e-4"], "unknown option --lr; known: --stage --stop-stage --method --rebuild-models "
                           "(what is for Python follows --)"),
        (["--after", "2"], "unknown option --after; known: --stage --stop-stage --method --rebuild-models "
                           "(what is for Python follows --)"),
        (["--stage"], "option --stage needs a value"),
        (["--method", "--stage", "3"], "option --method needs a value"),
        (["--rebuild-models=maybe"], "option --rebuild-models takes true or false, not 'maybe'"),
        (["train"], "unexpected argument 'train'; options begin with --, and what is for Python follows --"),
        (["--rebuild-models", "yes"], "unexpected argument 'yes'; options begin with --, and what is for Python follows --"),
        (["--stage", "tarin"], "unknown stage 'tarin'; stages: 0 corpus, 1 prepare, 2 generate, 3 train, 4 decode, 5 score"),
        (["--stop-stage", "6"], "unknown stage '6'; stages: 0 corpus, 1 prepare, 2 generate, 3 train, 4 decode, 5 score"),
        (["--stage", "decode", "--stop-stage", "3"], "--stage 4 comes after --stop-stage 3: nothing to run"),
    ],
)  # fmt: skip
def test_a_mistake_ends_with_2_and_a_line_that_names_it(demo, arguments, message):
    assert refusal(demo(*arguments)) == message


EXPERIMENT = SCRIPT.replace("method", "experiment")


@pytest.mark.parametrize("option", ["--experiment", "--method"])
@pytest.mark.parametrize("last", [False, True])
def test_method_is_another_name_of_the_option_experiment(checkout, option, last):
    script = EXPERIMENT.replace("rebuild_models=false # train the models again\n", "rebuild_models=none\n")
    if last:  # of the options: --experiment itself
        script = script.replace("rebuild_models=none\n", "").replace(
            "set -euo pipefail", "rebuild_models=none"
        )
    checkout.program("./demo.sh", script)
    assert last_line(checkout.run("demo.sh", option, "sift")) == "0|5|sift|none|1|"
    assert last_line(checkout.run("demo.sh", f"{option}=sift")) == "0|5|sift|none|1|"


def test_one_of_both_names_is_given(checkout):
    checkout.program("./demo.sh", EXPERIMENT)
    done = checkout.run("demo.sh", "--method", "sift", "--experiment", "sit")
    assert refusal(done) == "give --experiment or its older name --method, not both"
    assert "--method" not in checkout.run("demo.sh", "--help").stdout


@pytest.mark.parametrize("name", ["--path", "--home", "--BASH", "--after", "--x[$(touch hacked)]"])
def test_only_the_variables_above_the_source_line_are_options(demo, checkout, name):
    assert refusal(demo(name, "1")).startswith(f"unknown option {name}")
    assert not (checkout.root / "hacked").exists()


HELP = """Say what the options are.

  demo.sh --stage 3

Options:
  --stage           first stage to run (default: corpus)
  --stop-stage      last (default: score)
  --method          one of #1 and #2; empty: all
  --rebuild-models  train the models again (default: false)
"""


def test_help_prints_the_header_and_every_option(demo):
    done = demo("--help")
    assert (done.returncode, done.stdout, done.stderr) == (0, HELP, "")


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        ([], ["== stage 2: generate, targets", "== stage 3: train, connectors"]),
        (["--stage", "train"], ["== stage 3: train, connectors"]),
        (["--stop-stage", "2"], ["== stage 2: generate, targets"]),
        (["--stage", "4"], []),
    ],
)
def test_run_stage_runs_the_stages_asked_for(demo, arguments, shown):
    assert demo(*arguments).stdout.splitlines()[:-1] == shown
