"""Continuous batching: a fixed number of answers is written at a time, and the slot of a finished one is refilled at once.

    for finished in answer_in_slots(llm, prompts, num_slots=64, stop_ids=stop_ids):     # in any order
        for number, answer in finished: ...

In a static batch short answers wait for the longest. Here each row of the key-value cache begins with its prompt and has its
own length; a row that has ended is dropped, and the next prompt takes its place. No row changes another, so greedy answers are
those that the LLM gives one by one, up to rounding.

Not every family can be decoded so: `can_use_slots` tries it. Axes: S slots, A of them in use, U positions of a prompt, D width,
V vocabulary; K key heads, L positions of the cache, C width of a head.
"""

import inspect
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

import torch
from torch import nn
from transformers.cache_utils import Cache, CacheLayerMixin, DynamicCache, DynamicLayer

from auralign.models.llm.generation import Answer
from auralign.models.llm.sampling import Sampler
from auralign.models.llm.sharing import Family

READ_AT_ONCE = 4096  # positions of prompts in one forward, padding included
LONGEST_BY_SHORTEST = (
    1.25  # how much longer the longest of these prompts may be than the shortest, which is padded to it
)
MORE_ROOM = 64  # positions by which a full cache grows at least


class Prompt(NamedTuple):
    """What is answered.

    Arguments
    ---------
    embeddings : torch.Tensor
        (U, D)
    limit : int
        Length limit of the answer, in tokens.
    seed : int
        For sampling; default 0.
    is_speech : torch.Tensor, optional
        (U,) of bool: which positions are speech; default none.
    """

    embeddings: torch.Tensor
    limit: int
    seed: int = 0
    is_speech: torch.Tensor | None = None


@dataclass
class _Writing:
    """An answer that is being written: the number and limit of its prompt, and its tokens so far."""

    number: int
    limit: int
    seed: int
    ids: list[int] = field(default_factory=list)
    finish_reason: str = ""


@torch.no_grad()
def answer_in_slots(
    llm,
    prompts: Iterable[Prompt],
    *,
    num_slots: int,
    stop_ids: Sequence[int],
    sampler: Sampler | None = None,
) -> Iterator[list[tuple[int, Answer]]]:
    """Yield the answers that ended in one step, each with the number of its prompt.

    Arguments
    ---------
    llm : LLM
    prompts : iterable of Prompt
        Taken one by one, when there is a slot.
    num_slots : int
        S.
    stop_ids : sequence of int
        Token ids that end an answer.
    sampler : Sampler, optional
        Draws the tokens; default: the likeliest.
    """
    queue, slots, stops = enumerate(prompts), Slots(llm), set(stop_ids)
    writing: list[_Writing] = []

    def choose(logits: torch.Tensor, answers: list[_Writing]) -> None:
        """Add one token to each answer."""
        if sampler is None:
            tokens = logits.argmax(-1)
        else:
            tokens = sampler.draw(logits, [one.seed for one in answers], [len(one.ids) for one in answers])
        for one, token in zip(answers, tokens.tolist(), strict=True):
            if token in stops:
                one.finish_reason = "stop"
                continue
            one.ids.append(token)
            if len(one.ids) == one.limit:
                one.finish_reason = "length"

    while True:
        new = list(islice(queue, num_slots - len(writing)))
        for batch in _read_together(new):
            begun = [_Writing(number, prompt.limit, prompt.seed) for number, prompt in batch]
            choose(slots.add([prompt for _, prompt in batch]), begun)
            writing += begun
        if not new:
            if not writing:
                return
            choose(slots.advance([one.ids[-1] for one in writing]), writing)
        finished = [one for one in writing if one.finish_reason]
        for row in reversed([row for row, one in enumerate(writing) if one.finish_reason]):
            slots.drop(row)
            last = writing.pop()
            if row < len(writing):
                writing[row] = last
        if finished:
            yield [(one.number, Answer(tuple(one.ids), one.finish_reason)) for one in finished]


def _read_together(new: list[tuple[int, Prompt]]) -> Iterator[list[tuple[int, Prompt]]]:
    """Prompts of similar length in batches of at most `READ_AT_ONCE` positions, or of one, longest first."""
    batch: list[tuple[int, Prompt]] = []
    for number, prompt in sorted(new, key=lambda one: -len(one[1].embeddings)):
        if batch:
            longest, length = len(batch[0][1].embeddings), len(prompt.embeddings)
            if longest > LONGEST_BY_SHORTEST * length or longest * (len(batch) + 1) > READ_AT_ONCE:
                yield batch
                batch = []
        batch.append((number, prompt))
    if batch:
        yield batch


