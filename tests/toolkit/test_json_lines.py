"""A line of JSON is read strictly: nothing is taken for what it is not, and each error names key, value and repair."""

import json

import pytest

from auralign.json_lines import RecordError, parse_object, seal, unseal
from auralign.records import Target, Utterance, from_line, to_line

UTTERANCE = {"id": "a", "audio": "a.flac", "seconds": 1.5, "text": "x"}
TARGET = {
    "key": "k",
    "utt_id": "u",
    "choice": {"task": "repeat"},
    "response": "r",
    "finish_reason": "stop",
    "method": "m",
    "method_version": "1",
    "llm": "l",
    "llm_revision": "r",
    "frame_hash": "f",
    "prompt_hash": "p",
    "decoding": {},
    "seed": 1,
}


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (b'"id": "b"', "the key 'id' is there twice"),
        (b'"labels": {"a": 1, "a": 2}', "the key 'a' is there twice"),
        (b'"start": NaN', "the value NaN is no number"),
        (b'"start": -Infinity', "the value -Infinity is no number"),
        (b'"labels": {"a": [1e999]}', "the value 1e999 is larger than any number"),
        (b'"start": 1' + b"0" * 400, "start is 1000"),
        (b'"labels": {"a": 1' + b"0" * 9999 + b"}", "Exceeds the limit"),
        (b'"speaker": "\\ud800"', "half of a surrogate pair"),
        (b'"speaker": "caf\xe9"', "not UTF-8"),
        (b'"labels": ' + b"[" * 100_000, "nested too deeply"),
    ],
)
def test_what_json_leaves_to_chance_is_refused(more, says):
    line = json.dumps(UTTERANCE).encode()[:-1] + b", " + more + b"}"
    with pytest.raises(
        RecordError, match=rf"^m.jsonl:3: .*{says}.*; correct the line, or write the file again"
    ):
        from_line(line, Utterance, position="m.jsonl:3")


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("seconds", "1.5", 'seconds is "1.5", which is text; expected a number'),
        ("seconds", True, "seconds is true, which is a truth value; expected a number"),
        ("seconds", None, "seconds is null; expected a number"),
        ("text", 3, "text is 3, which is a whole number; expected text"),
        ("attributes", [1], r"attributes is \[1\], which is a list; expected an object"),
        ("labels", None, "labels is null; expected an object"),
        ("words", {}, "words is {}, which is an object; expected a list"),
        ("words", [["a", 0, 1], ["b", "0", 1]], r'words\[1\] is \["b", "0", 1\]'),
        ("words", [["a", 0]], r'words\[0\] is \["a", 0\]'),
    ],
)
def test_a_field_of_another_type_is_refused(key, value, says):
    with pytest.raises(RecordError, match=f"^m.jsonl:3: {says}"):
        from_line(json.dumps({**UTTERANCE, key: value}), Utterance, position="m.jsonl:3")


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("seed", True, "seed is true"),
        ("seed", 1.0, "seed is 1.0, which is a number; expected a whole number"),
        ("response_ids", [1, "2"], r'response_ids\[1\] is "2", which is text; expected a whole number'),
        ("response_ids", [1, True], r"response_ids\[1\] is true"),
        ("choice", "repeat", 'choice is "repeat"'),
        ("choice", {"task": 1}, "choice.task is 1, which is a whole number; expected text"),
        ("choice", {"tsk": "x"}, "choice has the unknown field tsk"),
        ("finish_reason", "ended", "finish_reason is .ended.; expected one of stop, length, given, none"),
    ],
)
def test_a_target_of_other_types_is_refused(key, value, says):
    with pytest.raises(RecordError, match=f"^t.jsonl:3: {says}"):
        from_line(json.dumps({**TARGET, key: value}), Target, position="t.jsonl:3")


def test_whole_seconds_and_an_absent_field_are_fine():
    values = {**UTTERANCE, "seconds": 2, "words": [["a", 0, 1.5]]}
    found = from_line(json.dumps(values), Utterance, position="")
    assert (found.seconds, found.words) == (2, (("a", 0, 1.5),))
    assert from_line(json.dumps({**TARGET, "response_ids": None}), Target, position="").response_ids is None


def test_a_number_that_is_not_finite_is_not_written():
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_line(Utterance(**{**UTTERANCE, "labels": {"age": float("nan")}}))


def test_each_flipped_bit_of_a_sealed_line_is_found():
    line = seal('{"id": "ä", "n": [1, 2]}\n')
    assert parse_object(line, position="")["n"] == [1, 2]
    assert unseal(line) == '{"id": "ä", "n": [1, 2]}'.encode()
    for place in range(8 * len(line)):
        damaged = bytearray(line)
        damaged[place // 8] ^= 1 << place % 8
        # Without its checksum a line comes back as it is: whoever knows that all lines have one refuses it.
        assert unseal(bytes(damaged)) in (None, bytes(damaged))
