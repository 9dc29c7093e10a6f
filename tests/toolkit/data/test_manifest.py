"""What is rejected is listed with its reason, and too much of it stops the stage."""

import json

import numpy as np
import pytest
import soundfile

from auralign.data.manifest import TooManyRejectedError, write_manifest
from auralign.records import Records, Utterance


def corpus(folder, num_good, num_bad):
    folder.mkdir()
    found = []
    for number in range(num_good + num_bad):
        if number < num_good:
            soundfile.write(folder / f"{number}.wav", np.zeros(1600), 16_000)
        found.append(Utterance(id=f"u{number}", audio=f"{number}.wav", seconds=0.1, text="x"))
    return found


def test_unreadable_audio_is_listed_and_left_out(tmp_path):
    utterances = corpus(tmp_path / "corpus", 3, 1)
    assert (
        write_manifest(tmp_path / "data" / "m.jsonl", utterances, audio_folder=tmp_path / "corpus", limit=0.5)
        == 3
    )
    assert [u.id for u in Records(tmp_path / "data" / "m.jsonl", Utterance)] == ["u0", "u1", "u2"]
    rejected = json.loads((tmp_path / "data" / "m.rejected.jsonl").read_text())
    assert (rejected["id"], rejected["reason"]) == ("u3", "bad audio")


def test_audio_is_told_relative_to_the_manifest(tmp_path):
    write_manifest(
        tmp_path / "data" / "m.jsonl", corpus(tmp_path / "corpus", 1, 0), audio_folder=tmp_path / "corpus"
    )
    assert Records(tmp_path / "data" / "m.jsonl", Utterance)[0].audio == "../corpus/0.wav"


def test_more_rejected_than_the_limit_stops(tmp_path):
    with pytest.raises(
        TooManyRejectedError, match="2 of 4 rejected .bad audio: 2., more than the limit of 10.0%"
    ):
        write_manifest(
            tmp_path / "m.jsonl",
            corpus(tmp_path / "corpus", 2, 2),
            audio_folder=tmp_path / "corpus",
            limit=0.1,
        )
    assert not (tmp_path / "m.jsonl").exists()


def test_nothing_kept_stops(tmp_path):
    with pytest.raises(TooManyRejectedError, match="nothing was kept"):
        write_manifest(tmp_path / "m.jsonl", [], audio_folder=tmp_path)


def test_manifest_changes_when_its_audio_does(tmp_path):
    utterances = corpus(tmp_path / "corpus", 1, 0)
    write_manifest(tmp_path / "m.jsonl", utterances, audio_folder=tmp_path / "corpus")
    before = (tmp_path / "m.jsonl").read_bytes()
    soundfile.write(tmp_path / "corpus" / "0.wav", np.full(1600, 0.5), 16_000)
    write_manifest(tmp_path / "m.jsonl", utterances, audio_folder=tmp_path / "corpus")
    assert (tmp_path / "m.jsonl").read_bytes() != before
