"""A conversation keeps its turns, spoken and written, and continues as the chat template says."""

import json
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import auralign
from auralign import cli
from auralign.cli.chat import _split_audio
from auralign.data.audio import AudioError
from auralign.publish.conversation import Turn, find_path
from auralign.publish.follow_up import FollowUps, compare_follow_ups

ROOT = Path(__file__).parents[3]
FIXTURES, DIGITS = ROOT / "tests" / "fixtures", ROOT / "egs" / "digits"
SHORT = {"max_new_tokens": 4}


def audio(recipe, number=0):
    return recipe / "data" / f"test-{number}.flac"


def greedy(model, messages, **options):
    """The LLM's own answer to messages, by the tokenizer's chat template."""
    ids = model.renderer.tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, return_dict=False
    )
    llm = model.model.llm
    decoding = type(model.decoding)(**options)
    (answer,) = llm.generate([llm.embed(ids)], decoding=decoding, stop_ids=model.renderer.stop_ids)
    return model.renderer.read(answer.ids).text


def test_written_turns_are_answered_as_by_the_template(model):
    conversation, messages = model.chat(), []
    for text in ("repeat five", "sort", "again"):
        messages.append({"role": "user", "content": text})
        expected = greedy(model, messages, **SHORT)
        assert conversation.say(text, **SHORT) == expected
        messages.append({"role": "assistant", "content": expected})
    assert [turn.prompt for turn in conversation.turns] == ["repeat five", "sort", "again"]


def test_the_first_turn_is_answered_as_a_question(recipe, model):
    assert model.chat().say(audio(recipe), "sort") == model.answer(audio(recipe), "sort")


def test_speech_stays_in_the_context(recipe, model, monkeypatch):
    conversation = model.chat()
    conversation.say(audio(recipe, 0), "repeat {speech}", **SHORT)
    conversation.say("sort", **SHORT)
    asked = []
    decode = model.decode
    monkeypatch.setattr(
        model, "decode", lambda questions, *rest: asked.extend(questions) or decode(questions, *rest)
    )
    conversation.say(audio(recipe, 1), **SHORT)
    (question,) = asked
    assert len(question.prompt.speech) == len(question.speech) == 2
    (alone,) = model.embed([model.renderer.render(model.view(None, True))], [model.read(audio(recipe, 0))])
    torch.testing.assert_close(question.speech[0], alone[0])


def test_turns_name_what_was_said(recipe, model):
    conversation = model.chat()
    first = conversation.say(audio(recipe), **SHORT)
    second = conversation.say("sort", **SHORT)
    assert conversation.turns == (Turn(None, str(audio(recipe)), first), Turn("sort", None, second))
    conversation.reset()
    assert conversation.turns == ()


def test_streamed_turns_are_kept_when_they_are_complete(recipe, model):
    said, streamed = model.chat(), model.chat()
    expected = [said.say(audio(recipe), "sort"), said.say("again")]
    assert "".join(streamed.stream(audio(recipe), "sort")) == expected[0]
    interrupted = streamed.stream("again")
    next(interrupted)
    interrupted.close()
    assert len(streamed.turns) == 1
    assert "".join(streamed.stream("again")) == expected[1]
    assert streamed.turns == said.turns


def test_turns_may_be_given_instead_of_answered(recipe, model):
    said, given = model.chat(), model.chat()
    answer = said.say(audio(recipe), "sort")
    given.remember(audio(recipe), "sort", answer=answer)
    assert given.say("again") == said.say("again")


def test_the_system_prompt_counts_from_the_next_answer_on(model):
    conversation = model.chat(system="sort")
    system = {"role": "system", "content": "sort"}
    user = {"role": "user", "content": "repeat five"}
    assert conversation.say("repeat five", **SHORT) == greedy(model, [system, user], **SHORT)
    conversation.reset()
    conversation.system = None
    assert conversation.say("repeat five", **SHORT) == greedy(model, [user], **SHORT)


def test_a_failed_turn_is_not_kept(model):
    conversation = model.chat()
    with pytest.raises(AudioError, match="holds no samples"):
        conversation.say(np.zeros(0))
    assert conversation.turns == ()


def test_a_conversation_that_fills_the_context_says_how_to_go_on(model):
    conversation = model.chat()
    conversation.remember("repeat", answer="five " * 250)
    with pytest.raises(ValueError, match=r"the LLM llama has 256; .*; reset\(\) forgets the earlier turns"):
        conversation.say("sort")


