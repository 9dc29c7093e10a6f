"""From a manifest and a method to targets: draw, ask, filter, keep."""

import dataclasses
import json
import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from random import Random

from auralign import layout
from auralign.data.rejected import ALWAYS_ALLOWED, Rejected, rejected_path
from auralign.files import hash_value, partial_path, write_json
from auralign.generate.counts import (
    CUT_OFF,
    NO_CHOICE,
    STRIPPED,
    WRITTEN,
    UtteranceCounter,
    check_asked,
    counts_path,
    summarise,
)
from auralign.generate.engine import Reply
from auralign.generate.grades import Grade
from auralign.generate.judging import GIVEN, NONE, Judge, Watch, examples
from auralign.generate.spot_check import SpotCheck
from auralign.method import draw, lay_out, respond
from auralign.progress import Progress
from auralign.records import (
    Choice,
    Records,
    Target,
    TargetRequest,
    shorten,
    write_records,
)
from auralign.store import Store

# Requests sorted and batched together: enough to fill batches of one length, few enough to hold in memory.
WINDOW = 4096
KEY_LETTERS = 16  # of a target's key: 64 bits in hexadecimal
SAMPLE = 128  # of a full window, asked first: drawn at random, as the longest prompts are not like all
UNKNOWN = layout.Response("")  # replaces the answer while the prompt is rendered
TOO_LONG = "prompt longer than the LLM's context"
WORTH_A_WARNING = 0.01  # share of rejected items
STOPPED = (
    "what was answered is kept: mend the prompts, raise max_new_tokens or use a larger LLM, or raise the limit (max_rejected) "
    "and run the same command again"
)


def draw_choices(method, utterance, seed: int) -> Iterator[Choice]:
    """A method's choices for one utterance, as they will be read back from the targets' file.

    Raises ValueError if JSON cannot represent a choice.
    """
    for choice in draw(method, utterance, Random(f"{seed}:{utterance.id}")):
        try:
            yield Choice(**json.loads(json.dumps(dataclasses.asdict(choice))))
        except TypeError as error:
            raise ValueError(
                f"method {method.name!r}: the choice {shorten(str(choice))} for {utterance.id} cannot be written as JSON: {error}"
            ) from error


def draw_utts(ids: Iterable[str], number: int) -> set[str]:
    """The `number` ids of utterances with the smallest hashes: fewer are a part of more, and no seed changes them."""
    return set(sorted(set(ids), key=lambda utt_id: (hash_value(utt_id), utt_id))[:number])


def draw_rows(manifest: Records, number: int | None) -> Sequence[int]:
    """The rows of the manifest that are asked about, in order: all, or those of the ids that `draw_utts` gives.

    Raises ValueError if there are fewer than wanted.
    """
    if number is None:
        return range(len(manifest))
    if number > len(manifest):
        raise ValueError(
            f"num_train_utts {number}: {manifest.path} holds {len(manifest)}; give at most that, or null for all"
        )
    chosen = draw_utts((utterance.id for utterance in manifest), number)
    return [row for row, utterance in enumerate(manifest) if utterance.id in chosen]


class Asked:
    """The requests in order, 8 bytes each: iterating yields their keys.

    `too_long` holds, by number, the utterance and the number of ids of prompts that the LLM cannot read.
    """

    def __init__(self):
        self._keys = array("Q")
        self.too_long: dict[int, tuple[str, int]] = {}

    def add(self, request: TargetRequest, *, max_ids: int | None) -> bool:
        """Record a request; returns whether its prompt has at most `max_ids` ids (None: no limit, the LLM does not read it)."""
        if max_ids is not None and len(request.prompt_ids) > max_ids:
            self.too_long[len(self._keys)] = (request.utt_id, len(request.prompt_ids))
        self._keys.append(int(request.key, 16))
        return len(self._keys) - 1 not in self.too_long

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[str]:
        return (f"{key:0{KEY_LETTERS}x}" for key in self._keys)


