"""What a probe found: shares of the flow, CKA and forgetting, each with its interval over speakers.

Legend: Q questions, U utterances, L layers.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from auralign.probe.flow import Flow
from auralign.probe.similarity import chance_cka, estimate_cka
from auralign.score.metrics import (
    MIN_SPEAKERS,
    Estimate,
    bootstrap_difference,
    bootstrap_interval,
    bootstrap_ratio,
    choose_units,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Share:
    """The share of the speech in the flow into the answers, as `auralign.probe.flow` defines it; the mean over the questions.

    Arguments
    ---------
    order : str
        Where the instruction is: a value of `auralign.probe.inputs.ORDERS`.
    layer : int or None
        The layer from 1; None: all layers.
    weight : str
        "summed" or "mean".
    speech : Estimate
        Of the trained model with speech.
    text : Estimate
        Of the original LLM with the text, stretched to as many positions.
    difference : Estimate
        `speech` minus `text`, on the same questions.
    num_questions : int
        Those of which both shares are defined.
    """

    order: str
    layer: int | None
    weight: str
    speech: Estimate
    text: Estimate
    difference: Estimate
    num_questions: int


@dataclass(frozen=True)
class Similarity:
    """Linear CKA of speech and text at a layer: 0 is the LLM's input, the last what its head reads.

    `chance` is that of permuted pairs. Both are undefined (None) if all utterances are equal to the model, or to the LLM.
    """

    layer: int
    cka: Estimate
    chance: float | None


@dataclass(frozen=True)
class Forgetting:
    """The trained LLM with text, against the original one.

    Arguments
    ---------
    changed : Estimate
        Share of the answers to text that are not word for word those of the original LLM.
    before, after : Estimate
        Negative log-likelihood, in nats a token, of the original LLM's answers under it and under the trained LLM.
    difference : Estimate
        `after` minus `before`, the mean over the questions of each one's nats a token.
    """

    changed: Estimate
    before: Estimate
    after: Estimate
    difference: Estimate


@dataclass(frozen=True)
class Probe:
    """All that a probe found, and how."""

    facts: dict[str, Any]
    shares: tuple[Share, ...]
    similarities: tuple[Similarity, ...]
    forgetting: Forgetting | None = None  # None: training does not change the LLM's answers to text
    notes: tuple[str, ...] = field(default=())

    def share(self, order: str, weight: str = "mean", layer: int | None = None) -> Share:
        """The share of one order, weight and layer."""
        return next(
            one for one in self.shares if (one.order, one.weight, one.layer) == (order, weight, layer)
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Probe":
        """The inverse of `to_dict`, also for values read from JSON."""
        forgetting = values["forgetting"]
        return cls(
            facts=values["facts"],
            shares=tuple(Share(**_with_estimates(one)) for one in values["shares"]),
            similarities=tuple(Similarity(**_with_estimates(one)) for one in values["similarities"]),
            forgetting=None if forgetting is None else Forgetting(**_with_estimates(forgetting)),
            notes=tuple(values["notes"]),
        )


def summarise_flows(
    order: str, speech: Sequence[Flow], text: Sequence[Flow], units: dict[str, Any]
) -> list[Share]:
    """The shares of all layers, then of each, both summed and mean.

    Arguments
    ---------
    order : str
    speech, text : sequence of Q Flow
        Of the same questions.
    units : dict
        `clusters` and `within` (Q each), and the other arguments of `auralign.score.metrics.Resampling`.
    """
    found = []
    for weight in ("summed", "mean"):
        heard, read = (
            np.array([flow.shares(per_edge=weight == "mean") for flow in flows]) for flows in (speech, text)
        )
        num_layers = heard.shape[1] - 1
        for layer in (None, *range(1, num_layers + 1)):
            column = num_layers if layer is None else layer - 1
            both = np.flatnonzero(~np.isnan(heard[:, column] + read[:, column]))
            if not len(both):
                continue
            chosen = choose_units(units, both)
            values = heard[both, column], read[both, column]
            found.append(
                Share(
                    order,
                    layer,
                    weight,
                    speech=bootstrap_interval(values[0], **chosen),
                    text=bootstrap_interval(values[1], **chosen),
                    difference=bootstrap_difference(*values, **chosen),
                    num_questions=len(both),
                )
            )
    return found


def summarise_states(
    speech: np.ndarray, text: np.ndarray, clusters: Sequence[Any], *, seed: int
) -> list[Similarity]:
    """The CKA of each layer.

    Arguments
    ---------
    speech, text : numpy.ndarray (U, L + 1, D)
        Mean hidden states of the same utterances, by layer.
    clusters : sequence of U
        Their speakers.
    seed : int
        Of the permutations.

    Returns list of Similarity.
    """
    return [
        Similarity(layer, estimate_cka(one, other, clusters), chance_cka(one, other, seed=seed))
        for layer, (one, other) in enumerate(
            zip(speech.transpose(1, 0, 2), text.transpose(1, 0, 2), strict=True)
        )
    ]


def summarise_forgetting(
    changed: "ArrayLike",
    before: "ArrayLike",
    after: "ArrayLike",
    num_tokens: "ArrayLike",
    units: dict[str, Any],
) -> Forgetting:
    """Forgetting of the answers to Q questions.

    Arguments
    ---------
    changed : array-like (Q,) of bool
    before, after : array-like (Q,) of float
        Negative log-likelihood of each answer, under the original and under the trained LLM.
    num_tokens : array-like (Q,) of int
        The tokens of each answer.
    units : dict
        As of `summarise_flows`.
    """
    shares, first, second, sizes = (
        np.asarray(values, dtype=np.float64) for values in (changed, before, after, num_tokens)
    )
    return Forgetting(
        changed=bootstrap_interval(shares, **units),
        before=bootstrap_ratio(first, sizes, **units),
        after=bootstrap_ratio(second, sizes, **units),
        difference=bootstrap_difference(second / sizes, first / sizes, **units),
    )


def units_of(clusters: Sequence[str], utt_ids: Sequence[str], seed: int) -> dict[str, Any]:
    """What the bootstrap draws: speakers (`Utterance.cluster`), then their utterances."""
    return {"clusters": list(clusters), "within": list(utt_ids), "seed": seed, "min_clusters": MIN_SPEAKERS}


def _with_estimates(values: dict[str, Any]) -> dict[str, Any]:
    return {name: Estimate(**value) if isinstance(value, dict) else value for name, value in values.items()}
