"""A pack is attended to sequence by sequence: what comes out, and the gradients, are those of the square and of each alone."""

import dataclasses
import threading

import pytest
import torch
from torch.nn import functional as F

from auralign.models.llm import Decoding, attention, load_llm
from auralign.testing import KINDS, make_tiny_llm
from auralign.testing.tiny import llm as tiny

SIZES = (9, 1, 14, 6)
WINDOW = 4  # below most of the sizes
CAPPED = {"attn_logit_softcapping": 0.5, "sliding_window": WINDOW}
SLIDING = {"use_sliding_window": True, "sliding_window": WINDOW, "max_window_layers": 1}
LOCAL = {
    "mistral": dataclasses.replace(KINDS["mistral"], config={"sliding_window": WINDOW}),
    "phi3": dataclasses.replace(KINDS["phi3"], config={"sliding_window": WINDOW}),
    "gemma2": dataclasses.replace(KINDS["gemma2"], config=CAPPED),
    "qwen2": dataclasses.replace(KINDS["qwen2"], config=SLIDING),
    "qwen3": dataclasses.replace(KINDS["qwen3"], config=SLIDING),
    "cohere2": tiny.Kind(
        "Cohere2",
        tiny.CHATML,
        config={"sliding_window": WINDOW, "layer_types": ["sliding_attention", "full_attention"]},
    ),
    "olmo2": tiny.Kind("Olmo2", tiny.CHATML),
    "granite": tiny.Kind("Granite", tiny.CHATML, config={"attention_multiplier": 0.7}),
}


@pytest.fixture(scope="module", params=[*KINDS, *(f"{kind} with its own" for kind in LOCAL)])
def folder(request, make_llm, tmp_path_factory):
    """An LLM of every kind, and of those with a window, a soft-cap or a scale of their own."""
    kind, _, own = request.param.partition(" ")
    if not own:
        return make_llm(kind)
    known = dict(tiny.UNUSUAL)
    try:
        tiny.UNUSUAL[kind] = LOCAL[kind]
        return make_tiny_llm(tmp_path_factory.mktemp("llm") / kind, kind=kind)
    finally:
        tiny.UNUSUAL.clear()
        tiny.UNUSUAL.update(known)


def pack(llm, sizes=SIZES):
    torch.manual_seed(1)
    embeddings = llm.embed(torch.randint(5, 300, (sum(sizes),))).detach()
    return embeddings.requires_grad_(), torch.cat([torch.arange(size) for size in sizes])


def squared(llm):
    """The same LLM, which attends to a pack as to one square from now on."""
    llm._sharing = {kind: dataclasses.replace(found, square=True) for kind, found in llm._sharing.items()}
    return llm


def adapt(llm, scope="all"):
    import peft

    llm.add_lora(peft.LoraConfig(r=2, target_modules="all-linear"), scope=scope)
    torch.manual_seed(0)
    for parameter in llm.lora.parameters():
        parameter.data.normal_(std=0.1)  # larger ones saturate the attention, whose gradient is then rounding
    return llm


def loss_and_gradients(llm, layers=(1, 0.5)):
    embeddings, positions = pack(llm)
    heard = positions % 3 == 1
    with llm.adapting(heard[None]):
        states = llm.run(embeddings, positions, layers)
    labels = torch.arange(len(positions)) % 300
    loss = F.cross_entropy(llm.head(states[-1]), labels) + states[1].square().mean()
    trained = [] if llm.lora is None else list(llm.lora.parameters())
    return loss.item(), torch.autograd.grad(loss, [embeddings, *trained])


def assert_equal(found, expected):
    assert found[0] == pytest.approx(expected[0], rel=1e-5)
    for gradient, wanted in zip(found[1], expected[1], strict=True):
        assert (gradient - wanted).norm() <= 1e-4 * wanted.norm()


def test_every_family_here_attends_sequence_by_sequence(folder):
    assert load_llm(folder).sharing.square is False


@pytest.mark.parametrize("scope", ["", "all", "speech"])
def test_loss_and_gradients_are_those_of_the_square(folder, scope):
    llms = [load_llm(folder), squared(load_llm(folder))]
    if scope:
        llms = [adapt(llm, scope) for llm in llms]
    assert_equal(*map(loss_and_gradients, llms))


def test_the_teachers_pass_is_that_of_the_square_with_adapters_beside_it(folder):
    one, other = adapt(load_llm(folder)), squared(load_llm(folder))
    embeddings, positions = pack(one)
    with torch.no_grad(), one.original():
        found = one.hidden_states(embeddings, positions)
    torch.testing.assert_close(found, other.hidden_states(embeddings, positions), rtol=0, atol=2e-5)


def test_a_sequence_is_in_a_pack_what_it_is_alone_in_every_layer(folder):
    llm = load_llm(folder)
    embeddings, positions = pack(llm)
    with llm.packed(SIZES):
        together = llm.run(embeddings, positions, (1,))
    alone = [llm.run(one, torch.arange(len(one)), (1,)) for one in embeddings.split(SIZES)]
    for layer, states in together.items():
        expected = torch.cat([found[layer] for found in alone])
        torch.testing.assert_close(states, expected, rtol=0, atol=2e-5)


