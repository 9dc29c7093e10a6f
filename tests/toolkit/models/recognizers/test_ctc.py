"""Greedy and forced CTC on hand-made logits, of words and of characters."""

import itertools
import json
import math
import os
import subprocess
import sys

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
from auralign.models.recognizers import Characters, CTCRecognizer, load_ctc, load_wav2vec2_ctc, locate_units

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


def log_frames(*ids, sure=0.8, tokens=TOKENS):
    """Frames whose logits are log probabilities: so sure of these tokens, the others share the rest."""
    rest = (1 - sure) / (len(tokens) - 1)
    return torch.log(rest + (sure - rest) * torch.nn.functional.one_hot(torch.tensor(ids), len(tokens)))


def locate(phrase, frames, *, tokens=TOKENS, length=None):
    recognizer = CTCRecognizer(identity_head(), tokens)
    ((found,),) = recognizer.locate(frames[None], torch.tensor([length or len(frames)]), [[phrase]])
    return found


@pytest.mark.parametrize(
    ("ids", "span"),
    [
        ((0, 1, 0, 2, 2, 0, 1, 1, 0), (3, 8)),  # in the middle
        ((2, 0, 1, 0, 2, 0), (0, 3)),  # at the very start
        ((0, 1, 2, 2, 1), (2, 5)),  # at the very end
        ((2, 1), (0, 2)),  # and nothing else
        ((0, 2, 2, 2, 0, 0, 1, 1, 0), (1, 8)),  # with all frames of its first and last word
    ],
)
def test_a_phrase_is_found_inside_other_words(ids, span):
    start, end, score = locate("two one", log_frames(*ids))
    assert (start, end) == span
    assert score == pytest.approx(math.log(0.8))  # blanks say nothing of the words


def test_the_likelier_of_two_places_is_taken():
    frames = torch.cat([log_frames(0, 1, 2, 0, sure=0.7), log_frames(1, 0, 2, 0), log_frames(1, 2, sure=0.7)])
    assert locate("one two", frames) == (4, 7, pytest.approx(math.log(0.8)))


def test_a_place_that_is_hard_to_hear_is_not_shortened():
    # In the second frame the blank is likeliest, but hardly: to leave it out would be to read it as a word.
    frames = torch.log(
        torch.tensor([[0.1, 0.5, 0.4], [0.4, 0.3, 0.3], [0.4, 0.3, 0.3], [0.1, 0.2, 0.7], [0.9, 0.05, 0.05]])
    )
    assert locate("one two", frames)[:2] == (0, 4)


def test_a_phrase_that_is_not_said_scores_low():
    said, absent = locate("one", log_frames(0, 1, 1, 0)), locate("two", log_frames(0, 1, 1, 0))
    assert said[2] == pytest.approx(math.log(0.8))
    assert absent[2] == pytest.approx(math.log(0.1))


def test_a_word_twice_in_a_phrase_has_a_blank_between():
    assert locate("one one", log_frames(1, 1, 2, 1, 0, 1, 0))[:2] == (3, 6)


def test_a_phrase_may_end_where_its_last_word_goes_on_with_another():
    assert locate("One!", log_frames(2, 1, 2, 2))[:2] == (1, 2)


def test_frames_beyond_the_length_hold_no_phrase():
    assert locate("two", log_frames(0, 2, 0, 2, 2), length=3)[:2] == (1, 2)


@pytest.mark.parametrize("phrase", ["three", "one three", "", "–", "one two one two one"])
def test_a_phrase_that_cannot_be_spelled_or_fitted_has_no_place(phrase):
    assert locate(phrase, log_frames(0, 1, 2, 0)) is None


def test_the_best_place_is_that_of_all_ways_written_out():
    """Against every way through 6 frames of random scores, by the definition in `locate_units`."""
    generator = torch.Generator().manual_seed(0)
    for ids in ([1], [1, 2], [2, 2], [1, 2, 1]):
        scores = torch.randn(6, 3, generator=generator).log_softmax(-1).double().numpy()
        best = (-math.inf, None)
        for start, end in itertools.combinations(range(7), 2):
            for way in itertools.product(range(3), repeat=end - start):
                runs = [label for label, _ in itertools.groupby(way) if label != 0]
                if runs == ids and way[0] == ids[0] and way[-1] == ids[-1]:
                    cost = sum(
                        (1 + 1e-3) * scores[start + at, label] - scores[start + at].max()
                        for at, label in enumerate(way)
                    )
                    best = max(best, (cost, (start, end)))
        start, end = locate_units(scores, ids)
        first, last = best[1]
        most = scores.argmax(1).tolist()
        assert start <= first < last <= end
        assert set(most[start:first]) <= {ids[0]} and set(most[last:end]) <= {ids[-1]}


