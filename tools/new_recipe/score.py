"""Stage 5: word error rates beside the gap ledger.

    python score.py hparams/sift.yaml [hparams/blsp.yaml ...] [--score_folder exp/ledger]

One YAML a method. Methods that share `data_folder`, `text_folder`, `score_folder`, `seed` and the LLM can be compared.

Reads: <data_folder>/test.jsonl, test.questions.jsonl; <text_folder>/hypotheses/, and of each method
       <output_folder>/hypotheses/ and targets/train.jsonl
Writes: <score_folder>/scores.json, report.html, report.md, ledger.png
"""

from auralign import script
from auralign.ledger.recipe import Comparison, score_recipe
from auralign.score.judge import Judge
from auralign.score.recognition import word_accuracy
from auralign.score.task_metrics import WordErrorRate
from auralign.text.forms import normalised_form, raw_form

RAW, NORMALISED = raw_form("en"), normalised_form("en")


class CorpusJudge(Judge):
    """EDIT 3: what an answer is worth in the ledger, 0 to 1, and what the field reports on the whole test set."""

    metric = "share of right words"
    is_right = None  # no task has a form to ignore

    def score(self, answer, question, said):
        return word_accuracy(NORMALISED, question.reference, answer)

    def metrics(self, group, task):
        return WordErrorRate(RAW, "WER raw"), WordErrorRate(NORMALISED, "WER normalised")


def main(argv):
    runs = Comparison.of_arguments(argv, doc=__doc__)
    score_recipe(runs, title="MyCorpus", judge=CorpusJudge(), files=[__file__])


if __name__ == "__main__":
    script.run(main)
