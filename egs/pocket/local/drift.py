"""Drift on a real LLM: arms of targets go on from one connector that informs, with speech made of a codebook.

    python local/drift.py --llm FOLDER [--seeds 1 --arms A,C,D] [--output exp/drift]

There are no acoustics: a token of the LLM is three random vectors of its own, with noise and the speaker's offset. What is
lost is the LLM's obedience, then, and not its hearing. Design, arms and expected contrasts are registered in local/drift.yaml.
Of each run, over instructions that no arm trains, with y the LLM's own answer to the text and x the text itself:

    recovery  (nll(y | other speech) - nll(y | speech)) / (nll(y | other text) - nll(y | text)), sums over all questions
    margin    nll(y | speech) - nll(x | speech), nats a token, minus the same for the text: above 0 the speech commands
    verbatim  share of greedy answers that are the text, without case and punctuation; same: that are y

Before training, the audit's form gap of each arm's targets is taken. The same command goes on after an interruption.

Reads: the LLM
Writes: <output>/<run>.json, <output>/start_<seed>.pt, and the table on stdout
"""

import argparse
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random

import torch
import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))
from local.texts import make_texts  # noqa: E402

from auralign import script  # noqa: E402
from auralign.audit.surprise import read_surprises  # noqa: E402
from auralign.environment import describe_environment  # noqa: E402
from auralign.files import read_json, write_json  # noqa: E402
from auralign.layout import MAIN, SPEECH, TARGET, Response, Speech, Text, View, fill  # noqa: E402
from auralign.models.connectors import StackAndProject  # noqa: E402
from auralign.models.llm import Decoding, load_llm  # noqa: E402
from auralign.models.speech_llm import SpeechLLM  # noqa: E402
from auralign.render import Renderer  # noqa: E402
from auralign.text.words import normalise  # noqa: E402

REGISTERED = Path(__file__).with_suffix(".yaml")
BATCH_SIZE = 20


class Codebook:
    """Speech without acoustics: frames (U * frames_per_token, width) of token ids (U,), as a speaker says them."""

    def __init__(self, vocabulary_size: int, *, width, frames_per_token, noise, speaker, num_speakers):
        generator = torch.Generator().manual_seed(0)
        self.vectors = torch.randn(vocabulary_size, frames_per_token, width, generator=generator)
        self.speakers = speaker * torch.randn(2 * num_speakers, width, generator=generator)
        self.noise = noise

    def say(self, ids, speaker: int, seed: int) -> torch.Tensor:
        """The same seed gives the same frames."""
        clean = self.vectors[torch.as_tensor(ids)].flatten(0, 1)
        generator = torch.Generator().manual_seed(seed)
        return clean + self.speakers[speaker] + self.noise * torch.randn(clean.shape, generator=generator)


