"""How answers of an LLM to the SLUE tasks are read; readers never guess."""

import pytest

from auralign.corpora.slue.answers import (
    quotes,
    read_answer,
    read_dialog_acts,
    read_entities,
    read_marked,
    read_sentiment,
)
from auralign.corpora.slue.labels import COMBINED_MARKS, COMBINED_TAGS

TWO = (("GPE", "new york"), ("WORK_OF_ART", "hamlet"))


def test_adjacent_equal_entities_are_as_many():
    assert read_marked("! two ] ! two ]").found == (("CARDINAL", "two"), ("CARDINAL", "two"))


def test_an_entity_may_stand_at_both_ends():
    assert read_marked("% paris ] in @ may ]").found == (("GPE", "paris"), ("DATE", "may"))


def test_an_unclosed_entity_is_discarded_and_listed():
    reading = read_marked("in % paris and rome")
    assert (reading.found, reading.discarded) == ((), ("% paris and rome",))


def test_an_opener_inside_an_entity_discards_the_outer_one():
    reading = read_marked("& article % twenty ] one ]")
    assert (reading.found, reading.discarded) == ((("GPE", "twenty"),), ("& article", "]"))


def test_an_empty_entity_is_discarded_and_listed():
    reading = read_marked("in % ] and @ may ]")
    assert (reading.found, reading.discarded) == ((("DATE", "may"),), ("% ]",))


def test_a_closing_mark_alone_closes_nothing():
    assert read_marked("in paris ]").discarded == ("]",)


def test_the_two_maps_read_one_mark_differently():
    assert read_marked("& may ]").found == (("LAW", "may"),)
    assert read_marked("& may ]", COMBINED_MARKS).found == (("WHEN", "may"),)


def test_a_mark_of_the_other_map_alone_stays_in_the_sentence():
    assert read_marked("( ten euros ] ! law ]", COMBINED_MARKS).found == (("LAW", "law"),)


def test_a_mark_inside_a_word_opens_nothing():
    assert read_marked("about 50% of it ] and c# too").found == ()
    assert read_marked("% the 50% rule ] in @may ]").found == (("GPE", "the 50% rule"),)
    assert read_marked("at % new york] city ]").found == (("GPE", "new york] city"),)


def test_an_answer_with_slues_marks_is_read():
    assert read_answer("ner", "we met in % paris ] in @ may ]") == (("GPE", "paris"), ("DATE", "may"))
    assert read_answer("nel", "% paris ]") == (("GPE", "paris"),)
    assert quotes("nel", "% paris ] in @ may ]") == ["paris", "may"]
    assert read_answer("ner", "we met in paris, 50% of us ]") is None  # no mark, so no grammar


@pytest.mark.parametrize(
    "answer",
    [
        "Positive",
        "positive.",
        ' "POSITIVE" ',
        "**Positive**",
        "Sentiment: positive",
        "The sentiment of the speaker is positive.",
        "I think it is positive",
        "It\N{RIGHT SINGLE QUOTATION MARK}s mostly positive.",
        "positive, positive",
    ],
)
def test_a_named_sentiment_is_read(answer):
    assert read_sentiment(answer) == "Positive"


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "not positive",
        "it isn't positive",
        "The sentiment is non-negative.",
        "positive or neutral",
        "Options: Positive, Neutral, Negative",
        "my test came back positive today",
        "the sentiment is mixed",
        "positivity",
        "pos",
    ],
)
def test_a_sentiment_is_not_guessed(answer):
    assert read_sentiment(answer) is None


@pytest.mark.parametrize(
    "answer",
    [
        "The dialog acts are: question_check and thanks",
        "The dialogue acts are question check, thanks",
        "question_check, thanks",
        "Question check and thanks.",
        '["question_check", "thanks"]',
        "Dialog acts: question-check; thanks",
        "The dialog acts are question check and thanks.",
        "- question_check\n- thanks",
        "1. `question_check`\n2. `thanks`",
        '```json\n{"dialog_acts": ["question_check", "thanks"]}\n```',
        "question_check, thanks, thanks",
    ],
)
def test_listed_acts_are_read(answer):
    reading = read_dialog_acts(answer)
    assert (reading.found, reading.discarded) == (("question_check", "thanks"), ())


@pytest.mark.parametrize(
    "answer", ["", "none", "thanks for your call", "question", "other things", "``` ``` ```"]
)
def test_acts_are_not_guessed(answer):
    assert read_dialog_acts(answer) is None


@pytest.mark.parametrize(
    "lead", ["The dialog act is: ", "The dialog act is ", "Act: ", "**Acts** are: ", "The labels are: "]
)
def test_a_lead_before_one_act_is_no_part_of_it(lead):
    found = read_dialog_acts(f"{lead}thanks")
    assert (found.found, found.discarded) == (("thanks",), ())


