r"""The SLUE corpora as utterances (Shon et al., arXiv:2111.10367 and 2212.10525), from folders of the release or parquet.

    slue-voxpopuli/slue-voxpopuli_dev.tsv       id  raw_text  normalized_text  speaker_id  split  raw_ner  normalized_ner
    slue-voxpopuli/dev/<id>.ogg
    slue-voxceleb/slue-voxceleb_dev.tsv         id  normalized_text  speaker_id  split  sentiment  start_second  end_second
    slue-voxceleb/dev_raw/<id>.flac             or, once cut, dev/<id>.flac
    slue-hvb/slue-hvb_dev.tsv                   issue_id  utt_index  channel  start_ms  duration_ms  text  dialog_acts  split
    slue-hvb/dev/<issue_id>_<start_ms>_<end_ms>.wav
    slue-sqa5/slue-sqa5_dev.tsv                 question_id  normalized_question_text  document_id  answer_spans  ...
    slue-sqa5/dev/{question/<question_id>.wav,document/<document_id>.wav,word2time/<document_id>.txt}
    slue-ted_dev/slue-ted_dev.tsv               id  transcript  speaker  split  title  abstract
    slue-ted_dev/dev/<id>.flac

    voxpopuli/validation-00000-of-00001.parquet     of asapp/slue and asapp/slue-phase-2, with a folder for each corpus

Labels in a table are Python literals, `[['LAW', 86, 18]]`; in parquet they are columns, {"type": ["LAW"], "start": [86], ...}.
Anything else is yielded as a Rejection or a Note, which `write_manifest` reports.
"""

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from auralign.corpora.slue.rows import BLIND, CORPORA, Corpus
from auralign.corpora.slue.tables import Unusable, check_columns, read_table
from auralign.data.audio import AudioError
from auralign.data.rejected import Item, Note, Rejection
from auralign.data.sources import read_parquet
from auralign.data.sources.text_files import find_cut
from auralign.files import write_atomically
from auralign.records import Utterance

# Rows of each split by the papers, None if their number is not known. Those of VoxCeleb count mixed sentiments too.
PUBLISHED = {
    "voxpopuli": {"fine-tune": 5_000, "dev": 1_753, "test": 1_842},
    "voxceleb": {"fine-tune": 5_777, "dev": 1_454, "test": 3_553},
    "hvb": {"fine-tune": 11_344, "dev": 1_690, "test": 6_121},
    "sqa5": {"fine-tune": 46_186, "dev": 1_939, "test": 2_382, "verified-test": 408},
    "ted": {"fine-tune": None, "dev": None, "test": None},
    "vp_nel": {"dev": None, "test": None},
}
PARQUET_SPLITS = {
    "fine-tune": "train",
    "dev": "validation",
    "test": "test",
    "verified-test": "verified_test",
}
AUDIO = (".ogg", ".flac", ".wav")


def read_slue(
    folder, corpus: str, split: str, *, audio_folder=None
) -> Iterator[Utterance | Rejection | Note]:
    """Yield the utterances of a split, in the order of its table.

    ========== ======================== =======================================================================
    corpus     text                     labels
    ========== ======================== =======================================================================
    voxpopuli  normalized_text          raw_text; entities: [[tag, phrase], ...], raw tags
    voxceleb   normalized_text          sentiment
    hvb        text                     dialog_acts: [act, ...]; issue_id
    sqa5       normalized_document_text question, question_audio, document_id, answer_spans: [[start, end], ...],
                                        answers: [phrase, ...]; one utterance a question, with its document's audio
    ted        transcript               title, abstract
    vp_nel     text                     entity_spans: [[tag, start, end], ...]; entities: [[tag, phrase], ...]; released as
                                        parquet, and read from a table of its columns (slue-vp_nel_dev.tsv) too
    ========== ======================== =======================================================================

    Times are in seconds; sqa5 and vp_nel have word times. A "blind" table, without a label's column, gives utterances without
    that label, and a Note. A speaker that is None or NaN becomes "".

    A row is rejected if its cells do not match the header, with quotes or without ("broken row"); if it has no id or one used
    before; if its file does not exist; if a label cannot be read ("broken label"; the detail names the cell); if the sentiment
    ("no single sentiment", "unknown sentiment") or an act ("unknown dialog act") is not a known one; and if the clip
    "ends behind its audio" by more than 0.05 s (less is clipped). `write_manifest` rejects utterances without text.

    Arguments
    ---------
    folder : path
        The folder of the corpus or its parent; the label `question_audio` is relative to it.
    corpus : str
        A key of PUBLISHED.
    split : str
        fine-tune (also called train), dev or test; sqa5 also has verified-test, vp_nel no fine-tune.
    audio_folder : path, optional
        Folder to which the audio in parquet files is written, once, as <corpus>/<split>/<id>; needed for parquet alone.

    Raises ValueError on another corpus or split, or if parquet needs an audio_folder; FileNotFoundError if the folder
    holds neither form; RecordError, which names file and line, if a table cannot be read.
    """
    folder = Path(folder)
    if corpus not in PUBLISHED:
        raise ValueError(f"corpus {corpus!r}: SLUE has {', '.join(PUBLISHED)}")
    split = "fine-tune" if split == "train" else split
    if split not in PUBLISHED[corpus]:
        hint = "; it is for evaluation alone: train on voxpopuli" if corpus == "vp_nel" else ""
        raise ValueError(f"split {split!r}: {corpus} has {', '.join(PUBLISHED[corpus])}{hint}")
    source = _find_parquet(folder, corpus, split, audio_folder) or _find_table(folder, corpus, split)
    return _make_items(source, CORPORA[corpus])


