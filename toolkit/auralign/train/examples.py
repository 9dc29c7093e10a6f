"""Training examples: a target with its utterance's speech, rendered view by view, counted and packed."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import IterableDataset

from auralign.data.batching import epoch_steps, pack
from auralign.data.frames import count_frames
from auralign.data.rejected import Rejected
from auralign.files import hash_value
from auralign.layout import END, MAIN, STUDENT, TEACHER, Layout, Response
from auralign.losses import PLACES, SEQUENCES, TopK, read_unit
from auralign.method import lay_out
from auralign.models.builds import llm_part
from auralign.models.speech_llm import Frames
from auralign.progress import track
from auralign.records import Choice, RecordError, Records, Target, Utterance, read_about
from auralign.render import Rendered, Renderer, describe_change
from auralign.store import teacher_path
from auralign.train.parallel import own


@dataclass(frozen=True)
class PackOfExamples:
    """Examples that share one forward: their views by name, their frames by branch, and the method's choices.

    If the method needs the teacher, the pack has its views, or in `kept` its cached logits at the tokens of the targets.
    `utt_ids` are the ids of the utterances, for messages.
    """

    views: dict[str, list[Rendered]]
    frames: Frames
    choices: tuple[Choice, ...]
    kept: TopK | None = None
    utt_ids: tuple[str, ...] = ()

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

    Raises ValueError if the targets are of another LLM, template or method.
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
    ):
        self.targets, self.manifest, self.frames = targets, manifest, frames
        self.method, self.renderer = method, renderer
        self.rejected = Rejected(limit=max_rejected)
        rows, lengths, chosen, sizes = [], [], [], []
        for number, target in enumerate(
            track(targets, f"train {method.name}: reading {targets.path.name}", unit="target")
        ):
            try:
                row, utterance = manifest.find(target.utt_id)
            except RecordError as error:
                raise ValueError(
                    f"{targets.path}: has a target of {target.utt_id}, which is not in {manifest.path}; run stage 2 again"
                ) from error
            layout = self._lay_out(target, utterance)
            views = self._render(layout)
            teacher = views[TEACHER] if TEACHER in views else renderer.render(layout.teacher.before_target())
            self._check(target, teacher.before_target.ids, model.llm)
            sizes.append(len(views[STUDENT].pieces[-1].ids))
            num_frames = {name: count_frames(encoder, utterance) for name, encoder in model.encoders.items()}
            too_long = [name for name, count in num_frames.items() if not count]
            if too_long:
                problem = model.encoders[too_long[0]].too_long(utterance.seconds)
                self.rejected.add(target.utt_id, "longer than the encoder hears", f"it {problem}")
                continue
            model.check_branches(views[STUDENT])
            num_speech = [
                model.num_embeddings(piece, num_frames, use_token_count=method.needs.num_tokens)
                for piece in views[STUDENT].speech
            ]
            length = max(views[STUDENT].num_ids + sum(num_speech), views.get(TEACHER, views[STUDENT]).num_ids)
            if not all(num_speech):
                self.rejected.add(target.utt_id, "too short for the connector")
            elif length > model.llm.max_positions:
                self.rejected.add(
                    target.utt_id,
                    "longer than the LLM's context",
                    f"{length} positions of {model.llm.max_positions}",
                )
            else:
                chosen.append(number)
                rows.append(row)
                lengths.append(length)
        self.numbers, self.rows = np.array(chosen, dtype=np.int64), np.array(rows, dtype=np.int64)
        self.lengths = np.array(lengths, dtype=np.int64)
        self.ends = np.cumsum(sizes)  # end of each target's rows in `kept`
        self.sizes = np.array(sizes, dtype=np.int64)
        if method.needs.top_k:
            self.kept = self._open_kept(teacher_path(targets.path, method.needs))

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
        """The Target of one example, its rendered prompt (the student view without the answer), and its Utterance."""
        target, utterance = self.target(example), self.manifest[int(self.rows[example])]
        student = self._lay_out(target, utterance).student
        return target, self.renderer.render(student.before_target()), utterance

    def fits(self, example: int, heard: int, model) -> bool:
        """Whether an example can be computed with the speech of another one, `heard`, in the place of its own."""
        student = self._render(self._laid_out(example))[STUDENT]
        utterance = self.manifest[int(self.rows[heard])]
        num_frames = {name: count_frames(encoder, utterance) for name, encoder in model.encoders.items()}
        num_speech = [
            model.num_embeddings(piece, num_frames, use_token_count=self.method.needs.num_tokens)
            for piece in student.speech
        ]
        return all(num_speech) and student.num_ids + sum(num_speech) <= model.llm.max_positions

    def packs(
        self, examples: np.ndarray, *, tokens_per_pack: int, heard: np.ndarray | None = None
    ) -> Iterator[PackOfExamples]:
        """Lay examples into packs, each read when the iterator reaches it; every rank gets its own.

        `heard` are the examples whose speech is put in the place of theirs; by default they hear their own.
        """
        heard = examples if heard is None else heard
        for rows in own(pack(self.lengths[examples], max_tokens=tokens_per_pack)):
            yield self._pack([int(examples[row]) for row in rows], [int(heard[row]) for row in rows])

    def read_views(self, examples: np.ndarray, *, tokens_per_pack: int) -> Iterator[list[Rendered]]:
        """The teacher's views, all text, of examples in packs; every rank gets its own."""
        for rows in own(pack(self.lengths[examples], max_tokens=tokens_per_pack)):
            yield [self.renderer.render(self._laid_out(int(examples[row])).teacher) for row in rows]

    def _laid_out(self, example: int) -> Layout:
        return self._lay_out(self.target(example), self.manifest[int(self.rows[example])])

    def _pack(self, examples: list[int], heard: list[int]) -> PackOfExamples:
        frames = self.frames.get([int(self.rows[example]) for example in heard])
        targets = [self.target(example) for example in examples]
        rendered = [
            self._render(self._lay_out(target, self.manifest[int(self.rows[example])]))
            for target, example in zip(targets, examples, strict=True)
        ]
        views = {name: [views[name] for views in rendered] for name in rendered[0]}
        labels = [token for views in rendered for token in views[STUDENT].pieces[-1].ids]
        kept = self._kept([int(self.numbers[example]) for example in examples], labels)
        choices = tuple(target.choice for target in targets)
        utt_ids = tuple(self.manifest[int(self.rows[example])].id for example in heard)
        return PackOfExamples(views, frames, choices, kept, utt_ids)

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
        views = {STUDENT: layout.student}
        if self.method.needs.teacher or self.method.needs.num_tokens:
            views[TEACHER] = layout.teacher
        return {name: self.renderer.render(view) for name, view in views.items()}

    def _check(self, target: Target, prompt: tuple[int, ...], llm) -> None:
        """Raise ValueError if the target is of another LLM, prompt (token by token) or method."""
        checks = {
            "LLM": (target.llm_revision, llm.revision),
            "prompt frame": (target.frame_hash, self.renderer.frame_hash),
            "method": (
                f"{target.method} {target.method_version}",
                f"{self.method.name} {self.method.version}",
            ),
            "prompt": (target.prompt_hash, hash_value(list(prompt))[:16]),
        }
        for what, (found, needed) in checks.items():
            if found != needed and not (what == "LLM" and llm_part(llm).is_called(found)):
                change = ""
                if what == "prompt frame":
                    change = describe_change(
                        read_about(self.targets.path, Target)[0], self.renderer.describe()
                    )
                raise ValueError(
                    f"{self.targets.path}: target {target.key} of {target.utt_id} was made with {what} {found}, the recipe "
                    f"now gives {needed}{change}; run stage 2 again; if it reports this file as complete, delete the file first"
                )


