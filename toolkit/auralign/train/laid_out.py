"""Rendered examples, kept compactly from the first time that they are used: a later epoch lays out and tokenises nothing.

>>> from auralign.render import Piece, Rendered
>>> kept = LaidOut(max_bytes=1_000)
>>> kept.add(7, Choice("asr"), {"student": Rendered((Piece("turn", (5, 6)), Piece("speech", None, num_read=3)))})
>>> kept.get(7)[1]["student"].num_ids, kept.get(8)
(2, None)

An example takes four bytes a token, and little beside: what its pieces are, and its choice, are shared by examples in which
they are equal.
"""

from array import array
from collections.abc import Hashable
from dataclasses import replace

from auralign.records import Choice
from auralign.render import Piece, Rendered

MAX_BYTES = 2**29
OVERHEAD = 300  # bytes that Python needs for an entry beside its tokens
OF_ANOTHER = 400  # and for a span of another utterance's speech, whose form is shared by no other example


class LaidOut:
    """Choices and views of examples, by the number of the example.

    Arguments
    ---------
    max_bytes : int
        Examples beyond these are not kept, but laid out each time; default 2^29, 0.5 GB, about 700,000 examples of 100 tokens.
    """

    def __init__(self, *, max_bytes: int = MAX_BYTES):
        self._room = max_bytes
        self._kept: dict[int, tuple[Choice, tuple, bytes]] = {}
        self._shared: dict[Hashable, object] = {}

    def add(self, example: int, choice: Choice, views: dict[str, Rendered]) -> None:
        """Keep an example, if there is room."""
        pieces = [piece for view in views.values() for piece in view.pieces]
        numbers = array("i", [len(piece.ids or ()) for piece in pieces])
        numbers.extend(token for piece in pieces for token in piece.ids or ())
        size = (
            len(numbers) * numbers.itemsize + OVERHEAD + OF_ANOTHER * sum(bool(piece.of) for piece in pieces)
        )
        if example in self._kept or size > self._room:
            return
        self._room -= size
        forms = tuple((name, tuple(map(self._form, view.pieces))) for name, view in views.items())
        self._kept[example] = (
            self._share(repr(choice), choice),
            self._share(forms, forms),
            numbers.tobytes(),
        )

    def get(self, example: int) -> tuple[Choice, dict[str, Rendered]] | None:
        """The choice of an example and its views by name; None if it is not kept."""
        if example not in self._kept:
            return None
        choice, forms, packed = self._kept[example]
        numbers = array("i")
        numbers.frombytes(packed)
        start = sum(len(of_view) for _, of_view in forms)
        counts, ids, views = iter(numbers[:start]), numbers.tolist(), {}
        for name, of_view in forms:
            pieces = []
            for form in of_view:
                end = start + next(counts)
                pieces.append(form if form.is_speech else replace(form, ids=tuple(ids[start:end])))
                start = end
            views[name] = Rendered(tuple(pieces))
        return choice, views

    def _form(self, piece: Piece) -> Piece:
        """A piece without its ids."""
        form = piece if piece.is_speech else replace(piece, ids=())
        return self._share(form, form)

    def _share(self, key: Hashable, value):
        return self._shared.setdefault(key, value)
