"""Whole recipes on real recordings, those of ../shared/data: from raw folders to scores.json, on tiny models.

What the scores are is no matter, as the tiny LLM knows digits and no more; what is read, counted, asked and judged is.
"""

import csv
import json
import math
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from auralign.corpora.slue.scoring import score_entities
from auralign.ledger.recipe import Comparison, score_recipe
from auralign.prepare import Source, prepare, questions_about, read_options, recipe_parser
from auralign.records import Question, Records, Utterance
from auralign.score.judge import Judge
from auralign.score.task_metrics import Asked, MeanScore, Metric, MetricValue, Significance, Translation
from auralign.text.words import words
from recipe import SMOKE, run, run_stages

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
LIBRISPEECH = ROOT / "recipes" / "LibriSpeech"
FEW = {"num_steps": 2, "max_new_tokens": 4, "decode_max_new_tokens": 4}  # enough for every stage to have run

pytestmark = pytest.mark.skipif(
    not (DATA / "MANIFEST.tsv").is_file(), reason="no published recordings beside the checkout"
)


@cache
def listed(corpus):
    """The rows of the list that tell of a corpus; what its column `extra` holds stands among the others."""
    with open(DATA / "MANIFEST.tsv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    return [row | json.loads(row["extra"]) for row in rows if row["path"].startswith(f"{corpus}/")]


def manifests(out):
    return {
        split: list(Records(out / "data" / f"{split}.jsonl", Utterance))
        for split in ("train", "valid", "test")
    }


def asked_of(out, utterances):
    """All questions, with the utterances that they are about."""
    by_id = {utterance.id: utterance for utterance in utterances}
    questions = tuple(Records(out / "data/test.questions.jsonl", Question))
    return Asked(questions, tuple(by_id[question.utt_id] for question in questions), seed=1)


# LibriSpeech

SUBSETS = {"train": "train-clean-100", "valid": "test-other", "test": "test-other"}
CORPUS = ["--data", str(DATA / "librispeech_mini/LibriSpeech")]
SPLITS = ["--splits", "train-clean-100 valid=test-other test=test-other", "--phrasings", "1", "--obey", "2"]


def test_published_librispeech_is_prepared_as_its_list_says(tmp_path, monkeypatch):
    monkeypatch.chdir(LIBRISPEECH)
    code, _, err = run("prepare.py", SMOKE, "--data_folder", str(tmp_path / "data"), *CORPUS, *SPLITS)
    assert code == 0, err
    sexes = {"F": "female", "M": "male"}
    for split, found in manifests(tmp_path).items():
        told = [row for row in listed("librispeech_mini") if row["subset"] == SUBSETS[split]]
        assert {utterance.id: utterance.text for utterance in found} == {
            Path(row["path"]).stem: row["text"].lower() for row in told
        }
        assert Counter(utterance.speaker for utterance in found) == Counter(row["speaker"] for row in told)
        assert Counter(utterance.attributes["gender"] for utterance in found) == Counter(
            sexes[row["sex"]] for row in told
        )


def test_published_librispeech_runs_from_its_tree_to_scores(tmp_path):
    scores = run_stages(LIBRISPEECH, tmp_path, data=CORPUS[1], options=[*SPLITS, "--limit", "6"], **FEW)
    assert {split: len(found) for split, found in manifests(tmp_path).items()} == {
        "train": 6,
        "valid": 6,
        "test": 6,
    }
    found = {
        (task["group"], task["measure"]): task["num_questions"]
        for task in scores["tasks"]
        if task["task"] == "asr"
    }
    assert found == {
        (f"test-other: asr, {kind}", metric): 6
        for kind in ("natural", "unseen", "format-pinned")
        for metric in ("WER raw", "WER normalised")
    }
    obeyed = {task["num_questions"] for task in scores["tasks"] if task["group"] == "test-other: obey"}
    assert obeyed == {2}


# Arabic commands: speech translation

TRANSLATE = "Translate into English: {speech}"
SPLIT_OF = {"00000007": "valid", "00000008": "valid", "00000012": "test", "00000021": "test"}  # else train


def arabic_split(row):
    return SPLIT_OF.get(row["speaker"], "train")


def prepare_arabic(argv):
    """By `auralign prepare`: all speakers say the same 40 words, and a recipe's own would leave out whatever a test set holds."""
    options, hparams = read_options(argv, recipe_parser(""))
    folder = Path(hparams.data_folder)
    folder.mkdir(parents=True)
    for split in ("train", "valid", "test"):
        columns = ("path", "text", "seconds", "lang", "speaker", "translation_en")
        rows = [row for row in listed(options.data.name) if arabic_split(row) == split and row["round"] == 1]
        lines = ["\t".join(columns), *("\t".join(row[column] for column in columns) for row in rows)]
        (folder / f"{split}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        ask = ["--ask", TRANSLATE, "translation_en"] if split == "test" else []
        table, manifest = folder / f"{split}.tsv", folder / f"{split}.jsonl"
        code, _, error = run(
            "auralign", "prepare", str(table), str(manifest), "--audio-folder", str(options.data.parent), *ask
        )
        assert code == 0, error


class TranslationJudge(Judge):
    def metrics(self, group, task):
        return Translation("BLEU", "en"), Translation("chrF", "en")


def test_published_arabic_commands_are_translated(tmp_path):
    scores = run_stages(
        LIBRISPEECH,
        tmp_path,
        data=DATA / "arabic_commands",
        prepare=prepare_arabic,
        score=lambda argv: score_recipe(
            Comparison.of_arguments(argv), title="ar-en", judge=TranslationJudge(), files=[__file__]
        ),
        **FEW,
    )
    found = manifests(tmp_path)
    assert {split: len(utterances) for split, utterances in found.items()} == {
        "train": 320,  # 40 words of 8 speakers
        "valid": 80,
        "test": 80,
    }
    assert {utterance.language for utterances in found.values() for utterance in utterances} == {"ar"}
    english = {row["text"]: row["translation_en"] for row in listed("arabic_commands")}
    asked = asked_of(tmp_path, found["test"])
    assert asked.references == [english[utterance.text] for utterance in asked.utterances]
    assert [(task["measure"], task["num_questions"]) for task in scores["tasks"]] == [
        ("BLEU", 80),
        ("chrF", 80),
    ]
    assert Translation("chrF", "en").score(asked, asked.references).value == 100
    bleu = Translation("BLEU", "en").score(asked, asked.references)
    # Every translation has one word or two: of the runs of four words that BLEU counts there is none to be right.
    assert (bleu.value, "BLEU is 0 even for the references" in bleu.note) == (0, True)


# Coffee orders: spoken intent and slots

SLOTS = ("size", "numberOfShots", "roast", "milkAmount", "sugarAmount", "coffeeDrink")
INTENT = (
    "What does the speaker want? Answer on one line as `intent; slot: value; slot: value`, with the slots "
    f"{', '.join(SLOTS)}: {{speech}}"
)
PART_OF = {17: "test", 22: "test", 39: "valid"}  # of the clusters of speakers, else train


def render(intent, slots):
    """The strict form of an answer.

    >>> render("orderDrink", {"coffeeDrink": "latte", "size": "small"})
    'orderDrink; size: small; coffeeDrink: latte'
    """
    return "; ".join([intent, *(f"{name}: {slots[name]}" for name in SLOTS if name in slots)])


def read_order(answer):
    """The intent and the (slot, value) pairs of an answer in the strict form; None of any other."""
    intent, *pairs = (piece.strip() for piece in answer.strip().rstrip(".").split(";"))
    names = {name.lower(): name for name in SLOTS}
    slots = []
    for name, colon, value in (pair.partition(":") for pair in pairs):
        name = names.get(name.strip().lower())
        if not (name and colon and words(value)):
            return None
        slots.append((name, " ".join(words(value))))
    return (intent.lower(), slots) if re.fullmatch(r"\w+", intent) else None


def intent_is_right(answer, question, said):
    found = read_order(answer)
    return float(found is not None and found[0] == read_order(question.reference)[0])


class SlotF1(Metric):
    name, unit = "slot F1", "%"

    def score(self, asked, answers):
        found = [read_order(answer) for answer in answers]
        scores = score_entities(
            [read_order(reference)[1] for reference in asked.references],
            [order and order[1] for order in found],
        )
        return MetricValue(100 * scores.micro.f1, note=f"not in the form asked for: {scores.num_unparsed}")

    def compare(self, asked, answers, others):
        difference = self.score(asked, answers).value - self.score(asked, others).value
        return Significance(difference, None, None, None, "none")


class OrderJudge(Judge):
    """An order is right with its intent and all of its slots, in whatever order."""

    metric = "right orders"
    is_right = None

    def score(self, answer, question, said):
        return float(as_set(answer) == as_set(question.reference))

    def metrics(self, group, task):
        return MeanScore(intent_is_right, "intent"), SlotF1()


def as_set(answer):
    order = read_order(answer)
    return order and (order[0], frozenset(order[1]))


def read_orders(rows, folder):
    """There is no transcript: the text that the LLM reads is what was ordered, not how it was said."""
    for row in rows:
        yield Utterance(
            id=Path(row["path"]).stem,
            audio=str(folder / row["path"]),
            seconds=math.inf,
            text=" ".join(row["slots"][name] for name in SLOTS if name in row["slots"]),
            language=row["lang"],
            speaker=row["speaker"],
            labels={"order": render(row["intent"], row["slots"])},
        )


def ask_for_orders(manifest):
    for utterance in manifest:
        yield from questions_about(
            utterance, group="orders", task="order", phrasings=[INTENT], reference=utterance.labels["order"]
        )


def prepare_orders(argv):
    options, hparams = read_options(argv, recipe_parser(""))
    parts = {"train": [], "valid": [], "test": []}
    for row in listed(options.data.name):
        parts[PART_OF.get(row["coarse_cluster"], "train")].append(row)
    splits = {
        split: [Source(split, lambda rows=rows: read_orders(rows, options.data.parent))]
        for split, rows in parts.items()
    }
    prepare(hparams, splits, ask_for_orders, options=options, inputs={})


def test_published_coffee_orders_are_read_as_intent_and_slots(tmp_path):
    scores = run_stages(
        LIBRISPEECH,
        tmp_path,
        data=DATA / "picovoice_s2i",
        prepare=prepare_orders,
        score=lambda argv: score_recipe(
            Comparison.of_arguments(argv), title="orders", judge=OrderJudge(), files=[__file__]
        ),
        **FEW,
    )
    found = manifests(tmp_path)
    assert {split: len(utterances) for split, utterances in found.items()} == {
        "train": 144,  # of 146: two orders are those of others in the test set
        "valid": 10,
        "test": 24,
    }
    left_out = (tmp_path / "data/train.overlap.jsonl").read_text().splitlines()
    assert [json.loads(line)["reason"] for line in left_out] == ["sentence of a test clip"] * 2
    speakers = {split: {utterance.speaker for utterance in utterances} for split, utterances in found.items()}
    assert not speakers["test"] & (speakers["train"] | speakers["valid"])
    asked = asked_of(tmp_path, found["test"])
    assert [(task["measure"], task["num_questions"]) for task in scores["tasks"]] == [
        ("intent", 24),
        ("slot F1", 24),
    ]
    assert MeanScore(intent_is_right, "intent").score(asked, asked.references).value == 100
    assert SlotF1().score(asked, asked.references).value == 100


def test_published_coffee_orders_are_read_back():
    orders = [(row["intent"], row["slots"]) for row in listed("picovoice_s2i")]
    assert len(orders) == 180
    for intent, slots in orders:
        found, pairs = read_order(render(intent, slots))
        assert (found, dict(pairs)) == (intent.lower(), slots)


@pytest.mark.parametrize(
    "answer", ["", "a latte, please", "orderDrink; size small", "orderDrink; price: low"]
)
def test_published_coffee_order_in_another_form_is_not_guessed(answer):
    assert read_order(answer) is None
