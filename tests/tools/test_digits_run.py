"""egs/digits/run.sh: which commands it runs for which options, with a Python that prints them."""

import os
import re
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
KNOWN = sorted(path.stem for path in (ROOT / "egs/digits/hparams").glob("*.yaml"))
SHOW = '#!/bin/sh\necho "$@"\n'


@pytest.fixture
def digits(checkout):
    """The checkout with the example's shell and YAML, as if installed."""
    folder = checkout.root / "egs" / "digits"
    shutil.copytree(ROOT / "egs/digits/hparams", folder / "hparams")
    for name in ("run.sh", "path.sh"):
        shutil.copy(ROOT / "egs/digits" / name, folder)
    checkout.program("tools/install.sh", '#!/bin/sh\n[ "$*" = egs ]\n')
    checkout.program(".venv/bin/python", SHOW)
    return checkout


def commands(done):
    """The commands run, without the headings."""
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return [line for line in done.stdout.splitlines() if not line.startswith("== ")]


def run(digits, *arguments, **options):
    return digits.run("egs/digits/run.sh", *arguments, **options)


def test_the_default_is_all_stages_of_all_methods(digits):
    yamls = [f"hparams/{name}.yaml" for name in ("transcription", "sit", "sift")]
    stages = [
        f"{stage}.py {yaml} --speech synthetic" for stage in ("generate", "train", "decode") for yaml in yamls
    ]
    assert commands(run(digits)) == [
        "local/make_corpus.py --speech synthetic --output corpus/synthetic",
        "prepare.py --corpus corpus/synthetic --output data/synthetic",
        *stages,
        f"score.py {' '.join(yamls)} --speech synthetic",
    ]


def test_what_follows_two_dashes_goes_to_the_python_of_stages_2_to_5(digits):
    done = run(digits, "--experiment", "sit", "--", "--lr", "3e-4")
    assert [line.endswith("--speech synthetic --lr 3e-4") for line in commands(done)] == [
        False,
        False,
        True,
        True,
        True,
        True,
    ]


def test_one_stage_of_some_methods(digits):
    done = run(digits, "--stage", "3", "--stop-stage", "train", "--method", "sit,sift")
    assert commands(done) == [f"train.py hparams/{name}.yaml --speech synthetic" for name in ("sit", "sift")]


def test_a_method_that_fails_beside_others_shows_its_log_and_ends_the_run(digits):
    digits.program(
        ".venv/bin/python",
        '#!/bin/sh\necho "$2"; [ "$2" != hparams/sit.yaml ] || { echo bad >&2; exit 7; }\n',
    )
    done = run(digits, "--stage", "3")
    assert done.returncode == 7
    assert done.stdout.splitlines()[1:] == ["hparams/transcription.yaml"]
    assert done.stderr.splitlines() == ["hparams/sit.yaml", "bad"]


@pytest.mark.parametrize(("end", "code"), [("exit 7", 7), ("kill -INT 0; wait", 130)])
def test_no_method_goes_on_when_the_first_fails_or_is_interrupted(digits, tmp_path, end, code):
    digits.program(
        ".venv/bin/python",
        f"""#!/usr/bin/env bash
if [ "$2" = hparams/sit.yaml ]; then echo $$ >{tmp_path}/pid && exec sleep 60; fi
trap 'exit 130' INT
until [ -s {tmp_path}/pid ]; do sleep 0.1; done
{end}
""",
    )
    assert run(digits, "--stage", "3", "--method", "transcription,sit").returncode == code
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_recordings_are_taken_relative_to_where_the_user_is(digits, tmp_path):
    (tmp_path / "my fsdd").mkdir()
    done = run(
        digits,
        "--speech",
        "recorded",
        "--corpus",
        "my fsdd",
        "--method",
        "sit",
        "--stop-stage",
        "2",
        cwd=tmp_path,
    )
    assert commands(done) == [
        f"local/make_corpus.py --speech recorded --output corpus/recorded --corpus {tmp_path}/my fsdd",
        "local/rebuild_models.py --speech recorded --corpus corpus/recorded --output exp/recorded/models",
        "prepare.py --corpus corpus/recorded --output data/recorded",
        "generate.py hparams/sit.yaml --speech recorded --encoder_folder exp/recorded/models/encoder",
    ]


