"""Grades: known of an answer after it was given, written into its target, and read by no prompt."""

import json
from dataclasses import dataclass, replace

import pytest

from auralign.generate.engine import Reply
from auralign.generate.grades import copied, from_file, grade
from auralign.generate.targets import TargetWriter
from auralign.layout import Layout, Response, Speech, View
from auralign.method import AlignmentMethod, Needs
from auralign.plugins import load_method
from auralign.records import Choice, Records, Target, Utterance, write_records
from recipe import make_utterance

UTTERANCE = Utterance("a", "a.flac", 1.0, "three five")
TARGET = Target("k", "a", Choice(), "x", "stop", "m", "1", "l", "r", "f", "p", {}, 1)


@dataclass(frozen=True)
class Graded(AlignmentMethod):
    """It says how long an answer is."""

    name = "graded"
    needs = Needs(grades=("length",))

    def choices(self, utterance, rng):
        yield Choice()

    def layout(self, utterance, choice, response):
        return Layout(View((Speech(utterance.text), response)))

    def grade(self, utterance, choice, response):
        return {"length": len(response)}


@dataclass
class Echo:
    """An engine that answers every second prompt with one word."""

    max_prompt_ids: int = 255

    def answer(self, requests):
        for number, request in enumerate(requests):
            yield [Reply(request, ("i heard it", "sorry")[number % 2], "stop")]


def write(path, manifest, renderer, method, function=None):
    facts = {"llm_name": "tiny", "llm_revision": "r", "decoding": {"max_new_tokens": 6}, "seed": 1}
    TargetWriter(method, renderer, Echo(), max_rejected=1.0, grade=function, **facts).write(manifest, path)
    return list(Records(path, Target))


@pytest.fixture
def manifest(tmp_path):
    utterances = [make_utterance(tmp_path / "data", "train", number) for number in range(4)]
    write_records(tmp_path / "data" / "train.jsonl", utterances, kind=Utterance)
    return Records(tmp_path / "data" / "train.jsonl", Utterance)


def test_the_methods_grades_and_the_recipes_are_written_and_ask_nothing_again(manifest, renderer, tmp_path):
    graded = write(
        tmp_path / "a.jsonl", manifest, renderer, Graded(), lambda utterance, target: {"id": utterance.id}
    )
    assert graded[0].grades == {"id": "train-0", "length": len(graded[0].response)}
    plain = write(tmp_path / "b.jsonl", manifest, renderer, load_method("sift"))
    assert plain[0].grades == {}
    assert '"grades"' not in (tmp_path / "b.jsonl").read_text()  # as an earlier auralign wrote it
    again = write(tmp_path / "c.jsonl", manifest, renderer, load_method("sift"), copied)
    assert [replace(target, grades={}) for target in again] == plain  # the same keys and prompts
    assert {target.grades["copied"] for target in again} == {0.0}


def test_an_answer_without_a_grade_that_the_method_needs_stops_stage_2(manifest, renderer, tmp_path):
    method = load_method("conditional", by="fluency")
    with pytest.raises(
        ValueError, match="needs the grade 'fluency' .* has 'copied': name a function"
    ) as error:
        write(tmp_path / "a.jsonl", manifest, renderer, method, copied)
    assert "train-0" in str(error.value)


def test_a_file_has_the_grades_of_targets_and_of_utterances(tmp_path):
    path = tmp_path / "grades.jsonl"
    path.write_text('{"id": "a", "fluency": 0.5}\n{"key": "k2", "fluency": 0.7, "tone": "dry"}\n')
    assert from_file(UTTERANCE, TARGET, path=path) == {"fluency": 0.5}
    assert from_file(UTTERANCE, replace(TARGET, key="k2"), path=path) == {"fluency": 0.7, "tone": "dry"}
    with pytest.raises(ValueError, match="no grades of the target k of b"):
        from_file(replace(UTTERANCE, id="b"), TARGET, path=path)


@pytest.mark.parametrize(
    "lines, said",
    [
        ('{"fluency": 1}', "grades.jsonl:1: has neither `key` nor `id`"),
        ('{"id": "a"}\n{"id": "a"}', "grades.jsonl:2: a second line for the id 'a'"),
        ('{"id": "a"}\nfluency', "grades.jsonl:2"),
    ],
)
def test_a_broken_file_of_grades_is_named_by_line(lines, said, tmp_path):
    path = tmp_path / "grades.jsonl"
    path.write_text(lines + "\n")
    with pytest.raises(ValueError, match=said):
        from_file(UTTERANCE, TARGET, path=path)


@pytest.mark.parametrize("response, is_copied", [("Three five.", 1.0), ("i heard three five", 0.0)])
def test_a_bare_transcript_is_told_whatever_its_case(response, is_copied):
    assert copied(UTTERANCE, replace(TARGET, response=response)) == {"copied": is_copied}


@pytest.mark.parametrize("found", [3, [1], None, {"x": float("nan")}, {"x": object()}])
def test_grades_are_plain_values_by_name(found):
    with pytest.raises(ValueError, match="grade of the recipe: .* for the target k of a"):
        grade(load_method("sift"), lambda utterance, target: found, UTTERANCE, TARGET)


def test_a_target_is_read_back_with_its_grades(tmp_path):
    target = replace(TARGET, grades={"fluency": 0.5})
    write_records(tmp_path / "t.jsonl", [target], kind=Target)
    (read,) = Records(tmp_path / "t.jsonl", Target)
    assert read == target
    assert Response.of(read).grades == {"fluency": 0.5}
    assert json.loads((tmp_path / "t.jsonl").read_text().splitlines()[1])["grades"] == {"fluency": 0.5}


def test_a_grade_of_null_is_none_and_a_function_that_fails_is_named():
    """An answer without its grade would be taught as one of a kind of its own."""
    with pytest.raises(
        ValueError, match="needs the grade 'length' of each answer; the target k of a has none"
    ):
        grade(Ungraded(), lambda utterance, target: {"length": None}, UTTERANCE, TARGET)
    with pytest.raises(ValueError, match="grade of the recipe failed for the target k of a: KeyError: 'x'"):
        grade(Graded(), lambda utterance, target: {}["x"], UTTERANCE, TARGET)


class Ungraded(Graded):
    """The recipe is to grade its answers."""

    def grade(self, utterance, choice, response):
        return {}