def test_several_speeches_in_one_turn_are_refused(model):
    with pytest.raises(ValueError, match="a turn has one speech, not a list"):
        model.chat().say([np.ones(800), np.ones(800)])


def test_paths_are_told_from_words(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "my clip.wav"
    path.touch()
    for text in ("my clip.wav", "'my clip.wav'", r"my\ clip.wav", str(path), f" {path} "):
        assert find_path(text) in ("my clip.wav", str(path))
    for text in ("what is in my clip.wav", "what's up", "five", "/reset", ""):
        assert find_path(text) is None
    with pytest.raises(FileNotFoundError, match="no audio file at other.WAV"):
        find_path("other.WAV")


def test_the_path_behind_audio_may_be_quoted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a b.wav").touch()
    (tmp_path / "c.wav").touch()
    assert _split_audio("a b.wav") == ("a b.wav", None)
    assert _split_audio('"a b.wav" what\'s "this"?') == ("a b.wav", 'what\'s "this"?')
    assert _split_audio(r"a\ b.wav sort") == ("a b.wav", "sort")
    assert _split_audio("c.wav sort {speech}") == ("c.wav", "sort {speech}")
    with pytest.raises(FileNotFoundError, match="no file at d.wav"):
        _split_audio("d.wav sort")
    with pytest.raises(ValueError, match="needs the path"):
        _split_audio("")


@pytest.fixture
def chat(recipe, monkeypatch, capsys):
    """Run `auralign chat` on lines of stdin; returns code, stdout and stderr."""

    def run(*lines, options=()):
        import io

        monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
        code = cli.run(["chat", str(recipe / "model"), "--max-new-tokens", "4", *options])
        return code, *capsys.readouterr()

    return run


def test_chat_answers_lines(recipe, model, chat, tmp_path):
    conversation = model.chat()
    expected = [
        conversation.say(audio(recipe), **SHORT),
        conversation.say("sort", **SHORT),
        conversation.say(audio(recipe, 1), "repeat {speech}", **SHORT),
    ]
    lines = (audio(recipe), "sort", "", f"/audio {audio(recipe, 1)} repeat {{speech}}", "/quit", "not read")
    code, out, _ = chat(*lines, options=["--transcript", str(tmp_path / "t.jsonl")])
    assert code == 0
    assert out.splitlines() == expected
    rows = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["answer"] for row in rows] == expected
    assert rows[2] == {
        "turn": 3,
        "prompt": "repeat {speech}",
        "speech": str(audio(recipe, 1)),
        "answer": expected[2],
    }


def test_chat_forgets_and_changes_the_system_prompt(model, chat):
    expected = [
        model.chat().say("sort", **SHORT),
        model.chat(system="five").say("sort", **SHORT),
    ]
    code, out, err = chat(
        "sort", "/reset", "/system five", "sort", "/system", "/system none", "/system default"
    )
    assert code == 0
    assert out.splitlines() == expected
    shown = [line for line in err.splitlines() if line.startswith("system prompt")]
    assert shown == ["system prompt: 'five'"] * 2 + ["system prompt: none", "system prompt: the model's own"]


def test_chat_names_a_wrong_line_and_goes_on(model, chat):
    code, out, err = chat("/rest", "absent.wav", "/audio", "sort")
    assert code == 1
    assert out.splitlines() == [model.chat().say("sort", **SHORT)]
    assert "no command or file /rest; did you mean /reset?" in err
    assert "no audio file at absent.wav" in err
    assert "/audio needs the path" in err


def microphone(samples, rates):
    """As sounddevice, with a microphone that hears these int16 samples and offers these rates."""

    class PortAudioError(Exception):
        pass

    class InputStream:
        def __init__(self, *, samplerate, channels, dtype, callback):
            assert samplerate in rates
            self.callback = callback

        def __enter__(self):
            for block in np.array_split(samples[:, None], 3):
                self.callback(block, len(block), None, None)

        def __exit__(self, *error):
            pass

    def check_input_settings(*, samplerate, **options):
        if samplerate not in rates:
            raise PortAudioError("Invalid sample rate")

    return types.SimpleNamespace(
        PortAudioError=PortAudioError,
        InputStream=InputStream,
        check_input_settings=check_input_settings,
        query_devices=lambda kind: {"default_samplerate": float(rates[0])},
    )


