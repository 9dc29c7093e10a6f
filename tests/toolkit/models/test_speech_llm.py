"""Invariants 2, 3 and 10 on tiny LLMs of every kind: alone equals in a pack, an oracle equals text, frozen is frozen."""

import pytest
import torch

from auralign.layout import Response, Speech, Text, View
from auralign.losses import Term, mix_tokens, total
from auralign.models.connectors import (
    ContinuousIntegrateAndFire,
    CountedQFormer,
    StackAndProject,
    WindowedQFormer,
)
from auralign.models.llm import LAST, Decoding, load_llm
from auralign.models.speech_llm import Branch, SpeechLLM
from hearing import hear

VIEWS = [
    View((Text("repeat "), Speech("three five nine"), Response("you said three five nine"))),
    View((Speech("five"), Response("five", finished=False))),
    View(
        (
            Text("sort "),
            Speech("nine nine nine three five nine"),
            Text(" again"),
            Response("i heard the above words"),
        )
    ),
]


@pytest.fixture
def model(llm):
    torch.manual_seed(0)
    return SpeechLLM(torch.nn.Identity(), StackAndProject(6, llm.width, stride=2, keep_remainder=True), llm)


def loss_of(model, renderer, views, speech):
    pack = model.pack([renderer.render(view) for view in views], speech)
    return model(pack).cross_entropy("target")


def test_oracle_connector_gives_exactly_the_text_models_loss(model, renderer):
    oracle = [
        model.llm.embed(renderer.encode(next(s.text for s in view.segments if isinstance(s, Speech))))
        for view in VIEWS
    ]
    heard = loss_of(model, renderer, VIEWS, oracle)
    read = loss_of(model, renderer, [view.read() for view in VIEWS], [None] * 3)
    assert heard.sum.item() == read.sum.item()
    assert heard.count == read.count


def test_text_loss_is_the_llms_own(model, renderer):
    view = VIEWS[0].read()
    ids = torch.tensor(renderer.render(view).ids)
    num_target = len(renderer.render(view).pieces[-1].ids)
    logits = model.llm.model(input_ids=ids[None], use_cache=False).logits[0]
    expected = torch.nn.functional.cross_entropy(
        logits[-num_target - 1 : -1], ids[-num_target:], reduction="sum"
    )
    found = loss_of(model, renderer, [view], [None])
    assert found.count == num_target
    torch.testing.assert_close(found.sum, expected, rtol=1e-5, atol=1e-5)


def test_alone_equals_in_a_pack(model, renderer):
    frames, lengths = torch.randn(3, 9, 6), torch.tensor([9, 3, 6])
    speech = hear(model, frames, lengths)
    together = loss_of(model, renderer, VIEWS, speech)
    alone = [loss_of(model, renderer, [view], [heard]) for view, heard in zip(VIEWS, speech, strict=True)]
    torch.testing.assert_close(
        together.sum, torch.stack([term.sum for term in alone]).sum(), rtol=1e-5, atol=1e-5
    )


def test_hidden_states_alone_equal_those_in_a_pack(model, renderer):
    speech = hear(model, torch.randn(3, 9, 6), torch.tensor([9, 3, 6]))
    rendered = [renderer.render(view) for view in VIEWS]
    packed = model(model.pack(rendered, speech)).hidden[LAST]
    alone = torch.cat(
        [
            model(model.pack([view], [heard])).hidden[LAST]
            for view, heard in zip(rendered, speech, strict=True)
        ]
    )
    torch.testing.assert_close(packed, alone, rtol=0, atol=1e-5)


