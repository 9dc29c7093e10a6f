"""Books: tokens that the LLM does not have, each with a trained embedding of its own.

A method places them with `auralign.layout.Code`, the YAML names them under `books`, and they are parts of the model, as the
connector is: saved in checkpoints and model folders, and frozen by name, `<book>_book`. No text ever becomes one of them.

>>> tags = Tags(4, names=["good", "bad"])
>>> tags.find(["bad", 0]), tuple(tags.embed(torch.tensor([1, 0])).shape)
([1, 0], (2, 4))

Axes: U positions, D width.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

import torch
from torch import nn

from auralign.records import shorten

NOISE = 0.01  # standard deviation of new embeddings around the mean of the LLM's (Korbak et al., arXiv:2302.08582, their code)


class Book(nn.Module, ABC):
    """A set of tokens beside the LLM's vocabulary. A YAML's constructor is called with the LLM's width.

    Attributes
    ----------
    size : int
        The number of its tokens; their ids are 0 to size - 1.
    names : tuple of str
        The name of each token; () if they have ids alone.
    """

    size: int
    names: tuple[str, ...] = ()

    @abstractmethod
    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        """Embeddings (U, D) of ids (U,)."""

    @abstractmethod
    def nll(self, hidden: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        """Negative log-likelihood (U,), in nats, of ids (U,) of one sequence, from the hidden states (U, D) before each."""

    @abstractmethod
    def begin_near(self, embedding: torch.Tensor) -> None:
        """Set the new embeddings near one (D,), the mean of the LLM's: far from all others they would disturb what it reads."""

    def find(self, codes: Iterable[int | str]) -> list[int]:
        """The ids of tokens given by name or id.

        Raises ValueError if the book does not have one, with those that it has.
        """
        found = []
        for code in codes:
            known = code in self.names if isinstance(code, str) else 0 <= code < self.size
            if not known:
                there = ", ".join(map(repr, self.names)) or f"the ids 0 to {self.size - 1}"
                raise ValueError(f"no token {code!r}; it has {shorten(there, 400)}")
            found.append(self.names.index(code) if isinstance(code, str) else code)
        return found


class Tags(Book):
    """Control tokens: the LLM reads them, and never writes one.

    Arguments
    ---------
    width : int
        Of the LLM's embeddings.
    names : sequence of str
        The name of each, in the order of their ids.

    Raises ValueError if there is no name, or a name is given twice.
    """

    def __init__(self, width: int, *, names: Sequence[str]):
        super().__init__()
        if isinstance(names, str) or not names or not all(isinstance(name, str) and name for name in names):
            raise ValueError(f"names {names!r}: give a list of at least one name: [good, bad]")
        self.names = tuple(names)
        twice = [name for name in self.names if self.names.count(name) > 1]
        if twice:
            raise ValueError(f"names: {twice[0]!r} is given twice; each token needs a name of its own")
        self.size = len(self.names)
        self.embedding = nn.Embedding(self.size, width)

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        return self.embedding(ids)

    def nll(self, hidden: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        raise ValueError(
            "a book of Tags predicts nothing: its tokens are read and never written; take the loss at another tag"
        )

    @torch.no_grad()
    def begin_near(self, embedding: torch.Tensor) -> None:
        weight = self.embedding.weight
        weight.copy_(embedding + NOISE * torch.randn_like(weight))
