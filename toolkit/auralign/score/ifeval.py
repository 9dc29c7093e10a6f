"""Verifiable instructions: the 25 kinds of IFEval (Zhou et al. 2023, arXiv:2311.07911), each with a rule that reads the answer.

    >>> found = follow("No.", ["length_constraints:number_words", "punctuation:no_comma"],
    ...     [{"num_words": 2, "relation": "less than"}, {}])
    >>> found.strict, found.loose
    ((True, True), (True, True))

The strict reading takes an answer as it is; the loose one also without its first line, its last line, both, and the asterisks of
Markdown, and needs one of these to follow. An argument of 0 is an argument; an instruction or argument that is not known is an
error, and never left out. An empty answer follows nothing.

Differences from the published checks, which need downloads and draw what an item leaves out at random: sentences end at a mark
before white space (there: a trained splitter); languages are found by `auralign.text.language` (there: langdetect); letters of
scripts without spaces count as words; "，" is a comma, and “ ” are quotation marks.
"""

import json
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from auralign.text.language import is_in_language

RELATIONS = {"less than": operator.lt, "at least": operator.ge}
FIXED_ANSWERS = ("My answer is yes.", "My answer is no.", "My answer is maybe.")
UNSPACED = "\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff"  # Thai, kana, Chinese characters
WORD = re.compile(rf"[{UNSPACED}]|[^\W{UNSPACED}]+")
SENTENCE_END = re.compile(r"[.!?]+[\"'”’)\]]*(?:\s+|\Z)|[。！？]+[」”]*")
FENCE = re.compile(r"\A```\w*|```\Z")
QUOTES = ('""', "“”")


@dataclass(frozen=True)
class Followed:
    """Whether each instruction of an item was followed, read strictly and loosely."""

    strict: tuple[bool, ...]
    loose: tuple[bool, ...]


def follow(answer: str, instructions: Sequence[str], arguments: Sequence[Mapping[str, Any]]) -> Followed:
    """Check an answer.

    Arguments
    ---------
    answer : str
    instructions : sequence of str
        Names, such as "punctuation:no_comma".
    arguments : sequence of dict
        Of each instruction; None counts as not given.

    Raises ValueError on an instruction that is not known, and on arguments that it does not have.
    """
    check_arguments(instructions, arguments)
    variants = [variant for variant in _variants(answer) if variant.strip()]
    strict, loose = [], []
    for name, values in zip(instructions, arguments, strict=True):
        given = {key: value for key, value in values.items() if value is not None}
        held = [RULES[name](variant, **given) for variant in variants]
        strict.append(bool(answer.strip()) and held[0])
        loose.append(any(held))
    return Followed(tuple(strict), tuple(loose))


def check_arguments(instructions: Sequence[str], arguments: Sequence[Mapping[str, Any]]) -> None:
    """Raise ValueError, naming the instruction, if `follow` could not check it."""
    if not instructions or len(instructions) != len(arguments):
        raise ValueError(
            f"{len(instructions)} instructions with arguments of {len(arguments)}; give at least one, and arguments of each"
        )
    for name, values in zip(instructions, arguments, strict=True):
        if name not in RULES:
            raise ValueError(f"the instruction {name!r} is none of IFEval's; they are {', '.join(RULES)}")
        given = {key: value for key, value in values.items() if value is not None}
        expected = _expected(RULES[name])
        if given.keys() != expected.keys():
            raise ValueError(
                f"{name}: has the arguments {', '.join(given) or 'none'}; it needs {', '.join(expected) or 'none'}"
            )
        for key, value in given.items():
            kind = expected[key]
            is_bad = not isinstance(value, kind) or isinstance(value, bool)
            if is_bad or (key.endswith("relation") and value not in RELATIONS):
                raise ValueError(f"{name}: the argument {key} is {value!r}; expected {kind.__name__}")


def _expected(rule: Callable[..., bool]) -> dict[str, type]:
    """The arguments of a rule, and their types."""
    names = rule.__code__.co_varnames[1 : rule.__code__.co_argcount]
    return {
        name: list if rule.__annotations__[name] == list[str] else rule.__annotations__[name]
        for name in names
    }


