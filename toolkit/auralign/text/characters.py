r"""The steps that all normalisers share: one form of Unicode and one apostrophe.

>>> compose("scho\u0308n") == "schön", straighten("it’s"), straighten("‘tis"), straighten("‘tis", opening=True)
(True, "it's", '‘tis', "'tis")
"""

import unicodedata

APOSTROPHES = "’ʼ＇"
"""Characters written as apostrophes: right single quotation mark, modifier letter, full width."""
OPENING_QUOTE = "‘"
"""A quotation mark that word processors also write as the apostrophe at the start of a word."""


def compose(text: str) -> str:
    """The composed form of Unicode (NFC), in which all texts are compared.

    A letter with a separate accent then equals the letter that includes its accent. Text that the LLM reads or writes is not
    composed.
    """
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def straighten(text: str, *, opening: bool = False) -> str:
    """Write every apostrophe as `'`.

    Arguments
    ---------
    text : str
    opening : bool
        Whether OPENING_QUOTE is an apostrophe too. Default: False, it is a quotation mark.
    """
    return text if text.isascii() else text.translate(_STRAIGHT_OPENING if opening else _STRAIGHT)


_STRAIGHT = str.maketrans(dict.fromkeys(APOSTROPHES, "'"))
_STRAIGHT_OPENING = _STRAIGHT | str.maketrans(OPENING_QUOTE, "'")
