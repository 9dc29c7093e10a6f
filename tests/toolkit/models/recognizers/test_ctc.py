"""Greedy and forced CTC on hand-made logits, of words and of characters."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import (
    HubertConfig,
    HubertForCTC,
    Wav2Vec2Config,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForCTC,
    WavLMConfig,
    WavLMForCTC,
)

from auralign.models.encoders import load_wav2vec2
from auralign.models.recognizers import CTCRecognizer, load_ctc, load_wav2vec2_ctc

TOKENS = ["<blank>", "one", "two"]


def identity_head():
    """A head whose logits are its frames."""
    head = torch.nn.Linear(3, 3)
    with torch.no_grad():
        head.weight.copy_(torch.eye(3))
        head.bias.zero_()
    return head


def one_hot(*ids):
    return torch.nn.functional.one_hot(torch.tensor(ids), 3).float()


def test_repeats_collapse_before_blanks_are_removed():
    frames = one_hot(1, 1, 0, 1, 2, 2, 0)[None]
    assert CTCRecognizer(identity_head(), TOKENS).transcribe(frames, torch.tensor([7])) == ["one one two"]


def test_frames_beyond_the_length_are_not_read():
    frames = one_hot(1, 0, 2, 2)[None]
    assert CTCRecognizer(identity_head(), TOKENS).transcribe(frames, torch.tensor([2])) == ["one"]


def test_silence_is_an_empty_transcript():
    frames = torch.stack([one_hot(0, 0), one_hot(0, 2)])
    assert CTCRecognizer(identity_head(), TOKENS).transcribe(frames, torch.tensor([2, 2])) == ["", "two"]


def test_a_saved_head_is_loaded_from_beside_the_encoder(tmp_path):
    save_file(
        {"weight": torch.eye(3).bfloat16(), "bias": torch.zeros(3).bfloat16()},
        tmp_path / "ctc_head.safetensors",
    )
    (tmp_path / "ctc_tokens.json").write_text(json.dumps(TOKENS))
    recognizer = load_ctc(tmp_path, 3)
    assert recognizer.transcribe(one_hot(0, 2, 1)[None], torch.tensor([3])) == ["two one"]
    assert not any(parameter.requires_grad for parameter in recognizer.parameters())


def test_a_folder_without_a_head_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no ctc_head.safetensors in"):
        load_ctc(tmp_path, 3)


def test_a_head_for_another_width_is_refused(tmp_path):
    save_file({"weight": torch.eye(3), "bias": torch.zeros(3)}, tmp_path / "ctc_head.safetensors")
    (tmp_path / "ctc_tokens.json").write_text(json.dumps(TOKENS))
    with pytest.raises(ValueError, match="width 3, the encoder's have 8"):
        load_ctc(tmp_path, 8)


def align(text, *ids, tokens=TOKENS, length=None):
    """The spans of a text in frames that are sure of these tokens."""
    (found,) = CTCRecognizer(identity_head(), tokens).align(
        10 * one_hot(*ids)[None], torch.tensor([length or len(ids)]), [text]
    )
    return found


def test_a_word_spans_the_frames_that_are_sure_of_it():
    assert align("one two", 0, 1, 1, 0, 2, 0) == [("one", 1, 3), ("two", 4, 5)]


def test_words_may_follow_without_a_blank():
    assert align("two one", 2, 2, 1) == [("two", 0, 2), ("one", 2, 3)]


def test_a_word_said_twice_has_a_blank_between():
    assert align("one one", 1, 1, 0, 0, 1) == [("one", 0, 2), ("one", 4, 5)]


def test_the_text_is_taken_as_true():
    assert align("two one", 1, 1) == [("two", 0, 1), ("one", 1, 2)]


def test_frames_beyond_the_length_take_no_word():
    assert align("one", 0, 1, 0, 1, 1, length=3) == [("one", 1, 2)]


def test_each_text_of_a_batch_is_aligned_alone():
    frames = 10 * torch.stack([one_hot(1, 0, 2, 0), one_hot(0, 0, 0, 2)])
    found = CTCRecognizer(identity_head(), TOKENS).align(frames, torch.tensor([3, 4]), ["one two", "two"])
    assert found == [[("one", 0, 1), ("two", 2, 3)], [("two", 3, 4)]]


def test_case_and_punctuation_are_not_heard():
    assert align("One – TWO!", 1, 0, 2) == [("One", 0, 1), ("TWO!", 2, 3)]


@pytest.mark.parametrize(("text", "start"), [("polish", 0), ("Polish", 1), ("POLISH", 0)])
def test_a_token_of_the_very_spelling_goes_before_one_of_another_case(text, start):
    recognizer = CTCRecognizer(identity_head(), ["<blank>", "polish", "Polish"])
    frames = torch.tensor([[[5.0, 9.0, 0.0], [5.0, 0.0, 9.0]]])
    assert recognizer.align(frames, torch.tensor([2]), [text]) == [[(text, start, start + 1)]]


def test_no_word_takes_no_frames():
    assert align("–", 0, 1) == []


@pytest.mark.parametrize("text", ["one three", "blank", "<blank>"])
def test_a_word_that_is_no_token_cannot_be_aligned(text):
    assert align(text, 0, 1, 0) is None


def test_the_words_that_are_no_tokens_are_named():
    recognizer = CTCRecognizer(identity_head(), TOKENS)
    assert recognizer.unknown_words("One, – three <blank> two") == ["three", "<blank>"]


@pytest.mark.parametrize(
    ("text", "num_frames", "fits"),
    [("one two", 2, True), ("one two", 1, False), ("one one", 3, True), ("one one", 2, False)],
)
def test_a_text_needs_a_frame_a_word_and_a_blank_between_equal_ones(text, num_frames, fits):
    assert (align(text, *[0] * num_frames) is not None) == fits


def test_half_precision_is_aligned():
    recognizer = CTCRecognizer(identity_head().bfloat16(), TOKENS)
    frames = 10 * one_hot(0, 1, 0)[None].bfloat16()
    assert recognizer.align(frames, torch.tensor([3]), ["one"]) == [[("one", 1, 2)]]


LETTERS = ["<pad>", "<s>", "</s>", "<unk>", "|", "H", "E", "L", "O", "S", "'"]
MODELS = {
    "wav2vec2": (Wav2Vec2Config, Wav2Vec2ForCTC),
    "hubert": (HubertConfig, HubertForCTC),
    "wavlm": (WavLMConfig, WavLMForCTC),
}


def save_ctc(folder, kind="wav2vec2", *, tokens=LETTERS, head=True, **options):
    torch.manual_seed(0)
    config_class, model_class = MODELS[kind]
    config = config_class(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, vocab_size=len(LETTERS),
        conv_dim=(8,) * 7, num_feat_extract_layers=7, feat_extract_norm="layer", do_stable_layer_norm=True,
        num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=2, initializer_range=0.2, pad_token_id=0, **options,
    )  # fmt: skip
    model = model_class(config)
    (model if head else getattr(model, model.base_model_prefix)).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)
    (folder / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(tokens)}))
    return folder


@pytest.mark.parametrize("kind", MODELS)
def test_a_downloaded_head_gives_hugging_faces_logits_and_text(tmp_path, kind):
    folder = save_ctc(tmp_path, kind)
    waveform = (0.1 * np.random.default_rng(0).standard_normal(16_000)).astype(np.float32)
    inputs = Wav2Vec2FeatureExtractor.from_pretrained(folder)(
        waveform, sampling_rate=16_000, return_tensors="pt"
    )
    with torch.no_grad():
        logits = MODELS[kind][1].from_pretrained(folder).eval()(**inputs).logits
    encoder = load_wav2vec2(folder, layers=[1, 2])
    recognizer = load_wav2vec2_ctc(folder, encoder.width)
    frames, lengths = encoder([waveform])
    torch.testing.assert_close(recognizer._scores(frames), logits, atol=1e-5, rtol=0)
    tokenizer = Wav2Vec2CTCTokenizer.from_pretrained(folder)
    # skip_special_tokens would take out the blanks before repeats are collapsed
    (expected,) = tokenizer.batch_decode(logits.argmax(-1))
    for token in ("<s>", "</s>", "<unk>"):
        expected = expected.replace(token, "")
    assert recognizer.transcribe(frames, lengths) == [" ".join(expected.split())]
    assert not any(parameter.requires_grad for parameter in recognizer.parameters())


def test_special_tokens_behind_the_outputs_of_a_head_are_no_matter(tmp_path):
    folder = save_ctc(
        tmp_path, tokens=["<pad>", "|", "<unk>", *"abcdefgh"]
    )  # the tokenizer adds <s> and </s>
    assert load_wav2vec2_ctc(folder, 16).tokens == ["<pad>", "|", "<unk>", *"abcdefgh"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"head": False}, "lacks 2 weights of a CTC head, such as lm_head.bias"),
        ({"add_adapter": True}, "its head reads the frames of an adapter"),
        (
            {"tokens": [*LETTERS, "Q"]},
            "its CTC head has 11 outputs, none for the token 'Q' of its vocabulary",
        ),
    ],
)
def test_a_folder_without_a_head_for_its_vocabulary_is_refused(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        load_wav2vec2_ctc(save_ctc(tmp_path, **options), 16)


def test_a_downloaded_head_for_another_width_is_refused(tmp_path):
    with pytest.raises(ValueError, match="is for frames of width 16, the encoder's have 24"):
        load_wav2vec2_ctc(save_ctc(tmp_path), 24)


def test_a_folder_without_a_vocabulary_is_named(tmp_path):
    (save_ctc(tmp_path) / "vocab.json").unlink()
    with pytest.raises(FileNotFoundError, match="no vocab.json in"):
        load_wav2vec2_ctc(tmp_path, 16)


def test_a_vocabulary_for_each_language_is_refused(tmp_path):
    (save_ctc(tmp_path) / "vocab.json").write_text('{"eng": {"a": 0}}')
    with pytest.raises(ValueError, match="has a vocabulary for each language"):
        load_wav2vec2_ctc(tmp_path, 16)
