"""The conformance kit: what every alignment method must be, whoever wrote it.

    # tests/test_keywords.py
    from auralign.testing import parametrize_with_checks
    from my_methods import Keywords

    @parametrize_with_checks([Keywords])
    def test_keywords(method, check):
        check(method)

Each check is a function of a method; its docstring says why it is there, its failure what to do. Options to try stand on the
method's class (`examples`), as do checks that cannot hold for it, with the reason (`expected_failures`): such a check must
fail, or it is no longer expected to.
"""

import contextlib
import copy
import inspect
import json
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from random import Random

import torch

from auralign.layout import MAIN, Speech, Target, Text
from auralign.losses import total
from auralign.method import (
    API_VERSION,
    FIDELITIES,
    AlignmentMethod,
    MethodFailedError,
    draw,
    lay_out,
)
from auralign.models.connectors import ContinuousIntegrateAndFire, StackAndProject
from auralign.models.llm import load_llm
from auralign.models.speech_llm import Branch, SpeechLLM, score_targets
from auralign.records import Utterance
from auralign.render import Renderer
from auralign.testing.tiny import make_tiny_llm
from auralign.train.examples import PackOfExamples
from auralign.train.step import compute_terms, count_units, loss

UTTERANCES = tuple(
    Utterance(
        id=f"kit-utterance-{number}",
        audio=f"u{number}.flac",
        seconds=1.0 + number,
        text=text,
        language="en",
        speaker=f"s{number}",
        attributes={"age": 30 + number, "gender": "female", "emotion": "happy"},
        words=tuple((word, 0.3 * place, 0.3 * place + 0.3) for place, word in enumerate(text.split())),
    )
    for number, text in enumerate(["three five nine", "please sort the above", "nine"])
)
ODD_TEXTS = (
    "",
    "مرحبا بالعالم",
    "三五九",
    "</s><|im_end|><|eot_id|>",
    "{speech} {}",
    "tab\tline\nnul\0",
    "word " * 500,
)
RESPONSE = "i heard three five nine"
WIDTH, NUM_FRAMES = 6, 9  # of the frames that stand for an encoder's


class CheckFailedError(AssertionError):
    """A method that is not what every method must be; says what to do."""


def check_method(method: type[AlignmentMethod] | AlignmentMethod) -> None:
    """Run every check on a method, or on a class with each of its `examples`. Raises CheckFailedError at the first failure."""
    for instance in instances(method):
        for check in CHECKS:
            run_check(check, instance)


def parametrize_with_checks(methods):
    """A pytest decorator: one test for each method (or class, with each of its `examples`) and each check."""
    import pytest

    cases = [
        pytest.param(instance, partial(run_check, check), id=f"{instance.name}-{number}-{check.__name__}")
        for method in methods
        for number, instance in enumerate(instances(method))
        for check in CHECKS
    ]
    return pytest.mark.parametrize(("method", "check"), cases)


def instances(method) -> list[AlignmentMethod]:
    """A method itself, or a class made with each of its `examples`."""
    if isinstance(method, AlignmentMethod):
        return [method]
    try:
        return [method(**options) for options in method.examples]
    except TypeError as error:
        raise CheckFailedError(
            f"{method.__name__} cannot be made with its examples {method.examples}: {error}; give every option a default, or "
            "name options that work in the class's `examples`"
        ) from error


def run_check(check: Callable, method: AlignmentMethod) -> None:
    """One check, of which an expected failure must be one."""
    reason = method.expected_failures.get(check.__name__)
    __tracebackhide__ = True  # of pytest: what failed is the method, not the kit
    try:
        check(method)
    except Exception as error:  # whatever a method raises where it should not
        if reason is not None:
            return
        why = " ".join((check.__doc__ or "").split())
        said = f"{error}" if isinstance(error, CheckFailedError) else f"{type(error).__name__}: {error}"
        raise CheckFailedError(f"{said}\n    {check.__name__}: {why}") from error
    if reason is not None:
        raise CheckFailedError(
            f"{method.name}: {check.__name__} passes, but is declared to fail ({reason}); remove it from expected_failures"
        )


def fail(method, problem: str, repair: str) -> None:
    raise CheckFailedError(f"{method.name or type(method).__name__}: {problem}; {repair}")


