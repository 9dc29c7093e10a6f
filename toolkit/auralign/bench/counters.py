"""Counters of a training step that hold on any machine: waits for a GPU, copies to it, and operations.

On a CPU, `counting` follows which tensors a GPU would hold: the weights, what is sent there, and all that is computed of these.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any
from unittest import mock

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry, shape_wrapper

from auralign.models import sending

if TYPE_CHECKING:
    from auralign.bench.ours import Ours

aten = torch.ops.aten
# Their result, or its size, is needed in memory.
WAITING = {
    aten._local_scalar_dense,
    aten.equal,
    aten.masked_select,
    aten.nonzero,
    aten.repeat_interleave,
    aten._unique2,
    aten.unique_consecutive,
    aten.unique_dim,
}
INDEXING = {aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_}


def count_waits(ours: "Ours") -> str:
    """Waits and copies of the second optimiser step, with the reading and encoding of its speech, in words."""
    steps = iter(ours.steps())
    ours.brain.fit_batch(next(steps))
    with counting(ours.model) as found:
        step = next(steps, None)
        if step is None:
            step = next(iter(ours.steps()))
        ours.brain.fit_batch(step)
    return f"{found['wait']} waits and {found['copy']} copies in a step of {len(step)} packs"


@contextmanager
def counting(model: torch.nn.Module) -> Iterator[Counter]:
    """Context manager: counts what would wait for a GPU ("wait") or copy to one ("copy") if the weights of `model` were there."""
    on_gpu = _OnGpu([*model.parameters(), *model.buffers()])
    found = on_gpu.found

    def sent(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
        return tensor if on_gpu.holds(tensor) else on_gpu.copied(tensor)

    def made(function: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        def call(*args: Any, **options: Any) -> torch.Tensor:
            tensor = function(*args, **options)
            return on_gpu.copied(tensor) if isinstance(options.get("device"), torch.device) else tensor

        return call

    def read(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(tensor: torch.Tensor, *args: Any, **options: Any) -> Any:
            if not on_gpu.holds(tensor):
                return function(tensor, *args, **options)
            found["wait"] += 1
            return function(on_gpu.without_mark(tensor), *args, **options)

        return call

    def moved(tensor: torch.Tensor, *args: Any, **options: Any) -> torch.Tensor:
        # By name ("cpu") libraries say that a tensor stays in memory.
        to_device = any(isinstance(value, torch.device) for value in (*args, options.get("device")))
        result = move(tensor, *args, **options)
        return on_gpu.copied(result) if to_device and not on_gpu.holds(tensor) else result

    move = torch.Tensor.to
    replaced: list[tuple[Any, str, Any]] = [
        (module, "send", sent)
        for module in list(sys.modules.values())
        if vars(module).get("send") is sending.send
    ]
    replaced += [(torch, name, made(getattr(torch, name))) for name in ("tensor", "as_tensor")]
    replaced += [
        (torch.Tensor, name, read(getattr(torch.Tensor, name))) for name in ("cpu", "numpy", "tolist")
    ]
    replaced += [(torch.Tensor, "to", moved), (torch.Tensor, "is_cuda", property(on_gpu.holds))]
    with ExitStack() as stack:
        for place, name, value in replaced:
            stack.enter_context(mock.patch.object(place, name, value))
        stack.enter_context(on_gpu)
        yield found


class _OnGpu(TorchDispatchMode):
    """Follows from operation to operation, also in backward, which storages a GPU would hold; counts in `found`."""

    def __init__(self, tensors: Iterable[torch.Tensor]):
        super().__init__()
        self.found: Counter = Counter()
        self._held: set[StorageWeakRef] = set()
        for tensor in tensors:
            self._hold(tensor)

    def holds(self, value: Any) -> bool:
        """Whether it is a tensor that a GPU would hold."""
        return isinstance(value, torch.Tensor) and StorageWeakRef(value.untyped_storage()) in self._held

    def _hold(self, tensor: torch.Tensor) -> None:
        self._held.add(StorageWeakRef(tensor.untyped_storage()))

    def copied(self, tensor: torch.Tensor) -> torch.Tensor:
        """A copy of a tensor that a GPU would hold."""
        self.found["copy"] += 1
        copy = tensor.clone()
        self._hold(copy)
        return copy

    def without_mark(self, tensor: torch.Tensor) -> torch.Tensor:
        """A copy of a tensor in memory."""
        copy = tensor.detach().clone()
        self._held.discard(StorageWeakRef(copy.untyped_storage()))
        return copy

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        given = [value for value in tree_leaves((args, kwargs)) if isinstance(value, torch.Tensor)]
        held = [self.holds(value) for value in given]
        if any(held):
            kind = func.overloadpacket
            by_mask = kind in INDEXING and any(value.dtype == torch.bool for value in tree_leaves(args[1]))
            self.found["wait"] += kind in WAITING or by_mask
        result = func(*args, **kwargs)
        if any(held):
            for value in tree_leaves(result):
                if isinstance(value, torch.Tensor):
                    self._hold(value)
        return result


def count_operations(arm: Callable[[], object]) -> int:
    """Multiplications and additions in the matrix products, convolutions and attention of an arm, forward and backward.

    Of causal attention half the pairs are counted, of attention with a mask all: that is what kernels compute.
    """
    with _Operations() as counter:
        arm()
    return counter.number


class _Operations(TorchDispatchMode):
    """`FlopCounterMode` without its table by module, whose hooks forbid `torch.autograd.grad` within a forward."""

    number = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        formula = _FORMULAS.get(func.overloadpacket)
        if formula is not None:
            self.number += formula(*args, **(kwargs or {}), out_val=result)
        return result


def _attention(
    query: Any, key: Any, value: Any, dropout: Any = 0, is_causal: bool = False, **options: Any
) -> int:
    batch, heads, num_queries, width = query
    return 4 * batch * heads * num_queries * key[2] * width // (2 if is_causal else 1)


def _attention_backward(upstream: Any, query: Any, key: Any, value: Any, *rest: Any, **options: Any) -> int:
    is_causal = rest[3]
    return 5 * _attention(query, key, value, is_causal=is_causal) // 2  # five products; forward has two


_FORMULAS: dict[Any, Callable[..., int]] = {
    **flop_registry,
    aten._scaled_dot_product_flash_attention_for_cpu: shape_wrapper(_attention),
    aten._scaled_dot_product_flash_attention_for_cpu_backward: shape_wrapper(_attention_backward),
}
