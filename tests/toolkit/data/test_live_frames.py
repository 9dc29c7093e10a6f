"""Threads that read audio ahead: the same frames in the same order, errors that name the utterance, and nothing left behind."""

import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import soundfile
import torch

from auralign.data.live_frames import CLIPS_AHEAD, LiveFrames
from auralign.models.encoders import load_whisper
from auralign.records import Records, Utterance, write_records

STEPS = [[[5, 0], [2]], [[1, 4], [3, 1]], [[0, 5, 2]]]


@pytest.fixture
def manifest(tmp_path):
    """Six utterances of 0.3 to 0.8 s."""
    random, utterances = np.random.default_rng(0), []
    for number in range(6):
        seconds = 0.3 + 0.1 * number
        soundfile.write(
            tmp_path / f"{number}.wav", random.uniform(-0.3, 0.3, round(16_000 * seconds)), 16_000
        )
        utterances.append(Utterance(id=f"u{number}", audio=f"{number}.wav", seconds=seconds, text="x"))
    write_records(tmp_path / "m.jsonl", utterances, kind=Utterance)
    return Records(tmp_path / "m.jsonl", Utterance)


def readers():
    return [thread for thread in threading.enumerate() if thread.name.startswith("auralign-read")]


@pytest.mark.parametrize("options", [{}, {"padding": "30_seconds"}])
@pytest.mark.parametrize("num_workers", [1, 4])
def test_frames_are_those_without_threads_bit_by_bit(whisper_folder, manifest, options, num_workers):
    encoder = load_whisper(whisper_folder, **options)
    alone = list(LiveFrames(encoder, manifest).stream(STEPS))
    ahead = list(LiveFrames(encoder, manifest, num_workers=num_workers).stream(STEPS))
    for before, now in zip(alone, ahead, strict=True):
        for (frames, lengths), (others, their_lengths) in zip(before, now, strict=True):
            assert torch.equal(frames, others)
            assert torch.equal(lengths, their_lengths)
    assert readers() == []


def test_long_audio_is_prepared_in_its_chunks(whisper_folder):
    encoder = load_whisper(whisper_folder, chunk_seconds=1)
    waveforms = [np.random.default_rng(1).normal(0, 0.1, size).astype(np.float32) for size in (36_000, 9_000)]
    frames, lengths = encoder([encoder.prepare(waveform) for waveform in waveforms])
    expected, their_lengths = encoder(waveforms)
    assert torch.equal(frames, expected)
    assert torch.equal(lengths, their_lengths)


def test_what_is_computed_of_a_prepared_waveform_has_no_features_of_the_old_one(whisper_folder):
    encoder = load_whisper(whisper_folder)
    waveform = np.random.default_rng(1).normal(0, 0.1, 8_000).astype(np.float32)
    prepared = encoder.prepare(waveform)
    assert torch.equal(encoder([prepared * 0.1])[0], encoder([waveform * np.float32(0.1)])[0])
    with pytest.raises(ValueError, match="read-only"):
        prepared *= 0.1


def test_features_of_one_encoder_are_not_those_of_another(whisper_folder):
    one, other = load_whisper(whisper_folder), load_whisper(whisper_folder, padding="30_seconds")
    waveform = np.random.default_rng(1).normal(0, 0.1, 8_000).astype(np.float32)
    assert torch.equal(other([one.prepare(waveform)])[0], other([waveform])[0])


class Short(torch.nn.Module):
    """An encoder without `prepare`, of one frame a second."""

    def forward(self, waveforms):
        lengths = torch.tensor([len(waveform) for waveform in waveforms])
        return torch.zeros(len(waveforms), int(lengths.max()), 1), lengths


@pytest.mark.parametrize("num_workers", [0, 2])
def test_the_error_names_the_file_that_cannot_be_read(manifest, num_workers):
    (manifest.path.parent / "4.wav").write_bytes(b"no audio")
    given = []
    with pytest.raises(ValueError, match=r"m\.jsonl: .*4\.wav: .*--verify_audio true"):
        for step in LiveFrames(Short(), manifest, num_workers=num_workers).stream(STEPS):
            given.append(step)
    assert len(given) == 1
    assert readers() == []


