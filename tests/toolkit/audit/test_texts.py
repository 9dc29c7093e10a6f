"""The measures of texts, by hand."""

from random import Random

import pytest

from auralign.audit.examples import Example
from auralign.audit.texts import (
    Texts,
    content_share,
    is_other_language,
    mentions,
    overlap,
    spans,
    swap_word,
    word_list,
)
from auralign.layout import Text, View
from auralign.records import Records, Utterance, write_records


def example(text, response, *, asked=None, finished=True, utt_id="", attributes=None):
    return Example(
        "row", utt_id, text, asked, response, finished, lambda said: View((Text(said),)), attributes or {}
    )


def count(*examples, tests=()):
    texts = Texts(list(tests))
    for one in examples:
        texts.add(one)
    return texts


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It’s a well-known “fact”.", ["its", "a", "wellknown", "fact"]),
        ("3,5 and -- x", ["3", "5", "and", "x"]),
        ("मैं हिन्दी", ["मैं", "हिन्दी"]),  # vowel signs are parts of words
        ("你好。", ["你", "好"]),
        ("", []),
    ],
)
def test_words(text, words):
    assert word_list(text) == words


def test_spans_are_places_in_the_text():
    text = "(Say) 'nine'!"
    assert [text[start:end] for start, end in spans(text)] == ["Say", "nine"]


@pytest.mark.parametrize(
    ("text", "response", "share"),
    [
        ("the red house is old", "A red one.", 1 / 3),
        ("three three five", "three", 1 / 2),  # distinct words
        ("it is", "it is", None),  # no content
        ("nine", "", 0.0),
    ],
)
def test_content(text, response, share):
    assert content_share(text, response) == (None if share is None else pytest.approx(share))


def test_overlap_counts_each_word_as_often_as_it_is_said():
    assert overlap("three five", "three three") == 0.5
    assert overlap("three", "") is None


@pytest.mark.parametrize(
    ("value", "found"), [("middle age", True), ("age middle", False), (30, True), ("", False), ("...", False)]
)
def test_an_attribute_is_mentioned_word_by_word(value, found):
    assert mentions("Middle-aged? No: middle age, 30.", value) is found


@pytest.mark.parametrize(
    ("name", "value", "response"),
    [
        ("age", 25, "You sound like a young adult."),
        ("age", "70", "A senior."),
        ("emotion", "happiness", "You seem happy."),
        ("emotion", "ANG", "So angry!"),
    ],
)
def test_an_attribute_is_mentioned_in_other_words_too(name, value, response):
    assert mentions(response, value, name) and not mentions(response, "x", name)


@pytest.mark.parametrize(
    ("text", "response", "is_other"),
    [
        ("this is what you said", "das ist nicht von mir", True),
        ("this is what you said", "you said what", False),
        ("three five", "это три", True),
        ("three five", "seven", False),
        ("three", "123", False),  # no letters, no language
        ("今日は晴れ", "今日", True),  # Chinese characters alone, as far as scripts tell
    ],
)
def test_other_language(text, response, is_other):
    assert is_other_language(text, response) is is_other


def test_a_swapped_word_is_a_content_word_that_is_new():
    found = {
        swap_word("The dog is red.", ["dog", "cat", "tree"], "A tree!", Random(seed)) for seed in range(20)
    }
    assert found == {"The cat is red.", "The dog is cat."}


def test_a_swap_keeps_the_capital():
    assert swap_word("Dogs", ["cats"], "", Random(1)) == "Cats"


def test_nothing_to_swap():
    assert swap_word("it is", ["cat"], "", Random(1)) is None
    assert swap_word("dog", ["dog"], "", Random(1)) is None


def test_filters_are_counted_by_reason():
    texts = count(
        example("a", ""),
        example("b", "I'm sorry, I cannot do this."),
        example("c", "so it goes " * 20),
        example("d", "fine", finished=False),
    )
    shares = {name: texts.share(name) for name in ("empty", "refusal", "looping", "cut off", "verbatim")}
    assert shares == {"empty": 0.25, "refusal": 0.25, "looping": 0.25, "cut off": 0.25, "verbatim": 0.0}


def test_duplicates_are_of_one_utterance_and_same_answers_of_several():
    texts = count(
        example("three", "Yes.", utt_id="a"),
        example("three", "Yes.", utt_id="a"),  # a duplicate
        example("three", "Yes.", utt_id="b"),  # said again by somebody
        example("nine", "yes", utt_id="c"),  # the same answer to something else
        example("three", "Yes.", asked="repeat {speech}", utt_id="a"),
    )
    assert texts.counts["duplicate"] == 1
    assert texts.counts["same answer"] == 1


def test_without_ids_duplicates_are_found_by_transcript():
    assert count(example("three", "Yes."), example("Three!", "Yes.")).counts["duplicate"] == 1


def test_attributes_are_covered_among_those_that_have_them():
    texts = count(
        example("a", "A happy man.", attributes={"emotion": "happy"}),
        example("b", "A man.", attributes={"emotion": "sad", "gender": "man"}),
        example("c", "Nobody."),
        example("d", "Unknown.", attributes={"emotion": "Unknown", "gender": "N/A"}),  # are not known
    )
    assert texts.coverage() == {"emotion": 0.5, "gender": 1.0}


def test_test_text_is_found_in_transcripts_and_in_targets(tmp_path):
    path = tmp_path / "test.jsonl"
    write_records(path, [Utterance(id="t1", audio="a", seconds=1.0, text="Held out!")], kind=Utterance)
    texts = count(
        example("held out", "yes"),
        example("x", "Held out."),
        example("x", "y"),
        tests=[Records(path, Utterance)],
    )
    assert texts.counts["test text"] == 2
    assert "transcript is that of" in texts.shown["test text"]
