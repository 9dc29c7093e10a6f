"""Stage 5, score: set the answers to speech against those to text, and say in a ledger what was lost and how.

    python score.py hparams/transcription.yaml hparams/sit.yaml hparams/sift.yaml [--score_folder exp/ledger]

One YAML a method; its name without `.yaml` names the method in the ledger. Methods that share `data_folder`,
`text_folder`, `score_folder`, `seed` and the LLM can be compared; others are refused.

Reads:
    <data_folder>/test.jsonl                        what was said
    <data_folder>/test.questions.jsonl              what was asked, and the right answers
    <text_folder>/hypotheses/test.text.jsonl        the LLM's answers to the reference text
    <text_folder>/hypotheses/test.transcript.jsonl  its answers to the encoder's own transcript
    <text_folder>/hypotheses/test.other_text.jsonl  its answers to another utterance's text: the floor
    <output_folder>/hypotheses/test.speech.jsonl    a method's answers to speech
    <output_folder>/hypotheses/test.shuffled.jsonl  its answers to another utterance's speech
    <output_folder>/targets/train.jsonl             which LLM wrote the targets
Writes:
    <score_folder>/scores.json, report.html, report.md, ledger.png
"""

from auralign import script
from auralign.ledger.recipe import Comparison, score_recipe
from auralign.score.judge import Judge
from local import world

NOTES = (
    "All columns are answers of the same frozen LLM to the same questions, about held-out voices.",
    "An answer is exact when it is word for word the right one, in the LLM's own form.",
    "The text column is the ceiling of recovery: in the digits world the reference transcript is already "
    "normalised text, so that reference text and normalised text are one column.",
)


class DigitsJudge(Judge):
    """Knows the digits world: what each task would answer."""

    def classify(self, answer, question, said):
        """The text asks, or else the speech."""
        task = question.task if question.instruction is not None else None
        return world.classify(answer, question.reference, task, said.split())

    def is_right(self, answer, question):
        """Whether it holds the right digits, in whatever form; an empty answer never does."""
        return bool(answer.split()) and world.extract(answer)[1] == world.extract(question.reference)[1]


def make_judge(run):
    """The judge of a run: `auralign evaluate` asks for it too."""
    return DigitsJudge()


def main(argv):
    runs = Comparison.of_arguments(argv, doc=__doc__)
    score_recipe(
        runs,
        title="The gap ledger of spoken digits",
        judge=make_judge(runs.first),
        files=[__file__, world.__file__],
        notes=NOTES,
    )


if __name__ == "__main__":
    script.run(main)
