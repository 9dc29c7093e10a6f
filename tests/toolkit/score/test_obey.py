"""What obeys passes, and what transcribes, is empty or is wrong does not."""

import json
from pathlib import Path

import pytest

from auralign.layout import SLOT
from auralign.score.obey import CONTENT_BOUND, FORM_ONLY, TASKS, is_transcription

FILE = Path(__file__).parents[2] / "fixtures" / "obey_answers.jsonl"
JUDGED = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]

GO = "go do you hear"
LATE = "the boys' captain said 'tis late and i don't care"
# 25 words
LONG = (
    "he hoped there would be stew for dinner turnips and carrots and bruised potatoes and fat mutton pieces to be ladled "
    "out in thick sauce"
)
WELL = "well i don't think he does"

RIGHT = [
    ("upper_case", GO, "GO DO YOU HEAR"),
    ("upper_case", GO, "GO. DO YOU HEAR?"),
    ("upper_case", LATE, "THE BOYS’ CAPTAIN SAID ’TIS LATE, AND I DON’T CARE."),
    ("upper_case", LONG, LONG.upper().replace("STEW", "STEWS")),
    ("upper_case", GO, "```\nGO DO YOU HEAR\n```"),
    ("first_word", GO, "go"),
    ("first_word", GO, ' **"Go".**\n'),
    ("first_word", GO, "The first word is 'go'."),
    ("first_word", GO, 'The first word of the sentence is "Go".'),
    ("first_word", GO, "First word: go"),
    ("first_word", "don't go", "Don’t."),
    ("first_word", "'tis late", "'Tis"),
    ("last_word", GO, "Hear."),
    ("last_word", GO, "The last word in the sentence is hear."),
    ("last_word", "the boys'", "boys"),
    ("count_words", GO, "4"),
    ("count_words", GO, "Four."),
    ("count_words", GO, "There are 4 words in the sentence."),
    ("count_words", LONG, "twenty-five"),
    ("count_words", LONG, "25 words"),
    ("count_words", WELL, "6"),
    ("one_word", GO, "Attention."),
    ("one_word", GO, "well-being"),
    ("one_word", GO, "café"),
    ("list_of_three", GO, "1. go\n2. do\n3. hear"),
    ("list_of_three", GO, "Here are three words:\n\n- go\n- you\n- hear\n"),
    ("list_of_three", GO, "1) Call\n2) Answer\n3) Ear"),
    ("list_of_three", GO, "a call\nan ear\na voice"),
    ("in_russian", GO, "Иди, ты слышишь?"),
    ("in_russian", LONG, "Мистер Smith надеялся, что на обед будет рагу."),
    ("in_chinese", GO, "去吧，你听见了吗？"),
    ("in_chinese", "go", "走"),
    ("contains_word", GO, "No"),
    ("contains_word", GO, "no, it does not."),
    ("contains_word", LATE, "Yes."),
    ("contains_word", LATE, "Yes, the word 'and' occurs in the sentence."),
    ("json", GO, '{"text": "go do you hear"}'),
    ("json", GO, '```json\n{\n  "text": "Go! Do you hear?"\n}\n```'),
    ("begins_with", GO, "ANSWER: It is about hearing."),
    ("begins_with", GO, "**ANSWER** A command."),
    ("begins_with", GO, "ANSWER it is a call"),
    ("spell_first_word", GO, "g-o"),
    ("spell_first_word", GO, "G, O."),
    ("spell_first_word", "don't go", "d-o-n-'-t"),
    ("spell_first_word", "don't go", "d o n t"),
    # found by a reviewer, and others of the same kinds
    ("contains_word", GO, "No, it's not there."),
    ("contains_word", LATE, "Yes, it's mentioned."),
    ("contains_word", LATE, "Yes, it isn't missing."),
    ("contains_word", GO, "No, that's absent."),
    ("contains_word", GO, "No, there is no 'and' in the sentence."),
    ("last_word", GO, "The word hear comes last."),
    ("count_words", GO, "It's 4 words."),
    ("count_words", GO, "That's four."),
    ("count_words", GO, "The sentence is 4 words long."),
    ("count_words", GO, "I count 4 words."),
    ("first_word", GO, "It's the very first word: go"),
    ("first_word", "it's late", "It's"),
    ("first_word", "well-known men came", "Well-known"),
    ("first_word", "well-known men came", "well"),
    ("last_word", GO, "It finishes with hear."),
    ("last_word", GO, "The sentence finished with: hear"),
    ("last_word", "he gave me his word", "word"),
    ("last_word", "he gave me his word", "The last word is word."),
    ("one_word", GO, "Well\u2010being"),
    ("one_word", GO, "Well\u2011being"),
    *(
        ("spell_first_word", "please go", "-".join("please").replace("-", sign))
        for sign in "\u2010\u2011\u2012\u2013\u2212·"
    ),
    ("spell_first_word", "please go", "please = p-l-e-a-s-e"),
    ("spell_first_word", "please go", "Please is spelt as p-l-e-a-s-e."),
    ("spell_first_word", "please go", "The first word, please, is spelled p-l-e-a-s-e."),
    ("spell_first_word", "please go", "It's p-l-e-a-s-e"),
    ("json", GO, '```json\r\n{"text": "go do you hear"}\r\n```'),
    ("json", GO, '```json {"text": "go do you hear"} ```'),
    ("json", GO, '```{"text": "go do you hear"}```'),
    ("json", GO, '`{"text": "go do you hear"}`'),
    ("upper_case", "sure he said yes go on", "SURE, HE SAID YES! GO ON."),
]

