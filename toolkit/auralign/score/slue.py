"""Scores of the SLUE tasks (Shon et al., arXiv:2111.10367 and 2212.10525), and how an LLM's answers are read.

    >>> read_sentiment("Sentiment: positive."), read_sentiment("not positive")
    ('Positive', None)
    >>> read_entities("GPE: Paris\\nthat is all")
    Reading(found=(('GPE', 'paris'),), discarded=('that is all',))
    >>> score_entities([[("GPE", "paris")]], [None]).num_unparsed
    1

Scores are fractions, and 0 / 0 is 0. An answer that cannot be read is None: it stays in the score as a wrong
one, and is counted. Readers never guess: what is outside their grammar makes the answer None, or is listed in
`Reading.discarded`. An entity is a pair (tag, phrase).
"""

import json
import math
import re
from collections import Counter
from dataclasses import dataclass

import numpy as np

from auralign.data.slue_labels import (
    CLOSING_MARK,
    COMBINED_TAG,
    DIALOG_ACTS,
    RAW_MARKS,
    RAW_TAGS,
    SENTIMENTS,
    normalise_phrase,
)

# For callers alone: scores and labels are one subject.
from auralign.data.slue_labels import COMBINED_MARKS as COMBINED_MARKS
from auralign.data.slue_labels import COMBINED_TAGS as COMBINED_TAGS
from auralign.data.slue_labels import entities_from_spans as entities_from_spans
from auralign.records import shorten

FRAME_S = 0.01
WORD_TOLERANCE = 0.8


@dataclass(frozen=True)
class Scores:
    """Fractions, 0 to 1."""

    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class LabelScores:
    """`micro` counts everything together; `macro` is the mean of the labels' own scores."""

    micro: Scores
    macro: Scores
    labels: dict[str, Scores]
    num_unparsed: int


@dataclass(frozen=True)
class SpanScores:
    """`frame_f1` is the mean of `questions`: float64 (N,), one F1 for each."""

    frame_f1: float
    questions: np.ndarray
    num_failed: int


@dataclass(frozen=True)
class LocationScores:
    """`num_absent` counts utterances without a prediction, whether they hold an entity or not."""

    scores: Scores
    num_absent: int


@dataclass(frozen=True)
class Reading:
    """What was found in an answer, in its order, and the pieces of it that were not understood."""

    found: tuple
    discarded: tuple[str, ...]


# Named entities


def score_entities(references, hypotheses, *, label_only=False) -> LabelScores:
    """Scores over the entities of N utterances; the macro average is over the tags seen on either side.

    An entity is right as many times as the reference of its utterance holds it: repeats count.
    Give both sides raw or both combined tags (`combine_tags`).

    Arguments
    ---------
    references : sequence of N sequences of (tag, phrase)
    hypotheses : sequence of N sequences of (tag, phrase)
        None where an answer could not be read.
    label_only : bool
        Compare tags alone: "label-F1".
    """
    _check_counts(references, hypotheses)
    right, expected, found = Counter(), Counter(), Counter()
    for reference, hypothesis in zip(references, hypotheses, strict=True):
        sides = [
            Counter((tag, None if label_only else phrase) for tag, phrase in entities)
            for entities in (reference, hypothesis or ())
        ]
        for count, entities in zip((expected, found, right), (*sides, sides[0] & sides[1]), strict=True):
            for (tag, _), times in entities.items():
                count[tag] += times
    return _score_labels(dict.fromkeys([*expected, *found]), right, expected, found, hypotheses)


def combine_tags(entities) -> list[tuple[str, str]]:
    """Raw entities under their combined tags, without those that the combined task leaves out.

    Raises ValueError at a tag that is none of RAW_TAGS: combined tags among them were combined before.
    """
    combined = []
    for tag, phrase in entities:
        if tag not in COMBINED_TAG:
            raise ValueError(
                f"{shorten(repr(phrase))} has the tag {shorten(repr(tag))}, none of the raw tags {', '.join(RAW_TAGS)}"
            )
        if COMBINED_TAG[tag] is not None:
            combined.append((COMBINED_TAG[tag], phrase))
    return combined


