"""What a training manifest shares with test manifests: clips by id, sentences, speakers.

Sentences are compared without case, punctuation and spaces, in one form of Unicode: "Well-known!" is "well known". Of the test
manifests, 16 bytes a row and kind are kept in memory; of the training manifest, who names whom. A hash match is verified in the
file. What an utterance names among its others, and what these name, counts as its own: a document that voices a test sentence
shares that sentence. So of a manifest whose rows name negatives or relatives, hardly a row is left if one is a test row: compare
it with the test sets before `auralign build`.
"""

import hashlib
import json
from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path

import numpy as np

from auralign.data.rejected import Listed
from auralign.files import write_atomically
from auralign.progress import track
from auralign.records import Records, Utterance, header, to_line
from auralign.text.characters import compose
from auralign.text.words import plain

# What is compared; an empty value (no speaker, a sentence of punctuation alone) never matches.
KINDS = {
    "id": lambda utterance: compose(utterance.id),
    "sentence": lambda utterance: plain(utterance.text),
    "speaker": lambda utterance: compose(utterance.speaker),
}
NUM_EXAMPLES = 5


@dataclass
class Overlap:
    """The number of training clips that share an id, sentence or speaker with a test clip, and examples of them."""

    path: Path
    num_clips: int
    counts: Counter = field(default_factory=Counter)  # by kind; one clip may count in several
    examples: dict[str, list[str]] = field(default_factory=dict)  # by kind

    def __str__(self):
        found = "".join(
            f"; {count} share the {kind} of a test clip, such as {self.examples[kind][0]}"
            for kind, count in self.counts.items()
        )
        return f"{self.path}: {self.num_clips} clips" + (found or "; none shares anything with a test clip")


def find_overlap(train: Records, tests: list[Records]) -> Overlap:
    """What a training manifest shares with test manifests.

    A speaker's name means one person only within a corpus: across two of them, equal names need not be one.

    Arguments
    ---------
    train : Records
        Of Utterance.
    tests : list of Records
        Of Utterance.

    Returns Overlap.

    Raises ValueError if there are no test manifests, or the training manifest is one of them.
    """
    found = Overlap(train.path, len(train))
    shared = {kind: [] for kind in KINDS}
    for identity, matches in _find_shared(train, tests).items():
        for kind, match in matches.items():
            found.counts[kind] += 1
            if len(shared[kind]) < NUM_EXAMPLES:
                shared[kind].append(f"{identity} ({match})")
    found.counts = Counter({kind: found.counts[kind] for kind in KINDS if found.counts[kind]})
    found.examples = {kind: examples for kind, examples in shared.items() if examples}
    return found


def shared_with(train: Records, tests: list[Records]) -> Iterator[tuple[Utterance, list[str]]]:
    """Each row of a manifest, with the kinds of KINDS that it shares with a test row; `tests` may be empty.

    Raises ValueError if the manifest is one of the test manifests.
    """
    found = _find_shared(train, tests) if tests else {}
    for utterance in train:
        yield utterance, [*found.get(utterance.id, ())]


def exclude_overlap(
    train: Records, tests: list[Records], *, kinds: Sequence[str] = ("id", "sentence")
) -> str:
    """Rewrite a training manifest without the clips that share something with a test clip.

    Removed clips are listed with their reasons in `<name>.overlap.jsonl`, after those that earlier runs removed. `train` still
    reads the old manifest: open it again.

    Arguments
    ---------
    train : Records
        Of Utterance.
    tests : list of Records
        Of Utterance.
    kinds : sequence of str
        What must not be shared, of KINDS: "id", "sentence", "speaker". Clips that share a speaker and are kept are counted.

    Returns str: one line with the number of removed clips.

    Raises ValueError on an unknown kind, if no clip would be left, and as `find_overlap` does; the manifest is then unchanged.
    """
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is not a kind of overlap; kinds are {', '.join(KINDS)}")
    found, path, excluded = _find_shared(train, tests), train.path, Listed()
    earlier = _read_earlier(train)
    num_known = 0  # clips that are kept although a test clip has their speaker
    with write_atomically(path) as file:
        file.write(header(Utterance))
        for utterance in train:
            shared = found.get(utterance.id, {})
            reason = next((kind for kind in shared if kind in kinds), None)
            if reason:
                excluded.add(utterance.id, f"{reason} of a test clip", shared[reason])
            else:
                num_known += "speaker" in shared
                file.write(to_line(utterance))
        if len(excluded.items) == len(train):
            raise ValueError(
                f"{path}: no clip would be left: all {len(train)} are in the test sets ({excluded.reasons()}); the first is "
                f"{excluded.first()}; give other test sets, or say what may be shared (exclude_overlap "
                "of a recipe's YAML); the manifest is as it was"
            )
        listed = Listed()
        listed.items = earlier + excluded.items
        if (
            listed.items or overlap_path(path).exists()
        ):  # before the manifest, like the list of rejected items
            listed.write_list(overlap_path(path))
    why = f" ({excluded.reasons()}), listed in {overlap_path(path)}" if excluded.items else ""
    return (
        f"{len(excluded.items)} of {len(train)} clips of {path} were left out{why}; {num_known} kept clips share the speaker "
        "of a test clip"
    )


