"""The digits corpus, synthetic and joined from recordings: tiny ones, made anew."""

import itertools
import json
import random

import numpy
import pytest
import soundfile

import make_corpus
import recordings
import world
from auralign.builders import espeak

COUNTS = ["--num-train", "6", "--num-valid", "3", "--num-test", "4"]


def run(folder, *arguments):
    return make_corpus.make_corpus(make_corpus.parse_options(["--output", str(folder), *COUNTS, *arguments]))


def read_files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*.flac"))} | {
        "labels": (folder / "labels.jsonl").read_bytes()
    }


def read_labels(folder):
    return [json.loads(line) for line in (folder / "labels.jsonl").read_text().splitlines()]


@pytest.fixture
def takes(tmp_path):
    """Three speakers, three takes of each digit: in the folder of one speaker, in recordings/, and at the
    top.
    """
    rng = numpy.random.default_rng(0)
    for speaker, place, extension in (
        ("ann", "ann", "flac"),
        ("bob", "recordings", "wav"),
        ("cleo", ".", "wav"),
    ):
        (tmp_path / "takes" / place).mkdir(parents=True, exist_ok=True)
        for digit in range(10):
            for take in range(3):
                samples = 0.1 * rng.standard_normal(1600 + 80 * digit)
                soundfile.write(
                    tmp_path / "takes" / place / f"{digit}_{speaker}_{take}.{extension}", samples, 8000
                )
    (tmp_path / "takes" / "notes.wav").write_text("not a take")
    return tmp_path / "takes"


def test_an_utterance_does_not_depend_on_what_was_spoken_before():
    voices = sorted(set(make_corpus.voices(make_corpus.TRAIN_VARIANTS + make_corpus.TEST_VARIANTS)))
    how = {"words_per_minute": 150, "pitch": 45}
    first = {voice: espeak.say("three five nine", voice=voice, **how)[0] for voice in voices}
    for voice in reversed(voices):
        espeak.say("reverse zero one two", voice=voice, words_per_minute=180, pitch=60)
        assert numpy.array_equal(espeak.say("three five nine", voice=voice, **how)[0], first[voice]), voice
    assert len({samples.tobytes() for samples in first.values()}) == len(voices)


def test_words_begin_where_the_voice_begins_them():
    samples, starts = espeak.say("three five nine", voice="en-us+m3", words_per_minute=120, pitch=50)
    alone, _ = espeak.say("three", voice="en-us+m3", words_per_minute=120, pitch=50)
    assert starts[0] == 0.0
    assert len(starts) == 3
    assert starts == sorted(starts)
    assert 0.2 < starts[1] <= len(alone) / espeak.SAMPLE_RATE
    assert starts[2] < len(samples) / espeak.SAMPLE_RATE


def test_labels_tell_word_times_and_manner(tmp_path):
    run(tmp_path / "a")
    for line in read_labels(tmp_path / "a"):
        assert [word for word, _, _ in line["words"]] == line["text"].split()
        assert line["words"][0][1] == 0.0
        assert line["words"][-1][2] == line["seconds"]
        assert all(before[2] == after[1] for before, after in itertools.pairwise(line["words"]))
        assert set(line["attributes"]) == {"speed", "pitch"}


def test_an_unknown_voice_is_refused():
    for voice in ("en-us+nobody", "xx-nowhere"):
        with pytest.raises(espeak.SpeechSynthesisError, match=voice.split("+")[-1]):
            espeak.say("one", voice=voice, words_per_minute=150, pitch=50)


def test_same_seed_makes_the_same_synthetic_files(tmp_path):
    assert run(tmp_path / "a") == run(tmp_path / "b") == 13
    assert read_files(tmp_path / "a") == read_files(tmp_path / "b")
    run(tmp_path / "c", "--seed", "2")
    assert read_files(tmp_path / "a") != read_files(tmp_path / "c")


def test_an_interrupted_run_is_finished_with_the_same_files(tmp_path):
    run(tmp_path)
    whole = read_files(tmp_path)
    (tmp_path / "labels.jsonl").unlink()
    audio = sorted(tmp_path.rglob("*.flac"))
    audio[2].unlink()
    audio[7].rename(audio[7].with_name(audio[7].name + ".tmp"))
    assert run(tmp_path) == 2
    assert read_files(tmp_path) == whole


def test_other_settings_keep_nothing_of_the_old_corpus(tmp_path):
    run(tmp_path)
    run(tmp_path, "--seed", "2")
    assert run(tmp_path, "--seed", "1") == 13


