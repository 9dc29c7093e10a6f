"""The LLM: frozen unless unfrozen, its layers by name, and the ids that end its answers."""

import json
import shutil

import pytest
import torch

from auralign.losses import mix_tokens
from auralign.models.llm import Decoding, load_llm

PROMPTS = ["repeat three", "please sort the above words again three five nine", "nine"]


def test_no_parameter_wants_a_gradient(llm):
    assert not any(parameter.requires_grad for parameter in llm.parameters())


def test_an_unfrozen_llm_is_plainly_itself_after_a_step(llm, llm_folder):
    ours = load_llm(llm_folder)
    ours.unfreeze()
    embeddings, positions = llm.embed(range(9)), torch.arange(9)
    optimiser = torch.optim.SGD(ours.trained.parameters(), lr=0.1)
    ours.head(ours.hidden_states(embeddings, positions)).square().sum().backward()
    optimiser.step()
    assert not torch.allclose(
        ours.hidden_states(embeddings, positions), llm.hidden_states(embeddings, positions)
    )
    with ours.original():
        assert torch.equal(
            ours.hidden_states(embeddings, positions), llm.hidden_states(embeddings, positions)
        )
    assert not torch.allclose(
        ours.hidden_states(embeddings, positions), llm.hidden_states(embeddings, positions)
    )


def test_an_unfrozen_llm_trains_in_fp32_alone(llm_folder):
    with pytest.raises(ValueError, match="train_llm: the LLM's weights are not float32"):
        load_llm(llm_folder, dtype="bfloat16").unfreeze()


def test_layers_are_named_by_number_or_depth(llm):
    embeddings, positions = llm.embed(range(5)), torch.arange(5)
    found = llm.run(embeddings, positions, (1, 0.5))
    assert torch.equal(found[1], found[0.5])  # of two layers
    assert not torch.equal(found[1], found[-1])
    assert torch.equal(found[0], embeddings)


@pytest.mark.parametrize("layer", [3, 1.5, -4])
def test_a_layer_that_is_not_there_is_refused(llm, layer):
    with pytest.raises(ValueError, match=f"layer {layer}: give a number up to 2"):
        llm.run(llm.embed(range(5)), torch.arange(5), (layer,))


def test_the_lens_reads_a_layer_as_the_head_reads_the_last(llm):
    embeddings, positions = llm.embed(range(5)), torch.arange(5)
    before_norm = []
    norm = llm.model.base_model.norm
    handle = norm.register_forward_hook(lambda module, inputs, output: before_norm.append(inputs[0][0]))
    last = llm.hidden_states(embeddings, positions)
    handle.remove()
    torch.testing.assert_close(llm.lens(before_norm[0]), llm.head(last))


@pytest.mark.parametrize("named", [3, [3, 5]])
def test_ids_that_generation_config_alone_names_end_an_answer(make_llm, tmp_path, named):
    folder = shutil.copytree(make_llm("llama"), tmp_path / "llm")
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": named}))
    loaded = load_llm(folder)
    assert set(loaded.stop_ids) == {loaded.tokenizer.eos_token_id, *([named] if named == 3 else named)}


def test_ids_that_config_alone_names_end_an_answer(make_llm, tmp_path):
    folder = shutil.copytree(make_llm("llama"), tmp_path / "llm")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "eos_token_id": [7, 9]}))
    (folder / "generation_config.json").unlink()
    assert {7, 9} <= set(load_llm(folder).stop_ids)


def test_an_ordinary_token_that_only_the_configs_class_names_ends_nothing(make_llm, tmp_path):
    folder = shutil.copytree(make_llm("llama"), tmp_path / "llm")
    config = json.loads((folder / "config.json").read_text())
    del config["eos_token_id"]
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "generation_config.json").unlink()
    loaded = load_llm(folder)
    default = type(loaded.model.config)().eos_token_id
    expected = {default} & set(loaded.tokenizer.added_tokens_decoder) | {loaded.tokenizer.eos_token_id}
    assert set(loaded.stop_ids) == expected


def test_an_answer_ends_at_any_stop_id_of_the_folder(make_llm, tmp_path, monkeypatch):
    from auralign.models.build import make_renderer

    folder = shutil.copytree(make_llm("llama"), tmp_path / "llm")
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [20, 21]}))
    loaded = load_llm(folder)
    renderer = make_renderer(loaded, "default", {})
    written = torch.tensor([[30, 31, 21, 40], [30, 31, 32, 33]])
    monkeypatch.setattr(loaded.model, "generate", lambda **options: written)
    answers = loaded.generate([loaded.embed((1, 2))] * 2, decoding=Decoding(4), stop_ids=renderer.stop_ids)
    assert [(answer.ids, answer.finish_reason) for answer in answers] == [
        ((30, 31), "stop"),
        ((30, 31, 32, 33), "length"),
    ]


def count_embedded(llm, monkeypatch):
    """How many tokens are embedded, in a list."""
    counts, embed = [], llm.embed
    monkeypatch.setattr(llm, "embed", lambda ids: counts.append(len(ids)) or embed(ids))
    return counts


def test_the_table_of_tokens_is_made_once_for_all_packs(llm_folder, monkeypatch):
    llm = load_llm(llm_folder)
    table = llm.embed(range(llm.vocabulary_size))
    hidden, centre = table[5:9] + 0.01, table.float().mean(0)
    first = llm.mix_tokens(hidden)
    torch.testing.assert_close(first, mix_tokens(hidden, table, centre.to(table)))
    counts = count_embedded(llm, monkeypatch)
    assert torch.equal(llm.mix_tokens(hidden), first)
    assert counts == []


@pytest.mark.parametrize("how", ["step", "written", "replaced", "converted"])
def test_a_table_of_tokens_is_never_of_earlier_weights(llm_folder, how):
    llm = load_llm(llm_folder)
    llm.unfreeze()
    before = llm.prototypes(original=False)
    weight = llm.model.get_input_embeddings().weight
    was = weight.detach().clone()
    if how == "step":
        weight.grad = torch.ones_like(weight)
        torch.optim.SGD([weight], lr=0.1).step()
    elif how == "written":
        with torch.no_grad():
            weight[3] += 1
    elif how == "replaced":
        weight.data = was + 1
    else:
        llm.model.to(torch.float64)
    now = llm.prototypes(original=False)
    assert torch.equal(now.tokens, llm.embed(range(llm.vocabulary_size)))
    assert now is not before
    with llm.original():
        assert torch.equal(llm.prototypes(original=True).tokens, llm.embed(range(llm.vocabulary_size)))


@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings")
def test_a_table_of_tokens_is_made_again_after_a_merge(make_llm):
    """The head that an adapter is merged into is tied to the embeddings."""
    import peft

    llm = load_llm(make_llm("llama"))
    llm.add_lora(peft.LoraConfig(r=2, target_modules=["lm_head"]))
    for adapter in llm.lora.parameters():
        torch.nn.init.normal_(adapter)
    before = llm.prototypes(original=False).tokens.clone()
    llm.merge_lora()
    after = llm.prototypes(original=False).tokens
    assert torch.equal(after, llm.embed(range(llm.vocabulary_size)))
    assert not torch.allclose(after, before)
