"""Twenty questions to another build of the LLM: counted word for word, asked once."""

import pytest

from auralign.models.llm import load_llm
from auralign.publish import agreement as module
from auralign.publish.agreement import agreement, ask_questions
from auralign.render import Renderer


@pytest.fixture
def parts(make_llm, tmp_path, monkeypatch):
    """An LLM and its renderer, and answers of at most two tokens, remembered in a home of their own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(module, "MAX_NEW_TOKENS", 2)
    llm = load_llm(make_llm("llama"))
    return llm, Renderer(llm.tokenizer, stop_ids=llm.stop_ids)


def test_an_llm_agrees_with_itself(parts):
    asked = ask_questions(*parts)
    assert len({one["question"] for one in asked}) == 20
    assert agreement(asked, *parts).startswith("the LLM answers 20 of 20 stored questions word for word")


def test_an_answer_that_differs_by_a_word_does_not_count(parts):
    asked = ask_questions(*parts)
    asked[3]["answer"] += " indeed"
    assert "answers 19 of 20" in agreement(asked, *parts)


def test_the_questions_are_asked_once(parts, monkeypatch):
    asked = ask_questions(*parts)
    told = agreement(asked, *parts)
    monkeypatch.setattr(module, "_answer", None)
    assert agreement(asked, *parts) == told


def test_other_stored_answers_are_asked_anew(parts):
    asked = ask_questions(*parts)
    agreement(asked, *parts)
    assert "of 2 stored" in agreement(asked[:2], *parts)
