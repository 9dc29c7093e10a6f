"""What the ladder measures, group by group, and its table.

exact (word for word), first (the first 40 characters) and F1 (of words) compare an answer with the same LLM's own answer to the
text. What is heard are the nearest tokens: the share of the text's tokens that they get wrong, the share of its words that are
among theirs, and the word error rate, raw and normalised as Whisper's. recovery: see the function; right: by the key in
grammar.yaml, if a question has one.
"""

from collections import Counter
from dataclasses import dataclass, field

import numpy
from local.texts import key_of, words_of

from auralign.ledger.table import Table
from auralign.records import Utterance
from auralign.score.metrics import MIN_SPEAKERS, bootstrap_interval, word_error_rate
from auralign.text.whisper import whisper_normaliser

CONTROLS = ("snap", "mean", "noise", "nearest")  # answered by the ladder; the quick run has the first alone
COLUMNS = ("text", "cascade", "adapted", "speech", *CONTROLS[:1], "shuffled", *CONTROLS[1:])
NUM_FIRST = 40  # characters


@dataclass
class Asked:
    """A question of the test set, and what was answered."""

    row: int
    utterance: Utterance
    text_ids: tuple[int, ...]
    answers: dict[str, str] = field(default_factory=dict)
    heard: tuple[int, ...] = ()
    heard_text: str = ""
    transcript: str = ""  # of the adapted Whisper
    nll: dict[str, float] = field(default_factory=dict)


def f1_of_words(reference: str, answer: str) -> float:
    """F1 of the words of an answer, counted with repetition.

    >>> f1_of_words("The capital is Paris.", "Paris is big")
    0.5714285714285714
    """
    wanted, given = words_of(reference), words_of(answer)
    shared = sum(min(wanted.count(word), given.count(word)) for word in set(wanted))
    return 2 * shared / (len(wanted) + len(given)) if wanted or given else 1.0


def agreement(reference: str, answer: str) -> dict[str, float]:
    """How far an answer is the reference: exact, first, F1."""
    return {
        "exact": float(reference.split() == answer.split()),
        "first": float(reference.strip()[:NUM_FIRST] == answer.strip()[:NUM_FIRST]),
        "F1": f1_of_words(reference, answer),
    }


def token_error_rate(asked: list[Asked]) -> float:
    """Edits of the nearest tokens to the text's, over the text's tokens: a corpus rate."""
    pairs = [(one.text_ids, one.heard) for one in asked]
    return word_error_rate(*([" ".join(map(str, ids)) for ids in side] for side in zip(*pairs, strict=True)))


def words_heard(asked: list[Asked]) -> float | None:
    """The share of the texts' words, with repetition, that are among what was heard; None if the texts have none."""
    wanted = [Counter(words_of(one.utterance.text)) for one in asked]
    found = [text & Counter(words_of(one.heard_text)) for text, one in zip(wanted, asked, strict=True)]
    total = sum(text.total() for text in wanted)
    return sum(text.total() for text in found) / total if total else None


def recovery(asked: list[Asked]) -> float | None:
    """The share of what the text does for the answer to it that the speech does too.

    (NLL(shuffled speech) - NLL(speech)) / (NLL(shuffled text) - NLL(text)), each the sum over questions of the negative
    log-likelihood of the beginning of the LLM's answer to the text. None if nothing was measured, or text does nothing.
    """
    sums = {given: sum(one.nll[given] for one in asked if one.nll) for given in GIVEN_FOR_NLL}
    gain = sums["shuffled text"] - sums["text"]
    return (sums["shuffled"] - sums["speech"]) / gain if gain > 0 else None


GIVEN_FOR_NLL = ("text", "speech", "shuffled", "shuffled text")


def f1_interval(scores, *, utts, voices, seed: int) -> list[float | None]:
    """The two ends of the 95 % interval of mean scores (N,), over the voices and the utterances within each.

    Both are None with fewer than `MIN_SPEAKERS` voices, as in the ledger; an utterance without a speaker is one of its own.
    """
    clusters = [voice or utt_id for voice, utt_id in zip(voices, utts, strict=True)]
    found = bootstrap_interval(scores, clusters=clusters, within=utts, seed=seed, min_clusters=MIN_SPEAKERS)
    return [found.low, found.high]