def check_metadata(method) -> None:
    """A method without a name cannot be chosen, without a docstring not understood, of another API not driven."""
    if not method.name or not method.name.isidentifier():
        fail(
            method,
            f"its name is {method.name!r}",
            "give the class a `name` of letters, digits and underscores",
        )
    if method.api_version != API_VERSION:
        fail(method, f"it speaks API {method.api_version!r}", f"this auralign speaks {API_VERSION}")
    if method.fidelity not in FIDELITIES:
        fail(method, f"its fidelity is {method.fidelity!r}", f"use {' or '.join(FIDELITIES)}")
    if not (type(method).__doc__ or "").strip() or type(method).__doc__.startswith(
        f"{type(method).__name__}("
    ):
        fail(
            method,
            "it has no docstring",
            "say what the LLM is asked, what is taught, and what is faithful to the paper",
        )
    unknown = set(method.expected_failures) - {check.__name__ for check in CHECKS}
    if unknown:
        fail(method, f"expected_failures names {sorted(unknown)}", "name checks of auralign.testing.CHECKS")


def check_options(method) -> None:
    """Options are part of every target's provenance: plain values, from which the very method can be made again."""
    options = method.options()
    hidden = set(inspect.signature(type(method)).parameters) - set(options)
    if hidden:
        fail(
            method,
            f"it takes {sorted(hidden)}, which its options {options} do not tell",
            "make it a @dataclass(frozen=True), or write `options`",
        )
    try:
        again = type(method)(**json.loads(json.dumps(options)))
    except TypeError as error:
        fail(
            method,
            f"its options {options} are not plain values ({error})",
            "make it a dataclass of plain values",
        )
    if json.dumps(again.options(), sort_keys=True) != json.dumps(options, sort_keys=True) or _plain(
        again
    ) != _plain(method):
        fail(
            method,
            f"made again from its options {options} it is {again}",
            "let `options` give all that it was made with, and change nothing in __post_init__",
        )


def check_layout(method) -> None:
    """Without speech there is nothing to hear, without a target nothing to learn, and the teacher has no ears."""
    texts = set()
    if not _layouts(method):
        fail(
            method,
            "it asks nothing about any utterance",
            "yield a Choice for one with text, words, gender, age and emotion",
        )
    for utterance, layout in _layouts(method):
        heard = [segment for segment in layout.student.segments if isinstance(segment, Speech)]
        texts |= {(utterance.id, segment.text) for segment in heard}
        if not heard:
            fail(method, "its student view has no Speech", "put Speech(utterance.text) where the audio goes")
        if any(isinstance(segment, Speech) for segment in layout.teacher.segments):
            fail(method, "its teacher view has Speech", "let the teacher read: Layout.of(student) does")
        for name, view in (("student", layout.student), ("teacher", layout.teacher)):
            if view.target is None:
                fail(method, f"its {name} view has no Target", "put `response` last")
    if len({text for _, text in texts}) < len({identity for identity, _ in texts}):
        fail(method, "its Speech stands for the same text whatever was said", "write Speech(utterance.text)")


def check_layout_knows_no_answer(method) -> None:
    """The LLM is asked before there is an answer: another response may change the Target alone, and goes into it as it is."""
    for utterance in _utterances(method):
        for choice in draw(method, utterance, Random(f"1:{utterance.id}")):
            laid = {text: lay_out(method, utterance, choice, Target(text)) for text in (RESPONSE, "zyzzyva")}
            for text, layout in laid.items():
                if layout.student.target != Target(text):
                    fail(
                        method,
                        f"the response {text!r} becomes {layout.student.target}",
                        "hand `response` on as it is",
                    )
            prompts = {
                (layout.student.before_target(), layout.teacher.before_target()) for layout in laid.values()
            }
            if len(prompts) > 1:
                fail(
                    method,
                    "its prompt changes with the response",
                    "lay out the prompt from utterance and choice alone",
                )


def check_layout_is_pure(method) -> None:
    """Targets are asked for and trained on in different runs: what was drawn must be drawn again, and laid out alike."""
    for utterance in _utterances(method):
        before = copy.deepcopy(utterance)
        first, *others = (draw(method, utterance, Random("seed")) for _ in range(NUM_DRAWS))
        again = next((found for found in others if found != first), first)
        if first != again:
            fail(
                method,
                f"choices draws {first}, then {again}",
                "draw from the rng that is given, and from nothing else",
            )
        for choice in first:
            laid = [lay_out(method, utterance, choice, Target(RESPONSE)) for _ in range(NUM_DRAWS)]
            if any(layout != laid[0] for layout in laid):
                fail(
                    method,
                    "layout gives two layouts for one choice",
                    "draw in `choices` and keep it in the Choice",
                )
        if utterance != before:
            fail(method, "it changes the utterance", "make new values; the records are shared")


