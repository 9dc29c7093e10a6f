"""The ladder of a run on tiny models."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from local.trials import summarise_kinds

from local import ladder
from recipe import make_counting_recipe

COLUMNS = {"text", "speech", "shuffled", "snap", "mean", "noise", "nearest"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, make_llm, whisper_folder):
    """A recipe's folder with the answers of a trained run."""
    scripts = ("generate.py", "train.py", "decode.py")
    folder = tmp_path_factory.mktemp("ladder") / "pocket"
    return make_counting_recipe(folder, *scripts, llm=make_llm("llama"), encoder=whisper_folder)


@pytest.fixture
def climb(folder, monkeypatch, capsys):
    """Runs the ladder in the recipe's folder, with a recognizer that hears the same words in every clip."""
    make_decoder = ladder.make_decoder

    def make_decoder_that_transcribes(*arguments):
        decoder = make_decoder(*arguments)
        decoder.recognizer = SimpleNamespace(transcribe=lambda frames, lengths: ["three five"] * len(lengths))
        return decoder

    monkeypatch.chdir(folder)
    monkeypatch.setattr(ladder, "make_decoder", make_decoder_that_transcribes)

    def climb(*arguments):
        ladder.main(["hparams/wav2prompt.yaml", "--num_steps", "2", *arguments])
        return capsys.readouterr().out

    return climb


def test_every_column_is_measured(folder, climb):
    climb("--name", "whole")
    found = json.loads((folder / "exp" / "wav2prompt" / "ladder" / "whole.json").read_text())
    assert set(found["groups"]["all"]["columns"]) == COLUMNS
    assert found["groups"]["all"]["n"] == 4
    assert found["groups"]["all"]["measured for recovery"] > 0  # an empty answer has no likelihood


def test_the_page_is_what_is_printed(folder, climb):
    printed = climb("--name", "printed", "--recovery", "0")
    page = (folder / "exp" / "wav2prompt" / "ladder" / "printed.md").read_text()
    assert page.strip() in printed
    assert "| all | 4 |" in page


def test_rules_are_counted_by_input(folder, climb):
    climb("--name", "rules", "--recovery", "0")
    found = json.loads((folder / "exp" / "wav2prompt" / "ladder" / "rules.json").read_text())["obeyed"]
    assert "upper_case" in found and "one_word" not in found  # which the same answer obeys whatever is said
    assert {len(checks) for checks in found["upper_case"].values()} == {4}
    assert set(found["upper_case"]) == {"text", "cascade", "speech", "shuffled"}


def test_what_is_heard_is_measured_without_an_answer(folder, climb):
    manifest = folder / "data" / "valid.jsonl"  # of which nothing was answered
    climb("--manifest", str(manifest), "--heard")
    found = json.loads((folder / "exp" / "wav2prompt" / "ladder" / "valid.json").read_text())
    assert (found["groups"]["all"]["n"], found["groups"]["all"]["columns"]) == (3, {})
    assert found["groups"]["all"]["WER"] >= 0 and found["seconds"] == {}


@pytest.mark.parametrize(
    ("manifest", "heard", "name"),
    [
        (None, False, "test"),
        ("data/human/test.jsonl", False, "human_test"),
        ("data/full/test.jsonl", True, "full_test_heard"),
        ("data/valid.jsonl", True, "valid"),
    ],
)
def test_no_table_is_written_over_that_of_the_test_set(manifest, heard, name):
    own = SimpleNamespace(manifest=manifest and Path(manifest), heard=heard)
    assert ladder.name_of_table(own) == name


def test_files_are_shown_with_what_is_heard(folder, climb):
    printed = climb("--show", str(folder / "data"))
    assert printed.count(".flac") == 19  # 12 of training, 3 of validation, 4 of the test set
    assert printed.count("  transcript  three five") == 19


def test_a_file_that_is_too_long_is_shown_with_the_reason(folder, climb, tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(40 * 16_000), 16_000)
    soundfile.write(tmp_path / "b.wav", np.zeros(16_000), 16_000)
    printed = climb("--show", str(tmp_path))
    assert "a.wav\n  not heard   waveform 0 of the batch lasts 40.0" in printed
    assert "b.wav\n  heard" in printed and printed.count("transcript  three five") == 1


def test_a_row_a_kind_of_file_counts_what_is_made_of_it():
    def made(heard, speech, transcript):
        return {
            "heard": heard,
            "speech": speech,
            "transcript": transcript,
            "cascade": "I'm sorry, I can't help with that.",
        }

    silence = [made("How how", "Hello!", ""), made("How", "Hello!", "")]
    table = summarise_kinds({"silence": silence, "": [made("two", "", "to you")]})
    heads, _, of_silence, of_other = (line.strip("| ").split(" | ") for line in table.splitlines())
    assert heads[:4] == ["files", "n", "words heard of each", "words transcribed"]
    assert heads[4:] == [
        f"{name}: {what}" for name in ("speech", "cascade") for what in ("differ", "refuse", "empty")
    ]
    assert of_silence == ["silence", "2", "1.5", "0.0", "1", "0", "0", "1", "2", "0"]
    assert of_other == ["other", "1", "1.0", "2.0", "1", "0", "1", "1", "1", "0"]