def group_of(asked: Asked) -> str:
    """The step of the ladder that a question belongs to."""
    return asked.utterance.labels.get("group") or "all"


def summarise(asked: list[Asked], *, seed: int) -> dict:
    """Measures of one group: by column the agreement, and the right answers by key.

    Where the texts hold a part of what is said, only `words heard` means something, and the others are left out.
    """
    found: dict = {"n": len(asked), "speakers": len({one.utterance.speaker for one in asked}), "columns": {}}
    found["words heard"] = words_heard(asked)
    if any(one.utterance.labels.get("partial") for one in asked):
        return found
    for column in COLUMNS:
        with_answer = [one for one in asked if column in one.answers and "text" in one.answers]
        if not with_answer:
            continue
        measured = [agreement(one.answers["text"], one.answers[column]) for one in with_answer]
        means = {name: float(numpy.mean([one[name] for one in measured])) for name in measured[0]}
        utts, voices = zip(*((one.utterance.id, one.utterance.speaker) for one in with_answer), strict=True)
        f1 = [one["F1"] for one in measured]
        means["F1 interval"] = f1_interval(f1, utts=utts, voices=voices, seed=seed)
        keys = [(key_of(one.utterance.labels), one.answers[column]) for one in with_answer]
        judged = [bool(set(words_of(answer)) & key) for key, answer in keys if key]
        found["columns"][column] = {**means, "right": float(numpy.mean(judged)) if judged else None}
        found["keyed"] = len(judged)
    found["heard"] = token_error_rate(asked)
    said, heard = [one.utterance.text for one in asked], [one.heard_text for one in asked]
    found["WER raw"] = word_error_rate(said, heard)
    normalise = whisper_normaliser("en")
    found["WER"] = word_error_rate(list(map(normalise, said)), list(map(normalise, heard)))
    found["recovery"] = recovery(asked)
    found["measured for recovery"] = sum(bool(one.nll) for one in asked)
    return found


def show(value: float | None) -> str:
    """A figure of the table; "-" if there is none."""
    return "-" if value is None else f"{value:.2f}"


def as_table(groups: dict[str, dict]) -> str:
    """The ladder as Markdown, one row a group in each of two tables: what is heard, and how far answers agree."""
    heard = {"tokens heard wrong": "heard", "words heard": "words heard", "WER raw": "WER raw", "WER": "WER"}
    heard["recovery"] = "recovery"
    cells = [
        [name, str(row["n"]), str(row["speakers"]), *(show(row.get(key)) for key in heard.values())]
        for name, row in groups.items()
    ]
    tables = [Table(("group", "n", "voices", *heard), cells, num_texts=1)]
    answered = [name for name in COLUMNS[1:] if any(name in row["columns"] for row in groups.values())]
    if answered:
        cells = [
            [name, *(show_agreement(row["columns"].get(column)) for column in answered)]
            for name, row in groups.items()
        ]
        tables.append(Table(("exact / first / F1", *answered), cells, num_texts=1))
    keyed = {name: row for name, row in groups.items() if row.get("keyed")}
    right = [
        f"{name}: "
        + ", ".join(f"{column} {show(found['right'])}" for column, found in row["columns"].items())
        + f" of {row['keyed']}"
        for name, row in keyed.items()
    ]
    notes = ["Right by the key: " + "; ".join(right)] if right else []
    return "\n\n".join([*(table.to_markdown() for table in tables), *notes]) + "\n"


def show_agreement(found: dict | None) -> str:
    """The agreement of a column's answers: exact / first / F1, and the interval of F1; "-" if it was not answered."""
    if found is None:
        return "-"
    low, high = found["F1 interval"]
    interval = "" if low is None else f" ({low:.2f}..{high:.2f})"
    return " / ".join(show(found[name]) for name in ("exact", "first", "F1")) + interval