class Bench:
    """The LLM, its texts and their speech, and what is done with them.

    Arguments
    ---------
    registered : dict
        The content of drift.yaml.
    llm : str
        A folder or hub id.
    """

    def __init__(self, registered: dict, llm: str):
        self.how = registered
        self.llm = load_llm(llm)
        self.renderer = Renderer(self.llm.tokenizer, system=None, stop_ids=self.llm.stop_ids)
        corpus, codebook = registered["corpus"], registered["codebook"]
        self.codebook = Codebook(self.llm.vocabulary_size, num_speakers=corpus["num_speakers"], **codebook)
        self.train, self.test = choose_texts(
            **{name: corpus[name] for name in ("num_words", "num_train", "num_test")}
        )
        self.own: dict[tuple[str | None, str], Response] = {}  # the LLM's answers to texts
        self.read: dict[tuple, tuple[float, int]] = {}  # nll of responses to texts, which no run changes

    def make_model(self, seed: int) -> SpeechLLM:
        torch.manual_seed(seed)
        width = self.how["codebook"]["width"]
        connector = StackAndProject(width, self.llm.width, **self.how["connector"])
        return SpeechLLM(torch.nn.Module(), connector, self.llm).eval()

    def say(self, text: str, seed: int, *, is_test: bool = False) -> torch.Tensor:
        """Frames of a text, by a speaker that the seed draws, of those of its split."""
        num_speakers = self.how["corpus"]["num_speakers"]
        speaker = Random(f"{text} {seed}").randrange(num_speakers) + num_speakers * is_test
        return self.codebook.say(self.text_ids(text), speaker, seed)

    def text_ids(self, text: str) -> list[int]:
        """The ids of a text in the slot."""
        pieces = self.renderer.render(View((Text(text, SPEECH),))).pieces
        return [token for piece in pieces if piece.tag == SPEECH for token in piece.ids]

    def hear(self, model: SpeechLLM, frames: list[torch.Tensor]) -> list[list[torch.Tensor]]:
        """Speech embeddings, one (U, D) in a list for each clip."""
        padded = torch.nn.utils.rnn.pad_sequence(frames, batch_first=True)
        lengths = torch.tensor([len(one) for one in frames])
        views = [self.renderer.render(View((Speech(""),)))] * len(frames)
        return model.listen(views, {MAIN: (padded, lengths)})[0]

    def answer(self, model: SpeechLLM, instructions, slots) -> list[Response]:
        """Greedy answers to instructions, with a text or speech embeddings (U, D) in the slot of each."""
        found, decoding = [], Decoding(max_new_tokens=self.how["max_new_tokens"])
        for start in range(0, len(instructions), BATCH_SIZE):
            asked, filled = instructions[start : start + BATCH_SIZE], slots[start : start + BATCH_SIZE]
            prompts = [
                self.renderer.render(View(fill(one, segment_of(slot))))
                for one, slot in zip(asked, filled, strict=True)
            ]
            speech = [None if isinstance(slot, str) else [slot] for slot in filled]
            for one in model.answer(prompts, speech, decoding=decoding, stop_ids=self.renderer.stop_ids):
                ended = one.finish_reason == "stop"
                found.append(Response(self.renderer.read(one.ids).text, finished=ended, ids=one.ids))
        return found

    def answer_texts(self, model: SpeechLLM, instruction: str | None, texts) -> list[Response]:
        """The LLM's own answers to texts, each asked once."""
        missing = [text for text in dict.fromkeys(texts) if (instruction, text) not in self.own]
        replies = self.answer(model, [instruction] * len(missing), missing)
        self.own |= {(instruction, text): reply for text, reply in zip(missing, replies, strict=True)}
        return [self.own[instruction, text] for text in texts]

    @torch.no_grad()
    def nll(self, model: SpeechLLM, instruction, slot, response: Response) -> tuple[float, int]:
        """Negative log-likelihood, in nats, of a response, and its number of tokens."""
        if isinstance(slot, str) and (instruction, slot, response) in self.read:
            return self.read[instruction, slot, response]
        view = self.renderer.render(View((*fill(instruction, segment_of(slot)), response)))
        term = model(model.pack([view], [[] if isinstance(slot, str) else [slot]])).cross_entropy(TARGET)
        found = float(term.sum), term.count
        if isinstance(slot, str):
            self.read[instruction, slot, response] = found
        return found

    # --- runs

    def align(self, seed: int) -> SpeechLLM:
        """A connector that gives each token's own embedding, with no LLM in the loop."""
        how, model, rng = self.how["aligned"], self.make_model(seed), Random(seed)
        optimizer = torch.optim.AdamW(model.connector.parameters(), lr=how["lr"], weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, how["lr"], total_steps=how["num_steps"])
        for step in range(how["num_steps"]):
            chosen = rng.sample(self.train, how["utts_per_step"])
            heard = self.hear(model, [self.say(text, step) for text in chosen])
            wanted = torch.cat([self.llm.embed(self.text_ids(text)) for text in chosen]).detach()
            loss = (torch.cat([one[0] for one in heard]) - wanted).square().sum(
                1
            ).mean() / wanted.square().sum(1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        return model

    def targets(self, model: SpeechLLM, arm: dict, texts) -> list[Response]:
        """What an arm teaches about texts."""
        if arm["taught"] == "verbatim":
            return [Response(text) for text in texts]
        return self.answer_texts(model, arm.get("instruction"), texts)

    def audit(self, model: SpeechLLM, arm: dict) -> float:
        """The form gap of an arm's targets before training, in nats a token."""
        texts = self.train[: self.how["num_audited"]]
        views = [
            self.renderer.render(View((*fill(arm.get("instruction"), Text(text, SPEECH)), response)))
            for text, response in zip(texts, self.targets(model, arm, texts), strict=True)
        ]
        read = [one for one in read_surprises(self.llm, views, about="audit") if one is not None]
        return sum(one.gap for one in read) / sum(one.num_tokens for one in read)

    def drift(self, model: SpeechLLM, arm: dict, seed: int) -> float:
        """Train the connector with an arm's targets; returns the mean loss of the last ten steps."""
        how, rng, losses = self.how, Random(seed), []
        optimizer = torch.optim.AdamW(model.connector.parameters(), lr=how["lr"], weight_decay=0.01)
        for step in range(how["num_steps"]):
            chosen = rng.sample(self.train, how["utts_per_step"])  # the same in every arm
            responses = self.targets(model, arm, chosen)
            views = [
                self.renderer.render(View((*fill(arm.get("instruction"), Speech("")), response)))
                for response in responses
            ]
            heard = self.hear(model, [self.say(text, step) for text in chosen])
            term = model(model.pack(views, heard)).cross_entropy(TARGET)
            loss = term.sum / term.count
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.connector.parameters(), 1.0)
            for group in optimizer.param_groups:
                group["lr"] = how["lr"] * min(1.0, (step + 1) / how["num_warmup_steps"])
            optimizer.step()
            losses.append(float(loss.detach()))
            if (step + 1) % 50 == 0:
                print(f"    step {step + 1}, loss {sum(losses[-10:]) / 10:.3f}", flush=True)
        return sum(losses[-10:]) / 10

    @torch.no_grad()
    def measure(self, model: SpeechLLM) -> dict:
        """The measures of the head, and the share of the tokens whose embedding is the nearest to what is heard."""
        texts, instructions = self.test, self.how["instructions"]
        heard = [one[0] for one in self.hear(model, [self.say(text, 0, is_test=True) for text in texts])]
        table = self.llm.embed(torch.arange(self.llm.vocabulary_size))
        named = [(2 * one @ table.T - table.square().sum(1)).argmax(1).tolist() for one in heard]
        ids = [self.text_ids(text) for text in texts]
        pairs = [
            (a, b) for one, other in zip(named, ids, strict=True) for a, b in zip(one, other, strict=True)
        ]
        asked = [
            (row, instructions[(row + number) % len(instructions)])
            for row in range(len(texts))
            for number in range(self.how["num_instructions"])
        ]
        answers = {}
        for row, instruction in asked:
            answers[row, instruction] = self.answer_texts(model, instruction, [texts[row]])[0]
        replies = self.answer(
            model, [instruction for _, instruction in asked], [heard[row] for row, _ in asked]
        )
        sums = dict.fromkeys(("speech", "other speech", "text", "other text"), 0.0)
        margins, verbatim, same = [], 0, 0
        for (row, instruction), reply in zip(asked, replies, strict=True):
            own, other, said = answers[row, instruction], (row + 1) % len(texts), Response(texts[row])
            cut = Response(own.text, finished=False, ids=own.ids)  # its first tokens
            slots = {
                "speech": heard[row],
                "other speech": heard[other],
                "text": texts[row],
                "other text": texts[other],
            }
            found = {name: self.nll(model, instruction, slot, cut) for name, slot in slots.items()}
            for name, (value, _) in found.items():
                sums[name] += value
            command = {
                name: found[name][0] / found[name][1] - nll / count
                for name in ("speech", "text")
                for nll, count in [self.nll(model, instruction, slots[name], said)]
            }
            margins.append(command["speech"] - command["text"])
            verbatim += normalise(reply.text) == normalise(texts[row])
            same += normalise(reply.text) == normalise(own.text)
        return {
            "heard": sum(a == b for a, b in pairs) / len(pairs),
            "recovery": (sums["other speech"] - sums["speech"]) / (sums["other text"] - sums["text"]),
            "margin": sum(margins) / len(margins),
            "verbatim": verbatim / len(asked),
            "same": same / len(asked),
            "num_questions": len(asked),
        }


