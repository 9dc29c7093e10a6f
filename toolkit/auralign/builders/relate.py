"""The builder `relate`: rows in the order of a path through their nearest neighbours, each with its relatives as `others`.

In-Context Pretraining (Shi et al., ICLR 2024, arXiv:2310.10638): documents that are related are read in one context. The path
begins at a row of lowest degree, goes on to the nearest neighbour that was not visited, and from a row without one jumps to an
unvisited row of lowest degree; near-duplicates are left out. The path is cut into contexts of `size` rows, and the `others` of a
row are those before it in its context, in the order in which they are heard. The label "context" numbers the contexts.

Differences from the paper: neighbours are found by TF-IDF, unless a function gives embeddings (the paper: Contriever); with
`by`, rows of one recording, speaker or label are related, in order of time, and no neighbour is looked for.
"""

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from auralign.builders.builder import Rows, Step
from auralign.builders.negate import refuse_others
from auralign.constructor import describe_function, load_function
from auralign.data.rejected import Item, Note, Rejection
from auralign.records import Utterance
from auralign.text.words import words

if TYPE_CHECKING:
    from scipy.sparse import csr_array

TEXT, RECORDING, SPEAKER = "text", "recording", "speaker"
IN_MEMORY = 2**25  # similarities at once
WITHOUT_SPACES = 0x0E00  # scripts from Thai on are mostly written without spaces: their letters are compared


@dataclass(frozen=True)
class Relate:
    """Order rows by their relations.

    Arguments
    ---------
    by : str
        "text" (default): nearest neighbours; "recording": rows of one recording; "speaker"; or the name of a label.
    size : int
        Rows of a context.
    neighbours : int
        Of a row in the graph that the path goes through; only for "text".
    max_similarity : float
        Two rows whose cosine is above it are near-duplicates, of which the later row is left out; only for "text". 1 keeps all.
    embedding : str, optional
        "module:function", which is given a list of N texts and returns their vectors (N, D); default: TF-IDF of words.
    """

    by: str = TEXT
    size: int = 4
    neighbours: int = 10
    max_similarity: float = 0.95
    embedding: str | None = None
    name = "relate"

    def __post_init__(self) -> None:
        if self.size < 2 or self.neighbours < 1:
            raise ValueError(
                f"--size {self.size}, --neighbours {self.neighbours}: give at least 2 rows and 1 neighbour"
            )
        if not 0 < self.max_similarity <= 1:
            raise ValueError(f"--max-similarity {self.max_similarity}: give a cosine above 0, up to 1")
        if self.embedding and self.by != TEXT:
            raise ValueError(f"--embedding: rows are related by {self.by}, which needs none; leave one out")

    def describe(self) -> dict[str, Any]:
        function = describe_function(self.embedding, "--embedding") if self.embedding else None
        return {
            "by": self.by,
            "size": self.size,
            "neighbours": self.neighbours,
            "max_similarity": self.max_similarity,
            "embedding": function,
        }

    def steps(self, rows: Rows, folder: Path) -> Iterator[Step]:
        """A step for each row, in the order of the path, and before them one for each near-duplicate."""
        utterances = list(rows)
        for utterance in utterances:
            refuse_others(utterance)
        if self.by == TEXT:
            vectors = self._embed([utterance.text for utterance in utterances])
            nearest = _nearest(vectors, self.neighbours)
            duplicates = _duplicates(nearest, self.max_similarity)
            for row, (other, similarity) in duplicates.items():
                yield utterances[row].id, partial(_left_out, utterances[row], utterances[other], similarity)
            path = [row for row in follow(nearest) if row not in duplicates]
            contexts = [path[start : start + self.size] for start in range(0, len(path), self.size)]
        else:
            contexts = self._group(utterances)
        for number, context in enumerate(contexts):
            for place, row in enumerate(context):
                before = tuple(utterances[other].id for other in context[:place])
                yield utterances[row].id, partial(_place, utterances[row], before, number, len(context))

    def _embed(self, texts: list[str]) -> "csr_array":
        """Vectors of length 1, (N, D)."""
        from scipy.sparse import csr_array

        if self.embedding is None:
            return tf_idf(texts)
        vectors = np.asarray(load_function(self.embedding, "--embedding")(texts), dtype=np.float64)
        if vectors.ndim != 2 or len(vectors) != len(texts) or not np.isfinite(vectors).all():
            raise ValueError(
                f"--embedding {self.embedding}: returned an array of shape {vectors.shape} for {len(texts)} texts; it must "
                "return finite vectors (N, D), one for each text"
            )
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return csr_array(vectors / np.where(lengths, lengths, 1))

    def _group(self, utterances: list[Utterance]) -> list[list[int]]:
        """Rows by what they share, each group in order of time, cut into contexts."""
        groups: dict[str, list[int]] = {}
        for row, utterance in enumerate(utterances):
            key = _shared(utterance, self.by)
            groups.setdefault(key or f"alone:{row}", []).append(row)
        if not any(len(group) > 1 for group in groups.values()):
            raise ValueError(
                f"--by {self.by}: no two rows share one; relate by text, recording, speaker or a label of the manifest"
            )
        contexts = []
        for group in groups.values():
            group.sort(key=lambda row: (utterances[row].audio, utterances[row].start))
            contexts += [group[start : start + self.size] for start in range(0, len(group), self.size)]
        return contexts


