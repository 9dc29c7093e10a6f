"""What losses read: hidden states by tag and layer, a teacher that was computed or kept, units that any packing counts alike."""

import pytest
import torch

from auralign.layout import Response, Speech, Text, View
from auralign.models.connectors import StackAndProject
from auralign.models.llm import load_llm
from auralign.models.speech_llm import SpeechLLM, score_targets
from hearing import hear

VIEWS = [
    View((Text("repeat "), Speech("three five nine"), Response("you said three five nine"))),
    View((Speech("five"), Response("five", finished=False))),
    View((Text("sort "), Speech("nine three five"), Text(" again"), Response("i heard the above words"))),
]
FRAMES = torch.randn(2, 8, 6, generator=torch.Generator().manual_seed(1))
LENGTHS = torch.tensor([8, 6])


def stack(llm, stride):
    return StackAndProject(6, llm.width, stride=stride, keep_remainder=True)


@pytest.fixture
def model(llm):
    torch.manual_seed(0)
    return SpeechLLM(torch.nn.Identity(), stack(llm, 2), llm)


@pytest.mark.parametrize("view", ["student", "teacher"])
def test_a_view_without_the_llm_has_its_embeddings_and_says_how_to_get_more(
    model, renderer, monkeypatch, view
):
    monkeypatch.setattr(model.llm, "run", lambda *arguments: pytest.fail("the LLM ran"))
    if view == "student":
        pack = model.pack([renderer.render(one) for one in VIEWS[:2]], hear(model, FRAMES, LENGTHS))
        output = model(pack, run_llm=False)
    else:
        pack = model.pack_text([renderer.render(one.read()) for one in VIEWS[:2]])
        output = model.read(pack, run_llm=False)
    assert torch.equal(output.at("speech", 0), pack.embeddings[pack.tagged["speech"]])
    assert output.places("speech").equal(output.positions("speech"))  # the earlier name
    with pytest.raises(ValueError, match=f"not run for the {view}'s view.*add '{view}' to llm_views"):
        output.cross_entropy("target")
    with pytest.raises(ValueError, match="layer 1: the LLM is not run"):
        output.at("speech", 1)


def test_a_layer_that_was_not_asked_for_is_named(model, renderer):
    output = model(model.pack([renderer.render(VIEWS[1])], [torch.zeros(2, model.llm.width)]))
    with pytest.raises(ValueError, match=r"layer 1 .*Needs\(layers=\(1,\)"):
        output.at("speech", 1)


def test_what_is_kept_of_a_teacher_is_what_it_predicts(model, renderer):
    views = [renderer.render(view.read()) for view in (VIEWS[0], VIEWS[2])]
    kept = score_targets(model.llm, views, top_k=5, temperature=2.0)
    teacher = model.read(model.pack_text(views))
    logits = model.llm.head(teacher.predicting("target"))
    torch.testing.assert_close(kept.logsumexp, (logits / 2).logsumexp(-1))
    torch.testing.assert_close(kept.logits, logits.topk(5).values)
    assert len(kept) == len(teacher.labels("target"))


@pytest.mark.parametrize("tag", ["target", "end"])
def test_a_kept_teacher_with_all_logits_is_the_teacher(model, renderer, tag):
    views = [VIEWS[0], VIEWS[2]]
    heard = hear(model, FRAMES, LENGTHS)
    student = model(model.pack([renderer.render(view) for view in views], heard))
    read = [renderer.render(view.read()) for view in views]
    vocabulary = model.llm.model.get_input_embeddings().num_embeddings
    kept = score_targets(model.llm, read, top_k=vocabulary, temperature=2.0)
    found, expected = (
        student.divergence(one, tag, temperature=2.0) for one in (kept, model.read(model.pack_text(read)))
    )
    torch.testing.assert_close(found.sum, expected.sum, rtol=1e-4, atol=1e-5)
    assert (found.count, found.unit) == (expected.count, expected.unit)


