"""A restart that is killed at any change of a name on the disk: what was finished is whole at every moment."""

from processes import run_python

# A training of two steps, whose process forks a child for each moment; the child dies there as by kill -9.
SCRIPT = """
import os, shutil, sys
from pathlib import Path
import torch
from auralign.files import write_json
from auralign.train.checkpoint import Checkpoints
from auralign.train.resume import TrainingStage
from auralign.versions import current_checkpoints, trainings
from processes import KILLED, die_at

def train(output, lr, restart=False):
    stage = TrainingStage(output, inputs={"lr": lr, "num_steps": 2}, outputs=["checkpoints", "log.json"], restart=restart)
    with stage:
        if stage.complete:
            return True
        checkpoints = Checkpoints(stage.folder / "checkpoints")
        last = checkpoints.last()
        for step in range(last.step if last else 0, 2):
            description = {"lr": lr, "num_steps": 2, "step": step + 1, "valid_loss": 1 / (step + 1)}
            checkpoints.save(torch.nn.Linear(1, 1), {}, description)
        write_json(stage.folder / "log.json", [lr])
    return False

def contents(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file() and path.name[0] != "."}

os.chdir(sys.argv[1])
whole = Path("whole")
torch.manual_seed(1)
train(whole, 0.1)
moment, code = 0, KILLED
while code == KILLED:
    moment += 1
    output = shutil.copytree(whole, Path(str(moment)))
    first = contents(output)
    child = os.fork()
    if child == 0:
        die_at(moment, "replace", "unlink", "rmdir", "mkdir")
        train(output, 0.2, restart=True)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, KILLED), code

    assert contents(output).items() >= first.items(), moment
    current = current_checkpoints(output)
    last = Checkpoints(current).last()  # what stage 4 reads is finished, whichever it is
    assert last.step == 2
    assert train(output, last.description["lr"]), moment

    train(output, 0.2, restart=True)
    assert trainings(output).current == output / "train_2"
    assert trainings(output).all() == [output / "train_2", output], moment
    assert Checkpoints(output / "train_2" / "checkpoints").last().description["lr"] == 0.2
    assert train(output, 0.2) and train(output, 0.1, restart=True)
    assert contents(output).items() >= first.items()
print(moment)
"""


def test_a_kill_at_any_moment_of_a_restart_costs_nothing(tmp_path):
    found = run_python(SCRIPT, tmp_path)
    assert found.returncode == 0, found.stderr
    assert (
        int(found.stdout.split()[-1]) > 15
    )  # marks, five files of each checkpoint, what they replace, the pointer
