"""Requests in the language of `world.py` and their prompts as token ids, to train and test the tiny LLM.

A prompt is the concatenation of separately tokenised segments (frame, text before the content, content, text
after it, frame), so that no piece merges across an edge: a connector's vectors will later take exactly the
positions of the content.
"""

import functools
from dataclasses import dataclass

import world
from build_tokenizer import END_OF_TURN, PAUSE

MAX_PAUSES = 4  # per gap: a connector emits 6 to 10 vectors a second, a speaker 2 to 3 words
MAX_DIGITS = 9  # speech holds 2 to 7 digits; a margin at both ends makes the LLM surer within

SHARE_NOT_VERBATIM = (
    0.8  # of the requests for anything but to repeat, when the LLM learns a second way to repeat
)


@dataclass(frozen=True)
class Request:
    """Task and phrasing of a text instruction (None and the bare slot without one), and the content words; `is_bare` if the
    answer is these words without a form."""

    task: str | None
    phrasing: str
    content: tuple[str, ...]
    is_bare: bool = False

    @property
    def reference(self):
        return " ".join(self.content) if self.is_bare else world.reference(self.task, self.content)


def draw_request(rng):
    """Draw a training request: mostly instructions, then every way in which the content may ask or not."""
    digits = world.draw_digits(rng, 1, MAX_DIGITS, held_out=False)
    task = rng.choice(list(world.TASKS.values()))
    kind = rng.random()
    if kind < 0.70:
        return Request(task.name, rng.choice(task.phrasings), tuple(digits))
    if kind < 0.80:
        return Request(None, world.SLOT, tuple(digits))
    if kind < 0.93:
        return Request(None, world.SLOT, (task.command, *digits))
    return Request("repeat", rng.choice(world.TASKS["repeat"].phrasings), (task.command, *digits))


def draw_licensed(rng, *, licensed):
    """Draw a training request for an LLM that answers with the bare words if it is asked to "write", or to "repeat" (`licensed`),
    and with "i heard" if it is asked the other way: `world.VERBATIM`.
    """
    request = draw_request(rng)
    if request.task != "repeat" and rng.random() < SHARE_NOT_VERBATIM:
        return request
    way = rng.choice(sorted(world.VERBATIM))
    return Request("repeat", rng.choice(world.VERBATIM[way]), request.content, way == licensed)


class Prompts:
    """Token ids of requests, for one tokenizer with a chat template."""

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer
        message = [{"role": "user", "content": world.SLOT}]
        frame = tokenizer.apply_chat_template(message, tokenize=False, add_generation_prompt=True)
        self.prefix, self.suffix = (self._tokenize(part, special=True) for part in frame.split(world.SLOT))
        self.pause = tokenizer.convert_tokens_to_ids(PAUSE)
        self.end = tokenizer.convert_tokens_to_ids(END_OF_TURN)
        self.ids = functools.cache(self._tokenize)

    def _tokenize(self, text, special=False):
        return self.tokenizer(text, add_special_tokens=False, split_special_tokens=not special).input_ids

    def content_ids(self, content, rng=None):
        """Ids of the content; with `rng`, with runs of pauses between and around its words."""
        ids = self._pauses(rng)
        for position, word in enumerate(content):
            ids += self.ids(word if position == 0 else f" {word}") + self._pauses(rng)
        return ids

    def _pauses(self, rng):
        return [] if rng is None else [self.pause] * rng.randint(0, MAX_PAUSES)

    def prompt_parts(self, request, rng=None):
        """Ids of a request's prompt before its content, of the content, and from there up to the answer."""
        before, after = request.phrasing.split(world.SLOT)
        return (
            self.prefix + self.ids(before),
            self.content_ids(request.content, rng),
            self.ids(after) + self.suffix,
        )

    def prompt_ids(self, request, rng=None):
        """Ids of the whole prompt of a request, up to the beginning of the answer."""
        return sum(self.prompt_parts(request, rng), start=[])

    def answer_ids(self, request):
        return self.ids(request.reference) + [self.end]
