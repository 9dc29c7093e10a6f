"""One task's template: what is learnt of it, the LLM's answers as pseudo-labels, and few labels."""

from dataclasses import replace
from random import Random

import pytest

from auralign.layout import Response, Speech, Text
from auralign.plugins import load_method
from auralign.records import Records, Target, Utterance
from recipe import make_recipe, run_script

ANSWERS = {"pos": ["Positive", "good"], "neg": ["Negative"]}
UTTERANCE = Utterance(id="u", audio="u.flac", seconds=1.0, text="three five", labels={"sentiment": "neg"})


def load(**options):
    return load_method(
        "prompted", **{"template": "hear {speech} was it good?", "answers": ANSWERS, **options}
    )


def draw(method, utterance=UTTERANCE):
    return list(method.choices(utterance, Random(0)))


def test_what_stands_behind_the_speech_is_learnt_and_what_stands_before_it_not():
    method = load()
    (choice,) = draw(method)
    assert method.layout(UTTERANCE, choice, Response("Positive")).student.segments == (
        Text("hear "),
        Speech("three five"),
        Text(" was it good?", "template"),
        Response("Positive"),
    )


def test_a_template_that_ends_in_the_speech_can_teach_no_connector():
    with pytest.raises(ValueError, match="put the speech first, or set template_weight: 0.0"):
        load(template="was it good? {speech}")
    load(template="was it good? {speech}", template_weight=0.0)


def test_the_llm_is_asked_where_no_label_is_named():
    (choice,) = draw(load())
    assert load().given_response(UTTERANCE, choice) is None


def test_a_label_is_taught_in_its_words_and_who_has_none_is_passed_over():
    method = load(label="sentiment")
    (choice,) = draw(method)
    assert method.given_response(UTTERANCE, choice) == "Negative"
    assert draw(method, replace(UTTERANCE, labels={})) == []
    with pytest.raises(ValueError, match="label 'sentiment' of u is 'mixed'; answers has pos, neg"):
        method.given_response(replace(UTTERANCE, labels={"sentiment": "mixed"}), choice)


@pytest.mark.parametrize(("said", "kept"), [("Good.", True), ("NEGATIVE", True), ("I cannot say", False)])
def test_an_answer_that_is_no_label_is_rejected(said, kept):
    reason = load().reject(UTTERANCE, None, said)
    assert reason == (None if kept else "says none of the labels")
    assert load(answers={}).reject(UTTERANCE, None, said) is None


def test_words_of_two_labels_are_refused():
    with pytest.raises(ValueError, match="'Good' says both 'pos' and 'neg'"):
        load(answers={"pos": ["good"], "neg": ["Good"]})
    with pytest.raises(ValueError, match="answers: 'pos' has no words that say it"):
        load(answers={"pos": []})


def test_pseudo_labels_come_from_training_and_validation_alone(tmp_path, make_llm, whisper_folder):
    folder = make_recipe(tmp_path / "r", llm=make_llm("llama"), encoder=whisper_folder, method="prompted")
    run_script(folder, "generate.py", "hparams/prompted.yaml")
    files = [
        path
        for path in (folder / "exp" / "prompted" / "targets").glob("*.jsonl")
        if "rejected" not in path.name
    ]
    assert {path.stem for path in files} == {"train", "valid"}
    asked = {target.utt_id.partition("-")[0] for path in files for target in Records(path, Target)}
    assert asked == {"train", "valid"}
