"""What answers do instead of obeying: flips, transcriptions, refusals, loops, the modality gap, spread, and forgetting.

One definition each; all shares have the intervals of the ledger, over speakers and utterances.

*Instruction-flip rate*: of the questions that the LLM answers rightly from the text, the share whose answer to speech does
another task or writes down the speech (classes "wrong task" and "transcribed"). The instruction was lost through the speech, as
it was not lost with the text. The definition is ours; it measures the neglect of the instruction that Self-Powered LSM describes.
A judge that cannot tell another task, as the default one, counts the transcriptions alone.
*Transcribed*, *refusals*, *loops*: the share of all answers to speech that copy what was said, refuse
(`auralign.generate.refusals.is_refusal`), or repeat themselves at the end (`auralign.generate.filters.loops`): the rules of the
targets.
*Modality gap*: mean score with the text minus that with speech, on the same questions.
*Spread over phrasings*: the standard deviation, of the sample, of the mean scores of the wordings of one task, averaged over the
tasks with several wordings.
*Forgetting*: mean score of the original LLM with the text minus that of the trained LLM with the same text, on the same
questions; undefined if training does not change the LLM's answers to text. It is in points of the score. Speech-IFEval's (as
DeSTA2 reports it) is relative to the original LLM and compares speech with text, which is our modality gap.

Legend: N questions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from auralign.generate.filters import loops
from auralign.generate.refusals import is_refusal
from auralign.run_folder import TEXT_TRAINED
from auralign.score.judge import TRANSCRIBED
from auralign.score.metrics import (
    Estimate,
    bootstrap_difference,
    bootstrap_interval,
    bootstrap_sums,
    choose_units,
)

UNDEFINED = Estimate(None, None, None)
FLIPS = ("wrong task", TRANSCRIBED)


@dataclass(frozen=True)
class Behaviour:
    """The answers of one method to one group of questions; a share that is of no question has the value None."""

    method: str
    group: str
    flips: Estimate
    transcribed: Estimate
    refusals: Estimate
    loops: Estimate
    modality_gap: Estimate
    spread: Estimate
    forgetting: Estimate = UNDEFINED  # also in files of an earlier auralign


def measure_behaviour(method: str, group: str, judged: Sequence, units: dict) -> Behaviour:
    """The shares of one method's answers to one group of questions.

    Arguments
    ---------
    method, group : str
    judged : sequence of N auralign.ledger.build.Judged
    units : dict
        What the bootstrap draws, as arguments of `auralign.score.metrics.Resampling`.
    """
    text, speech = (np.array([item.scores[kind] for item in judged]) for kind in ("text", "speech"))
    knows = np.flatnonzero(text == 1)

    def share(holds) -> Estimate:
        return bootstrap_interval([float(holds(item)) for item in judged], **units)

    return Behaviour(
        method=method,
        group=group,
        flips=bootstrap_interval(
            [float(judged[row].answer_class in FLIPS) for row in knows], **choose_units(units, knows)
        )
        if len(knows)
        else UNDEFINED,
        transcribed=share(lambda item: item.answer_class == TRANSCRIBED),
        refusals=share(lambda item: is_refusal(item.answer)),
        loops=share(lambda item: loops(item.answer, cut_off="speech" in item.item.cut_off)),
        modality_gap=bootstrap_difference(text, speech, **units),
        spread=_spread(judged, speech, units),
        forgetting=_forgetting(judged, text, units),
    )


def _forgetting(judged, text, units) -> Estimate:
    """Mean score with text of the original LLM minus that of the trained one."""
    trained = [item.scores.get(TEXT_TRAINED) for item in judged]
    if None in trained:
        return UNDEFINED
    return bootstrap_difference(text, np.array(trained), **units)


def _spread(judged, speech, units) -> Estimate:
    """The mean over tasks of the standard deviation over phrasings of the mean score."""
    cells = [(item.question.task, item.question.phrasing) for item in judged]
    tasks: dict[str, list] = {}
    for task, phrasing in dict.fromkeys(cells):
        tasks.setdefault(task, []).append(phrasing)
    tasks = {task: phrasings for task, phrasings in tasks.items() if len(phrasings) > 1}
    if not tasks:
        return Estimate(None, None, None)
    places = [(task, phrasing) for task, phrasings in tasks.items() for phrasing in phrasings]
    masks = np.array([[cell == place for cell in cells] for place in places], dtype=np.float64)

    def deviation(sums) -> float:
        totals, counts = np.split(sums, 2)
        means = dict(
            zip(
                places,
                np.divide(totals, counts, out=np.full_like(totals, np.nan), where=counts > 0),
                strict=True,
            )
        )
        found = [[means[task, phrasing] for phrasing in phrasings] for task, phrasings in tasks.items()]
        known = [
            [value for value in one if not np.isnan(value)] for one in found
        ]  # a resample may lack a wording
        return float(np.mean([np.std(one, ddof=1) for one in known if len(one) > 1] or [0.0]))

    return bootstrap_sums(np.concatenate([masks * speech, masks]), deviation, **units)
