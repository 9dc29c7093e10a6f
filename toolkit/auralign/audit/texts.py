"""Measures of targets that need no LLM: content, attributes, overlap, filters, duplicates, language, test text.

>>> content_share("The meeting starts at nine.", "Nine? I will be there."), overlap("three five", "three five nine")
(0.3333333333333333, 0.6666666666666666)
>>> language_of("this is what you said"), language_of("das ist nicht von mir"), language_of("Это да"), language_of("three")
('en', 'de', 'cyrillic', 'latin')
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from auralign.audit.examples import Example
from auralign.files import hash_value
from auralign.generate.filters import Answered, check
from auralign.records import Records
from auralign.text.attributes import words_for
from auralign.text.words import is_unknown, plain

# Words that carry grammar and not content, by language; they also tell languages of Latin script apart.
FUNCTION_WORDS = {
    "en": "the a an and or but of to in on at is are was were be been it its this that these those you your he she they we i me "
    "my his her their our us him them with for from by as not no do does did have has had will would can could there here what "
    "which who so if then than up out about into just very",
    "de": "der die das den dem des ein eine einen einem einer und oder aber von zu in im an auf ist sind war waren sein es dies "
    "nicht kein ich du er sie wir ihr mich mir mein mit fuer für bei als auch so wenn dann was wer hat habe haben wird zum zur",
    "fr": "le la les un une des et ou mais de du à au aux en dans sur est sont était être il elle ils nous vous je tu me mon ma "
    "pas ne que qui avec pour par ce cette ces son sa ses",
    "es": "el la los las un una y o pero de del a al en es son era ser él ella ellos nosotros yo tú me mi no que con para por "
    "este esta estos su sus se lo como",
    "it": "il lo la i gli le un una e o ma di del della a al in è sono era essere lui lei noi voi io mi mio non che con per da "
    "questo questa si come",
    "pt": "o a os as um uma e ou mas de do da dos em no na é são era ser ele ela nós eu meu não que com para por este esta se "
    "como você",
    "nl": "de het een en of maar van te in op is zijn was waren het hij zij wij ik je mijn niet dat die met voor door als ook "
    "dan wat",
}
FUNCTION = {code: frozenset(text.split()) for code, text in FUNCTION_WORDS.items()}
GRAMMAR = frozenset().union(*FUNCTION.values())
LEAST_HITS = 2  # function words that show a language
UNSPACED = ("cjk", "hiragana", "katakana", "thai", "lao", "khmer", "myanmar")  # words are not separated
LATIN = "latin"


def spans(text: str) -> list[tuple[int, int]]:
    """Start and end of each word of a text, without the punctuation at its edges; of each letter if words are not separated."""
    found, start = [], None
    by_letter = script_of(text) in UNSPACED
    for at, letter in enumerate(f"{text} "):
        is_part = unicodedata.category(letter)[0] in "LMN" or (letter in "'’-" and start is not None)
        if start is not None and (not is_part or by_letter):
            end = at
            while text[end - 1] in "'’-":
                end -= 1
            found.append((start, end))
            start = None
        if is_part and start is None and letter not in "'’-":
            start = at
    return found


def word_list(text: str) -> list[str]:
    """The words of a text as they are compared: without case and apostrophes."""
    return [plain(text[start:end]) for start, end in spans(text)]


def content_spans(text: str) -> list[tuple[int, int]]:
    """Start and end of each content word: of each word that is not a function word."""
    return [span for span in spans(text) if text[span[0] : span[1]].lower().replace("’", "'") not in GRAMMAR]


def content_share(text: str, response: str) -> float | None:
    """The share of a transcript's distinct content words that the target mentions; None if it has none."""
    wanted = {plain(text[start:end]) for start, end in content_spans(text)}
    return len(wanted & {*word_list(response)}) / len(wanted) if wanted else None


def overlap(text: str, response: str) -> float | None:
    """The share of the target's words that are in the transcript, each as often as it is said; None of a target without words."""
    said, answered = Counter(word_list(text)), Counter(word_list(response))
    return (said & answered).total() / answered.total() if answered else None


def mentions(response: str, value: Any, name: str = "") -> bool:
    """Whether the words of an attribute's value, or other words for it, follow each other in the target.

    >>> mentions("A middle-aged woman, happy.", "Happy"), mentions("She is unhappy", "happy")
    (True, False)
    >>> mentions("You sound like a young adult.", 25, "age")
    True
    """
    found = word_list(response)
    return any(_holds(found, word_list(words)) for words in words_for(name, value))


def _holds(found: list[str], wanted: list[str]) -> bool:
    size = len(wanted)
    return bool(wanted) and any(found[at : at + size] == wanted for at in range(len(found) - size + 1))


