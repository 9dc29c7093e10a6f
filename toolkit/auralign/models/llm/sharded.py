"""A frozen LLM whose layers are shared out over the ranks of a training (FSDP2), for one that does not fit on one GPU.

    llm.shard("cuda:1")              # on every rank: each keeps its part of each layer
    ...                              # forwards and backwards, as before
    llm.meet()                       # on every rank, before it exchanges anything else: helps the ranks that are not done

A layer is gathered from all ranks for the time in which it is computed, so that every forward and backward is one of all ranks.
But ranks have different numbers of packs, and rank 0 alone answers and measures. So each pass is announced, and a rank without
one of its own computes one position along with the others, whose gradient is zero.

Embeddings and head stay whole on each rank: losses call them chunk by chunk.
"""

import sys
from typing import TYPE_CHECKING, Any

import torch
from torch import distributed, nn

if TYPE_CHECKING:
    from auralign.models.llm.llm import LLM

FORWARD, LEARNING, BACKWARD = "forward", "forward with a gradient", "backward"


class Shards:
    """The layers of an LLM, shared out.

    Arguments
    ---------
    llm : auralign.models.llm.LLM
        Frozen, without adapters, in memory: what does not fit on a device never lies there.
    device : str
        The device of this rank.

    Raises ValueError if the LLM's sequences share no forward, or if its layers are not found.
    """

    def __init__(self, llm: "LLM", device: str):
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        if not llm.sharing.packed or llm.rope_edges:
            raise ValueError(
                f"shard_llm: {llm.name} runs the sequences of a pack apart, so that ranks would compute different numbers of "
                "passes; leave shard_llm out"
            )
        self.llm, self.is_helping = llm, False
        self._learning: torch.Tensor | None = None  # the output of a pass that helps, until its backward
        num_ranks, layers = distributed.get_world_size(), _layers(llm)
        mesh = init_device_mesh(torch.device(device).type, (num_ranks,))
        for layer in layers:
            fully_shard(layer, mesh=mesh, reshard_after_forward=True)
        print(f"{llm.name}: {len(layers)} layers are shared out over {num_ranks} ranks", file=sys.stderr)
        llm.decoder.register_forward_pre_hook(self._announce, with_kwargs=True)

    def _announce(self, module: nn.Module, args: tuple, options: dict[str, Any]) -> None:
        if not self.is_helping:
            given = options.get("inputs_embeds")
            learns = torch.is_grad_enabled() and given is not None and given.requires_grad
            _exchange(LEARNING if learns else FORWARD)

    def before_backward(self) -> None:
        """Every rank with a pack calls this before its backward."""
        _exchange(BACKWARD)

    def meet(self) -> None:
        """Compute along until no rank has a pass of its own."""
        self.is_helping = True
        try:
            while (kind := _exchange(None)) is not None:
                self._help(kind)
        finally:
            self.is_helping, self._learning = False, None

    def _help(self, kind: str) -> None:
        if kind == BACKWARD:
            if self._learning is not None:
                (self._learning.sum() * 0.0).backward()
            self._learning = None
            return
        given = torch.zeros(
            1,
            1,
            self.llm.width,
            device=self.llm.device,
            dtype=self.llm.model.dtype,
            requires_grad=kind == LEARNING,
        )
        with torch.set_grad_enabled(kind == LEARNING):
            states = self.llm.decoder(inputs_embeds=given, use_cache=False).last_hidden_state
        if kind == LEARNING:
            self._learning = states


def _exchange(kind: str | None) -> str | None:
    """Tell all ranks what this one does next, and return what the first busy one does; None if none is."""
    kinds: list[str | None] = [None] * distributed.get_world_size()
    distributed.all_gather_object(kinds, kind)
    return next(filter(None, kinds), None)


def _layers(llm: "LLM") -> nn.ModuleList:
    """The layers of the decoder."""
    number = llm.config.num_hidden_layers
    for child in llm.decoder.children():
        if isinstance(child, nn.ModuleList) and len(child) == number:
            return child
    raise ValueError(
        f"shard_llm: {type(llm.decoder).__name__} has no list of its {number} layers; leave shard_llm out"
    )