@pytest.mark.parametrize("rates", [[16_000], [48_000]])
def test_chat_records_from_the_microphone(recipe, model, chat, monkeypatch, tmp_path, rates):
    samples = soundfile.read(audio(recipe), dtype="int16")[0]
    monkeypatch.setitem(sys.modules, "sounddevice", microphone(samples, rates))
    code, out, err = chat("/record sort", "", "/quit", options=["--transcript", str(tmp_path / "t.jsonl")])
    assert code == 0
    assert out.splitlines() == [model.answer((rates[0], samples), "sort", **SHORT)]
    assert "press Enter to end" in err
    assert json.loads((tmp_path / "t.jsonl").read_text())["speech"] == "the microphone"


def test_chat_says_what_the_microphone_needs(chat, monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    code, _, err = chat("/record", "")
    assert code == 1
    assert "pip install 'auralign[microphone]'" in err


def test_the_shares_of_follow_ups_are_counted():
    spoken = (("a", "x"), ("b", "y"), ("c", "z"), ("d", "x"))
    written = (("a", "x"), ("b", "x"), ("c", "z"), ("e", "x"))
    found = FollowUps(spoken, written)
    assert (found.first, found.second, found.chance) == (0.75, 0.75, 0.5)
    assert str(found).startswith(
        "4 conversations: speech is answered as its text in 0.75, the follow-up in 0.75"
    )


def test_follow_ups_are_those_of_conversations(recipe, model):
    found = compare_follow_ups(
        model, [(audio(recipe), "three")], follow_up="again", prompt="sort {speech}", **SHORT
    )
    heard, read = model.chat(), model.chat()
    assert found.spoken == (
        (heard.say(audio(recipe), "sort {speech}", **SHORT), heard.say("again", **SHORT)),
    )
    assert found.written == ((read.say("sort three", **SHORT), read.say("again", **SHORT)),)
    with pytest.raises(ValueError, match="no pairs"):
        compare_follow_ups(model, [], follow_up="again")


def test_a_written_follow_up_is_about_the_speech_before_it():
    """On a model that was trained for a few steps, on single turns: after the text of another clip no answer is the same."""
    model = auralign.load(
        FIXTURES / "model_62a17e5", llm=DIGITS / "models" / "llm", encoder=DIGITS / "models" / "encoder"
    )
    corpus = FIXTURES / "digits_corpus"
    rows = [json.loads(line) for line in (corpus / "labels.jsonl").read_text(encoding="utf-8").splitlines()]
    pairs = [(corpus / row["audio"], row["text"]) for row in rows[:12]]
    found = compare_follow_ups(model, pairs, follow_up="repeat")
    assert found.second > found.chance == 0


def test_a_loaded_model_starts_conversations(recipe):
    assert repr(auralign.load(recipe / "model").chat()).startswith(
        "Conversation(0 turns, PretrainedModel(llama"
    )


@pytest.mark.parametrize(
    "turn",
    [
        {"prompt": 5},
        {"prompt": ["a"]},
        {"prompt": "\udcff"},
        {"transcript": 5},
    ],
)
def test_a_turn_that_is_no_text_is_refused(recipe, model, turn):
    with pytest.raises(ValueError, match="give a string|give whole ones"):
        model.chat().say(audio(recipe), **turn)


def test_halves_of_characters_are_refused_wherever_text_is(model):
    chat = model.chat()
    for say in (
        lambda: chat.say("\udcff"),
        lambda: chat.remember("hi", answer="\udcff"),
        lambda: model.chat(system="\udcff"),
        lambda: model.answer(None, "hi", stop_strings=["\udcff"]),
    ):
        with pytest.raises(ValueError, match="half of a character"):
            say()
    assert chat.turns == ()


def test_a_chat_goes_on_after_a_line_that_is_no_text(chat):
    code, out, err = chat("\udcff bad", "sort")
    assert code == 1 and len(out.splitlines()) == 1
    assert "half of a character" in err


def test_chat_begins_without_a_system_prompt_if_asked(chat):
    _, _, err = chat("/system", options=["--system", "none"])
    assert "system prompt: none" in err


def test_an_empty_system_prompt_of_chat_is_one(chat):
    _, _, err = chat("/system", options=["--system", ""])
    assert "system prompt: ''" in err
