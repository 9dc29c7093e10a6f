"""A small corpus on disk, described by what each method gets right."""

import pytest

from auralign.ledger.build import make_ledger, read_methods
from auralign.ledger.columns import MethodFiles
from auralign.records import Hypothesis, Question, Records, Utterance, write_records
from auralign.score.judge import Judge

QUESTIONS = tuple(
    Question(f"{utt}-{group[:2]}", utt, group, "reverse", "reverse {speech}", f"right {utt}")
    for group in ("unseen tasks", "seen tasks")
    for utt in ("a", "b", "c", "d")
)


class Corpus:
    """Questions and answers in a folder; an answer is right where its mark is `1`, else the mark itself."""

    def __init__(self, folder, questions=QUESTIONS, speakers=None):
        self.folder, self.asked = folder, questions
        utterances = {
            question.utt_id: Utterance(
                question.utt_id, "x.wav", 1.0, "one two", speaker=(speakers or {}).get(question.utt_id, "")
            )
            for question in questions
        }
        write_records(folder / "test.jsonl", utterances.values(), kind=Utterance)
        write_records(folder / "questions.jsonl", questions, kind=Question)
        self.manifest = Records(folder / "test.jsonl", Utterance)
        self.questions = Records(folder / "questions.jsonl", Question)

    def answers(self, kind, marks, method="", **changes):
        """One column: a mark for each question; changes map a key to another Hypothesis, or None."""
        rows = [
            Hypothesis(
                question.key, question.utt_id, kind, question.reference if mark == "1" else mark, "stop"
            )
            for question, mark in zip(self.asked, marks, strict=True)
        ]
        rows = [changes.get(row.key, row) for row in rows] + list(changes.get("extra", ()))
        path = self.folder / f"{method}{kind}.jsonl"
        write_records(path, [row for row in rows if row is not None], kind=Hypothesis)
        return Records(path, Hypothesis)

    def method(self, name, speech, shuffled):
        return MethodFiles(self.answers("speech", speech, name), self.answers("shuffled", shuffled, name))

    @property
    def judge(self):
        return MarkJudge()

    def ledger(self, **options):
        """`near` hears 3 of 4 unseen and all seen tasks, `far` writes down unseen ones."""
        defaults = {
            "text": lambda: self.answers("text", "11111111"),
            "transcript": lambda: self.answers("transcript", "111-1111"),
            "methods": lambda: {
                "far": self.method("far", "1ttw11tt", "1-------"),
                "near": self.method("near", "111w1111", "1-------"),
            },
        }
        options = {name: make() for name, make in defaults.items() if name not in options} | options
        options = {name: value for name, value in options.items() if value is not None}
        judge, methods = options.pop("judge", MarkJudge()), options.pop("methods")
        return make_ledger(read_methods(self.questions, self.manifest, options, methods), judge, seed=1)


class MarkJudge(Judge):
    """Reads an answer's class off its mark; says nothing about its form."""

    is_right = None

    def classify(self, answer, question, said):
        return {"t": "transcribed", "w": "wrong task"}.get(answer, "other")


@pytest.fixture
def corpus(tmp_path):
    return Corpus(tmp_path)


@pytest.fixture
def make_corpus(tmp_path):
    return lambda questions, speakers=None: Corpus(tmp_path, questions, speakers)


@pytest.fixture
def make_judge():
    """A MarkJudge with other methods: each takes what the judge's own takes, without `self`."""

    def make(**methods):
        judge = MarkJudge()
        for name, method in methods.items():
            setattr(judge, name, method)
        return judge

    return make


@pytest.fixture
def ledger(corpus):
    return corpus.ledger()
