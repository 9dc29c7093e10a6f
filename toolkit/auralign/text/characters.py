r"""The steps that all normalisers are made of: one form of Unicode, one apostrophe.

>>> compose("scho\u0308n") == "schön", straighten("it’s"), straighten("‘tis"), straighten("‘tis", opening=True)
(True, "it's", '‘tis', "'tis")
"""

import unicodedata

APOSTROPHES = "’ʼ＇"
"""What is written for an apostrophe: right single quotation mark, modifier letter, full width."""
OPENING_QUOTE = "‘"
"""A quotation mark; word processors also write it for an apostrophe at the start of a word."""


def compose(text: str) -> str:
    """The composed form of Unicode (NFC), in which all texts are compared.

    A letter with a separate accent and the letter that includes its accent are then the same text. What the LLM reads and
    writes stays as it is.
    """
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def straighten(text: str, *, opening: bool = False) -> str:
    """Write every apostrophe as `'`.

    Arguments
    ---------
    text : str
    opening : bool
        Whether OPENING_QUOTE is an apostrophe too. False by default: it is a quotation mark.
    """
    return text if text.isascii() else text.translate(_STRAIGHT_OPENING if opening else _STRAIGHT)


_STRAIGHT = str.maketrans(dict.fromkeys(APOSTROPHES, "'"))
_STRAIGHT_OPENING = _STRAIGHT | str.maketrans(OPENING_QUOTE, "'")
