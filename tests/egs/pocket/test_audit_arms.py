"""The sets of targets that the audit is to tell apart: whose words each has, and which are licensed."""

import json

import pytest

from auralign.testing.tiny.answering import make_answering_llm
from local import audit_arms

TEXTS = ("go now", "ice is cold")
ANSWERS = {  # by what is asked; the LLM repeats only the first text word for word
    None: ("where to", "so it is"),
    audit_arms.REPEAT: ("you said go now", "you said ice is cold"),
    audit_arms.EXACTLY: ("Go now.", "cold ice"),
}


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """The rows of each arm's file."""
    folder = tmp_path_factory.mktemp("arms")
    pairs = [
        (asked, text, answer)
        for asked, answers in ANSWERS.items()
        for text, answer in zip(TEXTS, answers, strict=True)
    ]
    make_answering_llm(folder / "llm", pairs)
    (folder / "texts").write_text(f"{TEXTS[0]}\n\n {TEXTS[1]} \nnot asked about\n", encoding="utf-8")
    audit_arms.main([str(folder / "texts"), str(folder / "llm"), str(folder / "out"), "2"])
    return {
        path.stem: [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        for path in (folder / "out").glob("*.jsonl")
    }


def row(asked, text, target):
    return {"instruction": asked, "text": text, "target": target, "finish_reason": "stop"}


@pytest.mark.parametrize(
    ("arm", "asked", "taught"),
    [("own_reply", None, ANSWERS[None]), ("own_repeat", audit_arms.REPEAT, ANSWERS[audit_arms.REPEAT])],
)
def test_own_arms_have_the_llms_answers(rows, arm, asked, taught):
    assert rows[arm] == [row(asked, text, target) for text, target in zip(TEXTS, taught, strict=True)]


@pytest.mark.parametrize(
    ("arm", "asked"), [("foreign_verbatim", audit_arms.TELL), ("verbatim_unasked", None)]
)
def test_foreign_arms_have_the_texts(rows, arm, asked):
    assert rows[arm] == [row(asked, text, text) for text in TEXTS]


def test_only_what_the_llm_says_itself_is_licensed(rows):
    assert rows["licensed_verbatim"] == [row(audit_arms.EXACTLY, "go now", "Go now.")]


def test_no_other_arm_is_written(rows):
    assert len(rows) == 5


@pytest.mark.parametrize("given", [["texts", "llm"], ["texts", "llm", "out", "many"]])
def test_wrong_arguments_show_the_usage(given, capsys):
    with pytest.raises(SystemExit, match="2"):
        audit_arms.main(given)
    assert "texts llm output [number]" in capsys.readouterr().err
