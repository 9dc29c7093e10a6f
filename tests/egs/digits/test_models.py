"""The shipped models, loaded as any user would load them."""

import random
from pathlib import Path

import numpy
import pytest
import sentencepiece
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import build_encoder
import build_llm
import instructions
import make_corpus
import world
from auralign.models.encoders import load_whisper
from auralign.models.recognizers import load_ctc

MODELS = Path(__file__).parents[3] / "egs" / "digits" / "models"


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(MODELS / "llm", local_files_only=True)


@pytest.fixture(scope="module")
def llm():
    return AutoModelForCausalLM.from_pretrained(
        MODELS / "llm", dtype=torch.float32, local_files_only=True
    ).eval()


@pytest.mark.parametrize(
    "text", ["three five nine", "take ", " and turn it round", "a\n\nb  c ", "<|im_end|>", "wörld"]
)
def test_tokenizer_gives_the_ids_of_sentencepiece(tokenizer, text):
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(MODELS / "llm" / "tokenizer.model"))
    ids = tokenizer(text, add_special_tokens=False, split_special_tokens=True).input_ids
    assert ids == pieces.encode(text)
    assert tokenizer.decode(ids) == text


def test_each_content_word_is_one_piece_with_and_without_a_space(tokenizer):
    for word in world.CONTENT_WORDS:
        assert len(tokenizer.tokenize(word)) == len(tokenizer.tokenize(f" {word}")) == 1


def test_chat_template_adds_no_system_prompt_of_its_own(tokenizer):
    user = {"role": "user", "content": "two"}
    text = tokenizer.apply_chat_template([user], tokenize=False, add_generation_prompt=True)
    assert text == "<|im_start|>user\ntwo<|im_end|>\n<|im_start|>assistant\n"
    text = tokenizer.apply_chat_template([{"role": "system", "content": "hello"}, user], tokenize=False)
    assert text == "<|im_start|>system\nhello<|im_end|>\n<|im_start|>user\ntwo<|im_end|>\n"
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|im_end|>", "<|endoftext|>")


def test_prompt_is_the_ids_of_its_segments_one_after_another(tokenizer):
    prompts = instructions.Prompts(tokenizer)
    request = instructions.Request("reverse", "take {speech} and turn it round", ("three", "five"))
    pieces = tokenizer.convert_ids_to_tokens(prompts.prompt_ids(request))
    assert pieces == [
        "<|im_start|>", "user", "<0x0A>", "take", "▁", "three", "▁five", "▁and", "▁turn", "▁it", "▁round",
        "<|im_end|>", "<0x0A>", "<|im_start|>", "assistant", "<0x0A>",
    ]  # fmt: skip


def test_pauses_stand_only_between_and_around_the_words(tokenizer):
    prompts = instructions.Prompts(tokenizer)
    ids = prompts.content_ids(("three", "five"), random.Random(1))
    assert prompts.pause in ids
    assert [index for index in ids if index != prompts.pause] == prompts.content_ids(("three", "five"))


def test_llm_answers_nearly_all_requests_over_strings_never_trained_on(llm, tokenizer):
    prompts = instructions.Prompts(tokenizer)
    tests = build_llm.draw_tests(random.Random(7), 1)
    assert len(tests) == 12 * 8
    for rng in (None, random.Random(7)):
        answers = build_llm.reply(llm, prompts, [prompts.prompt_ids(request, rng) for _, request in tests])
        wrong = [
            (request, text)
            for (_, request), text in zip(tests, answers, strict=True)
            if text != request.reference
        ]
        assert len(wrong) <= 4, wrong


def test_llm_is_small_and_in_bfloat16():
    llm = AutoModelForCausalLM.from_pretrained(MODELS / "llm", local_files_only=True)
    assert llm.dtype == torch.bfloat16
    assert 1.2e6 < llm.num_parameters() < 1.6e6


def test_encoder_and_its_recognizer_load_and_fit_together():
    encoder = load_whisper(MODELS / "encoder")
    recognizer = load_ctc(MODELS / "encoder", encoder.width)
    assert recognizer.tokens == ["<blank>", *world.HEARD_WORDS]
    assert 1.5e6 < sum(parameter.numel() for parameter in encoder.parameters()) < 2.5e6
    silence = numpy.zeros(16_000, dtype=numpy.float32)
    assert recognizer.transcribe(*encoder([silence])) == [""]


def test_encoder_transcribes_voices_it_never_heard(tmp_path):
    options = ["--output", str(tmp_path), "--num-train", "0", "--num-valid", "0", "--num-test", "24"]
    make_corpus.make_corpus(make_corpus.parse_options(options))
    rate = build_encoder.word_error_rate(MODELS / "encoder", build_encoder.read_corpus(tmp_path, "test"))
    assert rate <= 0.04  # 0.0145 on the 300 utterances of the card; two dozen vary


def test_content_is_roughened_and_nothing_else():
    embeddings = torch.ones(200, 3, 4)
    content = torch.tensor([False, True, False]).expand(200, 3)
    rough = build_llm.roughen(embeddings, content, rms=0.1, generator=torch.Generator().manual_seed(1))
    assert torch.equal(rough[:, [0, 2]], embeddings[:, [0, 2]])
    untouched = (rough[:, 1] == 1).all(dim=-1).float().mean().item()
    assert untouched == pytest.approx(0.4 * 0.4, abs=0.1)  # neither noise nor another loudness


def test_collated_examples_mark_the_answer_and_the_content():
    batch = [build_llm.Example([5], [6, 7], [8], [9, 10]), build_llm.Example([5], [6], [], [9])]
    ids, labels, content = build_llm.collate(batch, pad_token_id=0)
    assert ids.tolist() == [[5, 6, 7, 8, 9, 10], [5, 6, 9, 0, 0, 0]]
    assert labels.tolist() == [[-100, -100, -100, -100, 9, 10], [-100, -100, 9, -100, -100, -100]]
    assert content.int().tolist() == [[0, 1, 1, 0, 0, 0], [0, 1, 0, 0, 0, 0]]