class TargetWriter:
    """Writes the targets of one split.

    Arguments
    ---------
    method : AlignmentMethod
    renderer : Renderer
    engine : auralign.generate.engine.Engine
    llm_name, llm_revision : str
        Recorded with every target.
    decoding : dict
        `max_new_tokens` and `temperature`.
    seed : int
    max_rejected : float
        Largest share of rejected items; as soon as it is clear that more will be, the stage stops (see
        `auralign.data.rejected.Rejected` and `auralign.generate.judging.Watch`). What was answered is kept.
    keep_cut_off : bool
        Whether an answer cut off at the length limit becomes a target (without an end of turn) or is rejected; default True.
    num_utts : int, optional
        Utterances that are asked about: those of a manifest whose ids have the smallest hashes, so that fewer are a part of more.
        Default all.
    num_checked : int
        Answers that are asked for again one by one (see `auralign.generate.spot_check`); default 0, none.
    grade : callable, optional
        A function of an utterance and its target that returns the grades of the answer; default none.
    """

    def __init__(
        self,
        method,
        renderer,
        engine,
        *,
        llm_name: str,
        llm_revision: str,
        decoding: dict,
        seed: int,
        max_rejected: float,
        keep_cut_off: bool = True,
        num_utts: int | None = None,
        num_checked: int = 0,
        grade: Grade | None = None,
    ):
        self.num_utts, self.num_checked, self.grade = num_utts, num_checked, grade
        self.method, self.renderer, self.engine = method, renderer, engine
        self.llm_name, self.llm_revision = llm_name, llm_revision
        self.decoding, self.seed = decoding, seed
        self.max_rejected, self.keep_cut_off = max_rejected, keep_cut_off

    def write(
        self,
        manifest: Records,
        path,
        *,
        partial: Path | None = None,
        of_shard: range | None = None,
    ) -> str:
        """Write the targets of `manifest` to `path`; returns a one-line summary.

        Arguments
        ---------
        partial : Path, optional
            The file of the answers so far, from which an interrupted run continues; the caller removes it. Default:
            `<name>.partial.jsonl` beside `path`, which is removed at the end.
        of_shard : range, optional
            The part of `draw_rows` that a shard asks about. Whether too many answers are rejected is found when all parts are
            joined, for which the shard's counts are written beside `path`. Default: all, and no shard.

        Raises TooManyRejectedError.
        """
        prompts = self.renderer.describe()
        answered = partial or partial_path(path)
        judge = Judge(self.method, self.renderer, manifest, keep_cut_off=self.keep_cut_off, grade=self.grade)
        rows = draw_rows(manifest, self.num_utts)
        self.is_shard = of_shard is not None
        if of_shard is not None:
            rows = rows[of_shard.start : of_shard.stop]
        with Store(answered, Target, about=prompts) as store:
            asked = self._answer_all(manifest, rows, store, judge, rejected_path(path))
            if self.num_checked and self._check.num_requests:
                print(
                    f"targets {manifest.path.stem}: {self._check.run(store.read, answered)}", file=sys.stderr
                )
            if not self.is_shard:
                check_asked(self.method, self.num_unasked, len(rows), manifest.path)
            rejected = Rejected(limit=self.max_rejected)
            counts = dict.fromkeys((STRIPPED, CUT_OFF, WRITTEN), 0)
            kept = self._kept(asked, store, judge, rejected, counts, rejected_path(path))
            write_records(path, kept, kind=Target, about=prompts)
            counts[NO_CHOICE] = self.num_unasked
        if self.is_shard:
            write_json(counts_path(path), counts)
        if partial is None:
            answered.unlink()
        if len(rejected.items) > max(ALWAYS_ALLOWED, WORTH_A_WARNING * len(asked)):
            print(
                f"targets {manifest.path.stem}: warning: {rejected.summary(num_kept=counts[WRITTEN])}, such as\n"
                f"{examples(rejected, manifest)}",
                end="",
                file=sys.stderr,
            )
        return summarise(rejected, counts)

    def requests(
        self, manifest: Records, rows: Iterable[int] | None = None
    ) -> Iterator[tuple[TargetRequest, str | None]]:
        """Every request about some rows of the manifest (default: all), with the response if the corpus has it, else None."""
        self.num_read = self.num_unasked = 0
        for utterance in manifest if rows is None else (manifest[row] for row in rows):
            choices = list(draw_choices(self.method, utterance, self.seed))
            self.num_read += 1
            self.num_unasked += not choices
            for number, choice in enumerate(choices):
                views = lay_out(self.method, utterance, choice, UNKNOWN)
                given = ""
                if self.method.needs.target:
                    given = respond(self.method, utterance, choice)
                prompt = self.renderer.render(views.teacher.before_target()).ids
                asked = [utterance.id, number, prompt, given, self.decoding, self.seed]
                made_by = [self.method.name, self.method.version, self.llm_revision, self.renderer.frame_hash]
                key = hash_value([asked, made_by])[:KEY_LETTERS]
                yield TargetRequest(key, utterance.id, choice, prompt, self.decoding), given

    def _answer_all(
        self, manifest: Records, rows: Sequence[int], store: Store, judge: Judge, rejected_file: Path
    ) -> Asked:
        """Answer every request that has no answer in the store; returns what was asked, in the manifest's order.

        Raises TooManyRejectedError as soon as it is clear that there will be too many.
        """
        asked, watch, self.num_known = Asked(), Watch(limit=self.max_rejected), 0
        self._check = SpotCheck(self.engine, self.num_checked)
        pending = self._pending(manifest, rows, store, judge, asked, watch)
        with Progress(
            f"generate {self.method.name}: {manifest.path.stem}",
            unit="utterance",
            total=len(rows),
        ) as progress:
            counter = UtteranceCounter(progress)
            while True:
                known = self.num_known
                window = list(islice(pending, WINDOW))
                counter.begin(self.num_read, num_asked=len(window), num_known=self.num_known - known)
                # Of a shard that others may make up for, only the odds are looked at.
                num_all = len(asked) if len(window) < WINDOW and not self.is_shard else None
                self._stop_if_too_many(watch, num_all, manifest, rejected_file)
                if not window:
                    return asked
                given = [
                    self._target(Reply(request, text, GIVEN if self.method.needs.target else NONE))
                    for request, text in window
                    if text is not None
                ]
                self._keep(given, store, judge, watch, counter)
                for batch in self._ask([request for request, text in window if text is None]):
                    self._keep([self._target(reply) for reply in batch], store, judge, watch, counter)
                    self._stop_if_too_many(watch, num_all, manifest, rejected_file)

    def _pending(
        self,
        manifest: Records,
        rows: Sequence[int],
        store: Store,
        judge: Judge,
        asked: Asked,
        watch: Watch,
    ) -> Iterator[tuple[TargetRequest, str | None]]:
        """What is to be answered; prompts that are too long, and what the store has, are counted by `watch`."""
        for request, given in self.requests(manifest, rows):
            if not asked.add(request, max_ids=None if given is not None else self.engine.max_prompt_ids):
                watch.add(request.utt_id, TOO_LONG, "")
                continue
            if given is None:
                self._check.add(request)
            if request.key in store.keys:
                self.num_known += 1
                _watch(watch, judge, store.read(request.key))
            else:
                yield request, given

    def _ask(self, requests: list[TargetRequest]) -> Iterator[list[Reply]]:
        """The engine's batches of replies, to a random sample of many requests first."""
        if len(requests) < WINDOW // 2:
            yield from self.engine.answer(requests)
            return
        sample = sorted(requests, key=lambda request: request.key)[:SAMPLE]  # a key is a hash
        asked = {request.key for request in sample}
        yield from self.engine.answer(sample)
        yield from self.engine.answer([request for request in requests if request.key not in asked])

    def _keep(
        self, targets: list[Target], store: Store, judge: Judge, watch: Watch, counter: UtteranceCounter
    ) -> None:
        store.append(targets)
        counter.answer(len(targets))
        for target in targets:
            _watch(watch, judge, target)

    def _stop_if_too_many(
        self, watch: Watch, num_all: int | None, manifest: Records, rejected_file: Path
    ) -> None:
        if watch.is_too_many(num_all):
            print(
                f"targets {manifest.path.stem}: too many answers are rejected, such as\n{examples(watch.rejected, manifest)}",
                end="",
                file=sys.stderr,
            )
            watch.rejected.write(rejected_file, num_kept=watch.num_kept, repair=STOPPED)

    def _kept(
        self,
        asked: Asked,
        store: Store,
        judge: Judge,
        rejected: Rejected,
        counts: dict,
        rejected_file: Path,
    ) -> Iterator[Target]:
        """Targets in the manifest's order, whatever the order in which they were answered.

        The list of rejected items is written at the end, before the targets file gets its name: a file with too many rejected
        items never exists.
        """
        for number, key in enumerate(asked):
            if number in asked.too_long:
                utt_id, num_ids = asked.too_long[number]
                size = f"{num_ids} ids of at most {self.engine.max_prompt_ids}"
                rejected.add(utt_id, TOO_LONG, size)
                continue
            written = store.read(key)
            target, reason, thought = judge.judge(written)
            counts[STRIPPED] += thought
            if reason:
                rejected.add(target.utt_id, reason, target.response or written.response)
                continue
            counts[CUT_OFF] += target.finish_reason == "length"
            counts[WRITTEN] += 1
            yield judge.graded(target)
        if self.is_shard:
            rejected.write_list(rejected_file)
        else:
            rejected.write(rejected_file, num_kept=counts[WRITTEN], repair=STOPPED)

    def _target(self, reply: Reply) -> Target:
        request = reply.request
        return Target(
            key=request.key,
            utt_id=request.utt_id,
            choice=request.choice,
            response=reply.text,
            finish_reason=reply.finish_reason,
            response_ids=reply.ids,
            method=self.method.name,
            method_version=self.method.version,
            llm=self.llm_name,
            llm_revision=self.llm_revision,
            frame_hash=self.renderer.frame_hash,
            prompt_hash=hash_value(list(request.prompt_ids))[:16],
            decoding=request.decoding,
            seed=self.seed,
        )


def _watch(watch: Watch, judge: Judge, written: Target) -> None:
    target, reason, _ = judge.judge(written)
    watch.add(target.utt_id, reason, target.response or written.response)
