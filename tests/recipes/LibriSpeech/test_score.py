"""How LibriSpeech's score.py judges answers."""

import importlib.util
from pathlib import Path

import pytest

from auralign.records import Question

RECIPE = Path(__file__).parent.parent.parent.parent / "recipes" / "LibriSpeech"
SAID = "go do you hear"


@pytest.fixture(scope="module")
def judge():
    spec = importlib.util.spec_from_file_location("librispeech_score", RECIPE / "score.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script.LibriSpeechJudge(None)


def ask(task):
    return Question("q", "u", "test-clean", task, "{speech}", SAID)


@pytest.mark.parametrize(
    ("answer", "score"),
    [("Go! Do you hear?", 1), ("go do you here", 0.75), ("", 0), ("a b c d e f g h i", 0)],
)
def test_a_transcript_is_worth_its_share_of_right_words(judge, answer, score):
    assert judge.score(answer, ask("asr"), SAID) == score


@pytest.mark.parametrize(("answer", "score"), [("GO DO YOU HEAR", 1), ("Go do you hear.", 0)])
def test_an_answer_to_obey_is_worth_what_its_rule_says(judge, answer, score):
    assert judge.score(answer, ask("upper_case"), SAID) == score


@pytest.mark.parametrize(
    ("task", "answer", "name"),
    [
        ("upper_case", "Go do you hear.", "transcribed"),
        ("upper_case", "I cannot do that.", "other"),
        ("upper_case", "The last word is hear.", "wrong task"),
        ("count_words", "GO DO YOU HEAR", "transcribed"),
        ("spell_first_word", "4", "wrong task"),
        ("json", '{"sentence": "go do you hear"}', "right content in another form"),
        ("json", '{"text": "stop it now please"}', "wrong content"),
        ("first_word", "yes", "other"),
        ("asr", "go do you here", "wrong content"),
        ("asr", "Nice weather today, is it not?", "wrong task"),
    ],
)
def test_a_wrong_answer_has_its_class(judge, task, answer, name):
    assert judge.classify(answer, ask(task), SAID) == name


def test_asr_is_measured_raw_and_normalised_and_obey_by_its_rule(judge):
    names = [[metric.name for metric in judge.metrics("g", task)] for task in ("asr", "json")]
    assert names == [["WER raw", "WER normalised"], ["obeyed"]]
