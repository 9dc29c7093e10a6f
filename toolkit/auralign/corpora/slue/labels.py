"""The labels of the SLUE tasks (arXiv:2111.10367, 2212.10525), and the normalisation of entities.

    >>> entities_from_spans("Malta's part of Europe.", [["GPE", 0, 5], ["LOC", 16, 6]])
    [('GPE', 'malta'), ('LOC', 'europe')]

An entity is a pair (tag, phrase).
"""

import re

from auralign.records import shorten
from auralign.text.characters import compose, straighten

RAW_TAGS = tuple(
    "CARDINAL DATE EVENT FAC GPE LANGUAGE LAW LOC MONEY NORP ORDINAL ORG PERCENT PERSON PRODUCT QUANTITY TIME"
    " WORK_OF_ART".split()
)
"""The tags of OntoNotes."""
COMBINED_TAGS = ("LAW", "NORP", "ORG", "PERSON", "PLACE", "QUANT", "WHEN")
RAW_MARKS = dict(zip("!@#$%^&*()~`{}[<>?", RAW_TAGS, strict=True))
"""Character that opens an entity in a sentence -> tag."""
COMBINED_MARKS = dict(zip("!@#$%^&", COMBINED_TAGS, strict=True))
"""They contradict RAW_MARKS: a sentence must be read with the marks that it was written with."""
CLOSING_MARK = "]"
COMBINED_TAG = (
    dict.fromkeys(["DATE", "TIME"], "WHEN")
    | dict.fromkeys(["CARDINAL", "ORDINAL", "QUANTITY", "MONEY", "PERCENT"], "QUANT")
    | dict.fromkeys(["GPE", "LOC"], "PLACE")
    | {tag: tag for tag in ("NORP", "ORG", "LAW", "PERSON")}
    | dict.fromkeys(["FAC", "EVENT", "WORK_OF_ART", "PRODUCT", "LANGUAGE"])
)
"""Raw tag -> combined tag; None if the combined task excludes it."""

SENTIMENTS = ("Negative", "Neutral", "Positive")
DIALOG_ACTS = tuple(
    "acknowledge answer_agree answer_dis answer_general apology backchannel disfluency other question_check"
    " question_general question_repeat self statement_close statement_general statement_instruct"
    " statement_open statement_problem thanks".split()
)


def entities_from_spans(text, spans) -> list[tuple[str, str]]:
    """The entities of a label cell: `spans` holds (tag, first character, number of characters), or is None.

    Raises ValueError if a span is not within the text or holds no word.
    """
    entities = []
    for tag, start, length in spans or ():
        phrase = normalise_phrase(text[start : start + length]) if start >= 0 and length > 0 else ""
        if not phrase or start + length > len(text):
            raise ValueError(
                f"entity {[tag, start, length]} is no phrase of {shorten(repr(text))}, of {len(text)} characters; "
                "check that the spans belong to this column of text"
            )
        entities.append((tag, phrase))
    return entities


def normalise_phrase(text) -> str:
    """Normalise a phrase as SLUE's scorer does: lower case, without . , ! ? ; and with `'s` as a separate word.

    In addition, the text is composed and its apostrophes are straightened first.
    """
    text = re.sub(r"[.,!?;]", "", straighten(compose(text)).lower())
    return " ".join(re.sub(r"(?<=\w)'s\b", " 's", text).split())