def _variants(answer: str) -> list[str]:
    lines = answer.split("\n")
    cut = ["\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1])]
    return [variant for text in (answer, *cut) for variant in (text, text.replace("*", ""))]


def _existence(answer: str, keywords: list[str]) -> bool:
    return all(word.lower() in answer.lower() for word in keywords)


def _frequency(answer: str, keyword: str, frequency: int, relation: str) -> bool:
    return RELATIONS[relation](answer.lower().count(keyword.strip().lower()), frequency)


def _forbidden_words(answer: str, forbidden_words: list[str]) -> bool:
    return not any(_finds_word(word, answer) for word in forbidden_words)


def _finds_word(word: str, answer: str) -> bool:
    edge = "" if re.search(f"[{UNSPACED}]", word) else r"\b"
    return bool(re.search(f"{edge}{re.escape(word)}{edge}", answer, re.IGNORECASE))


def _letter_frequency(answer: str, letter: str, let_frequency: int, let_relation: str) -> bool:
    return RELATIONS[let_relation](answer.lower().count(letter.lower()), let_frequency)


def _response_language(answer: str, language: str) -> bool:
    return is_in_language(answer, language)


def _number_sentences(answer: str, num_sentences: int, relation: str) -> bool:
    sentences = [part for part in SENTENCE_END.split(answer) if re.search(r"\w", part)]
    return RELATIONS[relation](len(sentences), num_sentences)


def _number_paragraphs(answer: str, num_paragraphs: int) -> bool:
    parts = re.split(r"\s?\*\*\*\s?", answer)
    inner = parts[1:-1]
    return all(part.strip() for part in inner) and sum(bool(part.strip()) for part in parts) == num_paragraphs


def _number_words(answer: str, num_words: int, relation: str) -> bool:
    return RELATIONS[relation](len(WORD.findall(answer)), num_words)


def _nth_paragraph_first_word(answer: str, num_paragraphs: int, nth_paragraph: int, first_word: str) -> bool:
    parts = answer.split("\n\n")
    num_there = sum(bool(part.strip()) for part in parts)
    if (
        num_there != num_paragraphs
        or not 1 <= nth_paragraph <= num_there
        or not parts[nth_paragraph - 1].strip()
    ):
        return False
    word = parts[nth_paragraph - 1].split()[0].lstrip("'\"").lower()
    return re.split(r"[.,?!'\"]", word)[0] == first_word.lower()


def _number_placeholders(answer: str, num_placeholders: int) -> bool:
    return len(re.findall(r"\[.*?\]", answer)) >= num_placeholders


def _postscript(answer: str, postscript_marker: str) -> bool:
    marker = postscript_marker.strip().lower()
    known = {"p.p.s": r"p\.\s?p\.\s?s", "p.s.": r"p\.\s?s\."}
    return bool(re.search(known.get(marker, re.escape(marker)), answer.lower()))


def _number_bullet_lists(answer: str, num_bullets: int) -> bool:
    return len(re.findall(r"^\s*(?:\*[^*]|-)", answer, re.MULTILINE)) == num_bullets


def _constrained_response(answer: str) -> bool:
    return any(fixed in answer for fixed in FIXED_ANSWERS)


def _number_highlighted_sections(answer: str, num_highlights: int) -> bool:
    single = [part for part in re.findall(r"\*([^\n*]*)\*", answer) if part.strip()]
    double = [part for part in re.findall(r"\*\*([^\n*]*)\*\*", answer) if part.strip()]
    return len(single) + len(double) >= num_highlights


def _multiple_sections(answer: str, section_spliter: str, num_sections: int) -> bool:
    return len(re.findall(rf"{re.escape(section_spliter.strip())}\s?\d+", answer)) >= num_sections


def _json_format(answer: str) -> bool:
    try:
        json.loads(FENCE.sub("", answer.strip()).strip())
    except (ValueError, RecursionError):
        return False
    return True


def _title(answer: str) -> bool:
    return any(title.strip("<> ") for title in re.findall(r"<<[^\n]+>>", answer))


def _two_responses(answer: str) -> bool:
    parts = [part.strip() for part in answer.split("******")]
    found = [part for part in parts if part]
    return all(parts[1:-1]) and len(found) == 2 and found[0] != found[1]


def _repeat_prompt(answer: str, prompt_to_repeat: str) -> bool:
    return answer.strip().lower().startswith(prompt_to_repeat.strip().lower())


def _end_checker(answer: str, end_phrase: str) -> bool:
    return answer.strip().strip('"').lower().endswith(end_phrase.strip().lower())


def _quotation(answer: str) -> bool:
    text = answer.strip()
    return len(text) > 1 and text[0] + text[-1] in QUOTES


def _capital_word_frequency(answer: str, capital_frequency: int, capital_relation: str) -> bool:
    return RELATIONS[capital_relation](
        sum(word.isupper() for word in WORD.findall(answer)), capital_frequency
    )


def _english_capital(answer: str) -> bool:
    return answer.isupper() and is_in_language(answer, "en")


def _english_lowercase(answer: str) -> bool:
    return answer.islower() and is_in_language(answer, "en")


def _no_comma(answer: str) -> bool:
    return not {",", "，"} & {*answer}


RULES: dict[str, Callable[..., bool]] = {
    "keywords:existence": _existence,
    "keywords:frequency": _frequency,
    "keywords:forbidden_words": _forbidden_words,
    "keywords:letter_frequency": _letter_frequency,
    "language:response_language": _response_language,
    "length_constraints:number_sentences": _number_sentences,
    "length_constraints:number_paragraphs": _number_paragraphs,
    "length_constraints:number_words": _number_words,
    "length_constraints:nth_paragraph_first_word": _nth_paragraph_first_word,
    "detectable_content:number_placeholders": _number_placeholders,
    "detectable_content:postscript": _postscript,
    "detectable_format:number_bullet_lists": _number_bullet_lists,
    "detectable_format:constrained_response": _constrained_response,
    "detectable_format:number_highlighted_sections": _number_highlighted_sections,
    "detectable_format:multiple_sections": _multiple_sections,
    "detectable_format:json_format": _json_format,
    "detectable_format:title": _title,
    "combination:two_responses": _two_responses,
    "combination:repeat_prompt": _repeat_prompt,
    "startend:end_checker": _end_checker,
    "startend:quotation": _quotation,
    "change_case:capital_word_frequency": _capital_word_frequency,
    "change_case:english_capital": _english_capital,
    "change_case:english_lowercase": _english_lowercase,
    "punctuation:no_comma": _no_comma,
}
