"""Whisper's decoder on our frames, on a tiny random checkpoint written to disk like a downloaded one."""

import json
import shutil
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import (
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperModel,
    WhisperTokenizer,
)

from auralign.models.build import build_recognizer
from auralign.models.encoders import load_whisper
from auralign.models.recognizers import load_whisper_decoder, load_whisper_recognizer
from auralign.testing import make_speech, make_tiny_whisper


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_tiny_whisper(tmp_path_factory.mktemp("whisper"), decoder=True, seed=2)


@pytest.fixture(scope="module")
def encoder(folder):
    return load_whisper(folder)


@pytest.fixture(scope="module")
def recognizer(folder, encoder):
    return load_whisper_decoder(folder, encoder.width)


def change(folder, to, **values):
    """A copy of the folder with other values in its generation config; None takes one out."""
    shutil.copytree(folder, to, dirs_exist_ok=True)
    path = to / "generation_config.json"
    config = {**json.loads(path.read_text()), **values}
    path.write_text(json.dumps({name: value for name, value in config.items() if value is not None}))
    return to


def hugging_face(folder, waveforms, **options):
    model = WhisperForConditionalGeneration.from_pretrained(folder).eval()
    extractor = WhisperFeatureExtractor.from_pretrained(folder)
    features = extractor(waveforms, sampling_rate=16_000, return_tensors="pt").input_features
    tokens = model.generate(features, max_new_tokens=20, **options)
    texts = WhisperTokenizer.from_pretrained(folder).batch_decode(tokens, skip_special_tokens=True)
    return [text.strip() for text in texts]


@pytest.mark.parametrize("options", [{"pool": 2}, {"padding": "masked_window"}])
def test_frames_that_are_not_whispers_own_are_refused(folder, options):
    recipe = SimpleNamespace(recognizer=partial(load_whisper_decoder, folder), device="cpu")
    with pytest.raises(ValueError, match="recognizer: .* use .*load_whisper_recognizer"):
        build_recognizer(recipe, load_whisper(folder, **options))


@pytest.mark.parametrize("options", [{}, {"language": "de"}, {"language": "de", "task": "translate"}])
def test_a_full_window_is_read_as_by_hugging_face(folder, encoder, options):
    waveforms = [make_speech(30, seed=seed) for seed in range(2)]
    expected = hugging_face(folder, waveforms, **{"language": "en", "task": "transcribe", **options})
    found = load_whisper_decoder(folder, encoder.width, **options).transcribe(*encoder(waveforms))
    assert found == expected
    assert all(found)


@pytest.mark.parametrize("seconds", [0.3, 7.0, 30.0])
def test_a_whole_whisper_transcribes_as_hugging_face_does(folder, seconds):
    waveforms = [make_speech(seconds, seed=seed) for seed in range(2)]
    recognizer = load_whisper_recognizer(folder, language="de", max_new_tokens=20)
    found = recognizer.transcribe(*recognizer.encoder(waveforms))
    assert found == hugging_face(folder, waveforms, language="de", task="transcribe")


def test_a_whole_whisper_hears_long_audio_window_by_window(folder):
    recognizer = load_whisper_recognizer(folder, max_new_tokens=20)
    waveform = make_speech(50)
    frames, lengths = recognizer.encoder([waveform])
    assert lengths.tolist() == [3000]
    halves = [recognizer.transcribe(*recognizer.encoder([half]))[0] for half in np.split(waveform, 2)]
    assert recognizer.transcribe(frames, lengths) == [" ".join(halves)]


def test_an_english_model_is_read_as_by_hugging_face(folder, encoder, tmp_path):
    """As whisper-small.en has it: no languages, and a prompt that is forced."""
    end = json.loads((folder / "generation_config.json").read_text())["no_timestamps_token_id"]
    change(
        folder,
        tmp_path,
        is_multilingual=False,
        lang_to_id=None,
        task_to_id=None,
        forced_decoder_ids=[[1, end]],
    )
    waveforms = [make_speech(30, seed=seed) for seed in range(2)]
    recognizer = load_whisper_decoder(tmp_path, encoder.width)
    assert len(recognizer.prompt) == 2
    assert recognizer.transcribe(*encoder(waveforms)) == hugging_face(tmp_path, waveforms)


