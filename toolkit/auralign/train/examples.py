"""Training examples: a target with its utterance's speech, rendered view by view, counted and packed."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate, islice, tee

import numpy as np
import torch
from torch.utils.data import IterableDataset

from auralign.data.batching import pack
from auralign.data.drawn import Drawn
from auralign.data.frames import count_frames, frames_in
from auralign.data.lengths import (
    OWN,
    Lengths,
    Span,
    count_lengths,
    hash_prompt,
    made_of,
    read_lengths,
    render_views,
)
from auralign.data.rejected import Rejected
from auralign.layout import END, MAIN, STUDENT, TEACHER, Code, Layout, Response
from auralign.losses import PLACES, SEQUENCES, TopK, read_unit
from auralign.method import in_slot, lay_out
from auralign.models.builds import llm_part
from auralign.models.speech_llm import Frames
from auralign.recipe.draws import Draws
from auralign.records import Choice, Records, Target, Utterance, read_about
from auralign.render import Piece, Rendered, Renderer, describe_change
from auralign.store import teacher_path
from auralign.train.laid_out import LaidOut
from auralign.train.parallel import own


@dataclass(frozen=True)
class PackOfExamples:
    """Examples that share one forward: their views by name, their frames by branch, and the method's choices.

    If the method needs the teacher, the pack has its views, or in `kept` its cached logits at the tokens of the targets.
    `rows` are those of the utterances in the manifest, for messages. `heard` says for each example how many rows of the frames
    are its own, and which of these each span of its speech hears; (), the default, is one row each.
    """

    views: dict[str, list[Rendered]]
    frames: Frames
    choices: tuple[Choice, ...]
    kept: TopK | None = None
    rows: tuple[int, ...] = ()
    heard: tuple[tuple[int, tuple[int, ...]], ...] = ()

    def frame_rows(self) -> list[list[int]] | None:
        """For each span of each student's view, the row of the frames that it hears; None if each view hears its own row."""
        if not self.heard:
            return None
        starts = accumulate((num_rows for num_rows, _ in self.heard), initial=0)
        return [[start + one for one in spans] for start, (_, spans) in zip(starts, self.heard, strict=False)]

    def units(self) -> Counter:
        """The number of each unit (see `auralign.losses.Term`) in the pack, by which losses are divided."""
        counts = Counter({SEQUENCES: len(self.choices), PLACES: 0})
        for name, unit in ((STUDENT, str), (TEACHER, read_unit)):
            for rendered in self.views.get(name, ()):
                for piece in rendered.pieces:
                    counts[unit(piece.tag)] += piece.num_read if piece.is_speech else len(piece.ids)
                    counts[PLACES] += piece.branch == MAIN
                    counts[unit(END)] += piece.num_end or 0
        return counts


