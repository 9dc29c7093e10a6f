"""Stages 2 and 4 against transformers: all ways write the same, and a way that writes something else is void."""

import pytest

from auralign.bench import Settings, decode, generate


@pytest.fixture(scope="module", autouse=True)
def small():
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "NUM_PROMPTS": 8,
            "NUM_SLOTS": 3,
            "NUM_OF_BATCHES": 4,
            "NUM_ALONE": 2,
            "CAP": 8,
        }.items():
            patch.setattr(generate, name, value)
        patch.setattr(decode, "NUM_CLIPS", 2)
        patch.setattr(decode, "LENGTH", 3)
        yield


@pytest.fixture(scope="module")
def folder(make_llm):
    return str(make_llm("qwen2"))


def test_all_ways_of_writing_targets_write_the_same(folder):
    rows = list(generate.measure(Settings(scale=folder, repeats=1)))
    assert [row.void for row in rows] == [""] * 5
    assert "tokens a second of CPU time" in rows[0].figure
    assert [bool(row.bar) for row in rows] == [False, True, True, True, False]


def test_a_way_that_writes_something_else_is_void(folder, monkeypatch):
    real = generate.in_batches
    monkeypatch.setattr(
        generate, "in_batches", lambda *given: {row: ids[:-1] for row, ids in real(*given).items()}
    )
    rows = list(generate.measure(Settings(scale=folder, repeats=1)))
    assert [row.void for row in rows[1:]] == [
        "4 of 4 answers differ",
        "2 of 2 answers differ",
        "",
        "4 of 4 answers differ",
    ]


def test_useful_steps_are_those_before_an_answers_end():
    # Batches of 8 + 2 and of 4 tokens: 14 of 8 x 2 + 4 x 1.
    assert generate.share_useful([8, 2, 4], range(3), 2) == pytest.approx(14 / 20)


def test_stage_4_answers_as_one_question_at_a_time(folder):
    (row,) = decode.measure(Settings(scale=folder, repeats=1))
    assert not row.void
    assert row.what.startswith("stage 4, 2 clips x 2 questions")