def test_labels_say_what_the_audio_holds(tmp_path):
    run(tmp_path)
    labels = read_labels(tmp_path)
    assert [label["split"] for label in labels] == ["train"] * 6 + ["valid"] * 3 + ["test"] * 4
    assert labels[0]["id"] == "synthetic-train-m1en-0001"
    for label in labels:
        audio = soundfile.info(tmp_path / label["audio"])
        assert (audio.samplerate, audio.channels, audio.subtype) == (16_000, 1, "PCM_16")
        assert label["seconds"] == audio.frames / 16_000
        words = label["text"].split()
        assert words[-len(label["digits"]) :] == label["digits"] and 2 <= len(label["digits"]) <= 7
        assert label["task"] == (
            world.TASK_OF_COMMAND[words[0]] if len(words) > len(label["digits"]) else None
        )


def test_no_variant_of_a_test_voice_speaks_in_training():
    train, test = (
        make_corpus.voices(make_corpus.TRAIN_VARIANTS),
        make_corpus.voices(make_corpus.TEST_VARIANTS),
    )
    assert len(set(train)) == 116 and len(set(test)) == 12
    assert not {voice.split("+")[1] for voice in train} & {voice.split("+")[1] for voice in test}


def test_planned_speech_keeps_strings_and_unheard_commands_apart():
    plans = {
        split: make_corpus.plan_utterances("synthetic", split, 1000, ["en+m1"], 1)
        for split in ("train", "valid", "test")
    }
    strings = {
        split: {tuple(world.split_content(plan.content)[1]) for plan in plans[split]} for split in plans
    }
    assert not strings["train"] & (strings["valid"] | strings["test"])
    commands = [world.split_content(plan.content)[0] for plan in plans["train"]]
    assert set(commands) == {None, *world.HEARD_COMMANDS}
    assert 0.25 < sum(command is not None for command in commands) / 1000 < 0.35


def test_takes_are_found_in_all_three_layouts(takes):
    found = recordings.find_takes(takes)
    assert len(found) == 90
    assert {take.speaker for take in found} == {"ann", "bob", "cleo"}
    assert found[0].digit == "eight"
    assert found[0].path.name == "8_ann_0.flac"


def test_each_take_is_used_on_one_side_only(takes):
    found = recordings.find_takes(takes)
    sides = recordings.split_takes(found, ["cleo"], random.Random(0))
    paths = {
        side: [take.path for digits in speakers.values() for group in digits.values() for take in group]
        for side, speakers in sides.items()
    }
    assert {side: len(group) for side, group in paths.items()} == {"train": 40, "valid": 20, "test": 30}
    assert len(set(sum(paths.values(), []))) == 90
    assert set(sides["train"]) == set(sides["valid"]) == {"ann", "bob"}


def test_last_quarter_of_the_speakers_is_held_out(takes):
    found = recordings.find_takes(takes)
    assert recordings.choose_test_speakers(found) == ["cleo"]
    assert recordings.choose_test_speakers(found, ["bob", "ann"]) == ["ann", "bob"]
    with pytest.raises(ValueError, match="no speaker 'dora' among the recordings; there are ann, bob, cleo"):
        recordings.choose_test_speakers(found, ["dora"])
    with pytest.raises(ValueError, match="leaves no speaker to train on"):
        recordings.choose_test_speakers(found, ["ann", "bob", "cleo"])


def test_recorded_corpus_holds_out_speakers_and_is_the_same_each_time(takes, tmp_path):
    for name in ("a", "b"):
        assert run(tmp_path / name, "--speech", "recorded", "--corpus", str(takes)) == 13
    assert read_files(tmp_path / "a") == read_files(tmp_path / "b")
    labels = read_labels(tmp_path / "a")
    assert {label["speaker"] for label in labels if label["split"] == "test"} == {"cleo"}
    assert {label["speaker"] for label in labels if label["split"] != "test"} == {"ann", "bob"}
    assert {label["task"] for label in labels} == {None}
    assert labels[0]["id"] == "recorded-train-ann-0001"


def test_joined_takes_last_as_long_as_their_parts_and_pauses():
    ones = numpy.ones(8000, dtype=numpy.float32)
    joined, starts = recordings.join_takes([ones, ones], numpy.random.default_rng(0))
    assert 16_000 + 3 * 800 <= len(joined) <= 16_000 + 3 * 6400
    assert 0.25 <= numpy.abs(joined).max() <= 1.0
    assert [numpy.abs(joined[round(start * 16_000) :][:8000]).min() > 0.1 for start in starts] == [True, True]


def test_recordings_that_cannot_be_used_are_refused(takes, tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder of recordings at"):
        recordings.find_takes(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no recording named <digit>_<speaker>_<take>"):
        recordings.find_takes(tmp_path / "empty")
    for take in range(3):
        (takes / "ann" / f"7_ann_{take}.flac").unlink()
    with pytest.raises(ValueError, match="no 'seven' by speaker ann"):
        recordings.find_takes(takes)
    with pytest.raises(ValueError, match="one speaker only, ann"):
        recordings.find_takes(takes / "ann")


def test_a_broken_recording_is_named(takes):
    with pytest.raises(ValueError, match="notes.wav"):
        recordings.read_take(takes / "notes.wav")