def read_marked(sentence, marks=RAW_MARKS) -> Reading:
    """Entities of a sentence with special characters: a mark opens one, `]` closes it.

    An entity that is not closed before the next mark or the end is discarded, and so is an empty one, and a
    `]` that closes nothing. A sentence without marks is readable: it holds no entity.
    """
    found, discarded = [], []
    opened = None  # the position of the mark
    for position, character in enumerate([*sentence, None]):
        if character == CLOSING_MARK:
            phrase = "" if opened is None else normalise_phrase(sentence[opened + 1 : position])
            if phrase:
                found.append((marks[sentence[opened]], phrase))
            else:
                discarded.append(sentence[position if opened is None else opened : position + 1])
            opened = None
        elif character is None or character in marks:
            if opened is not None:
                discarded.append(sentence[opened:position].strip())
            opened = position
    return Reading(tuple(found), tuple(discarded))


def read_entities(answer, tags=RAW_TAGS) -> Reading | None:
    """Entities of an LLM's answer, as lines or as JSON; None where it holds neither.

    Lines: `TAG: phrase`, after a bullet or a number if any; several on a line stand apart by `,` or `;`. All
    that follows is the phrase: `GPE: paris, rome` is one. `none` for a phrase is no entity.
    JSON, in an object of the one key `entities` or not: `[{"tag": "GPE", "phrase": "paris"}]` (also `type` or
    `label`; `text` or `entity`), `[["GPE", "paris"]]`, or `{"GPE": "paris", "DATE": ["may", "june"]}`.
    Either may stand in one code fence. Tags match in any case, with spaces or hyphens for `_`. The answers
    `none`, `no entities`, `[]` and `{}` are readable. JSON that breaks off is not.

    `tags` are those asked for: RAW_TAGS or COMBINED_TAGS.
    """
    body, around = _without_fence(answer)
    if body is None:
        return None
    if _bare(body).lower() in ("none", "no entities", "no entity", "no named entities"):
        return Reading((), around)
    names = {tag.lower(): tag for tag in tags}
    items = _json_items(body) if body.startswith(("[", "{")) else list(_line_items(body, tags))
    if items is None:
        return None
    found, discarded, said_none = [], list(around), not items and body != ""
    for tag, phrase, source in items:
        tag = names.get(re.sub(r"[\s_-]+", "_", tag.strip()).lower()) if isinstance(tag, str) else None
        phrase = normalise_phrase(phrase) if isinstance(phrase, str) else None
        if tag and phrase == "none":
            said_none = True
        elif tag and phrase:
            found.append((tag, phrase))
        else:
            discarded.append(source)
    return Reading(tuple(found), tuple(discarded)) if found or said_none else None


def _line_items(body, tags):
    """Yield (tag, phrase, line) of each line; the tag is None where the line is no entry."""
    tag = "(?:" + "|".join(re.escape(tag).replace("_", r"[\s_-]") for tag in tags) + r")\b[\"'*`]*\s*:"
    for line in filter(str.strip, body.splitlines()):
        for entry in re.split(rf"[,;]\s*(?=[\"'*`]*{tag})", line, flags=re.IGNORECASE):
            entry = re.sub(r"^\s*(?:[-*•]|\d+[.)])\s+", "", entry).strip()
            name, colon, phrase = entry.partition(":")
            if not colon or re.search(rf"\b{tag}", phrase, re.IGNORECASE):
                name = None  # one entry runs into the next: where the first ends is a guess
            yield name and _bare(name), _bare(phrase), entry


def _json_items(body):
    """(tag, phrase, source) of each item, None where this is no JSON; an item of another form has no tag."""
    try:
        value = json.loads(body, object_pairs_hook=_Pairs)  # pairs, as a tag may come twice
    except (ValueError, RecursionError):
        return None
    if isinstance(value, _Pairs) and [key for key, _ in value] == ["entities"]:
        value = value[0][1]
    if isinstance(value, _Pairs) and not _is_entry(value):
        pairs = [
            (tag, phrase)
            for tag, phrases in value
            for phrase in ((phrases or ["none"]) if type(phrases) is list else [phrases])
        ]
        return [(tag, "none" if phrase is None else phrase, f"{tag}: {phrase}") for tag, phrase in pairs]
    return [(*_json_entry(item), str(item)) for item in (value if type(value) is list else [value])]


