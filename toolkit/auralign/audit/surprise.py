"""How a target surprises the LLM that is asked for it in text: likelihood, form gap, entropy, and which targets are foreign.

Axes: M tokens of targets, V vocabulary. All in nats.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from auralign.data.batching import pack
from auralign.losses.chunks import rows_of
from auralign.losses.cross_entropy import MAX_LOGITS
from auralign.models.llm import LLM
from auralign.progress import Progress
from auralign.render import Rendered

TOKENS_PER_PACK = 1024  # LLM positions in one forward
LEAST_ODDS = math.log(10.0)
"""The LLM does not do what it does with less than one in ten odds: the bound of foreign targets and of false stops, in nats."""
LEAST_DEVIATIONS = 3.0  # standard deviations of a draw's surprise


@dataclass(frozen=True)
class Surprise:
    """One target, read by the LLM under its prompt with the transcript in the place of the speech.

    Arguments
    ---------
    num_tokens : int
        Its tokens, with the end of turn if that is taught.
    nll : float
        Its negative log-likelihood, over all tokens.
    gap : float
        Its form gap over all tokens: at each, the log-probability of the LLM's likeliest token minus that of the target's.
        0 for what the LLM answers itself, greedily.
    entropy : float
        The entropy of the LLM's predictions, over all tokens: the nll to expect of an answer that the LLM draws.
    spread : float
        The standard deviation of that nll, each token drawn by itself.
    end_gap : float, optional
        The form gap of the end of turn; None if none is taught.
    """

    num_tokens: int
    nll: float
    gap: float
    entropy: float
    spread: float
    end_gap: float | None

    def is_foreign(self, *, drawn: bool = False) -> bool:
        """Whether the LLM would not give this target.

        Arguments
        ---------
        drawn : bool
            Whether the targets were drawn at a temperature. Then the nll must be above that of a draw by more than `LEAST_ODDS`
            and by more than `LEAST_DEVIATIONS` of its spread. Default False: the form gap must be more than `LEAST_ODDS`, since
            a greedy answer has none. Of a real LLM, a foreign target can be as likely as a draw, so that the first test misses
            it.
        """
        if not drawn:
            return self.gap > LEAST_ODDS
        return self.nll - self.entropy > max(LEAST_ODDS, LEAST_DEVIATIONS * self.spread)

    @property
    def stops_falsely(self) -> bool:
        """Whether the target ends the turn at a position at which the LLM would go on."""
        return self.end_gap is not None and self.end_gap > LEAST_ODDS


@torch.no_grad()
def read_surprises(llm: LLM, targets: Sequence[Rendered], *, about: str) -> list[Surprise | None]:
    """The surprise of each rendered target, in order; None of one that is empty or longer than the LLM's context.

    Arguments
    ---------
    llm : LLM
    targets : sequence of Rendered
        Views without speech, each with a target as its last piece.
    about : str
        What the line of progress says.
    """
    found: list[Surprise | None] = [None] * len(targets)
    rows = [row for row, one in enumerate(targets) if one.target_ids and one.num_ids <= llm.max_positions]
    with Progress(about, unit="target", total=len(rows), leave=False) as progress:
        for chosen in pack([targets[row].num_ids for row in rows], max_tokens=TOKENS_PER_PACK):
            numbers = [rows[place] for place in chosen]
            read = _read_pack(llm, [targets[number] for number in numbers])
            for number, surprise in zip(numbers, read, strict=True):
                found[number] = surprise
            progress.update(len(numbers))
    return found


def _read_pack(llm: LLM, targets: list[Rendered]) -> Iterator[Surprise]:
    ids = [token for one in targets for token in one.ids]
    positions = torch.tensor([at for one in targets for at in range(one.num_ids)], device=llm.device)
    sizes = [len(one.target_ids) for one in targets]
    ends = torch.tensor([one.num_ids for one in targets]).cumsum(0).tolist()
    predicting = [at - 1 for end, size in zip(ends, sizes, strict=True) for at in range(end - size, end)]
    labels = torch.tensor([ids[at + 1] for at in predicting], device=llm.device)
    with llm.original():
        hidden = llm.hidden_states(llm.embed(ids), positions)[predicting]
        rows = rows_of(hidden, llm.head, MAX_LOGITS)
        parts = zip(hidden.split(rows), labels.split(rows), strict=True)
        values = torch.cat([_measure(llm.head(part), right) for part, right in parts]).double().cpu()
    for one, of_target in zip(targets, values.split(sizes), strict=True):
        nll, gap, entropy, variance = of_target.sum(0).tolist()
        num_end = one.pieces[-1].num_end or 0
        end_gap = float(of_target[-num_end, 1]) if num_end else None
        yield Surprise(len(of_target), nll, gap, entropy, math.sqrt(max(0.0, variance)), end_gap)


def _measure(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """(M, 4) of logits (M, V): nll, form gap, entropy, and the variance of a draw's nll."""
    logs = logits.float().log_softmax(-1)
    probabilities = logs.exp()
    nll = -logs.gather(1, labels[:, None])[:, 0]
    terms = torch.where(probabilities > 0, -logs, 0.0)
    entropy = (probabilities * terms).sum(-1)
    variance = (probabilities * (terms - entropy[:, None]) ** 2).sum(-1)
    return torch.stack([nll, nll + logs.amax(-1), entropy, variance], -1)
