"""The texts of the pocket corpus: filled templates, and sentences that the LLM itself wrote.

    splits = make_texts(num_train=12_000, seed=1)

Each held-out group holds one thing that training lacks: the combination, the template, a word, or the whole sentence.
"""

import functools
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from random import Random

import yaml

from auralign.records import Question

GRAMMAR = Path(__file__).with_name("grammar.yaml")
LLM_TEXTS = Path(__file__).with_name("llm_texts.txt")
SLOT = re.compile(r"\{(\w+)\}")
NUMBERS = "zero one two three four five six seven eight nine ten".split()
ARITHMETIC = {"sum": lambda a, b: a + b, "product": lambda a, b: a * b, "difference": lambda a, b: a - b}
NUM_VALID, NUM_TEST = 120, 60  # texts of the validation set, and of each group of the test set
WORD_STRINGS = "strings of words"
MAX_WORDS = 1_500  # of the training vocabulary


@dataclass(frozen=True)
class Text:
    """A text and what it was made of.

    Arguments
    ---------
    words : str
        The text itself.
    template : str
        "" if the LLM wrote it.
    fillers : tuple of str
        Words in the slots of the template, in order.
    """

    words: str
    template: str = ""
    fillers: tuple[str, ...] = ()


class Grammar:
    """The templates and words of grammar.yaml."""

    def __init__(self, path=GRAMMAR):
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        self.keys = content["keys"]
        self.templates, self.new_templates = content["templates"], content["held_out"]["templates"]
        self.words, self.new_words = (
            {kind: [word.strip() for word in words.split(",")] for kind, words in named.items()}
            for named in (content["words"], content["held_out"]["words"])
        )

    def fill(self, template: str, rng: Random, *, new_word: bool = False) -> Text:
        """Fill a template with training words; with `new_word` one slot gets a word that is held out."""
        kinds = SLOT.findall(template)
        fillers = [rng.choice(self.words[kind]) for kind in kinds]
        if new_word:
            place = rng.choice([number for number, kind in enumerate(kinds) if kind in self.new_words])
            fillers[place] = rng.choice(self.new_words[kinds[place]])
        parts = iter(fillers)
        words = SLOT.sub(lambda _: next(parts), template)
        words = re.sub(r"\b([Aa])(?= [aeiou])", r"\1n", words)  # an elephant
        return Text(words[0].upper() + words[1:], template, tuple(fillers))


def make_texts(
    *,
    num_train: int,
    num_test: int = NUM_TEST,
    num_strings: int = 0,
    seed: int = 1,
    share_of_llm: float = 0.5,
) -> dict[str, list[Text]]:
    """The texts of every split: "train", "valid", each group of the test set, and `WORD_STRINGS`, which are for training too.

    Arguments
    ---------
    num_train : int
        Training texts. Filled templates are all different; of those of the LLM a part comes too, in another voice, if it wrote
        too few: who has heard whole sentences alone takes a sentence's first word for granted.
    num_test : int
        Texts of each group of the test set; default `NUM_TEST`.
    num_strings : int
        Strings of words; default none.
    share_of_llm : float
        Share of the training texts that the LLM wrote; the others are filled templates. Default 0.5.

    Raises ValueError if the LLM wrote fewer than half of its share.
    """
    rng, grammar = Random(seed), Grammar()
    written = [Text(line) for line in LLM_TEXTS.read_text(encoding="utf-8").splitlines()]
    rng.shuffle(written)
    num_valid = round(NUM_VALID * share_of_llm)  # of the LLM, as in training
    held_out, written = written[: num_test + num_valid], written[num_test + num_valid :]
    num_written = round(num_train * share_of_llm)
    if 2 * len(written) < num_written:
        raise ValueError(
            f"{LLM_TEXTS} has {len(written)} texts for training, {num_written} are wanted, each at most twice: give a smaller "
            f"--num-train, at most {round(2 * len(written) / share_of_llm)}"
        )
    used = {_same_as(text) for text in [*held_out, *written]}

    def draw(number, templates, **options) -> list[Text]:
        found: list[Text] = []
        while len(found) < number:
            text = grammar.fill(rng.choice(templates), rng, **options)
            if _same_as(text) not in used:
                used.add(_same_as(text))
                found.append(text)
        return found

    with_new_words = [one for one in grammar.templates if set(SLOT.findall(one)) & set(grammar.new_words)]
    splits = {
        "new combination": draw(num_test, grammar.templates),
        "new template": draw(num_test, grammar.new_templates),
        "new word": draw(num_test, with_new_words, new_word=True),
        "new sentence of the LLM": held_out[:num_test],
        "valid": draw(NUM_VALID - num_valid, grammar.templates) + held_out[num_test:],
        "train": draw(num_train - num_written, grammar.templates) + written[:num_written],
    }
    reserved = {_same_as(text) for group in splits if group != "train" for text in splits[group]}
    for text in written[: max(0, num_written - len(written))]:
        part = part_of(text, rng)
        splits["train"].append(text if _same_as(part) in reserved else part)
    rng.shuffle(splits["train"])
    splits["seen question"] = rng.sample(splits["train"], num_test)
    splits[WORD_STRINGS] = strings_of_words(splits["train"], num_strings, Random(f"{seed}-strings"))
    return splits


