"""The judge of the benchmark: the task's rule, or the words that an answer shares with the LLM's own answer to the text."""

from collections.abc import Mapping

from auralign.generalisation import NAME, VERSION
from auralign.generalisation.task import BY_RULE, Task
from auralign.records import Question
from auralign.score.judge import TRANSCRIBED, Judge, is_verbatim
from auralign.score.obey import classify_attempt
from auralign.text.words import comparable_words, words

YES_NO = frozenset({"contains_word", "person"})
"""Tasks whose answer is yes or no: a wrong one is no answer to another of them."""


class GeneralisationJudge(Judge):
    """Judges the answers of one part.

    Arguments
    ---------
    tasks : dict of str to Task
    """

    metric = "scores of answers"
    is_right = None  # type: ignore[assignment]  # the rules decide about form and content together

    def __init__(self, tasks: Mapping[str, Task]):
        self.tasks = tasks

    def identity(self) -> str:
        return f"{NAME} {VERSION}"

    def score(self, answer: str, question: Question, said: str) -> float:
        """The score of the task's rule, or the F1 of the words shared with the LLM's own answer."""
        return self.tasks[question.task].score(answer, said, question.reference or "")

    def classify(self, answer: str, question: Question, said: str) -> str:
        """TRANSCRIBED for a copy of what was said, "wrong task" if the rule of another task holds, else as far as it is known."""
        attempt = classify_attempt(answer, said, question.task)
        if attempt:
            return attempt
        if question.task != "repeat" and is_verbatim(comparable_words(answer), comparable_words(said)):
            return TRANSCRIBED
        asks_yes_no = question.task in YES_NO
        others = (
            task
            for name, task in self.tasks.items()
            if name != question.task and not (asks_yes_no and name in YES_NO)
        )
        if any(task.rule is not None and task.rule(answer, said) == 1 for task in others):
            return "wrong task"
        if asks_yes_no and words(answer)[:1] in (["yes"], ["no"]):
            return "wrong content"
        return "other" if self.tasks[question.task].kind == BY_RULE else "wrong content"

    def kind(self, question: Question) -> str:
        """Where the reference comes from; a group with both kinds has rows of each."""
        return self.tasks[question.task].kind
