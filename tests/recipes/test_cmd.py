"""What `launch` of cmd.sh runs, seen by programs that only say how they were called."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
COMMANDS, SHARDS = ROOT / "recipes" / "LibriSpeech" / "cmd.sh", ROOT / "tools" / "run_shards.sh"


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
    assert called == (
        0,
        "<python><-m><auralign.train.torchrun><--standalone><--nproc-per-node><4><train.py><hparams/sift.yaml>",
        "",
    )


def test_several_gpus_are_used_by_a_shard_each(launch):
    code, out, _ = launch("launch 2 decode.py hparams/sift.yaml --seed 2", CUDA_VISIBLE_DEVICES="3,5")
    calls = sorted(out.replace("<python>", "\n<python>").split())
    assert code == 0
    assert calls == [
        f"<python><decode.py><hparams/sift.yaml><--seed><2><--shard><{number}/2>" for number in (1, 2)
    ]


@pytest.mark.parametrize(
    ("visible", "seen"), [("3,5", ["1/3 3", "2/3 5", "3/3 3"]), ("", ["1/3 ", "2/3 ", "3/3 "])]
)
def test_each_shard_sees_one_gpu_if_there_are_any(tmp_path, visible, seen):
    program = 'printf "%s %s\\n" "${@: -1}" "${CUDA_VISIBLE_DEVICES-}"'
    found = subprocess.run(
        [SHARDS, "3", "1", "/bin/bash", "-c", program],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "CUDA_VISIBLE_DEVICES": visible},
    )
    assert sorted(found.stdout.splitlines()) == seen


NODES = {"SLURM_NNODES": "2", "SLURM_JOB_ID": "4711", "SLURM_JOB_NODELIST": "n[1-2]"}


def test_a_job_of_two_nodes_trains_by_a_rendezvous_at_the_first(launch, tmp_path):
    (tmp_path / "scontrol").write_text(
        '#!/bin/bash\n[ "$*" = "show hostnames n[1-2]" ] && printf "n1\\nn2\\n"\n'
    )
    (tmp_path / "scontrol").chmod(0o755)
    code, out, _ = launch("launch 8 train.py hparams/sift.yaml", **NODES)
    assert code == 0
    assert out.startswith(
        "<srun><--nodes><2><--ntasks><2><--ntasks-per-node><1><python><-m><auralign.train.torchrun><--nnodes><2>"
    )
    assert (
        "<--nproc-per-node><8><--rdzv-backend><c10d><--rdzv-id><4711><--rdzv-endpoint><n1:29400><train.py>"
        in out
    )
    assert launch("launch 0 score.py", **NODES)[1] == "<python><score.py>"


def test_a_job_of_two_nodes_deals_shards_to_both(launch):
    code, out, _ = launch("launch 8 generate.py hparams/sift.yaml", **NODES)
    assert code == 0
    assert out.endswith("run_shards.sh><8><2><python><generate.py><hparams/sift.yaml>")
    found = subprocess.run(
        [SHARDS, "2", "2", "/bin/echo"],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "SLURM_NODEID": "1"},
    )
    assert sorted(found.stdout.splitlines()) == ["--shard 3/4", "--shard 4/4"]


def test_a_job_of_an_array_makes_its_shard_and_is_queued_again(launch, stopped):
    array = {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "16", "SLURM_JOB_ID": "4713"}
    assert launch("launch 1 generate.py a.yaml", **array)[1] == "<python><generate.py><a.yaml><--shard><3/16>"
    some = launch("num_shards=20\nlaunch 1 decode.py a.yaml", **array)[1]
    assert some == "<python><decode.py><a.yaml><--shard><3/20>"
    code, starts, said = stopped("local", ["75"], script="generate.py", **array)
    assert (code, starts) == (75, 1) and "scontrol requeue 4713" in said


@pytest.mark.parametrize(
    ("codes", "code"), [((0, 0, 0), 0), ((0, 3, 2), 3), ((75, 0, 2), 2), ((75, 0, 75), 75)]
)
def test_the_code_of_shards_is_that_of_the_first_failure(codes, code):
    program = f"codes=({' '.join(map(str, codes))}); n=${{@: -1}}; exit ${{codes[$((${{n%/*}} - 1))]}}"
    found = subprocess.run([SHARDS, "3", "1", "/bin/bash", "-c", program], env={"PATH": "/usr/bin:/bin"})
    assert found.returncode == code


def test_a_signal_reaches_every_shard(tmp_path):
    program = "trap 'echo saved; exit 75' TERM; echo ready; while :; do sleep 0.05; done"
    shards = subprocess.Popen(
        [SHARDS, "2", "1", "/bin/bash", "-c", program],
        stdout=subprocess.PIPE,
        text=True,
        env={"PATH": "/usr/bin:/bin"},
    )
    assert [shards.stdout.readline() for _ in range(2)] == ["ready\n"] * 2
    shards.send_signal(signal.SIGTERM)
    said, _ = shards.communicate(timeout=60)
    assert (shards.returncode, said) == (75, "saved\n" * 2)


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
    assert out.endswith(
        "<python><-m><auralign.train.torchrun><--standalone><--nproc-per-node><8><train.py><hparams/sift.yaml>"
    )


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


TRAINING = """#!/bin/bash
echo started >>"$0.log"
code=$(sed -n "$(wc -l <"$0.log")p" "$0.codes") # one for each start
[ "$code" != marked ] || { touch "$AURALIGN_STOPPED" && code=1; } # as torchrun, whose processes were stopped
exit "$code"
"""


@pytest.fixture
def stopped(tmp_path):
    """Runs `launch`; the program exits with each of the codes in turn. Gives (exit code, number of starts, stderr)."""

    def run(launcher, codes, gpus=1, script="train.py", **variables):
        for name in ("python", "torchrun", "srun"):
            (tmp_path / name).write_text(TRAINING)
            (tmp_path / name).chmod(0o755)
            (tmp_path / f"{name}.codes").write_text("\n".join(codes) + "\n")
        (tmp_path / "scontrol").write_text('#!/bin/bash\necho scontrol "$@" >&2\n')
        (tmp_path / "scontrol").chmod(0o755)
        found = subprocess.run(
            ["/bin/bash", "-c", f'set -euo pipefail\n. "{COMMANDS}"\nlaunch {gpus} {script}'],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={"PATH": f"{tmp_path}:/usr/bin:/bin", "launcher": launcher, **variables},
        )
        assert not list(tmp_path.glob(".stopped*"))
        starts = sum(len(log.read_text().splitlines()) for log in tmp_path.glob("*.log"))
        return found.returncode, starts, found.stderr

    return run


def test_what_slurm_stopped_is_started_again(stopped):
    code, starts, said = stopped("slurm", ["75", "marked", "0"])
    assert (code, starts) == (0, 3)
    assert said.count("Slurm stopped train.py; it is started again") == 2


def test_a_job_that_was_stopped_is_queued_again(stopped):
    code, starts, said = stopped("local", ["75"], SLURM_JOB_ID="4711")
    assert (code, starts) == (75, 1)
    assert "scontrol requeue 4711" in said


def test_a_training_that_was_stopped_on_this_machine_ends_the_recipe(stopped):
    assert stopped("local", ["75"])[:2] == (75, 1)


def test_torchrun_hides_no_code_of_a_training_that_was_stopped(stopped):
    assert stopped("local", ["marked"], gpus=2)[:2] == (75, 1)


@pytest.mark.parametrize("name", ["TERM", "USR1"])
def test_a_signal_to_run_sh_reaches_the_script_and_leaves_no_child(tmp_path, name):
    program = tmp_path / "python"
    program.write_text(
        f"#!{sys.executable}\n"
        "import os, signal, sys, time\n"
        f"signal.signal(signal.SIG{name}, lambda *_: (print('saved'), sys.exit(75)))\n"
        "print(os.getpid(), flush=True)\n"
        "time.sleep(60)\n"
    )
    program.chmod(0o755)
    script = f'set -euo pipefail\n. "{COMMANDS}"\nlaunch 1 train.py\necho went on'
    shell = subprocess.Popen(
        ["/bin/bash", "-c", script],
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
    )
    child = int(shell.stdout.readline())
    shell.send_signal(getattr(signal, f"SIG{name}"))
    said, _ = shell.communicate(timeout=20)
    assert (shell.returncode, said) == (75, "saved\n")
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
