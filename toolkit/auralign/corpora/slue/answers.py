"""Readers of an LLM's answers to the SLUE tasks.

    >>> read_sentiment("Sentiment: positive."), read_sentiment("not positive")
    ('Positive', None)
    >>> read_entities("GPE: Paris\\nthat is all")
    Reading(found=(('GPE', 'paris'),), discarded=('that is all',))
    >>> read_answer("question", 'The answer is "three kinds".'), read_answer("sentiment", "bad")
    ('three kinds', None)
    >>> quotes("nel", "PLACE: malta\\nPLACE: rome")
    ['malta', 'rome']

A reader returns None for an answer that it cannot read; such an answer is scored as wrong, and counted. Readers never guess:
text outside their grammar makes the answer None, or is listed in `Reading.discarded`. An entity is a pair (tag, phrase).
"""

import json
import re
from dataclasses import dataclass

from auralign.corpora.slue.labels import (
    CLOSING_MARK,
    COMBINED_TAGS,
    DIALOG_ACTS,
    RAW_MARKS,
    RAW_TAGS,
    SENTIMENTS,
    normalise_phrase,
)
from auralign.text.characters import compose, straighten

SPAN_TASKS = ("question", "nel")
TEXT_TASKS = ("title", "abstract")


@dataclass(frozen=True)
class Reading:
    """The items found in an answer, in their order, and the pieces that could not be read."""

    found: tuple
    discarded: tuple[str, ...]


def read_answer(task: str, answer: str):
    """The content of an answer to a task; None if it cannot be read.

    ner, nel: a tuple of (tag, phrase), nel in raw or combined tags; lines, JSON or a sentence with SLUE's raw marks. acts: a
    tuple of acts. sentiment: one of three labels.
    question: the quoted words; title, abstract: the text; without surrounding quotes and lead-in ("Answer:", "The title is").

    Raises ValueError on another task.
    """
    answer = compose(answer)
    if task in ("ner", "nel"):
        reading = read_entities(answer, RAW_TAGS if task == "ner" else _BOTH_TAGS)
        if reading is None and is_marked(answer):  # as models of the SLUE toolkit write it, in raw marks
            reading = read_marked(answer)
        return None if reading is None else reading.found
    if task == "sentiment":
        return read_sentiment(answer)
    if task == "acts":
        reading = read_dialog_acts(answer)
        return None if reading is None else reading.found
    if task in ("question", *TEXT_TASKS):
        return _read_quote(answer)
    raise ValueError(f"task {task!r}: there are ner, nel, sentiment, acts, question, title and abstract")


_BOTH_TAGS = tuple(dict.fromkeys((*RAW_TAGS, *COMBINED_TAGS)))
_LEAD = re.compile(
    r"^(?:the\s+)?(?:(?:answer|title|abstract|summary|quotation|quote)(?:\s+is\s*:?|\s*:))\s*", re.IGNORECASE
)
_AROUND = " \t\n\r\"'`*“”‘’"


def _read_quote(answer: str) -> str | None:
    text = answer.strip()
    if text.startswith("```") and text.endswith("```"):
        text = re.sub(r"^```\w*\n?|```$", "", text)
    text = _LEAD.sub("", text.strip(_AROUND)).strip(_AROUND)
    if text.endswith('".') or text.endswith(
        "”."
    ):  # a full stop after the quotes ends the sentence around them
        text = text[:-2]
    text = " ".join(text.strip(_AROUND).split())
    return text if re.search(r"\w", text) else None


def quotes(task: str, answer: str) -> list[str]:
    """The phrases of an answer that must be located in the audio, without repeats."""
    found = read_answer(task, answer) if task in SPAN_TASKS else None
    if found is None:
        return []
    return [found] if task == "question" else list(dict.fromkeys(phrase for _, phrase in found))


def read_marked(sentence, marks=RAW_MARKS) -> Reading:
    """Entities of a sentence with special characters: a mark opens an entity, `]` closes it.

    As in `eval_w2v_ner.py` of the SLUE toolkit, a mark is a word of its own: "50% ]" opens nothing. Discarded are an entity
    that is not closed before the next mark or the end, an empty entity, and a `]` that closes nothing. A sentence without marks
    is readable: it holds no entity.
    """
    found, discarded = [], []
    words = sentence.split()
    opened = None  # the position of the mark
    for position, word in enumerate([*words, None]):
        if word == CLOSING_MARK:
            phrase = "" if opened is None else normalise_phrase(" ".join(words[opened + 1 : position]))
            if phrase:
                found.append((marks[words[opened]], phrase))
            else:
                start = position if opened is None else opened
                discarded.append(" ".join(words[start : position + 1]))
            opened = None
        elif word is None or word in marks:
            if opened is not None:
                discarded.append(" ".join(words[opened:position]))
            opened = position
    return Reading(tuple(found), tuple(discarded))


