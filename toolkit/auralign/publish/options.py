"""The arguments of `PretrainedModel.answer`: lists or single values, and options of decoding and sampling by name."""

import dataclasses
import difflib
from typing import Any

from auralign.data.speech_input import split_list
from auralign.models.llm import Decoding, Sampling
from auralign.records import shorten
from auralign.text.characters import is_str

OPTIONS = tuple(field.name for kind in (Decoding, Sampling) for field in dataclasses.fields(kind))


def parse_options(default: Decoding, options: dict[str, Any]) -> tuple[Decoding, Sampling]:
    """The decoding and the sampling that options name.

    Arguments
    ---------
    default : Decoding
        What counts if an option is absent or None.
    options : dict
        Fields of Decoding and Sampling, by name.

    Returns (Decoding, Sampling).

    Raises ValueError on unknown names, on values out of their range, and on options that exclude each other.
    """
    for name in options:
        if name not in OPTIONS:
            close = difflib.get_close_matches(name, OPTIONS, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(OPTIONS)}"
            raise ValueError(f"no option {name!r}; {hint}")
    given = {
        name: value for name, value in options.items() if value is not None or name == "tokens_per_second"
    }
    names = {field.name for field in dataclasses.fields(Sampling)}
    sampling = Sampling(**{name: value for name, value in given.items() if name in names})
    chosen = {name: value for name, value in given.items() if name not in names}
    if sampling.draws:
        chosen = {"num_beams": 1, **chosen}
        if chosen["num_beams"] != 1:
            raise ValueError(
                f"num_beams {chosen['num_beams']} with temperature {sampling.temperature}: beam search draws no tokens; leave "
                "out one of the two"
            )
    return dataclasses.replace(default, **chosen), sampling


def as_list(speech: Any) -> tuple[list, bool]:
    """The items of a list of speech, or a list of the only one; and whether a list was given."""
    found = split_list(speech)
    return ([speech], False) if found is None else (found, True)


def as_texts(texts: Any, what: str) -> tuple[list[str | None], bool]:
    """The texts of a list, or a list of the only one; and whether a list was given."""
    is_list = isinstance(texts, (list, tuple))
    found = list(texts) if is_list else [texts]
    for index, text in enumerate(found):
        if text is not None and not isinstance(text, str):
            place = f"{what}[{index}]" if is_list else f"the {what}"
            raise ValueError(f"{place} is {type(text).__name__} {shorten(repr(text))}; give a string")
        if text is not None and not is_str(text):
            raise ValueError(
                f"{what} {shorten(repr(text))} has half of a character (a surrogate); give whole ones"
            )
    return found, is_list


def as_text(text: Any, what: str) -> str | None:
    """One text, or None. Raises ValueError for anything else, such as a list."""
    if isinstance(text, (list, tuple)):
        raise ValueError(f"the {what} is {type(text).__name__} {shorten(repr(text))}; give a string")
    return as_texts(text, what)[0][0]


def repeat(items: list, number: int, what: str, is_list: bool) -> list:
    """Items, one for each of a number of answers: those of a list, or the only one for all of them."""
    if is_list and len(items) != number:
        raise ValueError(
            f"{what}: {len(items)} for {number} answers; give one for each, or a single one for all"
        )
    return items if is_list else items * number