class _Pairs(list):
    """The (key, value) pairs of a JSON object."""


def _is_entry(value):
    """Whether this is an object with one key for the tag and one for the phrase; other keys do not matter."""
    if not isinstance(value, _Pairs):
        return False
    keys = [key.lower() for key, _ in value]
    return all(sum(key in names for key in keys) == 1 for names in (_TAG_KEYS, _PHRASE_KEYS))


def _json_entry(item):
    if _is_entry(item):
        return tuple(
            next(value for key, value in item if key.lower() in names) for names in (_TAG_KEYS, _PHRASE_KEYS)
        )
    return tuple(item) if type(item) is list and len(item) == 2 else (None, None)


_TAG_KEYS = ("tag", "type", "label")
_PHRASE_KEYS = ("phrase", "text", "entity")


# Sentiment


def score_sentiment(references, predictions, *, union=False) -> LabelScores:
    """Scores of N sentiments, averaged over exactly the three labels.

    A prediction that is none of them is wrong and counts as unparsed; `micro` is the accuracy. With `union`,
    the rule of the published numbers, the average is over the labels that either side holds: an answer in the
    LLM's own words is one more class, and a label that nobody has is none.

    Raises ValueError where a reference is none of the labels, and with `union` where a prediction is None.
    """
    _check_counts(references, predictions)
    _check_labels(references, SENTIMENTS)
    labels = SENTIMENTS
    if union:
        if None in predictions:
            raise ValueError(
                "a prediction is None; averaged over the union of labels, give answers as they were"
            )
        labels = sorted({*references, *predictions})
    right = Counter(one for one, other in zip(references, predictions, strict=True) if one == other)
    known = [label if label in SENTIMENTS else None for label in predictions]
    return _score_labels(labels, right, Counter(references), Counter(predictions), known)


