"""The ladder: what is heard, and how far the answers to speech are those to text, step by step away from training.

    python local/ladder.py hparams/answer.yaml [--size quick ...]                 the run's own test set
    python local/ladder.py hparams/answer.yaml --manifest M --evaluation FOLDER   one that `auralign evaluate` has answered

Columns, all of the same frozen LLM, each compared with its own answer to the text:
  cascade   the encoder's own transcript        speech    the speech, through the connector
  adapted   the transcript of a Whisper that local/adapt_whisper.py adapted to the training clips (--adapted FOLDER)
  snap      each speech embedding replaced by the nearest token's: what is left is a recogniser in embedding space
  shuffled  another utterance's speech          mean      the mean speech embedding at every position
  noise     white noise of the same length      nearest   the training question whose encoder frames are nearest

Measures: exact (word for word), first (the first 40 characters), F1 (of words); heard (share of the text's tokens that the
nearest tokens get wrong: an error rate); recovery (see `recovery`); right (by the key in grammar.yaml, where a question has one).

Reads: the run's checkpoint, its test set and hypotheses
Writes: <output_folder>/ladder/<name>.json and <name>.md
"""

import json
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import numpy
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from local.texts import key_of, words_of  # noqa: E402

from auralign import script, steps  # noqa: E402
from auralign.decode.stage import make_decoder  # noqa: E402
from auralign.files import write_atomically  # noqa: E402
from auralign.layout import MAIN, Speech, Text, View, fill  # noqa: E402
from auralign.records import Hypothesis, Records, Utterance  # noqa: E402
from auralign.score.metrics import bootstrap_interval, word_error_rate  # noqa: E402

CONTROLS = ("snap", "mean", "noise", "nearest")  # answered here; the quick run has the first alone
ANSWERED = {"text": "text", "cascade": "transcript", "speech": "speech", "shuffled": "shuffled"}
COLUMNS = ("text", "cascade", "adapted", "speech", "snap", "shuffled", "mean", "noise", "nearest")
NUM_FIRST = 40  # characters
NUM_NLL_TOKENS = 24  # of the answer to the text, whose likelihood is compared
NUM_RECOVERY = 20  # questions of each group
BATCH_SIZE = 32


@dataclass
class Asked:
    """A question of the test set, and what was answered."""

    row: int
    utterance: Utterance
    text_ids: tuple[int, ...]
    answers: dict[str, str] = field(default_factory=dict)
    heard: tuple[int, ...] = ()
    transcript: str = ""  # of the adapted Whisper
    nll: dict[str, float] = field(default_factory=dict)


# --- measures


def f1_of_words(reference: str, answer: str) -> float:
    """F1 of the words of an answer, counted with repetition.

    >>> f1_of_words("The capital is Paris.", "Paris is big")
    0.5714285714285714
    """
    wanted, given = words_of(reference), words_of(answer)
    shared = sum(min(wanted.count(word), given.count(word)) for word in set(wanted))
    return 2 * shared / (len(wanted) + len(given)) if wanted or given else 1.0


def agreement(reference: str, answer: str) -> dict[str, float]:
    """How far an answer is the reference: exact, first, F1."""
    return {
        "exact": float(reference.split() == answer.split()),
        "first": float(reference.strip()[:NUM_FIRST] == answer.strip()[:NUM_FIRST]),
        "F1": f1_of_words(reference, answer),
    }


def token_error_rate(asked: list[Asked]) -> float:
    """Edits of the nearest tokens to the text's, over the text's tokens: a corpus rate."""
    pairs = [(one.text_ids, one.heard) for one in asked]
    return word_error_rate(*([" ".join(map(str, ids)) for ids in side] for side in zip(*pairs, strict=True)))


def recovery(asked: list[Asked]) -> float | None:
    """The share of what the text does for the answer to it that the speech does too.

    (NLL(shuffled speech) - NLL(speech)) / (NLL(shuffled text) - NLL(text)), each the sum over questions of the negative
    log-likelihood of the beginning of the LLM's answer to the text. None if nothing was measured, or text does nothing.
    """
    sums = {given: sum(one.nll[given] for one in asked if one.nll) for given in GIVEN_FOR_NLL}
    gain = sums["shuffled text"] - sums["text"]
    return (sums["shuffled"] - sums["speech"]) / gain if gain > 0 else None


GIVEN_FOR_NLL = ("text", "speech", "shuffled", "shuffled text")


