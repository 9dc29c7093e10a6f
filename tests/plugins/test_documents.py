"""`interleave` and `in_context`: what is heard, what is learnt, and what a relative is good for."""

from dataclasses import replace
from random import Random

import pytest
import torch

from auralign.layout import ASSISTANT, NONE, USER, Speech, Text, Turn
from auralign.losses import total
from auralign.method import Choice, MethodFailedError, Response, draw, lay_out
from auralign.models.connectors import StackAndProject
from auralign.models.llm import load_llm
from auralign.models.speech_llm import SpeechLLM
from auralign.plugins import load_method
from auralign.records import Utterance
from auralign.render import Renderer
from auralign.train.examples import PackOfExamples
from auralign.train.step import compute_terms, count_units

TEXT = "say three five now\n\nyou said three five, then nine"
SPANS = {"a": [4, 14], "b": [29, 39]}


def document(text=TEXT, spans=SPANS):
    return Utterance("d", "", 0.0, text, labels={"spans": spans}, others=tuple(spans))


def laid_out(method, utterance):
    (choice,) = draw(method, utterance, Random(1))
    return lay_out(method, utterance, choice, Response("", finished=False)).student


def test_text_and_heard_spans_read_together_are_the_document():
    for share in (0.01, 0.5, 1.0):
        view = laid_out(load_method("interleave", share_heard=share), document())
        assert "".join(segment.text for segment in view.contents) == TEXT
        heard = [one for one in view.contents if isinstance(one, Speech)]
        assert heard and all(TEXT[slice(*SPANS[one.of])] == one.text for one in heard)


def test_what_is_read_before_the_first_speech_is_not_learnt():
    (turn,) = laid_out(load_method("interleave"), document()).turns
    tags = [
        ("before", "say "),
        ("speech", "three five"),
        ("text", " now\n\nyou said "),
        ("speech", "three five"),
    ]
    assert turn.role == NONE
    assert [(one.tag, one.text) for one in turn.segments] == [*tags, ("text", ", then nine")]


def test_paragraphs_are_the_turns_of_a_chat():
    view = laid_out(load_method("interleave", frame="chat"), document())
    assert view.turns == (
        Turn((Text("say ", "before"), Speech("three five", of="a"), Text(" now", "text")), USER),
        Turn(
            (Text("you said ", "text"), Speech("three five", of="b"), Text(", then nine", "text")), ASSISTANT
        ),
    )
    with pytest.raises(MethodFailedError, match="1 voiced spans of d cross an empty line"):
        laid_out(load_method("interleave", frame="chat"), document(spans={"a": [4, 14], "b": [15, 30]}))


def test_nothing_is_asked_where_nothing_can_be_learnt():
    method = load_method("interleave")
    assert draw(method, document("say three five", {"a": [4, 14]}), Random(1)) == []
    assert draw(method, Utterance("u", "u.flac", 1.0, "three", others=("a",)), Random(1)) == []


@pytest.mark.parametrize("spans", [{"a": [4, 60]}, {"a": [4, 14], "b": [10, 20]}, {"a": [4, 4]}, {}])
def test_spans_that_are_none_of_the_text_are_named(spans):
    with pytest.raises(MethodFailedError, match=r"'interleave': choices for d .*labels\['spans'\]"):
        draw(load_method("interleave"), document(spans=spans), Random(1))


def test_the_relatives_are_heard_in_order_before_the_text():
    rows = {name: Utterance(name, f"{name}.flac", 1.0, f"text of {name}") for name in "abc"}
    last = Utterance("d", "d.flac", 1.0, "mine", others=("a", "b", "c"), find_other=rows.__getitem__)
    view = laid_out(load_method("in_context", relatives=2, hear_itself=True), last)
    assert [getattr(one, "of", one.text) for one in view.contents] == ["b", "\n", "c", "\n", "", "\n", "mine"]
    assert draw(load_method("in_context"), rows["a"], Random(1)) == []


def test_a_related_context_teaches_what_a_random_one_cannot(make_llm):
    """The mechanism of In-Context Pretraining in miniature: texts that follow what they repeat, or anything, in equal numbers."""
    assert _loss_on_related(make_llm("llama"), related=True) < 0.5 * _loss_on_related(
        make_llm("llama"), related=False
    )


def _loss_on_related(llm_folder, *, related: bool) -> float:
    torch.manual_seed(0)
    llm, method, rng = load_llm(llm_folder), load_method("in_context"), Random(1)
    llm.unfreeze()
    model = SpeechLLM(torch.nn.Identity(), StackAndProject(6, llm.width, stride=2, keep_remainder=True), llm)
    renderer = Renderer(llm.tokenizer, turns=True)
    texts = ["three five", "nine nine", "five three nine", "three", "five five five", "nine three"]
    clips = {str(number): Utterance(str(number), "x", 1.0, text) for number, text in enumerate(texts)}
    sound, lengths = torch.randn(len(texts), 6, 6), torch.full((len(texts),), 6)

    def step(heard):
        layouts = [
            lay_out(
                method,
                Utterance("d", "", 0.0, text, others=(one,), find_other=clips.__getitem__),
                Choice(),
                Response(""),
            )
            for text, one in zip(texts, heard, strict=True)
        ]
        rows = [int(one) for one in heard]
        views = {"student": [renderer.render(layout.student) for layout in layouts]}
        pack = PackOfExamples(views, {"speech": (sound[rows], lengths)}, (Choice(),) * len(texts))
        return total(compute_terms(method, model, pack), count_units([pack]))

    optimizer = torch.optim.AdamW(model.trained_parts.parameters(), lr=3e-3)
    for _ in range(60):
        optimizer.zero_grad()
        step([*clips] if related else [rng.choice([*clips]) for _ in texts]).backward()
        optimizer.step()
    return float(step([*clips]).detach())


@pytest.mark.parametrize(
    "spans",
    [[["a", 4, 14]], "a", 5, {"a": 5}, {"a": [4]}, {"a": ["4", 14]}, {"a": [4.0, 14]}, {"a": [True, 14]}],
)
def test_spans_of_another_form_are_one_error_that_shows_the_form(spans):
    said = r"labels\['spans'\] of d are .*; give the first character of each span and the one behind it: \{\"clip-7\""
    with pytest.raises(MethodFailedError, match=said):
        draw(load_method("interleave"), replace(document(), labels={"spans": spans}), Random(1))


def test_a_document_that_is_heard_to_its_end_teaches_nothing():
    """Between two spans that are heard there is a space alone."""
    heard = document("three five then", {"a": [0, 5], "b": [6, 15]})
    assert draw(load_method("interleave"), heard, Random(1)) == []
    assert len(draw(load_method("interleave"), document("a b c", {"a": [0, 1], "b": [4, 5]}), Random(1))) == 1


def test_a_relative_that_is_a_document_is_read_and_never_heard():
    rows = {"a": Utterance("a", "a.flac", 1.0, "heard"), "b": Utterance("b", "", 0.0, "read", others=("a",))}
    last = Utterance("c", "c.flac", 1.0, "mine", others=("a", "b"), find_other=rows.__getitem__)
    view = laid_out(load_method("in_context"), last)
    assert view.contents[:3] == (Speech("heard", of="a"), Text("\n", "context"), Text("read", "context"))
    assert draw(load_method("in_context", relatives=1), last, Random(1)) == []
    assert len(draw(load_method("in_context", relatives=1, hear_itself=True), last, Random(1))) == 1
