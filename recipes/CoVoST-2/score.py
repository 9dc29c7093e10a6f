"""Stage 5: BLEU and chrF beside the gap ledger.

    python score.py hparams/sift.yaml [hparams/blsp.yaml ...] [--comet models/wmt22-comet-da] [--score_folder exp/ledger]

Of `translate`, the ledger's score of an answer is its chrF as a sentence, 0 to 1; the table has BLEU and chrF of the whole test
set by sacrebleu, cased and punctuated, with their signatures in the report, and COMET if --comet gives a checkpoint on this
disk. Of `asr`, it is the share of right words.

One YAML a method. Methods that share `data_folder`, `text_folder`, `score_folder`, `seed` and the LLM can be compared.

Reads: <data_folder>/test.jsonl, test.questions.jsonl, counts.json; <text_folder>/hypotheses/, and of each method
       <output_folder>/hypotheses/ and targets/train.jsonl; <encoder_folder>/normalizer.json (Whisper's spellings), if it is
Writes: <score_folder>/scores.json, report.html, report.md, ledger.png
"""

import unicodedata
from functools import cache, lru_cache
from pathlib import Path

import numpy as np

from auralign import script
from auralign.files import read_json
from auralign.ledger.recipe import Comparison, score_recipe
from auralign.recipe import RecipeError
from auralign.score.judge import Judge, classify_transcript
from auralign.score.metrics import bootstrap_difference, bootstrap_interval, character_error_rate
from auralign.score.recognition import find_spellings, word_accuracy
from auralign.score.task_metrics import Metric, MetricValue, Significance, Translation, WordErrorRate
from auralign.score.translation import score_comet, score_sentence
from auralign.text.forms import normalised_form, raw_form
from auralign.text.language import main_code
from auralign.text.words import plain

COPIED = 0.2  # share of letters that may differ in a copy of what was said
SCRIPT_SHARE = 0.8  # of an answer's letters, in the script of the target: names may stay as they are
# How Unicode's names of a language's letters begin; of all others, LATIN.
SCRIPTS = {
    "ar": ("ARABIC",),
    "fa": ("ARABIC",),
    "ja": ("CJK", "HIRAGANA", "KATAKANA"),
    "mn": ("CYRILLIC",),
    "ta": ("TAMIL",),
    "zh": ("CJK",),
}
NOTES = (
    "All columns are answers of the same frozen LLM to the same questions.",
    "The score of a translation in the ledger is its chrF as a sentence, 0 to 1, so that hardly any is right. Wrong content: in "
    "the script of the target, and by chrF nearer to the reference than to what was said; transcribed: 80 % of the letters are "
    "those said.",
    "BLEU and chrF are of the test set as it is released: cased, punctuated, no clip left out for its text.",
)


class CovostJudge(Judge):
    """chrF of a sentence for translate, share of right words for asr.

    `comet` is a Comet, or None; `spellings` those of Whisper's normaliser for English, which transcripts are scored by.
    """

    metric = "scores of answers"
    is_right = None  # a translation has no form to ignore

    def __init__(self, comet=None, spellings=None):
        self.comet, self.spellings = comet, spellings
        self.normalised = cache(self.normalised)

    def score(self, answer, question, said):
        if question.task == "asr":
            return word_accuracy(self.normalised(spoken(question.group)), question.reference, answer)
        return min(1.0, chrf(question.reference, answer) / 100)  # 100 may be a rounding more

    def classify(self, answer, question, said):
        if question.task == "asr":
            return classify_transcript(answer, said, self.score(answer, question, said))
        to_reference, to_said = chrf(question.reference, answer), chrf(said, answer)
        if to_said > to_reference and is_copy(answer, said):
            return "transcribed"
        is_translation = 0 < to_reference >= to_said and in_script(answer, target(question.group))
        return "wrong content" if is_translation else "other"

    def metrics(self, group, task):
        if task == "asr":
            forms = {"raw": raw_form(spoken(group)), "normalised": self.normalised(spoken(group))}
            return [
                WordErrorRate(form, f"{'WER' if form.unit == 'word' else 'CER'} {name}")
                for name, form in forms.items()
            ]
        both = [Translation(name, target(group)) for name in ("BLEU", "chrF")]
        return [*both, self.comet] if self.comet else both

    def normalised(self, language):
        return normalised_form(language, self.spellings if main_code(language) == "en" else None)


