"""The frozen LLM: generation that does not depend on batch mates, refuses to be trained, and takes adapters off again."""

import json
import shutil

import pytest
import torch

from auralign.models.llm import Decoding, load_llm

PROMPTS = ["repeat three", "please sort the above words again three five nine", "nine"]


def prompts(llm, renderer):
    return [llm.embed(renderer.encode(text)) for text in PROMPTS]


def test_greedy_answer_is_the_argmax_of_plain_forward_passes(llm, renderer):
    prompt = prompts(llm, renderer)[1]
    (answer,) = llm.generate([prompt], decoding=Decoding(6), stop_ids=renderer.stop_ids)
    ids = list(renderer.encode(PROMPTS[1]))
    for _ in range(len(answer.ids)):
        ids.append(int(llm.model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].argmax()))
    assert tuple(ids[-len(answer.ids) :]) == answer.ids


def test_sampled_answers_alone_equal_those_in_a_batch(llm, renderer):
    settings = {"decoding": Decoding(8), "stop_ids": renderer.stop_ids, "temperature": 1.5}
    together = llm.generate(prompts(llm, renderer), seeds=[1, 2, 3], **settings)
    alone = [
        llm.generate([prompt], seeds=[seed], **settings)[0]
        for prompt, seed in zip(prompts(llm, renderer), [1, 2, 3], strict=True)
    ]
    assert together == alone


def test_another_seed_samples_another_answer(llm, renderer):
    settings = {"decoding": Decoding(8), "stop_ids": renderer.stop_ids, "temperature": 2.0}
    answers = {llm.generate(prompts(llm, renderer)[:1], seeds=[seed], **settings)[0].ids for seed in range(5)}
    assert len(answers) > 1


def test_sampling_follows_the_models_distribution(llm, renderer):
    prompt = prompts(llm, renderer)[0]
    probabilities = llm.head(llm.hidden_states(prompt, torch.arange(len(prompt))))[-1].softmax(-1)
    first = [
        llm.generate(
            [prompt] * 50,
            decoding=Decoding(1),
            stop_ids=(-1,) + renderer.stop_ids,
            temperature=1.0,
            seeds=list(range(start, start + 50)),
        )
        for start in range(0, 1000, 50)
    ]
    tokens = [answer.ids[0] if answer.ids else renderer.stop_ids[0] for batch in first for answer in batch]
    likely = int(probabilities.argmax())
    share, expected = tokens.count(likely) / len(tokens), float(probabilities[likely])
    assert abs(share - expected) < 4 * (expected * (1 - expected) / len(tokens)) ** 0.5


def test_sampling_without_seeds_is_refused(llm, renderer):
    with pytest.raises(ValueError, match="needs a seed"):
        llm.generate(
            prompts(llm, renderer), decoding=Decoding(2), stop_ids=renderer.stop_ids, temperature=1.0
        )


def test_answer_cut_at_the_limit_says_length(llm, renderer):
    prompt = prompts(llm, renderer)[:1]
    (free,) = llm.generate(prompt, decoding=Decoding(1), stop_ids=(llm.model.config.vocab_size,))
    (stopped,) = llm.generate(prompt, decoding=Decoding(1), stop_ids=free.ids)
    assert (free.finish_reason, stopped.finish_reason) == ("length", "stop")


def test_no_parameter_wants_a_gradient(llm):
    assert not any(parameter.requires_grad for parameter in llm.parameters())


def test_revision_is_the_hash_of_the_folders_content(llm_folder, llm, tmp_path):
    copy = shutil.copytree(llm_folder, tmp_path / "another_name")
    assert load_llm(copy).revision == llm.revision
    (copy / "extra.json").write_text("{}")
    assert load_llm(copy).revision != llm.revision


def test_absent_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no LLM at .*absent"):
        load_llm(tmp_path / "absent")


def test_unknown_dtype_is_refused(llm_folder):
    with pytest.raises(ValueError, match="float8"):
        load_llm(llm_folder, dtype="float8")


def test_each_kind_is_tested_on_its_own_class(llm, llm_folder):
    assert llm.model.config.model_type == llm_folder.name.replace("llama3", "llama")


@pytest.mark.parametrize("num_beams", [1, 3])
def test_answers_of_any_length_limit_are_alone_what_they_are_in_a_batch(llm, renderer, num_beams):
    decoding = Decoding(9, tokens_per_second=2.0, num_beams=num_beams)
    settings = {"decoding": decoding, "stop_ids": renderer.stop_ids}
    seconds = [0.4, 3.0, 30.0]  # 1, 6 and 9 tokens
    together = llm.generate(prompts(llm, renderer), seconds=seconds, **settings)
    for prompt, length, answer in zip(prompts(llm, renderer), seconds, together, strict=True):
        assert llm.generate([prompt], seconds=[length], **settings) == [answer]
    assert [len(answer.ids) <= limit for answer, limit in zip(together, [1, 6, 9], strict=True)] == [True] * 3
    assert together[0].finish_reason == ("length" if together[0].ids else "stop")


