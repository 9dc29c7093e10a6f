"""Sentences to read aloud, and how well the model heard them.

>>> score_words("The soup is on the table.", "the soup is on a table")
0.16666666666666666
>>> total([Reading("one two", "one", "one two", "", "", ""), Reading("three", "three", "three", "", "", "")])
(0.3333333333333333, 0.0, 1.0)
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from auralign.score.metrics import word_error_rate
from auralign.text.words import normalise

SENTENCES = (
    "The soup is on the table.",
    "Where did you buy that red coat?",
    "My brother works at the hospital.",
    "Please open the window a little.",
    "We took the early train to the city.",
    "There were seven boats in the harbour.",
    "She forgot her keys at the office.",
    "It will rain again on Thursday.",
    "The old man feeds the birds every morning.",
    "Can you tell me the time of the last bus?",
)
REPEAT = "Repeat this word for word: {speech}"


@dataclass(frozen=True)
class Reading:
    """A sentence, and what was made of a recording of it.

    Arguments
    ---------
    sentence : str
    repeated : str
        What the model answers when it is asked to repeat the speech.
    recognized : str
        The recognizer's transcript; "" without a recognizer.
    repeated_text : str
        What the LLM answers when it is asked to repeat the sentence as text: no speech can be repeated better.
    answer, text_answer : str
        The answers to the user's own prompt, from speech and from the sentence as text.
    """

    sentence: str
    repeated: str
    recognized: str
    repeated_text: str
    answer: str
    text_answer: str

    @property
    def agrees(self) -> bool:
        """Whether the answer to the speech has the words of the answer to the text."""
        return normalise(self.answer) == normalise(self.text_answer)


def score_words(sentence: str, found: str) -> float:
    """Word error rate of one text, a fraction, without case and punctuation; it exceeds 1 if words were added."""
    return word_error_rate([normalise(sentence)], [normalise(found)])


def total(readings: Sequence[Reading]) -> tuple[float, float, float]:
    """Word error rates of what was repeated and what was recognized, over all words, and the share of answers that agree."""
    said = [normalise(one.sentence) for one in readings]
    repeated, recognized = (
        word_error_rate(said, [normalise(text) for text in texts])
        for texts in ([one.repeated for one in readings], [one.recognized for one in readings])
    )
    return repeated, recognized, sum(one.agrees for one in readings) / len(readings)


def read_sentences(path: str | None) -> tuple[str, ...]:
    """The sentences of a text file, one to a line, or by default `SENTENCES`.

    Raises ValueError if the file has none, or a line without a word.
    """
    if path is None:
        return SENTENCES
    lines: Iterable[str] = Path(path).read_text(encoding="utf-8").splitlines()
    sentences = []
    for number, line in enumerate(lines, 1):
        if line.strip() and not normalise(line):
            raise ValueError(f"{path}:{number}: {line.strip()!r} has no word to read; write a sentence")
        if line.strip():
            sentences.append(line.strip())
    if not sentences:
        raise ValueError(f"{path}: has no sentence; write one to a line")
    return tuple(sentences)
