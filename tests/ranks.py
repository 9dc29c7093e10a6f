"""Runs a recipe's train.py in several processes that meet as those of torchrun do, without its seconds for each start."""

import os
import runpy
import signal
import sys
from dataclasses import dataclass

from torch.distributed import TCPStore

from processes import PROCESSES

SECONDS = 120  # a hang fails the test


@dataclass(frozen=True)
class Fault:
    """What goes wrong on one rank, from one optimiser step on (counted from 0)."""

    kind: str
    rank: int
    step: int


def train(folder, num_ranks, *arguments, fault=None):
    """Run `train.py hparams/sift.yaml ARGUMENTS`; one rank is a run without torchrun. Returns (exit codes, what was written to
    stdout and stderr by each rank)."""
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)  # torchrun keeps it too
    outputs = [folder / f"rank{rank}.txt" for rank in range(num_ranks)]
    argv = ["train.py", "hparams/sift.yaml", *arguments]
    processes = [
        PROCESSES.Process(target=_run, args=(rank, num_ranks, store.port, folder, outputs[rank], argv, fault))
        for rank in range(num_ranks)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(SECONDS)
        process.kill()
        process.join()
    return [process.exitcode for process in processes], [output.read_text() for output in outputs]


def _run(rank, num_ranks, port, folder, output, argv, fault):
    with open(output, "wb") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    if num_ranks > 1:
        numbers = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": num_ranks, "MASTER_PORT": port}
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "TORCHELASTIC_USE_AGENT_STORE": "True"}
        os.environ |= {name: str(value) for name, value in numbers.items()}
    if fault is not None and fault.rank == rank:
        _plant(fault)
    os.chdir(folder)
    sys.argv = argv
    runpy.run_path("train.py", run_name="__main__")


def _plant(fault):
    from auralign.train.brain import AlignmentBrain

    real = AlignmentBrain.terms

    def terms(self, pack):
        found = real(self, pack)
        if fault.kind == "error" and self.optimizer_step >= fault.step:
            raise ValueError("this rank is broken")
        if fault.kind in ("SIGTERM", "SIGKILL") and self.optimizer_step == fault.step:
            os.kill(os.getpid(), signal.Signals[fault.kind])
        if fault.kind == "nan" and self.optimizer_step == fault.step:
            return {name: type(term)(term.sum * float("nan"), term.count) for name, term in found.items()}
        return found

    AlignmentBrain.terms = terms
