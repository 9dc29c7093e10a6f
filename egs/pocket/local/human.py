"""Human speech for the pocket model: spans of known words of LibriSpeech, recorded digits joined to strings, coffee orders.

    python local/human.py hparams/answer.yaml --output data/human [--librispeech DIR] [--digits DIR] [--orders FILE]
    auralign evaluate exp/full/answer --manifest data/human/test.jsonl
    python local/ladder.py hparams/answer.yaml --manifest data/human/test.jsonl --evaluation FOLDER --name human

No whole utterance of LibriSpeech lies within the training vocabulary, so spans of known words are cut at word times that the
recipe's recognizer finds (as `auralign align` does).

Reads: <data_folder>/train.jsonl, for the vocabulary; --librispeech: the release's folder; --digits: files
       <digit>_<speaker>_<take>.flac or .wav at any depth; --orders: a table with the columns path and slots (JSON)
Writes: <output>/clips/*.flac, test.jsonl and test.questions.jsonl
"""

import argparse
import csv
import json
import sys
from collections import defaultdict
from itertools import islice
from pathlib import Path
from random import Random

import numpy
import soundfile

sys.path.insert(0, str(Path(__file__).parents[1]))
from local.texts import NUMBERS, words_of  # noqa: E402

from auralign import script  # noqa: E402
from auralign.data.audio import hear  # noqa: E402
from auralign.data.manifest import write_manifest  # noqa: E402
from auralign.records import Question, Records, Utterance, write_records  # noqa: E402
from auralign.run_folder import RunFolder  # noqa: E402
from prepare import question  # noqa: E402

SAMPLE_RATE = 16_000
MIN_WORDS, MAX_WORDS = 3, 8  # of a span
MARGIN = 0.06  # seconds around a span: word times are off by as much
SPANS_OF_SPEAKER = 2  # of each reader, the first ones
NUM_STRINGS, NUM_ORDERS = 60, 60
PAUSE = 0.12  # seconds between two digits
UPPER = ("i", "i'm", "i'll", "i've", "i'd")


def cut_spans(run: RunFolder, folder: Path, clips: Path, vocabulary: set[str]) -> list[Utterance]:
    """The longest runs of known words in a LibriSpeech folder."""
    from auralign.align import align, from_recipe
    from auralign.corpora.librispeech import PUBLISHED, read_librispeech

    parts = [part for part in PUBLISHED if (folder / part).is_dir()]
    manifest = clips.parent / "librispeech.jsonl"
    write_manifest(manifest, (utterance for part in parts for utterance in read_librispeech(folder, part)))
    records = Records(manifest, Utterance)
    print(f"human: {align(records, from_recipe(run.recipe, records, path=run.recipe.source.path))}")
    found: list[Utterance] = []
    for utterance in Records(manifest, Utterance):
        room = SPANS_OF_SPEAKER - sum(one.speaker == utterance.speaker for one in found)
        spans = known_spans(utterance.words or (), vocabulary)[:room]
        audio = hear(manifest.parent / utterance.audio, sample_rate=SAMPLE_RATE).samples
        for number, (text, start, end) in enumerate(spans):
            first, last = (
                max(0, round((at + by) * SAMPLE_RATE)) for at, by in ((start, -MARGIN), (end, MARGIN))
            )
            name = f"{utterance.id}-{number}"
            found.append(
                write_clip(clips, name, audio[first:last], text, utterance.speaker, "human: read books")
            )
    return found


def known_spans(words, vocabulary: set[str]) -> list[tuple[str, float, float]]:
    """(text, start, end) of each longest run of known words, of `MIN_WORDS` to `MAX_WORDS`.

    >>> known_spans([("ONE", 0, 1), ("IS", 1, 2), ("RED", 2, 3), ("XYLEM", 3, 4), ("TWO", 4, 5)], {"one", "is", "red", "two"})
    [('One is red.', 0, 3)]
    """
    spans, run = [], []
    for word, start, end in [*words, ("", 0, 0)]:
        if words_of(word) and set(words_of(word)) <= vocabulary and len(run) < MAX_WORDS:
            run.append((word.lower(), start, end))
            continue
        if len(run) >= MIN_WORDS:
            text = " ".join(word.capitalize() if word in UPPER else word for word, *_ in run)
            spans.append((f"{text[0].upper()}{text[1:]}.", run[0][1], run[-1][2]))
        run = [(word.lower(), start, end)] if set(words_of(word)) <= vocabulary and words_of(word) else []
    return spans