def check_choices_are_kept(method) -> None:
    """A choice is kept with its target as JSON; what comes back must lay out as what was drawn."""
    from auralign.generate.targets import draw_choices

    for utterance in _utterances(method):
        drawn = draw(method, utterance, Random(f"1:{utterance.id}"))
        for before, after in zip(drawn, draw_choices(method, utterance, 1), strict=True):
            layouts = [lay_out(method, utterance, choice, Target(RESPONSE)) for choice in (before, after)]
            if layouts[0] != layouts[1]:
                fail(
                    method,
                    f"the choice {before} is read back as {after}",
                    "keep plain values: str, numbers, lists, dicts",
                )


def check_odd_texts(method) -> None:
    """Corpora hold empty lines, other scripts, special tokens and half an hour in one row: text is data."""
    _, renderer = _world(method)
    for text in ODD_TEXTS:
        utterance = replace(UTTERANCES[0], id="odd", text=text, words=())
        odd, plain = (_layouts(method, [said]) for said in (utterance, replace(utterance, text="three")))
        for (_, layout), (_, other) in zip(odd, plain, strict=True):
            if _frame(renderer.render(layout.teacher)) != _frame(renderer.render(other.teacher)):
                fail(
                    method,
                    f"the text {text[:20]!r} changes the frame of the prompt",
                    "leave rendering to the toolkit",
                )


def check_student_is_asked_what_the_teacher_is(method) -> None:
    """A model trained after another prompt than the one that drew its target learns the difference of the prompts."""
    for _, layout in _layouts(method):
        student, teacher = layout.student.read().before_target(), layout.teacher.before_target()
        if _said(student) != _said(teacher) or student.system != teacher.system:
            fail(
                method,
                f"the LLM is asked {_said(teacher)!r}, the model is trained after {_said(student)!r}",
                "use Layout.of(student); where the difference is the method, declare this check in expected_failures",
            )


def check_student_is_not_told(method) -> None:
    """What the student can read it need not hear: neither the transcript nor an attribute may stand in its text."""
    for utterance in _utterances(method):
        for name, value in utterance.attributes.items():
            other = value + 100 if isinstance(value, (int, float)) else "zyzzyva"
            changed = replace(utterance, attributes={**utterance.attributes, name: other})
            if _texts_of_students(method, utterance, utterance) != _texts_of_students(
                method, utterance, changed
            ):
                fail(
                    method,
                    f"what its student reads changes with the {name} of the utterance",
                    "give it Speech there; where it is meant, declare it in expected_failures",
                )
    secret = Utterance(
        id="secret",
        audio="s.flac",
        seconds=1.0,
        text="zyzzyva quokka",
        speaker="rumpelstiltskin",
        words=(("zyzzyva", 0.0, 0.5), ("quokka", 0.5, 1.0)),
        attributes={"emotion": "flabbergasted"},
    )
    for _, layout in _layouts(method, [secret]):
        text = " ".join(_texts_of(layout)).lower()
        told = [word for word in ("zyzzyva", "quokka", "flabbergasted", "rumpelstiltskin") if word in text]
        if told:
            fail(
                method,
                f"its student reads {told}",
                "give it Speech there; where it is meant, declare it in expected_failures",
            )


def check_loss(method) -> None:
    """A loss is a sum over positions: finite, with a gradient, the same in any order and any packing."""
    whole = _loss(method, [[0, 1, 2]])
    if not torch.isfinite(whole) or not whole.requires_grad:
        fail(
            method,
            f"its loss is {float(whole.detach())} and {'has' if whole.requires_grad else 'lacks'} a gradient",
            "see `loss`",
        )
    for packs in ([[2, 0, 1]], [[0], [1, 2]], [[2], [1], [0]]):
        other = _loss(method, packs)
        if not torch.allclose(whole, other, rtol=1e-4, atol=1e-5):
            fail(
                method,
                f"its loss is {float(whole.detach()):.6f} in one pack and {float(other.detach()):.6f} in {packs}",
                "return Terms: sums with their counts and units, never means",
            )


