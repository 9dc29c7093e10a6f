"""Connectionist temporal classification (Graves et al. 2006): labels in order, without their frames."""

from collections.abc import Sequence

import torch

from auralign.losses.term import Term


def ctc(
    logits: torch.Tensor, lengths: torch.Tensor, labels: Sequence[torch.Tensor], *, blank: int = 0
) -> Term:
    """Sum over utterances of the negative log-likelihood (nats) of their labels, over all alignments, in fp32.

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
        `count` is the total number of labels; if B is 0 the sum is exactly zero and still has a gradient.

    Raises
    ------
    ValueError
        If an utterance has fewer frames than its labels need (one for each, and one for the blank between two equal
        neighbours), or a label is the blank or outside 0 to V - 1.
    """
    frames = lengths.tolist()
    for index, (num_frames, row) in enumerate(zip(frames, labels, strict=True)):
        _check(index, num_frames, row.tolist(), blank, logits.shape[-1])
    if not frames:
        return Term(sum=logits.sum() * 0.0, count=0)
    loss = torch.nn.functional.ctc_loss(
        logits.float().log_softmax(-1).transpose(0, 1),
        torch.cat(tuple(labels)).to(logits.device, torch.long),
        torch.tensor(frames),
        torch.tensor([len(row) for row in labels]),
        blank=blank,
        reduction="sum",
    )
    return Term(sum=loss, count=sum(len(row) for row in labels))


def _check(index: int, num_frames: int, labels: list[int], blank: int, size: int) -> None:
    wrong = [label for label in labels if label == blank or not 0 <= label < size]
    if wrong:
        raise ValueError(
            f"row {index} has label {wrong[0]}: give 0 to {size - 1}, without {blank}, the blank"
        )
    needed = len(labels) + sum(one == other for one, other in zip(labels, labels[1:], strict=False))
    if num_frames < needed:
        raise ValueError(
            f"row {index} has {num_frames} frames, its {len(labels)} labels need {needed}: "
            "leave the utterance out, or give it more frames"
        )
