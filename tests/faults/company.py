"""Several processes at once: ranks of one training of which some are killed, and two starts of one stage."""

import json
import os
import signal
import socket
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from random import Random

from faults.trying import LOST, SILENT, SURVIVED, Planned, Try, ended, forked, send, started
from faults.workplace import Workplace, different

NUM_RANKS = 2
NUM_EVENTS = 12  # of rank 0, at which it is killed
STEPS_OF_TRAINING = range(0, 10, 2)
PATIENCE = 60.0  # seconds in which the others must have ended
DELAYS = (0.0, 0.02, 0.1, 0.3, 0.6)  # seconds between two starts


def ranks(workplace: Workplace, random: Random) -> list[Planned]:
    """Of two ranks that train, one or both are killed or stopped: the other ends in a line; again, the bytes are the same."""
    count = workplace.prepare()["train"]
    planned = [
        partial(_lose_ranks, workplace, number, lost, step)
        for number in (signal.SIGKILL, signal.SIGTERM)
        for lost in ((0,), (1,), (0, 1))
        for step in STEPS_OF_TRAINING
    ]
    return planned + [
        partial(_lose_first, workplace, at) for at in sorted(random.sample(range(1, count + 1), NUM_EVENTS))
    ]


def _lose_ranks(workplace: Workplace, number: signal.Signals, lost: tuple[int, ...], step: int) -> Try:
    name = f"{number.name} to rank {' and '.join(map(str, lost))} in step {step}"
    return _train_twice(workplace, name, lost, first=partial(_send_in_step, number, step))


def _lose_first(workplace: Workplace, at: int) -> Try:
    return _train_twice(
        workplace, f"SIGKILL to rank 0 at file event {at}", (0,), acts={at: send(signal.SIGKILL)}
    )


def _train_twice(workplace: Workplace, name: str, lost: tuple[int, ...], **disturbance) -> Try:
    from recipe import contents

    expected = _undisturbed(workplace)
    workplace.reset("train")
    codes, printed = _train(workplace, dict.fromkeys(lost, disturbance))
    others = [rank for rank in range(NUM_RANKS) if rank not in lost]
    if any(codes[rank] == -signal.SIGKILL for rank in others):
        return Try(name, LOST, f"the other rank still ran after {PATIENCE:.0f} s")
    if "Traceback" in printed:
        return Try(name, LOST, printed.strip()[-300:])
    again, printed = _train(workplace, {})
    if any(again):
        return Try(
            name, LOST, f"the ranks ended with {codes}; run again, with {again}: {printed.strip()[-300:]}"
        )
    found = different(contents(workplace.here), expected)
    return Try(name, SILENT, f"run again, it differs in {', '.join(found)}") if found else Try(name, SURVIVED)


@cache
def _undisturbed(workplace: Workplace) -> dict[str, bytes]:
    from recipe import contents

    workplace.reset("train")
    codes, printed = _train(workplace, {})
    if any(codes):
        raise RuntimeError(f"the ranks ended with {codes}:\n{printed}")
    return contents(workplace.here)


def _train(workplace: Workplace, disturbances: dict[int, dict]) -> tuple[list[int], str]:
    """Train on all ranks, some of them disturbed; returns their exit codes and what they printed."""
    results = workplace.root / "ranks.json"
    results.unlink(missing_ok=True)
    # Of one process, as the store of torchrun has threads, and whoever has threads forks no more.
    code = forked(partial(_launch, workplace, disturbances, results), workplace.root / "launch.log")
    if code:
        raise RuntimeError((workplace.root / "launch.log").read_text(encoding="utf-8"))
    printed = "".join(_log(workplace, rank).read_text(errors="replace") for rank in range(NUM_RANKS))
    return json.loads(results.read_text(encoding="utf-8")), printed


def _log(workplace: Workplace, rank: int) -> Path:
    return workplace.root / f"rank{rank}.log"


def _launch(workplace: Workplace, disturbances: dict[int, dict], results: Path) -> None:
    """What torchrun does: start the ranks, keep their store, and end all if one has failed."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    children = {}
    for rank in range(NUM_RANKS):
        log, disturbance = _log(workplace, rank), disturbances.get(rank, {})
        first = partial(_join, rank, port, disturbance.get("first"))
        work = workplace.work("train", log=log, acts=disturbance.get("acts"), first=first)
        children[started(work, log)] = rank
    from torch.distributed import TCPStore

    try:
        store = TCPStore("127.0.0.1", port, is_master=True, wait_for_workers=False)
    except BaseException:  # such as a port that somebody else has taken
        _tell(children, signal.SIGKILL)
        raise
    codes, began, is_told = {}, time.monotonic(), False
    while len(codes) < NUM_RANKS:
        child, status = os.waitpid(-1, os.WNOHANG)
        if child:
            codes[children.pop(child)] = os.waitstatus_to_exitcode(status)
        elif any(codes.values()) and not is_told:
            time.sleep(0.1)  # torchrun looks ten times a second
            _tell(children, signal.SIGTERM)
            is_told, began = True, time.monotonic()
        elif time.monotonic() - began > PATIENCE:
            _tell(children, signal.SIGKILL)
        else:
            time.sleep(0.005)
    del store
    results.write_text(json.dumps([codes[rank] for rank in range(NUM_RANKS)]), encoding="utf-8")


def _tell(children: dict[int, int], number: signal.Signals) -> None:
    for child in children:
        os.kill(child, number)


def _join(rank: int, port: int, then: Callable[[], None] | None) -> None:
    numbers = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": NUM_RANKS, "MASTER_PORT": port}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "TORCHELASTIC_USE_AGENT_STORE": "True"}
    os.environ |= {name: str(value) for name, value in numbers.items()}
    if then is not None:
        then()


def _send_in_step(number: signal.Signals, step: int) -> None:
    from auralign.train.brain import AlignmentBrain

    real = AlignmentBrain.fit_batch

    def fit_batch(self, packs):
        if self.optimizer_step == step:
            os.kill(os.getpid(), number)
        return real(self, packs)

    AlignmentBrain.fit_batch = fit_batch


def contested(workplace: Workplace, random: Random) -> list[Planned]:
    """A stage is started twice at once, or a moment later: one does the work, the other says so in a line or finds it done."""
    workplace.prepare()
    return [partial(_contest, workplace, stage, delay) for stage in workplace.stages for delay in DELAYS]


def _contest(workplace: Workplace, stage: str, delay: float) -> Try:
    name = f"{stage}, started again after {delay:g} s"
    workplace.reset(stage)
    logs = [workplace.root / f"start{number}.log" for number in range(2)]
    children = []
    for log in logs:
        children.append(started(workplace.work(stage, log=log), log))
        time.sleep(delay if log is logs[0] else 0)
    codes = [ended(child) for child in children]
    printed = [log.read_text(encoding="utf-8", errors="replace") for log in logs]
    found = workplace.differences(stage)
    if "Traceback" in "".join(printed) or 0 not in codes:
        return Try(name, LOST, f"they ended with {codes}: {' '.join(printed).strip()[-300:]}")
    if found:
        return Try(name, SILENT, f"they ended with {codes}, and left other bytes in {', '.join(found)}")
    for code, text in zip(codes, printed, strict=True):
        lines = [line for line in text.splitlines() if "error: " in line]
        if code and len(lines) != 1:
            return Try(name, LOST, f"ended with {code} and {len(lines)} lines: {text.strip()[-300:]}")
    return Try(name, SURVIVED)