def check_teacher_is_matched_by_an_oracle(method) -> None:
    """A connector that emitted the text's own embeddings leaves nothing to distil: any distance to the teacher is zero, but
    for the rounding of a cosine."""
    if not (method.needs.teacher or method.needs.num_tokens or method.needs.top_k):
        return
    model, renderer = _world(method)
    examples, needs = _examples(method), method.needs
    views = [renderer.render(layout.teacher) for _, _, layout in examples]
    heard = {
        segment.tag
        for _, _, layout in examples
        for segment in layout.student.segments
        if isinstance(segment, Speech) and segment.branch == MAIN
    }
    parts = [model.llm.embed(piece.ids) for view in views for piece in view.pieces if piece.tag in heard]
    lengths = torch.tensor([len(part) for part in parts])
    frames = torch.nn.utils.rnn.pad_sequence(parts or [torch.zeros(1, model.llm.width)], batch_first=True)
    counted = {"quantity": lengths.float(), "frames": frames, "weights": frames.new_ones(frames.shape[:2])}
    student = model(
        model.pack(views, [None] * len(views)),
        needs.layers,
        {**counted, "lengths": lengths, "num_tokens": lengths},
        [choice for _, choice, _ in examples],
    )
    teacher = model.read(model.pack_text(views), needs.layers)
    if needs.top_k:
        teacher = score_targets(model.llm, views, top_k=needs.top_k, temperature=needs.temperature)
    for name, term in loss(method, {"student": student, "teacher": teacher}).items():
        if name not in ("cross_entropy", *method.not_distances) and abs(
            float(term.sum.detach())
        ) > 1e-5 * max(term.count, 1):
            fail(
                method,
                f"its term {name!r} is {float(term.sum.detach()):.3g} for a student that reads what the teacher reads",
                "compare the same positions of both views; name terms that are no distance in `not_distances`",
            )


def check_terms_count_their_unit(method) -> None:
    """A term is divided by how many of its unit the step has: one that adds up fewer, or others, is weighed wrongly, and one
    that adds up none, as under a misspelt tag, is no term at all."""
    packs = _packs(method, [[0, 1, 2]])
    units = count_units(packs)
    model, _ = _world(method)
    for pack in packs:
        for name, term in compute_terms(method, model, pack).items():
            if term.count != units.get(term.unit):
                fail(
                    method,
                    f"its term {name!r} adds up {term.count} of the unit {term.unit!r}, of which the step has "
                    f"{units.get(term.unit)}",
                    f"use a tag of the views, and the unit that is counted (here are {dict(units)}); where fewer are meant, "
                    "declare this check in expected_failures",
                )


def check_what_is_frozen_stays(method) -> None:
    """One step moves what is trained, all of it, and not a bit of what is frozen."""
    model, _ = _world(method, fresh=True)
    before = copy.deepcopy(model.state_dict())
    optimiser = torch.optim.AdamW(model.trained_parts.parameters(), lr=1e-2)
    _loss(method, [[0, 1, 2]], model=model).backward()
    deaf = [name for name, parameter in model.trained_parts.named_parameters() if parameter.grad is None]
    if deaf:
        fail(method, f"no gradient reaches {deaf[0]}", "let the loss depend on the student's view")
    optimiser.step()
    moved = [
        name
        for name, value in model.state_dict().items()
        if name.startswith(("encoder.", "llm.")) and not torch.equal(value, before[name])
    ]
    if moved:
        fail(method, f"it changes {moved[0]}, which is frozen", "change no parameter in a hook")


def check_it_learns(method) -> None:
    """Thirty steps on two utterances take a quarter off the loss, which is never negative, or a sign is wrong."""
    model, _ = _world(method, fresh=True)
    optimiser = torch.optim.AdamW(model.trained_parts.parameters(), lr=2e-2)
    losses = []
    for _ in range(NUM_STEPS):
        optimiser.zero_grad()
        loss = _loss(method, [[0, 1]], model=model)
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    if not 0 <= losses[-1] < LEARNED * losses[0]:
        fail(
            method,
            f"in {NUM_STEPS} steps its loss went from {losses[0]:.4f} to {losses[-1]:.4f}",
            "see whether the positions compared are those that predict, and that less is better",
        )


NUM_STEPS, LEARNED = 30, 0.75
NUM_DRAWS = 20  # a coin that falls the same way twenty times is no coin
CHECKS = (
    check_metadata,
    check_options,
    check_layout,
    check_layout_knows_no_answer,
    check_layout_is_pure,
    check_choices_are_kept,
    check_odd_texts,
    check_student_is_asked_what_the_teacher_is,
    check_student_is_not_told,
    check_loss,
    check_terms_count_their_unit,
    check_teacher_is_matched_by_an_oracle,
    check_what_is_frozen_stays,
    check_it_learns,
)


def _utterances(method, utterances=UTTERANCES) -> list[Utterance]:
    """Those of the kit, with what the method wants to be known of them."""
    return [replace(one, attributes={**one.attributes, **method.attributes_tried}) for one in utterances]


def _examples(method, utterances=UTTERANCES) -> list:
    """(utterance, choice, layout) of each choice, with the response that the corpus or an LLM might have given."""
    target = Target(RESPONSE) if method.needs.target else Target("", finished=False)
    return [
        (utterance, choice, lay_out(method, utterance, choice, target))
        for utterance in _utterances(method, utterances)
        for choice in draw(method, utterance, Random(f"1:{utterance.id}"))
    ]


