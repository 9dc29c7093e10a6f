"""Give the utterances of a manifest the times of their words: `auralign align`.

A source is a function from an utterance to its [(word, start, end)], in seconds; it raises NoWordTimes if it
knows none for the utterance.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from auralign.corpora.librispeech import read_alignments
from auralign.data.rejected import Listed
from auralign.data.word_times import NoWordTimes, Timed, match_words, read_textgrid
from auralign.files import PathLike, hash_path, locked, read_json, write_atomically, write_json
from auralign.progress import track
from auralign.recipe import Recipe
from auralign.records import RecordError, Records, Utterance, header, to_line
from auralign.stage import renew

if TYPE_CHECKING:
    import torch

    from auralign.data.frames import LiveFrames

Source = Callable[[Utterance], Timed]
TEXTGRID = ".TextGrid"
LIBRISPEECH = ".alignment.txt"


def align_file(path: PathLike, open_source: Callable[[Records], Source], *, force: bool = False) -> str:
    """Align a manifest that other processes may read, and accept the change, so that completed stages are not run again.

    Arguments
    ---------
    path : path
        Path of the manifest.
    open_source : callable (Records of Utterance) -> Source
        Makes the source for a manifest.
    force : bool
        As in `align`. Default: False.

    Returns str: the line of `align`.

    Raises FileNotFoundError if there is no manifest; and what `align` and `open_source` raise.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"no manifest at {path}; write it first: auralign prepare, or stage 1 of the recipe"
        )
    with locked(path.with_name(f".{path.stem}.lock")):
        begun = path.with_name(f".{path.stem}.aligning.json")
        if begun.exists():  # of a run that was killed, maybe after it had written the manifest
            _accept(path, begun)
        write_json(begun, {"before": hash_path(path)})
        try:
            manifest = Records(path, Utterance)
            line = align(manifest, open_source(manifest), force=force)
        finally:
            _accept(path, begun)
    return line


def _accept(path: Path, begun: Path) -> None:
    """Let the marks of finished stages record the manifest as it is now, and remove the file that says what it was before."""
    renew(path.parent, before=read_json(begun)["before"], after=hash_path(path))
    begun.unlink()


def align(manifest: Records, source: Source, *, force: bool = False) -> str:
    """Write a manifest again, with word times; returns a line with their number and the reasons of the others.

    Utterances that have word times keep them; those without are tried again. Utterances that stay without are listed with
    the reason in `<name>.unaligned.jsonl`.

    Arguments
    ---------
    manifest : Records
        The utterances; all fields except `words` stay.
    source : callable (Utterance) -> list of (word, start, end), in seconds
    force : bool
        Replace the word times that utterances have, by none if the source knows none. Default: False.

    Raises ValueError if no utterance would have word times; the manifest is then as it was.
    """
    path, unaligned = manifest.path, Listed()
    num_found = num_left = 0
    with write_atomically(path) as file:
        file.write(header(Utterance))
        for utterance in track(manifest, f"align {path.stem}", unit="utterance"):
            words = utterance.words
            if words and not force:
                num_left += 1
            else:
                try:
                    if utterance.is_document:
                        raise NoWordTimes("no audio", "a document, of which others are heard")
                    words = match_words(utterance.text, source(utterance), seconds=utterance.seconds)
                    num_found += 1
                except NoWordTimes as error:
                    words = ()
                    unaligned.add(utterance.id, error.reason, error.detail)
            file.write(to_line(replace(utterance, words=words)))
        unaligned.write_list(unaligned_path(path))  # before the manifest, as the list of the rejected
        if unaligned.items and not num_found + num_left:
            raise ValueError(
                f"{path}: 0 of {len(manifest)} utterances have word times ({unaligned.reasons()}); the first is "
                f"{unaligned.first()}; reasons in {unaligned_path(path)}; the manifest is as it was"
            )
    left = f", {num_left} had them before" if num_left else ""
    without = f" ({unaligned.reasons()}), listed in {unaligned_path(path)}" if unaligned.items else ""
    return f"{num_found} of {len(manifest)} utterances of {path} got word times{left}; {len(unaligned.items)} without{without}"


def unaligned_path(path: PathLike) -> Path:
    """The list beside a manifest: `train.unaligned.jsonl` of `train.jsonl`."""
    return Path(path).with_suffix(".unaligned.jsonl")


def from_textgrids(folder: PathLike, tier: str = "words") -> Source:
    """The source of `<utterance id>.TextGrid`, anywhere in a folder; a slash in an id is one of the path.

    Raises FileNotFoundError if the folder holds none. A file that is broken, or lacks the tier, counts as a reason.
    """
    paths = _find(folder, TEXTGRID)

    def read(utterance: Utterance) -> Timed:
        wanted = PurePosixPath(utterance.id + TEXTGRID)
        found = [
            path for path in paths.get(wanted.name, ()) if path.parts[-len(wanted.parts) :] == wanted.parts
        ]
        if not found:
            raise NoWordTimes("no TextGrid", f"no {wanted} in {folder}")
        if len(found) > 1:
            raise NoWordTimes("several TextGrids", ", ".join(map(str, found)))
        try:
            return read_textgrid(found[0], tier)
        except RecordError as error:
            raise NoWordTimes("broken TextGrid", str(error)) from error

    return read


