"""A frozen encoder, a trained connector and a frozen LLM as one model; recipes may add encoders, each with a connector.

What its forward gives to a loss is in `auralign.models.views`; the training step that calls it is `auralign.train.step`.
One module, as training, decoding and published models must embed and pack sequences by the same code.

Axes: B batch, T speech frames, U text positions, N positions of a pack, D width, V vocabulary.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING

import torch
from torch import nn

from auralign.layout import END, FIRST, MAIN, STUDENT, TEACHER
from auralign.losses import TopK
from auralign.losses.chunks import rows_of
from auralign.losses.cross_entropy import MAX_LOGITS
from auralign.models.books import Book
from auralign.models.llm import INPUT, LLM, Answer, Decoding, Sampling
from auralign.models.sending import send
from auralign.models.views import Hidden, Named, Pack, ViewOutput
from auralign.render import Piece, Rendered

if TYPE_CHECKING:
    from auralign.models.encoders import SpeechEncoder

Frames = Mapping[str, tuple[torch.Tensor, torch.Tensor]]  # by branch: frames (B, T, D) and lengths (B,)


class Branch(nn.Module):
    """An encoder and its connector."""

    def __init__(self, encoder: nn.Module, connector: nn.Module):
        super().__init__()
        self.encoder, self.connector = encoder, connector


class SpeechLLM(nn.Module):
    """The parts of the model, and the code that builds its sequences.

    Arguments
    ---------
    encoder : torch.nn.Module
        Frozen; waveforms to frames (B, T, D_encoder) and lengths (B,).
    connector : auralign.models.connectors.Connector
    llm : auralign.models.llm.LLM
    branches : dict of str to Branch, optional
        Further encoders with connectors, by the name in `Speech.branch`; default none.
    heads : dict of str to torch.nn.Module, optional
        Modules that are trained with the connector and used only by the loss; default none.
    books : dict of str to auralign.models.books.Book, optional
        Tokens that the LLM does not have, by the name in `Code.book`; default none.
    frozen : sequence of str, optional
        Names of the `parts` that an earlier stage trained and this one does not; default none.

    Raises ValueError if `frozen` names a part that the model does not have.
    """

    encoder: "SpeechEncoder"

    def __init__(
        self,
        encoder: nn.Module,
        connector: nn.Module,
        llm: LLM,
        *,
        branches: Mapping[str, Branch] | None = None,
        heads: Mapping[str, nn.Module] | None = None,
        books: Mapping[str, Book] | None = None,
        frozen=(),
    ):
        super().__init__()
        for name in map(str, (*(branches or ()), *(heads or ()), *(books or ()))):
            if not name.isidentifier() or hasattr(nn.ModuleDict(), name):
                raise ValueError(
                    f"a branch, head or book is named {name!r}; use letters, digits and underscores, such as voice"
                )
        self.encoder, self.connector, self.llm = encoder, connector, llm
        self.branches, self.heads = nn.ModuleDict(branches or {}), nn.ModuleDict(heads or {})
        self.books = nn.ModuleDict(books or {})
        if MAIN in self.branches:
            raise ValueError(
                f"branches: {MAIN!r} is that of `encoder` and `connector`; give this one another name"
            )
        unknown = [name for name in frozen if name not in self.parts]
        if unknown:
            raise ValueError(f"frozen: no part {unknown[0]!r}; this model has {', '.join(self.parts)}")
        self.frozen = tuple(frozen)
        self.other_builds: dict[str, dict] = {}  # of `auralign.models.builds.compare_bases`
        for name in frozen:
            self.parts[name].requires_grad_(False).eval()

    @property
    def encoders(self) -> "dict[str, SpeechEncoder]":
        """The encoders by branch, the main one first."""
        return {MAIN: self.encoder, **{name: branch.encoder for name, branch in self.branches.items()}}

    @property
    def connectors(self) -> dict[str, nn.Module]:
        """The connectors by branch, the main one first."""
        return {MAIN: self.connector, **{name: branch.connector for name, branch in self.branches.items()}}

    @property
    def parts(self) -> nn.ModuleDict:
        """Everything except the encoders and the LLM's own weights, by name: the content of a published model."""
        parts = {"connector": self.connector, "lora": self.llm.lora, "llm": self.llm.trained}
        parts |= {f"{name}_connector": branch.connector for name, branch in self.branches.items()}
        parts |= {f"{name}_head": head for name, head in self.heads.items()}
        parts |= {f"{name}_book": book for name, book in self.books.items()}
        return nn.ModuleDict({name: part for name, part in parts.items() if part is not None})

    @property
    def trained_parts(self) -> nn.ModuleDict:
        """The parts that training changes and checkpoints contain, by name."""
        return nn.ModuleDict({name: part for name, part in self.parts.items() if name not in self.frozen})

    @property
    def frozen_parts(self) -> nn.ModuleDict:
        """The parts that an earlier stage trained and this one does not change, by name."""
        return nn.ModuleDict({name: self.parts[name] for name in self.frozen})

    def train(self, mode: bool = True) -> "SpeechLLM":
        """Set the mode of all parts except frozen ones, which stay in eval mode."""
        super().train(mode)
        self.frozen_parts.eval()
        return self

    def encode(self, waveforms) -> Frames:
        """Frames of waveforms by branch, on the LLM's device."""
        return on_device(
            {name: encoder(waveforms) for name, encoder in self.encoders.items()}, self.llm.device
        )

    def num_embeddings(
        self, piece: Piece, num_frames: Mapping[str, int], *, use_token_count: bool = False
    ) -> int:
        """The number of embeddings that the connector will return for one span of speech.

        Arguments
        ---------
        piece : Piece
            The span of speech, a piece of a rendered view.
        num_frames : dict of str to int
            Encoder frames of the utterance, by branch.
        use_token_count : bool
            True in training: a connector that counts tokens returns exactly `piece.num_read` embeddings.
        """
        connector = self.connectors[piece.branch]
        if use_token_count and connector.counts_tokens:
            return piece.num_read
        start, end = _cut(piece.span, num_frames[piece.branch])
        return int(connector.num_embeddings(end - start))

    def check_branches(self, view: Rendered) -> None:
        """Raise ValueError if a view uses a branch that the model does not have."""
        for piece in view.speech:
            if piece.branch not in self.connectors:
                raise ValueError(
                    f"the method uses the branch {piece.branch!r}; the recipe has {', '.join(self.connectors)}: add "
                    "it to `branches`"
                )

    def check_codes(self, book: str, codes: Iterable[int | str]) -> list[int]:
        """The ids of tokens of a book. Raises ValueError if the model does not have the book, or the book one of the tokens."""
        if book not in self.books:
            raise ValueError(
                f"the method uses the book {book!r}; the recipe has {', '.join(self.books) or 'none'}: add it to `books`"
            )
        try:
            return self.books[book].find(codes)
        except ValueError as error:
            raise ValueError(f"the book {book!r} of the recipe has {error}: add it to `books`") from error

    def listen(
        self,
        views: list[Rendered],
        frames: Frames,
        *,
        rows: list[list[int]] | None = None,
        use_token_count: bool = False,
    ):
        """Speech embeddings for every span of speech in rendered views.

        Arguments
        ---------
        views : list of B Rendered
        frames : dict of str to (torch.Tensor, torch.Tensor)
            By branch, frames (B, T, D) and lengths (B,), in frames.
        rows : list of B lists of int, optional
            For each span of each view, the row of the frames that it hears; default: those of the view's own number.
        use_token_count : bool
            True in training: connectors get the token count of the text of each span.

        Returns
        -------
        speech : list of B lists of torch.Tensor
            One (U, D_llm) for each span of speech.
        extras : dict of str to torch.Tensor
            What the connector of the main branch returns beside its embeddings, one row per span of its speech in order.

        Raises ValueError if a view names a branch that the model does not have.
        """
        for view in views:
            self.check_branches(view)
        spans = [
            (row, index, piece) for row, view in enumerate(views) for index, piece in enumerate(view.speech)
        ]
        speech, extras = {}, {}
        for branch, connector in self.connectors.items():
            chosen = [(row, index, piece) for row, index, piece in spans if piece.branch == branch]
            if not chosen:
                continue
            heard = [(row if rows is None else rows[row][index], piece.span) for row, index, piece in chosen]
            cut, num_frames = _cut_frames(*frames[branch], heard)
            num_tokens = expected = None
            if use_token_count:
                num_tokens = _sent([piece.num_read for _, _, piece in chosen], cut.device)
            if cut.is_cuda and connector.counts_tokens and use_token_count:
                expected = [piece.num_read for _, _, piece in chosen]
            elif cut.is_cuda and not connector.counts_tokens:
                expected = [int(connector.num_embeddings(number)) for number in num_frames]
            embeddings, lengths, found = connector(cut, _sent(num_frames, cut.device), num_tokens)
            lengths = _as_integers(lengths, expected)
            for (row, index, _), one, length in zip(chosen, embeddings, lengths, strict=True):
                speech[row, index] = one[:length]
            if num_tokens is None and getattr(connector, "mixes_tokens", False):
                keys = [(row, index) for row, index, _ in chosen]
                mixed = self.llm.mix_tokens(torch.cat([speech[key] for key in keys]))
                speech.update(zip(keys, mixed.split(lengths), strict=True))
            if branch == MAIN:
                extras = found if num_tokens is None else {**found, "num_tokens": num_tokens}
        return [
            [speech[row, index] for index in range(len(view.speech))] for row, view in enumerate(views)
        ], extras

    def embed(self, rendered: Rendered, speech=None) -> torch.Tensor:
        """Embeddings (N, D) of one rendered view.

        Arguments
        ---------
        rendered : Rendered
        speech : torch.Tensor or list of torch.Tensor, optional
            Speech embeddings (U, D): one tensor for all spans of speech, or one for each.

        Raises ValueError if the view has speech and none is given.
        """
        parts, embeddings = [], _for_each(rendered, speech)
        for piece in rendered.pieces:
            if piece.is_speech:
                parts.append(next(embeddings).to(parts[0].dtype))
            elif piece.book:
                parts.append(self._embed_codes([piece])[piece.book].to(parts[0].dtype))
            else:
                parts.append(self.llm.embed(piece.ids))
        return torch.cat(parts)

    def _embed_codes(self, pieces: Iterable[Piece]) -> dict[str, torch.Tensor]:
        """The embeddings (U, D) of the tokens of each book, of all pieces in order."""
        codes: dict[str, list[int]] = {}
        for piece in pieces:
            if piece.book:
                codes.setdefault(piece.book, []).extend(self.check_codes(piece.book, piece.codes))
        return {book: self.books[book].embed(_sent(ids, self.llm.device)) for book, ids in codes.items()}

    def pack(self, views: list[Rendered], speech: list) -> Pack:
        """Lay rendered views end to end, each with its own speech; see `embed`. Ids and positions are sent in one copy."""
        pieces = [piece for view in views for piece in view.pieces]
        text = self.llm.embed([token for piece in pieces if not piece.book for token in piece.ids or ()])
        of_books = {book: iter(rows.to(text.dtype)) for book, rows in self._embed_codes(pieces).items()}
        embeddings, sizes, ids, positions, start, num_text = [], [], [], [], 0, 0
        tagged: dict[str, list[int]] = {}
        coded: dict[str, list[Piece]] = {}
        unpredicted = set()
        for rendered, of_view in zip(views, speech, strict=True):
            position, of_spans = start, _for_each(rendered, of_view)
            for piece in rendered.pieces:
                if piece.ids is None:
                    embeddings.append(next(of_spans).to(text.dtype))
                    ids += [-1] * len(embeddings[-1])
                elif piece.book:
                    embeddings.append(torch.stack(list(islice(of_books[piece.book], len(piece.codes)))))
                    ids += piece.ids
                    coded.setdefault(piece.tag, []).append(piece)
                else:
                    embeddings.append(text[num_text : num_text + len(piece.ids)])
                    ids += piece.ids
                    num_text += len(piece.ids)
                end = position + len(embeddings[-1])
                tagged.setdefault(piece.tag, []).extend(range(position, end))
                if position == start < end:
                    unpredicted.add(piece.tag)
                if piece.num_end is not None:
                    tagged.setdefault(FIRST, []).append(position)
                    tagged.setdefault(END, []).extend(range(end - piece.num_end, end))
                position = end
            positions += range(position - start)
            sizes.append(position - start)
            start = position
        parts = [positions, ids, *tagged.values()]
        sent = _sent([number for part in parts for number in part], self.llm.device)
        of_positions, of_ids, *of_tags = sent.split([len(part) for part in parts])
        return Pack(
            torch.cat(embeddings),
            of_positions,
            of_ids,
            dict(zip(tagged, of_tags, strict=True)),
            tuple(sizes),
            frozenset(unpredicted),
            {tag: tuple(pieces) for tag, pieces in coded.items()},
        )

    @torch.no_grad()
    def pack_text(self, views: list[Rendered]) -> Pack:
        """`pack` for the teacher: views without speech, embedded by the original LLM, without a gradient."""
        with self.llm.original():
            return self.pack(views, [None] * len(views))

    def forward(self, pack: Pack, layers=(), extras=None, choices=(), *, run_llm: bool = True) -> ViewOutput:
        """The student's view: the LLM, with its adapters, over a pack.

        Arguments
        ---------
        pack : Pack
        layers : sequence of int or float
            Layers, by number or depth, whose hidden states are kept in addition to the input and the last one; default none.
        extras : dict of str to torch.Tensor, optional
            The extras that `listen` returned; default none.
        choices : sequence of Choice
            One choice for each sequence of the pack; default none.
        run_llm : bool
            False: the output has only layer 0, the embeddings. Default True.
        """
        hidden = {INPUT: pack.embeddings}
        if run_llm:
            with self.llm.adapting(pack.is_speech[None]), self.llm.packed(pack.sizes):
                hidden = self.llm.run(pack.embeddings, pack.positions, layers)
        return ViewOutput(
            pack,
            Hidden(hidden, STUDENT),
            self.llm,
            Named(extras or {}, "use a connector that gives it, such as one that counts tokens"),
            Named(
                self.heads.items(),
                "name it, with its number of outputs, in the method's needs: Needs(heads={...})",
            ),
            tuple(choices),
            books=self.books,
        )

    @torch.no_grad()
    def read(self, pack: Pack, layers=(), *, run_llm: bool = True) -> ViewOutput:
        """The teacher's view: the original LLM, without adapters and without a gradient, over the pack of `pack_text`."""
        hidden = {INPUT: pack.embeddings}
        if run_llm:
            with self.llm.original(), self.llm.packed(pack.sizes):
                hidden = self.llm.run(pack.embeddings, pack.positions, layers)
        return ViewOutput(pack, Hidden(hidden, TEACHER), self.llm, is_original=True)

    def check_fits(self, prompt: Rendered, speech: list[torch.Tensor] | None) -> None:
        """Raise ValueError if a prompt and its speech, a (U, D) for each span, leave no room for an answer, or if the
        connector returned no embedding for a span."""
        sizes = [] if speech is None else [len(part) for part in speech]
        if speech is not None and not all(sizes):
            raise ValueError("the speech is too short for the connector, which returns no embedding for it")
        self.llm.room(prompt.num_ids + sum(sizes))

    @torch.no_grad()
    def answer(
        self,
        prompts: list[Rendered],
        speech: list,
        *,
        decoding: Decoding,
        stop_ids,
        seconds: list[float | None] | None = None,
        sampling: Sampling | None = None,
        streamer=None,
    ) -> list[Answer]:
        """Generate answers to prompts, each with its own speech (see `embed`), or None if it has no speech.

        `seconds` of the utterance that each prompt is about may limit its answer. Without `sampling` the likeliest tokens are
        taken. `streamer`, of transformers, is given the tokens of a single prompt one by one.
        """
        sampling = sampling or Sampling()
        packs = [self.pack([prompt], [of_one]) for prompt, of_one in zip(prompts, speech, strict=True)]
        return self.llm.generate(
            [pack.embeddings for pack in packs],
            is_speech=[pack.is_speech for pack in packs],
            decoding=decoding,
            stop_ids=stop_ids,
            seconds=seconds,
            temperature=sampling.temperature or 0.0,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            seeds=sampling.seeds(len(packs)),
            streamer=streamer,
        )