@pytest.mark.parametrize("padding", ["true_length", "30_seconds"])
def test_an_utterance_alone_equals_itself_in_a_batch(folder, recognizer, padding):
    encoder = load_whisper(folder, padding=padding)
    waveforms = [make_speech(seconds, seed=seed) for seed, seconds in enumerate((0.5, 3, 0.5, 7))]
    found = recognizer.transcribe(*encoder(waveforms))
    assert found == [recognizer.transcribe(*encoder([waveform]))[0] for waveform in waveforms]
    assert len(set(found)) > 1


def test_frames_of_several_layers_end_with_the_output(folder, encoder, recognizer):
    several = load_whisper(folder, layers="all")
    waveforms = [make_speech(2)]
    found = load_whisper_decoder(folder, several.width).transcribe(*several(waveforms))
    assert found == recognizer.transcribe(*encoder(waveforms))


def test_suppressed_tokens_are_not_written(folder, encoder, recognizer, tmp_path):
    frames = encoder([make_speech(2)])
    ((_, tokens),) = recognizer._read(*frames)[0]
    suppressed = sorted(set(tokens))
    other = load_whisper_decoder(change(folder, tmp_path, suppress_tokens=suppressed), encoder.width)
    ((_, found),) = other._read(*frames)[0]
    assert found and not set(found) & set(suppressed)


def test_a_token_suppressed_at_the_start_may_follow(folder, encoder, recognizer, tmp_path):
    frames = encoder([make_speech(2)])
    ((_, tokens),) = recognizer._read(*frames)[0]
    ((_, found),) = load_whisper_decoder(
        change(folder, tmp_path, begin_suppress_tokens=tokens[:1]), encoder.width
    )._read(*frames)[0]
    assert found[0] != tokens[0]


def test_an_empty_transcript_is_one(folder, encoder, tmp_path):
    """All but the end is suppressed."""
    end = json.loads((folder / "generation_config.json").read_text())["eos_token_id"]
    others = [number for number in range(len(WhisperTokenizer.from_pretrained(folder))) if number != end]
    change(folder, tmp_path, suppress_tokens=others, begin_suppress_tokens=None)
    recognizer = load_whisper_decoder(tmp_path, encoder.width)
    frames = encoder([make_speech(2), make_speech(1)])
    assert recognizer.transcribe(*frames) == ["", ""]
    assert recognizer.locate(*frames, [["three"], []]) == [[None], []]


def test_no_more_tokens_are_written_than_asked(folder, encoder, recognizer):
    frames = encoder([make_speech(2)])
    ((_, tokens),) = recognizer._read(*frames)[0]
    ((_, found),) = load_whisper_decoder(folder, encoder.width, max_new_tokens=3)._read(*frames)[0]
    assert found == tokens[:3] and len(tokens) > 3


def test_long_audio_is_read_chunk_by_chunk(folder):
    encoder = load_whisper(folder, chunk_seconds=4)
    recognizer = load_whisper_decoder(folder, encoder.width, chunk_seconds=4)
    waveform = make_speech(9)  # three chunks of 3 s
    (found,) = recognizer.transcribe(*encoder([waveform]))
    assert found == " ".join(
        recognizer.transcribe(*encoder([part]))[0] for part in np.split(waveform, [48_000, 96_000])
    )


def test_chunks_of_a_language_without_spaces_are_joined_without(folder, encoder):
    recognizer = load_whisper_decoder(folder, encoder.width, language="zh")
    assert recognizer._join([" a", "b ", "", "c"]) == "abc"
    translated = load_whisper_decoder(folder, encoder.width, language="zh", task="translate")
    assert translated._join([" a", "b ", "", "c"]) == "a b c"