def test_gradient_of_a_step_does_not_depend_on_its_packing(model, renderer):
    frames, lengths = torch.randn(3, 9, 6), torch.tensor([9, 3, 6])
    num_targets = sum(len(renderer.render(view).pieces[-1].ids) for view in VIEWS)
    grads = []
    for packs in ([[0, 1, 2]], [[0], [1, 2]], [[0], [1], [2]]):
        model.zero_grad()
        for pack in packs:
            speech = hear(model, frames[pack], lengths[pack])
            term = loss_of(model, renderer, [VIEWS[number] for number in pack], speech)
            total({"cross_entropy": term}, {"target": num_targets}).backward()
        grads.append(torch.cat([p.grad.flatten() for p in model.connector.parameters()]))
    torch.testing.assert_close(grads[0], grads[1], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(grads[0], grads[2], rtol=1e-4, atol=1e-6)


def test_answers_alone_equal_answers_in_a_batch(model, renderer):
    frames, lengths = torch.randn(3, 9, 6), torch.tensor([9, 3, 6])
    prompts = [renderer.render(view.before_target()) for view in VIEWS]
    speech = hear(model, frames, lengths)
    together = model.answer(prompts, speech, decoding=Decoding(12), stop_ids=renderer.stop_ids)
    alone = [
        model.answer([prompt], [heard], decoding=Decoding(12), stop_ids=renderer.stop_ids)[0]
        for prompt, heard in zip(prompts, speech, strict=True)
    ]
    assert together == alone


def test_only_the_connector_has_gradients(model, renderer):
    speech = hear(model, torch.randn(3, 9, 6), torch.tensor([9, 3, 6]))
    loss_of(model, renderer, VIEWS, speech).sum.backward()
    trained = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert trained == {name for name, _ in model.named_parameters() if name.startswith("connector.")}


def test_llm_stays_in_eval_mode_when_the_model_trains(model):
    model.train()
    assert model.connector.training
    assert not any(module.training for module in model.llm.modules())


def test_view_with_speech_needs_speech(model, renderer):
    with pytest.raises(ValueError, match="no speech embeddings"):
        model.embed(renderer.render(VIEWS[0]))


def test_term_without_positions_is_zero_not_nan(model, renderer):
    term = loss_of(model, renderer, [VIEWS[0].before_target()], [torch.zeros(2, model.llm.width)])
    assert term.count == 0
    assert total({"cross_entropy": term}, {"target": 0}).item() == 0.0


def test_total_weighs_terms_by_their_counts():
    terms = {
        "a": Term(torch.tensor(6.0), 3, weight=0.5, unit="target"),
        "b": Term(torch.tensor(8.0), 2, unit="sequences"),
    }
    assert total(terms, {"target": 3, "sequences": 4}).item() == 0.5 * 6 / 3 + 8 / 4


def stack(llm, stride):
    return StackAndProject(6, llm.width, stride=stride, keep_remainder=True)


@pytest.fixture
def two(llm):
    """A model with a second branch, whose connector makes fewer embeddings."""
    torch.manual_seed(0)
    branches = {"voice": Branch(torch.nn.Identity(), stack(llm, 4))}
    return SpeechLLM(torch.nn.Identity(), stack(llm, 2), llm, branches=branches)


FRAMES = torch.randn(2, 8, 6, generator=torch.Generator().manual_seed(1))
LENGTHS = torch.tensor([8, 6])


def test_each_place_is_heard_through_its_branch(two, renderer):
    views = [renderer.render(View((Speech("", branch="voice"), Text(" and "), Speech("a")))) for _ in LENGTHS]
    speech, _ = two.listen(views, {"speech": (FRAMES, LENGTHS), "voice": (FRAMES, LENGTHS)})
    for row, (voice, words) in enumerate(speech):
        of_row = FRAMES[row : row + 1, : LENGTHS[row]], LENGTHS[row : row + 1]
        torch.testing.assert_close(voice, two.branches["voice"].connector(*of_row)[0][0])
        torch.testing.assert_close(words, hear(two, *of_row)[0])
    pack = two.pack(views, speech)
    assert pack.tagged["speech"].numel() == sum(len(part) for of_view in speech for part in of_view)
    assert pack.ids.eq(-1).sum() == pack.tagged["speech"].numel()


def test_a_branch_that_is_not_there_is_named(two, renderer):
    view = renderer.render(View((Speech("a", branch="music"),)))
    with pytest.raises(ValueError, match="branch 'music'; the recipe has speech, voice"):
        two.listen([view], {"speech": (FRAMES, LENGTHS)})


def test_a_span_is_heard_as_if_it_were_all(model, renderer):
    view = renderer.render(
        View((Speech("a", span=(0.0, 0.5)), Text(" b "), Speech("c", span=(0.75, 1.0)), Response("x")))
    )
    ((first, last),), _ = model.listen([view], {"speech": (FRAMES[:1], LENGTHS[:1])})
    torch.testing.assert_close(first, hear(model, FRAMES[:1, :4], torch.tensor([4]))[0])
    torch.testing.assert_close(last, hear(model, FRAMES[:1, 6:], torch.tensor([2]))[0])
    expected = [model.num_embeddings(piece, {"speech": 8}) for piece in view.speech]
    assert expected == [len(first), len(last)]


def test_a_span_shorter_than_a_frame_is_one_frame(model, renderer):
    view = renderer.render(View((Speech("a", span=(0.99, 1.0)),)))
    ((heard,),), _ = model.listen([view], {"speech": (FRAMES[:1], LENGTHS[:1])})
    torch.testing.assert_close(heard, hear(model, FRAMES[:1, 7:], torch.tensor([1]))[0])


def test_frozen_parts_are_not_trained_and_stay_in_eval_mode(llm):
    branches = {"voice": Branch(torch.nn.Identity(), stack(llm, 4))}
    heads = {"emotion": torch.nn.Linear(llm.width, 3)}
    model = SpeechLLM(
        torch.nn.Identity(), stack(llm, 2), llm, branches=branches, heads=heads, frozen=["connector"]
    )
    model.train()
    assert list(model.trained_parts) == ["voice_connector", "emotion_head"]
    assert list(model.frozen_parts) == ["connector"]
    assert not model.connector.training
    assert model.branches["voice"].connector.training
    assert not any(parameter.requires_grad for parameter in model.connector.parameters())


def test_an_unknown_frozen_part_is_named(llm):
    with pytest.raises(ValueError, match="frozen: no part 'projector'; this model has connector"):
        SpeechLLM(torch.nn.Identity(), stack(llm, 2), llm, frozen=["projector"])


def test_frozen_lora_stays_frozen_after_the_plain_llm_was_asked(llm_folder):
    import peft

    ours = load_llm(llm_folder)
    ours.add_lora(peft.LoraConfig(r=2, target_modules="all-linear"))
    model = SpeechLLM(torch.nn.Identity(), stack(ours, 2), ours, frozen=["lora"])
    with ours.original():
        pass
    assert not any(parameter.requires_grad for parameter in model.parts["lora"].parameters())


def test_frozen_parts_have_no_dropout_even_if_nobody_says_so(llm):
    connector = WindowedQFormer(6, llm.width, frames_per_second=6.0, width=8, num_heads=2)
    model = SpeechLLM(
        torch.nn.Identity(),
        connector,
        llm,
        heads={"mood": torch.nn.Linear(llm.width, 2)},
        frozen=["connector"],
    )
    assert not any(module.training for module in model.connector.modules())
    torch.testing.assert_close(
        hear(model, FRAMES, LENGTHS)[0], hear(model, FRAMES, LENGTHS)[0], rtol=0, atol=0
    )


@pytest.mark.parametrize("name", ["a.b", "values", "type", ""])
def test_a_branch_with_a_name_that_will_not_do_is_refused(llm, name):
    with pytest.raises(ValueError, match="a branch, head or book is named"):
        SpeechLLM(
            torch.nn.Identity(),
            stack(llm, 2),
            llm,
            branches={name: Branch(torch.nn.Identity(), stack(llm, 2))},
        )


def test_a_term_that_a_step_has_nothing_for_adds_zero_and_an_unknown_unit_is_named():
    assert total({"read": Term(torch.tensor(0.0), 0, unit="read")}, {"target": 3}).item() == 0.0
    with pytest.raises(
        ValueError,
        match="the loss term 'a' has the unit 'tagret', which this step does not count; it counts target",
    ):
        total({"a": Term(torch.tensor(1.0), 2, unit="tagret")}, {"target": 3})


@pytest.mark.parametrize("connector", [ContinuousIntegrateAndFire, CountedQFormer])
def test_speech_is_a_mixture_of_tokens_unless_the_connector_is_told_their_number(llm, renderer, connector):
    size = {"width": 8, "num_layers": 1, "num_heads": 2} if connector is CountedQFormer else {}
    torch.manual_seed(0)
    made = connector(6, llm.width, tokens_per_frame=0.3, mix_tokens=True, **size).eval()
    frames = {"speech": (torch.randn(2, 12, 6), torch.tensor([12, 7]))}
    views = [renderer.render(view) for view in VIEWS[:2]]
    found = {
        (mixes, told): SpeechLLM(torch.nn.Identity(), made, llm).listen(views, frames, use_token_count=told)[
            0
        ]
        for mixes in (True, False)
        for told in (True, False)
        if setattr(made, "mixes_tokens", mixes) is None
    }
    table = llm.embed(range(llm.vocabulary_size))
    for mixed, bare in zip(found[True, False], found[False, False], strict=True):
        torch.testing.assert_close(mixed[0], mix_tokens(bare[0], table, table.mean(0)))
    assert found[True, True][0][0].equal(found[False, True][0][0])