class Examples:
    """The targets of one split with their speech.

    Arguments
    ---------
    targets, manifest : Records
        Records of Target and of Utterance.
    method : AlignmentMethod
    renderer : Renderer
    model : SpeechLLM
        The model, which counts embeddings and limits the length.
    frames : auralign.data.frames.BranchFrames
    max_rejected : float
        Largest share of rejected targets, default 0.01; above it, writing `rejected` (the list with reasons) is an error.
    draws : Draws, optional
        Which examples training draws, and in which shares; default: all of them, shuffled.

    Raises ValueError if the targets are of another LLM, template or method, or `draws` reads labels that there are not.
    """

    def __init__(
        self,
        targets: Records,
        manifest: Records,
        *,
        method,
        renderer: Renderer,
        model,
        frames,
        max_rejected: float = 0.01,
        draws: Draws | None = None,
    ):
        self.targets, self.manifest, self.frames = targets, manifest, frames
        self.method, self.renderer = method, renderer
        self.rejected = Rejected(limit=max_rejected)
        self.drawn = Drawn(draws or Draws(), targets, manifest, self.rejected)
        self._laid_out_once = LaidOut()
        counted = self._count(model.llm)
        self.books = {book for book, _ in counted.codes}
        for book, code in counted.codes:
            model.check_codes(book, [code])
        for segment in in_slot(method):  # what is read in use, which no target need have
            if isinstance(segment, Code):
                model.check_codes(segment.book, segment.ids)
        rows, lengths, chosen = [], [], []
        measure = _Measure(model, use_token_count=method.needs.num_tokens)
        self._others: dict[
            int, tuple[int, ...]
        ] = {}  # rows that the spans of an example hear, if others than its own
        room = model.llm.max_positions
        fields = ("row", "seconds", "student", "other")
        columns = (counted.rows[name].tolist() for name in fields)
        for number, (row, seconds, student, other, speech) in enumerate(
            zip(*columns, counted.speech(), strict=True)
        ):
            if not self.drawn.has(number):
                continue
            deaf, num_speech = measure(seconds, speech)
            length = max(student + sum(num_speech), other)
            if deaf:
                branch, seconds, of = deaf
                encoder = model.encoders[branch]
                whose = "it" if of == OWN else f"{manifest[of].id}, which it hears,"
                if encoder.hears(seconds):
                    detail = f"{seconds:g} s have no frame" + ("" if of == OWN else f": {manifest[of].id}")
                    self._reject(number, "too short for the encoder", detail)
                else:
                    self._reject(
                        number, "longer than the encoder hears", f"{whose} {encoder.too_long(seconds)}"
                    )
            elif not all(num_speech):
                of = next(span.of for span, num in zip(speech, num_speech, strict=True) if not num)
                self._reject(number, "too short for the connector", "" if of == OWN else manifest[of].id)
            elif length > room:
                detail = f"{length} positions of {room}"
                self._reject(number, "longer than the LLM's context", detail)
            else:
                if not speech or any(span.of != OWN for span in speech):
                    self._others[len(chosen)] = tuple(row if span.of == OWN else span.of for span in speech)
                chosen.append(number)
                rows.append(row)
                lengths.append(length)
        self.numbers, self.rows = np.array(chosen, dtype=np.int64), np.array(rows, dtype=np.int64)
        self.lengths = np.array(lengths, dtype=np.int64)
        self.drawn.divide(chosen, self.lengths)
        self.sizes = counted.rows["target"].astype(np.int64)
        self.ends = np.cumsum(self.sizes)  # end of each target's rows in `kept`
        if method.needs.top_k:
            self.kept = self._open_kept(teacher_path(targets.path, method.needs))

    def _count(self, llm) -> Lengths:
        """The lengths of all targets: those that stage 2 kept if nothing changed since, else each target is read and checked."""
        settings = {"method": self.method, "renderer": self.renderer}
        kept = read_lengths(self.targets, self.manifest, **settings)
        if kept is None:
            return count_lengths(
                self.targets,
                self.manifest,
                **settings,
                check=lambda target, prompt: self._check(target, llm, prompt),
                about=f"train {self.method.name}: reading {self.targets.path.name}",
            )
        for number in np.unique(kept.rows["made"], return_index=True)[1].tolist():
            self._check(self.targets[number], llm)
        return kept

    def _reject(self, number: int, reason: str, detail: str = "") -> None:
        self.rejected.add(self.targets[number].utt_id, reason, detail)

    def _open_kept(self, path) -> np.ndarray:
        """The teacher's logits that stage 2 cached, a row for each token of each target."""
        if not path.is_file():
            raise FileNotFoundError(
                f"no {path}: the method distils from logits of the teacher that stage 2 caches; run stage 2 again"
            )
        kept = np.load(path, mmap_mode="r")
        if "token" not in (kept.dtype.names or ()) or len(kept) != self.sizes.sum():
            raise ValueError(
                f"{path}: has {len(kept)} tokens, the targets have {self.sizes.sum()}; run stage 2 again"
            )
        return kept

    def __len__(self) -> int:
        return len(self.numbers)

    def target(self, example: int):
        """The Target of one example."""
        return self.targets[int(self.numbers[example])]

    def prompt(self, example: int):
        """The Target of one example, its rendered prompt (the student view without the answer), and its Utterance; the prompt is
        None if the view has no answer, as that of a document."""
        target, utterance = self.target(example), self.manifest[int(self.rows[example])]
        student = self._lay_out(target, utterance).student
        prompt = None if student.response is None else self.renderer.render(student.before_target())
        return target, prompt, utterance

    def heard(self, example: int) -> tuple[int, ...]:
        """The rows of the manifest whose speech an example hears, each once: its own, unless its views name others."""
        of_spans = self._others.get(int(example))
        return (int(self.rows[example]),) if of_spans is None else tuple(dict.fromkeys(of_spans))

    def spans(self, example: int, student: Rendered) -> list[int]:
        """For each span of speech in the student's view of an example, the number of the row that it hears among `heard`."""
        of_spans = self._others.get(int(example))
        if of_spans is None:
            return [0] * len(student.speech)
        heard = {row: number for number, row in enumerate(self.heard(example))}
        return [heard[row] for row in of_spans]

    def fits(self, example: int, heard: int, model) -> bool:
        """Whether an example can be computed with the speech of another one, `heard`, in the place of its own."""
        student = self._render(self._laid_out(example))[STUDENT]
        num_frames = [
            {name: count_frames(encoder, self.manifest[row]) for name, encoder in model.encoders.items()}
            for row in self._instead(example, heard)
        ]
        num_speech = [
            model.num_embeddings(piece, num_frames[row], use_token_count=self.method.needs.num_tokens)
            for row, piece in zip(self.spans(example, student), student.speech, strict=True)
        ]
        return all(num_speech) and student.num_ids + sum(num_speech) <= model.llm.max_positions

    def packs(
        self, examples: np.ndarray, *, tokens_per_pack: int, heard: np.ndarray | None = None
    ) -> Iterator[PackOfExamples]:
        """Lay examples into packs, each read when the iterator reaches it; every rank gets its own.

        `heard` are the examples whose speech is put in the place of theirs; by default they hear their own.
        """
        examples = np.asarray(examples)
        heard = examples if heard is None else np.asarray(heard)
        packs = own(pack(self.lengths[examples], max_tokens=tokens_per_pack))
        plans = ([self._plan(examples[rows].tolist(), heard[rows].tolist())] for rows in packs)
        return (read for (read,) in self._read(plans))

    def steps(self, steps: Iterable[np.ndarray], *, tokens_per_pack: int) -> Iterator[list[PackOfExamples]]:
        """The packs of each of some optimiser steps, this rank's of them.

        The speech of a step is encoded together: sorted by length over all packs, less of it is padding."""
        plans = (
            [
                self._plan(examples[rows].tolist(), examples[rows].tolist())
                for rows in own(pack(self.lengths[examples], max_tokens=tokens_per_pack))
            ]
            for examples in steps
        )
        return self._read(plans)

    def _plan(self, examples: list[int], heard: list[int]) -> "_Plan":
        """A pack of examples, each of which hears the speech of another one, or its own."""
        rows = [self._instead(one, other) for one, other in zip(examples, heard, strict=True)]
        return _Plan(examples, [row for of_one in rows for row in of_one], list(map(len, rows)))

    def _instead(self, example: int, heard: int) -> list[int]:
        """The rows that an example hears if they are replaced by those of another one, which are repeated if they are fewer."""
        rows = self.heard(heard)
        return [rows[number % len(rows)] for number in range(len(self.heard(example)))] if rows else []

    def _read(self, steps: Iterable[list["_Plan"]]) -> Iterator[list[PackOfExamples]]:
        """The packs of planned steps with their frames; those of later steps may be read ahead."""
        steps, coming = tee(steps)
        found = self.frames.stream([plan.heard for plan in step] for step in coming)
        for step, frames in zip(steps, found, strict=True):
            yield [self._pack(plan, of_pack) for plan, of_pack in zip(step, frames, strict=True)]

    def read_views(self, examples: np.ndarray, *, tokens_per_pack: int) -> Iterator[list[Rendered]]:
        """The teacher's views, all text, of examples in packs; every rank gets its own."""
        for rows in own(pack(self.lengths[examples], max_tokens=tokens_per_pack)):
            yield [self.renderer.render(self._laid_out(int(examples[row])).teacher) for row in rows]

    def _laid_out(self, example: int) -> Layout:
        return self._lay_out(self.target(example), self.manifest[int(self.rows[example])])

    def _pack(self, plan: "_Plan", frames: Frames) -> PackOfExamples:
        """A pack of examples with the frames of what they hear."""
        choices, rendered = zip(*(self._views(example) for example in plan.examples), strict=True)
        views = {name: [views[name] for views in rendered] for name in rendered[0]}
        labels = [token for views in rendered for token in views[STUDENT].target_ids]
        kept = self._kept([int(self.numbers[example]) for example in plan.examples], labels)
        of_spans = [
            tuple(self.spans(one, view)) for one, view in zip(plan.examples, views[STUDENT], strict=True)
        ]
        heard = tuple(zip(plan.sizes, of_spans, strict=True))
        own_rows = tuple(self.rows[plan.examples].tolist())
        return PackOfExamples(views, frames, choices, kept, own_rows, heard)

    def _views(self, example: int) -> tuple[Choice, dict[str, Rendered]]:
        """The choice of an example and its views, laid out the first time that they are asked for."""
        kept = self._laid_out_once.get(example)
        if kept is None:
            target, utterance = self.target(example), self.manifest[int(self.rows[example])]
            kept = target.choice, self._render(self._lay_out(target, utterance))
            self._laid_out_once.add(example, *kept)
        return kept

    def _kept(self, numbers: list[int], labels: list[int]) -> TopK | None:
        """The teacher's cached logits at the tokens of some targets, whose ids are `labels`; None if the method uses none."""
        needs = self.method.needs
        if not needs.top_k:
            return None
        rows = np.concatenate(
            [self.kept[self.ends[number] - self.sizes[number] : self.ends[number]] for number in numbers]
        )
        if not np.array_equal(rows["token"], labels):
            raise ValueError(
                f"{teacher_path(self.targets.path, needs)}: was computed for other targets than {self.targets.path}; "
                "run stage 2 again"
            )
        parts = (torch.from_numpy(rows[name].copy()) for name in ("ids", "logits", "logsumexp"))
        return TopK(*parts, needs.temperature)

    def _lay_out(self, target: Target, utterance: Utterance) -> Layout:
        return lay_out(self.method, utterance, target.choice, Response.of(target))

    def _render(self, layout: Layout) -> dict[str, Rendered]:
        """The views that training computes, by name."""
        return render_views(layout, self.method, self.renderer)

    def _check(self, target: Target, llm, prompt: tuple[int, ...] | None = None) -> None:
        """Raise ValueError if the target is of another LLM, method or, token by token, prompt."""
        found = [*made_of(target)]
        needed = [llm.revision, self.renderer.frame_hash, f"{self.method.name} {self.method.version}"]
        if prompt is not None:
            found.append(target.prompt_hash)
            needed.append(hash_prompt(prompt))
        kinds = ("LLM", "prompt frame", "method", "prompt")
        for what, was, now in zip(kinds, found, needed, strict=False):
            if was != now and not (what == "LLM" and llm_part(llm).is_called(was)):
                change = ""
                if what == "prompt frame":
                    change = describe_change(
                        read_about(self.targets.path, Target)[0], self.renderer.describe()
                    )
                raise ValueError(
                    f"{self.targets.path}: target {target.key} of {target.utt_id} was made with {what} {was}, the recipe "
                    f"now gives {now}{change}; run stage 2 again; if it reports this file as complete, delete the file first"
                )