def test_items_that_are_no_act_are_listed():
    assert read_dialog_acts("thanks, greeting").discarded == ("greeting",)


def test_a_lead_hides_no_act():
    assert read_dialog_acts("thanks\nlabels: self").discarded == ("labels: self",)


@pytest.mark.parametrize(
    "answer",
    [
        "GPE: new york\nWORK_OF_ART: hamlet",
        "- gpe: New York.\n- work of art: 'Hamlet'",
        "1. **GPE**: New York\n2. **Work-of-Art:** Hamlet",
        "GPE: new york, WORK_OF_ART: hamlet",
        "GPE: new york; work of art: hamlet\nDATE: none",
        '[{"tag": "GPE", "phrase": "New York"}, {"tag": "WORK_OF_ART", "phrase": "Hamlet"}]',
        '[{"entity": "New York", "type": "GPE"}, {"text": "hamlet", "Label": "work of art", "start": 3}]',
        '[["GPE", "new york"], ["WORK_OF_ART", "hamlet"]]',
        '{"GPE": "new york", "WORK_OF_ART": ["hamlet"], "DATE": [], "ORG": null}',
        '{"entities": [["GPE", "new york"], ["WORK_OF_ART", "hamlet"]]}',
        '```json\n{"GPE": "new york", "WORK_OF_ART": "hamlet"}\n```',
        "```\nGPE: new york\nWORK_OF_ART: hamlet\n```",
    ],
)
def test_listed_entities_are_read(answer):
    reading = read_entities(answer)
    assert (reading.found, reading.discarded) == (TWO, ())


def test_a_tag_may_come_twice_in_an_object():
    assert read_entities('{"GPE": "paris", "GPE": "rome"}').found == (("GPE", "paris"), ("GPE", "rome"))


def test_all_that_follows_a_tag_is_its_phrase():
    assert read_entities("TIME: 10:30\nGPE: paris, rome").found == (("TIME", "10:30"), ("GPE", "paris rome"))


@pytest.mark.parametrize("answer", ["none", "None.", "No entities", "[]", "{}", "GPE: none", '{"GPE": []}'])
def test_an_answer_may_say_that_there_are_none(answer):
    assert read_entities(answer).found == ()


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "we met in paris",
        "CITY: paris",
        "GPE: ",
        "GPE: paris DATE: may",
        '{"GPE": "paris", "DATE": "ma',
        '["paris"]',
        '{"answer": null}',
        '{"GPE": {"a": "b"}}',
        '[{"tag": "GPE", "text": "a", "phrase": "b"}]',
        "```\nGPE: paris\n```\nor\n```\nGPE: rome\n```",
        "[" * 100_000,
    ],
)
def test_entities_are_not_guessed(answer):
    assert read_entities(answer) is None


def test_what_is_no_entry_is_listed():
    reading = read_entities("Here they are:\nGPE: paris\nCITY: rome")
    assert reading.discarded == ("Here they are:", "CITY: rome")


def test_text_around_the_fence_is_listed():
    assert read_entities("Sure!\n```\nGPE: paris\n```").discarded == ("Sure!",)


def test_only_the_tags_asked_for_are_read():
    reading = read_entities("GPE: paris\nPLACE: rome", COMBINED_TAGS)
    assert (reading.found, reading.discarded) == ((("PLACE", "rome"),), ("GPE: paris",))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("three kinds", "three kinds"),
        ('"Three  kinds."', "Three kinds."),
        ("Answer: three kinds", "three kinds"),
        ("The answer is 'three kinds'", "three kinds"),
        ('The answer is "three kinds".', "three kinds"),
        ("```\nthree kinds\n```", "three kinds"),
        ("answering machines", "answering machines"),
        ("...", None),
        ("", None),
    ],
)
def test_a_quotation_is_read_without_what_announces_it(answer, expected):
    assert read_answer("question", answer) == expected


def test_a_task_without_a_reader_is_named():
    with pytest.raises(ValueError, match="task 'asr'"):
        read_answer("asr", "hello")


def test_only_span_tasks_quote():
    assert quotes("ner", "GPE: malta") == []
    assert quotes("nel", "PLACE: malta\nPLACE: malta\nGPE: rome") == ["malta", "rome"]
    assert quotes("nel", "I do not know") == []


@pytest.mark.parametrize("task", ["ner", "title", "question"])
def test_answers_are_read_in_one_form_of_unicode(task):
    answers = ["PERSON: José", "PERSON: Jose\u0301"] if task == "ner" else ["José", "Jose\u0301"]
    composed, other = (read_answer(task, answer) for answer in answers)
    assert composed == other != None  # noqa: E711 (a phrase was read)
