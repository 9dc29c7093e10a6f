"""The little world that the checks of a method run in: utterances, documents, a tiny SpeechLLM, and a step of training."""

import tempfile
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random

import torch

from auralign.layout import MAIN, Layout, Response, Speech
from auralign.losses import total
from auralign.method import AlignmentMethod, draw, lay_out
from auralign.models.connectors import ContinuousIntegrateAndFire, StackAndProject
from auralign.models.llm import LLM, load_llm
from auralign.models.speech_llm import Branch, SpeechLLM, score_targets
from auralign.records import Choice, Utterance
from auralign.render import Renderer
from auralign.testing.tiny.llm import make_tiny_llm
from auralign.train.examples import PackOfExamples
from auralign.train.step import compute_terms, count_units

UTTERANCES = tuple(
    Utterance(
        id=f"kit-utterance-{number}",
        audio=f"u{number}.flac",
        seconds=1.0 + number,
        text=text,
        language="en",
        speaker=f"s{number}",
        attributes={"age": 30 + number, "gender": "female", "emotion": "happy"},
        words=tuple((word, 0.3 * index, 0.3 * index + 0.3) for index, word in enumerate(text.split())),
    )
    for number, text in enumerate(["three five nine", "please sort the above", "nine"])
)
TEXTS = {one.id: one.text for one in UTTERANCES}


def _find(identity: str) -> Utterance:
    return next(one for one in KIT if one.id == identity)


def _naming(utterance: Utterance, *others: int) -> Utterance:
    return replace(utterance, others=tuple(UTTERANCES[one].id for one in others), find_other=_find)


def _document(number: int, first: int, second: int) -> Utterance:
    """A document of which two spans are heard; `labels` say which characters, as the builder of documents does."""
    text, spans = "", {}
    for words, one in (("they said ", UTTERANCES[first]), (" and then ", UTTERANCES[second])):
        start = len(text) + len(words)
        text += words + one.text
        spans[one.id] = [start, len(text)]
    document = Utterance(
        f"kit-document-{number}", "", 0.0, text + ", or so it seemed", labels={"spans": spans}
    )
    return _naming(document, first, second)


# Each utterance names the two that follow. A method that needs no others is not asked about documents.
KIT = (
    *(_naming(one, (number + 1) % 3, (number + 2) % 3) for number, one in enumerate(UTTERANCES)),
    *(_document(number, (number + 1) % 3, (number + 2) % 3) for number in range(3)),
)
UTTERANCES, DOCUMENTS = KIT[:3], KIT[3:]
RESPONSE = "i heard three five nine"
WIDTH, NUM_FRAMES = 6, 9  # of the frames that replace an encoder's


def tried_utterances(method: AlignmentMethod, utterances: Iterable[Utterance] = KIT) -> list[Utterance]:
    """The utterances, with the attributes that the method wants to be tried with."""
    return [replace(one, attributes={**one.attributes, **method.attributes_tried}) for one in utterances]


def make_examples(
    method: AlignmentMethod, utterances: Iterable[Utterance] = KIT
) -> list[tuple[Utterance, Choice, Layout]]:
    """Each choice of each utterance, laid out with a response such as an LLM gives, or an empty one if the method needs none."""
    target = Response(RESPONSE) if method.needs.target else Response("", finished=False)
    return [
        (utterance, choice, lay_out(method, utterance, choice, target))
        for utterance in tried_utterances(method, utterances)
        for choice in draw(method, utterance, Random(f"1:{utterance.id}"))
    ]


def make_layouts(
    method: AlignmentMethod, utterances: Iterable[Utterance] = KIT
) -> list[tuple[Utterance, Layout]]:
    """The examples without their choices."""
    return [(utterance, layout) for utterance, _, layout in make_examples(method, utterances)]


@cache
def _tiny_llm() -> LLM:
    with tempfile.TemporaryDirectory() as folder:
        return load_llm(make_tiny_llm(Path(folder) / "llm"))


@cache
def _kept_world(
    counts: bool, branches: tuple[str, ...], heads: tuple[tuple[str, int], ...], bias: bool
) -> tuple[SpeechLLM, Renderer]:
    return _make_world(counts, branches, heads, bias)


