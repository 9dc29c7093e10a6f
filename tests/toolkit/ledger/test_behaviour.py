"""What answers do instead of obeying, against values by hand."""

from dataclasses import replace

import pytest

from auralign.ledger.columns import MethodFiles
from auralign.ledger.ledger import Ledger
from auralign.ledger.report import format_report
from auralign.ledger.tables import behaviour_table
from auralign.records import Hypothesis, Question


@pytest.fixture
def found(make_corpus):
    """Twelve speakers, one question each: 6 right, 2 transcribed, 1 other task, 1 refusal, 2 loops; text wrong for the last."""
    asked = [
        Question(f"{n}", f"{n:02}", "unseen tasks", "x", "{speech}", "r", phrasing=n % 2) for n in range(12)
    ]
    corpus = make_corpus(asked, {question.utt_id: question.utt_id for question in asked})
    marks = ["1"] * 6 + ["t", "t", "w", "I cannot hear you.", "so " * 16, "so " * 16]
    ledger = corpus.ledger(
        text=corpus.answers("text", "1" * 6 + "-" + "1" * 4 + "-"),
        transcript=None,
        methods={"m": corpus.method("m", marks, "-" * 12)},
    )
    return ledger


def test_shares_by_hand(found):
    (one,) = found.behaviours
    assert one.flips.value == pytest.approx(
        2 / 10
    )  # of ten right from text, one transcribed and one of another task
    assert one.transcribed.value == pytest.approx(2 / 12)
    assert (one.refusals.value, one.loops.value) == pytest.approx((1 / 12, 2 / 12))
    assert one.modality_gap.value == pytest.approx(10 / 12 - 6 / 12)
    assert one.spread.value == 0  # each wording has three of six right


def test_shares_have_intervals_over_speakers(found):
    (one,) = found.behaviours
    assert one.transcribed.num_clusters == 12
    assert 0 <= one.transcribed.low < one.transcribed.value < one.transcribed.high
    assert one.flips.low is not None and one.spread.high > 0


def test_a_loop_that_the_length_limit_cut_within_a_word_is_one(make_corpus):
    asked = [Question(f"{n}", f"{n:02}", "g", "x", "{speech}", "r") for n in range(12)]
    corpus = make_corpus(asked)
    cut = {
        f"{n}": Hypothesis(f"{n}", f"{n:02}", "speech", "I do not know. " * 4 + "I do no", reason)
        for n, reason in enumerate(("length", "stop"))
    }
    speech = corpus.answers("speech", "1" * 12, "m", **cut)
    methods = {"m": MethodFiles(speech, corpus.answers("shuffled", "-" * 12, "m"))}
    ledger = corpus.ledger(text=corpus.answers("text", "1" * 12), transcript=None, methods=methods)
    assert ledger.behaviours[0].loops.value == pytest.approx(1 / 12)


def test_flips_have_no_interval_if_few_speakers_could_flip(make_corpus):
    asked = [Question(f"{n}", f"{n:02}", "g", "x", "{speech}", "r") for n in range(12)]
    corpus = make_corpus(asked, {question.utt_id: question.utt_id for question in asked})
    ledger = corpus.ledger(
        text=corpus.answers("text", "111" + "-" * 9),
        transcript=None,
        methods={"m": corpus.method("m", "1" * 12, "-" * 12)},
    )
    flips = ledger.behaviours[0].flips
    assert (flips.value, flips.low, flips.num_clusters) == (0, None, 3)


def test_the_spread_is_the_deviation_of_the_wordings(make_corpus):
    asked = [Question(f"{n}", f"{n:02}", "g", "x", "{speech}", "r", phrasing=n % 2) for n in range(12)]
    corpus = make_corpus(asked)
    ledger = corpus.ledger(
        text=corpus.answers("text", "1" * 12),
        transcript=None,
        methods={"m": corpus.method("m", "1-" * 6, "-" * 12)},
    )
    assert ledger.behaviours[0].spread.value == pytest.approx(0.5**0.5)  # of the means 1 and 0


def test_the_report_shows_the_shares(found):
    assert "| unseen tasks | m | 12 | 0.20 (" in format_report(found, title="t", facts={})


def test_forgetting_is_what_the_trained_llm_answers_worse_to_text(make_corpus):
    asked = [Question(f"{n}", f"{n:02}", "g", "x", "{speech}", "r") for n in range(12)]
    corpus = make_corpus(asked, {question.utt_id: question.utt_id for question in asked})
    method = corpus.method("m", "1" * 12, "-" * 12)
    trained = corpus.answers("text_trained", "1" * 5 + "-" * 7, "m")
    ledger = corpus.ledger(
        text=corpus.answers("text", "1" * 8 + "-" * 4),
        transcript=None,
        methods={"m": replace(method, text_trained=trained)},
    )
    (one,) = ledger.behaviours
    assert one.forgetting.value == pytest.approx((8 - 5) / 12)
    assert one.forgetting.low < one.forgetting.value < one.forgetting.high
    assert one.forgetting.num_clusters == 12
    assert "forgetting" in format_report(ledger, title="t", facts={})
    assert Ledger.from_dict(ledger.to_dict()) == ledger


def test_an_llm_that_is_not_trained_forgets_nothing_that_could_be_shown(found):
    assert found.behaviours[0].forgetting.value is None
    assert "forgetting" not in behaviour_table(found).to_markdown()
