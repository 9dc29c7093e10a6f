"""Audio in tar files: named, found once, read by offset; what cannot be read so is refused by name."""

import io
import json
import tarfile

import numpy as np
import pytest
import soundfile
import torch

from auralign.data.audio import AudioError, audio_path, describe_audio, hear, read_audio
from auralign.data.manifest import write_manifest
from auralign.data.own_corpus import prepare_own_corpus
from auralign.data.sources import read_source
from auralign.data.tars import locate, members, split
from auralign.ledger.answer_list import link_audio
from auralign.records import RecordError, Records, Utterance
from auralign.testing import make_speech
from recipe import run

SECONDS = 0.5


def sound(number=0, form="FLAC"):
    file = io.BytesIO()
    soundfile.write(file, make_speech(SECONDS, seed=number), 16_000, format=form)
    return file.getvalue()


def write_tar(path, files, form=tarfile.PAX_FORMAT):
    """A tar file of (name, content) in this order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=form) as tar:
        for name, content in files:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def written(folder, *audio):
    """The manifest that stage 1 writes of some audio, relative to the folder of the tar files."""
    utterances = [
        Utterance(id=f"utt-{n}", audio=one, seconds=float("inf"), text="a") for n, one in enumerate(audio)
    ]
    path = folder / "data" / "train.jsonl"
    write_manifest(path, utterances, audio_folder=folder, limit=1)
    return Records(path, Utterance)


def test_without_reading_audio_its_hash_is_its_size(tmp_path):
    write_tar(tmp_path / "0.tar", [("a.flac", sound())])
    one = Utterance(id="a", audio="0.tar?a.flac", seconds=SECONDS, text="a")
    write_manifest(tmp_path / "m.jsonl", [one], audio_folder=tmp_path, verify=False)
    assert Records(tmp_path / "m.jsonl", Utterance)[0].audio_hash == f"{len(sound())} bytes"


NAMES = [
    "a.flac",
    "./b.flac",
    "deep/er/c d?.flac",
    "x.tar?y.flac",
    "d@512+4.flac",
    "né.flac",
    f"{'l' * 70}/{'o' * 120}.flac",
    "e//f.flac",
]


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_every_name_is_found_and_its_samples_are_those_of_the_file(tmp_path, form):
    files = [(name, sound(number)) for number, name in enumerate(NAMES)]
    tar = write_tar(tmp_path / "my shards?" / "a 0.tar", files, form)
    manifest = written(tmp_path, *(f"my shards?/a 0.tar?{name}" for name in NAMES))
    assert len(manifest) == len(NAMES)
    tar.rename(tmp_path / "elsewhere")  # the places need no index
    (tmp_path / "elsewhere").rename(tar)
    for utterance, (_, content) in zip(manifest, files, strict=True):
        assert "+" in utterance.audio.rpartition("@")[2]
        path = audio_path(manifest.path, utterance)
        (tmp_path / "one.flac").write_bytes(content)
        assert np.array_equal(read_audio(path), read_audio(tmp_path / "one.flac"))
        assert describe_audio(path) == (SECONDS, 16_000, 1)


def test_a_part_of_an_mp3_is_read_as_from_a_file(tmp_path):
    content = sound(form="MP3")
    (tmp_path / "a.mp3").write_bytes(content)
    write_tar(tmp_path / "0.tar", [("a.mp3", content), ("b.mp3", sound(1, form="MP3"))])
    for _ in range(2):
        inside = read_audio(tmp_path / "0.tar?a.mp3", start=0.1, seconds=0.2)
        assert np.array_equal(inside, read_audio(tmp_path / "a.mp3", start=0.1, seconds=0.2))
        assert not np.array_equal(inside, read_audio(tmp_path / "0.tar?b.mp3", start=0.1, seconds=0.2))


def test_frames_of_members_are_those_of_files_read_ahead_and_kept(tmp_path, whisper_folder):
    from auralign.data.frames import open_frames
    from auralign.data.live_frames import LiveFrames
    from auralign.models.encoders import load_whisper

    encoder, names = load_whisper(whisper_folder), [f"{number}.flac" for number in range(3)]
    for number, name in enumerate(names):
        (tmp_path / name).write_bytes(sound(number))
    write_tar(tmp_path / "0.tar", [(name, (tmp_path / name).read_bytes()) for name in names])
    frames, _ = LiveFrames(encoder, written(tmp_path / "a", *(f"../{name}" for name in names))).get([2, 0])
    manifest = written(tmp_path / "b", *(f"../0.tar?{name}" for name in names))
    live = LiveFrames(encoder, manifest, num_workers=2)
    with live.reading([2, 0]):
        assert torch.equal(live.get([2, 0])[0], frames)
    kept = open_frames(
        encoder, manifest, cache="disk", folder=tmp_path, max_gigabytes=1.0, batch_seconds=10.0
    )
    torch.testing.assert_close(kept.get([2, 0])[0], frames, rtol=0, atol=1e-5)


def test_a_file_whose_own_name_looks_like_a_member_is_that_file(tmp_path):
    write_tar(tmp_path / "0.tar", [("a.flac", sound(1))])
    (tmp_path / "0.tar?a.flac").write_bytes(sound(2))
    assert split(tmp_path / "0.tar?a.flac")[1] == ""
    assert written(tmp_path, "0.tar?a.flac")[0].audio == "../0.tar?a.flac"


def test_stage_1_rejects_what_is_no_audio_and_names_tar_and_member(tmp_path):
    files = [
        ("good.flac", sound()),
        ("cut.flac", sound()[:200]),
        ("twice.flac", sound()),
        ("twice.flac", sound(1)),
    ]
    write_tar(tmp_path / "0.tar", files)
    names = ("good.flac", "cut.flac", "twice.flac", "absent.flac")
    assert len(written(tmp_path, *(f"0.tar?{name}" for name in names), "absent.tar?a.flac")) == 1
    rejected = [
        json.loads(line) for line in (tmp_path / "data" / "train.rejected.jsonl").read_text().splitlines()
    ]
    details = [item["detail"] for item in rejected]
    for name, detail in zip((*names[1:], "absent.tar?a.flac"), details, strict=True):
        assert f"tar?{name.rpartition('?')[2]}" in detail
    assert "2 files of this name" in details[1] and "no file of this name" in details[2]


def test_a_tar_file_that_was_changed_since_is_noticed(tmp_path):
    tar = write_tar(tmp_path / "0.tar", [("a.flac", sound()), ("b.flac", sound(1))])
    manifest = written(tmp_path, "0.tar?b.flac")
    write_tar(tar, [("b.flac", sound(1)), ("a.flac", sound())])
    with pytest.raises(AudioError, match=r"0\.tar\?b\.flac: is not at byte .* run stage 1 again"):
        hear(audio_path(manifest.path, manifest[0]))


def test_tar_files_that_cannot_be_read_by_offset_are_refused(tmp_path):
    tar = write_tar(tmp_path / "0.tar", [("a.flac", sound()), ("b.flac", sound(1))])
    with tarfile.open(tmp_path / "z.tar", "w:gz") as packed:
        packed.add(tar, "0.tar")
    with tarfile.open(tmp_path / "link.tar", "w") as linked:
        info = tarfile.TarInfo("a.flac")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/hostname"
        linked.addfile(info)
    content, second = tar.read_bytes(), locate(f"{tar}?b.flac").start
    (tmp_path / "cut.tar").write_bytes(content[: second + 100])
    (tmp_path / "damaged.tar").write_bytes(content[: second - 400] + b"x" * 100 + content[second - 300 :])
    header = bytearray(
        tarfile.TarInfo("again").tobuf()
    )  # of a negative size: tarfile would read it again and again
    header[124:136], header[148:157] = (-512).to_bytes(12, "big", signed=True), b" " * 8 + b"0"
    header[148:155] = b"%06o\0" % sum(header)
    (tmp_path / "endless.tar").write_bytes(content[: second - 512] + header)
    for name, says in {
        "endless": "is damaged at byte",
        "z": "if it is compressed, unpack it",
        "link": r"link\.tar\?a\.flac: is a link",
        "cut": "unexpected end of data",
        "damaged": "is damaged at byte",
    }.items():
        with pytest.raises(AudioError, match=says):
            list(members(tmp_path / f"{name}.tar"))


@pytest.fixture
def webdataset(tmp_path):
    """Two tar files of WebDataset that use the same keys."""
    for tar in ("0", "more/1"):
        files = []
        for number in range(2):
            facts = {"text": "not this", "speaker": f"s{number}", "duration": 99, "path": "elsewhere.wav"}
            files += [
                (f"x/{number}.flac", sound(number)),
                (f"x/{number}.json", json.dumps(facts).encode()),
                (f"x/{number}.txt", f"three {number}\n".encode()),
            ]
        write_tar(tmp_path / "corpus" / f"{tar}.tar", files)
    return tmp_path / "corpus"


def test_a_folder_of_webdataset_is_prepared(webdataset, tmp_path):
    assert run("auralign", "prepare", str(webdataset), str(tmp_path / "data" / "train.jsonl"))[0] == 0
    manifest = Records(tmp_path / "data" / "train.jsonl", Utterance)
    found = [(one.id, one.text, one.speaker, one.seconds) for one in manifest]
    assert found == [
        (f"{tar}/x/{number}", f"three {number}", f"s{number}", SECONDS)
        for tar in ("0", "more/1")
        for number in (0, 1)
    ]
    assert manifest[2].audio.startswith("../corpus/more/1.tar?x/0.flac@")
    link, note = link_audio(manifest[2], manifest.path, tmp_path)
    assert link == "" and "in a tar file" in note


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ([("a.txt", b"a")], r"0\.tar\?a: 0 audio files"),
        ([("a.flac", b"1"), ("a.wav", b"2")], r"0\.tar\?a: 2 audio files"),
        ([("a.flac", b"1"), ("b.flac", b"1"), ("a.flac", b"2")], r"0\.tar\?a\.flac: the tar file holds two"),
        ([("a.flac", b"1"), ("a.json", b"[")], r"0\.tar\?a\.json: no JSON object"),
        ([("a.flac", b"1"), ("a.txt", b"\xff")], r"0\.tar\?a\.txt: not UTF-8"),
    ],
)
def test_samples_that_are_no_utterances_are_refused_by_name(tmp_path, files, says):
    write_tar(tmp_path / "0.tar", files)
    with pytest.raises(RecordError, match=says):
        list(read_source(tmp_path))


def test_lhotse_shar_is_read_and_times_count_from_the_cut(tmp_path):
    lhotse = pytest.importorskip("lhotse")
    soundfile.write(tmp_path / "a.wav", make_speech(2.0, seed=3), 16_000)
    recording = lhotse.Recording.from_file(tmp_path / "a.wav")
    supervision = lhotse.SupervisionSegment(
        "s", recording.id, start=0.25, duration=0.5, text="three", speaker="x"
    )
    cut = lhotse.MonoCut("c/1", 0.5, 1.0, 0, recording=recording, supervisions=[supervision])
    (tmp_path / "shar").mkdir()
    lhotse.CutSet.from_cuts([cut]).to_shar(tmp_path / "shar", fields={"recording": "flac"}, shard_size=1)
    prepare_own_corpus(tmp_path / "shar", tmp_path / "data" / "train.jsonl")
    manifest = Records(tmp_path / "data" / "train.jsonl", Utterance)
    one = manifest[0]
    assert (one.id, one.text, one.start, one.seconds) == ("s", "three", 0.25, 0.5)
    samples = read_audio(audio_path(manifest.path, one), start=one.start, seconds=one.seconds)
    assert np.array_equal(samples, read_audio(tmp_path / "a.wav", start=0.75, seconds=0.5))
    write_tar(tmp_path / "shar" / "recording.000000.tar", [("c/2.flac", sound())])
    with pytest.raises(RecordError, match=r"recording\.000000\.tar has no audio of the cut 'c/1'"):
        list(read_source(tmp_path / "shar"))
