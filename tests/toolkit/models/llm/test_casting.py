"""The weights of a frozen LLM are cast once for a training under autocast, and the products stay the same bit for bit."""

import contextlib

import pytest
import torch

from auralign.models.llm import load_llm

KINDS = ("llama", "qwen2", "gemma2", "phi3", "mistral")


def loss_and_gradient(llm, casts):
    """Of random embeddings in bf16, as a connector's are."""
    embeddings = torch.randn(12, llm.width, generator=torch.Generator().manual_seed(0)).requires_grad_()
    with casts:
        with torch.autocast("cpu", torch.bfloat16):
            loss = llm.hidden_states(embeddings, torch.arange(12)).float().square().sum()
        loss.backward()
    return loss.detach(), embeddings.grad


@pytest.mark.parametrize("kind", KINDS)
def test_loss_and_gradient_are_the_same_bit_for_bit(make_llm, kind):
    llm = load_llm(make_llm(kind))
    expected = loss_and_gradient(llm, contextlib.nullcontext())
    casts = llm.casts("bf16")
    for _ in range(2):  # the casts are kept
        assert all(map(torch.equal, loss_and_gradient(llm, casts), expected))


def test_the_weights_have_the_other_type_within_and_their_own_after_an_error(make_llm):
    llm = load_llm(make_llm("llama"))
    weight = llm.decoder.layers[0].mlp.up_proj.weight
    before = weight.data.clone()
    with contextlib.suppress(RuntimeError), llm.casts("bf16"):
        assert weight.dtype == torch.bfloat16
        raise RuntimeError
    assert torch.equal(weight.data, before)


def test_weights_that_are_trained_are_not_cast(make_llm):
    llm = load_llm(make_llm("llama"))
    llm.unfreeze()
    with llm.casts("bf16"):
        assert {parameter.dtype for parameter in llm.parameters()} == {torch.float32}


def test_nothing_is_cast_in_fp32(make_llm):
    llm = load_llm(make_llm("llama"))
    with llm.casts("fp32"):
        assert {parameter.dtype for parameter in llm.parameters()} == {torch.float32}
