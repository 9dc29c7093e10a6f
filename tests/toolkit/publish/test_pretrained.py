"""A loaded model answers as the recipe does: files and arrays, at once and piece by piece."""

import numpy as np
import pytest
import soundfile
import torch

import auralign
from auralign import cli
from auralign.cli.ask import split_words
from auralign.data.audio import AudioError
from auralign.models.llm import Answer
from auralign.records import Hypothesis, Records
from auralign.testing import make_speech
from auralign.text.characters import show_controls


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


@pytest.mark.parametrize(
    ("prompt", "options", "message"),
    [("sort \ud800", {}, "has half of a character"), ("sort", {"stop_strings": 5}, "give a list of strings")],
)
def test_options_that_are_none_are_named(recipe, model, prompt, options, message):
    with pytest.raises(ValueError, match=message):
        model.answer(audio(recipe), prompt, **options)


def test_turns_and_systems_that_are_no_text_are_named(model):
    conversation = model.chat()
    with pytest.raises(ValueError, match="answer is NoneType None; give the text"):
        conversation.remember("repeat", answer=None)
    with pytest.raises(ValueError, match="system is int 5; give a text"):
        conversation.system = 5


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
    with pytest.raises(ValueError, match="a stream is the answer to one speech and one prompt, not to 2"):
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
    with pytest.warns(UserWarning, match="never came out of its reasoning"):
        assert "".join(model.stream(audio(recipe), "repeat")) == ""


def test_forms_of_speech_can_be_mixed_in_a_list(recipe, model):
    samples, rate = soundfile.read(audio(recipe), dtype="float32")
    forms = [
        audio(recipe),
        (rate, samples),
        {"array": samples, "sampling_rate": rate},
        audio(recipe).read_bytes(),
    ]
    assert model.answer(forms, "sort") == [model.answer(audio(recipe), "sort")] * 4


def test_prompts_are_one_for_each_speech_or_several_about_one(recipe, model):
    files, prompts = [audio(recipe, 0), audio(recipe, 1)], ["sort", "repeat {speech}"]
    expected = [model.answer(*one) for one in zip(files, prompts, strict=True)]
    assert model.answer(files, prompts) == expected
    with open(audio(recipe), "rb") as file:  # read once for both
        assert model.answer(file, prompts) == [model.answer(files[0], prompt) for prompt in prompts]
    with pytest.raises(ValueError, match="prompts: 3 for 2 answers"):
        model.answer(files, ["sort"] * 3)


def test_without_speech_the_llm_reads_the_prompt_alone(recipe, model):
    ids = model.renderer.tokenizer.apply_chat_template(
        [{"role": "user", "content": "sort five"}], add_generation_prompt=True, return_dict=False
    )
    (expected,) = model.model.llm.generate(
        [model.model.llm.embed(ids)], decoding=model.decoding, stop_ids=model.renderer.stop_ids
    )
    assert model.answer(None, "sort five") == model.renderer.read(expected.ids).text
    assert model.answer([None, audio(recipe)], "sort five") == [
        model.answer(None, "sort five"),
        model.answer(audio(recipe), "sort five"),
    ]


@pytest.mark.parametrize(
    ("speech", "prompt", "options", "message"),
    [
        (None, None, {}, "neither speech nor a prompt"),
        (None, "", {}, "neither speech nor a prompt"),
        (None, "repeat {speech}", {}, "but no speech is given"),
        (None, "repeat", {"transcript": "five"}, "a transcript is given without its speech"),
        ([np.ones(800), 0.5, 0.5], "repeat", {}, r"speech\[1\]: is the float 0.5"),
        ([np.ones(800), np.ones((2, 3, 4))], "repeat", {}, r"speech\[1\] has 3 axes"),
        (np.ones(800), 5, {}, "the prompt is int 5; give a string"),
        (np.ones(800), ["a", 5], {}, r"prompt\[1\] is int 5"),
        (np.ones(800), "repeat", {"max_tokens": 5}, "no option 'max_tokens'"),
        (np.ones(800), "repeat", {"temprature": 5}, "did you mean temperature"),
        (np.ones(800), "repeat", {"temperature": -1}, "temperature -1: give 0 or a number above it"),
        (np.ones(800), "repeat", {"temperature": float("nan")}, "temperature nan"),
        (np.ones(800), "repeat", {"temperature": 1, "top_p": 0}, "top_p 0: give a number above 0, at most 1"),
        (np.ones(800), "repeat", {"temperature": 1, "top_k": 0.5}, "top_k 0.5: give a whole number"),
        (np.ones(800), "repeat", {"temperature": 1, "seed": "a"}, "seed 'a': give a whole number"),
        (np.ones(800), "repeat", {"top_p": 0.9}, "top_p 0.9 changes nothing without a temperature"),
        (np.ones(800), "repeat", {"temperature": 1, "num_beams": 2}, "beam search draws no tokens"),
        (np.ones(800), "repeat", {"max_new_tokens": 2.5}, "max_new_tokens 2.5: give a whole number"),
        (np.ones(800), "repeat", {"max_new_tokens": "5"}, "max_new_tokens '5': give a whole number"),
    ],
)
def test_wrong_arguments_are_named(model, speech, prompt, options, message):
    with pytest.raises(ValueError, match=message):
        model.answer(speech, prompt, **options)


# Drawn tokens may be any, those that end a conversation among them.
DRAWN = pytest.mark.filterwarnings("ignore:.*the answer was cut off before a special token")


