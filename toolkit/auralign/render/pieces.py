"""What a view is rendered to: runs of token ids, and positions for the embeddings of speech."""

from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Piece:
    """A run of token ids with one tag, or a position that embeddings of speech fill.

    Arguments
    ---------
    tag : str
        The tag of all tokens of the piece, by which losses select them.
    ids : tuple of int, or None
        Token ids; None for speech, whose embeddings replace the piece.
    branch : str
        The encoder branch of speech; default "", the only one.
    num_end : int, optional
        Of a target: how many of its last ids end the turn. None for all other pieces.
    span : tuple of float
        Begin and end of speech as shares of the utterance; default (0.0, 1.0), all of it.
    num_read : int
        Of speech: the number of ids of its text; default 0.
    of : str
        Of speech: whose it is, the id of one of the utterance's others; default "", the utterance's own.
    """

    tag: str
    ids: tuple[int, ...] | None
    branch: str = ""
    num_end: int | None = None
    span: tuple[float, float] = (0.0, 1.0)
    num_read: int = 0
    of: str = ""

    @property
    def is_speech(self) -> bool:
        return self.ids is None


@dataclass(frozen=True)
class Rendered:
    """A view as the model reads it, piece by piece. The chat template's own pieces carry the tag `TURN`."""

    pieces: tuple[Piece, ...]

    @property
    def speech(self) -> tuple[Piece, ...]:
        """The pieces of speech in order."""
        return tuple(piece for piece in self.pieces if piece.is_speech)

    @cached_property
    def num_ids(self) -> int:
        """The number of token ids; speech is not counted."""
        return sum(len(piece.ids) for piece in self.pieces if piece.ids is not None)

    @property
    def target_ids(self) -> tuple[int, ...]:
        """The ids of the target with its end of turn; () if the view has none."""
        return self.pieces[-1].ids or () if self._has_target else ()

    @property
    def before_target(self) -> "Rendered":
        """The prompt: equal to the rendering of `View.before_target()`."""
        return Rendered(self.pieces[:-1]) if self._has_target else self

    @property
    def _has_target(self) -> bool:
        return bool(self.pieces) and self.pieces[-1].num_end is not None

    @property
    def ids(self) -> tuple[int, ...]:
        """All ids in order. Raises ValueError if the view contains speech, which has no ids."""
        if self.speech:
            raise ValueError("this view contains speech; call read() on it before asking for its ids")
        return tuple(token for piece in self.pieces if piece.ids is not None for token in piece.ids)