def test_files_as_first_published_are_read(folder, encoder, recognizer, tmp_path):
    """vocab.json and merges.txt, without tokenizer.json."""
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    saved = json.loads((folder / "tokenizer.json").read_text())
    (tmp_path / "tokenizer.json").unlink()
    (tmp_path / "vocab.json").write_text(json.dumps(saved["model"]["vocab"]))
    merges = [" ".join(pair) for pair in saved["model"]["merges"]]
    (tmp_path / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n")
    frames = encoder([make_speech(2)])
    assert load_whisper_decoder(tmp_path, encoder.width).transcribe(*frames) == recognizer.transcribe(*frames)


def test_the_recognizer_stays_frozen_and_holds_no_encoder(recognizer):
    recognizer.train()
    assert not any(module.training for module in recognizer.modules())
    assert not any(parameter.requires_grad for parameter in recognizer.parameters())
    assert not any("encoder.layers" in name for name in recognizer.state_dict())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"language": "xx"}, "language 'xx': this Whisper knows de, en, zh"),
        ({"task": "sing"}, "task 'sing': use transcribe or translate"),
        ({"width": 24}, "is for frames of width 16, the encoder's have 24"),
        ({"max_new_tokens": 37}, "max_new_tokens 37: this Whisper writes 1 to 36"),
        ({"dtype": "int8"}, "dtype 'int8'"),
    ],
)
def test_what_this_whisper_cannot_do_is_named(folder, options, message):
    with pytest.raises(ValueError, match=message):
        load_whisper_decoder(folder, **{"width": 16, **options})


def test_an_english_model_knows_no_other_language(folder, tmp_path):
    change(folder, tmp_path, is_multilingual=False, lang_to_id=None, task_to_id=None)
    with pytest.raises(ValueError, match="this Whisper transcribes English .en. alone"):
        load_whisper_decoder(tmp_path, 16, language="de")


def test_a_folder_without_a_decoder_is_refused(folder, tmp_path):
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    model = WhisperModel.from_pretrained(folder)
    weights = {
        name: value for name, value in model.state_dict().items() if not name.startswith("decoder.layers")
    }
    model.save_pretrained(tmp_path, state_dict=weights)
    with pytest.raises(ValueError, match="lacks 24 decoder weights, such as model.decoder.layers.0"):
        load_whisper_decoder(tmp_path, 16)


def test_a_folder_without_a_generation_config_is_named(folder, tmp_path):
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / "generation_config.json").unlink()
    with pytest.raises(FileNotFoundError, match="no generation_config.json in"):
        load_whisper_decoder(tmp_path, 16)


def attend(recognizer, monkeypatch, *edges):
    """Let the position that writes the n-th token, and the end, attend to the frames between two edges."""

    class Outputs:
        def __init__(self, num_rows, num_frames):
            weights = torch.full((1, 2, num_rows, num_frames), 1e-3)
            first = num_rows - (len(edges) - 1)
            for number, (start, end) in enumerate(zip(edges, edges[1:], strict=False)):
                weights[:, :, first + number, start:end] = 1.0
            self.cross_attentions = (weights,)

    def forward(*, encoder_outputs, decoder_input_ids, **_):
        return Outputs(decoder_input_ids.shape[1], encoder_outputs.last_hidden_state.shape[1])

    monkeypatch.setattr(recognizer.model, "forward", forward)


def tokens_of(recognizer, text):
    return recognizer.tokenizer(text, add_special_tokens=False).input_ids


def test_a_token_starts_where_the_position_before_it_attends(recognizer, monkeypatch):
    attend(recognizer, monkeypatch, 0, 20, 50, 80, 100)
    tokens = tokens_of(recognizer, " three five nine")
    assert len(tokens) == 3
    assert recognizer._token_starts(torch.zeros(1, 100, 16), tokens) == [0, 20, 50, 80]


