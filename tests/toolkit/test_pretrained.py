"""The model folder: what is loaded answers as the recipe does, and what the folder says is not trusted."""

import json
import os
import re
import shutil
import stat
from functools import wraps
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import auralign
from auralign import cli
from auralign.data.audio import AudioError
from auralign.models.llm import Answer
from auralign.pretrained import CARD, CONFIG, export
from auralign.recipe import load_recipe
from auralign.records import Hypothesis, Records
from auralign.testing import make_speech
from recipe import LORA, make_recipe, run


@pytest.fixture(scope="module")
def recipe(tmp_path_factory, make_llm, whisper_folder):
    """A recipe run to stage 4, and its model folder `model`."""
    folder = make_recipe(tmp_path_factory.mktemp("recipe"), llm=make_llm("llama"), encoder=whisper_folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for script in ("generate.py", "train.py", "decode.py"):
            code, out, err = run(script, "hparams/sift.yaml")
            assert code == 0, out + err
        export(load_recipe("hparams/sift.yaml"), "model")
    return folder


@pytest.fixture(scope="module")
def model(recipe):
    return auralign.load(recipe / "model")


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


def test_the_card_names_parts_method_and_training(recipe):
    card = (recipe / "model" / CARD).read_text()
    for words in ("arXiv:2601.06086", "StackAndProject", "load_whisper", "validation loss", "licence"):
        assert words in card


def test_a_folder_that_is_there_is_not_written_over(recipe, monkeypatch):
    monkeypatch.chdir(recipe)
    with pytest.raises(FileExistsError, match="is there already"):
        export(load_recipe("hparams/sift.yaml"), "model")


def changed(recipe, tmp_path, change):
    """A copy of the model folder with a changed configuration."""
    shutil.copytree(recipe / "model", tmp_path / "model")
    path = tmp_path / "model" / CONFIG
    config = json.loads(path.read_text())
    change(config)
    path.write_text(json.dumps(config))
    return tmp_path / "model"


@pytest.mark.parametrize(
    "call",
    ["os.system", "auralign.files.write_json", "auralign.models.llm.Path", "auralign.models.llm.no_such"],
)
def test_nothing_but_auraligns_own_parts_is_called(recipe, tmp_path, call):
    folder = changed(recipe, tmp_path, lambda config: config["connector"].update(call=call))
    with pytest.raises(ValueError, match=r"which is not among auralign\.models"):
        auralign.load(folder)


def test_an_llm_that_moved_is_asked_for(recipe, tmp_path):
    folder = changed(recipe, tmp_path, lambda config: config["llm"]["with"].update(path="/gone"))
    with pytest.raises(FileNotFoundError, match=r"its llm stood at /gone, .*load\(\.\.\., llm=PATH\)"):
        auralign.load(folder)


def test_parts_that_moved_are_taken_from_where_they_stand_now(recipe, tmp_path, make_llm, whisper_folder):
    folder = changed(recipe, tmp_path, lambda config: config["llm"]["with"].update(path="/gone"))
    moved = auralign.load(folder, llm=make_llm("llama"), encoder=whisper_folder)
    assert moved.answer(audio(recipe), "sort") == auralign.load(recipe / "model").answer(
        audio(recipe), "sort"
    )


def test_another_llm_is_refused(recipe, make_llm):
    with pytest.raises(ValueError, match="was trained with LLM"):
        auralign.load(recipe / "model", llm=make_llm("qwen2"))


def test_a_folder_without_a_model_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="auralign export"):
        auralign.load(tmp_path)


def test_ask_answers_what_it_can_and_names_the_rest(recipe, capsys, tmp_path):
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    code = cli.run(["ask", str(recipe / "model"), str(audio(recipe)), str(tmp_path / "broken.wav"), "sort"])
    out, err = capsys.readouterr()
    assert code == 1
    assert out == f"{audio(recipe)}: {auralign.load(recipe / 'model').answer(audio(recipe), 'sort')}\n"
    assert "broken.wav: cannot be read as audio" in err


