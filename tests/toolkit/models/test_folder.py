"""Folders of models with something wrong in them: one line that names the file, what it is, and the repair."""

import json
import re
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from auralign.models.encoders import load_encoder
from auralign.models.llm import load_llm
from auralign.testing import make_tiny_llm, make_tiny_whisper

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 17209920\n"
PAGE = "<!DOCTYPE html>\n<html><head><title>404</title></head></html>\n"
AGAIN = "copy or download the folder again"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Folders with nothing wrong, by kind."""
    folder = tmp_path_factory.mktemp("whole")
    return {"llm": make_tiny_llm(folder / "llm"), "whisper": make_tiny_whisper(folder / "whisper")}


@pytest.fixture
def llm(whole, tmp_path):
    return shutil.copytree(whole["llm"], tmp_path / "llm")


@pytest.fixture
def encoder(whole, tmp_path):
    return shutil.copytree(whole["whisper"], tmp_path / "encoder")


def refusal(load, folder, **options):
    """The message of the error, which is one line that begins with the folder or a file of it."""
    with pytest.raises((ValueError, FileNotFoundError)) as found:
        load(folder, **options)
    message = str(found.value)
    assert "\n" not in message
    assert str(folder) in message
    return message


@pytest.mark.parametrize(
    ("content", "what"),
    [(POINTER, "is a pointer of Git LFS"), (PAGE, "is a web page"), ("", "is empty")],
    ids=["pointer", "page", "empty"],
)
@pytest.mark.parametrize(
    "name",
    [
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "chat_template.jinja",
        "model.safetensors",
    ],
)
def test_a_file_of_an_llm_that_is_none_is_named(llm, name, content, what):
    (llm / name).write_text(content)
    message = refusal(load_llm, llm)
    assert f"{llm / name}: {what}" in message
    assert AGAIN in message


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json", "model.safetensors"])
def test_a_file_of_an_encoder_that_is_none_is_named(encoder, name):
    (encoder / name).write_text(POINTER)
    assert f"{encoder / name}: is a pointer of Git LFS" in refusal(load_encoder, encoder)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "generation_config.json"])
def test_json_that_was_cut_is_named(llm, name):
    text = (llm / name).read_text()
    (llm / name).write_text(text[: len(text) // 2])
    assert re.search(rf"{name}:\d+: not JSON .*{AGAIN}", refusal(load_llm, llm))


def test_json_that_is_no_object_is_named(llm):
    (llm / "config.json").write_text("[]")
    assert "config.json: not a JSON object" in refusal(load_llm, llm)


def test_weights_that_were_cut_say_by_how_much(llm):
    whole = (llm / "model.safetensors").read_bytes()
    (llm / "model.safetensors").write_bytes(whole[:-4])
    message = refusal(load_llm, llm)
    assert (
        f"its weights are not whole (model.safetensors has {len(whole) - 4} of {len(whole)} bytes)" in message
    )


def test_no_weights_at_all_are_missed(llm):
    (llm / "model.safetensors").unlink()
    assert "no weights in" in refusal(load_llm, llm)


def shard(folder):
    """Two shards and their index; returns the name of the second."""
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    parts = [sorted(weights)[::2], sorted(weights)[1::2]]
    for name, part in zip(names, parts, strict=True):
        save_file({key: weights[key] for key in part}, folder / name, metadata={"format": "pt"})
    index = {"weight_map": {key: name for name, part in zip(names, parts, strict=True) for key in part}}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, **index}))
    return names[1]


def test_a_shard_that_is_missing_or_a_pointer_is_named(llm):
    name = shard(llm)
    load_llm(llm)
    (llm / name).write_text(POINTER)
    assert f"{llm / name}: is a pointer of Git LFS" in refusal(load_llm, llm)
    (llm / name).unlink()
    assert f"no {name} in {llm}, which model.safetensors.index.json names" in refusal(load_llm, llm)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("sharded", [False, True])
def test_a_weight_that_is_not_finite_is_named_with_its_file(llm, value, sharded):
    key = "model.layers.0.self_attn.q_proj.weight"
    name = "model.safetensors"
    if sharded:
        shard(llm)
        name = json.loads((llm / "model.safetensors.index.json").read_text())["weight_map"][key]
    weights = load_file(llm / name)
    weights[key][1, 2] = value
    save_file(weights, llm / name, metadata={"format": "pt"})
    message = refusal(load_llm, llm)
    assert f"{llm / name}: the tensor {key} holds NaN or infinity (1 of 1024 values); {AGAIN}" in message


def test_a_weight_of_an_encoder_that_is_not_finite_is_named(encoder):
    weights = load_file(encoder / "model.safetensors")
    key = next(name for name in weights if name.endswith("encoder.layers.0.fc1.weight"))
    weights[key][0, 0] = float("nan")
    save_file(weights, encoder / "model.safetensors", metadata={"format": "pt"})
    assert f"model.safetensors: the tensor {key} holds NaN" in refusal(load_encoder, encoder)


def test_a_weight_beyond_a_dtype_says_which_dtype_to_take(llm):
    weights = load_file(llm / "model.safetensors")
    weights["model.norm.weight"][0] = 1e6
    save_file(weights, llm / "model.safetensors", metadata={"format": "pt"})
    message = refusal(load_llm, llm, dtype="float16")
    assert (
        "the weight model.norm.weight holds NaN or infinity in float16; load it with dtype: float32"
        in message
    )


def test_an_encoder_for_an_llm_and_the_reverse_are_told_apart(llm, encoder):
    assert "holds WhisperModel, a speech encoder" in refusal(load_llm, encoder)
    assert "holds a model of type 'llama'; expected whisper" in refusal(load_encoder, llm)


def test_an_encoder_decoder_model_is_no_llm(llm):
    from transformers import T5Config

    T5Config(architectures=["T5ForConditionalGeneration"]).save_pretrained(llm)
    assert "holds T5ForConditionalGeneration, an encoder-decoder model, not a causal LLM" in refusal(
        load_llm, llm
    )


def test_a_model_that_reads_what_comes_later_is_no_llm(llm):
    from transformers import BertConfig, BertForMaskedLM

    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    torch.manual_seed(0)
    BertForMaskedLM(BertConfig(vocab_size=400, initializer_range=0.3, **sizes)).save_pretrained(llm)
    assert "BertLMHeadModel" in refusal(load_llm, llm)


def test_a_kind_of_model_that_transformers_does_not_know_is_named(llm):
    config = json.loads((llm / "config.json").read_text())
    (llm / "config.json").write_text(json.dumps({**config, "model_type": "unheard_of"}))
    assert "unheard_of" in refusal(load_llm, llm)


def test_weights_of_another_size_than_the_config_says_are_refused(llm):
    config = json.loads((llm / "config.json").read_text())
    (llm / "config.json").write_text(json.dumps({**config, "intermediate_size": 48}))
    assert "transformers cannot load it" in refusal(load_llm, llm)


def test_the_tokenizer_of_a_larger_llm_is_refused(llm):
    tokenizer = json.loads((llm / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    vocabulary.update({f"word{number}": len(vocabulary) + number for number in range(500)})
    (llm / "tokenizer.json").write_text(json.dumps(tokenizer))
    message = refusal(load_llm, llm)
    assert re.search(
        r"the tokenizer has \d+ tokens, the LLM has \d+ embeddings; use the tokenizer that belongs", message
    )


def add_token(folder, token):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"additional_special_tokens": [token]})
    tokenizer.save_pretrained(folder)
    return tokenizer.convert_tokens_to_ids(token)


def test_a_token_of_the_template_that_has_no_embedding_is_named(llm):
    number = add_token(llm, "<|listen|>")
    template = (llm / "chat_template.jinja").read_text()
    (llm / "chat_template.jinja").write_text("<|listen|>" + template)
    assert f"gives '<|listen|>', which its chat template uses, the id {number}" in refusal(load_llm, llm)


def test_an_added_token_that_is_not_used_does_no_harm_and_is_named_when_it_is(llm):
    number = add_token(llm, "<|image|>")  # as Gemma 3 has one more token than embeddings
    loaded = load_llm(llm)
    with pytest.raises(
        ValueError, match=rf"the token '<\|image\|>' has id {number}, the LLM llm has \d+ embeddings"
    ):
        loaded.embed([3, number])