def overlap_path(path) -> Path:
    """`train.overlap.jsonl` beside `train.jsonl`."""
    return Path(path).with_suffix(".overlap.jsonl")


def _read_earlier(train: Records) -> list[dict]:
    """The items that earlier runs removed and that are not in the manifest again."""
    path = overlap_path(train.path)
    if not path.is_file():
        return []
    items = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    return [item for item in items if item["id"] not in train]


def _find_shared(train: Records, tests: list[Records]) -> dict[str, dict[str, str]]:
    """What each training row shares that shares something: by its id and the kind, the first test clip, "manifest: id".

    Raises RecordError if a row names one that the manifest does not have.
    """
    index = _Index(train, tests)
    own: dict[str, dict[str, str]] = {}
    named_by: dict[str, list[str]] = {}
    for utterance in track(train, f"prepare: comparing {train.path.stem}", unit="utterance"):
        matches = dict(index.find(utterance))
        if matches:
            own[utterance.id] = matches
        for other in utterance.others:
            named_by.setdefault(other, []).append(utterance.id)
    lost = next((other for other in named_by if other not in train), None)
    if lost is not None:
        train[named_by[lost][0]].other(lost)  # raises
    found = {identity: dict(matches) for identity, matches in own.items()}
    for identity, matches in own.items():
        for kind, match in matches.items():
            coming = [identity]
            while coming:  # each row once for each kind, however many paths lead to it
                for naming in named_by.get(coming.pop(), ()):
                    shared = found.setdefault(naming, {})
                    if kind not in shared:
                        shared[kind] = f"{match}, by its other {identity}"
                        coming.append(naming)
    order = (utterance.id for utterance in train) if named_by else found
    return {
        one: {kind: found[one][kind] for kind in KINDS if kind in found[one]} for one in order if one in found
    }


class _Index:
    """For each kind, the sorted hashes of all test rows, and the rows' numbers over all test sets."""

    def __init__(self, train: Records, tests: list[Records]):
        if not tests:
            raise ValueError(f"{train.path}: no test manifests to compare it with; give at least one")
        if train.path.resolve() in [test.path.resolve() for test in tests]:
            raise ValueError(
                f"{train.path}: is among the test manifests too; give the training manifest once"
            )
        self.tests = tests
        self.starts = list(accumulate((len(test) for test in tests), initial=0))
        hashes = {kind: array("Q") for kind in KINDS}
        for test in tests:
            for utterance in test:
                for kind, key in KINDS.items():
                    hashes[kind].append(_digest(key(utterance)))
        self.columns = {}
        for kind, values in hashes.items():
            values = np.frombuffer(values, dtype=np.uint64) if values else np.zeros(0, np.uint64)
            order = np.argsort(values, kind="stable")
            self.columns[kind] = values[order], order

    def find(self, utterance: Utterance) -> Iterator[tuple[str, str]]:
        """Yield (kind, "manifest: id") of the first test clip that matches the utterance, for each kind that matches."""
        for kind, key in KINDS.items():
            wanted = key(utterance)
            if not wanted:
                continue
            hashes, order = self.columns[kind]
            digest = np.uint64(_digest(wanted))
            first, last = (np.searchsorted(hashes, digest, side) for side in ("left", "right"))
            for number in order[first:last]:
                which = bisect_right(self.starts, number) - 1
                other = self.tests[which][int(number) - self.starts[which]]
                if key(other) == wanted:
                    yield kind, f"{self.tests[which].path}: {other.id}"
                    break


def _digest(value: str) -> int:
    return int.from_bytes(
        hashlib.blake2b(value.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little"
    )
