"""The training loop: SpeechBrain's `Brain`, in which an optimiser step is a list of packs, distributed over the ranks.

The forward of a pack is `auralign.train.step`. One module, as `Brain` calls all of these hooks on one object.
"""

import itertools
import math
import sys
import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path

import auralign.models  # noqa: F401  # before SpeechBrain, which imports torchaudio  # isort: skip
import speechbrain as sb
import torch
from torch.utils.data import DataLoader

from auralign.files import write_json
from auralign.losses import Term, total
from auralign.method import MethodFailedError
from auralign.models.build import build_decoding, build_optimizer
from auralign.models.builds import RECORD, write_record
from auralign.progress import Progress, peak_memory
from auralign.train import parallel
from auralign.train.checkpoint import Checkpoint, Checkpoints, initialise
from auralign.train.curves import Curves, WandbRun
from auralign.train.examples import Examples, PackOfExamples, PackStream, StepStream
from auralign.train.log import describe, show_answers
from auralign.train.memory import as_they_fit, evaluate_as_fits
from auralign.train.preemption import Preemption, StoppedBySignal, after_the_step
from auralign.train.references import Comparison, References
from auralign.train.resume import describe_changes, history_of
from auralign.train.step import compute_terms, count_units
from auralign.train.tally import Tally, is_finite, named
from auralign.versions import CHECKPOINTS, CURVES, LOG


