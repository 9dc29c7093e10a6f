"""Cuts of recordings of tones and pauses whose times are known."""

import numpy as np
import pytest
import soundfile

from auralign.builders import Chunk, build
from auralign.builders.builder import account_path
from auralign.builders.chunk import join, split
from auralign.data.rejected import rejected_path
from auralign.files import read_json
from auralign.records import Records, Utterance, write_records

RATE = 16_000


def recording(*seconds):
    """Noise of alternate lengths, loud and soft in turn, the first loud."""
    rng = np.random.default_rng(0)
    parts = [
        rng.uniform(-0.5, 0.5, round(RATE * length)) * (1 if number % 2 == 0 else 0.001)
        for number, length in enumerate(seconds)
    ]
    return np.concatenate(parts).astype(np.float32)


def test_pieces_begin_and_end_in_the_pauses():
    pieces, num_forced = Chunk(max_seconds=2.0).find(recording(1.0, 0.5, 1.0, 0.1, 0.5, 1.0, 1.0))
    # The pause of 0.1 s is too short to cut; each piece keeps 0.1 s of the pauses beside it.
    assert pieces == [(0.0, 1.1), (1.4, 3.2), (4.0, 5.1)]
    assert num_forced == 0


def test_short_stretches_are_joined_up_to_the_longest_piece():
    pieces, _ = Chunk(max_seconds=10.0).find(recording(1.0, 0.5, 1.0, 1.0, 1.0))
    assert pieces == [(0.0, 4.5)]


def test_speech_without_a_pause_is_cut_and_noted():
    pieces, num_forced = Chunk(max_seconds=2.0, margin=0.0).find(recording(5.0))
    assert num_forced == 2 or num_forced == 3
    assert pieces[0][0] == 0.0
    assert pieces[-1][1] == 5.0
    assert all(end - start <= 2.0 for start, end in pieces)
    assert [start for start, _ in pieces[1:]] == [end for _, end in pieces[:-1]]


def test_a_click_is_no_speech_and_a_silent_recording_has_none():
    assert Chunk().find(recording(0.0, 1.0, 0.04, 1.0, 1.0))[0] == [(1.94, 3.04)]
    assert Chunk().find(np.zeros(RATE, np.float32))[0] == []


def test_a_span_is_cut_at_its_softest_frame():
    levels = np.array([9, 9, 9, 9, 9, 9, 1, 9, 9, 9.0])
    assert split(levels, (0, 10), 8) == [(0, 6), (6, 10)]
    assert split(levels, (0, 10), 10) == [(0, 10)]
    assert join([(0, 2), (3, 5), (6, 9)], 5) == [(0, 5), (6, 9)]


@pytest.fixture
def manifest(tmp_path):
    soundfile.write(tmp_path / "talk.wav", recording(2.0, 0.5, 2.0, 4.0, 0.0), RATE)
    words = (("one", 0.2, 0.8), ("two", 2.6, 3.0), ("soft", 5.0, 5.1))
    timed = Utterance(
        "talk", "talk.wav", 7.5, "one two soft", start=1.0, speaker="ann", words=words, labels={"year": 2010}
    )
    rows = [timed, Utterance("untimed", "talk.wav", 8.5, "one two")]
    write_records(tmp_path / "in.jsonl", rows, kind=Utterance)
    return tmp_path / "in.jsonl"


def test_pieces_have_their_words_their_times_and_what_is_known_of_the_recording(tmp_path, manifest):
    output = tmp_path / "out.jsonl"
    build(Chunk(max_seconds=2.5, margin=0.1), manifest, output, max_rejected=0.5)
    # The row begins at 1 s of the file; of it, 0 to 1 s and 1.5 to 3.5 s are loud, and a word at 5 s is soft.
    assert [(row.id, row.start, row.seconds, row.text, row.words) for row in Records(output, Utterance)] == [
        ("talk-0001", 1.0, 1.1, "one", (("one", 0.2, 0.8),)),
        ("talk-0002", 2.4, 2.2, "two", (("two", 1.2, 1.6),)),
        ("talk-0003", 5.9, 0.3, "soft", (("soft", 0.1, 0.2),)),
    ]
    last = Records(output, Utterance)[2]
    assert (last.speaker, last.labels) == ("ann", {"year": 2010, "recording": "talk"})
    assert '"id": "untimed", "reason": "no word times"' in rejected_path(output).read_text()
    assert read_json(account_path(output))["notes"] == {"seconds of silence left out": 4}


def test_a_recogniser_writes_the_text_of_pieces(tmp_path, manifest, monkeypatch):
    monkeypatch.setattr(
        "auralign.builders.chunk.open_listener", lambda *_: lambda part: f" {len(part)} samples"
    )
    monkeypatch.setattr("auralign.builders.chunk.describe_listener", lambda folder: folder)
    build(Chunk(recognizer="some"), manifest, tmp_path / "out.jsonl")
    (row,) = (row for row in Records(tmp_path / "out.jsonl", Utterance) if row.id == "untimed-0001")
    assert row.text == f"{round(row.seconds * RATE)} samples"
    assert row.words is None
