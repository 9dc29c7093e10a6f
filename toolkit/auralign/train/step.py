"""The forward of a training step, from a pack of examples to the terms of its loss: assemble, run, loss.

    inputs = assemble(model, pack, needs)      speech through encoder frames and connector, text through the LLM's embeddings
    outputs = run(model, inputs, needs)        the LLM over the student's view, the original LLM over the teacher's
    terms = loss(method, outputs)              the method's terms: sums with their counts

`auralign.train.brain` divides the terms by the units of the whole optimiser step (`count_units`, `auralign.losses.total`) and
calls backward.

Axes: B examples of a pack, T speech frames, U speech embeddings, N positions of all sequences of a pack, D width.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch

from auralign.layout import STUDENT, TEACHER
from auralign.losses import Term, TopK
from auralign.method import AlignmentMethod, MethodFailedError, Needs, running
from auralign.models.sending import send
from auralign.models.speech_llm import SpeechLLM, on_device
from auralign.models.views import Named, Pack, ViewOutput
from auralign.records import Choice
from auralign.train.examples import PackOfExamples


def compute_terms(method: AlignmentMethod, model: SpeechLLM, pack: PackOfExamples) -> dict[str, Term]:
    """A method's terms for one pack.

    Raises MethodFailedError if its `loss` raises, or does not return terms.
    """
    inputs = assemble(model, pack, method.needs)
    outputs = run(model, inputs, method.needs)
    return loss(method, outputs)


@dataclass(frozen=True)
class Inputs:
    """The inputs of the LLM, view by view, and further inputs of the loss.

    Arguments
    ---------
    student : Pack
        Embeddings (N, D) of the B student views, speech embeddings at the positions of speech.
    teacher : Pack, optional
        Embeddings of the B teacher views, all text.
    kept : TopK, optional
        Instead of the teacher: its largest logits at the tokens of the targets, cached by stage 2.
    extras : dict of str to torch.Tensor
        Further outputs of the main branch's connector.
    choices : tuple of B Choice
    """

    student: Pack
    teacher: Pack | None
    kept: TopK | None
    extras: Mapping[str, torch.Tensor]
    choices: tuple[Choice, ...]


def assemble(model: SpeechLLM, pack: PackOfExamples, needs: Needs) -> Inputs:
    """Frames (B, T, D) to speech embeddings (U, D), put among the text embeddings of each view, B sequences end to end."""
    students, teachers = pack.views[STUDENT], pack.views.get(TEACHER)
    device = model.llm.device
    frames = on_device(pack.frames, device)
    speech, extras = model.listen(students, frames, rows=pack.frame_rows(), use_token_count=needs.num_tokens)
    return Inputs(
        student=model.pack(students, speech),
        teacher=None if teachers is None else model.pack_text(teachers),
        kept=None if pack.kept is None else _on_device(pack.kept, device),
        extras=extras,
        choices=pack.choices,
    )


def _on_device(kept: TopK, device: torch.device) -> TopK:
    """A copy on a device; the ids become int64, which torch needs as indices."""
    parts = (kept.ids.long(), kept.logits, kept.logsumexp)
    return TopK(*(send(part, device) for part in parts), kept.temperature)


def run(model: SpeechLLM, inputs: Inputs, needs: Needs) -> dict[str, ViewOutput | TopK]:
    """Hidden states (N, D), by view, of the layers that the method's `needs` name; a view without the LLM has only layer 0."""
    outputs = Named({}, "name it in the method's needs: Needs(teacher=True)")
    outputs[STUDENT] = model(
        inputs.student, needs.layers, inputs.extras, inputs.choices, run_llm=STUDENT in needs.llm_views
    )
    if inputs.teacher is not None:
        outputs[TEACHER] = model.read(inputs.teacher, needs.layers, run_llm=TEACHER in needs.llm_views)
    elif inputs.kept is not None:
        outputs[TEACHER] = inputs.kept
    return outputs


def loss(method: AlignmentMethod, outputs: Mapping[str, ViewOutput | TopK]) -> dict[str, Term]:
    """The method's terms by name, validated. Raises MethodFailedError if they are not a dict of Terms with scalar sums."""
    with running(method, "loss"):
        terms = method.loss(outputs)
    if not isinstance(terms, Mapping) or not terms:
        raise MethodFailedError(
            f"method {method.name!r}: loss must return a dict of at least one Term by name; it returned {type(terms).__name__}"
        )
    for name, term in terms.items():
        if not isinstance(term, Term):
            raise MethodFailedError(
                f"method {method.name!r}: its loss returns {type(term).__name__} as {name!r}; return a Term(sum, count, unit=...)"
            )
        if not isinstance(term.sum, torch.Tensor) or term.sum.ndim:
            raise MethodFailedError(
                f"method {method.name!r}: the sum of its term {name!r} is {getattr(term.sum, 'shape', type(term.sum))}; return "
                "a scalar tensor: sum over the positions"
            )
    return terms


def count_units(packs: Iterable[PackOfExamples]) -> Counter:
    """The number of each unit in these packs, by which the terms of an optimiser step are divided. Zeros are kept."""
    units: Counter = Counter()
    for pack in packs:
        units.update(pack.units())
    return units
