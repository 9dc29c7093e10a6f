"""Kullback-Leibler divergence from a teacher to a student that share one head, without all logits in memory.

The teacher's logits are computed in the same step, or cached: its largest logits, and the log-sum-exp of all of them.
"""

from dataclasses import dataclass

import torch

from auralign.losses.chunks import Head, sum_over_chunks
from auralign.losses.cross_entropy import MAX_LOGITS
from auralign.losses.term import Term


def divergence(
    hidden: torch.Tensor,
    teacher: torch.Tensor,
    head: Head,
    *,
    teacher_head: Head | None = None,
    temperature: float = 1.0,
    max_logits: int = MAX_LOGITS,
) -> Term:
    """Sum over positions of KL(teacher || student), in nats, of the distributions at a temperature.

    The gradient is not scaled by the square of the temperature, as in Hinton et al. (arXiv:1503.02531): neither BLSP-KD
    (arXiv:2405.19041) nor Ultravox scales it.

    Arguments
    ---------
    hidden, teacher : torch.Tensor
        (M, D): hidden states of student and teacher at the positions that predict the same tokens, pair by pair.
    head, teacher_head : callable
        From hidden states (m, D) to logits (m, V); `teacher_head` is by default `head`.
    temperature : float
        Divides both logits; default 1.0.
    max_logits : int
        More logits than this are computed in chunks (`auralign.losses.chunks`); default 2^24.

    Returns
    -------
    Term
        `count` is M.

    Raises
    ------
    ValueError
        If student and teacher have different numbers of positions, or the temperature is not above 0.
    """
    if len(hidden) != len(teacher):
        raise ValueError(
            f"the student predicts {len(hidden)} tokens, the teacher {len(teacher)}: their views must have the same target"
        )
    if temperature <= 0:
        raise ValueError(f"temperature {temperature}: give more than 0")
    if not len(hidden):
        return Term(sum=hidden.sum() * 0.0, count=0)
    expected = _Expected(teacher.detach(), teacher_head or head, temperature)
    found = sum_over_chunks(
        lambda logits, part: expected.divergence(expected.logs(logits), expected[part]),
        hidden,
        head,
        max_logits=max_logits // 2,
        with_gradient=expected.with_gradient,
    )
    return Term(sum=found, count=len(hidden))


@dataclass(frozen=True)
class _Expected:
    """A teacher's hidden states (M, D), its head and the temperature: what a student's logits are compared with."""

    hidden: torch.Tensor
    head: Head
    temperature: float

    @torch.no_grad()
    def __getitem__(self, part: slice) -> torch.Tensor:
        """Its log-probabilities (m, V) at some positions."""
        return self.logs(self.head(self.hidden[part]))

    def logs(self, logits: torch.Tensor) -> torch.Tensor:
        """Log-probabilities at the temperature."""
        return (logits.float() / self.temperature).log_softmax(-1)

    def divergence(self, logs: torch.Tensor, expected: torch.Tensor) -> torch.Tensor:
        """The sum of the divergences of a student's log-probabilities."""
        return torch.nn.functional.kl_div(logs, expected, reduction="sum", log_target=True)

    def with_gradient(self, logits: torch.Tensor, part: slice) -> tuple[torch.Tensor, torch.Tensor]:
        """The sum of the divergences, and the gradient of the student's logits: the difference of the probabilities."""
        logs, expected = self.logs(logits), self[part]
        found = self.divergence(logs, expected)
        return found, logs.exp_().sub_(expected.exp_()).div_(self.temperature)


@dataclass(frozen=True)
class TopK:
    """A teacher's k largest logits at M positions, and the log-sum-exp of all its logits at a temperature.

    Arguments
    ---------
    ids : torch.Tensor
        (M, k): token ids.
    logits : torch.Tensor
        (M, k): their logits, not divided by the temperature.
    logsumexp : torch.Tensor
        (M,): the log-sum-exp of all logits divided by the temperature.
    temperature : float
        Temperature of `logsumexp`.
    """

    ids: torch.Tensor
    logits: torch.Tensor
    logsumexp: torch.Tensor
    temperature: float

    @classmethod
    def of(cls, logits: torch.Tensor, k: int, temperature: float) -> "TopK":
        """Keep the k largest of logits (M, V), or all of them if V is less than k."""
        logits = logits.float()
        largest = logits.topk(min(k, logits.shape[-1]), dim=-1)
        return cls(largest.indices, largest.values, (logits / temperature).logsumexp(-1), temperature)

    def to(self, device: torch.device | str) -> "TopK":
        """Copy to a device; the ids become int64, which torch needs as indices."""
        return TopK(
            self.ids.long().to(device), self.logits.to(device), self.logsumexp.to(device), self.temperature
        )

    def __len__(self) -> int:
        return len(self.logsumexp)

    def __getitem__(self, rows: torch.Tensor | slice) -> "TopK":
        """Select positions."""
        return TopK(self.ids[rows], self.logits[rows], self.logsumexp[rows], self.temperature)


def bucketed_divergence(
    hidden: torch.Tensor, teacher: TopK, head: Head, *, max_logits: int = MAX_LOGITS
) -> Term:
    """Sum over positions of KL(teacher || student), in nats, with all tokens beyond the teacher's k in one bucket.

    By the log-sum inequality it is at most the full divergence; it is zero if the student equals the teacher.

    Arguments
    ---------
    hidden : torch.Tensor
        (M, D): the student's hidden states at the positions that predict the same tokens.
    teacher : TopK
        The teacher at M positions; its temperature also divides the student's logits.
    head, max_logits
        As for `divergence`.

    Returns a Term whose count is M. Raises ValueError if the numbers of positions differ.
    """
    if len(hidden) != len(teacher):
        raise ValueError(
            f"the student predicts {len(hidden)} tokens, the cached teacher has {len(teacher)}; run stage 2 again"
        )
    if not len(hidden):
        return Term(sum=hidden.sum() * 0.0, count=0)
    found = sum_over_chunks(
        lambda logits, part: _bucketed(logits, teacher[part]), hidden, head, max_logits=max_logits
    )
    return Term(sum=found, count=len(hidden))


def _bucketed(logits: torch.Tensor, teacher: TopK) -> torch.Tensor:
    logits = logits.float() / teacher.temperature
    student = logits.log_softmax(-1)
    kept = (teacher.logits / teacher.temperature - teacher.logsumexp.unsqueeze(-1)).clamp(max=0)
    divergence = (kept.exp() * (kept - student.gather(-1, teacher.ids))).sum(-1)
    if teacher.ids.shape[-1] < logits.shape[-1]:
        tail = (-torch.expm1(kept.logsumexp(-1).clamp(max=-1e-7))).log()
        others = student.scatter(-1, teacher.ids, -torch.inf).logsumexp(-1)
        divergence = divergence + tail.exp() * (tail - others)
    return divergence.sum()