class Slots:
    """The key-value cache of A answers, in rows 0 to A - 1."""

    def __init__(self, llm):
        self.llm, self.lengths = llm, list[int]()
        self.layers = [_Layer() for _ in DynamicCache(config=llm.config).layers]
        taken = inspect.signature(llm.decoder.forward).parameters
        self._cache_name = "cache" if "cache" in taken else "past_key_values"  # of transformers before 5.24

    def add(self, prompts: list[Prompt]) -> torch.Tensor:
        """Read prompts into new rows; returns the logits (B, V) of the tokens that follow them."""
        llm, sizes = self.llm, [len(prompt.embeddings) for prompt in prompts]
        # Padded at the right, where causal attention never reads it.
        embeddings = nn.utils.rnn.pad_sequence([prompt.embeddings for prompt in prompts], batch_first=True)
        speech = torch.zeros(embeddings.shape[:2], dtype=torch.bool, device=llm.device)
        for row, prompt in enumerate(prompts):
            if prompt.is_speech is not None:
                speech[row, : sizes[row]] = prompt.is_speech
        read = DynamicCache(config=llm.config)
        with llm.adapting(speech):
            hidden = self._run(read, inputs_embeds=embeddings)
        for layer, new in zip(self.layers, read.layers, strict=True):
            layer.add(new.keys, new.values, len(self.lengths))
        self.lengths += sizes
        ends = torch.tensor(sizes, device=hidden.device) - 1
        return llm.head(hidden[torch.arange(len(sizes), device=hidden.device), ends])

    def advance(self, tokens: list[int]) -> torch.Tensor:
        """Append a token to each row; returns the logits (A, V) of the next ones."""
        places = torch.tensor(self.lengths, device=self.llm.device)
        num_positions = max(self.lengths) + 1
        for layer in self.layers:
            layer.places, layer.num_positions = places, num_positions
        mask = torch.arange(num_positions, device=places.device) <= places[:, None]
        with self.llm.adapting(torch.zeros(len(tokens), 1, dtype=torch.bool, device=places.device)):
            hidden = self._run(
                Cache(layers=self.layers),
                input_ids=torch.tensor(tokens, device=places.device)[:, None],
                position_ids=places[:, None],
                attention_mask=mask[:, None, None],
            )
        self.lengths = [length + 1 for length in self.lengths]
        return self.llm.head(hidden[:, -1])

    def drop(self, row: int) -> None:
        """Remove a row; the last one takes its place."""
        length = self.lengths.pop()
        if row < len(self.lengths):
            self.lengths[row] = length
            for layer in self.layers:
                layer.move(len(self.lengths), row, length)

    def _run(self, cache: Cache, **inputs) -> torch.Tensor:
        return self.llm.decoder(**inputs, **{self._cache_name: cache}, use_cache=True).last_hidden_state


class _Layer(CacheLayerMixin):
    """Keys and values (S, K, L, C) of one layer. Beyond the length of a row they are of any finite value, and masked."""

    places: torch.Tensor  # (A,): where the next position of each row is written
    num_positions: int  # up to where rows are read

    def add(self, keys: torch.Tensor, values: torch.Tensor, row: int) -> None:
        """Write the keys and values of new rows, from `row` on."""
        self._make_room(keys, values, row + len(keys), keys.shape[2])
        self.keys[row : row + len(keys), :, : keys.shape[2]] = keys
        self.values[row : row + len(keys), :, : keys.shape[2]] = values

    def move(self, row: int, to: int, length: int) -> None:
        """Copy the first positions of a row over another."""
        self.keys[to, :, :length] = self.keys[row, :, :length]
        self.values[to, :, :length] = self.values[row, :, :length]

    def update(self, key_states, value_states, *args, **kwargs):
        """Write one position of each row; returns all that are read, (A, K, L, C) each."""
        number = len(key_states)
        self._make_room(key_states, value_states, number, self.num_positions)
        rows = torch.arange(number, device=self.places.device)
        self.keys[rows, :, self.places] = key_states[:, :, 0]
        self.values[rows, :, self.places] = value_states[:, :, 0]
        return self.keys[:number, :, : self.num_positions], self.values[:number, :, : self.num_positions]

    def _make_room(self, keys: torch.Tensor, values: torch.Tensor, num_rows: int, num_positions: int) -> None:
        if self.keys is None:
            self.keys, self.values = (
                new.new_zeros(0, new.shape[1], 0, new.shape[3]) for new in (keys, values)
            )
        before = self.keys.shape
        if num_rows <= before[0] and num_positions <= before[2]:
            return
        if num_positions > before[2]:
            num_positions = max(num_positions + MORE_ROOM, before[2] * 5 // 4)
        rows, positions = max(num_rows, before[0]), max(num_positions, before[2])
        self.keys, self.values = (
            nn.functional.pad(old, (0, 0, 0, positions - before[2], 0, 0, 0, rows - before[0]))
            for old in (self.keys, self.values)
        )

    def lazy_initialization(self, key_states, value_states) -> None:
        """Nothing: room is made when rows are added."""

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Number of positions that are read, and where they begin."""
        return self.num_positions, 0

    def get_seq_length(self) -> int:
        """Positions before the present one, of the longest row."""
        return self.num_positions - 1

    def get_max_length(self) -> int:
        """-1: it grows."""
        return -1


@torch.no_grad()
def can_use_slots(llm) -> bool:
    """Whether answers in slots are those of the LLM one by one: tried with two rows, of which one is replaced.

    A family whose layers keep anything else than all keys and values (windows, states), or whose attention takes another mask,
    cannot.
    """
    if llm.config._attn_implementation != "sdpa" or llm.rope_edges:
        return False
    try:
        if any(type(layer) is not DynamicLayer for layer in DynamicCache(config=llm.config).layers):
            return False
        family = Family(llm.model, llm.decoder, llm.head)
        slots = Slots(llm)
        first, second, other = (Prompt(one, 2) for one in (family.first, family.second, family.other))
        begun = slots.add([first, second])
        steps = [begun[1], slots.advance([1, 1])[1]]
        slots.drop(0)
        replaced = slots.add([other])[0]
        continued = slots.advance([1, 1])[1]
        alone = [family.steps(one[None], _ones(one))[0] for one in (family.second, family.other)]
        pairs = zip((torch.stack(steps), torch.stack([replaced, continued])), alone, strict=True)
        return all(family.is_same(one.float(), expected) for one, expected in pairs)
    except Exception:  # a family that has its own kinds of cache or mask
        return False


def _ones(prompt: torch.Tensor) -> torch.Tensor:
    return torch.ones(1, len(prompt), dtype=torch.long, device=prompt.device)