def test_later_stages_of_recordings_need_no_corpus(digits):
    done = run(digits, "--speech", "recorded", "--stage", "5", "--method", "sit")
    assert commands(done) == [
        "score.py hparams/sit.yaml --speech recorded --encoder_folder exp/recorded/models/encoder"
    ]


def test_models_are_rebuilt_after_the_corpus(digits):
    assert commands(run(digits, "--rebuild-models", "--stop-stage", "0")) == [
        "local/make_corpus.py --speech synthetic --output corpus/synthetic",
        "local/rebuild_models.py --speech synthetic --corpus corpus/synthetic --output models",
    ]


def test_the_encoder_of_recordings_is_rebuilt_by_force(digits, tmp_path):
    done = run(
        digits,
        "--speech",
        "recorded",
        "--corpus",
        str(tmp_path),
        "--rebuild-models",
        "--stop-stage",
        "corpus",
    )
    assert commands(done)[-1].endswith("--output exp/recorded/models --force")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--stge", "3"], "unknown option --stge; did you mean --stage?"),
        (
            ["--method", "sfit"],
            f"no hparams/sfit.yaml; there are: {' '.join(KNOWN)}",
        ),
        (["--experiment", ","], "--experiment names no file in hparams/"),
        (["--speech", "tts"], "--speech is synthetic or recorded, not 'tts'"),
        (["--speech", "recorded"], "--speech recorded needs --corpus DIR; no folder at ''"),
        (
            ["--speech", "recorded", "--corpus", "/gone"],
            "--speech recorded needs --corpus DIR; no folder at '/gone'",
        ),
        (["--corpus", "/"], "--corpus is for --speech recorded"),
        (["--rebuild-models", "--stage", "1"], "--rebuild-models belongs to stage 0; leave out --stage"),
    ],
)
def test_a_mistake_ends_with_2_before_anything_runs(digits, arguments, message):
    done = run(digits, *arguments)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"run.sh: {message}\n")


def test_help_is_the_header(digits):
    done = run(digits, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith("Give a tiny LLM ears") and "--speech recorded --corpus DIR" in done.stdout


def test_a_failed_stage_ends_the_run_with_its_code(digits):
    digits.program(".venv/bin/python", '#!/bin/sh\necho "$1"; [ "$1" != prepare.py ] || exit 7\n')
    done = run(digits)
    assert done.returncode == 7
    assert done.stdout.splitlines()[-1] == "prepare.py"


def test_ctrl_c_ends_with_130_and_no_noise(digits):
    digits.program(".venv/bin/python", "#!/usr/bin/env bash\ntrap 'exit 130' INT\nkill -INT 0\nwait\n")
    done = run(digits)
    assert (done.returncode, done.stderr) == (130, "")
    assert "prepare" not in done.stdout


def test_the_last_line_is_the_time_taken(digits):
    assert re.fullmatch(r"== done in 0 min \d+ s", run(digits).stdout.splitlines()[-1])


def test_stages_run_in_the_example_with_its_python_and_quiet_libraries(digits, tmp_path):
    digits.program(
        ".venv/bin/python",
        "#!/bin/sh\necho $PWD $(command -v python) $TOKENIZERS_PARALLELISM ${HF_HUB_OFFLINE-unset}\n",
    )
    done = run(digits, "--stage", "1", "--stop-stage", "1", cwd=tmp_path)
    assert commands(done) == [f"{digits.root}/egs/digits {digits.root}/.venv/bin/python false unset"]


def test_the_seconds_of_each_stage_are_printed(digits):
    lines = run(digits).stdout.splitlines()[-7:-1]
    names = ["corpus", "prepare", "generate", "train", "decode", "score"]
    for number, (name, line) in enumerate(zip(names, lines, strict=True)):
        assert re.fullmatch(rf"== stage {number}: {name} took \d+ s", line)