@dataclass(frozen=True)
class _Plan:
    """The examples of a pack, the rows of the manifest whose speech they hear, and how many rows are each example's."""

    examples: list[int]
    heard: list[int]
    sizes: list[int]


class _Measure:
    """How many embeddings a model makes of spans of speech; each different answer is worked out once."""

    def __init__(self, model, *, use_token_count: bool):
        self.model, self.use_token_count = model, use_token_count
        self._encoders = model.encoders
        self._frames: dict[float, dict[str, int]] = {}
        self._embeddings: dict[tuple, int] = {}

    def __call__(self, seconds: float, speech: list[Span]) -> tuple[tuple[str, float, int] | None, list[int]]:
        """The number of embeddings for each span of speech, given the seconds of the target's own utterance; or the branch whose
        encoder has no frame of what a span hears, with the seconds of that and the row of its utterance (OWN: the target's)."""
        numbers = []
        for piece, of, of_other in speech:
            heard = seconds if of == OWN else of_other
            num_frames = self._frames.get(heard)
            if num_frames is None:
                num_frames = {name: frames_in(encoder, heard) for name, encoder in self._encoders.items()}
                self._frames[heard] = num_frames
            for name, count in num_frames.items():
                if not count:
                    return (name, heard, of), []
            numbers.append(self._of_span(piece, num_frames))
        return None, numbers

    def _of_span(self, piece: Piece, num_frames: dict[str, int]) -> int:
        key = (piece.branch, piece.span, piece.num_read, num_frames.get(piece.branch))
        if key not in self._embeddings:
            self.model.check_branches(Rendered((piece,)))
            self._embeddings[key] = self.model.num_embeddings(
                piece, num_frames, use_token_count=self.use_token_count
            )
        return self._embeddings[key]


