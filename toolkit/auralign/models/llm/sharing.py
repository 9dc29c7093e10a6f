"""Which sequences may share a forward of an LLM without changing each other: probed on a few tokens, as not every family
keeps them apart.

    probe(model, decoder, head)          # Sharing(packed=True, padded=True, left=True, equal=True) of a Llama

Laid end to end with restarted positions, sequences are kept apart by the mask that transformers makes of the positions. Layers
that read no mask (linear attention, convolutions, state spaces) carry one sequence into the next, and so do attention layers
whose family makes its mask in another way. Padding at the right is harmless to a causal model; padding at the left is harmful if
a layer reads the padding first.
"""

import contextlib
import inspect
from dataclasses import dataclass

import torch
from torch import nn

from auralign.models.llm.attention import names_what_differs, sequence_by_sequence, unread_mask

# Beyond how many standard deviations of the logits a sequence counts as moved. LEAK bounds the largest difference of forwards of
# one shape, in which the mates alone differ: there rounding is the same, and what a mask hides adds an exact zero. SHAPE bounds
# the root mean square of forwards of two shapes, whose kernels add up in another order. Measured on tiny models of 116
# families (CPU, fp32): packing moves the last hidden states of 37 by 0.4 to 4.8 and of the others by at most 4e-6, padding at the
# left the logits of 3 by 0.06 to 3.6 and of the others by at most 3e-5.
LEAK = {torch.float32: 1e-5, torch.float16: 1e-2, torch.bfloat16: 6e-2}
SHAPE = {torch.float32: 1e-3, torch.float16: 3e-2, torch.bfloat16: 0.15}
TAKES = "use an LLM whose forward and generate take inputs_embeds, such as Llama or Qwen"


@dataclass(frozen=True)
class Sharing:
    """In which arrangements sequences share a forward without changing each other.

    Arguments
    ---------
    packed : bool
        Laid end to end with restarted positions and no mask.
    padded : bool
        Padded at the right, with a mask.
    left : bool
        Decoded together with padding at the left, and a mask.
    equal : bool
        Decoded together at equal lengths.
    square : bool
        Packed, a pack is attended to as one square of all its positions; default False, sequence by sequence (see
        `auralign.models.llm.attention`).
    """

    packed: bool
    padded: bool
    left: bool
    equal: bool
    square: bool = False

    def notes(self) -> list[str]:
        """One sentence for each arrangement that is slower because sequences would change each other."""
        notes = []
        if not self.packed:
            how = "padded to equal lengths" if self.padded else "run one by one"
            notes.append(f"sequences of a pack change each other, so they are {how}")
        if self.square:
            notes.append("its attention reads a mask, so it computes all pairs of positions of a pack")
        if not self.left:
            how = (
                "prompts of equal length alone are decoded together"
                if self.equal
                else "prompts are decoded one by one"
            )
            notes.append(f"padding changes its answers, so {how}")
        return notes


