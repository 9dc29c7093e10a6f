"""Stage 5, score: set the answers to speech against those to text, and say in a ledger what was lost and how.

    python score.py hparams/sift.yaml [hparams/sit.yaml ...] [--score_folder exp/ledger]

One YAML a method. Methods that share `data_folder`, `text_folder`, `score_folder`, `seed` and the LLM can be compared.

Reads: <data_folder>/test.jsonl, test.questions.jsonl; <text_folder>/hypotheses/, and of each method
       <output_folder>/hypotheses/ and targets/train.jsonl
Writes: <score_folder>/scores.json, report.md, ledger.png
"""

from auralign import script
from auralign.ledger.recipe import Comparison, score_recipe
from auralign.score.judge import Judge


def main(argv):
    runs = Comparison.of_arguments(argv, doc=__doc__)
    score_recipe(runs, title="The gap ledger", judge=Judge(), files=[__file__])


if __name__ == "__main__":
    script.run(main)
