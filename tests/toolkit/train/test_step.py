"""The training step: the LLM runs for the views that a method's needs name, and a loss that asks for more is told what to set."""

from dataclasses import dataclass

import pytest
import torch

from auralign.layout import Layout, Speech, View
from auralign.method import AlignmentMethod, MethodFailedError, Needs
from auralign.plugins import load_method
from auralign.records import Choice
from auralign.testing.world import get_world, make_packs
from auralign.train.step import assemble, compute_terms, loss, run


def pack_of(method):
    """A tiny model, and a pack of two examples of the method."""
    model, _ = get_world(method)
    (pack,) = make_packs(method, [[0, 1]])
    return model, pack


@pytest.mark.parametrize(
    ("name", "options", "runs"),
    [
        ("sift", {}, ["student"]),
        ("distillation", {}, ["student", "teacher"]),
        ("distillation", {"top_k": 4}, ["student"]),
        ("diva", {}, ["student", "teacher"]),
        ("wav2prompt", {}, ["student"]),
        ("wav2prompt", {"cross_entropy_weight": 0.0}, []),
        ("wav2prompt", {"stage": "align"}, []),
        ("wav2prompt", {"stage": "distil"}, ["student", "teacher"]),
    ],
)
def test_the_llm_runs_once_for_each_view_that_the_loss_reads(name, options, runs, monkeypatch):
    method = load_method(name, **options)
    model, pack = pack_of(method)
    real, found = model.llm.run, []

    def counted(embeddings, positions, layers=()):
        found.append("student" if embeddings.requires_grad else "teacher")
        return real(embeddings, positions, layers)

    monkeypatch.setattr(model.llm, "run", counted)
    terms = compute_terms(method, model, pack)
    assert found == runs
    assert all(torch.isfinite(term.sum) for term in terms.values())


@dataclass(frozen=True)
class Own(AlignmentMethod):
    """Somebody's own: compares views that its needs may leave out."""

    needs: Needs = Needs()
    view: str = "student"

    name = "own"
    paper = "none"

    def choices(self, utterance, rng):
        yield Choice(task="none")

    def layout(self, utterance, choice, response):
        return Layout.of(View((Speech(utterance.text), response)))

    def loss(self, views):
        return {"cross_entropy": views[self.view].cross_entropy("target")}


@pytest.mark.parametrize(
    ("needs", "view", "repair"),
    [
        (Needs(llm_views=()), "student", "add 'student' to llm_views"),
        (Needs(teacher=True, llm_views=("student",)), "teacher", "add 'teacher' to llm_views"),
        (Needs(), "teacher", r"no 'teacher'.*Needs\(teacher=True\)"),
    ],
)
def test_what_was_not_run_is_named_with_the_needs_to_set(needs, view, repair):
    method = Own(needs, view)
    with pytest.raises(MethodFailedError, match=f"method 'own': loss raised ValueError.*{repair}"):
        compute_terms(method, *pack_of(method))


@pytest.mark.parametrize("needs", [Needs(teacher=True), Needs(num_tokens=True)])
def test_by_default_the_llm_is_run_for_a_teacher_that_is_there(needs):
    method = Own(needs, "teacher")
    model, pack = pack_of(method)
    inputs = assemble(model, pack, needs)
    outputs = run(model, inputs, needs)
    found = loss(method, outputs)["cross_entropy"]
    (ids,) = (inputs.teacher.ids[None],)
    positions = inputs.teacher.positions[None]
    logits = model.llm.model(input_ids=ids, position_ids=positions, use_cache=False).logits[0]
    at = inputs.teacher.tagged["target"]
    expected = torch.nn.functional.cross_entropy(logits[at - 1], ids[0, at], reduction="sum")
    torch.testing.assert_close(found.sum, expected, rtol=1e-4, atol=1e-4)
    assert not found.sum.requires_grad


@pytest.mark.parametrize("views", ["student", ("pupil",)])
def test_needs_refuse_views_that_there_are_not(views):
    with pytest.raises(ValueError, match="llm_views"):
        Needs(llm_views=views)


def test_needs_refuse_layers_without_the_llm():
    with pytest.raises(ValueError, match="name a view in llm_views"):
        Needs(layers=(1,), llm_views=())


READS = ("item", "tolist", "nonzero", "__bool__", "__float__", "__int__", "__index__")


@pytest.mark.parametrize("name", ["sift", "distillation", "blsp"])
def test_a_pack_reads_no_value_that_its_gpu_would_have_to_compute_first(name, monkeypatch):
    """But for lengths, which a GPU's are known in memory. What is read waits for all work that a GPU was given."""
    method = load_method(name)
    model, pack = pack_of(method)
    compute_terms(method, model, pack)  # what is made once, such as the probe
    reads = []

    def note(kind, real):
        def noted(tensor, *arguments, **options):
            reads.append((kind, tensor.dtype, tuple(tensor.shape)))
            return real(tensor, *arguments, **options)

        return noted

    for kind in READS:
        monkeypatch.setattr(torch.Tensor, kind, note(kind, getattr(torch.Tensor, kind)))
    compute_terms(method, model, pack)
    monkeypatch.undo()
    num_examples = len(pack.choices)
    assert set(reads) <= {("tolist", torch.int64, (num_examples,))}
    assert len(reads) == 2  # the encoder's lengths, and the connector's