def test_export_and_ask_from_the_command_line(recipe, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(recipe)
    assert cli.run(["export", "sift", str(tmp_path / "exported")]) == 0
    capsys.readouterr()
    assert cli.run(["ask", str(tmp_path / "exported"), str(audio(recipe)), "sort"]) == 0
    assert capsys.readouterr().out.strip() == auralign.load("model").answer(audio(recipe), "sort")


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


@pytest.fixture(scope="module")
def adapted(tmp_path_factory, make_llm, whisper_folder):
    """A recipe with LoRA run to stage 4, with its model folder."""
    folder = make_recipe(
        tmp_path_factory.mktemp("adapted"), llm=make_llm("llama"), encoder=whisper_folder, more=LORA
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for script in ("generate.py", "train.py", "decode.py"):
            code, out, err = run(script, "hparams/sift.yaml")
            assert code == 0, out + err
        export(load_recipe("hparams/sift.yaml"), "model")
    return folder


def test_a_model_with_lora_answers_as_the_recipes_decoding(adapted):
    written = Records(adapted / "exp/sift/hypotheses/test.speech.jsonl", Hypothesis)
    model = auralign.load(adapted / "model")
    assert len(model.model.llm.lora) == 4
    answers = model.answer([audio(adapted, number) for number in range(4)], "repeat {speech}")
    assert answers == [hypothesis.text for hypothesis in written]


def test_lora_of_a_model_folder_names_no_module_to_import(adapted, tmp_path):
    folder = changed(adapted, tmp_path, lambda config: config["lora"].update(megatron_core="os"))
    with pytest.raises(ValueError, match="lora: auralign does not take megatron_core"):
        auralign.load(folder)


def test_a_folder_cannot_allow_code_to_run(recipe, tmp_path):
    folder = changed(recipe, tmp_path, lambda config: config["llm"]["with"].update(trust_remote_code=True))
    with pytest.MonkeyPatch.context() as patch:
        given = []
        real = auralign.models.llm.load_llm
        patch.setattr(
            "auralign.models.llm.load_llm",
            wraps(real)(lambda *a, **options: given.append(options) or real(*a, **options)),
        )
        auralign.load(folder)
    assert [options.get("trust_remote_code", False) for options in given] == [False]


def test_speech_too_short_for_the_connector_is_named(model, monkeypatch):
    monkeypatch.setattr(model.model.connector, "keep_remainder", False)
    with pytest.raises(AudioError, match="the array: the speech is too short for the connector"):
        model.answer(make_speech(0.1), "sort")


def test_an_encoder_that_is_not_auraligns_own_is_given_itself(recipe, tmp_path):
    folder = changed(recipe, tmp_path, lambda config: config["encoder"].update(call="my_package.load"))
    with pytest.raises(ValueError, match=r"names my_package.load, .*load\(\.\.\., encoder=\.\.\.\)"):
        auralign.load(folder)
    mine = auralign.load(recipe / "model").model.encoder
    assert auralign.load(folder, encoder=mine).answer(audio(recipe), "sort")


@pytest.mark.parametrize(
    "change",
    [
        lambda config: config.update(llm=[]),
        lambda config: config["connector"].pop("call"),
        lambda config: config["connector"].update(call="auralign.models.folder.DTYPES"),
        lambda config: config["decoding"].update(temperature=1.0),
        lambda config: config["encoder"].update({"with": {"path": "x", "paddings": 1}}),
    ],
    ids=[
        "a part is a list",
        "no constructor",
        "a constructor that is none",
        "unknown decoding",
        "unknown argument",
    ],
)
def test_a_model_folder_that_says_something_else_is_named(recipe, tmp_path, change):
    with pytest.raises((ValueError, FileNotFoundError), match="auralign.json: "):
        auralign.load(changed(recipe, tmp_path, change))


def test_the_card_of_lora_says_so(adapted):
    card = (adapted / "model" / CARD).read_text()
    assert "the\nconnector and LoRA" in card
    assert '| LoRA | {"r": 2' in card


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


def test_the_card_tells_nothing_of_this_machine_or_of_the_test_set(recipe):
    report = recipe / "report.md"
    report.write_text("# The gap ledger\n\n## Wrong answers\n\nsecret words\n\n## How it was made\n\nso\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(recipe)
        export(load_recipe("hparams/sift.yaml"), "carded", report=report)
    card = (recipe / "carded" / CARD).read_text()
    assert "How it was made" in card
    assert "secret words" not in card
    assert str(recipe) not in card


def test_a_model_folder_holds_no_path_of_this_machine(recipe, make_llm, whisper_folder):
    places = [str(place) for place in (recipe, make_llm("llama"), whisper_folder, recipe.parent)]
    for path in (recipe / "model").iterdir():
        assert not [place for place in places if place.encode() in path.read_bytes()], path


def test_others_can_read_a_model_folder(recipe):
    umask = os.umask(0)
    os.umask(umask)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (recipe / "model").iterdir()}
    assert modes == dict.fromkeys(("trainable.safetensors", CONFIG, CARD), 0o666 & ~umask)


@pytest.fixture
def at_home(recipe, tmp_path, monkeypatch):
    """Models in a home, and an export to outside of it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    home = recipe.parent / "anna"
    shutil.copytree(recipe, home / "r", dirs_exist_ok=True)
    monkeypatch.setattr(Path, "home", lambda: home)
    text = (home / "r/hparams/sift.yaml").read_text()
    for name in ("llm", "encoder"):
        (found,) = re.findall(rf"^{name}: .*\n    path: (.*)", text, flags=re.MULTILINE)
        shutil.copytree(found, home / "models" / name, dirs_exist_ok=True)
        text = text.replace(f"path: {found}", f"path: {home}/models/{name}")
    (home / "r/hparams/sift.yaml").write_text(text)
    monkeypatch.chdir(home / "r")
    export(load_recipe("hparams/sift.yaml"), tmp_path / "published")
    return home


def test_a_folder_of_a_home_is_told_by_its_name_and_hash(at_home, tmp_path):
    config = json.loads((tmp_path / "published" / CONFIG).read_text())
    assert (config["llm"]["with"], config["encoder"]["with"]) == ({"path": "llm"}, {"path": "encoder"})
    assert config["llm"]["places"]["path"].startswith(config["llm"]["revision"])
    assert "anna" not in (tmp_path / "published" / CARD).read_text()


def test_who_exported_a_model_loads_it_without_saying_where_things_are(at_home, tmp_path, recipe):
    assert auralign.load(tmp_path / "published").answer(audio(recipe), "sort")


def test_who_did_not_is_asked_where_the_llm_is(at_home, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "of another"))
    with pytest.raises(
        FileNotFoundError,
        match=r"its llm stood at llm, where nothing is; give its place: load\(..., llm=PATH",
    ):
        auralign.load(tmp_path / "published")


def test_the_card_cuts_paths_of_a_report_and_of_options(recipe):
    report = recipe / "report.md"
    report.write_text("# The gap ledger\n\n- command: `score.py --llm_folder /home/anna/models/llm`\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(recipe)
        export(load_recipe("hparams/sift.yaml"), "cut", report=report)
    card = (recipe / "cut" / CARD).read_text()
    assert "- command: `score.py --llm_folder llm`" in card


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