class AlignmentBrain(sb.Brain):
    """Trains the parts that the recipe trains: the connector and, if it names them, LoRA, the LLM, heads and branches.

    An "epoch" of `Brain` is the stretch between two validations. Each ends with a validation and a checkpoint, from which
    an interrupted run continues bit for bit: random numbers depend only on (seed, step, pack), and not on the number of
    ranks (`auralign.train.parallel`), whose sums differ in rounding. Rank 0 writes all files. SIGTERM and SIGUSR1 end it
    after the step, with a checkpoint that has no validation (`auralign.train.preemption`).

    Arguments
    ---------
    model : SpeechLLM
    method : AlignmentMethod
    recipe : Recipe
    folder : Path
        Folder of `checkpoints/`, `curves/` (TensorBoard) and `log.json`.
    description : dict
        The record in each checkpoint: the inputs of stage 3, LLM, chat frame, encoder, connector, method. The number of
        ranks and the `history` of changes during the run are added.
    """

    def __init__(self, model, method, recipe, *, folder, description: dict):
        super().__init__(
            modules=model.trained_parts,
            hparams=vars(recipe),
            run_opts={
                "device": recipe.device,
                "precision": recipe.precision,
                "max_grad_norm": recipe.max_grad_norm,
            },
        )
        self.distributed_launch = False  # or Brain would wrap each module in DistributedDataParallel
        self.model, self.method, self.recipe = model, method, recipe
        self.decoding = build_decoding(recipe)
        self.casts = model.llm.casts(recipe.precision)
        self.folder = Path(folder)
        self.checkpoints = Checkpoints(self.folder / CHECKPOINTS, num_last=recipe.average_checkpoints)
        self.description = {**description, "ranks": parallel.num_ranks()}
        self.log: list[dict] = []
        self.tally, self.preemption = Tally(), Preemption()
        self.left_out: dict[str, list[str]] = {}  # by this rank, since the ranks last told each other
        self.saved_step, self.is_in_stretch = 0, False
        self.wandb = None
        if recipe.wandb and parallel.is_first():
            name = f"{method.name} {self.folder.resolve().name}"
            self.wandb = WandbRun(name=name, config=self.description)

    def run(self, train: Examples, valid: Examples) -> Checkpoint:
        """Train for `num_steps` steps, or the rest of them; returns the checkpoint with the lowest validation loss.

        Raises ValueError if too many steps, or all validations, have no finite loss; StoppedBySignal after SIGTERM or SIGUSR1.
        """
        recipe = self.recipe
        self.valid = valid
        self.stream = StepStream(
            train,
            tokens_per_step=recipe.tokens_per_step,
            tokens_per_pack=recipe.tokens_per_pack,
            seed=recipe.seed,
        )
        valid_packs = PackStream(valid, tokens_per_pack=recipe.tokens_per_pack)
        num_stretches = math.ceil(recipe.num_steps / recipe.valid_every)
        self.references = References(
            valid,
            method=self.method,
            model=self.model,
            tokens_per_step=recipe.tokens_per_step,
            tokens_per_pack=recipe.tokens_per_pack,
        )
        self.references.begin_again = self._evaluate_again
        about = f"train {self.method.name}"
        with (
            Progress(about, unit="step", total=recipe.num_steps) as self.progress,
            after_the_step() as self.preemption,
        ):
            self.fit(
                _Stretches(self, num_stretches),
                DataLoader(self.stream, batch_size=None),
                DataLoader(valid_packs, batch_size=None),
                progressbar=False,
            )
        if parallel.is_first():
            self.curves.close()
            # Also written if no step was left: the run may have been killed between its last checkpoint and this line.
            write_json(self.folder / LOG, self.log)
        best = self.checkpoints.best()
        if not is_finite(best.valid_loss):
            raise ValueError(
                f"{self.folder}: no validation of this run has a finite loss (best: {best.valid_loss}); look at the validation "
                "set, or lower lr"
            )
        return best

    def init_optimizers(self):
        """Build the recipe's optimizer of the trained parts, and the schedule of its learning rate."""
        self.optimizer, self.schedule = build_optimizer(self.recipe, self.modules.parameters())
        self.optimizers_dict = {"optimizer": self.optimizer}

    def on_fit_start(self):
        """Continue from the newest sound checkpoint, if there is one."""
        super().on_fit_start()
        last = self.checkpoints.last()
        if last is not None:
            last.load_weights(self.model)
            state = last.load_optimiser()
            self.optimizer.load_state_dict(state["optimizer"])
            self.schedule.load_state_dict(state["schedule"])
            self._follow_schedule()
            if "scaler" in state and self.scaler.is_enabled():  # an earlier auralign did not write it
                self.scaler.load_state_dict(state["scaler"])
            self.optimizer_step = last.step
            self.log = last.description["log"]
            self.tally = Tally(**last.description.get("tally", {}))  # an earlier auralign did not write it
            self.saved_step, self.is_in_stretch = last.step, not last.is_validated
            self.references.go_on_from(self.log)
            self._remember(last)
        elif self.recipe.init_from is not None:
            print(initialise(self.model, self.recipe.init_from), file=sys.stderr)
        parallel.copy_from_first(self.model.parts.parameters())
        self.progress.skip(self.optimizer_step)
        if parallel.is_first():
            if last is not None and last.step >= self.recipe.num_steps:  # killed while it removed the others
                self.checkpoints.remove_others()
            self.description |= self.checkpoints.save_frozen(self.model.frozen_parts)
            write_record(self.model, self.checkpoints.folder / RECORD)
            self.curves = Curves(self.folder / CURVES, step=self.optimizer_step, wandb=self.wandb)
        self.model.llm.meet()

    def _follow_schedule(self) -> None:
        """Set the learning rate that this schedule has at the current step: `num_steps` may have changed since the checkpoint."""
        if not isinstance(self.schedule, torch.optim.lr_scheduler.LambdaLR):
            return  # the rate of other schedules depends on the steps before
        rates = [
            base * rate(self.schedule.last_epoch)
            for base, rate in zip(self.schedule.base_lrs, self.schedule.lr_lambdas, strict=True)
        ]
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        self.schedule._last_lr = rates

    def _remember(self, last: Checkpoint) -> None:
        """Print what changed since the last checkpoint, and record it in later ones."""
        before = len(last.description.get("history", []))
        history = history_of(last.description, self.description)
        if history:
            self.description["history"] = history
        changed = "".join(f" with {describe_changes(entry)}" for entry in history[before:])
        note = (
            "; recorded in the checkpoints; the result is not bit for bit that of an unbroken run"
            if changed
            else ""
        )
        print(f"continuing from step {last.step}{changed}{note}", file=sys.stderr)

    def fit_batch(self, packs: list[PackOfExamples]):
        """One optimiser step over this rank's packs. The loss is a mean over the packs of all ranks, whatever the packing."""
        held = self.stream.held.pop(self.optimizer_step, {})
        self.tally.hold(held)
        units: Counter = Counter()
        for theirs in self._exchange(count_units(packs)):
            units.update(theirs)
        numbers = itertools.islice(parallel.own(itertools.count()), len(packs))
        with self.casts:
            packs, losses = as_they_fit(
                dict(zip(numbers, packs, strict=True)),
                lambda pack, number, part: self._backward(pack, units, number, part),
                begin_again=self._begin_again,
            )
        self.model.llm.meet()
        step_loss = torch.stack(losses).sum() if losses else torch.zeros((), device=self.device)
        self.scaler.scale(step_loss)  # initialises the scale, also on a rank without packs
        summed = parallel.sum_gradients(self.modules.parameters(), step_loss)
        # The only values that a step waits for: until here a GPU is given work ahead of what it has computed.
        loss_value, gradient_norm, *of_packs = torch.stack([summed, self._gradient_norm(), *losses]).tolist()
        scale = self.scaler.get_scale()
        gradient_norm /= scale
        # In fp16 the scaler checks the gradients itself, and lowers its scale.
        if math.isfinite(loss_value) and (self.scaler.is_enabled() or math.isfinite(gradient_norm)):
            self.optimizers_step()
            if self.scaler.get_scale() < scale:  # the scaler has skipped the step
                self._skip("a gradient overflows fp16", packs, is_fault=False)
            else:
                self.tally.count(loss_value)
        else:  # one NaN must not reach the weights; the step counts, so that later steps do not depend on it
            self.zero_grad(set_to_none=True)
            self.optimizer_step += 1
            faulty = [pack for pack, loss in zip(packs, of_packs, strict=True) if not math.isfinite(loss)]
            self._skip("loss or gradient is not finite", packs, faulty)
        self._draw(
            {
                "lr": self.schedule.get_last_lr()[0],
                "train/loss": loss_value,
                "train/gradient_norm": gradient_norm,
                "train/steps_per_second": self.progress.rate,
                **{f"held/{name}": number / sum(held.values()) for name, number in held.items()},
                **{f"train/{name.replace(' ', '_')}_gb": size / 1e9 for name, size in peak_memory().items()},
            }
        )
        with warnings.catch_warnings():
            if (
                not self.tally.run_counted
            ):  # torch warns of a schedule that begins before the optimizer: the step was skipped
                warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler.step")
            self.schedule.step()
        self.progress.update(loss=loss_value, gradient_norm=gradient_norm)
        return torch.tensor(loss_value)

    def _backward(self, pack: PackOfExamples, units: Counter, number: int, part: int) -> torch.Tensor:
        """The loss of a pack, whose gradient is added to those of the parameters."""
        self._seed(number, part)
        with self.training_ctx:
            terms = self.terms(pack)
            loss = total(terms, units)
        for name, ids in self._left_out(terms, pack).items():
            self.left_out.setdefault(name, []).extend(ids)
        if not loss.requires_grad:
            raise MethodFailedError(
                f"method {self.method.name!r}: its loss at step {self.optimizer_step + 1} depends on no trained part "
                f"({', '.join(self.model.trained_parts)}); frozen: {', '.join(self.model.frozen) or 'nothing'}"
            )
        self.model.llm.before_backward()
        self.scaler.scale(loss).backward()
        return loss.detach().float()

    def _begin_again(self, pack: PackOfExamples) -> None:
        """Before a pack that does not fit into memory is split: forget what was computed of the step, and count it."""
        self.zero_grad(set_to_none=True)
        self.left_out = {}
        self._note_split(pack, self.stream.examples, where=f"step {self.optimizer_step + 1}")

    def _evaluate_again(self, pack: PackOfExamples) -> None:
        """Before a pack of the validation that does not fit into memory is split: count it."""
        self._note_split(pack, self.valid, where=f"validation after step {self.optimizer_step}")

    def _note_split(self, pack: PackOfExamples, examples: Examples, *, where: str) -> None:
        """Count a pack that is split. Raises ValueError if it is one sequence."""
        self.tally.num_split += 1
        if self.model.llm.is_sharded:
            raise ValueError(
                f"{where}: a pack does not fit into the memory of {self.device}, and cannot be "
                "split: with shard_llm the ranks compute each layer together; lower tokens_per_pack"
            )
        if len(pack.choices) == 1:
            raise ValueError(
                f"{where}: the one sequence of {examples.manifest[pack.rows[0]].id} does not fit into the memory of "
                f"{self.device}; leave this utterance out, make targets shorter (max_new_tokens), or take a smaller dtype of the "
                "LLM (llm.dtype) or another device"
            )
        if self.tally.num_split == 1:  # since the last validation; the log counts them
            print(
                f"{where}: a pack of {len(pack.choices)} sequences does not fit into the memory of {self.device}; it is "
                "split in two, with the same result; a lower tokens_per_pack saves the second attempt",
                file=sys.stderr,
            )

    def _skip(
        self,
        why: str,
        packs: list[PackOfExamples],
        faulty: list[PackOfExamples] | None = None,
        *,
        is_fault: bool = True,
    ) -> None:
        """Count a step as skipped, with the utterances of the faulty pack, or else those of the whole step."""
        told = parallel.gathered((self._ids(faulty), self._ids(packs)))
        ids = [identity for theirs, _ in told for identity in theirs or ()]
        ids = ids or [identity for _, theirs in told for identity in theirs]
        self.tally.skip(self.optimizer_step, why, ids, is_fault=is_fault)
        print(
            f"step {self.optimizer_step}: {why}, skipped ({named(self.tally.skipped[-1])})", file=sys.stderr
        )
        self.tally.check(is_over=False)

    def _ids(self, packs: Iterable[PackOfExamples] | None) -> list[str]:
        """The ids of the utterances in packs of training."""
        manifest = self.stream.examples.manifest
        return [manifest[row].id for pack in packs or () for row in pack.rows]

    def _left_out(self, terms: dict[str, Term], pack: PackOfExamples) -> dict[str, list[str]]:
        """The ids of the utterances that terms leave out of their sums, by the name of the term."""
        found = {name: term.left_out for name, term in terms.items() if term.left_out}
        ids = self._ids([pack]) if found else []
        for name, rows in found.items():
            if not all(0 <= row < len(ids) for row in rows):
                raise MethodFailedError(
                    f"method {self.method.name!r}: its term {name!r} leaves out the sequences {list(rows)}, the pack has "
                    f"{len(ids)}; give the loss one row for each sequence, or replace left_out by the indices in the pack"
                )
        return {name: [ids[row] for row in rows] for name, rows in found.items()}

    def _exchange(self, units: Counter | None = None) -> list[Counter]:
        """The units of a step by rank. The ranks also tell each other what they left out, and whether one was asked to stop: then
        this writes a checkpoint on rank 0 and raises StoppedBySignal."""
        told = parallel.gathered((units or Counter(), self.left_out, self.preemption.asked))
        self.left_out = {}
        for _, left_out, _ in told:
            self.tally.leave_out(left_out)
        self._stop_if(asked for *_, asked in told)
        return [theirs for theirs, *_ in told]

    def _stop_if(self, asked: Iterable[str]) -> None:
        """If a rank was asked to stop, write a checkpoint on rank 0 and raise StoppedBySignal; all ranks call it at once."""
        signal = next(filter(None, asked), "")
        if signal:
            if parallel.is_first():
                self._save_unvalidated()
            parallel.wait()
            raise StoppedBySignal(f"{signal}: stopped after step {self.optimizer_step}, which is on disk")

    def _save_unvalidated(self) -> None:
        if self.optimizer_step > self.saved_step:
            self._save(valid_loss=None)
        self.curves.close()

    def _seed(self, number: int, part: int = 0) -> None:
        """Seed dropout as a function of (seed, step, pack, part of it), so that neither resuming nor the number of ranks changes
        it."""
        of_pack = number * 2**40 + part * 2**32
        torch.manual_seed((self.recipe.seed * 1_000_003 + self.optimizer_step + of_pack) % 2**64)

    def _draw(self, values: dict) -> None:
        if parallel.is_first():
            self.curves.add(values, self.optimizer_step)

    def _gradient_norm(self) -> torch.Tensor:
        """The norm of all gradients, before they are clipped, as the scaler scaled them; not finite if one is not."""
        gradients = [p.grad for p in self.modules.parameters() if p.grad is not None]
        return torch.nn.utils.get_total_norm(gradients).to(self.device, torch.float32)

    def terms(self, pack: PackOfExamples) -> dict[str, Term]:
        """The method's terms for one pack; see `auralign.train.step`."""
        return compute_terms(self.method, self.model, pack)

    def evaluate_batch(self, pack: PackOfExamples, stage):
        """The loss of one pack of validation, added up as sums: the mean is over all packs, not a mean of means."""
        if (
            parallel.is_first() and self.preemption.asked
        ):  # the others may be at other packs; torchrun ends them
            self._save_unvalidated()
            raise StoppedBySignal(
                f"{self.preemption.asked}: stopped in the validation after step {self.optimizer_step}, which is on disk"
            )
        self.units.update(pack.units())
        with self.evaluation_ctx:
            found = evaluate_as_fits(pack, self.terms, begin_again=self._evaluate_again)
            for name, term in (named_term for terms in found for named_term in terms.items()):
                self.sums[name] += float(term.sum)
                self.kinds[name] = (term.unit, term.weight)
                self.num_left_out[name] += len(term.left_out)
        self.progress.update(0)  # a validation may last longer than a log may be silent
        return torch.zeros(())

    def on_stage_start(self, stage, epoch=None):
        """Set the end of this stretch before training; reset the sums before validation."""
        if stage == sb.Stage.TRAIN:
            self.stream.start = self.optimizer_step
            self.stream.stop = min(epoch * self.recipe.valid_every, self.recipe.num_steps)
        else:
            self.sums, self.kinds, self.units, self.num_left_out = Counter(), {}, Counter(), Counter()

    def on_stage_end(self, stage, stage_loss, epoch=None):
        """Check the steps after training; log, show some answers and write a checkpoint after validation."""
        if stage == sb.Stage.TRAIN:
            self.tally.check(is_over=self.optimizer_step >= self.recipe.num_steps)
            self._exchange()
            return
        self.model.llm.meet()
        sums, kinds, units, left_out, num_split = Counter(), {}, Counter(), Counter(), 0
        mine = (self.sums, self.kinds, self.units, self.num_left_out, self.tally.num_split)
        for their_sums, their_kinds, their_units, their_left_out, their_num_split in parallel.gathered(mine):
            sums.update(their_sums)
            kinds |= their_kinds
            units.update(their_units)
            left_out.update(their_left_out)
            num_split += their_num_split
        means = {name: value / max(units[kinds[name][0]], 1) for name, value in sums.items()}
        comparison = self._compare()
        tally, self.tally = replace(self.tally, num_split=num_split), self.tally.next_stretch()
        if parallel.is_first():
            valid_loss = sum(kinds[name][1] * mean for name, mean in means.items())
            self._write(means, tally, valid_loss=valid_loss, comparison=comparison, left_out=left_out)
        self.model.llm.meet()
        asked = parallel.gathered(self.preemption.asked)
        if self.optimizer_step < self.recipe.num_steps:
            self._stop_if(asked)

    def _compare(self) -> Comparison | None:
        with self.evaluation_ctx:
            return self.references.compare(self.optimizer_step, num_steps=self.recipe.num_steps)

    def _write(
        self,
        means: dict[str, float],
        tally: Tally,
        *,
        valid_loss: float,
        comparison: Comparison | None,
        left_out: Counter,
    ) -> None:
        """Log a validation, in which terms left out some sequences (`left_out`, their number by term); write its checkpoint."""
        valid_left_out = {name: number for name, number in left_out.items() if number}
        self._draw({f"valid/{name}": mean for name, mean in means.items()})
        self.log.append(
            {
                "step": self.optimizer_step,
                **tally.describe(),
                "valid_loss": round(valid_loss, 6),
                "valid_terms": {name: round(mean, 6) for name, mean in means.items()},
                **({"valid_left_out": valid_left_out} if valid_left_out else {}),
                "answers": show_answers(
                    self.model, self.valid, decoding=self.decoding, count=self.recipe.num_shown
                ),
                **({} if comparison is None else {"references": asdict(comparison)}),
            }
        )
        lines = list(describe(self.log[-1]))
        if comparison is not None:
            self._draw({f"hears/{name}": loss for name, loss in comparison.losses().items()})
            warning = self.references.warn(comparison)
            lines[1:1] = [f"    {comparison}", *([warning] if warning else [])]
        for line in lines:
            self.progress.write(line)
        self._save(valid_loss=valid_loss)

    def _save(self, *, valid_loss: float | None) -> None:
        """Write a checkpoint; without a validation, `valid_loss` is None."""
        state = {"optimizer": self.optimizer.state_dict(), "schedule": self.schedule.state_dict()}
        if self.scaler.is_enabled():
            state["scaler"] = self.scaler.state_dict()
        description = {
            **self.description,
            "step": self.optimizer_step,
            "valid_loss": valid_loss,
            "log": self.log,
            "tally": asdict(self.tally),
        }
        self.checkpoints.save(self.modules, state, description)
        self.saved_step = self.optimizer_step


class _Stretches:
    """Numbers of the remaining stretches; iterated only after the checkpoint was loaded."""

    def __init__(self, brain: AlignmentBrain, num_stretches: int):
        self.brain, self.num_stretches = brain, num_stretches

    def __iter__(self):
        step, valid_every = self.brain.optimizer_step, self.brain.recipe.valid_every
        done = step // valid_every
        if (
            self.brain.is_in_stretch
        ):  # stopped before its validation, which is done first if no step of it is left
            done = (step - 1) // valid_every
        elif step >= self.brain.recipe.num_steps:
            done = self.num_stretches
        return iter(range(done + 1, self.num_stretches + 1))