def segment_of(slot):
    """The segment of a slot: a text, or speech."""
    return Text(slot, SPEECH) if isinstance(slot, str) else Speech("")


def choose_texts(*, num_words: int, num_train: int, num_test: int) -> tuple[list[str], list[str]]:
    """Training and test texts of templates, of a closed vocabulary."""
    texts = [one.words for one in make_texts(num_train=6000, seed=1, share_of_llm=0)["train"]]
    words = [normalise(text).split() for text in texts]
    counts = Counter(word for text in words for word in text)
    known = {word for word, _ in counts.most_common(num_words)}
    found = [text for text, own in zip(texts, words, strict=True) if set(own) <= known]
    Random(1).shuffle(found)
    if len(found) < num_train + num_test:
        raise ValueError(
            f"{REGISTERED}: {len(found)} texts have only the {num_words} commonest words; ask for fewer"
        )
    return found[:num_train], found[num_train : num_train + num_test]


def as_table(registered: dict, rows: list[dict]) -> str:
    """Markdown: a line for each arm, the mean of its seeds with the lowest and the highest, then the contrasts."""
    measures = ("recovery", "margin", "verbatim", "same", "heard")
    lines = [
        "| arm | seeds | gap before, nats a token | loss | " + " | ".join(measures) + " |",
        "|---|--:|--:|--:|" + "--:|" * len(measures),
    ]

    def spread(found: list[float]) -> str:
        text = f"{sum(found) / len(found):.2f}"
        return text if len(found) == 1 else f"{text} ({min(found):.2f}..{max(found):.2f})"

    by_arm = {arm: [row for row in rows if row["arm"] == arm] for arm in ("start", *registered["arms"])}
    for arm, found in by_arm.items():
        cells = ["not run"] * (2 + len(measures))
        if found:
            cells = [
                spread([row[name] for row in found]) if name in found[0] else "-"
                for name in ("gap", "loss", *measures)
            ]
        lines.append(f"| {arm} | {len(found)} | " + " | ".join(cells) + " |")
    lines.append("")
    for contrast in registered["contrasts"]:
        one, other = (
            {row["seed"]: row[contrast["measure"]] for row in by_arm[arm]}
            for arm in contrast["of"].split(" - ")
        )
        both = sorted(set(one) & set(other))
        value = spread([one[seed] - other[seed] for seed in both]) if both else "not run"
        lines.append(
            f"- {contrast['of']}, {contrast['measure']}: {value}; expected {contrast['expected']}; {len(both)} seeds"
        )
    return "\n".join(lines)