# --- what the model makes of the test set


class Listener:
    """The trained model, asked about the utterances of a manifest."""

    def __init__(self, run, manifest: Records):
        self.decoder = make_decoder(run, manifest)
        self.run, self.manifest = run, manifest
        self.model, self.renderer = self.decoder.model, self.decoder.renderer
        self.llm = self.model.llm
        self.table = self.llm.model.get_input_embeddings().weight.detach().float()
        self.prompt = self.renderer.render(View(fill("{speech}", Speech(""))))

    def text_prompt(self, text: str):
        """The prompt with a text in place of the speech."""
        return self.renderer.render(View(fill("{speech}", Text(text, tag="said"))))

    def text_ids(self, text: str) -> tuple[int, ...]:
        """Ids of a text in its prompt."""
        return tuple(
            token for piece in self.text_prompt(text).pieces if piece.tag == "said" for token in piece.ids
        )

    @torch.no_grad()
    def embed(self, frames) -> list[torch.Tensor]:
        """Speech embeddings (U, D) of each row of frames (B, T, D) with lengths (B,)."""
        speech, _ = self.model.listen([self.prompt] * len(frames[0]), {MAIN: frames})
        return [spans[0] for spans in speech]

    def nearest_tokens(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Ids (U,) of the tokens whose embeddings are nearest to embeddings (U, D)."""
        return torch.cdist(embeddings.float(), self.table).argmin(1)

    def answer(self, prompts, speech=None) -> list[str]:
        """Answers to prompts, each with its speech embeddings, in batches."""
        texts = []
        speech = speech or [None] * len(prompts)
        for start in range(0, len(prompts), BATCH_SIZE):
            part = slice(start, start + BATCH_SIZE)
            found = self.model.answer(
                prompts[part], speech[part], decoding=self.decoder.decoding, stop_ids=self.renderer.stop_ids
            )
            texts += [self.renderer.read(one.ids).text for one in found]
        return texts

    @torch.no_grad()
    def nll(self, prompt, speech, answer: tuple[int, ...]) -> float:
        """Negative log-likelihood, in nats, of answer ids after a prompt with its speech embeddings."""
        start = self.model.embed(prompt, speech)
        embeddings = torch.cat([start, self.llm.embed(answer).to(start.dtype)])
        hidden = self.llm.hidden_states(embeddings, torch.arange(len(embeddings)))
        logits = self.llm.head(hidden[len(start) - 1 : -1]).float()
        return -logits.log_softmax(-1)[torch.arange(len(answer)), torch.tensor(answer)].sum().item()


def read_questions(listener: Listener, hypotheses: dict[str, Path]) -> list[Asked]:
    """The utterances of the manifest with the answers that were decoded already."""
    manifest = listener.manifest
    asked = [Asked(row, one, listener.text_ids(one.text)) for row, one in enumerate(manifest)]
    by_id = {one.utterance.id: one for one in asked}
    for column, path in hypotheses.items():
        for hypothesis in Records(path, Hypothesis):
            by_id[hypothesis.utt_id].answers[column] = hypothesis.text
    return asked


def listen(listener: Listener, asked: list[Asked], *, columns, seed: int) -> list[torch.Tensor]:
    """Fill in what is heard, and the answers of `columns` of `CONTROLS`; returns the speech embeddings (U, D)."""
    embeddings: list[torch.Tensor] = []
    for start in range(0, len(asked), BATCH_SIZE):
        rows = [one.row for one in asked[start : start + BATCH_SIZE]]
        embeddings += listener.embed(listener.decoder.frames.get(rows)[MAIN])
    tokens = [listener.nearest_tokens(one) for one in embeddings]
    for one, ids in zip(asked, tokens, strict=True):
        one.heard = tuple(ids.tolist())
    mean = torch.cat(embeddings).mean(0)
    speech = {
        "snap": lambda: [[listener.llm.embed(ids)] for ids in tokens],
        "mean": lambda: [[mean.expand(len(one), -1)] for one in embeddings],
        "noise": lambda: [listener.embed(noise)[:1] for noise in _noises(listener, asked, seed)],
    }
    prompts = [listener.prompt] * len(asked)
    for column in columns:
        answers = (
            listener.answer(prompts, speech[column]())
            if column in speech
            else nearest_questions(listener, asked)
        )
        fill_in(asked, column, answers)
    return embeddings


def fill_in(asked: list[Asked], column: str, answers: list[str]) -> None:
    """Set the answers of a column."""
    for one, text in zip(asked, answers, strict=True):
        one.answers[column] = text


def measure_likelihoods(
    listener: Listener, asked: list[Asked], embeddings, *, number: int, seed: int
) -> None:
    """The likelihoods that `recovery` compares, for `number` questions of each group."""
    rng, groups = Random(seed), defaultdict(list)
    for index, one in enumerate(asked):
        groups[group_of(one)].append(index)
    for indices in groups.values():
        for index in rng.sample(indices, min(number, len(indices))):
            one, other = asked[index], (index + 1) % len(asked)
            ids = listener.renderer.encode(one.answers["text"])[:NUM_NLL_TOKENS]
            texts = (
                listener.text_prompt(one.utterance.text),
                listener.text_prompt(asked[other].utterance.text),
            )
            if ids:
                one.nll = {
                    "text": listener.nll(texts[0], None, ids),
                    "shuffled text": listener.nll(texts[1], None, ids),
                    "speech": listener.nll(listener.prompt, embeddings[index], ids),
                    "shuffled": listener.nll(listener.prompt, embeddings[other], ids),
                }


def answer_transcripts(listener: Listener, asked: list[Asked], folder) -> list[str]:
    """The LLM's answers to transcripts that an adapted Whisper reads off the frames."""
    from auralign.models.recognizers import load_whisper_decoder

    recognizer = load_whisper_decoder(folder, listener.model.encoder.width)
    texts: list[str] = []
    for one in asked:  # alone: its attention to frames has no mask
        texts += recognizer.transcribe(*listener.decoder.frames.get([one.row])[MAIN])
    for one, text in zip(asked, texts, strict=True):
        one.transcript = text
    with listener.llm.original():
        return listener.answer([listener.text_prompt(text) for text in texts])


def _noises(listener: Listener, asked: list[Asked], seed: int):
    """The encoder's frames of white noise of each question's length."""
    rng, encoder = numpy.random.default_rng(seed), listener.model.encoder
    for one in asked:
        noise = 0.05 * rng.standard_normal(round(one.utterance.seconds * encoder.sample_rate))
        yield encoder([noise.astype(numpy.float32)])


def nearest_questions(listener: Listener, asked: list[Asked]) -> list[str]:
    """The LLM's answer to the training text whose mean encoder frame is nearest (cosine)."""
    from auralign.data.frames import recipe_frames

    train = Records(listener.run.data.manifest("train"), Utterance)
    frames = recipe_frames(listener.run.recipe, listener.model, train)
    known = torch.stack([_mean_frame(frames, row) for row in range(len(train))])
    centre = known.mean(0)
    known = torch.nn.functional.normalize(known - centre, dim=1)
    found = []
    for one in asked:
        vector = torch.nn.functional.normalize(_mean_frame(listener.decoder.frames, one.row) - centre, dim=0)
        found.append(train[int((known @ vector).argmax())].text)
    texts = list(dict.fromkeys(found))
    with listener.llm.original():
        answers = dict(
            zip(texts, listener.answer([listener.text_prompt(text) for text in texts]), strict=True)
        )
    return [answers[text] for text in found]


def _mean_frame(frames, row: int) -> torch.Tensor:
    of_row, lengths = frames.get([row])[MAIN]
    return of_row[0, : int(lengths[0])].float().mean(0)


# --- the table


def group_of(asked: Asked) -> str:
    """The step of the ladder that a question belongs to."""
    return asked.utterance.labels.get("group") or "all"


def summarise(asked: list[Asked], *, seed: int) -> dict:
    """Measures of one group: by column the agreement, and the right answers by key."""
    found: dict = {"n": len(asked), "speakers": len({one.utterance.speaker for one in asked}), "columns": {}}
    for column in COLUMNS:
        with_answer = [one for one in asked if column in one.answers and "text" in one.answers]
        if not with_answer:
            continue
        measured = [agreement(one.answers["text"], one.answers[column]) for one in with_answer]
        means = {name: float(numpy.mean([one[name] for one in measured])) for name in measured[0]}
        clusters = [one.utterance.speaker or one.utterance.id for one in with_answer]
        interval = bootstrap_interval([one["F1"] for one in measured], clusters=clusters, seed=seed)
        means["F1 interval"] = [interval.low, interval.high]
        keys = [(key_of(one.utterance.labels), one.answers[column]) for one in with_answer]
        judged = [bool(set(words_of(answer)) & key) for key, answer in keys if key]
        found["columns"][column] = {**means, "right": float(numpy.mean(judged)) if judged else None}
        found["keyed"] = len(judged)
    found["heard"] = token_error_rate(asked)
    found["recovery"] = recovery(asked)
    found["measured for recovery"] = sum(bool(one.nll) for one in asked)
    return found


def show(value: float | None) -> str:
    """A figure of the table; "-" if there is none."""
    return "-" if value is None else f"{value:.2f}"


def as_table(groups: dict[str, dict]) -> str:
    """The ladder as Markdown: one row a group."""

    def measure(row: dict, column: str, name: str) -> str:
        return show(row["columns"].get(column, {}).get(name))

    heads = ["group", "n", "voices", "tokens heard wrong"]
    shown = {
        "exact": ("cascade", "adapted", "speech", "snap", "shuffled"),
        "first": ("cascade", "adapted", "speech"),
        "F1": COLUMNS[1:],
    }
    for name, columns in shown.items():
        heads += [f"{name}: {columns[0]}", *columns[1:]]
    heads.append("recovery")
    rows = []
    for name, row in groups.items():
        cells = [name, str(row["n"]), str(row["speakers"]), show(row["heard"])]
        cells += [measure(row, column, measured) for measured, columns in shown.items() for column in columns]
        rows.append([*cells, show(row["recovery"])])
    lines = [" | ".join(cells) for cells in (heads, ["---"] + ["--:"] * (len(heads) - 1), *rows)]
    keyed = {name: row for name, row in groups.items() if row.get("keyed")}
    right = [
        f"{name}: text {measure(row, 'text', 'right')}, cascade {measure(row, 'cascade', 'right')}, speech "
        f"{measure(row, 'speech', 'right')} of {row['keyed']}"
        for name, row in keyed.items()
    ]
    notes = ["", "Right by the key: " + "; ".join(right)] if right else []
    return "\n".join([*(f"| {line} |" for line in lines), *notes]) + "\n"


def main(argv):
    own, argv = _own_options(argv)
    run = steps.RunFolder.of_arguments(argv, doc=__doc__)
    manifest = Records(own.get("manifest") or run.data.manifest("test"), Utterance)
    if "evaluation" in own:
        hypotheses = {
            column: Path(own["evaluation"]) / f"{given}.jsonl" for column, given in ANSWERED.items()
        }
    else:
        hypotheses = {column: run.hypotheses(given) for column, given in ANSWERED.items()}
    hypotheses = {column: path for column, path in hypotheses.items() if path.exists()}
    listener = Listener(run, manifest)
    asked = read_questions(listener, hypotheses)
    is_quick = run.recipe.own.get("size") == "quick"
    embeddings = listen(listener, asked, columns=CONTROLS[:1] if is_quick else CONTROLS, seed=run.recipe.seed)
    if "adapted" in own:
        fill_in(asked, "adapted", answer_transcripts(listener, asked, own["adapted"]))
    number = int(own.get("recovery", 0 if is_quick else NUM_RECOVERY))
    measure_likelihoods(listener, asked, embeddings, number=number, seed=run.recipe.seed)
    groups: dict[str, list[Asked]] = defaultdict(list)
    for one in asked:
        groups[group_of(one)].append(one)
    table = {name: summarise(of_group, seed=run.recipe.seed) for name, of_group in groups.items()}
    folder, name = Path(run.folder) / "ladder", own.get("name", manifest.path.stem)
    with write_atomically(folder / f"{name}.json") as file:
        answers = {one.utterance.id: {"text": one.utterance.text, **one.answers} for one in asked}
        json.dump({"groups": table, "answers": answers}, file, ensure_ascii=False, indent=1)
    with write_atomically(folder / f"{name}.md") as file:
        file.write(as_table(table))
    print(as_table(table))
    print(f"ladder: {folder / name}.md")


def _own_options(argv: list[str]) -> tuple[dict[str, str], list[str]]:
    """The options of this script, and the others."""
    own, rest, left = {}, [], list(argv)
    while left:
        word = left.pop(0)
        name = word.removeprefix("--")
        if word.startswith("--") and name in ("manifest", "evaluation", "name", "recovery", "adapted"):
            if not left:
                raise ValueError(f"--{name} needs a value")
            own[name] = left.pop(0)
        else:
            rest.append(word)
    return own, rest


if __name__ == "__main__":
    script.run(main)