WRONG = [
    ("upper_case", GO, "GO DO YOU hear"),
    ("upper_case", GO, "NO IDEA AT ALL"),
    ("upper_case", GO, "GO DO YOU"),  # one of four words is more than 20 %
    ("first_word", GO, "do"),
    ("first_word", GO, "go do"),
    ("first_word", GO, "The last word is go."),
    ("first_word", GO, "I would say that it is go."),
    ("last_word", GO, "go"),
    ("last_word", GO, "you hear"),
    ("count_words", GO, "5"),
    ("count_words", GO, "4 or 5"),
    ("count_words", GO, "Four words: go, do, you, hear."),
    ("count_words", LONG, "twenty five five"),
    ("count_words", GO, "9" * 5000),
    ("one_word", GO, "two words"),
    ("one_word", GO, "4"),
    ("one_word", GO, "слух"),
    ("one_word", GO, "a: b"),
    ("list_of_three", GO, "1. go\n2. do"),
    ("list_of_three", GO, "1. go\n2. do\n3. you\n4. hear"),
    ("list_of_three", GO, "go, do, hear"),
    ("list_of_three", GO, "1. go\n2. do\nhear"),
    ("list_of_three", GO, "go\ndo you\nhear"),  # a transcript on three lines
    ("list_of_three", GO, "1. \n2. \n3. "),
    ("in_russian", GO, "Go! Do you hear? Да."),
    ("in_russian", GO, "去吧"),
    ("in_russian", GO, "?! 12"),
    ("in_chinese", GO, "Qu ba, ni ting jian le ma?"),
    ("in_chinese", GO, "ゴー、きこえますか"),
    ("contains_word", GO, "Yes"),
    ("contains_word", LATE, "No"),
    ("contains_word", LATE, "yes or no"),
    ("contains_word", LATE, "It does."),
    ("contains_word", LATE, "Yes, the captain said so."),
    ("json", GO, "{'text': 'go do you hear'}"),
    ("json", GO, '{"sentence": "go do you hear"}'),
    ("json", GO, '{"text": "go do you hear", "language": "en"}'),
    ("json", GO, '{"text": ["go do you hear"]}'),
    ("json", GO, '{"text": "something else"}'),
    ("json", GO, '["text"]'),
    ("json", GO, "[" * 100_000),
    ("begins_with", GO, "Answer: it is about hearing."),
    ("begins_with", GO, "It is an ANSWER"),
    ("begins_with", GO, "ANSWERED"),
    ("begins_with", GO, "ANSWER:"),
    ("spell_first_word", GO, "go"),
    ("spell_first_word", GO, "o-g"),
    ("spell_first_word", GO, "g-o-d-o"),
    ("spell_first_word", GO, "h-e-a-r"),
    # found by a reviewer, and others of the same kinds
    ("contains_word", GO, "No, it isn't absent."),
    ("contains_word", LATE, "Yes, it's absent."),
    ("contains_word", GO, "No, it's mentioned."),
    ("count_words", GO, "It's 5 words."),
    ("last_word", "he gave me his word", "The last word"),
    ("last_word", "he gave me his word", "last word"),
    ("first_word", "the words are few", "First the"),
    ("first_word", "the words are few", "The first word is words"),
    ("last_word", GO, "The word hear comes first."),
    ("contains_word", GO, "No, there is not no 'and'."),
    ("first_word", GO, "It finishes with go."),
    ("upper_case", "please call me in the evening", "SURE! PLEASE CALL ME IN THE EVENING"),
    ("spell_first_word", "please go", "hear = p-l-e-a-s-e"),
    ("one_word", GO, "Go\u2011do\u2011you\u2011hear"),
]


def ids(rows):
    return [f"{task}-{answer[:24]!r}" for task, _, answer in rows]


@pytest.mark.parametrize(("task", "said", "answer"), RIGHT, ids=ids(RIGHT))
def test_an_answer_that_obeys_passes(task, said, answer):
    assert TASKS[task].check(answer, said) is True


@pytest.mark.parametrize(("task", "said", "answer"), WRONG, ids=ids(WRONG))
def test_an_answer_that_does_not_obey_fails(task, said, answer):
    assert TASKS[task].check(answer, said) is False


def test_every_task_has_answers_above_of_both_kinds():
    assert {task for task, _, _ in RIGHT} == {task for task, _, _ in WRONG} == set(TASKS)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("said", [GO, LATE, LONG, WELL, "do you hear", "ten words are not many", "don't you"])
