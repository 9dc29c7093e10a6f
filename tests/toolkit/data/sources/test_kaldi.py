"""Kaldi data folders are read with and without segments; what is broken in one is named."""

import math

import pytest

from auralign.data.sources import read_source
from auralign.records import RecordError
from source_forms import write


def kaldi(folder, **files):
    content = {
        "wav.scp": "r1 a.wav\nr2 b c.wav\n",
        "text": "u1 THREE  FIVE\nu2 NINE\n",
        "segments": "u1 r1 0.10 0.40\nu2 r2 0.00 0.50\n",
        "utt2spk": "u1 s1\nu2 s2\n",
    }
    for name, text in (content | {name.replace("_", "."): text for name, text in files.items()}).items():
        if text is not None:
            write(folder / name, text)
    return folder


def test_a_kaldi_folder_with_segments(tmp_path):
    first, second = read_source(kaldi(tmp_path))
    assert (first.id, first.audio, first.text, first.speaker) == ("u1", "a.wav", "THREE  FIVE", "s1")
    assert (first.start, first.seconds) == (0.1, pytest.approx(0.3))
    assert second.audio == "b c.wav"


def test_a_kaldi_folder_without_segments(tmp_path):
    folder = kaldi(tmp_path, wav_scp="u1 a.wav\nu2 b.wav\n", segments=None, utt2spk=None)
    assert [(u.id, u.audio, u.seconds) for u in read_source(folder)] == [
        ("u1", "a.wav", math.inf),
        ("u2", "b.wav", math.inf),
    ]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"wav_scp": "r1 sph2pipe a.sph |\nr2 b.wav\n"}, r"wav.scp:1: the audio of r1 comes from a command"),
        ({"text": "u1 A\n", "segments": "u1 r1 0.1\n"}, r"segments:1: expected: u1 RECORDING START END"),
        (
            {"text": "u1 A\n", "segments": "u1 r1 a b\n"},
            r"segments:1: start and end must be seconds; found 'r1 a b'",
        ),
        ({"text": "u1 A\n", "segments": "u1 r9 0 1\n"}, r"segments:1: expected"),
        ({"segments": "u1 r1 0 1\n"}, r"text:2: u2 has text but no audio"),
        ({"text": "u1 A\nu1 B\n"}, r"text:2: the id 'u1' is used twice"),
        ({"text": None}, r"no .*text; a Kaldi data folder needs it"),
    ],
)
def test_a_broken_kaldi_folder_is_named(tmp_path, files, message):
    with pytest.raises((RecordError, FileNotFoundError), match=message):
        list(read_source(kaldi(tmp_path, **files)))


def test_kaldi_files_may_have_tabs(tmp_path):
    folder = kaldi(tmp_path, wav_scp="u1\ta.wav\n", text="u1\tTHREE FIVE\n", segments=None, utt2spk="u1\ts\n")
    assert [(u.audio, u.text, u.speaker) for u in read_source(folder)] == [("a.wav", "THREE FIVE", "s")]


@pytest.mark.parametrize("name", ["text", "wav_scp", "segments", "utt2spk", "utt2lang"])
def test_each_file_of_a_kaldi_folder_that_may_be_cut_is_reported(tmp_path, name):
    whole = {"text": "u1 ONE\n", "wav_scp": "r1 a.wav\n", "segments": "u1 r1 0 1\n"}
    whole |= {"utt2spk": "u1 s\n", "utt2lang": "u1 en\n"}
    *_, note = read_source(kaldi(tmp_path, **{**whole, name: whole[name].rstrip()}))
    assert (
        note.text
        == f"from the last line of {name.replace('_', '.')}, which has no newline (was the file cut?)"
    )


def test_the_channel_of_a_kaldi_segment_is_told(tmp_path):
    *found, note = read_source(kaldi(tmp_path, segments="u1 r1 0.1 0.4 1\nu2 r2 0.0 0.5 A\n"))
    assert [u.id for u in found] == ["u1", "u2"]
    assert note.count == 2
