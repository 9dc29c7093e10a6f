"""Connectionist temporal classification (Graves et al. 2006): labels in order, without their frames."""

from collections.abc import Sequence

import torch

from auralign.layout import SPEECH
from auralign.losses.term import Term, read_unit


def ctc(
    logits: torch.Tensor, lengths: torch.Tensor, labels: Sequence[torch.Tensor], *, blank: int = 0
) -> Term:
    """Sum over utterances of the negative log-likelihood (nats) of their labels, over all alignments, in fp32.

    An utterance with fewer frames than its labels need (one for each, and one for the blank between two equal neighbours) has no
    alignment: it is left out of the sum, gets no gradient, and is named in the term's `left_out`.

    Arguments
    ---------
    logits : torch.Tensor
        (B, T, V); logits beyond an utterance's length are ignored.
    lengths : torch.Tensor
        (B,), in frames.
    labels : sequence of B torch.Tensor
        (U,): token ids of each utterance, without the blank; U may be 0.
    blank : int
        Id of the blank; default 0.

    Returns
    -------
    Term
        `count` is the number of labels in the sum. The unit is "read speech", as the labels are the tokens of the transcript
        that the teacher reads; `dataclasses.replace` it for other labels. If no utterance is left the sum is exactly zero and
        still has a gradient.

    Raises
    ------
    ValueError
        If a label is the blank or outside 0 to V - 1.
    """
    frames, unit = lengths.tolist(), read_unit(SPEECH)
    left_out = tuple(
        index
        for index, (num_frames, row) in enumerate(zip(frames, labels, strict=True))
        if num_frames < _num_frames_needed(index, row.tolist(), blank, logits.shape[-1])
    )
    if left_out:
        chosen = [index for index in range(len(frames)) if index not in left_out]
        frames, labels = [frames[index] for index in chosen], [labels[index] for index in chosen]
        logits = logits[chosen]
    if not frames:
        return Term(sum=logits.sum() * 0.0, count=0, unit=unit, left_out=left_out)
    loss = torch.nn.functional.ctc_loss(
        logits.float().log_softmax(-1).transpose(0, 1),
        torch.cat(tuple(labels)).to(logits.device, torch.long),
        torch.tensor(frames),
        torch.tensor([len(row) for row in labels]),
        blank=blank,
        reduction="sum",
    )
    return Term(sum=loss, count=sum(len(row) for row in labels), unit=unit, left_out=left_out)


def _num_frames_needed(index: int, labels: list[int], blank: int, size: int) -> int:
    """The fewest frames in which the labels of one row fit. Raises ValueError for a label that is not one."""
    wrong = [label for label in labels if label == blank or not 0 <= label < size]
    if wrong:
        raise ValueError(
            f"row {index} has label {wrong[0]}: give 0 to {size - 1}, without {blank}, the blank"
        )
    return len(labels) + sum(one == other for one, other in zip(labels, labels[1:], strict=False))