class StepStream(IterableDataset):
    """The optimiser steps from `start` up to `stop`, lists of this rank's packs: a function of (seed, step) alone.

    The trainer moves `stop` from one validation to the next; iterating again continues after the last step.
    """

    def __init__(self, examples: Examples, *, tokens_per_step: int, tokens_per_pack: int, seed: int):
        self.examples, self.seed = examples, seed
        self.tokens_per_step, self.tokens_per_pack = tokens_per_step, tokens_per_pack
        self.start, self.stop = 0, 0

    def __iter__(self):
        step, epoch, first = self.start, 0, 0
        while step < self.stop:
            steps = epoch_steps(
                self.examples.lengths, tokens_per_step=self.tokens_per_step, seed=self.seed, epoch=epoch
            )
            while step < min(self.stop, first + len(steps)):
                yield list(self.examples.packs(steps[step - first], tokens_per_pack=self.tokens_per_pack))
                step += 1
            first += len(steps)
            epoch += 1


class PackStream(IterableDataset):
    """All examples of a split, or the rank's share of them, pack by pack."""

    def __init__(self, examples: Examples, *, tokens_per_pack: int):
        self.examples, self.tokens_per_pack = examples, tokens_per_pack

    def __iter__(self):
        return self.examples.packs(np.arange(len(self.examples)), tokens_per_pack=self.tokens_per_pack)
