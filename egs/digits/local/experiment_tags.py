"""What tags and grades do, in miniature: `tagged` on two corpora whose answers clash, `conditional` on spoiled answers (E13).

    python local/experiment_tags.py forms [--num_steps 150] [--seed 1] [--data_folder data/synthetic]
    python local/experiment_tags.py spoiled [--num_steps 150] [--seed 1]

forms       half of the utterances are answered as "i heard three five", half in Spanish; nothing audible tells which. The form is
            written as a tag, as words or not at all; then each test utterance is asked for in both forms.
spoiled     the LLM's own replies, of which 30 % are the bare transcript instead. All are taught alike, the spoiled ones are left
            out, or all are taught under a tag; then tasks are asked for that no arm trains.

Arms of one command take the same utterances in each step, but for those that are left out. A line for each goes to stdout.

Reads:
    <data_folder>/train.jsonl, test.jsonl, and their audio; models/llm, models/encoder
Writes:
    nothing
"""

import argparse
import copy
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import world
from auralign.constructor import Constructor
from auralign.layout import Layout, Speech, View
from auralign.method import AlignmentMethod, in_slot
from auralign.models.build import build_model
from auralign.plugins import find_method, load_class, load_method
from auralign.recipe import load_recipe
from auralign.records import Choice
from experiment_arms import make_questions
from experiment_model import Corpus, Model, train

FORMS = ("repeat", "spanish")
SPOILED = 0.3
CONNECTOR = {"utts_per_step": 32, "lr": 5e-3, "num_warmup_steps": 15}


@dataclass(frozen=True)
class Replies(AlignmentMethod):
    """The LLM's reply to bare digits, or of some utterances the digits alone."""

    name = "replies"

    def choices(self, utterance, rng):
        yield Choice(task="none")

    def given_response(self, utterance, choice):
        return utterance.text if is_spoiled(utterance) else world.default_reply(utterance.text.split())

    def layout(self, utterance, choice, response):
        return Layout(View((Speech(utterance.text), response)))


class Graded(load_class(find_method("conditional"))):  # type: ignore[misc]  # an entry point has no static type
    """`conditional` of `Replies`, with the grade that stage 2 would give."""

    method = Replies()

    def layout(self, utterance, choice, response):
        copied = float(response.text == utterance.text)
        return super().layout(utterance, choice, replace(response, grades={self.by: copied}))


def is_spoiled(utterance) -> bool:
    return Random(f"spoiled {utterance.id}").random() < SPOILED


def form_of(utterance) -> str:
    return Random(f"form {utterance.id}").choice(FORMS)


def load(options) -> Model:
    """A model whose connector and tags have random weights."""
    names = {"tags": [f"form={form}" for form in FORMS], "quality": ["good", "bad"]}
    books = {name: Constructor("auralign.models.books.Tags", names=of_one) for name, of_one in names.items()}
    changes = {"data_folder": options.data_folder, "seed": str(options.seed), "feature_cache": "memory"}
    recipe = replace(load_recipe("hparams/sift.yaml", changes), books=books)
    model, renderer = build_model(recipe)
    model.eval()
    data = Path(options.data_folder)
    return Model(
        model,
        renderer,
        *(Corpus(data / f"{name}.jsonl", recipe, model) for name in ("train", "test")),
        recipe,
    )


def fit(loaded: Model, method, options, weights: dict) -> float:
    """Train connector and tags from these weights on; returns the mean loss of the last ten steps."""
    loaded.model.trained_parts.load_state_dict(weights)
    how = {**CONNECTOR, "num_steps": options.num_steps, "seed": options.seed}
    losses = train(loaded, method, **how, part=loaded.model.trained_parts)
    return sum(losses[-10:]) / len(losses[-10:])


def forms(options) -> None:
    """With no prefix the form of an answer can only be guessed; with one it is asked for."""
    loaded = load(options)
    weights = copy.deepcopy(loaded.model.trained_parts.state_dict())
    loaded.train.utterances = [
        replace(one, labels={"form": form_of(one), "written": world.answer(form_of(one), one.text.split())})
        for one in loaded.train.utterances
    ]
    for written in ("nothing", "words", "tags"):
        shape = {"tasks": {"answer": "written"}, "slots": ["form"], "written": written, "share_unknown": 0.0}
        method = load_method("tagged", **shape)
        loss = fit(loaded, method, options, weights)
        for form in FORMS:
            asked = in_slot(replace(method, use={"form": form}))
            heard = loaded.listen(loaded.test, asked)
            replies = loaded.reply([None] * len(heard), heard, segments=asked)
            found: Counter[str] = Counter()
            for utterance, reply in zip(loaded.test.utterances, replies, strict=True):
                answers = {one: world.answer(one, utterance.text.split()) for one in FORMS}
                found["form"] += reply.text.split()[:1] == answers[form].split()[:1]
                found["content"] += reply.text in answers.values()
                found["exact"] += reply.text == answers[form]
            say(f"forms, prefix {written}, asked for {form}", found, len(replies), loss)


def spoiled(options) -> None:
    """All answers alike, the spoiled ones left out, or all of them under a tag."""
    loaded = load(options)
    weights = copy.deepcopy(loaded.model.trained_parts.state_dict())
    everything = list(zip(loaded.train.utterances, loaded.train.rows, strict=True))
    arms = {"all": Replies(), "filter": Replies(), "conditional": Graded()}
    for arm, method in arms.items():
        if options.arm not in (None, arm):
            continue
        kept = [pair for pair in everything if arm != "filter" or not is_spoiled(pair[0])]
        loaded.train.utterances, loaded.train.rows = zip(*kept, strict=True)
        loss = fit(loaded, method, options, weights)
        slots = {"good": in_slot(method)}
        if arm == "conditional":
            slots["bad"] = (replace(slots["good"][0], ids=("bad",)), *slots["good"][1:])
        questions = make_questions(loaded.test.utterances)
        row = {utterance.id: number for number, utterance in enumerate(loaded.test.utterances)}
        for quality, slot in slots.items():
            heard = loaded.listen(loaded.test, slot)
            replies = loaded.reply(
                [question.instruction for question in questions],
                [heard[row[question.utt_id]] for question in questions],
                segments=slot,
            )
            found = Counter(loaded.judge(questions, replies))
            freely = loaded.reply([None] * len(heard), heard, segments=slot)
            said = [utterance.text for utterance in loaded.test.utterances]
            pairs = [(reply.text, text) for reply, text in zip(freely, said, strict=True)]
            own = sum(reply == world.default_reply(text.split()) for reply, text in pairs)
            copies = sum(world.extract(reply)[0] is None for reply, _ in pairs)
            say(
                f"spoiled, {arm}, nothing asked, {quality}",
                {"own reply": own, "in no form": copies},
                len(said),
                loss,
            )
            say(
                f"spoiled, {arm}, asked for {quality}",
                {"exact": found["r"], "transcribed": found["v"]},
                len(replies),
                loss,
            )


def say(what: str, found, number: int, loss: float) -> None:
    shares = ", ".join(f"{name} {count / number:.2f}" for name, count in found.items())
    print(f"{what}: {shares} of {number}, loss {loss:.3f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("forms", "spoiled"))
    parser.add_argument("--num_steps", type=int, default=150)
    parser.add_argument("--arm", help="of `spoiled`: all, filter or conditional; default: each of them")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--data_folder", default="data/synthetic")
    options = parser.parse_args()
    {"forms": forms, "spoiled": spoiled}[options.what](options)


if __name__ == "__main__":
    main()