def read_sentiment(answer) -> str | None:
    """The one label of SENTIMENTS that an LLM's answer names, or None.

    In any case and punctuation: the label alone, or with words like `I think it is` and `overall`, or in an
    answer that speaks of a `sentiment`, `label`, `answer` or `class`. Two labels, or a negation, are None.
    """
    words = re.findall(r"[a-z]+(?:'[a-z]+)?", answer.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"))
    named = [label for label in SENTIMENTS if label.lower() in words]
    if len(named) != 1 or any(word in _NEGATIONS or word.endswith("n't") for word in words):
        return None
    others = {*words} - {named[0].lower()}
    return named[0] if others <= _FILLERS or others & _ANNOUNCING else None


_NEGATIONS = frozenset("no non not never neither nor hardly cannot without than".split())
_FILLERS = frozenset("i think believe would say that it it's this is a an the overall mostly".split())
_ANNOUNCING = frozenset("sentiment label answer class".split())


# Dialog acts


def score_dialog_acts(references, predictions) -> LabelScores:
    """Scores of N sets of dialog acts, averaged over all 18 acts: one that nobody has scores 0.

    Arguments
    ---------
    references : sequence of N collections of acts
    predictions : sequence of N collections of acts
        None where an answer could not be read; an act named twice counts once.
    """
    _check_counts(references, predictions)
    right, expected, found = Counter(), Counter(), Counter()
    for reference, prediction in zip(references, predictions, strict=True):
        reference, prediction = set(reference), set(prediction or ())
        _check_labels(reference | prediction, DIALOG_ACTS)
        expected.update(reference)
        found.update(prediction)
        right.update(reference & prediction)
    return _score_labels(DIALOG_ACTS, right, expected, found, predictions)


def read_dialog_acts(answer) -> Reading | None:
    """The acts that an LLM's answer lists, or None where it lists none: every utterance has one.

    Acts stand apart by commas, semicolons, line ends or `and`, in quotes, brackets, a code fence or after
    bullets if need be, in any case, with spaces or hyphens for `_`. The list may follow `dialog acts:` or the
    like. An item that is not word for word an act is discarded.
    """
    body, around = _without_fence(answer)
    if body is None:
        return None
    found, discarded = [], list(around)
    body = re.sub(_LEAD, "", body)
    for item in re.split(r"[,;\n]|\band\b", body):
        item = _bare(re.sub(r"^\s*(?:[-*•]|\d+[.)])\s+", "", item))
        act = re.sub(r"[\s_-]+", "_", item).lower()
        if act in DIALOG_ACTS:
            found.append(act)
        elif item:
            discarded.append(item)
    return Reading(tuple(dict.fromkeys(found)), tuple(discarded)) if found else None


_LEAD = re.compile(
    r"""^[\s"'*{]*(?:the\s)?(?:dialog(?:ue)?[\s_-])?(?:acts?|labels?|answer)["'*]*\s*(?::|are\b|is\b)""",
    re.IGNORECASE,
)


# Spans of time


def score_spans(references, predictions) -> SpanScores:
    """Frame-F1 of N spoken answers: the best over a question's gold spans, and the mean over the questions.

    Arguments
    ---------
    references : sequence of N sequences of (start_s, end_s)
    predictions : sequence of N (start_s, end_s)
        None where the prediction failed: it scores 0.

    Raises ValueError where a question has no gold span, or a span is not finite or ends before it starts.
    """
    _check_counts(references, predictions)
    questions = np.zeros(len(references))
    for position, (spans, prediction) in enumerate(zip(references, predictions, strict=True)):
        if not spans:
            raise ValueError(f"question {position} has no gold span: its score is undefined; leave it out")
        if prediction is not None:
            questions[position] = max(frame_f1(prediction, span) for span in spans)
    return SpanScores(float(np.mean(questions)), questions, _count_none(predictions))


def frame_f1(prediction, reference) -> float:
    """F1 of the overlap of two spans (start_s, end_s): 1 for equal ones, else 0 where one has no length."""
    (start, end), (gold_start, gold_end) = (_check_span(span) for span in (prediction, reference))
    if (start, end) == (gold_start, gold_end):
        return 1.0
    overlap = max(0.0, min(end, gold_end) - max(start, gold_start))
    return _f1(_ratio(overlap, end - start), _ratio(overlap, gold_end - gold_start))


def score_entity_frames(references, predictions) -> LocationScores:
    """Scores over frames of 10 ms: those in an entity on either side, of all utterances together.

    Arguments
    ---------
    references : dict, utterance -> sequence of (start_s, end_s)
        Every utterance, also those without an entity: what is predicted there is wrong.
    predictions : dict, utterance -> sequence of (start_s, end_s)
        An utterance that is absent or None is missed.
    """
    _check_utterances(references, predictions)
    counts = [
        count_entity_frames(spans, predictions.get(utterance) or ())
        for utterance, spans in references.items()
    ]
    return LocationScores(
        _scores(*map(sum, zip(*counts, strict=True))), _count_absent(references, predictions)
    )


def count_entity_frames(spans, predicted) -> tuple[int, int, int]:
    """Frames of one utterance that are in an entity (right, expected, found); spans as of `score_entity_frames`."""
    gold, marked = _frames(spans), _frames(predicted)
    expected, found = _count_covered(gold), _count_covered(marked)
    return expected + found - _count_covered(gold + marked), expected, found


def score_entity_words(words, predictions, *, tolerance=WORD_TOLERANCE, forgive_tail=False) -> LocationScores:
    """Scores over words: one is found where predicted spans cover at least `tolerance` of its duration.

    Arguments
    ---------
    words : dict, utterance -> sequence of (start_s, end_s, in_entity)
        Every word of every utterance, without silences; a word without duration is never found.
    predictions : dict, utterance -> sequence of (start_s, end_s)
        An utterance that is absent or None is missed.
    tolerance : float
        Above 0, at most 1.
    forgive_tail : bool
        The rule of the published numbers: an entity's word that starts after the end of the last span
        predicted in the utterance is not missed. It flatters; frames have no such rule.
    """
    if not 0 < tolerance <= 1:
        raise ValueError(f"tolerance {tolerance}: it is a share of a word's duration, above 0 and at most 1")
    _check_utterances(words, predictions)
    counts = [
        count_entity_words(
            timed, predictions.get(utterance) or (), tolerance=tolerance, forgive_tail=forgive_tail
        )
        for utterance, timed in words.items()
    ]
    return LocationScores(_scores(*map(sum, zip(*counts, strict=True))), _count_absent(words, predictions))


def count_entity_words(
    words, predicted, *, tolerance=WORD_TOLERANCE, forgive_tail=False
) -> tuple[int, int, int]:
    """Words of one utterance that are in an entity (right, expected, found); arguments as of `score_entity_words`."""
    right = expected = found = 0
    spans = _merge(map(_check_span, predicted))
    for start, end, in_entity in words:
        _check_span((start, end))
        covered = sum(max(0.0, min(end, last) - max(start, first)) for first, last in spans)
        hit = _ratio(covered, end - start) >= tolerance
        forgiven = forgive_tail and spans and start >= spans[-1][1]
        right += bool(hit and in_entity)
        expected += bool(in_entity and not forgiven)
        found += hit
    return right, expected, found


def _frames(spans):
    """(first, end) frames; the published numbers need this very division, by which 0.47 s is 46."""
    return [(int(start / FRAME_S), int(end / FRAME_S)) for start, end in map(_check_span, spans)]


def _count_covered(intervals):
    return sum(end - start for start, end in _merge(intervals))


def _merge(intervals):
    """The same places as sorted intervals that do not overlap."""
    merged = []
    for start, end in sorted(intervals):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def _count_absent(utterances, predictions):
    return sum(predictions.get(utterance) is None for utterance in utterances)


# What they share


def _score_labels(labels, right, expected, found, answers):
    by_label = {label: _scores(right[label], expected[label], found[label]) for label in labels}
    return LabelScores(
        micro=_scores(right.total(), expected.total(), found.total()),
        macro=Scores(
            *(
                float(np.mean([getattr(scores, name) for scores in by_label.values()])) if by_label else 0.0
                for name in ("precision", "recall", "f1")
            )
        ),
        labels=by_label,
        num_unparsed=_count_none(answers),
    )


def _scores(right, expected, found):
    precision, recall = _ratio(right, found), _ratio(right, expected)
    return Scores(precision, recall, _f1(precision, recall))


def _f1(precision, recall):
    return _ratio(2 * precision * recall, precision + recall)


def _ratio(part, whole):
    return part / whole if whole else 0.0


def _count_none(answers):
    return sum(answer is None for answer in answers)


def _without_fence(answer):
    """(text, pieces around it): what is in the code fence, all of it without one, None with several."""
    before, *fenced = answer.split("```")
    if not fenced:
        return before.strip(), ()
    if len(fenced) != 2:
        return None, ()
    body = re.sub(r"^\w*\s*\n", "", fenced[0])  # ```json
    return body.strip(), tuple(piece.strip() for piece in (before, fenced[1]) if piece.strip())


def _bare(text):
    return text.strip().strip("\"'`*[]{}()., ")


def _check_counts(references, predictions):
    if len(references) != len(predictions):
        raise ValueError(
            f"{len(references)} references but {len(predictions)} predictions: each needs its own; "
            "give None for one that could not be read"
        )
    if not len(references):
        raise ValueError("no reference to score against: a score over nothing is undefined")


def _check_labels(labels, known):
    unknown = sorted({str(label) for label in labels if label not in known})
    if unknown:
        raise ValueError(
            f"label {unknown[0]!r} is none of {', '.join(known)}; leave out what the task has not"
        )


def _check_utterances(references, predictions):
    if not references:
        raise ValueError("no utterance to score: a score over nothing is undefined")
    unknown = sorted(str(utterance) for utterance in predictions if utterance not in references)
    if unknown:
        raise ValueError(
            f"a prediction for utterance {unknown[0]!r}, which the references lack; "
            "list it there, with no entity if it has none"
        )


def _check_span(span):
    start, end = span
    if not (math.isfinite(start) and math.isfinite(end) and start <= end):
        raise ValueError(f"span from {start} s to {end} s; give None for a prediction that failed")
    return start, end
