"""What a manifest is made of: `auralign audit data MANIFEST`.

    print(audit_data("data/train.jsonl", tests=["data/test.jsonl"]).to_text())

A Pretrainer's Guide to Training Data (Longpre et al., NAACL 2024, arXiv:2305.13169) measures what age, quality and sources of
data do to a model; it begins with knowing them. Rows carry them as labels (`auralign prepare --label`, `auralign build measure`).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from auralign.data.contamination import shared_with
from auralign.data.rejected import rejected_path
from auralign.data.strata import has_label, order, strata_of
from auralign.files import PathLike
from auralign.json_lines import parse_object
from auralign.ledger.table import NOT_DEFINED, Table
from auralign.progress import track
from auralign.records import Records, Utterance
from auralign.text.words import plain

LABELS = ("source", "subset", "year", "licence", "quality")
ALL = "all"


@dataclass
class Count:
    """What rows of a stratum come to."""

    utterances: int = 0
    documents: int = 0
    seconds: float = 0.0
    speakers: set[str] = field(default_factory=set)
    repeated_text: int = 0  # rows whose text an earlier row of the manifest has, without case and punctuation
    repeated_audio: int = 0  # rows whose samples an earlier row of the manifest has
    shared: Counter[str] = field(
        default_factory=Counter
    )  # rows that share their id, sentence or speaker with a test row

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "utterances": self.utterances,
            "documents": self.documents,
            "hours": round(self.seconds / 3600, 4),
            "speakers": len(self.speakers),
            "repeated_text": self.repeated_text,
            "repeated_audio": self.repeated_audio,
            "shared_with_tests": dict(self.shared),
        }


@dataclass
class DataAudit:
    """Counts of a manifest: by label, then by stratum; of all rows under "all"; and the reasons of what was left out."""

    path: Path
    tests: list[str]
    counts: dict[str, dict[str, Count]]
    rejected: dict[str, int]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "manifest": str(self.path),
            "tests": self.tests,
            "counts": {
                label: {stratum: count.to_dict() for stratum, count in strata.items()}
                for label, strata in self.counts.items()
            },
            "left_out": self.rejected,
        }

    def to_text(self) -> str:
        """The tables, for a terminal."""
        headers = ["utterances", "documents", "hours", "speakers", "repeated texts", "repeated audio"]
        headers += [f"{kind} of a test" for kind in ("id", "sentence", "speaker")]
        blocks = []
        for label, strata in self.counts.items():
            rows = [[stratum, *self._cells(count)] for stratum, count in strata.items()]
            blocks.append(Table([label, *headers], rows, num_texts=1).to_text())
        text = "\n\n".join(blocks)
        left_out = ", ".join(f"{reason}: {count}" for reason, count in self.rejected.items())
        tests = "" if self.tests else "\nNo test set was given (--test), so that overlap is not known."
        return f"{self.path}\n\n{text}\n\nLeft out before: {left_out or 'no list of them, or none'}{tests}"

    def _cells(self, count: Count) -> list[str]:
        shared = [
            str(count.shared[kind]) if self.tests else NOT_DEFINED for kind in ("id", "sentence", "speaker")
        ]
        return [
            str(count.utterances),
            str(count.documents),
            f"{count.seconds / 3600:.2f}",
            str(len(count.speakers)),
            str(count.repeated_text),
            str(count.repeated_audio),
            *shared,
        ]


def audit_data(path: PathLike, *, tests: Sequence[PathLike] = (), by: Sequence[str] = ()) -> DataAudit:
    """Count the rows of a manifest.

    Arguments
    ---------
    path : path
    tests : sequence of path
        Manifests of test sets. Default: none; then overlap is not known.
    by : sequence of str
        Labels, as `auralign.data.strata` takes them. Default: those of LABELS that a row has.

    Raises ValueError if no row has a label, and what reading the manifests raises.
    """
    manifest = Records(path, Utterance)
    labels = list(by) or [name for name in LABELS if any(has_label(row, name) for row in manifest)]
    strata = {label: strata_of(manifest, label) for label in labels}
    counts: dict[str, dict[str, Count]] = {ALL: {ALL: Count()}}
    counts |= {label: {name: Count() for name in order(found.values())} for label, found in strata.items()}
    texts: set[str] = set()
    audio: set[str] = set()
    rows = shared_with(manifest, [Records(test, Utterance) for test in tests])
    for row, shared in track(rows, f"audit data: {Path(path).stem}", unit="utterance"):
        text, sound = plain(row.text), _sound(row)
        for count in (counts[ALL][ALL], *(counts[label][strata[label][row.id]] for label in labels)):
            count.utterances += bool(row.audio)
            count.documents += not row.audio
            count.seconds += row.seconds
            count.speakers |= {row.speaker} - {""}
            count.repeated_text += text in texts
            count.repeated_audio += sound in audio
            count.shared.update(shared)
        texts |= {text} - {""}
        audio |= {sound} - {""}
    return DataAudit(Path(path), [str(test) for test in tests], counts, _read_rejected(Path(path)))


def _sound(row: Utterance) -> str:
    """What names a row's samples: their hash; if only a file's size is known, the part of the file. "" without audio."""
    if row.audio_hash and not row.audio_hash.endswith("bytes"):
        return row.audio_hash
    return f"{row.audio} {row.start} {row.seconds}" if row.audio else ""


def _read_rejected(path: Path) -> dict[str, int]:
    """The number of rows that the manifest's list of rejected ones names, by reason."""
    listed = rejected_path(path)
    if not listed.is_file():
        return {}
    # No splitlines: a transcript may hold what else ends a line, such as U+2028.
    lines = enumerate(listed.read_text(encoding="utf-8").removesuffix("\n").split("\n"), start=1)
    reasons = (
        parse_object(line, position=f"{listed}:{number}").get("reason", "") for number, line in lines if line
    )
    return dict(sorted(Counter(reasons).items()))