def test_a_transcript_passes_no_task(task, said):
    assert TASKS[task].can_tell(said)
    for copy in (said, f"{said.capitalize()}.", f'"{said}"', f"Go on. {said}. {said.capitalize()}!"):
        assert TASKS[task].check(copy, said) is False
    if task != "upper_case":  # which asks for it
        assert TASKS[task].check(said.upper(), said) is False


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("said", ["", "go", GO, "no"])
@pytest.mark.parametrize("answer", ["", " \n", "...", '""', "```\n\n```", "- \n- \n- "])
def test_an_empty_answer_passes_no_task(task, said, answer):
    assert TASKS[task].check(answer, said) is False


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("first_word", "go"),
        ("last_word", "Go"),
        ("one_word", "go"),
        ("count_words", "there are three"),
        ("contains_word", "no it does not"),
        ("spell_first_word", "o"),
    ],
)
def test_a_sentence_whose_transcript_obeys_cannot_tell(task, said):
    assert TASKS[task].can_tell(said) is False


@pytest.mark.parametrize("task", sorted({*TASKS} - {"first_word", "last_word", "one_word"}))
def test_the_other_tasks_can_tell_by_one_word_too(task):
    assert TASKS[task].can_tell("go")


def test_capitals_are_not_asked_of_what_is_in_capitals():
    with pytest.raises(ValueError, match="give it in lower case"):
        TASKS["upper_case"].check("GO DO YOU HEAR", "GO DO YOU HEAR")


@pytest.mark.parametrize("name", TASKS)
def test_a_task_has_five_wordings_with_the_speech_in_different_places(name):
    task = TASKS[name]
    assert task.name == name and "\n" not in task.meaning
    assert len(set(task.phrasings)) == 5
    assert [phrasing.count(SLOT) for phrasing in task.phrasings] == [1] * 5
    assert {phrasing.replace(SLOT, "").count("{") for phrasing in task.phrasings} == {0}
    places = [phrasing.startswith(SLOT) - phrasing.endswith(SLOT) for phrasing in task.phrasings]
    assert set(places) == {1, 0, -1}  # first, within, last
    before = [phrasing.partition(SLOT)[0][-1:] for phrasing in task.phrasings]
    assert {"", " ", '"', "\n"} <= set(before)


@pytest.mark.parametrize(
    ("answer", "said", "is_one"),
    [
        ("Go! Do you hear?", GO, True),
        ("GO DO YOU HEAR", GO, True),
        ("The boys’ captain said ’tis late, and I don’t care.", LATE, True),
        ("the boys captain said it is late and i don't care", LATE, True),  # 2 edits of 10 words
        ("the boys captain said that it is late and i don't care", LATE, False),  # 3
        ("go do you", GO, False),  # 1 of 4
        ("go", "go", True),
        ("", GO, False),
        ("...", GO, False),
        ("go", "", False),
        ("", "", False),
    ],
)
def test_a_transcription_is_what_was_said_but_for_a_fifth_of_its_words(answer, said, is_one):
    assert is_transcription(answer, said) is is_one


@pytest.mark.parametrize(
    ("task", "answer"),
    [
        ("first_word", "Cafe\u0301"),
        ("last_word", "scho\u0308n"),
        ("upper_case", "CAFE\u0301 SCHO\u0308N"),
        ("one_word", "Cafe\u0301"),
        ("spell_first_word", "C-A-F-E\u0301"),
        ("count_words", "2"),
        ("json", '{"text": "cafe\u0301 scho\u0308n"}'),
    ],
)
def test_rules_hold_in_every_form_of_unicode(task, answer):
    assert TASKS[task].check(answer, "café schön")


@pytest.mark.parametrize("name", TASKS)
def test_the_rules_agree_with_answers_judged_by_hand(name):
    judged = [row for row in JUDGED if row["task"] == name]
    wrong = [row for row in judged if TASKS[name].check(row["answer"], row["said"]) is not row["obeys"]]
    assert wrong == []
    assert {row["obeys"] for row in judged} == {True, False}


def test_as_many_answers_were_judged_as_the_rules_need():
    assert len(JUDGED) >= 200


@pytest.mark.parametrize("name", TASKS)
def test_no_rule_passes_a_copy_of_its_instruction(name):
    task = TASKS[name]
    for phrasing in task.phrasings:
        for answer in (
            phrasing.replace(SLOT, ""),
            phrasing.replace(SLOT, "").upper(),
            phrasing.replace(SLOT, GO),
        ):
            assert task.check(answer, GO) is False


CONSTANTS = (
    "go",
    "Attention",
    "7",
    "yes",
    "no",
    "1. one\n2. two\n3. three",
    "Я не знаю.",
    "我不知道。",
    "ANSWER: I do not know.",
    '{"text": "hello there"}',
    "g-o",
    "HELLO THERE",
)


@pytest.mark.parametrize("name", TASKS)
def test_a_rule_is_content_bound_if_no_constant_answer_passes_for_every_utterance(name):
    utterances = [GO, LATE, LONG, WELL]
    passes = any(all(TASKS[name].check(answer, said) for said in utterances) for answer in CONSTANTS)
    assert TASKS[name].is_content_bound is not passes
    assert TASKS[name].kind == (FORM_ONLY if passes else CONTENT_BOUND)
