"""The utterances that a progress counts where each may have none or many requests."""

import re

import pytest

from auralign.generate.counts import UtteranceCounter
from auralign.progress import Progress
from auralign.records import Records, Utterance, write_records
from recipe import make_utterance
from toolkit.generate.test_targets import Scripted, make_writer


@pytest.fixture
def progress():
    return Progress("generate", unit="utterance", total=10)


def test_an_utterance_counts_once_whatever_its_requests(progress):
    counter, done = UtteranceCounter(progress), []
    counter.begin(4, num_asked=12, num_known=0)  # three requests each
    for _ in range(4):
        counter.answer(3)
        done.append(progress.done)
    assert done == [1, 2, 3, 4]


def test_utterances_without_requests_are_done_with_their_window(progress):
    counter = UtteranceCounter(progress)
    counter.begin(4, num_asked=2, num_known=0)
    counter.answer(2)
    assert progress.done == 4
    counter.begin(10, num_asked=0, num_known=0)
    assert progress.done == 10


def test_what_an_earlier_run_has_answered_is_no_work_of_this_one(progress):
    counter = UtteranceCounter(progress)
    counter.begin(4, num_asked=0, num_known=8)
    counter.begin(10, num_asked=3, num_known=9)  # 6 more, of which a quarter is asked
    assert (progress.done, progress.initial) == (8, 8)
    counter.answer(3)
    assert (progress.done, progress.initial) == (10, 8)


def test_the_log_of_a_method_with_many_requests_ends_at_all_utterances(
    llm, renderer, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("AURALIGN_LOG_SECONDS", "0")
    utterances = [make_utterance(tmp_path, "train", number) for number in range(5)]
    write_records(tmp_path / "train.jsonl", utterances, kind=Utterance)
    families = {name: [f"{name} {{speech}}"] for name in ("say", "write", "sort")}
    engine = Scripted([("one two.", "stop")])
    make_writer(llm, renderer, engine, method="self_powered", families=families).write(
        Records(tmp_path / "train.jsonl", Utterance), tmp_path / "targets.jsonl"
    )
    counts = [int(found) for found in re.findall(r"train: (\d+) of 5 utterances", capsys.readouterr().err)]
    assert counts == sorted(counts)
    assert len(counts) >= 15  # a line for each answer, each of a third of an utterance
    assert counts[-1] == 5