def test_a_word_lasts_from_its_first_token_to_the_next_words(recognizer, monkeypatch):
    text = " three – againé, nine."  # é is two tokens, of a byte each
    sizes = [len(tokens_of(recognizer, text[:end])) for end in (6, 8, 16, 22)]
    monkeypatch.setattr(recognizer, "_token_starts", lambda frames, tokens: list(range(len(tokens) + 1)))
    assert recognizer._time(torch.zeros(1, 100, 16), tokens_of(recognizer, text)) == [
        ("three", 0, sizes[0]),
        ("againé", sizes[1], sizes[2]),
        ("nine", sizes[2], sizes[3]),
    ]


def test_phrases_are_located_among_the_words_of_all_chunks(recognizer, monkeypatch):
    chunks = [
        (torch.zeros(1, 40, 16), ["three", "five"]),
        (torch.zeros(1, 50, 16), ["nine", "two", "five"]),
    ]
    monkeypatch.setattr(recognizer, "_read", lambda *_: [chunks])
    monkeypatch.setattr(
        recognizer,
        "_time",
        lambda frames, words: [(word, 10 * at, 10 * at + 9) for at, word in enumerate(words)],
    )
    phrases = ["Five, nine!", "two six", "five", "eight", "–"]
    assert recognizer.locate(None, None, [phrases]) == [
        [(10, 49, 0.0), (50, 69, -0.5), (10, 19, 0.0), None, None]
    ]


def test_a_whole_phrase_is_located_in_what_was_transcribed(encoder, recognizer):
    frames, lengths = encoder([make_speech(2), make_speech(3, seed=1)])
    texts = recognizer.transcribe(frames, lengths)
    words = [next(word for word in text.split() if word.isalpha()) for text in texts]
    for length, ((start, end, score),) in zip(
        lengths.tolist(), recognizer.locate(frames, lengths, [[word] for word in words]), strict=True
    ):
        assert 0 <= start < end <= length
        assert score == 0.0


def test_words_cannot_be_timed_without_the_heads_that_tell(folder, encoder, tmp_path):
    recognizer = load_whisper_decoder(change(folder, tmp_path, alignment_heads=None), encoder.width)
    with pytest.raises(ValueError, match="its generation_config.json has no alignment_heads"):
        recognizer.locate(*encoder([make_speech(1)]), [["three"]])


def test_a_chunk_of_silence_has_no_transcript(folder, encoder, monkeypatch):
    """Of two chunks one sounds of nothing; a random model is confident of no token."""
    recognizer = load_whisper_decoder(folder, encoder.width)
    frames, lengths = encoder([make_speech(2), make_speech(2, seed=1)])
    texts = recognizer.transcribe(frames, lengths)
    assert all(texts)
    monkeypatch.setattr(recognizer, "_no_speech", lambda frames: [0.7, 0.5])
    assert recognizer.transcribe(frames, lengths) == ["", texts[1]]


def test_the_probability_of_silence_is_that_behind_the_start(folder, encoder, recognizer):
    frames, _ = encoder([make_speech(2)])
    model = WhisperForConditionalGeneration.from_pretrained(folder).eval()
    config = model.generation_config
    with torch.no_grad():
        logits = model(
            encoder_outputs=(frames,), decoder_input_ids=torch.tensor([[config.decoder_start_token_id]])
        ).logits[0, 0]
    expected = logits.softmax(-1)[config.no_timestamps_token_id - 1]
    with torch.no_grad():
        assert recognizer._no_speech(frames) == pytest.approx([float(expected)], rel=1e-5)


def test_a_transcripts_probability_is_the_mean_over_its_tokens_and_its_end(folder, encoder, tmp_path):
    """Three tokens are all that may be written, so each step chooses one of three, whose scores are those of the model."""
    recognizer = load_whisper_decoder(folder, encoder.width, max_new_tokens=3)
    frames, _ = encoder([make_speech(2)])
    with torch.no_grad():
        ((tokens, found),) = recognizer._generate(frames)
        ids = torch.tensor([[*recognizer.prompt, *tokens]])
        scores = recognizer.model(encoder_outputs=(frames,), decoder_input_ids=ids[:, :-1]).logits[0]
    start, config = len(recognizer.prompt) - 1, recognizer.generation
    scores[:, list(config.suppress_tokens or ())] = -torch.inf
    scores[start, list(config.begin_suppress_tokens or ())] = -torch.inf
    logprobs = scores.log_softmax(-1)[start:]
    total = sum(float(row[token]) for row, token in zip(logprobs, tokens, strict=True))
    assert len(tokens) == 3
    assert found == pytest.approx(total / 4, rel=1e-4)  # Whisper counts an end that is not there


