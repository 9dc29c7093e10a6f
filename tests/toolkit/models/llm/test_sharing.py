"""Families of LLMs that do not keep sequences apart: alone equals in a pack and in a batch all the same, and it is said once."""

import pytest
import torch

from auralign.models.llm import Decoding, Sharing, load_llm
from auralign.models.speech_llm import score_targets
from auralign.render import Renderer
from auralign.testing import make_tiny_llm
from auralign.testing.tiny.llm import UNUSUAL

# What each can do, by what is known of its layers.
PADDED = Sharing(packed=False, padded=True, left=True, equal=True)
SHARING = dict.fromkeys(UNUSUAL, PADDED) | {
    "minimax": Sharing(
        packed=False, padded=True, left=False, equal=True
    ),  # its linear attention reads padding
    "phi3_long": Sharing(packed=True, padded=True, left=True, equal=True),
}
SIZES = (9, 4, 13, 4, 1)


@pytest.fixture(scope="module", params=UNUSUAL)
def llm(request, make_llm):
    return load_llm(make_llm(request.param))


def sequences(llm, sizes=SIZES):
    torch.manual_seed(1)
    return [llm.embed(torch.randint(5, 300, (size,))) for size in sizes]


def positions(sizes=SIZES):
    return torch.cat([torch.arange(size) for size in sizes])


def test_the_probe_finds_what_a_family_can_share(llm, request):
    assert llm.sharing == SHARING[request.node.callspec.params["llm"]]


def test_the_probe_changes_nothing_and_finds_the_same_again(llm):
    before = {name: tensor.clone() for name, tensor in llm.state_dict().items()}
    state, found = torch.get_rng_state(), llm.sharing
    llm._sharing.clear()
    assert llm.sharing == found
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(tensor, before[name]) for name, tensor in llm.state_dict().items())


def test_what_a_family_costs_is_said_once(make_llm, capsys):
    llm = load_llm(make_llm("minimax"))
    llm.hidden_states(torch.cat(sequences(llm)), positions())
    llm.hidden_states(torch.cat(sequences(llm)), positions())
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if "MiniMaxForCausalLM" in line] == [
        "minimax (MiniMaxForCausalLM): sequences of a pack change each other, so they are padded to equal lengths, which takes "
        "longer",
        "minimax (MiniMaxForCausalLM): padding changes its answers, so prompts of equal length alone are decoded together, which "
        "takes longer",
    ]


def test_of_a_usual_family_nothing_is_said(make_llm, capsys):
    llm = load_llm(make_llm("llama"))
    assert llm.sharing == Sharing(packed=True, padded=True, left=True, equal=True)
    assert capsys.readouterr().err == ""


def test_every_layer_of_a_sequence_is_in_a_pack_what_it_is_alone(llm):
    together = llm.run(torch.cat(sequences(llm)), positions(), (1, 0.5))
    alone = [llm.run(one, torch.arange(len(one)), (1, 0.5)) for one in sequences(llm)]
    for layer, states in together.items():
        expected = torch.cat([found[layer] for found in alone])
        torch.testing.assert_close(states, expected, rtol=0, atol=2e-5)


def test_another_first_sequence_leaves_the_second_as_it_was(llm):
    first, second = sequences(llm)[:2]
    where = positions(SIZES[:2])
    one = llm.head(llm.hidden_states(torch.cat([first, second]), where)[9:])
    another = llm.head(llm.hidden_states(torch.cat([first.flip(0) * 2, second]), where)[9:])
    torch.testing.assert_close(one, another, rtol=0, atol=1e-5 * one.std().item())


def test_the_gradient_of_a_sequence_is_its_own(llm):
    whole = torch.cat(sequences(llm)).requires_grad_()
    states = llm.hidden_states(whole, positions())
    states[9:13].square().sum().backward()
    assert whole.grad[9:13].abs().max() > 0
    assert whole.grad[:9].abs().max() == whole.grad[13:].abs().max() == 0


@pytest.mark.parametrize("num_beams", [1, 2])
def test_an_answer_is_alone_what_it_is_in_a_batch(llm, num_beams):
    stops = Renderer(llm.tokenizer).stop_ids
    settings = {"decoding": Decoding(6, num_beams=num_beams), "stop_ids": stops}
    together = llm.generate(sequences(llm), **settings)
    assert together == [llm.generate([one], **settings)[0] for one in sequences(llm)]
    assert any(answer.ids for answer in together)


def test_an_answer_is_the_argmax_of_forward_passes(llm):
    prompt = sequences(llm)[0]
    (answer,) = llm.generate([prompt], decoding=Decoding(4), stop_ids=(10_000,))
    whole = torch.cat([prompt, llm.embed(answer.ids)])
    states = llm.hidden_states(whole, torch.arange(len(whole)))[len(prompt) - 1 : -1]
    assert tuple(llm.head(states).argmax(-1).tolist()) == answer.ids


