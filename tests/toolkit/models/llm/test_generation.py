"""Answers: alone as in a batch, greedy, sampled or searched, within their limits."""

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
        ({"max_new_tokens": 4, "stop_strings": 5}, "give a list of strings"),
        ({"max_new_tokens": 4, "tokens_per_second": "x"}, "tokens_per_second 'x': give a number"),
        (
            {"max_new_tokens": 4, "tokens_per_second": float("nan")},
            "tokens_per_second nan: give a number above 0",
        ),
    ],
)
def test_decoding_that_cannot_be_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Decoding(**options)


def test_a_row_near_the_end_of_the_context_is_alone_what_it_is_in_a_batch(llm, renderer):
    word = llm.embed(renderer.encode("nine five three sort"))
    crowded = word.repeat(300 // len(word), 1)[:250]
    rows, never = [word, crowded, word[:2]], (llm.model.config.vocab_size,)
    together = llm.generate(rows, decoding=Decoding(20), stop_ids=never)
    assert [len(answer.ids) for answer in together] == [20, 6, 20]
    for row, answer in zip(rows, together, strict=True):
        assert llm.generate([row], decoding=Decoding(20), stop_ids=never) == [answer]


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
