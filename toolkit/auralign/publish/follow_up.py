"""How well a model remembers what it heard: a written question after speech, beside the same after the speech's text."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from auralign.layout import SLOT

if TYPE_CHECKING:
    from auralign.publish.pretrained import PretrainedModel


@dataclass(frozen=True)
class FollowUps:
    """Answers to two turns each, of conversations that begin with speech, and of those that begin with its text.

    Arguments
    ---------
    spoken, written : tuple of (str, str)
        The answers to the first and to the second turn of each conversation; both second turns are written.
    """

    spoken: tuple[tuple[str, str], ...]
    written: tuple[tuple[str, str], ...]

    @property
    def first(self) -> float:
        """The share of conversations in which speech is answered as its text is, word for word."""
        return _share([one[0] == other[0] for one, other in zip(self.spoken, self.written, strict=True)])

    @property
    def second(self) -> float:
        """The share in which the follow-up is answered alike."""
        return _share([one[1] == other[1] for one, other in zip(self.spoken, self.written, strict=True)])

    @property
    def chance(self) -> float:
        """The share in which the follow-up is answered as after the text of the next conversation: what `second` is by chance."""
        others = (*self.written[1:], *self.written[:1])
        return _share([one[1] == other[1] for one, other in zip(self.spoken, others, strict=True)])

    def __str__(self) -> str:
        return (
            f"{len(self.spoken)} conversations: speech is answered as its text in {self.first:.2f}, the follow-up in "
            f"{self.second:.2f} (as after another text: {self.chance:.2f})"
        )


def compare_follow_ups(
    model: "PretrainedModel",
    pairs: Iterable[tuple[Any, str]],
    *,
    follow_up: str,
    prompt: str | None = None,
    **options: Any,
) -> FollowUps:
    """Ask a written question after speech, and after its text.

    Arguments
    ---------
    model : PretrainedModel
    pairs : iterable of (speech, text)
        Speech in any form that `PretrainedModel.answer` takes, and what is said in it.
    follow_up : str
        The user's second turn, such as "Repeat what I said first."
    prompt : str, optional
        Words of the first turn; `{speech}` marks the position of the speech or its text. Default none.
    options
        As for `PretrainedModel.answer`; greedy by default.

    Returns FollowUps. Raises ValueError if there are no pairs, and as of `Conversation.say`.
    """
    if prompt is not None and SLOT not in prompt:
        prompt = f"{SLOT}\n{prompt}"
    spoken, written = [], []
    for speech, text in pairs:
        conversation = model.chat()
        first = conversation.say(speech, prompt, **options)
        spoken.append((first, conversation.say(None, follow_up, **options)))
        conversation = model.chat()
        first = conversation.say(None, text if prompt is None else prompt.replace(SLOT, text), **options)
        written.append((first, conversation.say(None, follow_up, **options)))
    if not spoken:
        raise ValueError("no pairs of speech and text are given; give at least one")
    return FollowUps(tuple(spoken), tuple(written))


def _share(equal: list[bool]) -> float:
    return sum(equal) / len(equal)
