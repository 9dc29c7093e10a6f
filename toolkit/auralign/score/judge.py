"""The judge of single answers; a recipe that knows its tasks writes a subclass.

>>> question = Question("q", "utt", "unseen tasks", "reverse", "reverse {speech}", "five three")
>>> judge = Judge()
>>> judge.score("Five three!", question, "three five"), judge.is_right("Five three!", question)
(0.0, True)
>>> judge.classify("Five three!", question, "three five"), judge.classify("Three five.", question, "three five")
('right content in another form', 'transcribed')
"""

from collections.abc import Sequence

from auralign.records import Question
from auralign.score.metrics import character_error_rate, exact_match, word_error_rate
from auralign.score.task_metrics import Metric
from auralign.text.words import comparable_words

EXACT = "exact answers"
RIGHT = "right"
OTHER_FORM = "right content in another form"
TRANSCRIBED = "transcribed"
WRONG_CONTENT = "wrong content"
WRONG_CLASSES = (WRONG_CONTENT, "wrong task", OTHER_FORM, TRANSCRIBED, "other")
TOLERANCE = 0.2
"""Share of the words said that may differ in a transcription, as the connector may mishear."""

MISHEARD = 0.5
"""Least share of the words, or of the letters, of a transcript that is wrong because it was misheard."""


def is_verbatim(answer: Sequence[str], said: Sequence[str], *, tolerance: float = TOLERANCE) -> bool:
    """Whether the words of an answer are those that were said: word errors / words said is at most `tolerance`.

    The edit distance counts order, so that the words said in another order are no transcription. An empty answer is none.
    """
    if not answer or not said:
        return False
    return word_error_rate([" ".join(said)], [" ".join(answer)]) <= tolerance


def classify_copy(answer: Sequence[str], said: Sequence[str], *, is_right: bool) -> str | None:
    """TRANSCRIBED, OTHER_FORM or None for a wrong answer; `is_right` says whether its content is right in any form.

    Exactly the words said are a transcription. Other words with the right content are that, even if they are near to the words
    said, such as a sorted string of digits that was almost sorted. What is left is a transcription up to `TOLERANCE`.
    """
    if is_verbatim(answer, said, tolerance=0):
        return TRANSCRIBED
    if is_right:
        return OTHER_FORM
    return TRANSCRIBED if is_verbatim(answer, said) else None


def classify_transcript(answer: str, said: str, accuracy: float) -> str:
    """The class of a wrong transcript: "wrong content" if it was misheard, "wrong task" if it is no transcript at all.

    It is misheard if half of its words are right (`accuracy`, from 0 to 1), or half of its letters, as of "no do we fear" for
    "go do you hear".
    """
    written, spoken = (" ".join(comparable_words(text)) for text in (answer, said))
    if accuracy < MISHEARD and (not spoken or 1 - character_error_rate([spoken], [written]) < MISHEARD):
        return "wrong task"
    return "wrong content"


class Judge:
    """Judges answers without knowledge of the tasks; a recipe that knows its tasks overrides methods.

    Attributes
    ----------
    metric : str
        Name of the scores, for tables.
    is_right : method or None
        None if a subclass cannot distinguish form from content.
    """

    metric = EXACT

    def __init_subclass__(cls, **options):
        """Accept `measure` and `measures`, the earlier names of `metric` and `metrics`, in a recipe's own judge."""
        super().__init_subclass__(**options)
        for earlier, name in (("measure", "metric"), ("measures", "metrics")):
            if earlier in vars(cls) and name not in vars(cls):
                setattr(cls, name, vars(cls)[earlier])

    def identity(self) -> str:
        """What names the judge among the inputs of an evaluation: its class; a subclass with settings adds them."""
        return f"{type(self).__module__}.{type(self).__qualname__}"

    def score(self, answer: str, question: Question, said: str) -> float:
        """The score of an answer, 0 to 1; below 1 it is wrong, and is classified. `said` is the transcript."""
        return float(exact_match([question.reference], [answer])[0])

    def classify(self, answer: str, question: Question, said: str) -> str:
        """The class of a wrong answer to speech, one of WRONG_CLASSES.

        If the right answer has the very words that were said, its copy is the right content in another form.
        """
        written, spoken = comparable_words(answer), comparable_words(said)
        is_right = self.is_right is not None and self.is_right(answer, question)
        if is_right and written == spoken == comparable_words(question.reference or ""):
            return OTHER_FORM
        return classify_copy(written, spoken, is_right=is_right) or "other"

    def is_right(self, answer: str, question: Question) -> bool:
        """Whether an answer has the right content in any form: by default, case and punctuation are ignored."""
        return comparable_words(answer) == comparable_words(question.reference or "")

    def kind(self, question: Question) -> str | None:
        """The kind of the rule that judges a question, such as "form-only rules"; None, by default, if there is one kind.

        A group with several kinds has rows of its own for each in the ledger.
        """
        return None

    def metrics(self, group: str, task: str) -> Sequence[Metric]:
        """The field's metrics of a task in a group of questions, shown beside the ledger; none by default."""
        return ()
