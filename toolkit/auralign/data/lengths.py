"""How long the views of each target are: counted by stage 2 and kept beside the targets, so that training starts at once.

    write_lengths(targets, manifest, method=method, renderer=renderer)           # stage 2: train.lengths.npz beside train.jsonl
    read_lengths(targets, manifest, method=method, renderer=renderer)            # stage 3: None if anything is not as it was

Counting needs each target laid out and rendered, about a millisecond; reading takes none of that. What the connector returns for
speech is not counted here, as stage 2 knows no connector.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from auralign import __version__
from auralign.files import hash_path, hash_value, write_atomically
from auralign.fingerprint import describe
from auralign.layout import STUDENT, TEACHER, Layout, Response
from auralign.method import lay_out
from auralign.progress import track
from auralign.record_index import DAMAGED
from auralign.records import RecordError, Records, Target, Utterance
from auralign.render import Piece, Rendered, Renderer

FORMAT = 2
NUM_CHECKED = 16  # targets that are rendered again before an index is believed
ROW = np.dtype(
    [
        ("row", "<i8"),  # of the utterance, in the manifest
        ("seconds", "<f8"),  # of the utterance
        ("student", "<i4"),  # ids of the student's view: all but its speech
        ("other", "<i4"),  # ids of the teacher's view if training computes it, else of the student's
        ("target", "<i4"),  # ids of the target, its end of turn included
        ("num_spans", "<i4"),  # spans of speech in the student's view
        ("made", "<i4"),  # index in `made`
    ]
)
SPAN = np.dtype(
    [
        ("branch", "<i4"),
        ("start", "<f8"),
        ("end", "<f8"),
        ("num_read", "<i4"),
        ("of", "<i8"),  # row of the utterance that is heard, if it is another one than the target's; else OWN
        ("seconds", "<f8"),  # of that utterance; 0 if it is the target's own
    ]
)
OWN = -1


class Span(NamedTuple):
    """A span of speech: its piece, and the row and seconds of the utterance that is heard (OWN and 0: the target's own)."""

    piece: Piece
    of: int
    seconds: float


@dataclass(frozen=True)
class Lengths:
    """What stage 3 has to know of the targets of a split before it reads them.

    Arguments
    ---------
    rows : numpy.ndarray
        (num_targets,) of ROW, in the order of the targets.
    spans : numpy.ndarray
        (num_spans,) of SPAN: the spans of speech of the first target, then those of the next.
    branches : tuple of str
        Names of the encoder branches that spans refer to.
    codes : tuple of (str, int or str)
        The different tokens of books in the students' views: the book, and the token's id or name.
    made : tuple of (str, str, str)
        The different (llm_revision, frame_hash, "<method> <version>") of the targets.
    """

    rows: np.ndarray
    spans: np.ndarray
    branches: tuple[str, ...]
    made: tuple[tuple[str, str, str], ...]
    codes: tuple[tuple[str, int | str], ...] = ()

    def speech(self) -> Iterator[list[Span]]:
        """The spans of speech of each target, with the pieces of its student's view."""
        pieces: dict[tuple, Span] = {}
        ends = np.cumsum(self.rows["num_spans"]).tolist()
        spans = self.spans.tolist()
        for start, end in zip([0, *ends], ends, strict=False):
            of_target = []
            for span in spans[start:end]:
                if span not in pieces:
                    branch, begin, stop, num_read, of, seconds = span
                    piece = Piece("", None, self.branches[branch], span=(begin, stop), num_read=num_read)
                    pieces[span] = Span(piece, of, seconds)
                of_target.append(pieces[span])
            yield of_target


def lengths_path(targets) -> Path:
    """The file beside `train.jsonl`: `train.lengths.npz`."""
    return Path(targets).with_suffix(".lengths.npz")


def made_of(target: Target) -> tuple[str, str, str]:
    """With what a target was made: LLM, chat frame, method."""
    return target.llm_revision, target.frame_hash, f"{target.method} {target.method_version}"


def render_views(layout: Layout, method, renderer: Renderer) -> dict[str, Rendered]:
    """The views that training computes, by name."""
    views = {STUDENT: layout.student}
    if method.needs.teacher or method.needs.num_tokens:
        views[TEACHER] = layout.teacher
    return {name: renderer.render(view) for name, view in views.items()}


def count_lengths(
    targets: Records,
    manifest: Records,
    *,
    method,
    renderer: Renderer,
    check: Callable[[Target, tuple[int, ...]], None],
    about: str,
) -> Lengths:
    """Lay out, render and count every target.

    Arguments
    ---------
    targets, manifest : Records
        Records of Target and of Utterance.
    method : AlignmentMethod
    renderer : Renderer
    check : callable
        Is given each target and the ids of the prompt that the LLM is asked by now; raises what it finds wrong.
    about : str
        Shown while it lasts.

    Raises ValueError if a target is of an utterance that the manifest has not.
    """
    branches: dict[str, int] = {}
    made: dict[tuple[str, str, str], int] = {}
    spans: list[tuple[int, float, float, int, int, float]] = []
    codes: dict[tuple[str, int | str], None] = {}

    def rows() -> Iterator[tuple]:
        for target in track(targets, about, unit="target"):
            try:
                row, utterance = manifest.find(target.utt_id)
            except RecordError as error:
                raise ValueError(
                    f"{targets.path}: has a target of {target.utt_id}, which is not in {manifest.path}; run stage 2 again"
                ) from error
            views, prompt = _rendered(target, utterance, method, renderer)
            check(target, prompt)
            student = views[STUDENT]
            codes.update({(piece.book, code): None for piece in student.pieces for code in piece.codes})
            for piece in student.speech:
                branch, of, seconds = branches.setdefault(piece.branch, len(branches)), OWN, 0.0
                if piece.of:
                    of, other = manifest.find(piece.of)
                    seconds = other.seconds
                spans.append((branch, *piece.span, piece.num_read, of, seconds))
            yield (
                row,
                utterance.seconds,
                *_sizes(views),
                len(student.speech),
                made.setdefault(made_of(target), len(made)),
            )

    counted = np.fromiter(rows(), ROW, len(targets))
    return Lengths(counted, np.array(spans, SPAN), tuple(branches), tuple(made), tuple(codes))


def write_lengths(targets: Records, manifest: Records, *, method, renderer: Renderer) -> None:
    """Count every target and keep what is found beside them.

    Raises ValueError if a prompt is not the one that a target was made with.
    """
    lengths = count_lengths(
        targets,
        manifest,
        method=method,
        renderer=renderer,
        check=_check_prompt,
        about=f"generate {method.name}: counting {targets.path.stem}",
    )
    targets.keep_index()
    # Of the files as they were read: others may have their names by now.
    _write(targets.path, lengths, _inputs(targets.digest, manifest.digest, method, renderer))


def join_lengths(parts: Iterable[Path], targets: Path) -> None:
    """Keep beside all targets what `write_lengths` kept beside their parts, given in order; nothing if a part lacks it."""
    found = [_read(part) for part in parts]
    branches: dict[str, int] = {}
    made: dict[tuple[str, str, str], int] = {}
    codes: dict[tuple[str, int | str], None] = {}
    rows, spans, made_of = [], [], {}
    for one in found:
        if one is None:
            return
        lengths, made_of = one
        for array, field, names, known in (
            (lengths.rows, "made", lengths.made, made),
            (lengths.spans, "branch", lengths.branches, branches),
        ):
            numbers = np.array([known.setdefault(name, len(known)) for name in names], int)
            array[field] = numbers[array[field]]
        rows.append(lengths.rows)
        spans.append(lengths.spans)
        codes.update(dict.fromkeys(lengths.codes))
    joined = Lengths(np.concatenate(rows), np.concatenate(spans), tuple(branches), tuple(made), tuple(codes))
    _write(targets, joined, {**made_of, "targets": hash_path(targets)})


def _write(targets: Path, lengths: Lengths, made_of: dict) -> None:
    facts = {"made_of": made_of, "branches": lengths.branches, "made": lengths.made, "codes": lengths.codes}
    with write_atomically(lengths_path(targets), "wb") as file:
        np.savez(file, facts=np.array(json.dumps(facts)), rows=lengths.rows, spans=lengths.spans)


def _read(targets: Path) -> tuple[Lengths, dict] | None:
    """The lengths beside targets, and what they were made of; None if there are none, or not whole ones."""
    try:
        with (
            open(lengths_path(targets), "rb") as opened,
            np.load(opened, allow_pickle=False) as file,
        ):
            facts, rows, spans = json.loads(str(file["facts"])), file["rows"], file["spans"]
            made = tuple(map(tuple, facts["made"]))
            codes = tuple(map(tuple, facts.get("codes", ())))
            lengths = Lengths(rows, spans, tuple(facts["branches"]), made, codes)
            made_of = facts["made_of"]
    except DAMAGED:  # of something else, or cut
        return None
    return (lengths, made_of) if rows.dtype == ROW and spans.dtype == SPAN else None


def read_lengths(targets: Records, manifest: Records, *, method, renderer: Renderer) -> Lengths | None:
    """What `write_lengths` kept; None if there is nothing, or targets, manifest, method, chat frame, tokenizer or auralign are
    no longer what they were: then every target has to be looked at again."""
    found = _read(targets.path)
    if found is None or found[1] != _inputs(
        hash_path(targets.path), hash_path(manifest.path), method, renderer
    ):
        return None
    lengths, _ = found
    is_whole = len(lengths.rows) == len(targets)
    return lengths if is_whole and _is_as_rendered(lengths, targets, manifest, method, renderer) else None


def _inputs(targets: str, manifest: str, method, renderer: Renderer) -> dict:
    """What the lengths depend on, as JSON; files by their hashes."""
    return {
        "format": FORMAT,
        "auralign": __version__,
        "targets": targets,
        "manifest": manifest,
        "method": json.loads(json.dumps(describe(method))),
        "frame": renderer.frame_hash,
    }


def _is_as_rendered(
    lengths: Lengths, targets: Records, manifest: Records, method, renderer: Renderer
) -> bool:
    """Whether some targets, at equal distances, have the prompts and lengths that were counted."""
    for number in np.unique(np.linspace(0, len(targets) - 1, min(NUM_CHECKED, len(targets))).astype(int)):
        target, counted = targets[int(number)], lengths.rows[number]
        views, prompt = _rendered(target, manifest[int(counted["row"])], method, renderer)
        found = tuple(int(counted[name]) for name in ("student", "other", "target"))
        if found != _sizes(views) or hash_prompt(prompt) != target.prompt_hash:
            return False
    return True


def _rendered(target: Target, utterance: Utterance, method, renderer: Renderer):
    """The views by name, and the ids of the prompt that the LLM is asked."""
    layout = lay_out(method, utterance, target.choice, Response.of(target))
    views = render_views(layout, method, renderer)
    teacher = views[TEACHER] if TEACHER in views else renderer.render(layout.teacher.before_target())
    return views, teacher.before_target.ids


def _sizes(views: dict[str, Rendered]) -> tuple[int, int, int]:
    """The fields `student`, `other` and `target` of a ROW."""
    student = views[STUDENT]
    return student.num_ids, views.get(TEACHER, student).num_ids, len(student.target_ids)


def hash_prompt(prompt: tuple[int, ...]) -> str:
    """The `prompt_hash` of a target whose prompt has these ids."""
    return hash_value(list(prompt))[:16]


def _check_prompt(target: Target, prompt: tuple[int, ...]) -> None:
    if hash_prompt(prompt) != target.prompt_hash:
        raise ValueError(
            f"target {target.key} of {target.utt_id}: its prompt is another one whenever it is laid out; a method's layout must "
            "depend on utterance, choice and response alone"
        )
