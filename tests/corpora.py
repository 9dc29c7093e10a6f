"""Look-alikes of published corpora, with the traps of the real ones: what stands in them, and what must come out.

python tests/corpora.py librispeech DIR      writes DIR/LibriSpeech, for a recipe's hparams/smoke.yaml
"""

import sys
from pathlib import Path

import numpy as np
import soundfile

from auralign.testing import make_speech

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


# Reader to subset, of the chapters without traps.
SOUND = {
    "14": "train-clean-5",
    "16": "train-clean-5",
    "62": "dev-clean-2",
    "64": "test-clean",
    "66": "test-clean",
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


def make_librispeech(folder, *, sound: bool = False) -> Path:
    """Write two subsets of three readers and five chapters; the folder LibriSpeech. With `sound`, also chapters of five other
    readers in three subsets that have no traps: enough to run a recipe.

    Traps: CRLF and a blank last line, a line without a file, a file without a line, an id that begins another (1-2-0001,
    11-2-0001), one used twice, one of another chapter, no id, no text, no UTF-8, no transcript; a BOM; 44.1 kHz in stereo, a
    file that was cut, an empty one, 0.1 s, 35 s; files of macOS and of other kinds; a pipe in a name, and no name; an
    alignment of one chapter with other words and without an utterance.
    """
    root = Path(folder) / "LibriSpeech"
    for place, (lines, files) in CHAPTERS.items():
        chapter = root / place
        chapter.mkdir(parents=True)
        if lines is not None:
            (chapter / f"{chapter.parent.name}-{chapter.name}.trans.txt").write_bytes(lines)
        for name, seconds in files.items():
            soundfile.write(chapter / f"{name}.flac", make_speech(seconds), 16_000)
    speakers = SPEAKERS
    for reader, subset in SOUND.items() if sound else ():
        chapter = root / subset / reader / "1"
        chapter.mkdir(parents=True)
        speakers += f"{reader}   | F | {subset}    |  1.00 | Reader {reader}\n"
        lines = [f"{reader}-1-{n:04} {NUMBERS[reader]} {text}\n" for n, text in enumerate(SENTENCES)]
        (chapter / f"{reader}-1.trans.txt").write_text("".join(lines))
        for n in range(len(SENTENCES)):
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


def cut(path):
    """Leave the first half of a file's bytes."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


# clip: (sentence, translation, split), as they are meant; each has an mp3 of 0.5 s.
CLIPS = {
    "plain": ("Hello there.", "Guten Tag.", "train"),
    "quote": ('He said "six', 'Er sagte "sechs', "train_covost"),
    "tab": ("One two", "Eins\tzwei", "train"),
    "backslash": ("A or B", "A\\B", "train"),
    "NA": ("NA", "NA", "train"),
    "nfc": ("caf\u00e9", "Caf\u00e9", "train"),
    "nfd": ("cafe\u0301", "Cafe\u0301", "train"),
    "arabic": ("Welcome", "مرحبا", "train"),
    "chinese": ("You are welcome", "不客气", "train"),
    "cut": ("Half of it", "Die Hälfte", "train"),
    "valid": ("Six", "Sechs", "dev"),
    "test": ("Seven", "Sieben", "test"),
    "old_valid": ("Eight", "Acht", "dev_covost"),
    "old_test": ("Nine", "Neun", "test_covost"),
}
CLIENTS = {"quote": ("b" * 128, "thirties", "female", "us"), "tab": ("b" * 128, "", "other", "")}


def make_covost(folder) -> tuple[Path, Path]:
    """Write covost_v2.en_de.tsv and Common Voice's cv4/en; both paths.

    Traps: a BOM; quotes that are not closed, tabs, backslashes, NA, two forms of Unicode, Arabic, Chinese; a path listed
    twice, or in one table only, a broken row in each, an unknown split, an empty translation; an mp3 that is missing, empty
    or cut; splits of version 1; columns that are empty.
    """
    table, root = Path(folder) / "covost_v2.en_de.tsv", Path(folder) / "cv4" / "en"
    (root / "clips").mkdir(parents=True)
    rows = [(f"{clip}.mp3", translation, split) for clip, (_, translation, split) in CLIPS.items()]
    rows += [
        ("untold.mp3", "", "train"),
        ("missing.mp3", "Fehlt", "train"),
        ("stranger.mp3", "Fremd", "train"),
        ("plain.mp3", "Noch einmal", "train"),
        ("typo.mp3", "Tippfehler", "tarin"),
        ("zero.mp3", "Leer", "train"),
    ]
    lines = ["path\ttranslation\tsplit", *("\t".join(map(escape, row)) for row in rows)]
    table.write_text("\ufeff" + "\n".join([*lines, "shifted.mp3\tein\tTab\ttrain"]) + "\n", encoding="utf-8")

    lines = ["client_id\tpath\tsentence\tup_votes\tdown_votes\tage\tgender\taccent"]
    sentences = {clip: sentence for clip, (sentence, _, _) in CLIPS.items()}
    others = ("untold", "missing", "shifted", "typo", "zero", "unlisted")
    for clip, sentence in {**sentences, **dict.fromkeys(others, "Something")}.items():
        client, *attributes = CLIENTS.get(clip, ("a" * 128, "", "", ""))
        lines.append("\t".join([client, f"{clip}.mp3", sentence, "2", "0", *attributes]))
    lines.append("a\tbroken.mp3\tno columns behind")
    (root / "validated.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for number, clip in enumerate(CLIPS):
        soundfile.write(
            root / "clips" / f"{clip}.mp3", make_speech(0.5, seed=number, sample_rate=48_000), 48_000
        )
    cut(root / "clips" / "cut.mp3")
    (root / "clips" / "zero.mp3").write_bytes(b"")
    return table, root


def escape(cell: str) -> str:
    """A cell as the release writes it: a backslash before a quote, a tab and a backslash."""
    return "".join(f"\\{character}" if character in '\\"\t' else character for character in cell)


MAKERS = {"librispeech": lambda folder: make_librispeech(folder, sound=True), "covost": make_covost}


def main(argv):
    if len(argv) != 2 or argv[0] not in MAKERS:
        sys.exit(f"usage: corpora.py {{{','.join(MAKERS)}}} DIR")
    print(MAKERS[argv[0]](argv[1]))


if __name__ == "__main__":
    main(sys.argv[1:])
