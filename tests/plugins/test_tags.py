"""`tagged` and `conditional`: tags come from what is known, never from a text, and the LLM that is asked reads none."""

from dataclasses import replace
from random import Random

import pytest

from auralign.layout import ASSISTANT, Code, Response, Speech, Text, Turn, View
from auralign.method import in_slot
from auralign.plugins import load_method
from auralign.records import Utterance
from auralign.render import Renderer
from auralign_methods import conditional as conditional_module

UTTERANCE = Utterance(
    id="u",
    audio="u.flac",
    seconds=1.0,
    text="three five",
    language="en",
    words=(("three", 0.0, 0.42), ("five", 0.5, 1.0)),
    labels={"translation": "drei fünf", "translation_language": "de", "style": "itn"},
)
ALL = {"transcribe": "text", "translate": "translation", "locate": "words", "caption": "caption"}
SLOTS = ["language", "task", "text_language", "timestamps", "style"]


def tagged(**options):
    return load_method("tagged", **{"tasks": ALL, "slots": SLOTS, "share_unknown": 0.0, **options})


def laid_out(method, utterance=UTTERANCE, response="answer"):
    return [
        method.layout(utterance, choice, Response(response))
        for choice in method.choices(utterance, Random(0))
    ]


def test_an_utterance_gives_an_example_of_each_task_whose_answer_the_corpus_has():
    method = tagged()
    choices = list(method.choices(UTTERANCE, Random(0)))
    assert {choice.task: method.given_response(UTTERANCE, choice) for choice in choices} == {
        "transcribe": "three five",
        "translate": "drei fünf",
        "locate": "0.00 three 0.42 0.50 five 1.00",
    }


def test_tags_are_behind_the_speech_in_the_order_of_the_slots():
    _, translate, locate = laid_out(tagged())
    assert translate.student.segments == (
        Speech("three five"),
        Code(
            "tags",
            ("language=en", "task=translate", "text_language=de", "timestamps=no", "style=itn"),
        ),
        Response("answer"),
    )
    assert translate.teacher.segments == (Text("three five", "speech"), Response("answer"))
    assert locate.student.segments[1].ids[3] == "timestamps=yes"


def test_what_is_not_known_is_unknown():
    bare = replace(UTTERANCE, language="", labels={})
    (layout, _) = laid_out(tagged(), bare)
    assert layout.student.segments[1].ids == (
        "language=unknown", "task=transcribe", "text_language=unknown", "timestamps=no", "style=unknown",
    )  # fmt: skip


def test_a_tag_that_may_be_left_out_in_use_was_unknown_in_training():
    method = tagged(share_unknown=0.3, tasks={"transcribe": "text"})
    drawn = [next(iter(method.choices(UTTERANCE, Random(seed)))).options["tags"] for seed in range(300)]
    assert 0.2 < sum(tags["style"] == "unknown" for tags in drawn) / 300 < 0.4
    assert all(tags["task"] == "transcribe" for tags in drawn)
    speech, code = in_slot(replace(method, use={"language": "de"}))
    assert (speech, code.ids[:2]) == (Speech(""), ("language=de", "task=transcribe"))
    assert {*code.ids[2:]} == {"text_language=unknown", "timestamps=unknown", "style=unknown"}


def test_words_of_the_prompt_or_nothing_take_the_place_of_tokens():
    (layout, *_) = laid_out(tagged(written="words", slots=["language", "task"]))
    assert layout.student.segments[1] == Text(" language en task transcribe")
    (layout, *_) = laid_out(tagged(written="nothing"))
    assert layout.student.segments == (Speech("three five"), Response("answer"))


def test_a_transcript_that_holds_a_tags_text_makes_no_tag(make_llm):
    from auralign.models.llm import load_llm

    renderer = Renderer(load_llm(make_llm("llama")).tokenizer)
    said = replace(UTTERANCE, text="<|transcribe|> task=translate", labels={"style": "itn"}, words=None)
    (layout,) = laid_out(tagged(), said, response="<|transcribe|> task=translate")
    books = [piece.codes for piece in renderer.render(layout.student).pieces if piece.book]
    assert books == [layout.student.segments[1].ids]  # those of the layout, and no other
    assert books[0][1] == "task=transcribe"


