"""The set is the same for every model and every manifest of one corpus; what a run has seen only sorts its questions."""

import random
from collections import Counter
from pathlib import Path

import pytest

from auralign.generalisation import digits
from auralign.generalisation.exposure import UNKNOWN, Seen, match
from auralign.generalisation.questions import DIGITS, SENTENCES, choose, group_of, make_questions, relocate
from auralign.records import Utterance

SENTENCE = "the {} came and went away at night"
PLACE = Path("m.jsonl")
NAMES = ("cat", "dog", "king", "queen", "boat", "wind", "maid", "bird")


@pytest.fixture
def spoken():
    return [
        Utterance(
            f"{speaker}-{name}", f"{name}.wav", 2.0, SENTENCE.format(name).upper(), speaker=f"s{speaker}"
        )
        for speaker in range(3)
        for name in NAMES
    ]


def test_two_utterances_of_each_speaker_are_asked_about_in_lower_case(spoken):
    part = choose(spoken, PLACE)
    assert part.name == SENTENCES
    assert [one.speaker for one in part.utterances] == ["s0", "s0", "s1", "s1", "s2", "s2"]
    assert all(one.text.islower() for one in part.utterances)


def test_the_order_of_the_manifest_does_not_matter(spoken):
    first = choose(spoken, PLACE)
    random.Random(1).shuffle(spoken)
    second = choose(spoken, PLACE)
    assert first.utterances == second.utterances
    assert first.fingerprint == second.fingerprint


def test_another_text_is_another_set(spoken):
    first = choose(spoken[:8], PLACE)
    changed = [Utterance(one.id, one.audio, 2.5, one.text, speaker=one.speaker) for one in spoken[:8]]
    assert choose(changed, PLACE).fingerprint != first.fingerprint


def test_only_test_clean_is_asked_about_if_subsets_are_labelled(spoken):
    marked = [
        Utterance(
            one.id, one.audio, one.seconds, one.text, speaker=one.speaker,
            labels={"subset": "test-clean" if one.speaker == "s1" else "test-other"},
        )
        for one in spoken
    ]  # fmt: skip
    assert {one.speaker for one in choose(marked, PLACE).utterances} == {"s1"}


def test_a_part_of_the_corpus_is_not_called_the_benchmark(spoken):
    note = choose(spoken, PLACE).note
    assert "24 utterances were found, and LibriSpeech test-clean has 2,620" in note
    assert "a trial with 4 utterances" in choose(spoken, PLACE, 4).note


def test_digits_are_known_by_their_words_and_spoken_commands_are_left_out():
    texts = ["three one two", "first three one two", "nine four seven", "one two three"]
    part = choose([Utterance(text, "a.wav", 1.0, text) for text in texts], PLACE)
    assert part.name == DIGITS
    assert [one.text for one in part.utterances] == ["nine four seven", "three one two"]
    assert part.note == ""


def test_a_manifest_with_nothing_to_ask_about_is_an_error():
    spoken = [Utterance("a", "a.wav", 1.0, "yes"), Utterance("b", "b.wav", 1.0, "no")]
    with pytest.raises(
        ValueError, match="m.jsonl: 0 utterances that the benchmark can ask about.* sentences of 4 to 40"
    ):
        choose(spoken, PLACE)


def test_the_audio_is_found_from_another_folder(tmp_path):
    (tmp_path / "a").mkdir()
    utterances = [Utterance("x", "../sound/x.wav", 1.0, "a")]
    (moved,) = relocate(utterances, tmp_path / "a", tmp_path / "b" / "c")
    assert moved.audio == "../../sound/x.wav"


@pytest.fixture
def part():
    texts = ["three one two", "nine four seven"]
    return choose([Utterance(text, "a.wav", 1.0, text) for text in texts], PLACE)


def test_every_task_is_asked_about_every_utterance_in_every_wording(part):
    asked = list(make_questions(part, UNKNOWN))
    assert len(asked) == len({one.key for one in asked}) == 12 * 5 * 2
    assert {one.group for one in asked} == {"all tasks"}


def test_groups_are_by_task_and_wording(part):
    exposure = match(part.tasks, Counter([Seen("", "sort {speech}")]))
    asked = list(make_questions(part, exposure))
    groups = {(one.task, one.instruction): one.group for one in asked}
    assert groups["sort", "sort {speech}"] == "seen tasks"
    assert groups["sort", "{speech} ascending please"] == "unseen phrasings"
    assert groups["reverse", "reverse {speech}"] == "unseen tasks"
    assert len(asked) == 120


def test_a_run_with_other_wordings_is_asked_in_its_own_too(part):
    wordings = [
        "put {speech} in order, please",
        "sort these: {speech}",
        "sort all of {speech}",
        "sort, now {speech}",
    ]
    exposure = match(
        part.tasks, Counter([Seen("", one) for one in wordings for _ in range(5 - len(one) % 3)])
    )
    own = {one.instruction for one in make_questions(part, exposure) if one.group == "seen tasks"}
    assert own < set(wordings) and len(own) == 3
    assert len(list(make_questions(part, exposure))) == 120 + 3 * 2


def test_a_seen_task_without_wordings_has_unseen_wordings_alone(part):
    exposure = match(part.tasks, Counter([Seen("", None, "sort one")]), command=digits.spoken_command)
    assert {group_of(part.tasks["sort"], one, exposure) for one in part.tasks["sort"].phrasings} == {
        "unseen phrasings"
    }