class StepStream(IterableDataset):
    """The optimiser steps from `start` up to `stop`, lists of this rank's packs: a function of (seed, step) alone.

    The trainer moves `stop` from one validation to the next; iterating again continues after the last step.
    """

    def __init__(self, examples: Examples, *, tokens_per_step: int, tokens_per_pack: int, seed: int):
        self.examples, self.seed = examples, seed
        self.tokens_per_step, self.tokens_per_pack = tokens_per_step, tokens_per_pack
        self.start, self.stop = 0, 0
        self.held: dict[int, dict[str, int]] = {}  # by step, as of `Drawn.held`, until the trainer takes it
        self._next, self._steps = 0, iter(())

    def __iter__(self):
        return self.examples.steps(self._examples_of_steps(), tokens_per_pack=self.tokens_per_pack)

    def _examples_of_steps(self) -> Iterator[np.ndarray]:
        if self._next != self.start or not self.start:  # another stretch than the one that follows
            steps = self.examples.drawn.steps(tokens_per_step=self.tokens_per_step, seed=self.seed)
            self._steps = islice(steps, self.start, None)
            self._next = self.start
        while self._next < self.stop:
            step = next(self._steps)
            if held := self.examples.drawn.held(step):
                self.held[self._next] = held
            self._next += 1
            yield step


class PackStream(IterableDataset):
    """All examples of a split, or the rank's share of them, pack by pack."""

    def __init__(self, examples: Examples, *, tokens_per_pack: int):
        self.examples, self.tokens_per_pack = examples, tokens_per_pack

    def __iter__(self):
        return self.examples.packs(np.arange(len(self.examples)), tokens_per_pack=self.tokens_per_pack)
