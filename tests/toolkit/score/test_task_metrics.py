import pytest

from auralign.records import Question, Utterance
from auralign.score import task_metrics
from auralign.score.task_metrics import Asked, MeanScore, Translation, WordErrorRate
from auralign.score.translation import compare_translations
from auralign.text.forms import raw_form

RIGHT = MeanScore(lambda answer, question, said: float(answer == question.reference), "right")


def ask(references, speakers=None):
    questions = tuple(Question(f"q{n}", f"u{n}", "g", "t", None, text) for n, text in enumerate(references))
    utterances = tuple(
        Utterance(f"u{n}", "x.wav", 1.0, text, speaker=(speakers or references)[n])
        for n, text in enumerate(references)
    )
    return Asked(questions, utterances, seed=1)


def test_a_word_error_rate_is_all_edits_over_all_words_in_percent():
    asked = ask(["one two three", "four"])
    metric = WordErrorRate(raw_form("en"), "WER")
    assert metric.score(asked, ["one two", "five"]).value == 100 * 2 / 4


def test_word_error_rates_of_two_systems_differ_by_their_edits():
    asked = ask(["one two three", "four"])
    found = WordErrorRate(raw_form("en"), "WER").compare(
        asked, ["one two three", "four"], ["one two", "five"]
    )
    assert found.difference == -50


def test_the_right_translation_has_100_points_and_a_signature():
    asked = ask(["Das ist ein Haus.", "Guten Tag, mein Herr."])
    found = Translation("BLEU", "de").score(asked, asked.references)
    assert found.value == pytest.approx(100)
    assert "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp" in found.note


def test_bleu_and_chrf_of_the_same_answers_are_drawn_once(monkeypatch):
    calls = []

    def count(*texts, **options):
        calls.append(texts)
        return compare_translations(*texts, num_resamples=10, **options)

    monkeypatch.setattr(task_metrics, "compare_translations", count)
    asked = ask(["Das ist ein Haus.", "Guten Tag, mein Herr."])
    others = ["Das ist ein Hut.", "Guten Tag."]
    found = [Translation(name, "de").compare(asked, asked.references, others) for name in ("BLEU", "chrF")]
    assert len(calls) == 1
    assert found[0].difference != found[1].difference


def test_right_and_wrong_answers_are_compared_by_mcnemar():
    asked = ask(["a", "b", "c", "d", "e"])
    found = RIGHT.compare(asked, ["a", "b", "c", "x", "x"], ["x"] * 5)
    assert (found.test, found.p_value, found.difference) == ("McNemar, and bootstrap over speakers", 0.25, 60)


def test_what_two_of_three_speakers_differ_by_is_not_significant_by_the_number_of_answers_alone():
    """McNemar takes answers of one speaker for independent."""
    asked = ask(["a"] * 60, speakers=["s"] * 20 + ["t"] * 20 + ["u"] * 20)
    found = RIGHT.compare(asked, ["a"] * 40 + ["x"] * 20, ["x"] * 40 + ["a"] * 20)
    assert found.p_value < 0.05 and found.low < 0 < found.high
    assert not found.is_significant
    assert RIGHT.compare(asked, ["a"] * 60, ["x"] * 60).is_significant


def test_answers_of_part_worth_are_compared_over_speakers():
    metric = MeanScore(lambda answer, question, said: 0.5 if answer else 0.25, "worth")
    found = metric.compare(ask(["a", "b"]), ["x", "x"], ["", ""])
    assert (found.test, found.difference, found.low, found.high) == (
        "bootstrap over speakers",
        25,
        None,
        None,
    )


def test_an_utterance_without_speaker_is_a_cluster_of_its_own():
    assert ask(["a", "b"], speakers=["", "s"]).clusters == ["utterance u0", "s"]


def asked_of(references, speakers, seed=1):
    numbered = list(zip(references, speakers, strict=True))
    return Asked(
        tuple(
            Question(f"q{n}", f"u{n}", "en_de", "translate", None, text)
            for n, (text, _) in enumerate(numbered)
        ),
        tuple(Utterance(f"u{n}", "x.wav", 1.0, "said", speaker=who) for n, (_, who) in enumerate(numbered)),
        seed,
    )


@pytest.mark.parametrize("name", ["BLEU", "chrF"])
def test_the_interval_of_a_translation_runs_between_its_speakers(name):
    # one speaker's answers are right, the other's share no letter: a resample has both, or one of them twice
    asked = asked_of(["aa bb cc dd ee", "ff gg hh ii jj"], ["one", "two"])
    found = Translation(name, "de").score(asked, ["aa bb cc dd ee", "xx yy zz vv ww"])
    assert found.low < found.value < found.high == pytest.approx(100)
    assert found.low < 10


@pytest.mark.parametrize("name", ["BLEU", "chrF"])
def test_a_translation_of_one_speaker_has_no_interval(name):
    asked = asked_of(["aa bb cc dd ee", "ff gg hh ii jj"], ["one", "one"])
    found = Translation(name, "de").score(asked, asked.references)
    assert (found.low, found.high) == (None, None)


@pytest.mark.parametrize("name", ["BLEU", "chrF"])
def test_right_translations_have_no_interval(name):
    asked = asked_of(["aa bb cc dd ee", "ff gg hh ii jj"], ["one", "two"])
    found = Translation(name, "de").score(asked, asked.references)
    assert (found.low, found.value, found.high) == (None, pytest.approx(100), None)


def test_the_difference_of_equal_translations_is_nothing():
    asked = asked_of(["aa bb cc dd ee", "ff gg hh ii jj"], ["one", "two"])
    answers = ["aa bb cc dd xx", "ff gg"]
    found = Translation("BLEU", "de").compare(asked, answers, answers)
    assert (found.difference, found.low, found.high, found.is_significant) == (0, None, None, False)
