"""The inputs of a method's loss: for each view of a pack, its tokens by tag and the hidden states that the LLM computed.

Axes: N positions of a pack, M positions under a tag, D width, V vocabulary.
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import accumulate, pairwise

import torch
from torch import nn

from auralign.layout import FIRST, TARGET
from auralign.losses import (
    SEQUENCES,
    Term,
    TopK,
    bucketed_divergence,
    cosine_distance,
    cross_entropy,
    distance,
    divergence,
    naming_loss,
)
from auralign.models.llm import INPUT, LAST, LLM
from auralign.models.sending import send
from auralign.records import Choice
from auralign.render import Piece


@dataclass(frozen=True)
class Pack:
    """Sequences laid end to end.

    Arguments
    ---------
    embeddings : torch.Tensor
        (N, D): token embeddings, with speech embeddings at the positions of speech.
    positions : torch.Tensor
        (N,): position of each embedding in its sequence, from 0.
    ids : torch.Tensor
        (N,): token ids; -1 at positions of speech, -2 at those of a book's tokens.
    tagged : dict of str to torch.Tensor
        For each tag, the positions (M,) in the pack of its tokens. `FIRST` is the first position of each target, also of an
        empty one: the hidden state before it predicts how the answer begins. `END` are the tokens that end a turn.
    sizes : tuple of int
        Positions of each sequence.
    in_memory : dict of str to list of int
        The positions of `tagged`, where reading them waits for no GPU.
    unpredicted : frozenset of str
        The tags of first positions of sequences: the position before is of another sequence, and predicts nothing of this one.
    codes : dict of str to tuple of Piece
        For each tag of a book's tokens, its pieces in order; default none.
    """

    embeddings: torch.Tensor
    positions: torch.Tensor
    ids: torch.Tensor
    tagged: Mapping[str, torch.Tensor]
    sizes: tuple[int, ...]
    in_memory: Mapping[str, list[int]]
    unpredicted: frozenset[str] = frozenset()
    codes: Mapping[str, tuple[Piece, ...]] = field(default_factory=dict)

    @property
    def is_speech(self) -> torch.Tensor:
        """Which positions (N,) are of speech."""
        return self.ids == -1


class Named(dict):
    """Values by name; asking for a missing one raises a ValueError that says how to get it."""

    def __init__(self, values, repair: str):
        super().__init__(values)
        self.repair = repair

    def __missing__(self, name):
        raise ValueError(f"no {name!r} among {', '.join(map(repr, self)) or 'none'}: {self.repair}")


class Hidden(dict):
    """Hidden states (N, D) of one view by layer; asking for others raises a ValueError that names the `needs` to set."""

    def __init__(self, states: Mapping[int | float, torch.Tensor], view: str):
        super().__init__(states)
        self.view = view

    def __missing__(self, layer):
        if LAST not in self:
            raise ValueError(
                f"layer {layer}: the LLM is not run for the {self.view}'s view, which has only layer 0; add {self.view!r} to "
                "llm_views in the method's needs: Needs(llm_views=(...))"
            )
        raise ValueError(
            f"layer {layer} was not kept; name it in the method's needs: Needs(layers=({layer},))"
        )


@dataclass(frozen=True)
class ViewOutput:
    """One view of a pack, with the hidden states that the LLM computed for it. Losses read it by tag and layer.

    Layer `INPUT`, 0, is the input of the LLM; `LAST`, -1, is the input of the LM head; other layers are present if the
    method's `needs` name them.

    Arguments
    ---------
    pack : Pack
    hidden : Hidden
        Hidden states (N, D) by layer.
    llm : LLM
    extras : dict of str to torch.Tensor
        Student only: the extras that the main branch's connector returns, one row per span of its speech; with
        `Needs(num_tokens=True)` also `num_tokens`, the token counts that the connector was given.
    heads : dict of str to torch.nn.Module
        Student only: the trained heads.
    choices : tuple of Choice
        Student only: the method's choices, one per sequence.
    is_original : bool
        True for the teacher: the original LM head reads its hidden states.
    books : dict of str to Book
        Student only: the recipe's books.
    """

    pack: Pack
    hidden: Hidden
    llm: LLM
    extras: Mapping[str, torch.Tensor] = field(default_factory=dict)
    heads: Mapping[str, nn.Module] = field(default_factory=dict)
    choices: tuple[Choice, ...] = ()
    is_original: bool = False
    books: Mapping[str, nn.Module] = field(default_factory=dict)

    def positions(self, tag: str) -> torch.Tensor:
        """Positions (M,) in the pack of the tokens under a tag; empty if no view has the tag."""
        return self.pack.tagged.get(tag, self.pack.positions.new_zeros(0))

    places = positions  # the earlier name, kept for methods that use it

    def labels(self, tag: str) -> torch.Tensor:
        """Token ids (M,) under a tag."""
        return self.pack.ids[self.positions(tag)]

    def at(self, tag: str, layer: int | float = LAST) -> torch.Tensor:
        """Hidden states (M, D) at the tokens under a tag."""
        return self.hidden[layer][self.positions(tag)]

    def predicting(self, tag: str, layer: int | float = LAST) -> torch.Tensor:
        """Hidden states (M, D) at the positions that predict the tokens under a tag: each one before its token.

        Raises ValueError if a sequence begins with a token under the tag: nothing predicts it.
        """
        if tag in self.pack.unpredicted:
            raise ValueError(
                f"a sequence begins with the tag {tag!r}: nothing predicts its first token, as the position before it is "
                "of another sequence; use the tags of what follows"
            )
        return self.hidden[layer][self.positions(tag) - 1]

    def each(self, tag: str, layer: int | float = LAST) -> list[torch.Tensor]:
        """`at`, sequence by sequence: one (m, D) for each."""
        return list(self.at(tag, layer).split(self._counts(tag)))

    def _counts(self, tag: str) -> list[int]:
        """The number of tokens under a tag in each sequence."""
        positions = self.pack.in_memory.get(tag, [])
        ends = [bisect_left(positions, end) for end in accumulate(self.pack.sizes, initial=0)]
        return [end - start for start, end in pairwise(ends)]

    def cross_entropy(self, tag: str) -> Term:
        """Negative log-likelihood of the tokens under a tag; the LM head is applied at these positions only, or the book's own
        head if they are tokens of a book.

        Raises ValueError if the book predicts nothing, or the tag has tokens of a book and others.
        """
        if tag in self.pack.codes:
            return self._of_book(tag)
        return replace(
            cross_entropy(self.predicting(tag), self.labels(tag), self.llm.head), unit=self.unit(tag)
        )

    def _of_book(self, tag: str) -> Term:
        pieces = self.pack.codes[tag]
        codes = [code for piece in pieces for code in piece.codes]
        books = {piece.book for piece in pieces}
        if len(books) > 1 or len(codes) != len(self.positions(tag)):
            raise ValueError(
                f"the tag {tag!r} has tokens of the book {' and of '.join(map(repr, sorted(books)))}"
                f"{'' if len(books) > 1 else ' and others'}; give them tags of their own: Code(..., tag=NAME)"
            )
        book = self.books[books.pop()]
        ids = send(torch.tensor(book.find(codes)), self.pack.ids.device)
        counts = self._counts(tag)
        of_sequences = zip(self.predicting(tag).split(counts), ids.split(counts), strict=True)
        nats = [book.nll(hidden, own) for hidden, own in of_sequences if len(own)]
        return Term(torch.cat(nats).sum(), len(codes), unit=self.unit(tag))

    def divergence(
        self,
        teacher: "ViewOutput",
        tag: str,
        *,
        temperature: float = 1.0,
        layer: int | float = LAST,
        at_tokens: bool = False,
    ) -> Term:
        """KL from the teacher's distributions to this view's, at the positions that predict the tokens under a tag.

        Arguments
        ---------
        teacher : ViewOutput or TopK
            A TopK (`Needs(top_k=...)`) covers the target's tokens, at its own temperature and the last layer only.
        tag : str
        temperature : float
            Divides both logits; default 1.0.
        layer : int or float
            The LLM's own final norm and head are applied to a layer below the last; default the last.
        at_tokens : bool
            Compare at the tokens themselves, what the LLM expects after having read each; default False. For what is put in,
            such as speech: the position before its first token is the same in both views, and teaches nothing.

        Raises ValueError if a TopK does not cover the tag, layer or positions, or temperature, and for `FIRST` with `at_tokens`.
        """
        if isinstance(teacher, TopK):
            if at_tokens:
                raise ValueError(
                    f"divergence at the tokens under {tag!r}: the teacher was cached at the positions that predict the "
                    "target; use Needs(teacher=True)"
                )
            return replace(self._from_kept(teacher, tag, temperature, layer), unit=self.unit(tag))
        if at_tokens:
            states = self._pairs(teacher, tag, layer)
        else:
            states = self.predicting(tag, layer), teacher.predicting(tag, layer)
        heads = {"head": self._read_off(layer), "teacher_head": teacher._read_off(layer)}
        return replace(divergence(*states, **heads, temperature=temperature), unit=self.unit(tag))

    def distance(
        self, teacher: "ViewOutput", tag: str, *, layer: int | float = LAST, squared: bool = False
    ) -> Term:
        """Euclidean distance, or its square, of the hidden states at the tokens under a tag, pair by pair."""
        term = distance(*self._pairs(teacher, tag, layer), squared=squared)
        return replace(term, unit=self.unit(tag))

    def cosine_distance(self, teacher: "ViewOutput", tag: str, *, layer: int | float = LAST) -> Term:
        """One minus the cosine of the hidden states at the tokens under a tag, pair by pair."""
        return replace(cosine_distance(*self._pairs(teacher, tag, layer)), unit=self.unit(tag))

    def naming_loss(self, teacher: "ViewOutput", tag: str, *, num_rivals: int | None = None) -> Term:
        """Negative log-likelihood of the teacher's tokens under a tag, the one nearest to this view's embedding at the same
        place being the likeliest; see `auralign.losses.naming_loss`."""
        rivals = self.llm.prototypes(original=False).first(num_rivals or self.llm.vocabulary_size)
        named = naming_loss(*self._pairs(teacher, tag, INPUT), teacher.labels(tag), rivals)
        return replace(named, unit=self.unit(tag))

    def _pairs(self, teacher: "ViewOutput", tag: str, layer: int | float):
        if tag == FIRST:
            raise ValueError(
                f"{FIRST!r} is the position at which even an empty target begins: compare `predicting({FIRST!r})` of both views"
            )
        return self.at(tag, layer), teacher.at(tag, layer)

    def unit(self, tag: str) -> str:
        """The unit by which a term at the tokens under a tag is divided: each sequence has one `FIRST`."""
        return SEQUENCES if tag == FIRST else tag

    def _read_off(self, layer: int | float) -> Callable:
        """From hidden states (m, D) of a layer to logits (m, V)."""
        is_last = layer == LAST or self.llm.number_of(layer) == self.llm.number_of(LAST)
        head = self.llm.head if is_last else self.llm.lens

        def original_head(hidden):
            with self.llm.original():
                return head(hidden)

        return original_head if self.is_original else head

    def _from_kept(self, teacher: TopK, tag: str, temperature: float, layer) -> Term:
        kept, wanted = (self.pack.in_memory.get(name, []) for name in (TARGET, tag))
        rows = {position: row for row, position in enumerate(kept)}
        if layer != LAST or temperature != teacher.temperature or not rows.keys() >= set(wanted):
            raise ValueError(
                f"divergence at {tag!r}, layer {layer}, temperature {temperature}: the teacher was cached at the target's "
                f"tokens, at the last layer and temperature {teacher.temperature}; use Needs(teacher=True)"
            )
        if wanted != kept:
            chosen = torch.tensor([rows[position] for position in wanted], dtype=torch.long)
            teacher = teacher[send(chosen, teacher.ids.device)]
        return bucketed_divergence(self.predicting(tag), teacher, self.llm.head)
