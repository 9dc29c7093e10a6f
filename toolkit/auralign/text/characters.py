r"""Unicode: the steps that all normalisers share, one form of it and one apostrophe; and characters that are not seen.

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


def show_controls(text: str) -> str:
    r"""The text with characters that are not seen, or turn what follows them, written as their codes, for reports.

    Line ends and tabs stay, and so do joiners, without which some scripts and emoji fall apart.

    >>> show_controls("red\x1b[31m \u202eder\n")
    'red⟨U+001B⟩[31m ⟨U+202E⟩der\n'
    """
    letters = set(text) - SEEN_CONTROLS  # a report has millions of characters, and few different ones
    unseen = [ord(letter) for letter in letters if unicodedata.category(letter) in UNSEEN]
    return text.translate({number: f"⟨U+{number:04X}⟩" for number in unseen})


UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
SEEN_CONTROLS = frozenset("\n\t\u200c\u200d")
_STRAIGHT = str.maketrans(dict.fromkeys(APOSTROPHES, "'"))
_STRAIGHT_OPENING = _STRAIGHT | str.maketrans(OPENING_QUOTE, "'")


class LinesError(ValueError):
    """An error whose message has several lines, such as a YAML to be copied, which a script prints as they are."""


def escape_halves(text: str) -> str:
    """A text in which halves of characters, which cannot be written as UTF-8, are escaped.

    >>> escape_halves("a\\udcff")
    'a\\\\udcff'
    """
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def is_str(value: object) -> bool:
    """Whether it is a string that can be written as UTF-8: JSON may have halves of characters."""
    return isinstance(value, str) and not any("\ud800" <= letter <= "\udfff" for letter in value)
