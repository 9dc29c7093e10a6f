"""The frozen LLM: generation that does not depend on batch mates, and refuses to be trained."""

import pytest
import torch

from auralign.models.llm import load_llm

PROMPTS = ["repeat three", "please sort the above words again three five nine", "nine"]


def prompts(llm, renderer):
    return [llm.embed(renderer.encode(text)) for text in PROMPTS]


def test_greedy_answer_is_the_argmax_of_plain_forward_passes(llm, renderer):
    prompt = prompts(llm, renderer)[1]
    (answer,) = llm.generate([prompt], max_new_tokens=6, stop_ids=renderer.stop_ids)
    ids = list(renderer.encode(PROMPTS[1]))
    for _ in range(len(answer.ids)):
        ids.append(int(llm.model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].argmax()))
    assert tuple(ids[-len(answer.ids) :]) == answer.ids


def test_sampled_answers_alone_equal_those_in_a_batch(llm, renderer):
    settings = {"max_new_tokens": 8, "stop_ids": renderer.stop_ids, "temperature": 1.5}
    together = llm.generate(prompts(llm, renderer), seeds=[1, 2, 3], **settings)
    alone = [
        llm.generate([prompt], seeds=[seed], **settings)[0]
        for prompt, seed in zip(prompts(llm, renderer), [1, 2, 3], strict=True)
    ]
    assert together == alone


def test_another_seed_samples_another_answer(llm, renderer):
    settings = {"max_new_tokens": 8, "stop_ids": renderer.stop_ids, "temperature": 2.0}
    answers = {llm.generate(prompts(llm, renderer)[:1], seeds=[seed], **settings)[0].ids for seed in range(5)}
    assert len(answers) > 1


def test_sampling_follows_the_models_distribution(llm, renderer):
    prompt = prompts(llm, renderer)[0]
    probabilities = llm.head(llm.hidden_states(prompt, torch.arange(len(prompt))))[-1].softmax(-1)
    first = [
        llm.generate(
            [prompt] * 50,
            max_new_tokens=1,
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
        llm.generate(prompts(llm, renderer), max_new_tokens=2, stop_ids=renderer.stop_ids, temperature=1.0)


def test_answer_cut_at_the_limit_says_length(llm, renderer):
    prompt = prompts(llm, renderer)[:1]
    (free,) = llm.generate(prompt, max_new_tokens=1, stop_ids=(llm.model.config.vocab_size,))
    (stopped,) = llm.generate(prompt, max_new_tokens=1, stop_ids=free.ids)
    assert (free.finish_reason, stopped.finish_reason) == ("length", "stop")


def test_no_parameter_wants_a_gradient(llm):
    assert not any(parameter.requires_grad for parameter in llm.parameters())


def test_revision_is_the_hash_of_the_folders_content(llm_folder, llm, tmp_path):
    import shutil

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
