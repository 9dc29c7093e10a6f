"""Stage 1 for a corpus that has no recipe: its manifest, and questions about its utterances. `auralign prepare` runs this.

>>> import tempfile, numpy, soundfile
>>> folder = Path(tempfile.mkdtemp())
>>> soundfile.write(folder / "a.wav", numpy.full(8_000, 0.1), 16_000)
>>> _ = (folder / "clips.csv").write_text("path,sentence,german\\na.wav,three five,drei fünf\\n")
>>> asked = [("Translate: {speech}", "german")]
>>> summary, num_questions = prepare_own_corpus(folder / "clips.csv", folder / "test.jsonl", asked=asked)
>>> summary.num_kept, num_questions
(1, 1)
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from auralign.data.manifest import Summary, write_manifest
from auralign.data.sources import HERE, Columns, guess_form, hub_name, read_source
from auralign.files import PathLike, hash_value, locked
from auralign.layout import Speech, fill
from auralign.records import Question, RecordError, Records, Utterance, write_records

AS_TEXT = "answered as the text"  # group of questions whose reference is the LLM's own answer to the text
Asked = Sequence[tuple[str, str | None]]


def prepare_own_corpus(
    source: PathLike,
    manifest: PathLike,
    *,
    asked: Asked = (),
    audio_folder: PathLike | None = None,
    max_seconds: float | None = 300.0,
    max_rejected: float = 0.01,
    form: str | None = None,
    columns: Columns | None = None,
    stage: contextlib.AbstractContextManager | None = None,
    **options: Any,
) -> tuple[Summary, int]:
    """Write the manifest of a source and, if `asked` is not empty, the questions beside it.

    Arguments
    ---------
    source : path
        File or folder, or `hf://owner/name`, as `read_source` takes it.
    manifest : path
        File to write; its name must end in `.jsonl`.
    asked : sequence of (str, str or None)
        Instructions with a `{speech}` slot, each asked about every utterance, and the column of the right answers; None if the
        LLM's answer to the text is the reference.
    audio_folder : path, optional
        Folder of relative audio paths. Default: the source's folder, or the working folder for the forms in `HERE`.
    max_seconds : float, optional
        Longer utterances are rejected; None for no limit.
    max_rejected : float
        Share of rejected utterances above which TooManyRejectedError is raised.
    form : str, optional
        Form of the source, one of `FORMS`; detected from its path by default.
    columns : Columns, optional
        Mapping of columns to fields; usual names are found by default.
    stage : context manager, optional
        Around the writing, such as a `Stage`, which keeps others out and marks the manifest as whole. Default: a lock alone.
    **options
        Further options of `read_source`: split, config, separator, names.

    Returns
    -------
    The manifest's Summary, and the number of questions (int).

    Raises ValueError if an instruction has no slot or the manifest's name has another ending; FileNotFoundError if the source or
    `audio_folder` does not exist; RecordError if an utterance has no answer in a column; and what `read_source` and
    `write_manifest` raise.
    """
    manifest, columns = Path(manifest), columns or Columns()
    for instruction, _ in asked:
        fill(instruction, Speech(""))  # raises if there is no slot
    if manifest.suffix != ".jsonl":
        raise ValueError(
            f"{manifest}: the manifest's name ends in .jsonl; it is read as data/train.jsonl and so on"
        )
    answers = {column: column for _, column in asked if column is not None}
    path = Path(source)
    form = form or ("hub" if hub_name(source) else guess_form(path) if path.exists() else None)
    utterances = read_source(
        source,
        form=form,
        columns=replace(columns, labels={**columns.labels, **answers}),
        audio_out=manifest.with_suffix(".audio"),
        **options,
    )
    if audio_folder and not Path(audio_folder).is_dir():
        raise FileNotFoundError(f"--audio-folder {audio_folder}: no such folder")
    beside = path if path.is_dir() else path.parent
    questions = questions_path(manifest)
    with stage or locked(manifest.with_name(f".{manifest.stem}.lock")):
        summary = write_manifest(
            manifest,
            utterances,
            audio_folder=audio_folder or (Path() if form in HERE else beside),
            limit=max_rejected,
            max_seconds=max_seconds,
        )
        if questions.exists():  # of an earlier run, and of its manifest: they would not fit this one
            questions.unlink()
            if not asked:
                print(
                    f"prepare: removed {questions}, the questions of an earlier run; --ask makes new ones",
                    flush=True,
                )
        if asked:
            write_records(questions, make_questions(Records(manifest, Utterance), asked), kind=Question)
    return summary, summary.num_kept * len(asked)


def questions_path(manifest: PathLike) -> Path:
    """`test.questions.jsonl` beside `test.jsonl`."""
    return Path(manifest).with_suffix(".questions.jsonl")


def make_questions(manifest: Records, asked: Asked) -> Iterator[Question]:
    """Yield a Question for each instruction and utterance; references are labels of the utterances.

    Raises RecordError if an utterance has no answer.
    """
    for number, (instruction, column) in enumerate(asked):
        for utterance in manifest:
            reference = None if column is None else utterance.labels[column]
            if column is not None and not (isinstance(reference, str) and reference.strip()):
                raise RecordError(
                    f"{manifest.path}: {utterance.id} has no answer in the column {column!r}; "
                    f"leave such rows out: --where '{column}!='"
                )
            yield Question(
                # The key holds a hash of the question, so that answers to an earlier wording are not reused.
                key=f"{utterance.id}:{number}:{hash_value([instruction, reference])[:8]}",
                utt_id=utterance.id,
                group=AS_TEXT if column is None else column,
                task=instruction,
                instruction=instruction,
                reference=reference,
            )
