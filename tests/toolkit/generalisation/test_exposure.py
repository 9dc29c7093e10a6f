"""Which tasks a training held is read from its targets, with a reason that can be checked."""

from collections import Counter

import pytest

from auralign.generalisation import digits, sentences
from auralign.generalisation.exposure import Seen, match, name_seen, read_targets
from auralign.records import Choice, RecordError, Target, Utterance, write_records


def make_target(key, task, instruction, utt_id="a"):
    return Target(
        key, utt_id, Choice(task, instruction), "yes", "stop", "sit", "1", "llm", "0", "0", "0", {}, 1
    )


def test_a_wording_of_the_benchmark_is_found_whatever_its_case_and_punctuation():
    found = match(digits.TASKS, Counter([Seen("x", "Take {speech}, and sort it.")] * 3))
    assert list(found.tasks) == ["sort"]
    assert found.tasks["sort"].reason == "a wording of the benchmark in 3 targets"
    assert found.has_wording("sort", "take {speech} and sort it")
    assert not found.has_wording("sort", "sort {speech}")


def test_the_name_of_a_task_decides_before_key_words():
    found = match(sentences.TASKS, Counter([Seen("asr", "Spell out what the German said: {speech}")]))
    assert list(found.tasks) == ["repeat"]


@pytest.mark.parametrize(
    ("instruction", "task"),
    [
        ("Please transcribe this: {speech}", "repeat"),
        ("Say this in German: {speech}", "in_german"),
        ("Good mood or bad? {speech}", "sentiment"),
        ("{speech}\nGo on from here.", "continue"),
        ("How many words did he use in {speech}", "count_words"),
        ("Shout it in CAPITALS: {speech}", "upper_case"),
        ("Please convert the speech into text. {speech}", "repeat"),
        ("What is being said? {speech}", "repeat"),
        ("Put the spoken words on paper: {speech}", "repeat"),
    ],
)
def test_key_words_find_other_wordings_of_a_task(instruction, task):
    assert list(match(sentences.TASKS, Counter([Seen("", instruction)])).tasks) == [task]


def test_other_instructions_are_counted_and_make_nothing_seen():
    found = match(sentences.TASKS, Counter([Seen("x", "Write a poem about {speech}")] * 2))
    assert not found.tasks
    assert found.others == {"Write a poem about {speech}": 2}
    assert found.is_known and not found.is_seen("repeat")


@pytest.mark.parametrize(
    "instruction",
    [
        "What is the capital of France, as said in {speech}?",
        "Translate from German into English: {speech}",
        "Spell the name {speech}",
    ],
)
def test_another_request_with_a_key_word_makes_nothing_seen(instruction):
    assert not match(sentences.TASKS, Counter([Seen("", instruction)])).tasks


def test_targets_that_were_written_elsewhere_are_read(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text('{"instruction": "Spell: {speech}", "text": "go", "target": "g o"}\n')
    assert list(read_targets(path)) == [Seen("", "Spell: {speech}", "")]


def test_nothing_is_seen_of_targets_without_an_instruction():
    assert not match(sentences.TASKS, Counter([Seen("none", None, "go on and spell it")])).tasks


def test_a_command_in_the_speech_is_a_seen_task_without_a_wording():
    found = match(
        digits.TASKS, Counter([Seen("none", None, "first three five")]), command=digits.spoken_command
    )
    assert found.tasks["first"].reason == "a command in the speech of 1 target"
    assert found.tasks["first"].wordings == ()


@pytest.mark.parametrize(
    ("instruction", "of_sentences", "of_digits"),
    [
        ("Put what follows into Chinese: {speech}", [], []),
        ("Judge the sentiment of what follows: {speech}", ["sentiment"], []),
        ("what follows {speech}?", [], ["continue"]),
        ("{speech} How would you reply to this person?", [], []),
        ("Which person is named: {speech}", ["person"], []),
        ("Carry on from here: {speech}", ["continue"], ["continue"]),
        ("Give me the exact words that follow: {speech}", ["repeat"], []),
        ("First, listen; then answer: {speech}", [], []),
    ],
)
def test_an_instruction_asks_for_no_task_by_words_of_another_meaning(instruction, of_sentences, of_digits):
    found = [
        list(match(tasks, {Seen("", instruction): 1}).tasks) for tasks in (sentences.TASKS, digits.TASKS)
    ]
    assert found == [of_sentences, of_digits]


def test_the_places_of_the_speech_are_those_of_all_instructions():
    asked = Counter(
        [Seen("", "Write a poem about {speech}"), Seen("", "{speech}\nWhat now?"), Seen("", None)]
    )
    assert match(sentences.TASKS, asked).places == {"last", "first"}


def test_targets_are_read_with_the_transcripts_of_bare_speech(tmp_path):
    write_records(
        tmp_path / "train.jsonl",
        [make_target("1", "none", None), make_target("2", "sort", "sort {speech}")],
        kind=Target,
    )
    write_records(
        tmp_path / "manifest.jsonl", [Utterance("a", "a.wav", 1.0, "last three five")], kind=Utterance
    )
    found = list(read_targets(tmp_path / "train.jsonl", tmp_path / "manifest.jsonl"))
    assert found == [Seen("none", None, "last three five"), Seen("sort", "sort {speech}")]


def test_instructions_can_be_a_text_file(tmp_path):
    (tmp_path / "asked.txt").write_text("{speech}\\nSort it.\n\nsay {speech} once more\n")
    found = [seen.instruction for seen in read_targets(tmp_path / "asked.txt")]
    assert found == ["{speech}\nSort it.", "say {speech} once more"]


def test_a_line_without_the_slot_is_an_error_with_its_place(tmp_path):
    (tmp_path / "asked.txt").write_text("say {speech}\nsort it\n")
    with pytest.raises(
        ValueError, match=r"asked.txt:2: the instruction 'sort it' has 0 slots; mark the place"
    ):
        list(read_targets(tmp_path / "asked.txt"))


def test_records_of_another_kind_are_refused(tmp_path):
    write_records(tmp_path / "m.jsonl", [Utterance("a", "a.wav", 1.0, "x")], kind=Utterance)
    with pytest.raises(RecordError, match="holds Utterance records; Target records are needed"):
        list(read_targets(tmp_path / "m.jsonl"))


def test_tasks_can_be_named_as_seen():
    found = name_seen(digits.TASKS, match(digits.TASKS, {}), ["sort"])
    assert found.tasks["sort"].reason == "named by --seen"
    assert found.is_known and not found.is_seen("reverse")