def join_digits(folder: Path, clips: Path, *, seed: int) -> list[Utterance]:
    """Strings of three to five recorded digits, each of one speaker."""
    rng, takes = Random(seed), defaultdict(lambda: defaultdict(list))
    for path in sorted([*folder.rglob("*.flac"), *folder.rglob("*.wav")]):
        digit, speaker, _ = path.stem.split("_")
        takes[speaker][int(digit)].append(path)
    if not takes:
        raise FileNotFoundError(f"--digits {folder}: no <digit>_<speaker>_<take>.flac or .wav there")
    found = []
    for number in range(NUM_STRINGS):
        speaker = sorted(takes)[number % len(takes)]
        digits = [rng.choice(sorted(takes[speaker])) for _ in range(rng.randint(3, 5))]
        pause = numpy.zeros(round(PAUSE * SAMPLE_RATE), numpy.float32)
        parts = [
            part
            for digit in digits
            for part in (hear(rng.choice(takes[speaker][digit]), sample_rate=SAMPLE_RATE).samples, pause)
        ]
        text = " ".join(NUMBERS[digit] for digit in digits).capitalize() + "."
        found.append(
            write_clip(
                clips, f"digits-{number:03d}", numpy.concatenate(parts), text, speaker, "human: digits"
            )
        )
    return found


def read_orders(table: Path, clips: Path) -> list[Utterance]:
    """Spoken coffee orders, with the words of their slots as the text."""
    found = []
    with table.open(encoding="utf-8", newline="") as file:
        for number, row in enumerate(islice(csv.DictReader(file), NUM_ORDERS)):
            samples = hear(table.parent / row["path"], sample_rate=SAMPLE_RATE).samples
            text = " ".join(str(value) for value in json.loads(row["slots"]).values())
            found.append(
                write_clip(
                    clips,
                    f"order-{number:03d}",
                    samples,
                    text,
                    row.get("speaker"),
                    "human: orders",
                    partial=True,
                )
            )
    return found


def write_clip(
    clips: Path, name: str, samples, text: str, speaker: str | None, group: str, *, partial: bool = False
) -> Utterance:
    """Write a clip, and describe it; `partial` if more is said than the text holds."""
    path = clips / f"{name}.flac"
    soundfile.write(path, samples, SAMPLE_RATE)
    seconds = len(samples) / SAMPLE_RATE
    return Utterance(
        id=name,
        audio=path.name,
        seconds=seconds,
        text=text,
        language="en",
        speaker=speaker,
        labels={"group": group, "template": "", "fillers": [], "partial": partial},
    )


def main(argv):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--output", required=True, type=Path)
    parser.add_argument("--librispeech", type=Path)
    parser.add_argument("--digits", type=Path)
    parser.add_argument("--orders", type=Path)
    own, rest = parser.parse_known_args(argv)
    run = RunFolder.of_arguments(rest, doc=__doc__)
    clips = own.output / "clips"
    clips.mkdir(parents=True, exist_ok=True)
    train = Records(run.data.manifest("train"), Utterance)
    vocabulary = {word for utterance in train for word in words_of(utterance.text)}
    found: list[Utterance] = []
    if own.librispeech:
        found += cut_spans(run, own.librispeech, clips, vocabulary)
    if own.digits:
        found += join_digits(own.digits, clips, seed=run.recipe.seed)
    if own.orders:
        found += read_orders(own.orders, clips)
    manifest = own.output / "test.jsonl"
    print(f"human: {write_manifest(manifest, found, audio_folder=clips)}")
    asked = [question(one) for one in Records(manifest, Utterance)]
    write_records(own.output / "test.questions.jsonl", asked, kind=Question)


if __name__ == "__main__":
    script.run(main)
