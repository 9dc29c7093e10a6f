"""A frozen encoder, a connector and a frozen LLM as one model that hears.

Axes: B batch, T speech frames, U text positions, N positions of a pack, D width, V vocabulary.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import nn

from auralign.losses import Term, cross_entropy, divergence
from auralign.models.llm import LAST, LLM, Answer, Decoding
from auralign.render import Rendered

FIRST, END = "first", "end"


@dataclass(frozen=True)
class Pack:
    """Sequences laid end to end.

    Arguments
    ---------
    embeddings : torch.Tensor
        (N, D), speech already in its places.
    positions : torch.Tensor
        (N,): restart at 0 with every sequence.
    ids : torch.Tensor
        (N,): token ids; -1 where speech stands.
    tagged : dict of str to torch.Tensor
        For each tag, the positions (in the pack) of its tokens. `FIRST` is the first position of each target, also where the
        target is empty: the hidden state before it predicts how the answer begins. `END` are those that end a turn.
    sizes : tuple of int
        Positions of each sequence.
    """

    embeddings: torch.Tensor
    positions: torch.Tensor
    ids: torch.Tensor
    tagged: Mapping[str, torch.Tensor]
    sizes: tuple[int, ...]


@dataclass(frozen=True)
class ViewOutput:
    """What the LLM computed for one view of a pack; losses read it by tag, and by layer where the method `needs` it.

    Layer `INPUT`, 0, is what is put into the LLM, `LAST`, -1, what the head reads. `extras` are the connector's.
    """

    pack: Pack
    hidden: Mapping[int, torch.Tensor]
    llm: LLM
    extras: Mapping[str, torch.Tensor] = field(default_factory=dict)

    def places(self, tag: str) -> torch.Tensor:
        """Positions (M,) in the pack of the tokens under a tag."""
        return self.pack.tagged.get(tag, self.pack.positions.new_zeros(0))

    def labels(self, tag: str) -> torch.Tensor:
        """Token ids (M,) under a tag."""
        return self.pack.ids[self.places(tag)]

    def at(self, tag: str, layer: int = LAST) -> torch.Tensor:
        """Hidden states (M, D) at the tokens under a tag."""
        return self.hidden[layer][self.places(tag)]

    def predicting(self, tag: str, layer: int = LAST) -> torch.Tensor:
        """Hidden states (M, D) at the positions that predict the tokens under a tag: each one before its token."""
        return self.hidden[layer][self.places(tag) - 1]

    def each(self, tag: str, layer: int = LAST) -> list[torch.Tensor]:
        """`at`, sequence by sequence: hidden states (m, D) of each."""
        ends = torch.tensor(self.pack.sizes).cumsum(0)
        counts = torch.searchsorted(self.places(tag).cpu(), ends).diff(prepend=ends.new_zeros(1))
        return list(self.at(tag, layer).split(counts.tolist()))

    def cross_entropy(self, tag: str) -> Term:
        """Negative log-likelihood of the tokens under a tag; the LM head sees these positions only."""
        return replace(cross_entropy(self.predicting(tag), self.labels(tag), self.llm.head), unit=tag)

    def divergence(self, teacher: "ViewOutput", tag: str, *, temperature: float = 1.0) -> Term:
        """KL from the teacher's prediction of the tokens under a tag to this view's."""
        term = divergence(
            self.predicting(tag), teacher.predicting(tag), self.llm.head, temperature=temperature
        )
        return replace(term, unit=tag)


class SpeechLLM(nn.Module):
    """Holds the three parts and puts sequences together; trained are the connector and, where it has them, the LLM's LoRA.

    Arguments
    ---------
    encoder : torch.nn.Module
        Frozen; waveforms to frames (B, T, D_encoder) and lengths (B,).
    connector : auralign.models.connectors.Connector
    llm : auralign.models.llm.LLM
    """

    def __init__(self, encoder: nn.Module, connector: nn.Module, llm: LLM):
        super().__init__()
        self.encoder, self.connector, self.llm = encoder, connector, llm

    @property
    def trained_parts(self) -> nn.ModuleDict:
        """What training changes and checkpoints hold, by name."""
        parts = {"connector": self.connector, "lora": self.llm.lora}
        return nn.ModuleDict({name: part for name, part in parts.items() if part is not None})

    def hear(self, frames: torch.Tensor, lengths: torch.Tensor) -> list[torch.Tensor]:
        """Embeddings (U, D_llm) of each utterance, from its frames (B, T, D_encoder) and lengths (B,)."""
        return self.listen(frames, lengths)[0]

    def listen(self, frames: torch.Tensor, lengths: torch.Tensor, num_tokens: torch.Tensor | None = None):
        """`hear`, and the connector's extras. `num_tokens` (B,), in training, are those of the text that was said."""
        embeddings, lengths, extras = self.connector(frames, lengths, num_tokens)
        return [row[:length] for row, length in zip(embeddings, lengths.tolist(), strict=True)], extras

    def embed(self, rendered: Rendered, speech: torch.Tensor | None = None) -> torch.Tensor:
        """Embeddings (N, D) of one rendered view, with `speech` (U, D) in the place of its speech.

        Raises ValueError where the view has speech and none is given.
        """
        parts = []
        for piece in rendered.pieces:
            if not piece.is_speech:
                parts.append(self.llm.embed(piece.ids))
            elif speech is None:
                raise ValueError("the view holds speech, but no speech embeddings were given")
            else:
                parts.append(speech.to(parts[0].dtype))
        return torch.cat(parts)

    def pack(self, views: list[Rendered], speech: list[torch.Tensor | None]) -> Pack:
        """Lay rendered views end to end, each with its own speech."""
        embeddings, positions, ids, tagged, sizes, start = [], [], [], {}, [], 0
        for rendered, heard in zip(views, speech, strict=True):
            embeddings.append(self.embed(rendered, heard))
            place = start
            for piece in rendered.pieces:
                num = len(heard) if piece.is_speech else len(piece.ids)
                ids.append(
                    torch.full((num,), -1) if piece.is_speech else torch.tensor(piece.ids, dtype=torch.long)
                )
                tagged.setdefault(piece.tag, []).append(torch.arange(place, place + num))
                if piece.num_end is not None:
                    tagged.setdefault(FIRST, []).append(torch.tensor([place]))
                    tagged.setdefault(END, []).append(torch.arange(place + num - piece.num_end, place + num))
                place += num
            positions.append(torch.arange(place - start))
            sizes.append(place - start)
            start = place
        device = self.llm.device
        return Pack(
            torch.cat(embeddings),
            torch.cat(positions).to(device),
            torch.cat(ids).to(device),
            {tag: torch.cat(parts).to(device) for tag, parts in tagged.items()},
            tuple(sizes),
        )

    def forward(self, pack: Pack, layers=(), extras=None) -> ViewOutput:
        """Run the LLM over a pack; `extras` of the connector go with what it computed."""
        return ViewOutput(pack, self.llm.run(pack.embeddings, pack.positions, layers), self.llm, extras or {})

    @torch.no_grad()
    def read(self, views: list[Rendered], layers=()) -> ViewOutput:
        """Run the plain LLM, without adapters and without a gradient, over views that hold no speech: the teacher."""
        with self.llm.plain():
            return self(self.pack(views, [None] * len(views)), layers)

    def check_fits(self, prompt: Rendered, heard: torch.Tensor | None) -> None:
        """Raise ValueError where a prompt and its speech (U, D) leave no room for an answer, or nothing was heard."""
        if heard is not None and not len(heard):
            raise ValueError("the speech is too short for the connector, which makes no embedding of it")
        self.llm.room(prompt.num_ids + (0 if heard is None else len(heard)))

    @torch.no_grad()
    def answer(
        self,
        prompts: list[Rendered],
        speech: list[torch.Tensor | None],
        *,
        decoding: Decoding,
        stop_ids,
        seconds: list[float | None] | None = None,
        streamer=None,
    ) -> list[Answer]:
        """Answers to prompts, each with its own speech (U, D), or None where it holds none.

        `seconds` of the utterance that each prompt is about may limit its answer. `streamer`, of transformers, is given the
        tokens of a single prompt one by one.
        """
        embedded = [self.embed(prompt, heard) for prompt, heard in zip(prompts, speech, strict=True)]
        return self.llm.generate(
            embedded, decoding=decoding, stop_ids=stop_ids, seconds=seconds, streamer=streamer
        )