@pytest.mark.parametrize("num_workers", [0, 2])
def test_the_error_of_an_encoder_names_the_batch(whisper_folder, tmp_path, num_workers):
    soundfile.write(tmp_path / "a.wav", np.zeros(16_000 * 31), 16_000)
    write_records(
        tmp_path / "m.jsonl", [Utterance(id="long", audio="a.wav", seconds=31, text="x")], kind=Utterance
    )
    frames = LiveFrames(
        load_whisper(whisper_folder), Records(tmp_path / "m.jsonl", Utterance), num_workers=num_workers
    )
    with pytest.raises(ValueError, match=r"m\.jsonl: .*lasts 31\.00 s.*\(the batch is long\)"):
        list(frames.stream([[[0]]]))


def test_no_more_than_a_bounded_number_of_clips_is_read_ahead(manifest, monkeypatch):
    frames, heard = LiveFrames(Short(), manifest, num_workers=2), []
    hear = frames._hear
    monkeypatch.setattr(frames, "_hear", lambda utterance: heard.append(utterance.id) or hear(utterance))
    stream = frames.stream([[[number % 6]] for number in range(1_000)])
    next(stream)
    time.sleep(0.2)
    assert len(heard) <= CLIPS_AHEAD * 2 + 1
    stream.close()
    assert readers() == []


def test_a_clip_that_is_asked_for_twice_is_read_once_if_it_is_still_there(manifest, monkeypatch):
    frames, heard = LiveFrames(Short(), manifest, num_workers=1), []
    hear = frames._hear
    monkeypatch.setattr(frames, "_hear", lambda utterance: heard.append(utterance.id) or hear(utterance))
    with frames.reading([1, 1, 2]):
        frames.get([1])
        frames.get([1])
        frames.get([2])
        frames.get([3])  # which was not announced
    assert heard == ["u1", "u2", "u3"]


SLOW = r"""
import os, signal, sys, time
from auralign.data import live_frames
from auralign.records import Records, Utterance

def hear(*_, **__):
    os.write(1, b"reading\n")  # in one piece: two threads write
    time.sleep(3)

signal.signal(signal.SIGINT, signal.default_int_handler)  # also if the tests run in the background of a shell
live_frames.hear = hear
frames = live_frames.LiveFrames(None, Records(sys.argv[1], Utterance), num_workers=1)
with frames.reading([0, 1, 2, 3, 4, 5] * 20):
    os.write(1, b"waiting\n")  # a signal within Thread.start() would leave a thread that nobody ends
    sys.stdin.read()
"""


def test_ctrl_c_does_not_wait_for_what_would_be_read_ahead(manifest):
    command = [sys.executable, "-c", SLOW, str(manifest.path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as run:
        assert {run.stdout.readline() for _ in range(2)} == {b"reading\n", b"waiting\n"}
        run.send_signal(signal.SIGINT)
        run.communicate(timeout=100)
        assert run.returncode != 0


def test_clips_that_do_not_fit_into_memory_together_are_encoded_in_halves(whisper_folder, manifest, capsys):
    class Small(torch.nn.Module):
        sample_rate = 16_000

        def __init__(self):
            super().__init__()
            self.inner, self.sizes = load_whisper(whisper_folder), []

        def forward(self, waveforms):
            self.sizes.append(len(waveforms))
            if len(waveforms) > 2:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
            return self.inner(waveforms)

    encoder = Small()
    frames, lengths = LiveFrames(encoder, manifest).get([0, 5, 2, 1, 4])
    expected, their_lengths = LiveFrames(encoder.inner, manifest).get([0, 5, 2, 1, 4])
    assert encoder.sizes == [5, 2, 3, 1, 2]
    assert torch.equal(lengths, their_lengths)
    for one, other, length in zip(frames, expected, lengths.tolist(), strict=True):
        torch.testing.assert_close(one[:length], other[:length])
    assert capsys.readouterr().err.count("do not fit into memory together") == 1