def test_beams_find_an_answer_at_least_as_likely_as_the_greedy_one(llm, renderer):
    def likelihood(prompt, ids):
        whole = torch.cat([prompt, llm.embed(ids)])
        hidden = llm.hidden_states(whole, torch.arange(len(whole)))[len(prompt) - 1 : -1]
        return float(llm.head(hidden).log_softmax(-1).gather(1, torch.tensor(ids)[:, None]).sum())

    never = (llm.model.config.vocab_size - 1,)
    for prompt in prompts(llm, renderer):
        greedy, beam = (
            llm.generate([prompt], decoding=Decoding(4, num_beams=beams), stop_ids=never)[0]
            for beams in (1, 8)
        )
        if len(greedy.ids) == len(beam.ids) == 4:
            assert likelihood(prompt, beam.ids) >= likelihood(prompt, greedy.ids) - 1e-4


def test_an_answer_ends_before_a_stop_string(llm, renderer):
    sampled = {"stop_ids": renderer.stop_ids, "temperature": 3.0, "seeds": [1, 2, 3]}
    free = llm.generate(prompts(llm, renderer), decoding=Decoding(40), **sampled)
    row, place, string = next(  # a random LLM writes mostly broken bytes: take the first clean token
        (row, place, llm.tokenizer.decode([token]))
        for row, answer in enumerate(free)
        for place, token in enumerate(answer.ids[:-1])
        if place and token not in answer.ids[:place] and llm.tokenizer.decode([token]).strip().isalnum()
    )
    stopped = llm.generate(prompts(llm, renderer), decoding=Decoding(40, stop_strings=(string,)), **sampled)[
        row
    ]
    assert (stopped.ids, stopped.finish_reason) == (free[row].ids[: place + 1], "stop")
    assert (
        renderer.read(stopped.ids, stop_strings=(string,)).text == renderer.read(free[row].ids[:place]).text
    )


def test_the_context_limits_an_answer_and_refuses_a_prompt_that_fills_it(llm, renderer):
    prompt = llm.embed(renderer.encode("nine")).repeat(300, 1)
    never = (llm.model.config.vocab_size,)
    (answer,) = llm.generate([prompt[:254]], decoding=Decoding(8), stop_ids=never)
    assert (len(answer.ids), answer.finish_reason) == (2, "length")
    with pytest.raises(ValueError, match="take 256 positions, the LLM .* has 256; cut the audio"):
        llm.generate([prompt[:256]], decoding=Decoding(8), stop_ids=never)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens 0: give a number above 0"),
        ({"max_new_tokens": 4, "num_beams": 0}, "num_beams 0"),
        ({"max_new_tokens": 4, "stop_strings": ("",)}, "strings that are not empty"),
        ({"max_new_tokens": 4, "stop_strings": "END"}, "give a list of strings"),
        (
            {"max_new_tokens": 4, "tokens_per_second": float("nan")},
            "tokens_per_second nan: give a number above 0",
        ),
    ],
)
def test_decoding_that_cannot_be_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Decoding(**options)


@pytest.fixture
def adapted(llm_folder):
    """An LLM whose adapters were moved away from zero."""
    import peft

    llm = load_llm(llm_folder)
    llm.add_lora(peft.LoraConfig(r=2, lora_dropout=0.5, target_modules="all-linear"))
    torch.manual_seed(0)
    for parameter in llm.lora.parameters():
        parameter.data.normal_()
    return llm


def logits(llm, renderer):
    embeddings = llm.embed(renderer.encode(PROMPTS[1]))
    return llm.head(llm.hidden_states(embeddings, torch.arange(len(embeddings))))


def test_without_its_adapters_the_llm_is_bit_identical(llm, adapted, renderer):
    assert not torch.allclose(logits(adapted, renderer), logits(llm, renderer), atol=1e-2)
    with adapted.plain():
        assert torch.equal(logits(adapted, renderer), logits(llm, renderer))
    assert not torch.allclose(logits(adapted, renderer), logits(llm, renderer), atol=1e-2)


def test_only_adapters_want_a_gradient(adapted):
    with adapted.plain():
        pass
    wanted = {name for name, parameter in adapted.model.named_parameters() if parameter.requires_grad}
    assert wanted
    assert all("lora_" in name for name in wanted)
    assert len(wanted) == len(list(adapted.lora.parameters()))