def from_librispeech(folder: PathLike) -> Source:
    """The source of the `<speaker>-<chapter>.alignment.txt` anywhere in a folder; an utterance is known by the last part of
    its id.

    Raises FileNotFoundError if the folder holds none; the source raises RecordError on a chapter that is broken.
    """
    paths = _find(folder, LIBRISPEECH)
    twice = next((found for found in paths.values() if len(found) > 1), None)
    if twice:
        raise ValueError(
            f"{folder}: holds one chapter twice ({twice[0]}, {twice[1]}); give the folder of one"
        )
    # A few chapters at a time: a manifest has their utterances together, or nearly so.
    read_chapter = lru_cache(maxsize=8)(read_alignments)

    def read(utterance: Utterance) -> Timed:
        name = PurePosixPath(utterance.id).name
        chapter = name.rpartition("-")[0] + LIBRISPEECH
        if chapter not in paths:
            raise NoWordTimes("no chapter", f"no {chapter} in {folder}")
        found = read_chapter(paths[chapter][0])
        if name not in found:
            raise NoWordTimes("not in its chapter", f"no {name} in {paths[chapter][0]}")
        return found[name]

    return read


def _find(folder: PathLike, ending: str) -> dict[str, list[Path]]:
    """Name to the files of that name in a folder."""
    found: dict[str, list[Path]] = {}
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}; give the one that holds the *{ending} files")
    for path in sorted(folder.rglob(f"*{ending}")):
        found.setdefault(path.name, []).append(path)
    if not found:
        raise FileNotFoundError(f"{folder}: holds no *{ending}; give the folder that does")
    return found


def from_recipe(recipe: Recipe, manifest: Records, *, path: PathLike) -> Source:
    """The source that aligns by CTC, with the encoder and the recognizer of a recipe's YAML.

    Raises ValueError, naming `path`, if the YAML names no recognizer, or one that cannot align.
    """
    encoder, recognizer, frames = _build_parts(recipe, manifest, path=path, to="align")

    def listen(utterance: Utterance) -> Timed:
        if not encoder.hears(utterance.seconds):
            raise NoWordTimes("longer than the encoder hears", f"{utterance.seconds:.2f} s")
        unknown = recognizer.unknown_words(utterance.text)
        if unknown:
            raise NoWordTimes("unknown words", ", ".join(unknown))
        batch, lengths = frames.get([manifest.row(utterance.id)])
        (spans,) = recognizer.align(batch, lengths, [utterance.text])
        if spans is None:
            raise NoWordTimes("too few frames", f"{int(lengths)} for {len(utterance.text.split())} words")
        return [(word, *_in_seconds(encoder, utterance, lengths, *span)) for word, *span in spans]

    return listen


Span = tuple[float, float, float]
Locator = Callable[[str, list[str]], list[Span | None]]


def locator(recipe: Recipe, manifest: Records, *, path: PathLike) -> Locator:
    """A function that finds the times at which phrases are said, with the encoder and the recognizer of a recipe's YAML.

    It serves tasks that ask for a span of the audio: the LLM quotes words, which are located.

    Returns
    -------
    A function of an utterance's id and phrases (list of str), which returns for each its (start, end, score): seconds from the
    utterance's start, and how surely it is said there, at most 0 and higher for surer, as the recognizer's `locate` has it;
    or None if it cannot be located. It raises ValueError if the utterance is longer than the encoder takes.

    Raises ValueError, naming `path`, if the YAML names no recognizer, or one that cannot locate.
    """
    encoder, recognizer, frames = _build_parts(recipe, manifest, path=path, to="locate")

    def locate(utt_id: str, phrases: list[str]) -> list[Span | None]:
        batch, lengths = frames.get([manifest.row(utt_id)])
        (spans,) = recognizer.locate(batch, lengths, [phrases])
        utterance = manifest[utt_id]
        return [
            None if span is None else (*_in_seconds(encoder, utterance, lengths, *span[:2]), span[2])
            for span in spans
        ]

    return locate


def _build_parts(
    recipe: Recipe, manifest: Records, *, path: PathLike, to: str
) -> tuple[Any, Any, "LiveFrames"]:
    """The encoder, recognizer and frames that a recipe names, to "align" or to "locate"."""
    from auralign.data.frames import LiveFrames
    from auralign.models.build import build_recognizer, check_device, construct, own_encoder

    if not recipe.recognizer:
        raise ValueError(
            f"{path}: names no recognizer to {to} with; give one, such as load_ctc or load_wav2vec2_ctc of "
            "auralign.models.recognizers"
        )
    check_device(recipe.device)
    encoder = construct("encoder", recipe.encoder).to(recipe.device)
    recognizer = build_recognizer(recipe, encoder)
    if not hasattr(recognizer, to):
        raise ValueError(
            f"{path}: the recognizer {type(recognizer).__name__} has no {to}(); auralign.models.recognizers.load_ctc makes one "
            "that has"
        )
    encoder = own_encoder(recognizer) or encoder
    return encoder, recognizer, LiveFrames(encoder, manifest)


def _in_seconds(
    encoder: Any, utterance: Utterance, lengths: "torch.Tensor", *frames: int
) -> tuple[float, ...]:
    """Frames of an utterance in seconds from its start."""
    known = {"seconds": utterance.seconds, "num_frames": int(lengths)}
    return tuple(round(encoder.seconds_at(frame, **known), 3) for frame in frames)