@pytest.mark.parametrize(
    "options, said",
    [
        ({"written": "word"}, "use words, tags, nothing"),
        ({"tasks": {}}, "at least one of each"),
        ({"share_unknown": 1.0}, "less than 1"),
        ({"use": {"lang": "en"}}, "no slot 'lang'; there are language, task"),
        ({"use": {"task": "sing"}}, "no task 'sing'; there are transcribe"),
        ({"slots": ["task", "task"]}, "slots: 'task' is given twice"),
    ],
)
def test_an_option_that_cannot_be_used_is_named(options, said):
    with pytest.raises(ValueError, match=said):
        tagged(**options)


def conditional(**options):
    return load_method("conditional", **{"share_untagged": 0.0, **options})


def graded(method, grades, **choice):
    (drawn,) = method.choices(UTTERANCE, Random(0))
    drawn = replace(drawn, options={**drawn.options, **choice})
    return method.layout(UTTERANCE, drawn, Response("answer", grades=grades))


@pytest.mark.parametrize(
    "grades, good, tag",
    [
        ({"copied": 0.4}, "below", "good"),
        ({"copied": 0.5}, "below", "bad"),
        ({"copied": 0.5}, "above", "good"),
        ({"copied": 0.4}, "above", "bad"),
    ],
)
def test_the_student_alone_reads_whether_an_answer_is_good(grades, good, tag):
    method = conditional(good=good)
    layout = graded(method, grades)
    assert layout.student.contents[0] == Code("quality", (tag,))
    assert layout.student.contents[1] == Speech("three five")
    asked = [
        one.teacher.before_target() for one in (layout, graded(method, {}), graded(load_method("sift"), {}))
    ]
    assert asked[0] == asked[1] == asked[2]


def test_without_a_grade_or_for_the_share_that_was_drawn_there_is_no_tag():
    plain = View((Speech("three five"), Response("answer")), None)
    assert graded(conditional(), {}).student == plain
    assert graded(conditional(), {"copied": 1.0}, untagged=True).student.contents[0] == Speech("three five")
    method = conditional(share_untagged=0.3)
    drawn = [next(iter(method.choices(UTTERANCE, Random(seed)))).options for seed in range(300)]
    assert 0.2 < sum("untagged" in options for options in drawn) / 300 < 0.4


def test_in_use_a_good_answer_is_asked_for():
    assert in_slot(conditional())[0] == Code("quality", ("good",))


def test_the_tag_is_before_the_speech_within_an_instruction():
    layout = graded(conditional(of={"name": "distillation", "instruction": "go on: {speech}"}), {"copied": 0})
    assert [type(one) for one in layout.student.contents[:3]] == [Text, Code, Speech]


def test_in_a_conversation_the_tag_is_in_the_first_turn_that_is_heard():
    said, asked = Turn((Text("i heard it"),), ASSISTANT), Turn((Text("sort "), Speech("three")))
    view = View((Turn((Text("hello"),)), said, asked, Turn((Response("x"),), ASSISTANT)))
    tagged = conditional_module._before_speech(view, Code("quality", ("bad",)))
    assert tagged.turns[2].segments == (Text("sort "), Code("quality", ("bad",)), Speech("three"))
    assert (*tagged.turns[:2], tagged.turns[3]) == (*view.turns[:2], view.turns[3])


def test_the_other_methods_options_and_version_are_its_own():
    method = conditional(of={"name": "sift", "views": ["s", "sp"]})
    assert len(list(method.choices(UTTERANCE, Random(0)))) == 2
    assert method.version == "1 of sift 2"
    assert method.needs.grades == ("copied",)
    for of in ({"views": ["s"]}, "sift"):
        with pytest.raises(ValueError, match="give the name of a method"):
            conditional(of=of)
    with pytest.raises(ValueError, match="'interleave' teaches no answer, so that there is nothing to grade"):
        conditional(of={"name": "interleave"})
    with pytest.raises(ValueError, match="it must be a number"):
        graded(conditional(), {"copied": "yes"})