def test_lora_needs_none_of_transformers_own_functions_for_adapters(llm_folder, monkeypatch):
    import peft
    from transformers.integrations.peft import PeftAdapterMixin

    def refuse(*_, **__):  # as transformers 5.24.0 does of every peft before 0.22.0
        raise ValueError("The version of PEFT you are using is not compatible")

    for name, function in vars(PeftAdapterMixin).items():
        if callable(function):
            monkeypatch.setattr(PeftAdapterMixin, name, refuse)
    llm = load_llm(llm_folder)
    llm.add_lora(peft.LoraConfig(r=2, target_modules="all-linear"))
    with llm.plain():
        pass
    assert llm.lora is not None


@pytest.mark.parametrize("llm_folder", ["llama"], indirect=True)
def test_names_of_adapters_are_those_of_earlier_checkpoints(llm_folder):
    import peft

    llm = load_llm(llm_folder)
    llm.add_lora(peft.LoraConfig(r=2, target_modules=["q_proj"]))
    assert list(llm.lora.state_dict()) == [
        f"model/layers/{layer}/self_attn/q_proj.lora_{part}.default.weight"
        for layer in (0, 1)
        for part in "AB"
    ]


def test_plain_within_plain_is_plain_to_its_end(adapted, llm, renderer):
    with adapted.plain():
        with adapted.plain():
            pass
        assert torch.equal(logits(adapted, renderer), logits(llm, renderer))
    assert not torch.allclose(logits(adapted, renderer), logits(llm, renderer), atol=1e-2)
    assert all(parameter.requires_grad for parameter in adapted.lora.parameters())


def test_a_second_lora_is_refused(adapted):
    from peft import LoraConfig

    with pytest.raises(ValueError, match="lora: this LLM has adapters already"):
        adapted.add_lora(LoraConfig(target_modules="all-linear"))


def test_dropout_of_adapters_is_on_in_training_alone(adapted, renderer):
    adapted.train()
    assert torch.equal(logits(adapted, renderer), logits(adapted, renderer))
    adapted.lora.train()
    assert not torch.equal(logits(adapted, renderer), logits(adapted, renderer))
    adapted.lora.eval()
    assert torch.equal(logits(adapted, renderer), logits(adapted, renderer))


def test_lora_that_would_train_the_llm_itself_is_refused(llm_folder):
    from peft import LoraConfig

    with pytest.raises(ValueError, match="lora: auralign does not take modules_to_save"):
        load_llm(llm_folder).add_lora(LoraConfig(target_modules="all-linear", modules_to_save=["norm"]))


def test_code_of_a_folder_runs_only_when_allowed(llm_folder, tmp_path, capsys):
    folder = shutil.copytree(llm_folder, tmp_path / "custom")
    config = json.loads((folder / "config.json").read_text())
    config |= {
        "model_type": "homemade",
        "auto_map": {"AutoConfig": "code.C", "AutoModelForCausalLM": "code.M"},
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "code.py").write_text("print('CODE RAN')\nC = M = None\n")
    with pytest.raises(ValueError, match="--trust_remote_code true"):
        load_llm(folder)
    assert "CODE RAN" not in capsys.readouterr().out


@pytest.mark.parametrize("options", [{"init_lora_weights": "pissa"}, {"megatron_core": "os"}])
def test_lora_that_changes_the_llm_or_imports_is_refused_before_it_is_added(llm_folder, options):
    from peft import LoraConfig

    llm = load_llm(llm_folder)
    with pytest.raises(ValueError, match="lora: auralign does not take"):
        llm.add_lora(LoraConfig(target_modules="all-linear", **options))
    assert llm.lora is None


@pytest.mark.filterwarnings("ignore:.*lora_bias")
@pytest.mark.parametrize(
    "options", [{"task_type": "CAUSAL_LM", "init_lora_weights": "gaussian"}, {"lora_bias": True}]
)
def test_usual_options_of_lora_are_taken(llm_folder, llm, renderer, options):
    from peft import LoraConfig

    ours = load_llm(llm_folder)
    ours.add_lora(LoraConfig(target_modules="all-linear", **options))
    assert not any(module.training for module in ours.modules())
    with ours.plain():
        assert torch.equal(logits(ours, renderer), logits(llm, renderer))