def script_of(text: str) -> str:
    """The script of most letters, by their names in Unicode: "latin", "cjk", "cyrillic"; "" without letters."""
    counts = Counter(
        unicodedata.name(letter, "?").split()[0].lower()
        for letter in text
        if unicodedata.category(letter)[0] == "L"
    )
    if counts["hiragana"] + counts["katakana"]:
        return "hiragana"  # Japanese, whatever the number of its Chinese characters
    return max(counts, key=lambda name: (counts[name], name)) if counts else ""


def language_of(text: str) -> str:
    """The script of a text, or the code of a language of Latin script with most function words, if at least two and no tie."""
    script = script_of(text)
    if script != LATIN:
        return script
    found = [text[start:end].lower() for start, end in spans(text)]
    hits = {code: sum(word in words for word in found) for code, words in FUNCTION.items()}
    best = sorted(hits, key=lambda code: -hits[code])
    return best[0] if hits[best[0]] >= LEAST_HITS and hits[best[0]] > hits[best[1]] else LATIN


def is_other_language(text: str, response: str) -> bool:
    """Whether a target is in another language than the transcript, as far as `language_of` tells."""
    languages = {language_of(text), language_of(response)} - {""}
    scripts = {script_of(text), script_of(response)} - {""}
    return len(scripts) > 1 or len(languages) > 1 and LATIN not in languages


def swap_word(text: str, others: Iterable[str], avoid: str, rng: Random) -> str | None:
    """The transcript with one content word replaced by one that neither it nor `avoid` has; None if there is no such word.

    Arguments
    ---------
    text : str
    others : iterable of str
        The words to choose from.
    avoid : str
        The target.
    rng : Random
    """
    places = content_spans(text)
    taken = {*word_list(text), *word_list(avoid)}
    choices = [word for word in others if plain(word) not in taken]
    if not places or not choices:
        return None
    start, end = rng.choice(places)
    word = rng.choice(choices)
    word = word[0].upper() + word[1:] if text[start].isupper() else word
    return text[:start] + word + text[end:]


@dataclass
class Texts:
    """Counts over all targets, one at a time.

    Arguments
    ---------
    tests : list of Records
        Of Utterance: the test sets, whose text must not be in the targets.
    """

    tests: list[Records]
    num: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    sums: Counter[str] = field(default_factory=Counter)
    languages: Counter[str] = field(default_factory=Counter)
    attributes: dict[str, Counter[str]] = field(default_factory=dict)
    shown: dict[str, str] = field(default_factory=dict)  # by measure, the first target that it counts

    def __post_init__(self) -> None:
        self._seen: set[str] = set()
        self._said: dict[str, str] = {}  # hash of a target -> hash of the transcript that it answers first
        self._held_out = {
            plain(utterance.text): f"{test.path}: {utterance.id}"
            for test in self.tests
            for utterance in test
            if plain(utterance.text)
        }

    def add(self, example: Example) -> None:
        """Count one target."""
        self.num += 1
        said, answered = plain(example.text), plain(example.response)
        reason = check(Answered(example.response, "stop" if example.finished else "length"))
        if reason:
            self._count(example, reason)
        for name, value in (
            ("content", content_share(example.text, example.response)),
            ("overlap", overlap(example.text, example.response)),
        ):
            if value is not None:
                self.counts[name] += 1
                self.sums[name] += value  # type: ignore[assignment]
        if answered and said == answered:
            self._count(example, "verbatim")
        if not example.finished:
            self._count(example, "cut off")
        if is_other_language(example.text, example.response):
            self._count(example, "other language")
        self.languages[language_of(example.response) or "no letters"] += 1
        for name, value in example.attributes.items():
            if is_unknown(value):
                continue
            of_name = self.attributes.setdefault(name, Counter())
            of_name["known"] += 1
            of_name["mentioned"] += mentions(example.response, value, name)
        self._compare(example, said, answered)

    def _compare(self, example: Example, said: str, answered: str) -> None:
        whole = hash_value([example.utt_id or said, example.asked, example.response])[:16]
        if whole in self._seen:
            self._count(example, "duplicate")
        self._seen.add(whole)
        if answered:
            of_said = hash_value(said)[:16]
            if self._said.setdefault(hash_value(answered)[:16], of_said) != of_said:
                self._count(example, "same answer")
        others = (("other utterance's transcript", plain(text)) for text in example.others)
        for what, text in (("transcript", said), ("target", answered), *others):
            if text and text in self._held_out:
                self._count(example, "test text", f"its {what} is that of {self._held_out[text]}")
                break

    def _count(self, example: Example, name: str, why: str = "") -> None:
        self.counts[name] += 1
        self.shown.setdefault(name, f"{example.place}: {why or example.response}")

    def share(self, name: str) -> float:
        """The share of targets that have something."""
        return self.counts[name] / self.num

    def mean(self, name: str) -> float | None:
        """The mean of a value over the targets that have it."""
        return self.sums[name] / self.counts[name] if self.counts[name] else None

    def coverage(self) -> Mapping[str, float]:
        """By attribute, the share of the targets about utterances that have it that mention its value."""
        return {name: found["mentioned"] / found["known"] for name, found in self.attributes.items()}
