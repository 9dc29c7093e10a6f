"""The text of an answer piece by piece, while the LLM decodes it in another thread."""

import queue
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any

from auralign.models.llm import Answer
from auralign.render import Renderer

REPLACEMENT = "\ufffd"  # what a tokenizer writes for the bytes of half a character


class _Abandoned(Exception):
    """Ends decoding, as the reader of the stream has gone."""


class TokenQueue:
    """A streamer of transformers: a queue of the LLM's tokens. The first call of `put` brings the prompt; None is the end."""

    def __init__(self) -> None:
        self.queue: queue.Queue[int | None] = queue.Queue()
        self.begun = self.abandoned = False

    def put(self, value: Any) -> None:
        """Take the ids of the prompt, or of the next token."""
        if self.abandoned:
            raise _Abandoned
        if self.begun:
            for token in value.flatten().tolist():
                self.queue.put(token)
        self.begun = True

    def end(self) -> None:
        """Mark the end of the answer."""
        self.queue.put(None)


def stream_text(
    renderer: Renderer, decode: Callable[[TokenQueue], Answer], stop_strings: Sequence[str]
) -> Generator[str, None, None]:
    """Yield the text of an answer in pieces, each as soon as it is sure to be part of it.

    Arguments
    ---------
    renderer : Renderer
        Reads the answer: reasoning, special tokens and what follows a stop string are not part of the text.
    decode : callable
        Decodes the answer; it is given the streamer that receives the tokens, and called in a thread. If the stream is closed
        before its end, decoding ends at the next token.
    stop_strings : sequence of str
        The strings at which decoding stops.

    Returns iterator of str: the joined pieces equal `renderer.read(answer.ids, stop_strings=stop_strings).text`.

    Raises what `decode` raises.
    """
    tokens = TokenQueue()
    answers: list[Answer] = []
    errors: list[Exception] = []

    def work() -> None:
        try:
            answers.append(decode(tokens))
        except _Abandoned:
            pass
        except Exception as error:  # raised below, in the reader's thread
            errors.append(error)
        tokens.end()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    said = ""
    try:
        for sure in _sure_texts(renderer, iter(tokens.queue.get, None), stop_strings):
            if sure.startswith(said) and sure != said:
                yield sure[len(said) :]
                said = sure
    finally:
        tokens.abandoned = True
        thread.join()
    if errors:
        raise errors[0]
    text = renderer.read(answers[0].ids, stop_strings=stop_strings).text
    if text != said:
        yield text.removeprefix(said)


def _sure_texts(renderer: Renderer, tokens: Iterator[int], stop_strings: Sequence[str]) -> Iterator[str]:
    """After each token, the text that is sure to begin the answer."""
    ids: list[int] = []
    for token in tokens:
        if token in renderer.stop_ids:
            continue
        ids.append(token)
        text = renderer.read(ids, stop_strings=stop_strings).text.rstrip(REPLACEMENT)
        sure = renderer.reasoning.sure(text)
        held = max((_overlap(sure, string) for string in stop_strings), default=0)
        yield sure[: len(sure) - held].rstrip()


def _overlap(text: str, string: str) -> int:
    """How many characters at the end of a text may be the beginning of a string."""
    return next((size for size in range(len(string) - 1, 0, -1) if text.endswith(string[:size])), 0)
