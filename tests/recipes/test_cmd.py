"""What `launch` of cmd.sh runs, seen by programs that only say how they were called."""

import subprocess
from pathlib import Path

import pytest

COMMANDS = Path(__file__).parent.parent.parent / "recipes" / "LibriSpeech" / "cmd.sh"


@pytest.fixture
def launch(tmp_path):
    """Runs lines of bash below `. cmd.sh`; gives (exit code, stdout, stderr)."""
    for name in ("python", "torchrun", "srun"):
        program = tmp_path / name
        program.write_text(f'#!/bin/bash\nprintf "<%s>" {name} "$@"\nexit "${{FAILS:-0}}"\n')
        program.chmod(0o755)

    def run(lines, **variables):
        found = subprocess.run(
            ["/bin/bash", "-c", f'set -euo pipefail\n. "{COMMANDS}"\n{lines}'],
            capture_output=True,
            text=True,
            env={"PATH": f"{tmp_path}:/usr/bin:/bin", **variables},
        )
        return found.returncode, found.stdout, found.stderr

    return run


def test_one_gpu_is_used_by_python(launch):
    called = launch('launch 1 decode.py hparams/sift.yaml --decode_stop_strings "a b"')
    assert called == (0, "<python><decode.py><hparams/sift.yaml><--decode_stop_strings><a b>", "")


def test_several_gpus_are_used_by_torchrun(launch):
    called = launch("launch 4 train.py hparams/sift.yaml", launcher="local")
    assert called == (0, "<torchrun><--standalone><--nproc-per-node><4><train.py><hparams/sift.yaml>", "")


def test_slurm_is_asked_for_a_node(launch):
    code, out, _ = launch("launch 1 generate.py hparams/sift.yaml", launcher="slurm")
    asked = "<--nodes><1><--ntasks><1><--cpus-per-task><8><--gpus><1><--mem><64G><--time><24:00:00>"
    assert (code, out) == (0, f"<srun><--job-name><generate>{asked}<python><generate.py><hparams/sift.yaml>")


def test_slurm_gives_cores_to_a_script_without_a_gpu(launch):
    """--cpus-per-gpu of no GPU would be none."""
    _, out, _ = launch("launch 0 prepare.py hparams/sift.yaml", launcher="slurm")
    assert "<--ntasks><1><--cpus-per-task><8><--mem>" in out and "gpu" not in out


def test_slurm_starts_torchrun_once_for_several_gpus(launch):
    code, out, _ = launch("launch 8 train.py hparams/sift.yaml", launcher="slurm")
    assert code == 0
    assert "<--ntasks><1><--cpus-per-task><64><--gpus><8>" in out
    assert out.endswith("<torchrun><--standalone><--nproc-per-node><8><train.py><hparams/sift.yaml>")


def test_slurm_is_told_the_partition_and_further_options(launch):
    lines = "slurm_partition=long\nslurm_options=(--account=speech '--comment=two words')\nlaunch 1 decode.py"
    _, out, _ = launch(lines, launcher="slurm")
    assert out.endswith("<--partition><long><--account=speech><--comment=two words><python><decode.py>")


@pytest.mark.parametrize("launcher", ["local", "slurm"])
def test_a_failure_of_the_script_ends_the_recipe(launch, launcher):
    code, out, _ = launch("launch 1 train.py\necho went on", launcher=launcher, FAILS="3")
    assert code == 3
    assert "went on" not in out


@pytest.mark.parametrize(
    ("gpus", "launcher", "says"),
    [
        ("two", "local", "launch: the number of GPUs is 'two'; give a number\n"),
        ("1", "pbs", "launch: no launcher 'pbs'; known: local, slurm\n"),
    ],
)
def test_what_cannot_be_launched_is_named(launch, gpus, launcher, says):
    assert launch(f"launch {gpus} train.py", launcher=launcher) == (2, "", says)
