"""Verifiable instructions, against answers that were judged by hand."""

import pytest

from auralign.score.ifeval import RULES, follow

LIST = "* one\n- two\nthree"
CASES = [  # name, arguments, answers that follow, answers that do not
    ("keywords:existence", {"keywords": ["Sea", "sky"]}, ["The SEA and the skyline"], ["the sea"]),
    ("keywords:frequency", {"keyword": "sea", "frequency": 2, "relation": "at least"}, ["Sea sea"], ["sea"]),
    ("keywords:frequency", {"keyword": "sea", "frequency": 0, "relation": "at least"}, ["no"], []),
    ("keywords:frequency", {"keyword": "sea", "frequency": 1, "relation": "less than"}, ["sky"], ["sea"]),
    ("keywords:forbidden_words", {"forbidden_words": ["art", "苹果"]}, ["a party"], ["Art!", "我吃苹果"]),
    ("keywords:letter_frequency", {"letter": "Q", "let_frequency": 2, "let_relation": "less than"}, ["q"], ["qQ"]),
    ("language:response_language", {"language": "de"}, ["Das ist nicht gut."], ["This is not good."]),
    ("language:response_language", {"language": "hi"}, ["मैं घर जा रहा हूँ"], ["I am going home."]),
    ("language:response_language", {"language": "zh"}, ["我要回家"], ["家に帰ります"]),
    ("length_constraints:number_sentences", {"num_sentences": 2, "relation": "at least"},
     ['He said "Go." Then 3.5 came', "One! Two"], ["At 3.5 e.g.x", "One."]),
    ("length_constraints:number_sentences", {"num_sentences": 3, "relation": "at least"}, ["好。走。来！"], ["好。走。"]),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, ["a\n***\nb", "***\na\n***\nb"], ["a", "a***\n***b"]),
    ("length_constraints:number_words", {"num_words": 3, "relation": "less than"}, ["two words"], ["it is three", "三个字"]),
    ("length_constraints:nth_paragraph_first_word", {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "Sea"},
     ['one\n\n"sea, wide'], ["one\n\nthe sea", "sea", "a\n\nsea\n\nb"]),
    ("detectable_content:number_placeholders", {"num_placeholders": 2}, ["[a] [b c]"], ["[a] b]"]),
    ("detectable_content:postscript", {"postscript_marker": "P.S."}, ["Bye.\nP. S. more"], ["Bye. PS more"]),
    ("detectable_content:postscript", {"postscript_marker": "P.P.S"}, ["P.P.S more"], ["P.S. more"]),
    ("detectable_format:number_bullet_lists", {"num_bullets": 2}, [LIST], [f"{LIST}\n- four", "**bold**"]),
    ("detectable_format:constrained_response", {}, ["I say: My answer is no."], ["no"]),
    ("detectable_format:number_highlighted_sections", {"num_highlights": 2}, ["*a* and *b*"], ["*a* and * *"]),
    ("detectable_format:multiple_sections", {"section_spliter": "SECTION", "num_sections": 2},
     ["SECTION 1 a SECTION 2 b"], ["SECTION 1 a"]),
    ("detectable_format:json_format", {}, ['```json\n{"a": 1}\n```', "[1]"], ["a: 1"]),
    ("detectable_format:title", {}, ["<<joy>>\ntext"], ["<< >>", "<joy>"]),
    ("combination:two_responses", {}, ["a\n******\nb"], ["a******a", "a", "a******b******c"]),
    ("combination:repeat_prompt", {"prompt_to_repeat": "Say it. "}, ["say it. It."], ["I say it."]),
    ("startend:end_checker", {"end_phrase": "Any questions?"}, ['"So. any questions?"'], ["Any questions? No."]),
    ("startend:quotation", {}, ['"a"', "“a”"], ['"', 'a "b"']),
    ("change_case:capital_word_frequency", {"capital_frequency": 2, "capital_relation": "at least"},
     ["IT IS so"], ["It IS so"]),
    ("change_case:english_capital", {}, ["THE END"], ["The END", "DAS IST NICHT GUT"]),
    ("change_case:english_lowercase", {}, ["the end"], ["The end"]),
    ("punctuation:no_comma", {}, ["a and b"], ["a, b", "好，走"]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arguments", "right", "wrong"), CASES)
def test_each_rule_tells_the_answers_that_follow(name, arguments, right, wrong):
    for answers, expected in ((right, True), (wrong, False)):
        for answer in answers:
            assert follow(answer, [name], [arguments]).strict == (expected,), answer


def test_every_rule_has_a_case():
    assert {name for name, *_ in CASES} == set(RULES)


def test_the_loose_reading_drops_first_and_last_lines_and_asterisks():
    names, arguments = ["detectable_format:json_format", "punctuation:no_comma"], [{}, {}]
    found = follow("Sure, here it is:\n[1]", names, arguments)
    assert (found.strict, found.loose) == ((False, False), (True, True))
    assert follow("*{}*", names[:1], [{}]).loose == (True,)


def test_an_empty_answer_follows_nothing():
    found = follow(" \n", ["punctuation:no_comma", "detectable_format:title"], [{}, {}])
    assert found.strict == found.loose == (False, False)


@pytest.mark.parametrize(
    ("names", "arguments", "message"),
    [
        (["punctuation:no_dots"], [{}], "'punctuation:no_dots' is none of IFEval's"),
        (["keywords:frequency"], [{"keyword": "a", "frequency": None, "relation": "at least"}], "it needs keyword, frequency"),
        (["punctuation:no_comma"], [{"num_words": 3}], "has the arguments num_words; it needs none"),
        (["punctuation:no_comma"], [], "1 instructions with arguments of 0"),
        (["length_constraints:number_words"], [{"num_words": 3, "relation": "around"}], "relation is 'around'"),
        (["length_constraints:number_words"], [{"num_words": "3", "relation": "at least"}], "num_words is '3'; expected int"),
    ],
)  # fmt: skip
def test_what_no_rule_could_check_is_an_error(names, arguments, message):
    with pytest.raises(ValueError, match=message):
        follow("a", names, arguments)