def target(group):
    """Language of the answers to a group such as en_zh-CN."""
    return group.partition("_")[2]


def spoken(group):
    """Language of a group such as "en: transcripts"."""
    return group.partition(":")[0]


chrf = lru_cache(maxsize=2**16)(score_sentence)  # asked to score and to classify


def is_copy(answer, said):
    """Whether an answer is what was said, by its letters and their marks: words would not do for languages without spaces."""
    written, expected = plain(answer), plain(said)
    return bool(written and expected) and character_error_rate([expected], [written]) <= COPIED


def in_script(text, language):
    """Whether most letters of a text are of a language's script; False if it has no letter."""
    names = [unicodedata.name(character, "") for character in text if character.isalpha()]
    known = SCRIPTS.get(main_code(language), ("LATIN",))
    return bool(names) and sum(name.startswith(known) for name in names) >= SCRIPT_SHARE * len(names)


class Comet(Metric):
    """COMET times 100, by a checkpoint on this disk; each translation is judged once."""

    name = "COMET"

    def __init__(self, checkpoint, num_gpus=0):
        self.checkpoint, self.num_gpus = Path(checkpoint), num_gpus
        self.judged = {}

    def score(self, asked, answers):
        found = bootstrap_interval(self.points(asked, answers), **asked.by_speaker)
        return MetricValue(found.value, found.low, found.high, f"COMET: times 100, by {self.checkpoint}")

    def compare(self, asked, answers, others):
        found = bootstrap_difference(
            self.points(asked, answers), self.points(asked, others), **asked.by_speaker
        )
        return Significance(found.value, found.low, found.high, None, "bootstrap over speakers")

    def points(self, asked, answers):
        said = [utterance.text for utterance in asked.utterances]
        rows = list(zip(said, answers, asked.references, strict=True))
        new = [row for row in dict.fromkeys(rows) if row not in self.judged]
        if new:
            _, scores = score_comet(
                *zip(*new, strict=True), checkpoint=self.checkpoint, num_gpus=self.num_gpus
            )
            self.judged.update(zip(new, (100 * score for score in scores), strict=True))
        return np.array([self.judged[row] for row in rows])


def describe_counts(counts):
    """What the report must say of the test sets: whether they are whole."""
    for name, splits in counts["pairs"].items():
        kept, published = splits["test"]["kept"], splits["test"]["published"]
        if published is None or kept == published:
            yield f"{name}: {kept:,} test clips" + ("" if published is None else ", all that were published.")
        else:
            yield (
                f"{name}: {kept:,} test clips of {published:,} published: its figures are not to be compared with those of "
                "papers."
            )
    if counts["common_voice"]:
        yield f"{counts['common_voice']}."


def take_comet(argv):
    """The arguments without --comet CHECKPOINT, and that."""
    argv = [part for word in argv for part in (word.split("=", 1) if word.startswith("--comet=") else [word])]
    if "--comet" not in argv:
        return argv, None
    index = argv.index("--comet")
    if index + 1 == len(argv):
        raise RecipeError("--comet: give a checkpoint: a .ckpt file, or the folder that holds it")
    checkpoint = Path(argv[index + 1])
    if not checkpoint.exists():
        raise FileNotFoundError(
            f"--comet: no {checkpoint}; fetch a checkpoint, such as wmt22-comet-da, and give its path"
        )
    return argv[:index] + argv[index + 2 :], checkpoint


def make_judge(run, comet=None):
    """The judge of a run: `auralign evaluate` asks for it too, without COMET."""
    return CovostJudge(comet, find_spellings(run.recipe))


def main(argv):
    argv, checkpoint = take_comet(argv)
    runs = Comparison.of_arguments(argv, doc=__doc__)
    spellings, counts = find_spellings(runs.recipe), runs.first.data.folder / "counts.json"
    files, notes, comet = [__file__, *([spellings] if spellings else [])], NOTES, None
    if counts.is_file():
        notes = (*NOTES, *describe_counts(read_json(counts)))
        files.append(counts)
    if checkpoint:
        import torch

        comet = Comet(checkpoint, int(torch.cuda.is_available()))
        files.append(checkpoint)
    score_recipe(runs, title="CoVoST 2", judge=make_judge(runs.first, comet), files=files, notes=notes)


if __name__ == "__main__":
    script.run(main)