@dataclass
class _Source:
    """The rows and the audio of a split, and the notes about them."""

    folder: Path  # what the label `question_audio` is relative to
    path: Path  # of the table, or the folder of parquet files
    split: str
    notes: Counter = field(default_factory=Counter)
    is_parquet = False


@dataclass
class _Table(_Source):
    """A folder of the release; `path` is its table."""

    def rows(self, needed: tuple[str, ...]) -> Iterator[tuple[str, dict | None]]:
        yield from read_table(self.path, needed)
        for note in find_cut(self.path):
            self.notes[note.text] += note.count

    def audio(self, row: Mapping, column: str, name: str) -> tuple[Path, bool]:
        """The file of a row, and whether it holds more than the row's clip."""
        kind = column.removesuffix("audio").removesuffix("_")
        root = self.path.parent
        for folder in (root / f"{self.split}_raw", root / self.split):
            for ending in AUDIO:
                path = folder / kind / f"{name}{ending}"
                if path.is_file():
                    return path, folder.name != self.split
        raise Unusable("no such file", str(root / self.split / kind / f"{name}[{' '.join(AUDIO)}]"))

    def relative(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()


@dataclass
class _Parquet(_Source):
    """Parquet with the audio in it; `path` is the folder of the corpus."""

    audio_folder: Path = Path()
    is_parquet = True

    def rows(self, needed: tuple[str, ...]) -> Iterator[tuple[str, dict | None]]:
        # A talk of an hour is 30 MB, so batches are small.
        for position, row in read_parquet(self.path, PARQUET_SPLITS[self.split], batch_size=8):
            check_columns(list(row), needed, position)
            yield position, row

    def audio(self, row: Mapping, column: str, name: str) -> tuple[Path, bool]:
        value = row.get(column)
        if not isinstance(value, dict) or value.get("bytes") is None:
            raise Unusable("no such file", f"the column {column!r} holds no audio")
        kind = column.removesuffix("audio").removesuffix("_")
        ending = Path(value.get("path") or "").suffix or ".audio"
        path = self.audio_folder / kind / (_file_name(name) + ending)
        if not (path.is_file() and path.stat().st_size == len(value["bytes"])):
            with write_atomically(path, "wb") as file:
                file.write(value["bytes"])
        return path, True

    def relative(self, path: Path) -> str:
        # Links are resolved first, as ".." after a link leads elsewhere.
        return (
            Path(os.path.relpath(os.path.realpath(path.parent), os.path.realpath(self.folder))) / path.name
        ).as_posix()


def _file_name(name: str) -> str:
    """An id as a file name; characters that a file name cannot hold are written as in a URL."""
    return "".join(f"%{ord(letter):02X}" if letter in "/%\0" else letter for letter in name)


def _find_parquet(folder: Path, corpus: str, split: str, audio_folder) -> _Parquet | None:
    wanted = PARQUET_SPLITS[split]
    for parent in (folder / corpus, folder):
        if any(parent.glob(f"{wanted}-*.parquet")) or any(parent.glob(f"{wanted}/*.parquet")):
            if audio_folder is None:
                raise ValueError(
                    f"{parent}: parquet holds audio itself; give the folder to write it to (audio_folder)"
                )
            return _Parquet(folder, parent, split, audio_folder=Path(audio_folder) / corpus / split)
    return None


def _find_table(folder: Path, corpus: str, split: str) -> _Table:
    name = f"slue-{corpus}"
    table = f"{name}_{split}"
    for ending in ("", "_blind"):
        for inside in ("", name, table, f"{table}_blind"):
            path = folder / inside / f"{table}{ending}.tsv"
            if path.is_file():
                return _Table(folder, path, split)
    raise FileNotFoundError(
        f"no {table}.tsv in {folder} or its {name}, and no {corpus}/{PARQUET_SPLITS[split]}-*.parquet; give the folder of the "
        "release, or of a copy of asapp/slue or asapp/slue-phase-2"
    )


def _make_items(source: _Table | _Parquet, corpus: Corpus) -> Iterator[Item]:
    seen = set()
    for position, row in source.rows(corpus.needed):
        if row is None:
            yield Rejection(position, "broken row", "its columns are not those of the header")
            continue
        identity = position
        try:
            identity = corpus.identify(row)
            if identity in seen:
                raise Unusable("id used twice", position)
            seen.add(identity)
            utterance = corpus.make(row, identity, source)
        except Unusable as error:
            yield Rejection(identity, *error.args)
            continue
        except AudioError as error:
            yield Rejection(identity, "bad audio", str(error))
            continue
        if any(column not in row for column in corpus.labels):
            source.notes[BLIND] += 1
        yield utterance
    yield from (Note(text, count) for text, count in source.notes.items() if count)
