"""Every measure of the audit, defined once: its meaning and source, its usual limit, and what to do if it is beyond it.

>>> parse_limits(["gap=1", "sensitivity=none"])
{'gap': 1.0, 'sensitivity': None}
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

MOST, LEAST = "at most", "at least"


@dataclass(frozen=True)
class Measure:
    """A measure of a set of targets.

    Arguments
    ---------
    name : str
        In limits, in JSON and on the page.
    unit : str
    meaning : str
        Its definition.
    advice : str
        What a value beyond the limit means, and what to do; "" if it has no limit by default and none is usual.
    limit : float, optional
        The usual one; None: it is shown alone.
    side : str
        MOST or LEAST: the side of the limit that is good.
    """

    name: str
    unit: str
    meaning: str
    advice: str = ""
    limit: float | None = None
    side: str = MOST

    def passes(self, value: float | None, limit: float | None) -> bool:
        """Whether a value is within a limit; what is not defined, and what has no limit, is."""
        if value is None or limit is None:
            return True
        return value <= limit if self.side == MOST else value >= limit


SHARE = "share of the targets"
PER_TOKEN = "nats a token"

MEASURES = {
    measure.name: measure
    for measure in (
        Measure(
            "conflict",
            SHARE,
            "the prompt holds an instruction and the target is foreign: its form gap, summed over its tokens, is above ln 10, "
            "so that the LLM prefers another answer by more than ten to one; of targets drawn at a temperature, the negative "
            "log-likelihood (nll) exceeds the entropy of the LLM's predictions by more than ln 10 and by more than "
            "three standard deviations of a drawn answer's nll",
            "The connector can only reach such targets by working against the instruction, and so unlearns to leave instructions "
            "to the LLM. Let the LLM write the targets itself, or ask for what the targets are.",
            limit=0.1,
        ),
        Measure(
            "foreign",
            SHARE,
            "the target is foreign as in conflict, with an instruction or without",
        ),
        Measure(
            "gap",
            PER_TOKEN,
            "form gap: the mean over all tokens of the log-probability of the LLM's likeliest token minus that of the target's, "
            "given the transcript as text and the target so far; 0 if the LLM itself wrote the targets, greedily",
            "The LLM would word its answers differently, so that the connector spends its capacity on the wording. Let the LLM "
            "write the targets, or reword the instructions until it answers so by itself.",
            limit=0.5,
        ),
        Measure("nll", PER_TOKEN, "negative log-likelihood of the target's tokens under the same prompt"),
        Measure(
            "entropy",
            PER_TOKEN,
            "mean entropy of the LLM's predictions along the target: how much it leaves open",
        ),
        Measure(
            "sensitivity",
            "nats a target",
            "one content word of the transcript is replaced by one of another transcript: by how much the target's nll rises; "
            "0 if the target does not depend on the word",
            "The targets hardly depend on what is said, so that the connector need not hear the words. Ask for answers that "
            "mention or use them.",
            limit=0.5,
            side=LEAST,
        ),
        Measure(
            "content",
            "share of the words",
            "the mean share of a transcript's distinct content words (all but function words) that its target mentions",
        ),
        Measure(
            "overlap",
            "share of the words",
            "the mean share of a target's words that are in its transcript, each as often as it is said",
        ),
        Measure("verbatim", SHARE, "the target is the transcript, without case, punctuation and spaces"),
        Measure(
            "tokens", "tokens", "mean length of a target in tokens of the LLM, with the end of turn if taught"
        ),
        Measure(
            "false_stops",
            "share of the targets with an end of turn",
            "the form gap of the end of turn is above ln 10: the LLM would go on",
            "Targets end at a position at which the LLM would go on: it is taught to stop early. Mark targets that were cut off "
            '(finish_reason "length"), so that no end of turn is taught after them.',
            limit=0.05,
        ),
        Measure(
            "cut_off",
            SHARE,
            "the target was cut off at the length limit; no end of turn is taught after it",
        ),
        Measure(
            "empty",
            SHARE,
            "the target holds no text",
            "Targets without text teach the end of a turn alone. Leave them out.",
            limit=0.0,
        ),
        Measure(
            "looping",
            SHARE,
            "the target ends in a block of words that repeats (`auralign.generate.filters.loops`)",
            "Targets that loop teach loops. Leave them out, or use a larger LLM.",
            limit=0.01,
        ),
        Measure(
            "refusal",
            SHARE,
            "the target begins as a refusal does (the toolkit's filter, `auralign.generate.filters.check`)",
            "Targets that refuse teach to refuse speech. Reword the instruction, or leave them out.",
            limit=0.02,
        ),
        Measure(
            "duplicate",
            SHARE,
            "utterance (by its id, or its transcript if it has none), instruction and target are those of an earlier target",
            "The same examples occur several times and count as often. Keep one of each.",
            limit=0.05,
        ),
        Measure(
            "same_answer",
            SHARE,
            "an earlier target about another transcript has the same words",
            "Many utterances have the same target, from which nothing of their words can be learnt. Ask something else.",
            limit=0.5,
        ),
        Measure(
            "other_language",
            SHARE,
            "the target is in another script than the transcript, or has most function words of another of seven languages in "
            "Latin script (two at least)",
        ),
        Measure(
            "test_text",
            SHARE,
            "the transcript or the target is a sentence of a test set (compared as by `auralign.data.contamination`)",
            "What is in training cannot be tested. Leave these utterances out.",
            limit=0.0,
        ),
    )
}


def parse_limits(given: Iterable[str]) -> dict[str, float | None]:
    """Limits by measure, of words such as "gap=1" or "gap=none".

    Raises ValueError on an unknown measure and on what is no number.
    """
    found: dict[str, float | None] = {}
    for word in given:
        name, equals, value = word.partition("=")
        name = name.replace("-", "_")
        if name not in MEASURES or not equals:
            raise ValueError(
                f"--limit {word}: expected MEASURE=NUMBER, or MEASURE=none; measures are {', '.join(MEASURES)}"
            )
        if name in found:
            raise ValueError(f"--limit {word}: the limit of {name} is given twice")
        try:
            found[name] = None if value.lower() == "none" else float(value)
        except ValueError:
            found[name] = math.nan
        limit = found[name]
        if limit is not None and not math.isfinite(limit):
            raise ValueError(f"--limit {word}: {value!r} is no number; give one, or none")
    return found