def test_sinks_are_honoured(make_llm):
    """GPT-OSS is run in padded batches; its attention is called here as one of a packed family would be."""
    llm = load_llm(make_llm("gpt_oss"))
    for layer in llm.decoder.layers:
        layer.self_attn.sinks.data.normal_()
    embeddings, positions = pack(llm, (9, 6))
    states = {"inputs_embeds": embeddings[None], "position_ids": positions[None], "use_cache": False}
    with attention.sequence_by_sequence((9, 6), llm.device):
        together = llm.decoder(**states, attention_mask=attention.unread_mask(15, llm.device))
    alone = [
        llm.decoder(inputs_embeds=one[None], use_cache=False).last_hidden_state[0]
        for one in embeddings.split((9, 6))
    ]
    torch.testing.assert_close(together.last_hidden_state[0], torch.cat(alone), rtol=0, atol=2e-5)


def test_no_pair_of_positions_of_two_sequences_is_computed(make_llm, monkeypatch):
    llm, pairs, attend = load_llm(make_llm("llama")), [], F.scaled_dot_product_attention

    def count(query, key, *args, **options):
        pairs.append(query.shape[2] * key.shape[2])
        return attend(query, key, *args, **options)

    monkeypatch.setattr(F, "scaled_dot_product_attention", count)
    llm.hidden_states(*pack(llm))
    assert sum(pairs) == 2 * sum(size**2 for size in SIZES)  # of two layers


def test_short_sequences_in_bf16_are_attended_to_in_float32():
    states = [torch.randn(1, 2, 9, 8, dtype=torch.bfloat16) for _ in range(3)]
    with torch.autocast("cpu", torch.bfloat16):
        found = attention._attend_by_torch(*states, scaling=None, window=None)
    expected = F.scaled_dot_product_attention(*(part.float() for part in states), is_causal=True)
    assert torch.equal(found, expected.to(torch.bfloat16))


def test_the_config_is_never_changed_and_other_threads_find_their_own_attention(make_llm):
    llm = load_llm(make_llm("llama"))
    prompt = llm.embed(range(5))
    settings = {"decoding": Decoding(4), "stop_ids": (10_000,)}
    alone, found = llm.generate([prompt, prompt[:3]], **settings), []
    with attention.sequence_by_sequence(SIZES, llm.device):
        assert llm.config._attn_implementation == "sdpa"
        thread = threading.Thread(target=lambda: found.extend(llm.generate([prompt, prompt[:3]], **settings)))
        thread.start()
        thread.join()
    assert found == alone


def test_the_layers_follow_a_later_change_of_the_config(make_llm):
    llm = load_llm(make_llm("llama"))
    llm.model.set_attn_implementation("eager")
    assert llm.decoder.layers[0].self_attn.config._attn_implementation == "eager"


def test_a_family_whose_layers_read_a_mask_keeps_the_square_and_says_so(tmp_path, monkeypatch, capsys):
    chunks = {
        "layer_types": ["chunked_attention", "full_attention"],
        "attention_chunk_size": WINDOW,
        "num_local_experts": 2,
        "num_experts_per_tok": 1,
        "interleave_moe_layer_step": 1,
        "intermediate_size_mlp": 64,
        "no_rope_layers": [1, 0],
        "attn_temperature_tuning": False,
    }
    made = tiny.Kind("Llama4", tiny.CHATML, config=chunks)
    monkeypatch.setitem(tiny.UNUSUAL, "llama4", made)
    llm = load_llm(make_tiny_llm(tmp_path / "llama4", kind="llama4"))
    assert llm.sharing.square is llm.sharing.packed is True
    assert (
        "its attention reads a mask, so it computes all pairs of positions of a pack"
        in capsys.readouterr().err
    )


def naive_varlen(query, key, value, starts, _, longest, __, *, scale, window_size, enable_gqa):
    """`torch.nn.attention.varlen.varlen_attn` as its documentation describes it, for a CPU."""
    assert starts.dtype == torch.int32
    assert longest == int(starts.diff().max())
    parts = []
    for start, end in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        row, column = torch.arange(end - start)[:, None], torch.arange(end - start)[None]
        left, right = window_size
        mask = (column <= row + right) & ((left < 0) | (column >= row - left))
        of_one = [states[start:end].transpose(0, 1)[None] for states in (query, key, value)]
        found = F.scaled_dot_product_attention(*of_one, attn_mask=mask, scale=scale, enable_gqa=enable_gqa)
        parts.append(found[0].transpose(0, 1))
    return torch.cat(parts)


@pytest.mark.parametrize("folder", ["llama", "mistral with its own", "qwen2 with its own"], indirect=True)
def test_one_call_for_all_sequences_is_given_what_it_needs(folder, monkeypatch):
    """On a GPU `varlen_attn` takes a whole pack; here a naive one in its place."""
    llm = load_llm(folder)
    expected = loss_and_gradients(llm)
    calls = []

    def varlen(*args, **options):
        calls.append(options)
        return naive_varlen(*args, **options)

    starts = torch.tensor([0, *SIZES], dtype=torch.int32).cumsum(0, dtype=torch.int32)
    monkeypatch.setattr(attention, "_starts", lambda sizes, device: starts)
    monkeypatch.setattr(attention, "_varlen", lambda query, value: varlen)
    assert_equal(loss_and_gradients(llm), expected)
    assert len(calls) == 2  # of two layers
