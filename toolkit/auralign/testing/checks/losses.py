"""Checks of a method's loss: what it adds up, and what a step of training moves."""

import copy

import torch

from auralign.layout import MAIN, Speech
from auralign.losses import TopK
from auralign.method import AlignmentMethod
from auralign.models.speech_llm import score_targets
from auralign.models.views import ViewOutput
from auralign.testing.checks.failure import fail
from auralign.testing.world import compute_step_loss, get_world, make_examples, make_packs
from auralign.train.step import compute_terms, count_units, loss

NUM_STEPS, LEARNED = 30, 0.75  # steps in which the loss falls below this part of what it was


def check_loss(method: AlignmentMethod) -> None:
    """A loss is a sum over positions: finite, with a gradient, the same in any order and any packing."""
    whole = compute_step_loss(method, [[0, 1, 2]])
    if not torch.isfinite(whole) or not whole.requires_grad:
        fail(
            method,
            f"its loss is {float(whole.detach())} and {'has' if whole.requires_grad else 'lacks'} a gradient",
            "see `loss`",
        )
    for packs in ([[2, 0, 1]], [[0], [1, 2]], [[2], [1], [0]]):
        other = compute_step_loss(method, packs)
        if not torch.allclose(whole, other, rtol=1e-4, atol=1e-5):
            fail(
                method,
                f"its loss is {float(whole.detach()):.6f} in one pack and {float(other.detach()):.6f} in {packs}",
                "return Terms: sums with their counts and units, never means",
            )


def check_teacher_is_matched_by_an_oracle(method: AlignmentMethod) -> None:
    """A connector that emitted the text's own embeddings leaves nothing to distil: any distance to the teacher is zero, but
    for the rounding of a cosine."""
    if not (method.needs.teacher or method.needs.num_tokens or method.needs.top_k):
        return
    model, renderer = get_world(method)
    examples, needs = make_examples(method), method.needs
    views = [renderer.render(layout.teacher) for _, _, layout in examples]
    spoken = {
        segment.tag
        for _, _, layout in examples
        for segment in layout.student.contents
        if isinstance(segment, Speech) and segment.branch == MAIN
    }
    parts = [model.llm.embed(piece.ids) for view in views for piece in view.pieces if piece.tag in spoken]
    lengths = torch.tensor([len(part) for part in parts])
    frames = torch.nn.utils.rnn.pad_sequence(parts or [torch.zeros(1, model.llm.width)], batch_first=True)
    counted = {"quantity": lengths.float(), "frames": frames, "weights": frames.new_ones(frames.shape[:2])}
    student = model(
        model.pack(views, [None] * len(views)),
        needs.layers,
        {**counted, "lengths": lengths, "num_tokens": lengths},
        [choice for _, choice, _ in examples],
    )
    teacher: ViewOutput | TopK = (
        score_targets(model.llm, views, top_k=needs.top_k, temperature=needs.temperature)
        if needs.top_k
        else model.read(model.pack_text(views), needs.layers)
    )
    for name, term in loss(method, {"student": student, "teacher": teacher}).items():
        if name not in ("cross_entropy", *method.not_distances) and abs(
            float(term.sum.detach())
        ) > 1e-5 * max(term.count, 1):
            fail(
                method,
                f"its term {name!r} is {float(term.sum.detach()):.3g} for a student that reads what the teacher reads",
                "compare the same positions of both views; name terms that are no distance in `not_distances`",
            )


def check_terms_count_their_unit(method: AlignmentMethod) -> None:
    """A term is divided by how many of its unit the step has: one that adds up fewer, or others, is weighed wrongly, and one
    that adds up none, as under a misspelt tag, is no term at all."""
    packs = make_packs(method, [[0, 1, 2]])
    units = count_units(packs)
    model, _ = get_world(method)
    for pack in packs:
        for name, term in compute_terms(method, model, pack).items():
            counted = units.get(term.unit)
            is_part = bool(term.left_out) and term.count < (counted or 0)
            if term.count != counted and not is_part:
                fail(
                    method,
                    f"its term {name!r} adds up {term.count} of the unit {term.unit!r}, of which the step has "
                    f"{counted}",
                    f"use a tag of the views, and the unit that is counted (here are {dict(units)}); if fewer are meant, "
                    "declare this check in expected_failures",
                )


def check_what_is_frozen_stays(method: AlignmentMethod) -> None:
    """One step moves what is trained, all of it, and not a bit of what is frozen."""
    model, _ = get_world(method, fresh=True)
    before = copy.deepcopy(model.state_dict())
    optimiser = torch.optim.AdamW(model.trained_parts.parameters(), lr=1e-2)
    compute_step_loss(method, [[0, 1, 2]], model=model).backward()
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


def check_it_learns(method: AlignmentMethod) -> None:
    """Thirty steps on two utterances take a quarter off the loss, which is never negative, or a sign is wrong."""
    model, _ = get_world(method, fresh=True)
    optimiser = torch.optim.AdamW(model.trained_parts.parameters(), lr=2e-2)
    losses = []
    for _ in range(NUM_STEPS):
        optimiser.zero_grad()
        loss = compute_step_loss(method, [[0, 1]], model=model)
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    if not 0 <= losses[-1] < LEARNED * losses[0]:
        fail(
            method,
            f"in {NUM_STEPS} steps its loss went from {losses[0]:.4f} to {losses[-1]:.4f}",
            "see whether the positions compared are those that predict, and that less is better",
        )
