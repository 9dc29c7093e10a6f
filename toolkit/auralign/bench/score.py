"""`auralign bench score`: stage 5 of 100,000 hypotheses, judged as the recipe of LibriSpeech judges them."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from auralign.bench import Row, Settings, against_bar
from auralign.bench.corpus import LIBRISPEECH, draw_seconds, draw_words, utterances

if TYPE_CHECKING:
    from auralign.score.judge import Judge

BAR, HYPOTHESES = 40.0, 100_000
NUM_UTTS = {"tiny": 500, "small": 2_000}  # at 2,000: 115,000 hypotheses
NUM_OBEYED, NUM_WORDINGS = 100, 5
COLUMNS = ("text", "normalised", "transcript", "speech", "shuffled")


def measure(settings: Settings) -> Iterator[Row]:
    """CPU seconds for 100,000 hypotheses, scaled from as many as the scale has."""
    number = NUM_UTTS.get(settings.scale, NUM_UTTS["small"])
    with tempfile.TemporaryDirectory() as folder:
        num_hypotheses = _make_answers(Path(folder), number)
        start = time.process_time()
        score(Path(folder))
        seconds = (time.process_time() - start) * HYPOTHESES / num_hypotheses
    yield Row(
        f"stage 5 of {HYPOTHESES:,} hypotheses, scaled from {num_hypotheses:,} about {number:,} utterances",
        f"{seconds:.1f} CPU s",
        against_bar(seconds, BAR, at_most=True),
    )


def _make_answers(folder: Path, number: int) -> int:
    """Manifest, questions and hypotheses in a folder, as stages 1 and 4 write them; returns the number of hypotheses."""
    from auralign.records import Hypothesis, Question, Utterance, write_records
    from auralign.score import obey

    random = Random(1)
    made = list(utterances(draw_seconds(LIBRISPEECH, number)))
    text_of = {one.id: one.text for one in made}
    questions = [
        Question(
            f"{one.id}-asr-{phrasing}",
            one.id,
            "test: asr",
            "asr",
            f"{{speech}} {phrasing}",
            one.text,
            phrasing,
        )
        for one in made
        for phrasing in range(NUM_WORDINGS)
    ]
    questions += [
        Question(
            f"{one.id}-{task}-{phrasing}",
            one.id,
            "test: obey",
            task,
            f"{{speech}} {phrasing}",
            None,
            phrasing,
        )
        for task in obey.TASKS
        for one in made[:NUM_OBEYED]
        for phrasing in range(NUM_WORDINGS)
    ]
    write_records(folder / "test.jsonl", made, kind=Utterance)
    write_records(folder / "test.questions.jsonl", questions, kind=Question)

    def answer(question: Question) -> str:
        spoken = text_of[question.utt_id].split()
        return " ".join(word if random.random() > 0.08 else draw_words(random, 1) for word in spoken)

    for column in COLUMNS:
        answers = (
            Hypothesis(
                one.key,
                one.utt_id,
                column,
                answer(one),
                "stop",
                text_of[one.utt_id] if column == "transcript" else None,
            )
            for one in questions
        )
        write_records(folder / f"{column}.jsonl", answers, kind=Hypothesis)
    return len(questions) * len(COLUMNS)


def score(folder: Path) -> None:
    """Open, judge and compare what `_make_answers` wrote, as stage 5 does before it writes its report."""
    from auralign.ledger.build import judge_answers, make_ledger, read_methods
    from auralign.ledger.columns import MethodFiles
    from auralign.ledger.tasks import score_tasks
    from auralign.records import Hypothesis, Question, Records, Utterance

    manifest = Records(folder / "test.jsonl", Utterance)
    questions = Records(folder / "test.questions.jsonl", Question)
    read = {column: Records(folder / f"{column}.jsonl", Hypothesis) for column in COLUMNS}
    methods = {"ours": MethodFiles(read.pop("speech"), read.pop("shuffled"))}
    items, judge = read_methods(questions, manifest, read, methods), _make_judge()
    make_ledger(items, judge, seed=1, judged=judge_answers(items, judge))
    score_tasks(items, manifest.__getitem__, judge.metrics, seed=1)


def _make_judge() -> "Judge":
    """The judge of the recipe of LibriSpeech, which is not part of the toolkit."""
    from auralign.records import Question
    from auralign.score import obey
    from auralign.score.judge import Judge
    from auralign.score.recognition import word_accuracy
    from auralign.score.task_metrics import MeanScore, Metric, WordErrorRate
    from auralign.text.forms import normalised_form, raw_form

    raw, normalised = raw_form("en"), normalised_form("en")

    @lru_cache(maxsize=2**16)
    def accuracy(said: str, answer: str) -> float:
        return word_accuracy(normalised, said, answer)

    class RecipesJudge(Judge):
        metric = "scores of answers"
        is_right = None  # type: ignore[assignment]  # the rules decide about form and content together

        def score(self, answer: str, question: Question, said: str) -> float:
            if question.task == "asr":
                return accuracy(said, answer)
            return float(obey.TASKS[question.task].check(answer, said))

        def classify(self, answer: str, question: Question, said: str) -> str:
            if question.task == "asr":
                return "wrong content" if accuracy(said, answer) >= 0.5 else "wrong task"
            return "transcribed" if obey.is_transcription(answer, said) else "other"

        def kind(self, question: Question) -> str | None:
            return None if question.task == "asr" else obey.TASKS[question.task].kind

        def metrics(self, group: str, task: str) -> Sequence[Metric]:
            if task == "asr":
                return WordErrorRate(raw, "WER raw"), WordErrorRate(normalised, "WER normalised")
            return (MeanScore(self.score, "obeyed"),)

    return RecipesJudge()