@DRAWN
def test_a_seed_draws_the_same_answer_alone_and_in_a_list(recipe, model):
    files, drawn = [audio(recipe, 0), audio(recipe, 1)], {"temperature": 1.5, "seed": 3}
    together = model.answer(files, "sort", **drawn)
    assert together == [model.answer(file, "sort", **drawn) for file in files]
    assert model.answer(files, "sort", temperature=1.5, seed=4) != together
    assert len({model.answer(files[0], "sort", temperature=1.5) for _ in range(3)}) > 1


def test_the_likeliest_token_alone_is_the_greedy_answer(recipe, model):
    greedy = model.answer(audio(recipe), "sort")
    for narrow in ({"top_k": 1}, {"top_p": 1e-6}):
        assert model.answer(audio(recipe), "sort", temperature=2.0, seed=1, **narrow) == greedy


@DRAWN
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"temperature": 1.5, "seed": 5},
        {"num_beams": 3},
        {"max_new_tokens": 3},
        {"stop_strings": ("e", " a")},
    ],
)
def test_joined_pieces_equal_the_answer(recipe, model, options):
    for number in range(4):
        expected = model.answer(audio(recipe, number), "repeat {speech}", **options)
        assert "".join(model.stream(audio(recipe, number), "repeat {speech}", **options)) == expected


def test_no_piece_holds_half_a_character(recipe, model, monkeypatch):
    scripted(model, monkeypatch, "नमस्ते 👩‍🔬 fünf")
    pieces = list(model.stream(audio(recipe), "repeat"))
    assert "".join(pieces) == "नमस्ते 👩‍🔬 fünf"
    assert len(pieces) > 5
    assert not any("\ufffd" in piece for piece in pieces)


def test_a_stream_refuses_wrong_input_before_it_is_read(model):
    with pytest.raises(AudioError, match="holds no samples"):
        model.stream(np.zeros(0), "repeat")


def test_a_stream_that_is_closed_ends_the_decoding(recipe, model, monkeypatch):
    put = []

    def answer(prompts, speech, *, streamer, **options):
        streamer.put(torch.zeros(1, 0, dtype=torch.long))
        for token in range(100_000):
            put.append(token)
            streamer.put(torch.tensor([265]))
        return []

    monkeypatch.setattr(model.model, "answer", answer)
    stream = model.stream(audio(recipe), "repeat")
    next(stream)
    stream.close()
    assert len(put) < 100_000


def test_a_model_can_be_moved_and_changed_in_precision(recipe):
    model = auralign.load(recipe / "model")
    assert model.to("cpu") is model
    assert model.to(torch.bfloat16).model.llm.model.dtype == torch.bfloat16
    assert isinstance(model.answer(audio(recipe), "sort"), str)
    assert model.to("cpu", "float32").model.llm.model.dtype == torch.float32
    with pytest.raises(ValueError, match="to.tpu.: .*give a device such as cpu"):
        model.to("tpu")
    for dtype in (torch.int8, torch.float64, torch.complex64):
        with pytest.raises(ValueError, match=f"to.{dtype}.: a model computes in float32, bfloat16, float16"):
            model.to(dtype)


def test_the_representation_is_a_line(model):
    assert repr(model) == "PretrainedModel(llama with WhisperEncoder and StackAndProject, float32 on cpu)"


def test_ask_prints_on_a_terminal_what_it_prints_in_a_pipe_with_the_codes_of_control_characters(
    recipe, capsys, monkeypatch
):
    command = [
        "ask",
        str(recipe / "model"),
        str(audio(recipe)),
        "sort",
        "--temperature",
        "1.5",
        "--seed",
        "3",
    ]
    assert cli.run(command) == 0
    piped = capsys.readouterr().out
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert cli.run(command) == 0
    assert capsys.readouterr().out == show_controls(piped)
    expected = auralign.load(recipe / "model").answer(audio(recipe), "sort", temperature=1.5, seed=3)
    assert piped == f"{expected}\n"


@pytest.mark.parametrize(
    "slot", ["{SPEECH}", "{ speech }", "{speech", "{{speech}}", "{Speech}", "{speach}", "speech}"]
)
def test_what_may_be_meant_as_the_slot_is_refused(recipe, model, slot):
    with pytest.raises(ValueError, match="did you mean {speech}"):
        model.answer(audio(recipe), f"repeat {slot}")


@pytest.mark.parametrize("prompt", ['give {"speech": 1}', "a speech {each} of {x}", "f(x) { return 1 }"])
def test_other_braces_are_text(recipe, model, prompt):
    assert isinstance(model.answer(audio(recipe), prompt), str)


def test_words_behind_an_option_of_ask_are_words_too(recipe, capsys):
    expected = auralign.load(recipe / "model").answer(audio(recipe), "sort", max_new_tokens=3)
    command = ["ask", str(recipe / "model"), str(audio(recipe)), "--max-new-tokens", "3", "sort"]
    assert cli.run(command) == 0
    assert capsys.readouterr().out.strip() == expected


def test_an_unknown_option_of_ask_is_refused(recipe, capsys):
    with pytest.raises(SystemExit):
        cli.run(["ask", str(recipe / "model"), str(audio(recipe)), "--max_tokns", "3"])
    assert "unrecognized arguments: --max-tokns 3" in capsys.readouterr().err


def test_a_folder_is_no_audio_file_of_ask(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sort").mkdir()
    assert split_words(["a.wav", "sort"]) == (["a.wav"], "sort")