def on_device(frames: Frames, device) -> Frames:
    """The frames of all branches on a device; their lengths stay in memory, where reading them waits for nothing."""
    return {name: (send(of_one, device), lengths.cpu()) for name, (of_one, lengths) in frames.items()}


def _sent(values: list[int], device: torch.device) -> torch.Tensor:
    """Integers on a device, without waiting for it."""
    return send(torch.tensor(values, dtype=torch.long), device)


def _as_integers(lengths: torch.Tensor, expected: list[int] | None) -> list[int]:
    """Lengths (P,) as integers. On a GPU they are taken to be the expected ones, so that nothing waits for it; it stops with an
    error if they are not."""
    if not lengths.is_cuda or expected is None:
        return lengths.tolist()
    are_equal = (lengths == _sent(expected, lengths.device)).all()
    torch._assert_async(are_equal, "the connector's lengths are not those that its num_embeddings gives")
    return expected


def _for_each(rendered: Rendered, speech) -> Iterator[torch.Tensor]:
    """The embeddings of each span of speech in turn."""
    num_spans = len(rendered.speech)
    if speech is None and num_spans:
        raise ValueError("the view contains speech, but no speech embeddings were given")
    if isinstance(speech, torch.Tensor):
        speech = [speech] * num_spans
    if speech is not None and len(speech) != num_spans:
        raise ValueError(f"the view has {num_spans} spans of speech; embeddings were given for {len(speech)}")
    return iter(speech or ())


