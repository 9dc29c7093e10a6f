"""`auralign bench scan`: the speed at which stage 1 scans a corpus."""

import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from auralign.bench import Row, Settings, against_bar
from auralign.bench.spread import describe_spread

BAR = 10_000  # utterances a CPU second
NUM_READERS, NUM_CHAPTERS, NUM_LINES = 20, 5, 50  # the scanned corpus: 5,000 files
SENTENCE = "GO DO YOU HEAR WHAT IS SAID HERE AND THERE BY SOMEONE OR OTHER ON ANY DAY"


def measure(settings: Settings) -> Iterator[Row]:
    """Utterances per CPU second that stage 1 reads from a copy of LibriSpeech's layout, by file headers, on one core."""
    from auralign.corpora.librispeech import read_librispeech
    from auralign.data.manifest import write_manifest

    with tempfile.TemporaryDirectory() as folder:
        root, number = _make_tree(Path(folder)), NUM_READERS * NUM_CHAPTERS * NUM_LINES
        rates = []
        for _ in range(settings.repeats):
            start = time.process_time()
            read = read_librispeech(root, "train-clean-100", num_threads=1)
            write_manifest(root / "train.jsonl", read, audio_folder=root, verify=False)
            rates.append(number / (time.process_time() - start))
    yield Row(
        f"stage 1 of LibriSpeech, {number:,} FLAC files by their headers, one core",
        f"{describe_spread(rates)} utterances a CPU second",
        against_bar(statistics.median(rates), BAR),
    )


def _make_tree(folder: Path) -> Path:
    """A subset in LibriSpeech's layout, whose audio is links to one file of 10 s."""
    import soundfile

    root = folder / "LibriSpeech"
    root.mkdir()
    noise = np.random.default_rng(1).normal(0, 0.1, 160_000)
    soundfile.write(root / "one.flac", noise, 16_000)
    speakers = []
    for reader in range(100, 100 + NUM_READERS):
        speakers.append(f"{reader} | F | train-clean-100 | 25.03 | Reader {reader}\n")
        for chapter in range(NUM_CHAPTERS):
            inside = root / "train-clean-100" / str(reader) / str(chapter)
            inside.mkdir(parents=True)
            names = [f"{reader}-{chapter}-{line:04}" for line in range(NUM_LINES)]
            for name in names:
                os.link(root / "one.flac", inside / f"{name}.flac")
            text = "".join(f"{name} {SENTENCE}\n" for name in names)
            (inside / f"{reader}-{chapter}.trans.txt").write_text(text)
    (root / "SPEAKERS.TXT").write_text("".join(speakers))
    return root
