"""CoVoST 2 as utterances: its released translations, joined with the clips of Common Voice 4.

    covost_v2.en_de.tsv     path<TAB>translation<TAB>split
    en/validated.tsv        client_id<TAB>path<TAB>sentence<TAB>up_votes<TAB>down_votes<TAB>age<TAB>gender<TAB>accent
    en/clips/*.mp3

Both tables are read as the release's own script reads them: cells are separated by tabs, quotes are plain characters, a
backslash escapes a tab, a quote or a backslash, and "NA" is a word. The clips must be those of Common Voice 4: later releases
lack some of them.
"""

import csv
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from sys import intern

from auralign.data.rejected import Item, Note, Rejection
from auralign.data.sources.text_files import find_cut
from auralign.records import RecordError, Utterance

# Split of version 2 -> values of the column `split` that belong to it.
SPLITS = {"train": ("train", "train_covost"), "dev": ("dev",), "test": ("test",)}
VALUES = {
    *SPLITS,
    *(f"{split}_covost" for split in SPLITS),
}  # dev_covost and test_covost belong to version 1 alone
NAME = re.compile(r"covost_v2\.(?P<source>[^_]+)_(?P<target>[^_]+)\.tsv")
# Column of validated.tsv -> attribute; later releases name it accents.
ATTRIBUTES = {"gender": "gender", "age": "age", "accent": "accent", "accents": "accent"}

# Source language -> rows of (train, dev, test); the same for all pairs from English. Dev and test are from the publisher's
# statistics. Of train only the sums were verified, against the rounded figures of a mirror.
PUBLISHED = {
    "en": (289_430, 15_531, 15_531),
    "fr": (207_374, 14_760, 14_760),
    "de": (127_834, 13_511, 13_511),
    "es": (79_015, 13_221, 13_221),
    "ca": (95_854, 12_730, 12_730),
    "it": (31_698, 8_940, 8_951),
    "ru": (12_112, 6_110, 6_300),
    "zh-CN": (7_085, 4_843, 4_898),
    "pt": (9_158, 3_318, 4_023),
    "fa": (53_949, 3_445, 3_445),
    "et": (1_782, 1_576, 1_571),
    "mn": (2_067, 1_761, 1_759),
    "nl": (7_108, 1_699, 1_699),
    "tr": (3_966, 1_624, 1_629),
    "ar": (2_283, 1_758, 1_695),
    "sv-SE": (2_160, 1_349, 1_595),
    "lv": (2_337, 1_125, 1_629),
    "sl": (1_843, 509, 360),
    "ta": (1_358, 384, 786),
    "ja": (1_119, 635, 684),
    "id": (1_243, 792, 844),
    "cy": (1_241, 690, 690),
}


@dataclass
class Counts:
    """Numbers of rows of a split: listed by CoVoST, also found in Common Voice, and published (None if unknown).

    The published numbers of train are not verified for each pair, so a difference need not be an error in the data.

    >>> str(Counts("en_de dev", listed=3, joined=2, published=15_531))
    'en_de dev: 3 rows listed, 2 of them in validated.tsv, 15531 published'
    """

    name: str
    listed: int = 0
    joined: int = 0
    published: int | None = None

    def __str__(self):
        published = "an unknown number" if self.published is None else self.published
        return f"{self.name}: {self.listed} rows listed, {self.joined} of them in validated.tsv, {published} published"


@dataclass
class _Split:
    """The content of CoVoST's table for one split; `translations` maps a clip's path to its translation."""

    translations: dict[str, str] = field(default_factory=dict)
    others: set[str] = field(default_factory=set)  # paths of other splits
    rejections: list[Rejection] = field(default_factory=list)
    num_listed: int = 0


def read_covost(
    covost_tsv, common_voice_folder, split: str
) -> tuple[Iterator[Utterance | Rejection | Note], Counts]:
    """The utterances of a split of version 2, and its numbers of rows beside the published ones.

    The translation is `labels["translation"]`, the speaker is Common Voice's client_id; gender, age and accent become
    attributes if they are given. `seconds` are infinite (up to the end of the file): `write_manifest` measures them.

    A row of the split is rejected if it is not in validated.tsv, its path was listed before, its translation is empty, its clip
    does not exist, or its columns do not match the header ("broken row"; one in CoVoST's table counts in every split). A Note
    counts the clips of validated.tsv without a translation.

    Arguments
    ---------
    covost_tsv : path
        covost_v2.<source>_<target>.tsv of the release.
    common_voice_folder : path
        Folder of the source language in Common Voice 4, with validated.tsv and clips.
    split : str
        train (with train_covost), dev or test.

    Returns an iterator of Utterance, Rejection and Note, and Counts.

    Raises FileNotFoundError if a table does not exist; ValueError on another split or file name; RecordError, which names file
    and line, if a table cannot be read.
    """
    covost_tsv, folder = Path(covost_tsv), Path(common_voice_folder)
    if split not in SPLITS:
        raise ValueError(f"split {split!r}: CoVoST 2 has {', '.join(SPLITS)}")
    name = NAME.fullmatch(covost_tsv.name)
    if not name:
        raise ValueError(
            f"{covost_tsv}: its name does not hold the languages; keep the release's name, covost_v2.SOURCE_TARGET.tsv"
        )
    published = PUBLISHED.get(name["source"])
    found = _read_translations(covost_tsv, split)
    rows, notes = _join(folder / "validated.tsv", found)
    notes += [*find_cut(covost_tsv), *find_cut(folder / "validated.tsv")]
    counts = Counts(
        f"{name['source']}_{name['target']} {split}",
        listed=found.num_listed,
        joined=len(rows),
        published=published and published[list(SPLITS).index(split)],
    )
    return _make_items(rows, found, notes, folder=folder, language=name["source"]), counts


