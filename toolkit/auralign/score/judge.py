"""The judge of single answers; a recipe that knows its tasks writes a subclass.

>>> question = Question("q", "utt", "seen tasks", "repeat", "repeat {speech}", "three five")
>>> judge = Judge()
>>> judge.score("Three five.", question, "three five"), judge.is_right("Three five.", question)
(0.0, True)
>>> judge.classify("Three five.", question, "three five")
'transcribed'
"""

from collections.abc import Sequence

from auralign.records import Question
from auralign.score.metrics import exact_match
from auralign.score.task_metrics import Metric
from auralign.text.words import words

EXACT = "exact answers"
RIGHT = "right"
WRONG_CLASSES = ("wrong content", "wrong task", "transcribed", "other")


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

    def score(self, answer: str, question: Question, said: str) -> float:
        """The score of an answer, 0 to 1; below 1 it is wrong, and is classified. `said` is the transcript."""
        return float(exact_match([question.reference], [answer])[0])

    def classify(self, answer: str, question: Question, said: str) -> str:
        """The class of a wrong answer to speech, one of WRONG_CLASSES."""
        return "transcribed" if words(answer) == words(said) else "other"

    def is_right(self, answer: str, question: Question) -> bool:
        """Whether an answer has the right content in any form: by default, case and punctuation are ignored."""
        return words(answer) == words(question.reference)

    def metrics(self, group: str, task: str) -> Sequence[Metric]:
        """The field's metrics of a task in a group of questions, shown beside the ledger; none by default."""
        return ()