def test_other_transcripts_are_tried_instead_of_a_poor_one(folder, encoder, monkeypatch):
    recognizer = load_whisper_decoder(folder, encoder.width, temperatures=(0.5, 1.0), max_new_tokens=5)
    frames, lengths = encoder([make_speech(2)])
    given = {0.0: ([1], -2.0), 0.5: ([2], -1.5), 1.0: ([3], -0.5)}
    asked = []

    def generate(frames, temperature=0.0):
        asked.append(temperature)
        return [given[temperature]]

    monkeypatch.setattr(recognizer, "_generate", generate)
    monkeypatch.setattr(recognizer, "_no_speech", lambda frames: [0.0])
    assert recognizer._read(frames, lengths)[0][0][1] == [3]
    assert asked == [0.0, 0.5, 1.0]
    asked.clear()
    given[0.5] = ([2], -0.9)
    assert recognizer._read(frames, lengths)[0][0][1] == [2]
    assert asked == [0.0, 0.5]


def test_what_is_sampled_hangs_on_neither_batch_mates_nor_history(folder, encoder):
    recognizer = load_whisper_decoder(folder, encoder.width, temperatures=(1.0,), max_new_tokens=8)
    frames, lengths = encoder([make_speech(2), make_speech(2, seed=1)])
    state = torch.random.get_rng_state()
    together = recognizer.transcribe(frames, lengths)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.rand(3)
    assert [
        recognizer.transcribe(frames[row : row + 1], lengths[row : row + 1])[0] for row in (0, 1)
    ] == together
    assert together != load_whisper_decoder(folder, encoder.width, max_new_tokens=8).transcribe(
        frames, lengths
    )


def test_each_word_of_a_text_is_timed_within_the_speech(encoder, recognizer):
    frames, lengths = encoder([make_speech(2), make_speech(3, seed=1)])
    texts = ["Three, five!", "NINE TWO – FOUR"]
    aligned = recognizer.align(frames, lengths, texts)
    assert [[word for word, *_ in of_one] for of_one in aligned] == [
        ["Three,", "five!"],
        ["NINE", "TWO", "FOUR"],
    ]
    for of_one, length in zip(aligned, lengths.tolist(), strict=True):
        assert all(0 <= start < end <= length for _, start, end in of_one)
        assert [start for _, start, _ in of_one] == sorted(start for _, start, _ in of_one)


def test_a_text_in_capitals_is_timed_as_in_small_letters(encoder, recognizer):
    frames, lengths = encoder([make_speech(2)])
    times = [
        [span for _, *span in recognizer.align(frames, lengths, [text])[0]]
        for text in ("THREE FIVE", "three five")
    ]
    assert times[0] == times[1]


def test_a_text_is_timed_as_the_transcript_of_the_same_tokens(encoder, recognizer, monkeypatch):
    frames, lengths = encoder([make_speech(2)])
    tokens = recognizer.tokenizer(" three five", add_special_tokens=False)["input_ids"]
    monkeypatch.setattr(recognizer, "_read", lambda *_: [[(frames, tokens)]])
    ((start, end, score),) = recognizer.locate(frames, lengths, [["three five"]])[0]
    aligned = recognizer.align(frames, lengths, ["three five"])[0]
    assert (aligned[0][1], aligned[-1][2], score) == (start, end, 0.0)


def test_a_text_that_the_decoder_has_no_room_for_is_not_aligned(encoder, recognizer):
    assert recognizer.align(*encoder([make_speech(2)]), ["three " * 600]) == [None]
