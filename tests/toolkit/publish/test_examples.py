"""The first wrong and the first right answers of a run of an earlier auralign, with their recordings."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

import digits_model
from auralign.publish.examples import Example, is_same, read_examples, stored_examples, write_examples
from auralign.records import Hypothesis, Question, Records, read_rows, write_records
from auralign.run_folder import RunFolder

YAML = "hparams/sift.yaml"


@pytest.fixture
def run(tmp_path, monkeypatch):
    folder = shutil.copytree(digits_model.FIXTURES / "run_62a17e5", tmp_path / "digits")
    (folder / "corpus").mkdir()
    (folder / "corpus" / "synthetic").symlink_to(digits_model.FIXTURES / "digits_corpus")
    (folder / "models").symlink_to(digits_model.MODELS)
    monkeypatch.chdir(folder)
    return YAML


def test_wrong_answers_come_before_right_ones_each_of_another_utterance(run):
    examples = read_examples(run, num_shown=2)
    kinds = [one.is_right for one in examples]
    assert kinds == sorted(kinds)
    assert 1 <= kinds.count(False) <= 2
    wrong = [one.utt_id for one in examples if not one.is_right]
    assert len(set(wrong)) == len(wrong)


def test_an_example_has_its_recording(run):
    rate, samples = read_examples(run)[0].audio
    assert rate == 16_000
    assert len(samples) > 1000


def test_without_a_reference_the_answer_to_the_text_is_expected(run):
    folder = RunFolder.open(run)
    asked = [dataclasses.replace(one, reference=None) for one in Records(folder.data.questions, Question)]
    write_records(folder.data.questions, asked, kind=Question)
    to_text = {(one.utt_id, one.text) for one in read_rows(folder.hypotheses("text"), Hypothesis)}
    assert {(one.utt_id, one.expected) for one in read_examples(run, num_shown=100)} <= to_text


def test_words_are_compared_without_case_and_punctuation():
    assert is_same("Two, one!", "two one")
    assert not is_same("two one", "one two")


def test_a_run_before_stage_4_is_named(run):
    shutil.rmtree("exp")
    with pytest.raises(FileNotFoundError, match="no Hypothesis file at .*run the stage that writes it"):
        read_examples(run)


@pytest.fixture
def stored(tmp_path):
    """A model folder with two examples, and these."""
    samples = np.linspace(-0.5, 0.5, 1600, dtype=np.float32)
    examples = [
        Example("a", (16_000, samples), "two one", "sort", answer="one two", expected="one two"),
        Example("b", (16_000, -samples), "three", None, answer="four", expected="i heard three"),
    ]
    write_examples(tmp_path, examples)
    return tmp_path, examples


def test_a_model_folder_gives_back_its_examples(stored):
    folder, examples = stored
    for found, written in zip(stored_examples(folder), examples, strict=True):
        assert dataclasses.replace(found, audio=None) == dataclasses.replace(written, audio=None)
        assert found.audio[0] == 16_000
        np.testing.assert_allclose(found.audio[1], written.audio[1], atol=2**-15)


def test_a_model_folder_without_examples_has_none(tmp_path):
    assert stored_examples(tmp_path) == []


@pytest.mark.parametrize(
    "rows", [{"a": 1}, [1], [{"audio": "1.flac", "text": "x"}], [{"utt_id": "a"}], "no", None]
)
def test_a_list_of_examples_that_is_none_is_named(stored, rows):
    (stored[0] / "examples" / "examples.json").write_text(json.dumps(rows))
    with pytest.raises(
        ValueError, match=r"examples.json: not a list of examples .*; export, pull or copy the folder again"
    ):
        stored_examples(stored[0])


def test_no_example_is_read_from_outside_of_the_folder(stored):
    folder = stored[0]
    (folder / "examples" / "1.flac").rename(folder / "1.flac")
    rows = json.loads((folder / "examples" / "examples.json").read_text())
    (folder / "examples" / "examples.json").write_text(json.dumps([{**rows[0], "audio": "../1.flac"}]))
    assert stored_examples(folder) == []