def _layouts(method, utterances=UTTERANCES) -> list:
    return [(utterance, layout) for utterance, _, layout in _examples(method, utterances)]


def _texts_of(layout) -> list[str]:
    """What the student reads."""
    texts = [segment.text for segment in layout.student.segments if isinstance(segment, Text)]
    return [*texts, str(layout.student.system)]


def _texts_of_students(method, utterance, changed) -> list[list[str]]:
    """What students of a changed utterance read; by the choices for the other where not as much is asked about it."""
    choices = draw(method, utterance, Random(f"1:{utterance.id}"))
    with contextlib.suppress(MethodFailedError):  # of a value that the method does not know
        drawn = draw(method, changed, Random(f"1:{utterance.id}"))
        choices = drawn if len(drawn) == len(choices) else choices
    return [_texts_of(lay_out(method, changed, choice, Target(RESPONSE))) for choice in choices]


def _plain(method) -> str:
    """All that a method holds, as JSON: tuples come back as lists."""
    return json.dumps(vars(method), sort_keys=True, default=dict)


def _said(view) -> str:
    return "".join(segment.text for segment in view.segments)


def _frame(rendered) -> tuple:
    return tuple(piece.ids for piece in rendered.pieces if piece.tag == "frame")


@cache
def _tiny_llm():
    with tempfile.TemporaryDirectory() as folder:
        return load_llm(make_tiny_llm(Path(folder) / "llm"))


@cache
def _kept_world(*asked):
    return _make_world(*asked)


def _world(method, *, fresh: bool = False):
    """A tiny SpeechLLM over frames of width `WIDTH`, with the branches and heads that the method asks for, and its renderer; a
    method that counts tokens has a connector that does."""
    branches = {
        segment.branch
        for _, layout in _layouts(method)
        for segment in layout.student.segments
        if isinstance(segment, Speech)
    }
    heads = tuple(sorted(method.needs.heads.items()))
    make = _make_world if fresh else _kept_world
    return make(method.needs.num_tokens, tuple(sorted(branches - {MAIN})), heads)


def _make_world(counts: bool, branches: tuple[str, ...], heads: tuple[tuple[str, int], ...]):
    llm = _tiny_llm()
    torch.manual_seed(0)
    if counts:
        connector = ContinuousIntegrateAndFire(WIDTH, llm.width, tokens_per_frame=0.5, project_first=True)
    else:
        connector = StackAndProject(WIDTH, llm.width, stride=2, keep_remainder=True)
    heads = {name: torch.nn.Linear(llm.width, size) for name, size in heads}
    made = {
        name: Branch(torch.nn.Identity(), StackAndProject(WIDTH, llm.width, stride=3, keep_remainder=True))
        for name in branches
    }
    model = SpeechLLM(torch.nn.Identity(), connector, llm, branches=made, heads=heads)
    return model, Renderer(llm.tokenizer, stop_ids=llm.stop_ids)


def _loss(method, packs: list[list[int]], *, model=None) -> torch.Tensor:
    """The loss of one step over the first example of each utterance, packed as said."""
    made = _packs(method, packs)
    units = count_units(made)
    model = model or _world(method)[0]
    return sum(total(compute_terms(method, model, pack), units) for pack in made)


def _packs(method, packs: list[list[int]]) -> list[PackOfExamples]:
    """The first example of each utterance, packed as said, as training packs them."""
    model, renderer = _world(method)
    needs = method.needs
    frames = torch.randn(len(UTTERANCES), NUM_FRAMES, WIDTH, generator=torch.Generator().manual_seed(1))
    lengths = torch.tensor([9, 6, 3])
    first = {utterance.id: (choice, layout) for utterance, choice, layout in reversed(_examples(method))}
    made = []
    for pack in packs:
        chosen = [number for number in pack if UTTERANCES[number].id in first]
        if not chosen:
            continue
        choices, layouts = zip(*(first[UTTERANCES[number].id] for number in chosen), strict=True)
        views = {"student": [renderer.render(layout.student) for layout in layouts]}
        teacher, kept = [renderer.render(layout.teacher) for layout in layouts], None
        if needs.teacher or needs.num_tokens:
            views["teacher"] = teacher
        if needs.top_k:
            kept = score_targets(model.llm, teacher, top_k=needs.top_k, temperature=needs.temperature)
        heard = {name: (frames[chosen], lengths[chosen]) for name in model.connectors}
        made.append(PackOfExamples(views, heard, choices, kept))
    return made