def get_world(method: AlignmentMethod, *, fresh: bool = False) -> tuple[SpeechLLM, Renderer]:
    """A tiny SpeechLLM with the branches and heads that a method needs, and its renderer.

    Arguments
    ---------
    method : AlignmentMethod
        If it needs the number of tokens, the connector is one that counts them.
    fresh : bool
        Whether the model is a new one, to be trained; otherwise methods with the same needs share one.
    """
    branches = {
        segment.branch
        for _, layout in make_layouts(method)
        for segment in layout.student.contents
        if isinstance(segment, Speech)
    }
    heads = tuple(sorted(method.needs.heads.items()))
    make = _make_world if fresh else _kept_world
    return make(method.needs.num_tokens, tuple(sorted(branches - {MAIN})), heads, method.needs.head_bias)


def _make_world(
    counts: bool, branches: tuple[str, ...], heads: tuple[tuple[str, int], ...], bias: bool
) -> tuple[SpeechLLM, Renderer]:
    llm = _tiny_llm()
    torch.manual_seed(0)
    connector: torch.nn.Module
    if counts:
        connector = ContinuousIntegrateAndFire(WIDTH, llm.width, tokens_per_frame=0.5, project_first=True)
    else:
        connector = StackAndProject(WIDTH, llm.width, stride=2, keep_remainder=True)
    made_branches = {
        name: Branch(torch.nn.Identity(), StackAndProject(WIDTH, llm.width, stride=3, keep_remainder=True))
        for name in branches
    }
    made_heads = {name: torch.nn.Linear(llm.width, size, bias=bias) for name, size in heads}
    model = SpeechLLM(torch.nn.Identity(), connector, llm, branches=made_branches, heads=made_heads)
    return model, Renderer(llm.tokenizer, stop_ids=llm.stop_ids, turns=True)


def compute_step_loss(
    method: AlignmentMethod, packs: list[list[int]], *, model: SpeechLLM | None = None
) -> torch.Tensor:
    """The loss of one training step, a scalar, over packs of the first examples of utterances.

    Arguments
    ---------
    method : AlignmentMethod
    packs : list of list of int
        The numbers of the utterances in each pack.
    model : SpeechLLM, optional
        The shared one of the method's world by default.
    """
    made = make_packs(method, packs)
    units = count_units(made)
    model = model or get_world(method)[0]
    return torch.stack([total(compute_terms(method, model, pack), units) for pack in made]).sum()


def make_packs(method: AlignmentMethod, packs: list[list[int]]) -> list[PackOfExamples]:
    """Packs of the first examples of utterances, as training makes them; `packs` has the numbers of the utterances in each, or
    of the documents if the method asks about nothing else."""
    model, renderer = get_world(method)
    needs = method.needs
    frames = torch.randn(len(UTTERANCES), NUM_FRAMES, WIDTH, generator=torch.Generator().manual_seed(1))
    lengths = torch.tensor([9, 6, 3])
    first = {utterance.id: (choice, layout) for utterance, choice, layout in reversed(make_examples(method))}
    tried = UTTERANCES if any(one.id in first for one in UTTERANCES) else DOCUMENTS
    numbers = {one.id: number for number, one in enumerate(UTTERANCES)}
    made = []
    for pack in packs:
        asked = [tried[number] for number in pack if tried[number].id in first]
        if not asked:
            continue
        choices, layouts = zip(*(first[one.id] for one in asked), strict=True)
        heard = [
            [numbers[piece.of or one.id] for piece in renderer.render(layout.student).speech]
            for one, layout in zip(asked, layouts, strict=True)
        ]
        rows = [
            [*dict.fromkeys(of_one)] or [numbers[one.id]] for one, of_one in zip(asked, heard, strict=True)
        ]
        chosen = [row for of_one in rows for row in of_one]
        of_spans = tuple(
            (len(own), tuple(map(own.index, of_one))) for own, of_one in zip(rows, heard, strict=True)
        )
        views = {"student": [renderer.render(layout.student) for layout in layouts]}
        teacher, kept = [renderer.render(layout.teacher) for layout in layouts], None
        if needs.teacher or needs.num_tokens:
            views["teacher"] = teacher
        if needs.top_k:
            kept = score_targets(model.llm, teacher, top_k=needs.top_k, temperature=needs.temperature)
        speech = {name: (frames[chosen], lengths[chosen]) for name in model.connectors}
        made.append(PackOfExamples(views, speech, choices, kept, heard=of_spans))
    return made
