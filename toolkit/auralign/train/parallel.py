"""The ranks of one training: the processes that `torchrun` starts, or the only one of a run without it.

    >>> rank(), num_ranks(), gathered("mine"), list(own("abc"))
    (0, 1, ['mine'], ['a', 'b', 'c'])

Each rank holds the whole model and backpropagates its own packs of an optimiser step, or none. As a loss is divided by the
units of the whole step, the gradient of the step is the sum over the ranks, however the packs are dealt: one all-reduce.
(`DistributedDataParallel` divides by the number of ranks, and hangs if one has nothing to backpropagate.)
"""

import contextlib
import functools
import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta

import torch
from torch import distributed

from auralign.train.preemption import EXIT_CODE, StoppedBySignal

PATIENCE = timedelta(days=7)  # rank 0 may hash and encode for hours; torchrun ends all if one has failed


def rank() -> int:
    """Index of this process among those of the training, from 0."""
    return distributed.get_rank() if _is_joined() else 0


def num_ranks() -> int:
    """The number of processes that train."""
    return distributed.get_world_size() if _is_joined() else 1


def is_first() -> bool:
    """Whether this is rank 0, the only one that prints and writes files."""
    return rank() == 0


def own(items: Iterable) -> Iterator:
    """The items of this rank: every `num_ranks()`-th, from its own number on."""
    return itertools.islice(items, rank(), None, num_ranks())


def own_device(name: str) -> str:
    """The device of this rank if the recipe names `name`: each rank has its own GPU.

    Raises ValueError if several ranks would share the GPU that it names.
    """
    if not _is_joined() or name.partition(":")[0] != "cuda":
        return name
    if name not in ("cuda", "cuda:0") and num_ranks() > 1:
        raise ValueError(f"device {name!r}: {num_ranks()} processes cannot share it; give cuda")
    return f"cuda:{os.environ['LOCAL_RANK']}" if name in ("cuda", "cuda:0") else name


def gathered(value) -> list:
    """The values of all ranks, in the order of ranks; waits until all ranks have called it."""
    values = [value] * num_ranks()
    if num_ranks() > 1:
        distributed.all_gather_object(values, value)
    return values


def wait() -> None:
    """Wait until all ranks have called this."""
    gathered(None)


def copy_from_first(parameters: Iterable[torch.nn.Parameter]) -> None:
    """Give the parameters the values that they have on rank 0."""
    if num_ranks() == 1:
        return
    for parameter in parameters:
        values = parameter.detach().contiguous()
        distributed.broadcast(values, src=0)
        parameter.data.copy_(values)


def sum_gradients(parameters: Iterable[torch.nn.Parameter], loss: torch.Tensor) -> torch.Tensor:
    """Make each gradient its sum over the ranks, and return the sum of their losses, in one all-reduce.

    A parameter without a gradient on any rank keeps `grad=None`, so that the optimiser skips it.

    Arguments
    ---------
    parameters : iterable of torch.nn.Parameter
    loss : torch.Tensor
        Scalar. If it is not finite on one rank, the sum is not finite on any.
    """
    if num_ranks() == 1:
        return loss
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    given = [parameter.grad is not None for parameter in trained]
    parts = [
        torch.zeros_like(parameter) if parameter.grad is None else parameter.grad for parameter in trained
    ]
    rest = torch.tensor([*given, 0.0], device=loss.device)
    rest[-1] = loss
    flat = torch.cat([part.flatten().float() for part in parts] + [rest])
    distributed.all_reduce(flat)
    *sums, given, loss = flat.split([parameter.numel() for parameter in trained] + [len(trained), 1])
    for parameter, gradient, num_given in zip(trained, sums, given.tolist(), strict=True):
        parameter.grad = gradient.view_as(parameter).to(parameter.dtype) if num_given else None
    return loss.squeeze()


@contextlib.contextmanager
def led(stage):
    """Context manager: rank 0 runs the `Stage` and broadcasts its `complete` and its `folder`."""
    with stage if is_first() else contextlib.nullcontext():
        stage.complete, stage.folder = gathered((stage.complete, stage.folder))[0]
        yield stage


def on_all_ranks(main: Callable[[list[str]], int | None]) -> Callable[[list[str]], int | None]:
    """The `main` of a script that `torchrun` has started, which joins its processes first.

    Only rank 0 prints. If ranks fail, the first one prints its error, and `torchrun` ends the others.
    """

    @functools.wraps(main)
    def joined(argv):
        store, number, size = next(distributed.rendezvous("env://", timeout=PATIENCE))
        # gloo for values in memory, such as those of `gathered`, and nccl for gradients on GPUs
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        distributed.init_process_group(backend, store=store, rank=number, world_size=size, timeout=PATIENCE)
        try:
            with contextlib.nullcontext() if is_first() else _silence():
                code = main(argv)
            wait()
        except StoppedBySignal:
            if _has_failed(store):  # torchrun ends the other ranks by the signal of a preemption
                raise SystemExit(1) from None
            if is_first():
                raise
            raise SystemExit(EXIT_CODE) from None
        except (Exception, KeyboardInterrupt) as error:
            if not _is_first_to_fail(store):
                raise SystemExit(1) from None
            if _is_lost_peer(error):
                raise ConnectionError(
                    f"rank {rank()}: another process of this training has ended without a word, as if it was killed; run "
                    "the same command again to go on"
                ) from error
            raise
        distributed.destroy_process_group()
        return code

    return joined


@contextlib.contextmanager
def _silence():
    with (
        open(os.devnull, "w", encoding="utf-8") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        yield


def _is_lost_peer(error: BaseException) -> bool:
    """Whether an error says that another process is gone: gloo raises a RuntimeError that names its source file."""
    return isinstance(error, distributed.DistError) or (
        isinstance(error, RuntimeError) and "gloo" in str(error).lower()
    )


def _is_first_to_fail(store) -> bool:
    try:
        return store.add("failed", 1) == 1
    except RuntimeError:  # the process of the store has ended: it was the first to fail
        return False


def _has_failed(store) -> bool:
    try:
        return store.add("failed", 0) > 0
    except RuntimeError:  # the process of the store has ended
        return False


def _is_joined() -> bool:
    return distributed.is_available() and distributed.is_initialized()
