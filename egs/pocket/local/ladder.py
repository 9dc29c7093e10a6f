"""The ladder: what is heard, and how far the answers to speech are those to text, step by step away from training.

    python local/ladder.py hparams/answer.yaml [--size quick ...]                 the run's own test set
    python local/ladder.py hparams/answer.yaml --manifest M --evaluation FOLDER   one that `auralign evaluate` has answered
    python local/ladder.py hparams/align.yaml --manifest M --heard                what is heard of it, and no answer
    python local/ladder.py hparams/answer.yaml --show corpus/full/other           what is made of each file, and of each kind

Columns, all of the same frozen LLM, each compared with its own answer to the text:
  cascade   the encoder's own transcript        speech    the speech, through the connector
  adapted   the transcript of a Whisper that local/adapt_whisper.py adapted to the training clips (--adapted FOLDER)
  snap      each speech embedding replaced by the nearest token's: what is left is a recogniser in embedding space
  shuffled  another utterance's speech          mean      the mean speech embedding at every position
  noise     white noise of the same length      nearest   the training question whose encoder frames are nearest
Their measures: local/measures.py. Below its two tables, how often the content-bound rules of `auralign.score.obey` are obeyed, by
input, and the seconds from a clip to the first token of the answer, one at a time (local/trials.py).

With --short, as for `--size quick`: snap alone of the controls, no rules, and fewer clips to the first token.

Reads: the run's checkpoint, its test set and hypotheses
Writes: <output_folder>/ladder/<name>.json and <name>.md
"""

import argparse
import json
import sys
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from local.measures import CONTROLS, Asked, as_table, group_of, summarise  # noqa: E402
from local.trials import obeyed, show_files, time_first_tokens  # noqa: E402

from auralign import script, steps  # noqa: E402
from auralign.data.audio import COMPRESSED  # noqa: E402
from auralign.decode.stage import make_decoder  # noqa: E402
from auralign.files import write_atomically  # noqa: E402
from auralign.layout import MAIN, Speech, Text, View, fill  # noqa: E402
from auralign.progress import track  # noqa: E402
from auralign.records import Hypothesis, Records, Utterance  # noqa: E402

ANSWERED = {"text": "text", "cascade": "transcript", "speech": "speech", "shuffled": "shuffled"}
NUM_NLL_TOKENS = 24  # of the answer to the text, whose likelihood is compared
NUM_RECOVERY = 20  # questions of each group
NUM_TIMED, NUM_TIMED_QUICK = 20, 5  # clips; the cascade takes seconds for each
NUM_OBEY = 20  # questions of each rule
BATCH_SIZE = 32
AUDIO = (".wav", *COMPRESSED)  # what `--show FOLDER` takes