class Family:
    """An LLM of transformers as the probe sees it.

    Arguments
    ---------
    model : transformers.PreTrainedModel
        With a language-model head, its generation config neutral.
    decoder : torch.nn.Module
        The part of it below the head.
    head : callable
        From hidden states to logits.
    """

    def __init__(self, model, decoder: nn.Module, head):
        self.model, self.decoder, self.head = model, decoder, head
        self.dtype = str(model.dtype).removeprefix("torch.")
        self.leak, self.shape = LEAK[model.dtype], SHAPE[model.dtype]
        self.first, self.other, self.second = self._embed(7, 1), self._embed(7, 3), self._embed(5, 2)

    def ids(self, number: int, start: int) -> torch.Tensor:
        """Token ids (number,) spread over the vocabulary."""
        size = self.model.get_input_embeddings().num_embeddings
        return torch.tensor(
            [(start + 5 * start * index + index) % size for index in range(number)], device=self.model.device
        )

    def _embed(self, number: int, start: int) -> torch.Tensor:
        return self.model.get_input_embeddings()(self.ids(number, start))

    def logits(self, embeddings: torch.Tensor, **options) -> torch.Tensor:
        """Logits (B, U, V) of embeddings (B, U, D)."""
        states = self.decoder(inputs_embeds=embeddings, use_cache=False, **options).last_hidden_state
        return self.head(states)

    def _same(self, one: torch.Tensor, another: torch.Tensor, alone: torch.Tensor) -> bool:
        return largest(one - another, alone) <= self.leak and mean(one - alone, alone) <= self.shape

    def is_same(self, one: torch.Tensor, alone: torch.Tensor) -> bool:
        """Whether the logits of a forward of another shape are those of a sequence `alone`, up to rounding."""
        return mean(one - alone, alone) <= self.shape

    def packed(self, alone: torch.Tensor, *, square: bool) -> bool:
        """Whether the second of two packed sequences is what it is `alone`, whatever the first.

        They are attended to as one `square`, kept apart by the mask that transformers makes, or sequence by sequence."""
        device = self.model.device
        options = {"position_ids": torch.cat([torch.arange(7), torch.arange(5)])[None].to(device)}
        attention: contextlib.AbstractContextManager = contextlib.nullcontext()
        if not square:
            attention = sequence_by_sequence((7, 5), device)
            options["attention_mask"] = unread_mask(12, device)
        with attention:
            one, another = (
                self.logits(torch.cat([mate, self.second])[None], **options)[0, 7:]
                for mate in (self.first, self.other)
            )
        return self._same(one, another, alone)

    def padded(self, alone: torch.Tensor) -> bool:
        """Whether a sequence that is padded at the right, with zeros or with anything, is what it is `alone`."""
        mask = torch.ones(2, 7, dtype=torch.long, device=self.model.device)
        mask[1, 5:] = 0
        one, another = (
            self.logits(torch.stack([mate, torch.cat([self.second, filling])]), attention_mask=mask)[1, :5]
            for mate, filling in ((self.first, 0 * self.first[:2]), (self.other, self.other[:2]))
        )
        return self._same(one, another, alone)

    def steps(self, rows: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Logits (B, 2, V) of two steps of decoding after rows (B, U, D)."""
        from transformers import GenerationConfig, LogitsProcessorList

        def choose(_, scores):
            return torch.full_like(scores, -torch.inf).index_fill_(
                1, torch.tensor([1], device=scores.device), 0.0
            )

        output = self.model.generate(
            inputs_embeds=rows,
            attention_mask=mask,
            generation_config=GenerationConfig(
                max_new_tokens=2,
                do_sample=False,
                pad_token_id=0,
                output_logits=True,
                return_dict_in_generate=True,
            ),
            logits_processor=LogitsProcessorList([choose]),
        )
        return torch.stack(output.logits, 1).float()

    def decoded(self, alone: torch.Tensor, *, left: bool) -> bool:
        """Whether decoding beside another, with padding at the `left` or at equal lengths, gives the logits (2, V) of
        decoding `alone`."""
        size = 7 if left else 5
        mask = torch.ones(2, size, dtype=torch.long, device=self.model.device)
        mask[1, : size - 5] = 0
        fillings = (0 * self.first[: size - 5], self.other[: size - 5])
        one, another = (
            self.steps(torch.stack([mate[:size], torch.cat([filling, self.second])]), mask)[1]
            for mate, filling in zip((self.first, self.other), fillings, strict=True)
        )
        return self._same(one, another, alone)


@torch.no_grad()
def probe(model, decoder: nn.Module, head) -> Sharing:
    """What sequences may share; see `Family` for the arguments.

    Raises ValueError if the LLM cannot be given speech: it does not take embeddings, is not causal, or does more than
    auralign knows of.
    """
    name = type(model).__name__
    family = Family(model, decoder, head)
    with torch.autocast(model.device.type, enabled=False):
        with refusing(
            f"{name} does not run in {family.dtype} on {model.device}", "load it with another dtype"
        ):
            whole = model(input_ids=family.ids(5, 2)[None], use_cache=False).logits[0]
        if not whole.isfinite().all():
            raise ValueError(
                f"{name}: its logits are not finite in {family.dtype}; load it with another dtype, or copy its folder again"
            )
        with refusing(f"{name} cannot be given embeddings, which speech is", TAKES):
            alone = family.logits(family.second[None])[0]
        _check_logits(family, alone, whole)
        longer = family.logits(torch.cat([family.second, family.first])[None])[0, :5]
        if not mean(longer - alone, alone) <= family.shape:
            raise ValueError(f"{name} reads what comes later, so it is not a causal LLM; use one that is")
        _let_generate_take_embeddings(model)
        with refusing(f"{name} cannot continue embeddings, which speech is", TAKES):
            steps = family.steps(
                family.second[None], torch.ones(1, 5, dtype=torch.long, device=model.device)
            )[0]
        if not mean(steps[0] - alone[-1], alone[-1]) <= family.shape:
            raise ValueError(f"{name} does not read the embeddings that it is to continue; use another LLM")
        packed = _works(family.packed, alone, square=True)
        apart = packed and names_what_differs(model) and _works(family.packed, alone, square=False)
        left = _works(family.decoded, steps, left=True)
        return Sharing(
            packed=packed,
            padded=packed or _works(family.padded, alone),
            left=left,
            equal=left or _works(family.decoded, steps, left=False),
            square=packed and not apart,
        )


def largest(difference: torch.Tensor, logits: torch.Tensor) -> float:
    """The largest difference of logits, in standard deviations of them; NaN if one is not finite."""
    return float(difference.float().abs().max() / logits.float().std().clamp_min(1e-30))


def mean(difference: torch.Tensor, logits: torch.Tensor) -> float:
    """The root mean square of a difference of logits, in standard deviations of them; NaN if one is not finite."""
    return float(difference.float().square().mean().sqrt() / logits.float().std().clamp_min(1e-30))


def _works(check, alone, **options) -> bool:
    try:
        return check(alone, **options)
    except Exception:  # a family that takes no positions, or no mask: it has its own ways to say so
        return False


@contextlib.contextmanager
def refusing(what: str, repair: str):
    """Around a forward that a family may have no way for, which it says in its own ways."""
    try:
        yield
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{what} ({type(error).__name__}: {reason}); {repair}") from error


def _check_logits(family: Family, alone: torch.Tensor, whole: torch.Tensor) -> None:
    """The head is applied apart from the model (only at targets); see that this gives the model's own logits."""
    name = type(family.model).__name__
    if mean(alone - whole, whole) <= family.shape:
        return
    embedded = family.model(inputs_embeds=family.second[None], use_cache=False).logits[0]
    if not mean(embedded - whole, whole) <= family.shape:
        raise ValueError(
            f"{name} takes more from token ids than their embeddings, and speech has no ids; use another LLM"
        )
    raise ValueError(
        f"{name} does more between its last hidden state and its logits than auralign knows of; please report this class"
    )


def _let_generate_take_embeddings(model) -> None:
    """Some families hand embeddings on without naming them, and transformers looks for the name."""
    prepare = model.prepare_inputs_for_generation
    if "inputs_embeds" in inspect.signature(prepare).parameters:
        return

    def prepare_inputs_for_generation(input_ids, inputs_embeds=None, **kwargs):  # "kwargs" is looked for too
        return prepare(input_ids, inputs_embeds=inputs_embeds, **kwargs)

    model.prepare_inputs_for_generation = prepare_inputs_for_generation