def test_a_row_near_the_end_of_the_context_is_alone_what_it_is_in_a_batch(llm, renderer):
    word = llm.embed(renderer.encode("nine five three sort"))
    crowded = word.repeat(300 // len(word), 1)[:250]
    rows, never = [word, crowded, word[:2]], (llm.model.config.vocab_size,)
    together = llm.generate(rows, decoding=Decoding(20), stop_ids=never)
    assert [len(answer.ids) for answer in together] == [20, 6, 20]
    for row, answer in zip(rows, together, strict=True):
        assert llm.generate([row], decoding=Decoding(20), stop_ids=never) == [answer]


def heard(num_positions, *places):
    """(1, N): which positions are speech."""
    mask = torch.zeros(1, num_positions, dtype=torch.bool)
    mask[0, list(places)] = True
    return mask


@pytest.fixture
def scoped(llm_folder):
    """An LLM with LoRA on the positions of speech, at random."""
    import peft

    llm = load_llm(llm_folder)
    llm.add_lora(peft.LoraConfig(r=2, target_modules="all-linear"), scope="speech")
    torch.manual_seed(1)
    for parameter in llm.lora.parameters():
        torch.nn.init.normal_(parameter.data, std=0.3)
    return llm


def test_scoped_lora_without_speech_equals_the_base_exactly(llm, scoped):
    embeddings, positions = llm.embed(range(9)), torch.arange(9)
    with scoped.adapting(heard(9)):
        assert torch.equal(
            scoped.hidden_states(embeddings, positions), llm.hidden_states(embeddings, positions)
        )


def test_scoped_lora_with_speech_everywhere_equals_lora(llm_folder, scoped):
    import peft

    usual = load_llm(llm_folder)
    usual.add_lora(peft.LoraConfig(r=2, target_modules="all-linear"))
    usual.lora.load_state_dict(scoped.lora.state_dict())
    embeddings, positions = usual.embed(range(9)), torch.arange(9)
    with scoped.adapting(heard(9, *range(9))):
        assert torch.equal(
            scoped.hidden_states(embeddings, positions), usual.hidden_states(embeddings, positions)
        )


def test_scoped_lora_leaves_what_stands_before_the_speech(llm, scoped):
    embeddings, positions = llm.embed(range(9)), torch.arange(9)
    with scoped.adapting(heard(9, 4, 5)):
        ours = scoped.hidden_states(embeddings, positions)
    plain = llm.hidden_states(embeddings, positions)
    assert torch.equal(ours[:4], plain[:4])
    assert not torch.allclose(ours[4:], plain[4:], atol=1e-3)


@pytest.mark.parametrize("num_beams", [1, 3])
def test_scoped_lora_answers_alone_what_it_does_in_a_batch(scoped, renderer, num_beams):
    prompts = [scoped.embed(range(number)) for number in (4, 9, 6)]
    masks = [heard(len(prompt), 1, 2)[0] for prompt in prompts]
    options = {"decoding": Decoding(8, num_beams=num_beams), "stop_ids": renderer.stop_ids}
    together = scoped.generate(prompts, heard=masks, **options)
    alone = [scoped.generate([p], heard=[m], **options)[0] for p, m in zip(prompts, masks, strict=True)]
    assert together == alone


def test_scoped_lora_answers_as_forward_passes_say(scoped, renderer):
    prompt, mask = scoped.embed(range(6)), heard(6, 2, 3)[0]
    (answer,) = scoped.generate([prompt], heard=[mask], decoding=Decoding(5), stop_ids=renderer.stop_ids)
    written = []
    for token in answer.ids:
        embeddings = torch.cat([prompt, scoped.embed(written)]) if written else prompt
        with scoped.adapting(heard(len(embeddings), 2, 3)):
            states = scoped.hidden_states(embeddings, torch.arange(len(embeddings)))
        assert scoped.head(states[-1:]).argmax().item() == token
        written.append(token)
    assert written


def test_scoped_lora_on_embeddings_or_dora_is_refused(llm_folder):
    import peft

    with pytest.raises(ValueError, match="lora_scope speech: not with use_dora"):
        load_llm(llm_folder).add_lora(
            peft.LoraConfig(target_modules="all-linear", use_dora=True), scope="speech"
        )


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
    with ours.plain():
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


def test_in_bf16_answers_do_not_depend_on_batch_mates_where_that_is_asked(tmp_path):
    from auralign.testing import make_tiny_llm

    llm = load_llm(make_tiny_llm(tmp_path / "qwen2", kind="qwen2", width=64), dtype="bfloat16")
    torch.manual_seed(0)
    rows = [llm.embed(torch.randint(5, 300, (size,))) for size in (40, 17, 33, 8, 25, 12, 3, 29)]
    settings = {"decoding": Decoding(40), "stop_ids": (10_000,)}
    alone = [llm.generate([row], **settings)[0] for row in rows]  # 4 of these 8 differ in a batch
    llm.batch_invariant = True
    sizes = set()
    hook = llm.decoder.layers[0].register_forward_pre_hook(lambda _, args: sizes.add(len(args[0])))
    together = llm.generate(rows, **settings)
    hook.remove()
    assert together == alone
    assert sizes == {1}
