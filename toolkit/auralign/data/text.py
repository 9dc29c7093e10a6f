"""Text as a faultless recognizer would write it: without case and punctuation.

    >>> normalise('He said: "It’s 3.5 €, the boys’ price!"')
    "he said it's 3.5 € the boys' price"

The gap ledger reads it beside the reference text: what it loses by that, no ear could win back.
"""

import re
import unicodedata

from auralign.records import Records

APOSTROPHES = str.maketrans("’ʼ＇", "'''")
# An apostrophe beside a letter, a point between digits, and signs that stand for words belong to the words.
KEPT = re.compile(r"(?<=[^\W\d_])'|'(?=[^\W\d_])|(?<=\d)[.,:](?=\d)|[%&@#§]")


def normalise(text: str) -> str:
    """Lower case, without punctuation, single spaces; numbers and symbols stay as they are."""
    text = text.translate(APOSTROPHES).lower()
    kept = {match.start() for match in KEPT.finditer(text)}
    letters = (
        letter if place in kept or unicodedata.category(letter)[0] != "P" else " "
        for place, letter in enumerate(text)
    )
    return " ".join("".join(letters).split())


def is_normalised(manifest: Records) -> bool:
    """Whether every text of a manifest is normalised as it stands: reading both would be reading twice."""
    return all(utterance.text == normalise(utterance.text) for utterance in manifest)