def _read_translations(path: Path, split: str) -> _Split:
    found = _Split()
    for position, row, whole in _read_rows(path, ("path", "translation", "split")):
        clip = row["path"]
        if not whole:
            found.rejections.append(Rejection(_identity(clip) or position, "broken row", position))
        elif row["split"] not in VALUES:
            detail = f"{position}: {row['split']!r}; known are {', '.join(sorted(VALUES))}"
            found.rejections.append(Rejection(_identity(clip), "unknown split", detail))
        elif row["split"] not in SPLITS[split]:
            found.others.add(clip)
        else:
            found.num_listed += 1
            if clip in found.translations:
                found.rejections.append(Rejection(_identity(clip), "path listed twice", position))
            else:
                found.translations[clip] = row["translation"]
    return found


def _join(path: Path, split: _Split) -> tuple[dict[str, tuple], list[Note]]:
    """Path -> (sentence, client_id, attributes) of the split's clips; unusable rows are added to `split.rejections`."""
    rows: dict[str, tuple] = {}
    broken: set[str] = set()
    num_broken = num_strangers = 0
    for position, row, whole in _read_rows(path, ("path", "sentence", "client_id")):
        clip = row["path"]
        if clip not in split.translations:
            num_broken += not whole
            num_strangers += whole and clip not in split.others
        elif not whole:
            broken.add(clip)
            split.rejections.append(Rejection(_identity(clip), "broken row", position))
        elif clip in rows:
            split.rejections.append(Rejection(_identity(clip), "path listed twice", position))
        else:
            attributes = {
                name: intern(row[column])
                for column, name in ATTRIBUTES.items()
                if (row.get(column) or "").strip()
            }
            rows[clip] = (row["sentence"], intern(row["client_id"]), attributes)
    split.rejections += [
        Rejection(_identity(clip), "not in validated.tsv", f"{clip} is not in {path}")
        for clip in split.translations
        if clip not in rows and clip not in broken
    ]
    notes = {
        "clips of validated.tsv without a translation": num_strangers,
        "broken rows of validated.tsv, of other clips": num_broken,
    }
    return rows, [Note(text, count) for text, count in notes.items() if count]


def _make_items(
    rows: dict[str, tuple], split: _Split, notes: list[Note], *, folder: Path, language: str
) -> Iterator[Item]:
    yield from notes
    yield from split.rejections
    for clip, translation in split.translations.items():
        if clip not in rows:
            continue
        sentence, speaker, attributes = rows[clip]
        path = folder / "clips" / clip
        if not translation.strip():
            yield Rejection(_identity(clip), "no translation")
        elif not path.is_file():
            yield Rejection(_identity(clip), "no such file", str(path))
        else:
            yield Utterance(
                id=_identity(clip),
                audio=os.path.abspath(path),
                seconds=inf,
                text=sentence,
                language=language,
                speaker=speaker,
                attributes=attributes,
                labels={"translation": translation},
            )


def _identity(clip: str | None) -> str:
    return (clip or "").removesuffix(".mp3")


def _read_rows(path: Path, needed: tuple[str, ...]) -> Iterator[tuple[str, dict, bool]]:
    """Yield (position, row, whether the row has exactly the columns of the header)."""
    if not path.is_file():
        raise FileNotFoundError(
            f"no {path}; give covost_v2.SOURCE_TARGET.tsv of CoVoST, and the folder of the source language in Common Voice 4 "
            "(with validated.tsv and clips)"
        )
    with open(path, encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE, escapechar="\\", strict=True)
        try:
            names = rows.fieldnames or []
            missing = [name for name in needed if name not in names]
            if missing:
                raise RecordError(
                    f"{path}:1: no column {missing[0]!r}; columns are {', '.join(names) or 'none'}; give the table of the "
                    "release itself"
                )
            for row in rows:
                yield f"{path}:{rows.line_num}", row, None not in row and None not in row.values()
        except csv.Error as error:
            raise RecordError(
                f"{path}: after line {rows.line_num}: {error}; was the file cut? copy it again"
            ) from error
        except UnicodeDecodeError as error:
            raise RecordError(
                f"{path}: not UTF-8 after line {rows.line_num} ({error.reason}); copy it again"
            ) from error
