"""What is rejected is listed with its reason, and too much of it stops the stage."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from auralign.data.manifest import write_manifest
from auralign.data.rejected import Note, Rejection, TooManyRejectedError
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
    path = tmp_path / "data" / "m.jsonl"
    summary = write_manifest(path, utterances, audio_folder=tmp_path / "corpus", limit=0.5)
    assert str(summary) == (
        f"3 utterances, 0.3 s, in {path}; 1 of 4 rejected (no such file: 1); 3 silent; "
        f"odd audio is listed in {path.parent / 'm.noted.jsonl'}"
    )
    assert [u.id for u in Records(tmp_path / "data" / "m.jsonl", Utterance)] == ["u0", "u1", "u2"]
    rejected = json.loads((tmp_path / "data" / "m.rejected.jsonl").read_text())
    assert (rejected["id"], rejected["reason"]) == ("u3", "no such file")


def test_audio_is_told_relative_to_the_manifest(tmp_path):
    write_manifest(
        tmp_path / "data" / "m.jsonl", corpus(tmp_path / "corpus", 1, 0), audio_folder=tmp_path / "corpus"
    )
    assert Records(tmp_path / "data" / "m.jsonl", Utterance)[0].audio == "../corpus/0.wav"


def test_more_rejected_than_the_limit_stops(tmp_path):
    with pytest.raises(
        TooManyRejectedError, match="2 of 4 rejected .no such file: 2., more than the limit of 10.0%"
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


def checked(tmp_path, *utterances, **options):
    """What `write_manifest` keeps, and the reasons for the rest."""
    write_manifest(tmp_path / "m.jsonl", utterances, audio_folder=tmp_path / "corpus", limit=1.0, **options)
    reasons = [json.loads(line) for line in (tmp_path / "m.rejected.jsonl").read_text().splitlines()]
    return list(Records(tmp_path / "m.jsonl", Utterance)), {item["id"]: item["reason"] for item in reasons}


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("rate", [0, 7, 384_000, 10**9])
def test_a_rate_that_no_recording_has_is_rejected(tmp_path, rate, verify):
    path = tmp_path / "corpus" / "a.wav"
    path.parent.mkdir()
    soundfile.write(path, np.full(1600, 0.1), 16_000)
    data = bytearray(path.read_bytes())
    data[24:28] = rate.to_bytes(4, "little")
    path.write_bytes(data)
    whole = Utterance("a", "a.wav", float("inf"), "three")
    with pytest.raises(TooManyRejectedError, match="nothing was kept"):
        checked(tmp_path, whole, verify=verify)
    (item,) = map(json.loads, (tmp_path / "m.rejected.jsonl").read_text().splitlines())
    assert item["reason"] == "bad audio" and "a.wav: " in item["detail"]


def test_a_label_that_is_no_number_is_rejected(tmp_path):
    utterance = replace(corpus(tmp_path / "corpus", 1, 0)[0], labels={"age": float("nan")})
    with pytest.raises(TooManyRejectedError):
        checked(tmp_path, utterance)
    assert '"label is not plain"' in (tmp_path / "m.rejected.jsonl").read_text()


def test_what_cannot_be_learned_from_is_rejected_with_its_reason(tmp_path):
    (good,) = corpus(tmp_path / "corpus", 1, 0)
    unfit = {
        "no text": {"text": " "},
        "text is not Unicode": {"text": "\ud800"},
        "times": {"seconds": 0.0},
        "bad audio": {"start": 5.0},
        "longer than 0.1 s": {"seconds": 0.2},
    }
    utterances = [replace(good, id=reason, **change) for reason, change in unfit.items()]
    kept, reasons = checked(
        tmp_path, good, *utterances, replace(good, id="nan", seconds=math.nan), max_seconds=0.1
    )
    assert [utterance.id for utterance in kept] == ["u0"]
    assert reasons == {reason: reason for reason in unfit} | {"nan": "times"}


def test_a_length_that_is_not_told_is_measured(tmp_path):
    (good,) = corpus(tmp_path / "corpus", 1, 0)
    soundfile.write(tmp_path / "corpus" / "0.wav", np.ones((12_000, 2)) / 2, 8_000)
    (kept,), _ = checked(tmp_path, replace(good, seconds=math.inf, start=0.5))
    assert (kept.start, kept.seconds) == (0.5, 1.0)


@pytest.mark.parametrize(
    "text", ["tab\tand\nline", "nul\0", "emoji 🙂‍↕️", "مرحبا", "<|im_end|>", "a\u2028b", "e\u0301 é"]
)
def test_text_is_kept_byte_for_byte(tmp_path, text):
    (good,) = corpus(tmp_path / "corpus", 1, 0)
    (kept,), _ = checked(tmp_path, replace(good, text=text))
    assert kept.text == text


def test_what_was_changed_on_reading_is_told(tmp_path):
    (good,) = corpus(tmp_path / "corpus", 1, 0)
    samples = np.random.default_rng(0).normal(0, 0.1, (800, 2)) * np.linspace(0, 1, 800)[:, None]
    soundfile.write(tmp_path / "corpus" / "0.wav", samples, 8_000)
    summary = write_manifest(tmp_path / "m.jsonl", [good], audio_folder=tmp_path / "corpus")
    assert summary.notes == {"resampled to 16000 Hz": 1, "averaged over their channels": 1}


def test_what_json_or_utf8_cannot_hold_is_listed(tmp_path):
    import datetime

    (good,) = corpus(tmp_path / "corpus", 1, 0)
    broken = [
        replace(good, id="x\udce9"),
        replace(good, id="speaker", speaker="\ud800"),
        replace(good, id="date", labels={"when": datetime.date(2026, 1, 1)}),
    ]
    kept, reasons = checked(tmp_path, good, *broken)
    assert len(kept) == 1
    assert list(reasons.values()) == ["text is not Unicode", "text is not Unicode", "label is not plain"]


def test_audio_is_found_from_a_folder_behind_a_link(tmp_path):
    (good,) = corpus(tmp_path / "corpus", 1, 0)
    (tmp_path / "far" / "away" / "deep").mkdir(parents=True)
    (tmp_path / "data").symlink_to(tmp_path / "far" / "away" / "deep")
    write_manifest(tmp_path / "data" / "m.jsonl", [good], audio_folder=tmp_path / "corpus")
    utterance = Records(tmp_path / "data" / "m.jsonl", Utterance)[0]
    assert (tmp_path / "data" / utterance.audio).is_file()


def test_what_a_reader_rejects_and_notes_is_listed_and_told(tmp_path):
    (good,) = corpus(tmp_path / "corpus", 1, 0)
    items = [Rejection("a.tsv:2", "broken row", "3 columns"), Note("odd"), good, Note("odd", 2)]
    path = tmp_path / "m.jsonl"
    summary = write_manifest(path, items, audio_folder=tmp_path / "corpus", limit=0.5)
    assert f"1 utterances, 0.1 s, in {path}; 1 of 2 rejected (broken row: 1); 3 odd; 1 silent;" in str(
        summary
    )
    assert json.loads((tmp_path / "m.rejected.jsonl").read_text()) == {
        "id": "a.tsv:2",
        "reason": "broken row",
        "detail": "3 columns",
    }


def test_a_cut_flac_passes_where_headers_alone_are_read(tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    samples = np.random.default_rng(0).normal(0, 0.1, 16_000)
    soundfile.write(folder / "a.flac", samples, 16_000)
    (folder / "a.flac").write_bytes((folder / "a.flac").read_bytes()[:9_000])
    cut = Utterance(id="cut", audio="a.flac", seconds=1.0, text="x")
    soundfile.write(folder / "b.flac", samples, 16_000)
    whole = Utterance(id="whole", audio="b.flac", seconds=1.0, text="x")
    assert checked(tmp_path, cut, whole)[1] == {"cut": "bad audio"}
    kept, reasons = checked(tmp_path, cut, whole, verify=False)
    assert ([(u.id, u.seconds, u.audio_hash) for u in kept][0], reasons) == (("cut", 1.0, "9000 bytes"), {})


def test_no_audio_is_read_of_an_utterance_whose_length_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("auralign.data.manifest.hear", None)
    monkeypatch.setattr("auralign.data.manifest.describe_audio", None)
    path = tmp_path / "m.jsonl"
    summary = write_manifest(
        path, corpus(tmp_path / "corpus", 2, 0), audio_folder=tmp_path / "corpus", verify=False
    )
    assert str(summary) == (
        f"2 utterances, 0.2 s, in {path}; 0 of 2 rejected; headers only: no audio was read through"
    )


def test_what_is_unfit_is_rejected_where_headers_alone_are_read(tmp_path):
    (good,) = corpus(tmp_path / "corpus", 1, 0)
    (tmp_path / "corpus" / "folder").mkdir()
    soundfile.write(tmp_path / "corpus" / "empty.wav", np.zeros(0), 16_000)
    unfit = {
        "no text": {"text": " "},
        "text is not Unicode": {"text": "\ud800"},
        "times": {"seconds": 0.0},
        "longer than 0.1 s": {"seconds": 0.2},
    }
    missing = {
        "absent": {"audio": "absent.wav"},
        "folder": {"audio": "folder"},
        "zero": {"audio": "a\0.wav"},
    }
    unmeasured = {
        "behind": {"seconds": math.inf, "start": 0.1},
        "empty": {"seconds": math.inf, "audio": "empty.wav"},
    }
    utterances = [replace(good, id=name, **change) for name, change in (unfit | missing | unmeasured).items()]
    kept, reasons = checked(tmp_path, good, *utterances, max_seconds=0.1, verify=False)
    assert [utterance.id for utterance in kept] == ["u0"]
    assert reasons == (
        {reason: reason for reason in unfit}
        | dict.fromkeys(missing, "no such file")
        | dict.fromkeys(unmeasured, "bad audio")
    )


def test_a_length_that_is_not_told_is_measured_by_the_header(tmp_path):
    (good,) = corpus(tmp_path / "corpus", 1, 0)
    soundfile.write(tmp_path / "corpus" / "0.wav", np.ones((12_000, 2)) / 2, 8_000)
    (kept,), _ = checked(tmp_path, replace(good, seconds=math.inf, start=0.5), verify=False)
    assert (kept.start, kept.seconds) == (0.5, 1.0)


def test_manifest_of_headers_changes_when_a_file_does(tmp_path):
    (good,) = corpus(tmp_path / "corpus", 1, 0)
    (before,), _ = checked(tmp_path, good, verify=False)
    (again,), _ = checked(tmp_path, good, verify=False)
    soundfile.write(tmp_path / "corpus" / "0.wav", np.zeros(1601), 16_000)
    (after,), _ = checked(tmp_path, good, verify=False)
    assert before.audio_hash == again.audio_hash != after.audio_hash


def test_audio_beside_the_manifest_is_told_by_its_name(tmp_path):
    utterances = corpus(tmp_path / "corpus", 1, 0)
    path = tmp_path / "corpus" / "m.jsonl"
    write_manifest(path, utterances, audio_folder=tmp_path / "corpus")
    assert Records(path, Utterance)[0].audio == "0.wav"


def noted(tmp_path, *utterances):
    """What `write_manifest` lists of what it keeps: (id, reason)."""
    write_manifest(tmp_path / "m.jsonl", utterances, audio_folder=tmp_path / "corpus")
    path = tmp_path / "m.noted.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [(item["id"], item["reason"], item.get("detail", "")) for item in map(json.loads, lines)]


def put(folder, name, samples, **options):
    soundfile.write(folder / name, samples, 16_000, **options)
    return Utterance(id=name[0], audio=name, seconds=math.inf, text="x")


def test_what_sounds_odd_is_kept_and_listed_by_name(tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    speech = np.random.default_rng(0).uniform(-0.3, 0.3, 32_000) * np.sin(np.arange(32_000) / 4000) ** 2
    utterances = [
        put(folder, "a.wav", speech),
        put(folder, "b.wav", np.zeros(16_000)),
        put(folder, "c.wav", speech * 32_768, subtype="FLOAT"),
        put(folder, "d.wav", np.stack([speech, -speech], axis=1)),
    ]
    found = noted(tmp_path, *utterances)
    assert [(identity, reason) for identity, reason, _ in found] == [
        ("b", "silent"),
        ("c", "scaled from the range of integers"),
        ("d", "of channels that cancel each other, the loudest alone read"),
    ]
    assert len(Records(tmp_path / "m.jsonl", Utterance)) == 4
    assert noted(tmp_path, utterances[0]) == []  # and the list of before is gone


def test_an_utterance_that_is_shorter_than_its_file_is_listed(tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    samples = np.random.default_rng(0).uniform(-0.3, 0.3, 64_000) * np.linspace(0, 1, 64_000)
    whole = put(folder, "a.wav", samples)
    short = replace(whole, seconds=1.5)
    assert noted(tmp_path, short) == [
        ("a", "shorter than their file, of which nothing else is used", "1.50 s of 4.00 s")
    ]
    # Those of which an offset is told are segments, and so are those that share their file; a length may be rounded.
    assert noted(tmp_path, replace(short, start=0.5)) == []
    assert noted(tmp_path, short, replace(short, id="b", start=1.5)) == []
    assert noted(tmp_path, replace(short, seconds=3.96)) == []


def test_an_utterance_that_is_longer_than_its_file_is_rejected_with_both_lengths(tmp_path):
    (good,) = corpus(tmp_path / "corpus", 1, 0)
    kept, _ = checked(tmp_path, good, replace(good, id="long", seconds=0.5))
    assert len(kept) == 1
    assert "0.10 s of 0.50 s are there" in (tmp_path / "m.rejected.jsonl").read_text()


@pytest.mark.parametrize("loud", [1e37, 1e12, float("nan")])
def test_floats_out_of_range_are_rejected_though_no_audio_is_read(tmp_path, loud):
    sound = np.random.default_rng(0).uniform(-0.3, 0.3, 16_000)
    soundfile.write(tmp_path / "good.wav", sound, 16_000, subtype="FLOAT")
    sound[500] = loud
    soundfile.write(tmp_path / "loud.wav", sound, 16_000, subtype="FLOAT")
    items = [
        Utterance(id=name, audio=str(tmp_path / f"{name}.wav"), seconds=1.0, text="x")
        for name in ("good", "loud")
    ]
    write_manifest(tmp_path / "m.jsonl", items, limit=0.5, verify=False)
    assert [utterance.id for utterance in Records(tmp_path / "m.jsonl", Utterance)] == ["good"]
    assert '"reason": "bad audio"' in (tmp_path / "m.rejected.jsonl").read_text()
