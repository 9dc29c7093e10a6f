"""Answers of an LLM to prompts that are given as embeddings, decoded together.

Axes: B batch, U positions of a prompt, D width, V vocabulary.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from auralign.models.llm.sampling import Sampler, is_whole, plain_number
from auralign.text.characters import is_str


@dataclass(frozen=True)
class Answer:
    """Token ids of one answer without its end of turn, and why it ended: "stop" or "length"."""

    ids: tuple[int, ...]
    finish_reason: str


@dataclass(frozen=True)
class Decoding:
    """How answers are decoded.

    Arguments
    ---------
    max_new_tokens : int
        Length limit of an answer, in tokens.
    tokens_per_second : float, optional
        A second limit, in tokens for each second of audio; their product is rounded up. Default: no such limit.
    num_beams : int
        1, the default, is greedy; more is beam search.
    stop_strings : sequence of str
        An answer ends before the first of them. Default: none.

    Raises ValueError if a number is not above 0, or `stop_strings` is not a list of strings.
    """

    max_new_tokens: int
    tokens_per_second: float | None = None
    num_beams: int = 1
    stop_strings: tuple[str, ...] = ()

    def __post_init__(self):
        for name in ("max_new_tokens", "num_beams", "tokens_per_second"):
            object.__setattr__(self, name, plain_number(getattr(self, name)))
        rate = self.tokens_per_second
        if rate is not None and (isinstance(rate, bool) or not isinstance(rate, (int, float))):
            raise ValueError(f"tokens_per_second {rate!r}: give a number above 0")
        for name in ("max_new_tokens", "num_beams"):
            value = getattr(self, name)
            if not is_whole(value):
                raise ValueError(f"{name} {value!r}: give a whole number above 0")
        for name, value in vars(self).items():
            if isinstance(value, (int, float)) and not 0 < value < math.inf:
                raise ValueError(f"{name} {value}: give a number above 0")
        strings = self.stop_strings
        is_list = isinstance(strings, Sequence) and not isinstance(strings, (str, bytes))
        if not is_list or not all(isinstance(string, str) and string for string in strings):
            shown = list(strings) if is_list else strings
            raise ValueError(f"stop_strings {shown!r}: give a list of strings that are not empty")
        for string in strings:
            if not is_str(string):
                raise ValueError(
                    f"stop_strings: {string!r} has half of a character (a surrogate); give whole ones"
                )
        object.__setattr__(self, "stop_strings", tuple(strings))

    @property
    def in_slots(self) -> bool:
        """Whether answers may be written in slots: token by token, by what the LLM gives alone."""
        return self.num_beams == 1 and not self.stop_strings

    def limit(self, seconds: float | None) -> int:
        """Length limit in tokens of an answer about an utterance of this duration; None: the answer is about no utterance.

        The limit is the same whatever the LLM is given of the utterance: speech, its text, another utterance's speech."""
        if self.tokens_per_second is None or seconds is None:
            return self.max_new_tokens
        return min(self.max_new_tokens, max(1, math.ceil(self.tokens_per_second * seconds)))


@torch.no_grad()
def generate(
    llm,
    prompts: list[torch.Tensor],
    *,
    decoding: Decoding,
    stop_ids,
    is_speech: list[torch.Tensor] | None = None,
    seconds: list[float | None] | None = None,
    temperature: float = 0.0,
    top_p: float | None = None,
    top_k: int | None = None,
    seeds: list[int] | None = None,
    streamer=None,
) -> list[Answer]:
    """Answer prompts, decoded together as far as they do not change each other: in slots that end one by one, or, if the LLM or
    the decoding does not allow that, in static batches with left padding.

    With a temperature, each token is drawn by a number that is a function of the answer's own seed and the position alone, so
    that neither batch mates nor order change it. That holds in fp32: in bf16 and fp16 a batch of another shape rounds
    differently, and if two tokens are about as likely the answer can change, unless `LLM.batch_invariant` is set.

    Arguments
    ---------
    llm : LLM
    prompts : list of torch.Tensor (U, D)
        Embeddings.
    decoding : Decoding
    stop_ids : sequence of int
        Token ids that end an answer.
    is_speech : list of torch.Tensor (U,) of bool, optional
        Which positions of each prompt are speech; default none.
    seconds : list of float or None, optional
        Duration of the audio in each prompt, for `Decoding.tokens_per_second`.
    temperature : float
        0, the default, takes the likeliest token.
    top_p, top_k : float, int, optional
        As for `Sampling`; they count with a temperature. Default none.
    seeds : list of int, optional
        A seed for each prompt, needed with a temperature.
    streamer : transformers.generation.BaseStreamer, optional
        Receives the tokens of a single prompt as they are decoded.

    Returns list of Answer. Raises ValueError if a prompt leaves no room for an answer in the LLM's context.
    """
    limits = [
        min(decoding.limit(length), llm.room(len(prompt)))
        for prompt, length in zip(prompts, seconds or [None] * len(prompts), strict=True)
    ]
    if temperature > 0 and seeds is None:
        raise ValueError("sampling needs a seed for each prompt")
    sampler = Sampler(temperature, top_p=top_p, top_k=top_k) if temperature > 0 else None
    if decoding.in_slots and streamer is None and llm.uses_slots:
        from auralign.models.llm.slots import Prompt, answer_in_slots  # needs transformers

        given = itertools.zip_longest(prompts, limits, seeds or [], is_speech or [])
        asked = [Prompt(prompt, limit, seed or 0, speech) for prompt, limit, seed, speech in given]
        ended = answer_in_slots(llm, asked, num_slots=len(asked), stop_ids=stop_ids, sampler=sampler)
        by_number = dict(itertools.chain.from_iterable(ended))
        return [by_number[number] for number in range(len(asked))]
    answers: dict[int, Answer] = {}
    for rows in _group(llm, [len(prompt) for prompt in prompts], max(limits, default=0)):
        found = _decode(
            llm,
            [prompts[row] for row in rows],
            [limits[row] for row in rows],
            decoding,
            stop_ids,
            is_speech=[is_speech[row] for row in rows] if is_speech else [],
            drawing=_Drawing(sampler, [seeds[row] for row in rows]) if sampler else None,
            streamer=streamer,
        )
        answers.update(zip(rows, found, strict=True))
    return [answers[row] for row in range(len(prompts))]