def tf_idf(texts: list[str]) -> "csr_array":
    """TF-IDF vectors (N, V) of length 1: the count of a word times ln((1 + N) / (1 + texts that hold it)) + 1."""
    from scipy.sparse import csr_array

    counts = [Counter(_terms(text)) for text in texts]
    met = Counter(term for count in counts for term in count)
    column = {term: number for number, term in enumerate(met)}
    starts, columns, values = [0], [], []
    for count in counts:
        columns += [column[term] for term in count]
        weights = np.array(
            [n * (np.log((1 + len(texts)) / (1 + met[term])) + 1) for term, n in count.items()]
        )
        values += list(weights / np.linalg.norm(weights)) if len(weights) else []
        starts.append(len(columns))
    return csr_array((values, columns, starts), shape=(len(texts), max(1, len(column))))


def _terms(text: str) -> Iterator[str]:
    for word in words(text):
        if any(ord(letter) >= WITHOUT_SPACES for letter in word):
            yield from word
        else:
            yield word


Neighbours = list[list[tuple[int, float]]]  # of each row: (row, similarity), the nearest first


def _nearest(vectors: "csr_array", number: int) -> Neighbours:
    """The nearest rows of each row, of those that it is similar to at all; of equally near ones the first."""
    found: Neighbours = []
    num_rows = vectors.shape[0]
    block = max(1, IN_MEMORY // num_rows)
    for start in range(0, num_rows, block):
        similar = (vectors[start : start + block] @ vectors.T).tocsr()
        for row, (first, last) in enumerate(itertools.pairwise(similar.indptr.tolist()), start=start):
            others, values = similar.indices[first:last], similar.data[first:last]
            is_other = (others != row) & (values > 0)
            others, values = others[is_other], values[is_other]
            order = np.lexsort((others, -np.round(values, 9)))[:number]
            found.append([(int(others[at]), float(values[at])) for at in order])
    return found


def _duplicates(nearest: Neighbours, limit: float) -> dict[int, tuple[int, float]]:
    """Rows that are nearly an earlier row, which is kept: (that row, similarity)."""
    found: dict[int, tuple[int, float]] = {}
    for row, others in enumerate(nearest):
        for other, similarity in others:
            if similarity > limit and other < row and other not in found and limit < 1:
                found[row] = other, similarity
                break
    return found


def follow(nearest: Neighbours) -> list[int]:
    """The path through all rows (Algorithm 1 of the paper), each of which is on it once."""
    neighbours: list[dict[int, float]] = [{} for _ in nearest]
    for row, others in enumerate(nearest):
        for other, similarity in others:
            neighbours[row][other] = neighbours[other][row] = similarity
    by_degree = iter(sorted(range(len(nearest)), key=lambda row: (len(neighbours[row]), row)))
    path: list[int] = []
    visited: set[int] = set()
    at = next(by_degree, None)
    while at is not None:
        path.append(at)
        visited.add(at)
        open_to = [
            (-similarity, other) for other, similarity in neighbours[at].items() if other not in visited
        ]
        at = min(open_to)[1] if open_to else next((row for row in by_degree if row not in visited), None)
    return path


def _shared(utterance: Utterance, by: str) -> str:
    """What relates rows, as text; "" if the row has none."""
    if by == RECORDING:
        return str(utterance.labels.get(RECORDING) or utterance.audio)
    if by == SPEAKER:
        return utterance.speaker
    value = utterance.labels.get(by)
    return "" if value is None else repr(value)


def _place(utterance: Utterance, before: tuple[str, ...], number: int, size: int) -> list[Item]:
    notes: list[Item] = [Note("without a relative")] * (size == 1)
    notes += [Note("whose label context was replaced")] * ("context" in utterance.labels)
    return [replace(utterance, others=before, labels={**utterance.labels, "context": number}), *notes]


def _left_out(utterance: Utterance, other: Utterance, similarity: float) -> list[Item]:
    return [Rejection(utterance.id, "near-duplicate", f"of {other.id}, similarity {similarity:.3f}")]