def test_a_kept_teacher_knows_nothing_but_its_targets(model, renderer):
    heard = hear(model, FRAMES[:1], LENGTHS[:1])
    student = model(model.pack([renderer.render(VIEWS[0])], heard))
    kept = score_targets(model.llm, [renderer.render(VIEWS[0].read())], top_k=3, temperature=2.0)
    with pytest.raises(ValueError, match=r"divergence at 'speech'.*use Needs\(teacher=True\)"):
        student.divergence(kept, "speech", temperature=2.0)
    with pytest.raises(ValueError, match="temperature 1.0: .*temperature 2.0; use Needs"):
        student.divergence(kept, "target")


def test_an_unfrozen_llms_teacher_is_read_by_the_head_that_it_came_with(llm_folder, renderer):
    """Live and kept, the teacher is the same one: what the LLM learns meanwhile changes neither."""
    ours = load_llm(llm_folder)
    ours.unfreeze()
    for parameter in ours.trained.values():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2))
    model = SpeechLLM(torch.nn.Identity(), stack(ours, 2), ours)
    student = model(model.pack([renderer.render(VIEWS[0])], hear(model, FRAMES[:1], LENGTHS[:1])))
    read = [renderer.render(VIEWS[0].read())]
    vocabulary = ours.model.get_input_embeddings().num_embeddings
    kept = score_targets(ours, read, top_k=vocabulary, temperature=2.0)
    found, expected = (
        student.divergence(one, "target", temperature=2.0)
        for one in (model.read(model.pack_text(read)), kept)
    )
    torch.testing.assert_close(found.sum, expected.sum, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layer", [2, 0.9])
def test_the_last_layer_by_number_or_depth_is_normed_once(model, renderer, layer):
    for parameter in (model.llm.model.base_model.norm.weight,):
        parameter.data.uniform_(0.5, 2.0)
    heard = hear(model, FRAMES[:1], LENGTHS[:1])
    student = model(model.pack([renderer.render(VIEWS[0])], heard), (layer,))
    teacher = model.read(model.pack_text([renderer.render(VIEWS[0].read())]), (layer,))
    last, named = (student.divergence(teacher, "target", layer=one).sum for one in (-1, layer))
    torch.testing.assert_close(named, last)


def test_distances_by_tag_are_counted_by_the_text_that_is_read(model, renderer):
    read = [renderer.render(VIEWS[0].read())]
    teacher = model.read(model.pack_text(read))
    heard = model.llm.embed(renderer.encode("three five nine")) + 1.0
    student = model(model.pack([renderer.render(VIEWS[0])], [heard]))
    found = student.distance(teacher, "speech", layer=0, squared=True)
    assert found.sum.item() == pytest.approx(heard.numel(), rel=1e-4)
    assert (found.unit, student.divergence(teacher, "speech").unit) == ("speech", "speech")
    with pytest.raises(ValueError, match="compare .predicting.'first'.. of both views"):
        student.distance(teacher, "first")
    assert (student.cosine_distance(teacher, "target").unit, student.cross_entropy("first").unit) == (
        "target",
        "sequences",
    )


def test_a_tag_that_is_heard_here_and_read_there_is_counted_alike_in_any_packing(model, renderer):
    """Of both, the tokens of the text are counted."""
    from auralign.records import Choice
    from auralign.train.examples import PackOfExamples
    from auralign.train.step import count_units

    views = [
        View((Speech("three five", tag="said"), Response("x"))),
        View((Text("nine", tag="said"), Response("x"))),
    ]
    rendered = [renderer.render(view) for view in views]
    heard = hear(model, FRAMES[:1], LENGTHS[:1])[0]
    num_tokens = len(renderer.encode("three five")) + len(renderer.encode("nine"))
    for packs in ([[0, 1]], [[0], [1]], [[1], [0]]):
        made = [
            PackOfExamples({"student": [rendered[n] for n in pack]}, {}, tuple(Choice() for _ in pack))
            for pack in packs
        ]
        assert count_units(made)["said"] == num_tokens
        outputs = [
            model(model.pack([rendered[n] for n in pack], [[heard], []][pack[0] : pack[0] + len(pack)]))
            for pack in packs
        ]
        assert {output.unit("said") for output in outputs} == {"said"}
