"""A look-alike of LibriSpeech, with the traps of the real one."""

from pathlib import Path

import numpy as np
import soundfile

from auralign.files import PathLike
from auralign.testing.corpora.files import cut
from auralign.testing.tiny.speech import make_speech

SPEAKERS = """\
;ID  |SEX| SUBSET           |MINUTES| NAME
1    | F | train-clean-5    | 25.03 | Ann
11   | M | train-clean-5    |  8.10 |
60   | M | dev-clean-2      | 20.18 | |CBW|Simon
"""
# The lines of each chapter's transcript, and the seconds of each file.
CHAPTERS = {
    "train-clean-5/1/2": (
        b"1-2-0001 THE BOYS' CAPTAIN SAID 'TIS LATE\r\n1-2-0002 GO\r\n1-2-0003 NO FILE\r\n1-2-0001 TWICE\r\n"
        b"11-2-0001 ELSEWHERE\r\nthree five\r\n\r\n",
        {"1-2-0001": 0.5, "1-2-0002": 0.1, "1-2-0004": 0.2},
    ),
    "train-clean-5/1/3": (
        b"1-3-0000 GO DO YOU HEAR\n1-3-0001 OTHER WORDS\n1-3-0002 ABSENT\n",
        {"1-3-0000": 2.1, "1-3-0001": 1.0, "1-3-0002": 0.3},
    ),
    "train-clean-5/11/2": (
        b"\xef\xbb\xbf11-2-0001 STEREO\n11-2-0002 CUT\n11-2-0003 EMPTY\n11-2-0004\n",
        {"11-2-0001": 0.5, "11-2-0002": 2.0, "11-2-0003": 0.2, "11-2-0004": 0.2},
    ),
    "dev-clean-2/60/7": (b"60-7-0000 LONG\n60-7-0001 CAF\xc9\n", {"60-7-0000": 35.0, "60-7-0001": 0.2}),
    "dev-clean-2/60/8": (None, {"60-8-0000": 0.2}),
}
ALIGNMENT = """\
1-3-0000 ",GO,,DO,YOU,HEAR," "0.490,0.890,1.270,1.380,1.490,1.890,2.09"
1-3-0001 ",ONE,TWO," "0.1,0.5,0.9,1.0"
"""


# Reader to subset and number of lines, of the chapters without traps.
SOUND = {
    "14": ("train-clean-5", 6),
    "16": ("train-clean-5", 6),
    "62": ("dev-clean-2", 3),
    "64": ("test-clean", 2),
    "66": ("test-clean", 2),
}
NUMBERS = {"14": "FOURTEEN", "16": "SIXTEEN", "62": "SIXTY TWO", "64": "SIXTY FOUR", "66": "SIXTY SIX"}
SENTENCES = """\
GO DO YOU HEAR
HE TOLD THEM OF THE SEA AND THE SHIPS
THE KING'S MEN CAME BACK AND SAID NOTHING
WHAT SHALL WE DO NOW
SHE LAUGHED AND RAN TO THE DOOR
THERE WAS NO ANSWER
""".splitlines()


def make_librispeech(folder: PathLike, *, sound: bool = False) -> Path:
    """Write two subsets of three readers and five chapters; the folder LibriSpeech. With `sound`, also chapters of five other
    readers in three subsets that have no traps: enough to run a recipe.

    Traps: CRLF and a blank last line, a line without a file, a file without a line, an id that begins another (1-2-0001,
    11-2-0001), one used twice, one of another chapter, no id, no text, no UTF-8, no transcript; a BOM; 44.1 kHz in stereo, a
    file that was cut, an empty one, 0.1 s, 35 s; files of macOS and of other kinds; a pipe in a name, and no name; an
    alignment of one chapter with other words and without an utterance.
    """
    root = Path(folder) / "LibriSpeech"
    for folder, (lines, files) in CHAPTERS.items():
        chapter = root / folder
        chapter.mkdir(parents=True)
        if lines is not None:
            (chapter / f"{chapter.parent.name}-{chapter.name}.trans.txt").write_bytes(lines)
        for name, seconds in files.items():
            soundfile.write(chapter / f"{name}.flac", make_speech(seconds), 16_000)
    speakers = SPEAKERS
    for reader, (subset, number) in SOUND.items() if sound else ():
        chapter = root / subset / reader / "1"
        chapter.mkdir(parents=True)
        speakers += f"{reader}   | F | {subset}    |  1.00 | Reader {reader}\n"
        sound_lines = [
            f"{reader}-1-{n:04} {NUMBERS[reader]} {text}\n" for n, text in enumerate(SENTENCES[:number])
        ]
        (chapter / f"{reader}-1.trans.txt").write_text("".join(sound_lines))
        for n in range(number):
            samples = make_speech(0.5 + 0.1 * n, seed=100 * int(reader) + n)
            soundfile.write(chapter / f"{reader}-1-{n:04}.flac", samples, 16_000)
    (root / "SPEAKERS.TXT").write_text(speakers, encoding="utf-8")
    odd = root / "train-clean-5" / "11" / "2"
    stereo = make_speech(0.5, sample_rate=44_100)
    soundfile.write(odd / "11-2-0001.flac", np.stack([stereo, stereo], axis=1), 44_100)
    cut(odd / "11-2-0002.flac")
    (odd / "11-2-0003.flac").write_bytes(b"")
    aligned = root / "train-clean-5" / "1" / "3"
    (aligned / "1-3.alignment.txt").write_text(ALIGNMENT)
    for name in ("._1-3-0000.flac", "._1-3.trans.txt", ".DS_Store", "1-3-0000.wav"):
        (aligned / name).write_bytes(b"\0\5\x16\7")
    return root
