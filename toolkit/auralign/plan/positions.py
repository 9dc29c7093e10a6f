"""How many LLM positions the examples of a run take: as stage 2 counted them, else as its manifest and recipe let expect."""

import json
from dataclasses import dataclass

import numpy as np

from auralign.data.frames import count_frames, kept_as
from auralign.data.lengths import DAMAGED, OWN, lengths_path
from auralign.generate.targets import draw_choices, draw_utts
from auralign.layout import MAIN
from auralign.plan.sizes import Sizes
from auralign.records import Records, Utterance

LETTERS_PER_TOKEN = 4
FRAME_POSITIONS = 30  # of the chat template around a turn
NUM_SAMPLED = 200


@dataclass(frozen=True)
class Positions:
    """Of the examples of one split.

    Arguments
    ---------
    seconds, frame_bytes : numpy.ndarray
        (num_utterances,): of each utterance of the manifest, its duration, and the bytes of its frames, all branches, in a cache.
    rows : numpy.ndarray
        (num_examples,): row of the utterance of each example.
    lengths, teacher, targets : numpy.ndarray
        (num_examples,): positions of the student's view, of the teacher's, and of the target.
    are_counted : bool
        Whether stage 2 has counted them.
    """

    seconds: np.ndarray
    frame_bytes: np.ndarray
    rows: np.ndarray
    lengths: np.ndarray
    teacher: np.ndarray
    targets: np.ndarray
    are_counted: bool


def count(run, split: str, sizes: Sizes) -> Positions:
    """The positions of "train" or "valid" of a run.

    Raises FileNotFoundError if stage 1 was not run.
    """
    path = run.data.manifest(split)
    if not path.is_file():
        raise FileNotFoundError(f"no {path}; run stage 1 (prepare) first: a plan begins with the utterances")
    manifest = Records(path, Utterance)
    utterances = list(manifest)
    seconds = np.array([one.seconds for one in utterances])
    frames = {
        name: np.array([count_frames(encoder, one) for one in utterances])
        for name, encoder in sizes.encoders.items()
    }
    frame_bytes = sum(
        frames[name] * encoder.width * kept_as(encoder).itemsize for name, encoder in sizes.encoders.items()
    )
    made = {
        name: np.array([int(connector.num_embeddings(int(one))) for one in frames[name]])
        for name, connector in sizes.connectors.items()
    }
    counts = run.recipe.method.needs.num_tokens and sizes.connectors[MAIN].counts_tokens
    counted = lengths_path(run.targets(split))
    if counted.is_file():
        try:
            with np.load(counted, allow_pickle=False) as file:
                rows, spans = file["rows"], file["spans"]
                branches = json.loads(str(file["facts"]))["branches"]
        except DAMAGED as error:
            raise ValueError(f"{counted}: is damaged ({error}); delete it: stage 3 counts again") from error
        student, other, targets, of = (rows[name] for name in ("student", "other", "target", "row"))
        embeddings, example_of = np.zeros(len(rows)), np.repeat(np.arange(len(rows)), rows["num_spans"])
        for number, name in enumerate(branches):
            mine = spans["branch"] == number
            share = (spans["end"] - spans["start"])[mine]
            heard = of[example_of[mine]]
            if (
                "of" in spans.dtype.names
            ):  # of an earlier auralign, each target is about its own utterance alone
                heard = np.where(spans["of"][mine] == OWN, heard, spans["of"][mine])
            each = spans["num_read"][mine] if counts else np.ceil(made[name][heard] * share)
            embeddings += np.bincount(example_of[mine], weights=each, minlength=len(rows))
    else:
        of = _asked(run.recipe, split, utterances)
        text = np.array([len(utterances[row].text) for row in of]) // LETTERS_PER_TOKEN
        targets = np.full(len(of), run.recipe.max_new_tokens)
        student = FRAME_POSITIONS + targets
        other, embeddings = student + text, text if counts else made[MAIN][of]
    lengths = student + embeddings.astype(np.int64)
    return Positions(seconds, frame_bytes, of, lengths, other, targets, counted.is_file())


def _asked(recipe, split: str, utterances: list[Utterance]) -> np.ndarray:
    """The row of the utterance of each example that stage 2 will ask for: the method's choices for a sample give the number of
    examples of an utterance."""
    rows = np.arange(len(utterances))
    if split == "train" and recipe.num_train_utts is not None:
        ids = draw_utts((one.id for one in utterances), recipe.num_train_utts)
        rows = np.array([row for row, one in enumerate(utterances) if one.id in ids], dtype=np.int64)
    sample = rows[:: max(1, len(rows) // NUM_SAMPLED)]
    choices = [len(list(draw_choices(recipe.method, utterances[row], recipe.seed))) for row in sample]
    return np.repeat(rows, max(1, round(float(np.mean(choices)))) if choices else 1)