def main(argv):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--llm", required=True, help="folder or hub id of the LLM")
    parser.add_argument("--arms", help="some arms alone, separated by commas (default: all)")
    parser.add_argument("--seeds", type=int, help="the first so many seeds alone (default: all)")
    parser.add_argument("--output", type=Path, default=Path("exp/drift"))
    options = parser.parse_args(argv)
    registered = yaml.safe_load(REGISTERED.read_text(encoding="utf-8"))
    arms = options.arms.split(",") if options.arms else list(registered["arms"])
    unknown = [arm for arm in arms if arm not in registered["arms"]]
    if unknown:
        raise ValueError(
            f"--arms: no arm {unknown[0]!r}; {REGISTERED.name} has {', '.join(registered['arms'])}"
        )
    torch.set_flush_denormal(True)  # as the stages do; see auralign.models.build
    environment, bench = describe_environment(), None
    options.output.mkdir(parents=True, exist_ok=True)
    for seed in registered["seeds"][: options.seeds]:
        for arm in ("start", *arms):
            path = options.output / f"{arm}_{seed}.json"
            if path.is_file():
                continue
            bench = bench or Bench(registered, options.llm)
            print(f"== {arm}, seed {seed}", flush=True)
            begun, weights, row = time.process_time(), options.output / f"start_{seed}.pt", {}
            if arm == "start":
                model = bench.align(seed)
                torch.save(model.connector.state_dict(), weights)
            else:
                model = bench.make_model(seed)
                model.connector.load_state_dict(torch.load(weights, weights_only=True))
                row["gap"] = bench.audit(model, registered["arms"][arm])
                row["loss"] = bench.drift(model, registered["arms"][arm], seed)
            row |= {
                "arm": arm,
                "seed": seed,
                **bench.measure(model),
                "cpu_seconds": time.process_time() - begun,
            }
            write_json(path, row | environment)
    rows = [read_json(path) for path in sorted(options.output.glob("*_*.json"))]
    print(as_table(registered, rows))


if __name__ == "__main__":
    script.run(main)