@pytest.mark.parametrize("kind", ["qwen3_5", "gpt_oss"])
def test_lora_on_speech_alone_adapts_the_same_positions_in_a_pack(make_llm, kind):
    import peft

    llm = load_llm(make_llm(kind))
    llm.add_lora(peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"]), scope="speech")
    torch.manual_seed(0)
    for parameter in llm.lora.parameters():
        parameter.data.normal_()
    heard = [torch.arange(size) % 3 == 1 for size in SIZES]
    with llm.adapting(torch.cat(heard)[None]):
        together = llm.hidden_states(torch.cat(sequences(llm)), positions())
    alone = []
    for one, mask in zip(sequences(llm), heard, strict=True):
        with llm.adapting(mask[None]):
            alone.append(llm.hidden_states(one, torch.arange(len(one))))
    torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=2e-5)
    plain = load_llm(make_llm(kind)).hidden_states(torch.cat(sequences(llm)), positions())
    assert not torch.allclose(together, plain, atol=1e-2)


def test_lora_on_speech_alone_is_refused_on_experts(make_llm):
    import peft

    llm = load_llm(make_llm("minimax"))
    with pytest.raises(ValueError, match="lora_scope speech: not on experts"):
        llm.add_lora(peft.LoraConfig(r=2, target_modules="all-linear"), scope="speech")


def test_padding_takes_no_more_positions_than_the_pack(make_llm):
    llm = load_llm(make_llm("lfm2"))
    sizes = [50, *[3] * 40, 20]
    shapes = []
    hook = llm.decoder.layers[0].register_forward_pre_hook(lambda _, args: shapes.append(args[0].shape[:2]))
    llm.hidden_states(torch.cat(sequences(llm, sizes)), positions(sizes))
    hook.remove()
    assert max(rows * length for rows, length in shapes) <= sum(sizes)
    assert sum(rows for rows, _ in shapes) == len(sizes)
    assert len(shapes) <= 4


# LongRoPE: two regimes of factors, up to 64 positions and beyond.
LONG = (30, 100, 7, 80, 64)


@pytest.fixture(scope="module")
def long_rope(make_llm):
    return load_llm(make_llm("phi3_long"))


def test_the_edge_of_long_rope_is_the_length_it_was_first_trained_with(long_rope, make_llm):
    assert long_rope.rope_edges == [64]
    assert load_llm(make_llm("llama")).rope_edges == []


def test_factors_differ_on_both_sides_of_the_edge(long_rope):
    """Else the tests below could not fail."""
    longest = sequences(long_rope, (65,))[0]
    where = torch.arange(65)
    one, other = (long_rope.hidden_states(longest[:size], where[:size])[:64] for size in (64, 65))
    assert (one - other).abs().max() > 0.05


def test_a_long_mate_in_a_pack_leaves_a_short_sequence_as_it_is_alone(long_rope):
    together = long_rope.run(torch.cat(sequences(long_rope, LONG)), positions(LONG), (1,))
    alone = [long_rope.run(one, torch.arange(len(one)), (1,)) for one in sequences(long_rope, LONG)]
    for layer, states in together.items():
        expected = torch.cat([found[layer] for found in alone])
        torch.testing.assert_close(states, expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize(
    "limit", [5, 40]
)  # of 40, the first and the last cross the edge while they are decoded
def test_a_long_mate_in_a_batch_leaves_a_short_prompts_answer_as_it_is_alone(long_rope, limit):
    prompts = sequences(long_rope, LONG)
    settings = {"decoding": Decoding(limit), "stop_ids": (10_000,)}
    together = long_rope.generate(prompts, **settings)
    assert together == [long_rope.generate([prompt], **settings)[0] for prompt in prompts]


def test_a_kept_teacher_of_a_short_target_does_not_depend_on_a_long_mate(long_rope):
    from auralign.layout import Response, Text, View

    renderer = Renderer(long_rope.tokenizer)
    short, long = (
        renderer.render(View((Text(words), Response("nine five"))))
        for words in ("repeat", "repeat three five " * 20)
    )
    assert short.num_ids <= 64 < long.num_ids
    settings = {"top_k": 5, "temperature": 1.0}
    together = score_targets(long_rope, [short, long], **settings)
    alone = [score_targets(long_rope, [view], **settings) for view in (short, long)]
    torch.testing.assert_close(
        together.logsumexp, torch.cat([kept.logsumexp for kept in alone]), rtol=0, atol=1e-4
    )


@pytest.mark.parametrize("kind", ["cohere", "granite"])
def test_logits_that_a_family_scales_are_its_own(tmp_path, kind, monkeypatch):
    from auralign.testing.tiny import llm as tiny

    scales = {"cohere": {"logit_scale": 0.25}, "granite": {"logits_scaling": 4.0}}
    made = tiny.Kind(kind.title(), tiny.CHATML, config=scales[kind])
    monkeypatch.setitem(tiny.UNUSUAL, kind, made)
    llm = load_llm(make_tiny_llm(tmp_path / kind, kind=kind))
    ids = torch.arange(5)
    expected = llm.model(input_ids=ids[None]).logits[0]
    torch.testing.assert_close(llm.head(llm.hidden_states(llm.embed(ids), torch.arange(5))), expected)
