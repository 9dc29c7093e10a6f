"""Look-alikes of SLUE, phases 1 and 2, in the form of the release, with the traps of the real ones."""

import csv
from pathlib import Path

from auralign.files import PathLike
from auralign.testing.corpora.files import write_speech
from auralign.testing.corpora.slue_rows import (
    DOCUMENTS,
    HVB,
    SECONDS,
    SLUE,
    SPLITS,
    SQA5,
    TED,
    VOXCELEB,
    VOXPOPULI,
    VP_NEL,
    Row,
    word2time,
)


def make_slue(folder: PathLike) -> Path:
    """Write slue-voxpopuli and slue-voxceleb of phase 1; the folder that holds both.

    Traps: ids with colons and spaces; an entity at either end, two that are alike and adjacent, one that the combined task
    leaves out, one before a clitic; other offsets in raw text than in normalized; no entity, as [], None or an empty cell; a
    label that is cut, one behind its text; speakers that are NaN or None; no text; text with commas and quotes; blind tables;
    sentiments that are mixed or unknown; a clip that ends a little behind its file, one that ends far behind; files that are
    cut already.
    """
    root = Path(folder) / "SLUE"
    for split, rows in VOXPOPULI.items():
        folder = root / "slue-voxpopuli"
        rows = [row | {"split": split} for row in rows]
        _write_table(folder / f"slue-voxpopuli_{split}.tsv", [_without_entities(row) for row in rows])
        for row in rows:
            write_speech(folder / split / f"{row['id']}.ogg", SECONDS["voxpopuli"])
    for split, rows in VOXCELEB.items():
        folder = root / "slue-voxceleb"
        _write_table(folder / f"slue-voxceleb_{split}.tsv", [row | {"split": split} for row in rows])
        for row in rows:
            if split == "dev":
                seconds = row["end_second"] - row["start_second"]
                write_speech(folder / split / f"{row['id']}.flac", seconds)
            else:
                write_speech(folder / f"{split}_raw" / f"{row['id']}.flac", SECONDS["voxceleb"])
    for corpus, labels in (("voxpopuli", ("raw_ner", "normalized_ner")), ("voxceleb", ("sentiment",))):
        rows = [{key: row[key] for key in row if key not in labels} for row in SLUE[corpus]["test"]]
        _write_table(root / f"slue-{corpus}" / f"slue-{corpus}_test_blind.tsv", rows)
    return root


def _without_entities(row: Row) -> Row:
    """The release writes no entity in several ways."""
    empty = {"none_1": "None", "test_3": ""}
    return row | {"normalized_ner": empty[row["id"]]} if row["id"] in empty else row


def make_slue_phase_2(folder: PathLike) -> Path:
    """Write slue-hvb, slue-sqa5, slue-ted_* and slue-vp_nel of phase 2; the folder that holds them.

    Traps: acts that are several, unknown or cut; text that is NaN; 8 kHz; two channels at a time, in one file's name; quotes
    that hold a tab, or that are not closed; a row with a column too many; lines of word2time with one field, or broken; words
    without times, documents without any; files that are missing; a line end in a quoted cell; no transcript; an answer that
    ends before it starts, an entity behind its text.
    """
    root = Path(folder) / "SLUE"
    for split in SPLITS:
        folder = root / "slue-hvb"
        _write_table(folder / f"slue-hvb_{split}.tsv", [row | {"split": split} for row in HVB[split]])
        for row in HVB[split]:
            write_speech(folder / split / f"{clip_name(row)}.wav", SECONDS["hvb"], sample_rate=8_000)
        _write_sqa5(root / "slue-sqa5", split)
        folder = root / f"slue-ted_{split}"
        _write_table(folder / f"slue-ted_{split}.tsv", [row | {"split": split} for row in TED[split]])
        for row in TED[split]:
            if row["id"] != "Fi_6":
                write_speech(folder / split / f"{row['id']}.flac", SECONDS["ted"])
    for split, rows in VP_NEL.items():
        _write_table(root / "slue-vp_nel" / f"slue-vp_nel_{split}.tsv", rows)
        for row in rows:
            write_speech(root / "slue-vp_nel" / split / f"{row['id']}.ogg", SECONDS["vp_nel"])
    return root


def clip_name(row: Row) -> str:
    return f"{row['issue_id']}_{row['start_ms']}_{row['start_ms'] + row['duration_ms']}"


def _write_sqa5(folder: Path, split: str) -> None:
    """By hand: this table holds quotes as they are, but for one cell."""
    names = list(SQA5[split][0])
    lines = ["\t".join([*names, "split"])]
    for row in SQA5[split]:
        cells = [f'"{cell}"' if "\t" in str(cell) else str(cell).replace("'", '"') for cell in row.values()]
        lines.append("\t".join([*cells, split] + ["more"] * (row["question_id"] == "shifted")))
        write_speech(folder / split / "question" / f"{row['question_id']}.wav", 0.2)
    (folder / split / "word2time").mkdir()
    (folder / f"slue-sqa5_{split}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for document in {row["document_id"] for row in SQA5[split]} & {*DOCUMENTS}:
        write_speech(folder / split / "document" / f"{document}.wav", SECONDS["sqa5"])
        if DOCUMENTS[document][1] is not None:
            lines = [
                "\t".join([*word, *map(str, times)] if times else word[:1])
                for word, times in word2time(document)
            ]
            lines += ["Rome\trome"] * (document == "Broken_1")
            (folder / split / "word2time" / f"{document}.txt").write_text(
                "\n".join(lines) + "\n", encoding="utf-8"
            )


def _write_table(path: Path, rows: list[Row]) -> None:
    """As pandas writes it: quotes if a cell holds a quote or a line end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]), delimiter="\t", lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
