"""The information-flow probe: how far an answer is drawn from the speech, and how far from the instruction, layer by layer.

Self-Powered LSM (arXiv:2410.03798) describes the "speech anchor bias": a model that relies on the speech too much takes it for
the command and neglects the written instruction. The definition below is ours. It is built on the saliency of "Label Words are
Anchors" (Wang et al. 2023, arXiv:2305.14160, equation 1), after Michel et al. 2019 (arXiv:1905.10650). We could not verify
which formula Self-Powered LSM's curves show, so that values do not compare with that paper's.

For layer l with attention weights A (H, N, N) and the negative log-likelihood L of the answer, summed over its tokens,

    I_l(i, j) = | sum over heads h of A_l[h, i, j] * dL/dA_l[h, i, j] |

is the saliency of the edge by which position i reads position j. The edges of the probe begin at the positions i that predict the
tokens of the answer, and end at the positions j of the speech (S) or of the instruction (C); those of the chat template, and of
text that the method puts beside the speech, belong to neither.

    summed share = sum over S / (sum over S + sum over C)
    mean share   = mean over S / (mean over S + mean over C)

The summed share says where the answer comes from. It grows with the number of positions of the speech, in which connectors differ
by a factor of ten; the mean share, which is per edge, does not. Both are from 0 (instruction alone) to 1 (speech alone). The
share of all layers takes the sums over the layers.

Legend: L layers, H heads, N positions, M tokens of the answer.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from auralign.layout import INSTRUCTION, SPEECH, TARGET
from auralign.models.llm import LLM
from auralign.models.views import Pack
from auralign.render import Piece, Rendered

EAGER = "eager"


@dataclass(frozen=True)
class Flow:
    """The saliency of one answer's edges to the speech and to the instruction.

    Arguments
    ---------
    speech, instruction : numpy.ndarray (L,) of float
        The sums over the edges, by layer.
    num_speech, num_instruction : int
        The positions of each, at least 1.
    """

    speech: np.ndarray
    instruction: np.ndarray
    num_speech: int
    num_instruction: int

    def shares(self, *, per_edge: bool = False) -> np.ndarray:
        """The share of the speech by layer, and last that of all layers: (L + 1,) of float.

        Arguments
        ---------
        per_edge : bool
            False (default): the summed share; True: the mean share.

        Returns numpy.ndarray: NaN for a layer without any saliency, such as that of an answer whose probability is exactly 1.
        """
        speech, instruction = (
            np.append(sums, sums.sum()) / (number if per_edge else 1)
            for sums, number in ((self.speech, self.num_speech), (self.instruction, self.num_instruction))
        )
        total = speech + instruction
        return np.divide(speech, total, out=np.full_like(total, np.nan), where=total > 0)


def positions_of(pack: Pack, tag: str) -> torch.Tensor:
    """Positions (M,) in a pack of the tokens under a tag; empty if there are none."""
    return pack.tagged.get(tag, pack.positions.new_zeros(0))


def read_flow(llm: LLM, pack: Pack) -> Flow:
    """The flow into the answer of a pack of one sequence, which holds speech, an instruction and an answer.

    Arguments
    ---------
    llm : LLM
        Loaded with `attention="eager"`. Inside `llm.original()` it is the one without adapters.
    pack : Pack
        One sequence, with positions under the tags `SPEECH`, `INSTRUCTION` and `TARGET`.

    Returns Flow.

    Raises ValueError if a tag has no position, the pack has several sequences, or the LLM does not return its attention weights.
    """
    if len(pack.sizes) != 1:
        raise ValueError(f"the flow is read of one sequence at a time; the pack holds {len(pack.sizes)}")
    places = {tag: positions_of(pack, tag) for tag in (SPEECH, INSTRUCTION, TARGET)}
    for tag, found in places.items():
        if not len(found):
            raise ValueError(f"the sequence has no position under the tag {tag!r}, so its flow is undefined")
    saliency = _read_saliency(llm, pack, places[TARGET])
    sums = {
        tag: np.array([float(layer[:, places[tag]].sum()) for layer in saliency])
        for tag in (SPEECH, INSTRUCTION)
    }
    return Flow(sums[SPEECH], sums[INSTRUCTION], len(places[SPEECH]), len(places[INSTRUCTION]))


def _read_saliency(llm: LLM, pack: Pack, target: torch.Tensor) -> list[torch.Tensor]:
    """The saliency of the edges from the positions that predict the target, by layer: each (M, N) of float64."""
    check_attention(llm)
    embeddings = pack.embeddings.detach().requires_grad_(True)  # all weights may be frozen
    with torch.enable_grad(), llm.adapting(pack.is_speech[None]):
        output = llm.decoder(inputs_embeds=embeddings[None], use_cache=False, output_attentions=True)
        weights = output.attentions or ()
        num_layers = llm.config.num_hidden_layers
        if len(weights) != num_layers or any(layer is None for layer in weights):
            given = sum(layer is not None for layer in weights)
            raise ValueError(
                f"{llm.name} ({type(llm.model).__name__}) returns the attention weights of {given} of its {num_layers} layers; "
                "the probe needs an LLM whose layers are all of softmax attention, such as Llama or Qwen"
            )
        logits = llm.head(output.last_hidden_state[0][target - 1]).float()
        loss = nn.functional.cross_entropy(logits, pack.ids[target], reduction="sum")
        gradients = torch.autograd.grad(loss, weights)
    rows = target - 1
    return [
        (layer[0, :, rows].detach().double() * gradient[0, :, rows].double()).sum(0).abs()
        for layer, gradient in zip(weights, gradients, strict=True)
    ]


def check_attention(llm: LLM) -> None:
    """Raise ValueError if the LLM was loaded with an implementation of attention that does not return its weights."""
    found = llm.config._attn_implementation
    if found != EAGER:
        raise ValueError(
            f"the LLM {llm.name} computes attention by {found!r}, which returns no weights; load it with attention: {EAGER} "
            f"(load_llm(path, attention={EAGER!r}))"
        )


def stretch(view: Rendered, number: int) -> Rendered:
    """A view whose text under the tag `SPEECH` takes as many positions as speech, each token being repeated in its place.

    Position k of K holds token floor(k * n / K) of n, so that the order stays. A text that is not shorter than `number` stays
    as it is, since it would lose tokens.

    >>> stretch(Rendered((Piece(SPEECH, (5, 6)), Piece(TARGET, (7,), num_end=0))), 5).ids
    (5, 5, 5, 6, 6, 7)
    """
    pieces = []
    for piece in view.pieces:
        if piece.tag == SPEECH and piece.ids:
            size = max(number, len(piece.ids))
            piece = Piece(SPEECH, tuple(piece.ids[at * len(piece.ids) // size] for at in range(size)))
        pieces.append(piece)
    return Rendered(tuple(pieces))