LETTERS = ["<pad>", "<s>", "</s>", "<unk>", "|", "H", "E", "L", "O", "S", "'"]


def spell(*tokens):
    """Frames of one letter each."""
    return torch.nn.functional.one_hot(torch.tensor([LETTERS.index(token) for token in tokens]), len(LETTERS))


def letters(**options):
    head = torch.nn.Linear(len(LETTERS), len(LETTERS))
    with torch.no_grad():
        head.weight.copy_(torch.eye(len(LETTERS)))
        head.bias.zero_()
    return CTCRecognizer(head, Characters(LETTERS, blank=0, special=LETTERS[:4], **options))


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        (("H", "E", "E", "L", "<pad>", "L", "O"), "HELLO"),
        (("H", "E", "L", "L", "O"), "HELO"),
        (("|", "H", "E", "|", "<pad>", "|", "|", "O", "|"), "HE O"),
        (("<s>", "H", "<unk>", "O", "</s>"), "HO"),
        (("<pad>", "|", "<pad>"), ""),
    ],
)
def test_letters_are_read_as_words(tokens, text):
    frames = spell(*tokens)[None].float()
    assert letters().transcribe(frames, torch.tensor([len(tokens)])) == [text]


def test_capitals_are_read_in_lower_case_when_asked():
    frames = spell("H", "E", "|", "O")[None].float()
    assert letters(lowercase=True).transcribe(frames, torch.tensor([4])) == ["he o"]


def align_letters(text, *tokens):
    (found,) = letters().align(10 * spell(*tokens)[None].float(), torch.tensor([len(tokens)]), [text])
    return found


def test_a_word_spans_its_letters():
    said = ("<pad>", "H", "H", "E", "|", "H", "O", "<pad>", "O", "<pad>")
    assert align_letters("he, Hoo!", *said) == [("he,", 1, 4), ("Hoo!", 5, 9)]


def test_letters_that_are_no_tokens_are_left_out():
    assert align_letters("hé-E'S – ho", "H", "E", "'", "S", "|", "H", "O") == [
        ("hé-E'S", 0, 4),
        ("ho", 5, 7),
    ]
    assert align_letters("Oß O’s", "O", "S", "<pad>", "S", "|", "O", "'", "S") == [
        ("Oß", 0, 4),
        ("O’s", 5, 8),
    ]


def test_a_word_without_a_letter_that_is_a_token_is_unknown():
    assert letters().unknown_words("he 1990 – || ü") == ["1990", "ü"]
    assert align_letters("he 1990", "H", "E", "|", "O") is None


def test_letters_need_a_frame_each_and_one_between_words():
    said = ["H", "E", "|", "H", "O", "<pad>", "O"]
    assert align_letters("he hoo", *said) is not None
    assert align_letters("he hoo", *said[:6]) is None


def test_a_phrase_of_letters_is_found():
    said = ["O", "|", "H", "E", "<pad>", "|", "S", "O", "|", "H"]
    ((found,),) = letters().locate(10 * spell(*said)[None].float(), torch.tensor([10]), [["he so"]])
    assert found[:2] == (2, 8)


def test_letters_need_a_token_for_the_end_of_a_word():
    with pytest.raises(ValueError, match="no token '|' for the end of a word among a b"):
        Characters(["a", "b"], blank=0)


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


@pytest.fixture(scope="module")
def broken_torchaudio(tmp_path_factory):
    """Environment variables with a torchaudio whose library does not load."""
    folder = tmp_path_factory.mktemp("broken")
    (folder / "torchaudio").mkdir()
    (folder / "torchaudio" / "__init__.py").write_text(
        "raise OSError('libtorchaudio.so: undefined symbol: aoti_torch')\n"
    )
    path = os.pathsep.join([str(folder), *filter(None, sys.path)])
    return {**os.environ, "PYTHONPATH": path}


def test_a_torchaudio_that_does_not_load_stops_nothing_else(broken_torchaudio):
    code = "import auralign.train.brain, auralign.pretrained, auralign.models.encoders; print('ready')"
    done = subprocess.run([sys.executable, "-c", code], env=broken_torchaudio, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("ready\n", "")


def test_alignment_says_in_one_line_why_torchaudio_does_not_load(broken_torchaudio):
    code = """
from auralign import script
def main(arguments):
    import torch
    from auralign.models.recognizers import forced_align
    forced_align(torch.zeros(1, 9, 3), torch.tensor([[1]]), blank=0)
script.run(main)
"""
    done = subprocess.run([sys.executable, "-c", code], env=broken_torchaudio, capture_output=True, text=True)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert (
        "forced alignment needs torchaudio" in done.stderr and "undefined symbol: aoti_torch" in done.stderr
    )