def is_marked(answer: str) -> bool:
    """Whether an answer is a sentence with special characters: it holds a mark and a `]` as words of their own."""
    words = answer.split()
    return CLOSING_MARK in words and any(word in RAW_MARKS for word in words)


def read_entities(answer, tags=RAW_TAGS) -> Reading | None:
    """Entities of an LLM's answer, as lines or as JSON; None if it holds neither.

    Lines: `TAG: phrase`, optionally after a bullet or a number; `,` or `;` separates several on a line. All that follows the
    colon is one phrase: `GPE: paris, rome`. The phrase `none` is no entity.
    JSON, optionally as the value of the single key `entities`: `[{"tag": "GPE", "phrase": "paris"}]` (also `type` or `label`;
    `text` or `entity`), `[["GPE", "paris"]]`, or `{"GPE": "paris", "DATE": ["may", "june"]}`.
    Either may be in one code fence. Tags match in any case, with spaces or hyphens for `_`. The answers `none`, `no entities`,
    `[]` and `{}` are readable; truncated JSON is not.

    `tags` are the requested ones: RAW_TAGS or COMBINED_TAGS.
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
    """Yield (tag, phrase, line) of each line; the tag is None if the line is no entry."""
    tag = "(?:" + "|".join(re.escape(tag).replace("_", r"[\s_-]") for tag in tags) + r")\b[\"'*`]*\s*:"
    for line in filter(str.strip, body.splitlines()):
        for entry in re.split(rf"[,;]\s*(?=[\"'*`]*{tag})", line, flags=re.IGNORECASE):
            entry = re.sub(r"^\s*(?:[-*•]|\d+[.)])\s+", "", entry).strip()
            name, colon, phrase = entry.partition(":")
            if not colon or re.search(rf"\b{tag}", phrase, re.IGNORECASE):
                name = None  # two entries without a separator: the end of the first would be a guess
            yield name and _bare(name), _bare(phrase), entry


def _json_items(body):
    """(tag, phrase, source) of each item; None if `body` is no JSON; the tag of an item of another form is None."""
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
    """Whether `value` is an object with one key for the tag and one for the phrase; other keys are ignored."""
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


def read_sentiment(answer) -> str | None:
    """The label of SENTIMENTS that an LLM's answer names, or None.

    Case and punctuation are ignored. The label must be alone, with words like `I think it is` and `overall`, or in an answer
    that contains `sentiment`, `label`, `answer` or `class`. An answer with two labels or a negation gives None.
    """
    words = re.findall(r"[a-z]+(?:'[a-z]+)?", straighten(answer).lower())
    named = [label for label in SENTIMENTS if label.lower() in words]
    if len(named) != 1 or any(word in _NEGATIONS or word.endswith("n't") for word in words):
        return None
    others = {*words} - {named[0].lower()}
    return named[0] if others <= _FILLERS or others & _ANNOUNCING else None


_NEGATIONS = frozenset("no non not never neither nor hardly cannot without than".split())
_FILLERS = frozenset("i think believe would say that it it's this is a an the overall mostly".split())
_ANNOUNCING = frozenset("sentiment label answer class".split())


def read_dialog_acts(answer) -> Reading | None:
    """The acts that an LLM's answer lists; None if it lists no act, as every utterance has one.

    Commas, semicolons, line ends or `and` separate acts, which may be in quotes, brackets, a code fence or after bullets, in any
    case, with spaces or hyphens for `_`. The list may follow `dialog acts:` or the like. An item that is not exactly an act is
    discarded.
    """
    body, around = _without_fence(answer)
    if body is None:
        return None
    found, discarded = [], list(around)
    body = re.sub(_ACTS_LEAD, "", body)
    for item in re.split(r"[,;\n]|\band\b", body):
        item = _bare(re.sub(r"^\s*(?:[-*•]|\d+[.)])\s+", "", item))
        act = re.sub(r"[\s_-]+", "_", item).lower()
        if act in DIALOG_ACTS:
            found.append(act)
        elif item:
            discarded.append(item)
    return Reading(tuple(dict.fromkeys(found)), tuple(discarded)) if found else None


_ACTS_LEAD = re.compile(
    r"""^[\s"'*{]*(?:the\s)?(?:dialog(?:ue)?[\s_-])?(?:acts?|labels?|answer)["'*]*\s*(?:(?:are|is)\b\s*:?|:)""",
    re.IGNORECASE,
)


def _without_fence(answer):
    """(text, pieces around it): the content of the code fence; the whole answer without one; None with several."""
    before, *fenced = answer.split("```")
    if not fenced:
        return before.strip(), ()
    if len(fenced) != 2:
        return None, ()
    body = re.sub(r"^\w*\s*\n", "", fenced[0])  # ```json
    return body.strip(), tuple(piece.strip() for piece in (before, fenced[1]) if piece.strip())


def _bare(text):
    return text.strip().strip("\"'`*[]{}()., ")