def _cut(span: tuple[float, float], num_frames: int) -> tuple[int, int]:
    """Index of the first frame of a span, and of the one after its last: a span has at least one frame if there are any."""
    start, end = (round(share * num_frames) for share in span)
    start = max(0, min(start, num_frames - 1))
    return start, min(max(end, start + 1), num_frames)


def _cut_frames(
    frames: torch.Tensor, lengths: torch.Tensor, spans: list[tuple[int, tuple[float, float]]]
) -> tuple[torch.Tensor, list[int]]:
    """Frames (P, T, D) of P spans, each of a row of frames (B, T, D) with lengths (B,), and the number of each."""
    sizes = lengths.tolist()
    if spans == [(row, (0.0, 1.0)) for row in range(len(frames))]:
        return frames, sizes
    edges = [(row, *_cut(span, sizes[row])) for row, span in spans]
    parts = [frames[row, start:end] for row, start, end in edges]
    return nn.utils.rnn.pad_sequence(parts, batch_first=True), [end - start for _, start, end in edges]


@torch.no_grad()
def score_targets(llm: LLM, teachers: list[Rendered], *, top_k: int, temperature: float) -> TopK:
    """The k largest logits of the original LLM at each target token of rendered teacher views, in order."""
    ids = [token for view in teachers for token in view.ids]
    positions = [position for view in teachers for position in range(view.num_ids)]
    predicting, start = [], 0
    for view in teachers:
        num_target = len(view.pieces[-1].ids) if view.pieces[-1].num_end is not None else 0
        predicting += range(start + view.num_ids - num_target - 1, start + view.num_ids - 1)
        start += view.num_ids
    with llm.original():
        hidden = llm.hidden_states(llm.embed(ids), torch.tensor(positions, device=llm.device))[predicting]
        rows = rows_of(hidden, llm.head, MAX_LOGITS) if predicting else 1
        parts = [TopK.of(llm.head(part), top_k, temperature) for part in hidden.split(rows)]
    return TopK(
        *(torch.cat([getattr(part, name) for part in parts]) for name in ("ids", "logits", "logsumexp")),
        temperature,
    )
