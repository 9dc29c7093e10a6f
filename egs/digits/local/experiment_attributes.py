"""The experiment `attributes`, AZeroS's second stage in miniature: a second branch for the voice, the first connector frozen.

facts = teach(bench, run)          # an LLM that is taught to read the tags of a speaker's speed and pitch
facts = train_voice(bench, run)    # a branch for the voice, or the first connector further, on the LLM's replies to the tags

AZeroS (arXiv:2601.06086) gives the LLM "<audio><meta>speed: fast, pitch: high</meta><text>three five</text></audio>", and teaches
its reply to the speech of two encoders in the two slots. Nothing is asked in training; tested are the reply, and two questions.
"""

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

import numpy as np

import build_llm
import world
from auralign.layout import MAIN, STUDENT, TARGET, Layout, Segment, Speech, Text, View
from auralign.losses import quantity_error
from auralign.method import AlignmentMethod, Needs
from auralign.records import Choice, Utterance
from experiment_model import Model, restore, train
from experiment_plan import TAGGED_TEXT
from instructions import Prompts, Request, draw_request

VALUES = {"speed": ("slow", "medium", "fast"), "pitch": ("low", "medium", "high")}
ASKED = {  # of the LLM; the connectors are trained without a question
    "speed": ("how fast is this: {speech}", "{speech} name the speed", "tell the speed of {speech}"),
    "pitch": ("how high is this: {speech}", "{speech} name the pitch", "tell the pitch of {speech}"),
}
OPEN, BETWEEN, CLOSE = "<audio><meta>", "</meta><text>", "</text></audio>"
REPLY = re.compile(r"in a (?P<speed>\w+) and (?P<pitch>\w+) voice$")
VOICE = "voice"  # the branch, in the YAML that has it
SHARE_UNTOLD, SHARE_ASKED, SHARE_REPLIES = (
    0.3,
    0.25,
    0.25,
)  # of the LLM's requests; the rest are other tasks, with tags
UNSAID = (Speech(""),)
TAGGED = (Text(OPEN), Speech("", branch=VOICE), Text(BETWEEN), Speech(""), Text(CLOSE))
READ = tuple(replace(segment, branch=MAIN) if isinstance(segment, Speech) else segment for segment in TAGGED)


def describe(told: Mapping[str, str]) -> str:
    """Attributes as the LLM reads them.

    >>> describe({"speed": "fast", "pitch": "high"})
    'speed: fast, pitch: high'
    """
    return ", ".join(f"{name}: {told[name]}" for name in VALUES)


def reply_to(digits: Sequence[str], told: Mapping[str, str]) -> str:
    """The LLM's reply to digits with tags, without any instruction.

    >>> reply_to(["three"], {"speed": "fast", "pitch": "high"})
    'okay you gave me three in a fast and high voice'
    """
    return f"{world.default_reply(digits)} in a {told['speed']} and {told['pitch']} voice"


# --- the LLM


@dataclass(frozen=True)
class Told(Request):
    """A request whose content has tags around it; without them if `told` is None."""

    told: tuple[str, str] | None = None  # speed and pitch

    @property
    def reference(self):
        told = self.told and dict(zip(VALUES, self.told, strict=True))
        if self.task in ASKED:
            return f"the {self.task} is {told[self.task]}"
        if told and self.task is None and world.split_content(self.content)[0] is None:
            return reply_to(self.content, told)
        return super().reference


class ToldPrompts(Prompts):
    """Prompts with tags. What they enclose counts as content, which the LLM sees with noise: branches will take its positions."""

    def prompt_parts(self, request, rng=None):
        """As of `Prompts`."""
        if request.told is None:
            return super().prompt_parts(request, rng)
        before, after = request.phrasing.split(world.SLOT)
        meta = self.ids(describe(dict(zip(VALUES, request.told, strict=True))))
        return (
            self.prefix + self.ids(before) + self.ids(OPEN),
            meta + self.ids(BETWEEN) + self.content_ids(request.content, rng),
            self.ids(CLOSE) + self.ids(after) + self.suffix,
        )


def draw_told(rng: Random) -> Told:
    """Draw a training request: as before, a question about an attribute, tags without a question, or another task with tags."""
    request = draw_request(rng)
    told = tuple(rng.choice(values) for values in VALUES.values())
    digits = tuple(world.draw_digits(rng, 1, 7, held_out=False))
    kind = rng.random()
    if kind < SHARE_UNTOLD:
        return Told(request.task, request.phrasing, request.content)
    if kind < SHARE_UNTOLD + SHARE_ASKED:
        name = rng.choice(list(ASKED))
        return Told(name, rng.choice(ASKED[name]), digits, told=told)
    if kind < SHARE_UNTOLD + SHARE_ASKED + SHARE_REPLIES:
        return Told(None, world.SLOT, digits, told=told)
    return Told(request.task, request.phrasing, request.content, told=told)


