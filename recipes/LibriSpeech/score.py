"""Stage 5: word error rates and obedience beside the gap ledger.

    python score.py hparams/sift.yaml [hparams/blsp.yaml ...] [--score_folder exp/ledger]

Of `asr`, the ledger's score of an answer is its share of right words; word error rates are printed raw and as Whisper
normalises, which are two numbers and not to be mixed. Of `obey`, an answer scores 1 if its rule holds.

One YAML a method. Methods that share `data_folder`, `text_folder`, `score_folder`, `seed` and the LLM can be compared.

Reads: <data_folder>/test.jsonl, test.questions.jsonl; <text_folder>/hypotheses/, and of each method
       <output_folder>/hypotheses/ and targets/train.jsonl; <encoder_folder>/normalizer.json (Whisper's spellings), if it is
Writes: <score_folder>/scores.json, report.html, report.md, ledger.png
"""

from functools import lru_cache

from auralign import script
from auralign.ledger.recipe import Comparison, score_recipe
from auralign.score import obey
from auralign.score.judge import Judge, classify_transcript
from auralign.score.recognition import find_spellings, word_accuracy
from auralign.score.task_metrics import MeanScore, WordErrorRate
from auralign.text.forms import normalised_form, raw_form

NOTES = (
    "All columns are answers of the same frozen LLM to the same questions.",
    "Texts are shown to the LLM in lower case. A raw word error rate counts capitals and punctuation of an answer as errors; "
    "only the format-pinned wordings ask for none.",
    "Of obey, seven rules depend on what was said (content-bound); five look at the form alone, and pass one constant answer for "
    "every utterance (form-only). The ledger has rows of each kind.",
)


class LibriSpeechJudge(Judge):
    """Share of right words for asr, the task's rule for obey."""

    metric = "scores of answers"
    is_right = None  # no task has a form to ignore

    def __init__(self, spellings):
        self.raw, self.normalised = raw_form("en"), normalised_form("en", spellings)

    def score(self, answer, question, said):
        if question.task == "asr":
            return self.accuracy(said, answer)
        return float(obey.TASKS[question.task].check(answer, said))

    @lru_cache(maxsize=2**16)  # noqa: B019 - one judge a run; the columns share their references
    def accuracy(self, said, answer):
        return word_accuracy(self.normalised, said, answer)

    def classify(self, answer, question, said):
        if question.task == "asr":
            return classify_transcript(answer, said, self.accuracy(said, answer))
        attempt = obey.classify_attempt(answer, said, question.task)
        if attempt or obey.is_transcription(answer, said):
            return attempt or "transcribed"
        return "wrong task" if obey.obeys_another(answer, said, question.task) else "other"

    def kind(self, question):
        """A rule on the form alone passes one answer for every utterance; the rules on the content tell what was heard."""
        return None if question.task == "asr" else obey.TASKS[question.task].kind

    def metrics(self, group, task):
        if task == "asr":
            return WordErrorRate(self.raw, "WER raw"), WordErrorRate(self.normalised, "WER normalised")
        return (MeanScore(self.score, "obeyed"),)


def make_judge(run):
    """The judge of a run: `auralign evaluate` asks for it too."""
    return LibriSpeechJudge(find_spellings(run.recipe))


def main(argv):
    runs = Comparison.of_arguments(argv, doc=__doc__)
    spellings = find_spellings(runs.recipe)
    score_recipe(
        runs,
        title="LibriSpeech",
        judge=make_judge(runs.first),
        files=[__file__, obey.__file__, *([spellings] if spellings else [])],
        notes=NOTES,
    )


if __name__ == "__main__":
    script.run(main)
