"""What stage 5 of a recipe tells beside the ledger."""

import pytest

from auralign.ledger.recipe import encoder_error_rate
from auralign.records import Hypothesis, Question, Records, Utterance, write_records
from auralign.score.judge import Judge


def rate(folder, language, said, heard):
    write_records(
        folder / "test.jsonl", [Utterance("a", "a.wav", 1.0, said, language=language)], kind=Utterance
    )
    hypothesis = Hypothesis("a:0", "a", "transcript", "an answer", "stop", transcript=heard)
    write_records(folder / "test.transcript.jsonl", [hypothesis], kind=Hypothesis)
    return encoder_error_rate(
        Records(folder / "test.transcript.jsonl", Hypothesis), Records(folder / "test.jsonl", Utterance)
    )


def test_words_of_the_encoder_are_compared_without_case_and_punctuation(tmp_path):
    assert rate(tmp_path, "en", "Go on, said he.", "go on said she") == ("word", 1 / 4)


@pytest.mark.parametrize("language", ["zh", "zh-CN"])
def test_letters_are_counted_where_a_language_has_no_spaces(tmp_path, language):
    assert rate(tmp_path, language, "我从未去过罗马。", "我从未去过罗玛") == ("letter", 1 / 7)


def test_a_judge_asked_alone_compares_in_one_form_of_unicode():
    question = Question("k", "a", "g", "t", "{speech}", "Schön!")
    assert Judge().is_right("scho\u0308n", question)
    assert Judge().score("Scho\u0308n!", question, "") == 1