def teach(bench, run) -> dict:
    """Teach an LLM the tags; what it does with texts, with and without tags, is what speech can reach at most."""
    how, folder = bench.how(run), bench.llm_folder(run)
    if not (folder / "config.json").is_file():
        build_llm.adapt_llm(
            folder,
            init="models/llm",
            draw=draw_told,
            make_prompts=ToldPrompts,
            seed=run.llm_seed,
            num_steps=how["llm"]["num_steps"],
            examples_per_step=how["llm"]["examples_per_step"],
            peak_lr=how["llm"]["lr"],
        )
    loaded = bench.load(run, how["connector_of"])
    questions, which = bench.questions(loaded)
    texts = [utterance.text for utterance in loaded.test.utterances]
    tags = [describe(utterance.attributes) for utterance in loaded.test.utterances]
    slots = [list(pair) for pair in zip(loaded.read(tags), loaded.read(texts), strict=True)]
    shares = name_attributes(loaded, slots, READ)
    return {
        "answers": {
            "text": loaded.answer(questions, loaded.read([texts[index] for index in which])),
            TAGGED_TEXT: _answer(loaded, questions, [slots[index] for index in which], READ),
        },
        "attributes": [shares[index] for index in which],
        "voices": [loaded.test.utterances[index].speaker for index in which],
    }


# --- the connectors


@dataclass(frozen=True)
class Voiced(AlignmentMethod):
    """The LLM's reply to digits with tags, after speech: in the slots of two branches, or as it is.

    Arguments
    ---------
    has_branch : bool
        Whether the voice has a branch of its own. If it has none, the connector of the words counts tokens, and the error of its
        count is a term of the loss.
    """

    has_branch: bool

    name = "voiced"

    @property
    def needs(self):
        """The transcript's token count, for a connector that is trained."""
        return Needs(num_tokens=not self.has_branch, llm_views=(STUDENT,))

    def choices(self, utterance, rng):
        """Nothing is asked."""
        yield Choice(task="none")

    def given_response(self, utterance, choice):
        """The target, by rule."""
        return reply_to(utterance.text.split(), utterance.attributes)

    def layout(self, utterance, choice, response):
        """Speech in its slots, then the reply."""
        return Layout.of(View((*_in_slots(self.has_branch, utterance), response)))

    def loss(self, views):
        """Cross-entropy on the target, and the error of the count."""
        student = views[STUDENT]
        terms = {"cross_entropy": student.cross_entropy(TARGET)}
        if not self.has_branch:
            error = quantity_error(student.extras["quantity"], student.extras["num_tokens"])
            terms["quantity"] = replace(error, weight=1.0)
        return terms


def _in_slots(has_branch: bool, utterance: Utterance) -> tuple[Segment, ...]:
    if not has_branch:
        return (Speech(utterance.text),)
    voice = Speech(describe(utterance.attributes), branch=VOICE, tag="attributes")
    return Text(OPEN), voice, Text(BETWEEN), Speech(utterance.text), Text(CLOSE)


def train_voice(bench, run) -> dict:
    """Train the branch of the voice beside the frozen first connector ("two_branches"), or that connector ("one_branch").

    Returns dict: `attributes` has, for each question, the share of the utterance's attributes that are named rightly; see
    `name_attributes`.
    """
    how, has_branch = bench.how(run), run.arm == "two_branches"
    loaded = bench.load(run, how["connector_of"], branches_of=how["branches_of"] if has_branch else None)
    restore(loaded, bench.start_folder(run))
    part = loaded.model.connector
    if has_branch:
        part.requires_grad_(False)
        part = loaded.model.branches[VOICE].connector
    budget = {name: how[name] for name in ("num_steps", "utts_per_step", "lr", "num_warmup_steps")}
    losses = train(loaded, Voiced(has_branch), seed=run.connector_seed, part=part, **budget)
    segments = TAGGED if has_branch else UNSAID
    questions, which = bench.questions(loaded)
    slots = loaded.listen(loaded.test, segments)
    shares = name_attributes(loaded, slots, segments)
    return {
        "answers": {run.arm: _answer(loaded, questions, [slots[index] for index in which], segments)},
        "attributes": [shares[index] for index in which],
        "loss": round(float(np.mean(losses[-10:])), 4),
    }


def _answer(loaded: Model, questions, slots, segments) -> str:
    instructions = [question.instruction for question in questions]
    return loaded.judge(questions, loaded.reply(instructions, slots, segments=segments))


def name_attributes(loaded: Model, slots, segments) -> list[float]:
    """Of each test utterance, the share that is right of four: both attributes in the reply to speech without an instruction, and
    the answers to a question about each.

    Arguments
    ---------
    loaded : Model
    slots : list of list of torch.Tensor
        Of each test utterance, the embeddings (U, D) of each span of speech among the segments.
    segments : tuple of Segment
    """
    utterances = loaded.test.utterances
    ask = functools.partial(loaded.reply, slots=slots, segments=segments)
    unasked = [reply.text for reply in ask([None] * len(utterances))]
    asked = {name: [reply.text for reply in ask([ASKED[name][0]] * len(utterances))] for name in ASKED}
    return [
        share_named(
            utterance.attributes, unasked[row], {name: answers[row] for name, answers in asked.items()}
        )
        for row, utterance in enumerate(utterances)
    ]


def share_named(told: Mapping[str, str], unasked: str, asked: Mapping[str, str]) -> float:
    """The share that is right of the attributes in a reply and in the answers to a question about each.

    >>> told = {"speed": "fast", "pitch": "high"}
    >>> share_named(told, "okay you gave me three in a fast and low voice", {"speed": "the speed is fast", "pitch": ""})
    0.5
    """
    found = REPLY.search(unasked)
    right = [found is not None and found[name] == told[name] for name in VALUES]
    right += [asked[name] == f"the {name} is {told[name]}" for name in VALUES]
    return sum(right) / len(right)