def _decode(
    llm, prompts, limits: list[int], decoding: Decoding, stop_ids, *, is_speech, drawing, streamer
) -> list[Answer]:
    """Decode prompts in one batch, each up to its own limit."""
    from transformers import GenerationConfig, LogitsProcessorList

    longest = max(len(prompt) for prompt in prompts)
    embeddings = torch.stack(
        [nn.functional.pad(prompt, (0, 0, longest - len(prompt), 0)) for prompt in prompts]
    )
    mask = torch.stack([torch.arange(longest) >= longest - len(prompt) for prompt in prompts]).to(llm.device)
    searches = decoding.num_beams > 1
    config = GenerationConfig(
        max_new_tokens=max(limits) + searches,  # beams are ended by LengthLimits, one token later
        do_sample=False,
        num_beams=decoding.num_beams,
        eos_token_id=list(stop_ids),
        pad_token_id=stop_ids[0],
        stop_strings=list(decoding.stop_strings) or None,
    )
    processors = LogitsProcessorList([drawing] if drawing else [])
    if searches:
        processors.append(LengthLimits(limits, decoding.num_beams, stop_ids[0]))
    speech = torch.zeros_like(mask)
    for row, positions in enumerate(is_speech):
        speech[row, longest - len(positions) :] = positions
    with llm.adapting(speech):
        output = llm.model.generate(
            inputs_embeds=embeddings,
            attention_mask=mask.long(),
            generation_config=config,
            logits_processor=processors,
            streamer=streamer,
            tokenizer=llm.tokenizer if decoding.stop_strings else None,
        )
    answers = [_cut(row[:limit], stop_ids) for row, limit in zip(output.tolist(), limits, strict=True)]
    return [
        replace(answer, finish_reason="stop")
        if any(string in llm.tokenizer.decode(answer.ids) for string in decoding.stop_strings)
        else answer
        for answer in answers
    ]


def _group(llm, lengths: list[int], limit: int) -> list[list[int]]:
    """Group prompts of these lengths: lists of the numbers of those that are decoded together for up to `limit` tokens."""
    groups: dict[tuple, list[int]] = {}
    for row, length in enumerate(lengths):
        # A row that its batch mates would carry on beyond the context, or beyond an edge, is decoded apart.
        crosses = any(length <= edge < length + limit for edge in (*llm.rope_edges, llm.max_positions))
        key: tuple = ("alone", row)
        if not crosses and llm.sharing.equal and not llm.batch_invariant:
            kind = None if llm.sharing.left else length
            key = (kind, *(length > edge for edge in llm.rope_edges))
        groups.setdefault(key, []).append(row)
    return list(groups.values())


class _Drawing:
    """A logits processor of transformers that leaves one token to choose from in each row: that which was drawn."""

    def __init__(self, sampler: Sampler, seeds: list[int]):
        self.sampler, self.seeds, self.position = sampler, seeds, 0

    def __call__(self, input_ids, scores):
        """Scores (B, V), of which only those of the drawn tokens are finite."""
        tokens = self.sampler.draw(scores, self.seeds, [self.position] * len(scores))
        self.position += 1
        return torch.full_like(scores, -math.inf).scatter_(-1, tokens[:, None], 0.0)


class LengthLimits:
    """Ends each beam at its answer's own limit, as if the answer had been searched alone."""

    def __init__(self, limits: list[int], num_beams: int, stop_id: int):
        self.limits = torch.tensor(limits).repeat_interleave(num_beams)
        self.stop_id, self.position = stop_id, 0

    def __call__(self, input_ids, scores):
        """Scores (B * num_beams, V) in which a beam at its limit can only stop, at no cost."""
        ended = (self.limits <= self.position).to(scores.device)
        scores = scores.masked_fill(ended[:, None], -math.inf)
        scores[ended, self.stop_id] = 0.0
        self.position += 1
        return scores


def _cut(row: list[int], stop_ids) -> Answer:
    for index, token in enumerate(row):
        if token in stop_ids:
            return Answer(tuple(row[:index]), "stop")
    return Answer(tuple(row), "length")
