"""A loaded model answers as the recipe does: files and arrays, at once and piece by piece."""

import numpy as np
import pytest
import soundfile
import torch

import auralign
from auralign import cli
from auralign.data.audio import AudioError
from auralign.models.llm import Answer
from auralign.records import Hypothesis, Records
from auralign.testing import make_speech


def audio(recipe, number=0):
    return recipe / "data" / f"test-{number}.flac"


def test_answers_are_those_of_the_recipes_decoding(recipe, model):
    written = Records(recipe / "exp/sift/hypotheses/test.speech.jsonl", Hypothesis)
    answers = model.answer([audio(recipe, number) for number in range(4)], "repeat {speech}")
    assert answers == [hypothesis.text for hypothesis in written]


def test_a_file_and_its_samples_are_answered_alike(recipe, model):
    samples, rate = soundfile.read(audio(recipe), dtype="float32")
    assert model.answer(samples, "repeat {speech}", sample_rate=rate) == model.answer(
        audio(recipe), "repeat {speech}"
    )


def test_a_prompt_without_a_slot_stands_behind_the_speech(recipe, model):
    assert model.answer(audio(recipe), "sort") == model.answer(audio(recipe), "{speech}\nsort")


def test_streamed_pieces_join_to_the_answer(recipe, model):
    pieces = list(model.stream(audio(recipe), "repeat {speech}"))
    assert "".join(pieces).strip() == model.answer(audio(recipe), "repeat {speech}")


def test_an_error_while_streaming_reaches_the_reader(recipe, model, monkeypatch):
    def fail(*arguments, **options):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(model.model, "answer", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        list(model.stream(audio(recipe), "repeat"))


def test_audio_longer_than_the_encoder_hears_is_named(model):
    with pytest.raises(
        AudioError, match=r"the array lasts 31.00 s, this encoder hears 30 s at once; .*chunk_seconds"
    ):
        model.answer(make_speech(31.0))


def test_speech_longer_than_the_context_is_named(model):
    with pytest.raises(ValueError, match="the LLM llama has 256; cut the audio"):
        model.answer(make_speech(29.0), "repeat " * 100)


def test_ask_answers_what_it_can_and_names_the_rest(recipe, capsys, tmp_path):
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    code = cli.run(["ask", str(recipe / "model"), str(audio(recipe)), str(tmp_path / "broken.wav"), "sort"])
    out, err = capsys.readouterr()
    assert code == 1
    assert out == f"{audio(recipe)}: {auralign.load(recipe / 'model').answer(audio(recipe), 'sort')}\n"
    assert "broken.wav: cannot be read as audio" in err


def test_the_samples_need_not_be_float32(recipe, model):
    samples, rate = soundfile.read(audio(recipe), dtype="float64")
    assert model.answer(samples, "sort", sample_rate=rate) == model.answer(
        samples.astype(np.float32), "sort", sample_rate=rate
    )


def test_decoding_may_be_chosen_when_asking(recipe, model):
    whole = model.answer(audio(recipe), "sort")
    assert model.answer(audio(recipe), "sort", max_new_tokens=2) != whole
    assert isinstance(model.answer(audio(recipe), "sort", num_beams=3), str)
    with pytest.raises(ValueError, match="num_beams 0"):
        model.answer(audio(recipe), "sort", num_beams=0)


def test_a_stream_ends_before_a_stop_string(recipe, model):
    whole = model.answer(audio(recipe), "sort", max_new_tokens=12)
    string = whole[4:6]
    pieces = model.stream(audio(recipe), "sort", max_new_tokens=12, stop_strings=(string,))
    assert "".join(pieces).strip() == whole[: whole.index(string)].strip()


def test_a_model_with_lora_answers_as_the_recipes_decoding(adapted):
    written = Records(adapted / "exp/sift/hypotheses/test.speech.jsonl", Hypothesis)
    model = auralign.load(adapted / "model")
    assert len(model.model.llm.lora) == 4
    answers = model.answer([audio(adapted, number) for number in range(4)], "repeat {speech}")
    assert answers == [hypothesis.text for hypothesis in written]


def test_speech_too_short_for_the_connector_is_named(model, monkeypatch):
    monkeypatch.setattr(model.model.connector, "keep_remainder", False)
    with pytest.raises(AudioError, match="the array: the speech is too short for the connector"):
        model.answer(make_speech(0.1), "sort")


def test_integers_are_samples_too(recipe, model):
    integers, rate = soundfile.read(audio(recipe), dtype="int16")
    assert model.answer(integers, "sort", sample_rate=rate) == model.answer(audio(recipe), "sort")


def test_what_is_odd_in_audio_is_told_in_a_line(recipe, model, capsys):
    samples, rate = soundfile.read(audio(recipe), dtype="float32")
    expected = model.answer(samples, "sort", sample_rate=rate)
    capsys.readouterr()
    both = np.stack([samples, -samples]) * 32_768
    assert model.answer(both, "sort", sample_rate=rate) == expected
    assert capsys.readouterr().err.splitlines()[:2] == [
        f"warning: the array is scaled from the range of integers (floats up to {np.abs(both).max():.6g}, divided by 32768)",
        "warning: the array is of channels that cancel each other, the loudest alone read (channel 1 of 2)",
    ]


def test_of_no_audio_there_is_no_answer_and_of_several_no_stream(recipe, model):
    assert model.answer([], "sort") == []
    with pytest.raises(ValueError, match="a stream is the answer to one audio, not to 2"):
        list(model.stream([audio(recipe), audio(recipe)]))


def scripted(model, monkeypatch, text, finish_reason="stop"):
    """Let the LLM write this, token by token."""
    ids = tuple(model.renderer.tokenizer(text, add_special_tokens=False)["input_ids"])

    def answer(prompts, speech, *, streamer=None, **options):
        if streamer is not None:
            streamer.put(torch.zeros(1, 0, dtype=torch.long))  # the prompt, of embeddings
            for token in ids:
                streamer.put(torch.tensor([token]))
            streamer.end()
        return [Answer(ids, finish_reason)]

    monkeypatch.setattr(model.model, "answer", answer)


@pytest.mark.parametrize(
    "text", ["<think>five or\n nine</think>\n\ni heard five nine", "i heard five nine<|im_start|>user\nno"]
)
def test_an_answer_is_what_is_said(recipe, model, monkeypatch, text):
    scripted(model, monkeypatch, text)
    assert model.answer(audio(recipe), "repeat") == "i heard five nine"
    pieces = list(model.stream(audio(recipe), "repeat"))
    assert "".join(pieces).strip() == "i heard five nine"
    assert len(pieces) > 2


def test_reasoning_without_end_is_no_answer_and_said_to_be_none(recipe, model, monkeypatch):
    scripted(model, monkeypatch, "<think>five or", "length")
    with pytest.warns(UserWarning, match="never came out of its reasoning; raise max_new_tokens"):
        assert model.answer(audio(recipe), "repeat") == ""
    assert "".join(model.stream(audio(recipe), "repeat")) == ""