def split_texts(
    path: Path, *, num_train: int, num_test: int = NUM_TEST, seed: int = 1
) -> dict[str, list[Text]]:
    """The lines of a file in the splits "train", "valid" and "new sentence".

    Arguments
    ---------
    path : Path
        A sentence a line; empty lines and repeated ones are left out.
    num_train, num_test : int
        At most so many training texts; texts of the test set.
    seed : int
        Draws the order.

    Raises ValueError if no line is left to train with.
    """
    lines = dict.fromkeys(map(str.strip, Path(path).read_text(encoding="utf-8").splitlines()))
    texts = [Text(line) for line in lines if line]
    num_held_out = num_test + NUM_VALID
    if len(texts) <= num_held_out:
        raise ValueError(
            f"{path} has {len(texts)} different lines; {num_held_out} are held out, give more than that"
        )
    Random(seed).shuffle(texts)
    return {
        "new sentence": texts[:num_test],
        "valid": texts[num_test:num_held_out],
        "train": texts[num_held_out:][:num_train],
    }


def strings_of_words(texts: list[Text], number: int, rng: Random) -> list[Text]:
    """Three to seven words of the texts at random, each as likely: rare words, and neighbours that no sentence has.

    A word is written as it mostly is within a sentence.
    """
    forms: dict[str, Counter[str]] = {}
    for text in texts:
        for place, written in enumerate(re.findall(r"[A-Za-z]+(?:'[a-z]+)*", text.words)):
            form = written if place or written.startswith("I'") or written == "I" else written.lower()
            forms.setdefault(written.lower(), Counter())[form] += 1 if place else 0
    words = [forms[word].most_common(1)[0][0] for word in sorted(forms)]
    found = []
    for _ in range(number):
        chosen = " ".join(rng.choice(words) for _ in range(rng.randint(3, 7)))
        found.append(Text(f"{chosen[0].upper()}{chosen[1:]}."))
    return found


def part_of(text: Text, rng: Random) -> Text:
    """Some words of a text in a row, at least three if it has as many, with a capital and a full stop."""
    words = text.words.rstrip(".?!").split()
    number = rng.randint(min(3, len(words)), len(words))
    start = rng.randint(0, len(words) - number)
    part = " ".join(words[start : start + number]).rstrip(",")
    return Text(f"{part[0].upper()}{part[1:]}.")


@functools.cache
def _keys() -> dict[str, str | dict[str, str]]:
    """By template how its right answers are computed, or by filler the words of which one makes an answer right."""
    read = {}
    for template, key in Grammar().keys.items():
        if key not in ARITHMETIC:
            key = dict(pair.split(": ") for pair in re.split(r",\s*", key))
        read[template] = key
    return read


def key_of(labels: dict) -> set[str]:
    """The words of which one makes an answer right; empty if the grammar has no key for the question.

    Arguments
    ---------
    labels : dict
        With "template" and "fillers", as `make_corpus.py` writes them.

    >>> sorted(key_of({"template": "What is {number} plus {number}?", "fillers": ["two", "three"]}))
    ['5', 'five']
    """
    key, fillers = _keys().get(labels.get("template") or ""), labels.get("fillers") or ()
    if key is None:
        return set()
    if isinstance(key, str):
        value = ARITHMETIC[key](*map(NUMBERS.index, fillers))
        return {str(value), *NUMBERS[max(value, 0) : value + 1]}
    return set(key.get(fillers[0], "").lower().split())


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, without punctuation.

    >>> words_of("Let's go, Bob!")
    ["let's", 'go', 'bob']
    """
    return re.findall(r"[a-z]+(?:'[a-z]+)*|[0-9]+", text.lower())


def _same_as(text: Text) -> str:
    return " ".join(words_of(text.words))


def keep_texts(
    samples, *, number: int, max_words: int = MAX_WORDS, shortest: int = 3, longest: int = 11
) -> list[str]:
    """The samples of an LLM that the corpus takes: short, of frequent words, and no two with the same content words.

    The vocabulary is that of the templates, without what is held out, and the most frequent words of the samples.

    Arguments
    ---------
    samples : iterable of str
    number : int
        Texts at most.
    max_words : int
        Size of the vocabulary.

    Returns list of str, in the order of the samples.
    """
    grammar = Grammar()
    forbidden = {word for words in grammar.new_words.values() for one in words for word in words_of(one)}
    vocabulary = {word for text in grammar.templates for word in words_of(SLOT.sub("", text))}
    vocabulary |= {word for words in grammar.words.values() for one in words for word in words_of(one)}
    counts: Counter[str] = Counter()
    candidates = []
    for sample in dict.fromkeys(samples):
        words = words_of(sample)
        plain = re.fullmatch(r"[A-Z][a-z']*(?:,? [A-Za-z']+)*[.?!]", sample)
        if plain and shortest <= len(words) <= longest and not forbidden & set(words):
            candidates.append((sample, words))
            counts.update(set(words))
    for word, _ in counts.most_common():
        if len(vocabulary) >= max_words:
            break
        vocabulary.add(word)
    function_words = {word for word, _ in counts.most_common(60)}
    kept, seen = [], set()
    for sample, words in candidates:
        content = frozenset(words) - function_words or frozenset(words)
        if set(words) <= vocabulary and content not in seen and len(kept) < number:
            seen.add(content)
            kept.append(sample)
    return kept


def question(spoken):
    """The Question that a test clip is."""
    return Question(
        key=spoken.id,
        utt_id=spoken.id,
        group=spoken.labels["group"],
        task="answer",
        instruction=None,
        reference=None,
    )
