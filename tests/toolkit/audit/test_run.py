"""The audit as a whole, on an LLM whose form is known, and the command's exit codes."""

import json

import pytest

from auralign import cli
from auralign.audit import MEASURES, audit
from auralign.audit.measures import parse_limits
from auralign.records import Utterance, write_records


def quiet(cost):
    """Tell nobody."""


@pytest.fixture
def look(own_llm, write_rows):
    """A function that audits rows with the LLM that has its own form."""
    return lambda rows, **options: audit(write_rows(rows), llm=own_llm, tell=quiet, **options)


def value(found, name):
    return found.measures[name].value


def test_the_llms_own_answers_have_neither_gap_nor_conflict(look, own_rows):
    found = look(own_rows)
    assert value(found, "gap") == pytest.approx(0, abs=0.01)
    assert value(found, "conflict") == value(found, "foreign") == value(found, "false_stops") == 0
    assert found.failed == []


def test_verbatim_targets_conflict_with_the_instruction(look, verbatim_rows):
    found = look(verbatim_rows)
    assert value(found, "conflict") == 1
    assert value(found, "verbatim") == value(found, "content") == 1
    assert value(found, "gap") > 0.5
    assert {"conflict", "gap"} <= {*found.failed}
    assert any(line.startswith("conflict 1.00") for line in found.advice)


def test_without_an_instruction_the_same_targets_are_foreign_and_conflict_with_nothing(look, verbatim_rows):
    found = look([{**row, "instruction": "{speech}"} for row in verbatim_rows])
    assert (value(found, "foreign"), value(found, "conflict")) == (1, 0)


def test_a_mixture_is_measured_by_instruction(look, own_rows, verbatim_rows):
    free = [{**row, "instruction": None, "target": f"okay {row['text']}"} for row in own_rows]
    found = look([*verbatim_rows, *free, free[0]])
    assert value(found, "conflict") == pytest.approx(4 / 9)
    assert [(group.instruction, group.num, group.foreign) for group in found.groups] == [
        ("", 5, 0.0),
        ("repeat {speech}", 4, 1.0),
    ]
    assert found.worst[0]["instruction"] == "repeat {speech}"


def test_targets_that_do_not_depend_on_the_words_are_not_sensitive(look, own_rows):
    dependent = value(look(own_rows), "sensitivity")
    assert dependent > 1
    constant = look([{**row, "target": "I heard"} for row in own_rows])
    assert value(constant, "sensitivity") < dependent / 4


def test_a_sensitivity_is_the_rise_of_the_nll(look, own_rows):
    """With two transcripts of one content word each, the only exchange is of one for the other."""
    rows = [{**own_rows[0], "text": word, "target": f"I heard {word}"} for word in ("dog", "nine")]
    found = look(rows)
    crossed = look([{**rows[0], "text": "nine"}, {**rows[1], "text": "dog"}])
    rise = (value(crossed, "nll") - value(found, "nll")) * value(found, "tokens")
    assert value(found, "sensitivity") == pytest.approx(rise, rel=1e-3)


def test_a_target_cut_short_stops_falsely(look, own_rows):
    assert value(look([{**row, "target": "I heard"} for row in own_rows]), "false_stops") == 1


def test_only_a_sample_is_read_by_the_llm_but_all_texts_are_counted(look, own_rows):
    found = look([*own_rows, {**own_rows[0], "target": ""}], sample=2)
    assert found.facts["targets_in_file"] == 5
    assert found.facts["targets_read_by_the_llm"] <= 2
    assert value(found, "empty") == pytest.approx(1 / 5)


def test_test_text_is_not_looked_for_without_a_test_set(look, own_rows, tmp_path):
    found = look(own_rows)
    assert value(found, "test_text") is None
    assert any("--test" in note for note in found.notes)
    test = tmp_path / "test.jsonl"
    write_records(test, [Utterance(id="t", audio="a", seconds=1.0, text="Seven two.")], kind=Utterance)
    assert value(look(own_rows, tests=[test]), "test_text") == 0.25


def test_every_measure_has_a_value_in_order(look, own_rows):
    assert list(look(own_rows).measures) == list(MEASURES)


def test_limits_can_be_changed_and_taken_away(look, verbatim_rows):
    limits = parse_limits(["conflict=none", "gap=100", "false-stops=1", "content=1", "sensitivity=none"])
    assert look(verbatim_rows, limits=limits).failed == []
    assert look(verbatim_rows, limits={**limits, "tokens": 2}).failed == ["tokens"]


@pytest.mark.parametrize("word", ["gap", "gape=1", "gap=much", "gap=nan", "gap=inf"])
def test_a_limit_that_cannot_be_read_is_named(word):
    with pytest.raises(ValueError, match=f"--limit {word}"):
        parse_limits([word])


def test_a_limit_is_given_once():
    with pytest.raises(ValueError, match="given twice"):
        parse_limits(["gap=1", "gap=2"])


def run(*words):
    return cli.run(["audit", *map(str, words)])


def test_the_exit_code_is_that_of_the_limits(own_llm, write_rows, own_rows, verbatim_rows, capsys):
    assert run(write_rows(own_rows), "--llm", own_llm) == 0
    said = capsys.readouterr()
    assert said.err.startswith("audit: 4 targets, about")
    assert "every measure is within its limit" in said.out
    rows = write_rows(verbatim_rows)
    assert run(rows, "--llm", own_llm) == 1
    limits = [f"--limit={limit}" for limit in ("conflict=1", "gap=none", "sensitivity=none")]
    assert run(rows, "--llm", own_llm, *limits) == 0


def test_json_is_the_only_thing_on_stdout(own_llm, write_rows, verbatim_rows, capsys, tmp_path):
    assert run(write_rows(verbatim_rows), "--llm", own_llm, "--json", "--output", tmp_path / "page") == 1
    found = json.loads(capsys.readouterr().out)
    assert found["measures"]["conflict"] == {"value": 1.0, "limit": 0.1, "passed": False}
    assert found["cost"]["num_targets"] == 4
    assert found == json.loads((tmp_path / "page" / "audit.json").read_text(encoding="utf-8"))


def test_the_cost_alone_loads_no_llm(own_llm, write_rows, own_rows, capsys, monkeypatch):
    monkeypatch.setattr("auralign.models.llm.load_llm", None)
    assert run(write_rows(own_rows), "--llm", own_llm, "--cost-only") == 0
    assert "parameters: about" in capsys.readouterr().out


def test_bad_input_is_named(own_llm, write_rows, own_rows, tmp_path):
    rows = write_rows(own_rows)
    with pytest.raises(ValueError, match="name it: --llm MODEL"):
        run(rows)
    with pytest.raises(ValueError, match="holds no targets"):
        run(write_rows([], "empty.jsonl"), "--llm", own_llm)
    with pytest.raises(FileNotFoundError, match="no targets at"):
        run(tmp_path / "gone.jsonl", "--llm", own_llm)
    with pytest.raises(FileNotFoundError, match="no test set at"):
        run(rows, "--llm", own_llm, "--test", tmp_path / "gone.jsonl")
    with pytest.raises(FileNotFoundError, match="no LLM at"):
        run(rows, "--llm", tmp_path / "gone")
    with pytest.raises(ValueError, match="--sample 0"):
        run(rows, "--llm", own_llm, "--sample", "0")
    with pytest.raises(ValueError, match="could read none"):
        run(write_rows([{**own_rows[0], "target": "", "finish_reason": "length"}]), "--llm", own_llm)