class Listener:
    """The trained model, asked about the utterances of a manifest."""

    def __init__(self, run, manifest: Records):
        self.decoder = make_decoder(run, manifest)
        self.run, self.manifest = run, manifest
        self.model, self.renderer = self.decoder.model, self.decoder.renderer
        self.llm = self.model.llm
        self.table = self.llm.embed(torch.arange(self.llm.vocabulary_size)).detach().float()
        self.squares = self.table.square().sum(1)
        self.prompt = self.renderer.render(View(fill("{speech}", Speech(""))))

    def text_prompt(self, text: str, instruction: str = "{speech}"):
        """The prompt with a text in place of the speech."""
        return self.renderer.render(View(fill(instruction, Text(text, tag="said"))))

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
        return (2 * embeddings.float() @ self.table.T - self.squares).argmax(1)

    def answer(self, prompts, speech=None, *, about: str = "answers", **decoding) -> list[str]:
        """Answers to prompts, each with its speech embeddings, in batches; `decoding` replaces values of the run's own."""
        texts = []
        speech = speech or [None] * len(prompts)
        for start in track(range(0, len(prompts), BATCH_SIZE), f"ladder: {about}", unit="part"):
            part = slice(start, start + BATCH_SIZE)
            found = self.model.answer(
                prompts[part],
                speech[part],
                decoding=replace(self.decoder.decoding, **decoding),
                stop_ids=self.renderer.stop_ids,
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
        one.heard_text = listener.renderer.read(one.heard).text
    mean = torch.cat(embeddings).mean(0)
    speech = {
        "snap": lambda: [[listener.llm.embed(ids)] for ids in tokens],
        "mean": lambda: [[mean.expand(len(one), -1)] for one in embeddings],
        "noise": lambda: [listener.embed(noise)[:1] for noise in _noises(listener, asked, seed)],
    }
    prompts = [listener.prompt] * len(asked)
    for column in columns:
        answers = (
            listener.answer(prompts, speech[column](), about=column)
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
    drawn = [index for indices in groups.values() for index in rng.sample(indices, min(number, len(indices)))]
    for index in track(drawn, "ladder: likelihoods", unit="question"):
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
    for one in track(
        asked, "ladder: transcripts of the adapted Whisper", unit="clip"
    ):  # alone: its attention has no mask
        texts += recognizer.transcribe(*listener.decoder.frames.get([one.row])[MAIN])
    for one, text in zip(asked, texts, strict=True):
        one.transcript = text
    with listener.llm.original():
        return listener.answer([listener.text_prompt(text) for text in texts], about="adapted")


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
            zip(
                texts,
                listener.answer([listener.text_prompt(text) for text in texts], about="nearest"),
                strict=True,
            )
        )
    return [answers[text] for text in found]


def _mean_frame(frames, row: int) -> torch.Tensor:
    of_row, lengths = frames.get([row])[MAIN]
    return of_row[0, : int(lengths[0])].float().mean(0)


def main(argv):
    own, argv = own_options(argv)
    run = steps.RunFolder.of_arguments(argv, doc=__doc__)
    manifest = Records(own.manifest or run.data.manifest("test"), Utterance)
    listener = Listener(run, manifest)
    if own.show:
        print(show_files(listener, own.show))
        return
    hypotheses = {
        column: Path(own.evaluation) / f"{given}.jsonl" if own.evaluation else run.hypotheses(given)
        for column, given in ({} if own.heard else ANSWERED).items()
    }
    asked = read_questions(listener, {name: path for name, path in hypotheses.items() if path.exists()})
    seed, is_short = run.recipe.seed, own.heard or own.short or run.recipe.own.get("size") == "quick"
    controls = () if own.heard else CONTROLS[:1] if is_short else CONTROLS
    embeddings = listen(listener, asked, columns=controls, seed=seed)
    if own.adapted:
        fill_in(asked, "adapted", answer_transcripts(listener, asked, own.adapted))
    number = own.recovery if own.recovery is not None else 0 if is_short else NUM_RECOVERY
    measure_likelihoods(listener, asked, embeddings, number=number, seed=seed)
    num_timed = NUM_TIMED_QUICK if is_short else NUM_TIMED
    seconds = {} if own.heard else time_first_tokens(listener, asked[: num_timed + 1])
    groups: dict[str, list[Asked]] = defaultdict(list)
    for one in asked:
        groups[group_of(one)].append(one)
    table = {name: summarise(of_group, seed=seed) for name, of_group in groups.items()}
    rules = obeyed(listener, asked, embeddings, 0 if is_short else NUM_OBEY)
    lines = [
        f"Obeys {rule!r}, of {len(found['text'])}: "
        + ", ".join(f"{column} {sum(checks)}" for column, checks in found.items())
        for rule, found in rules.items()
    ]
    lines += [
        f"Seconds to the first token, {column}: median {numpy.median(of_column):.2f} of {len(of_column)} clips, "
        f"{torch.get_num_threads()} threads"
        for column, of_column in seconds.items()
        if of_column
    ]
    page = "\n".join([as_table(table), *lines])
    folder, name = Path(run.folder) / "ladder", own.name or name_of_table(own)
    with write_atomically(folder / f"{name}.json") as file:
        answers = {
            one.utterance.id: {"text": one.utterance.text, "heard": one.heard_text, **one.answers}
            for one in asked
        }
        json.dump(
            {"groups": table, "obeyed": rules, "seconds": seconds, "answers": answers},
            file,
            ensure_ascii=False,
            indent=1,
        )
    with write_atomically(folder / f"{name}.md") as file:
        print(page, file=file)
    print(page)
    print(f"ladder: {folder / name}.md")


def name_of_table(own: argparse.Namespace) -> str:
    """The name of the files of a table: the manifest's, but "test" is that of the run's own test set with its answers.

    >>> name_of_table(argparse.Namespace(manifest=Path("data/human/test.jsonl"), heard=True))
    'human_test_heard'
    """
    if own.manifest is None or own.manifest.stem != "test":
        return own.manifest.stem if own.manifest else "test"
    return "_".join([own.manifest.resolve().parent.name, "test", *["heard"] * own.heard])


def own_options(argv: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """The options of this script, and the other arguments."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--manifest", type=Path)
    parser.add_argument("--evaluation", type=Path)
    parser.add_argument("--name")
    parser.add_argument("--recovery", type=int)
    parser.add_argument("--adapted", type=Path)
    parser.add_argument("--heard", action="store_true")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--show", type=Path, nargs="+")
    own, rest = parser.parse_known_args(argv)
    if own.show:
        own.show = [path for given in own.show for path in (find_audio(given) if given.is_dir() else [given])]
    return own, rest


def find_audio(folder: Path) -> list[Path]:
    """The audio files of a folder and of those in it, sorted.

    Raises FileNotFoundError if there are none."""
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in AUDIO)
    if not found:
        raise FileNotFoundError(f"--show {folder}: no audio in it ({', '.join(AUDIO)})")
    return found


if __name__ == "__main__":
    script.run(main)
