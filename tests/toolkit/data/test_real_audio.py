"""Real recordings in every format that corpora come in: read at the right length, rate and channels, or refused with the reason.

The recordings stand beside the checkout, not in it; without them these tests are skipped.
"""

import csv
from pathlib import Path

import pytest

from auralign.data.audio import SAMPLE_RATE, AudioError, describe_audio, read_audio

DATA = Path(__file__).parents[4] / "shared" / "data"
ZOO, SAMPLES = DATA / "format_zoo", DATA / "misc_samples"
pytestmark = pytest.mark.skipif(not ZOO.is_dir(), reason="no real recordings beside the checkout")

# name: (seconds, Hz, channels)
SOUND = {
    "13697_11991_000000.opus": (14.850, 16_000, 1),
    "acoustic_corpus.wav": (26.723, 16_000, 1),
    "cold_corpus.wav": (25.718, 16_000, 1),
    "cold_corpus_24bit.wav": (25.718, 16_000, 1),
    "cold_corpus_32bit_float.wav": (25.718, 16_000, 1),
    **{f"audio-mono-{kind}": (2.745, 44_100, 1) for kind in (
        "16-bit-44100Hz.aiff", "16-bit-44100Hz.flac", "24-bit-44100Hz.flac", "24-bit-44100Hz.wav",
        "32-bit-44100Hz.wav", "8-bit-44100Hz.wav",
    )},
    **{f"audio-stereo-{kind}": (2.745, 44_100, 2) for kind in (
        "16-bit-44100Hz.wav", "24-bit-44100Hz.flac", "8-bit-44100Hz.wav",
    )},
    # of 1,152 samples a frame: 171, 98, 77 and 99 frames at 48 kHz, 181 at 32 kHz
    "common_voice_en_22058264.mp3": (4.104, 48_000, 1),
    "common_voice_en_22058266.mp3": (2.352, 48_000, 1),
    "common_voice_en_22058267.mp3": (1.848, 48_000, 1),
    "common_voice_en_651325.mp3": (2.376, 48_000, 1),
    "common_voice_ja_24511055.mp3": (6.516, 32_000, 1),
    "mono_c0.wav": (0.500, 8_000, 1),
    "stereo.mp3": (1.000, 8_000, 2),
    "stereo.opus": (1.005, 8_000, 2),
    "stereo.sph": (1.000, 8_000, 2),
    "stereo_diarization.wav": (5.000, 16_000, 2),
    "sph/an152-mwhw-b.sph": (1.0, 16_000, 1),
    "sph/an251-fash-b.sph": (1.0, 16_000, 1),
    "sph/an253-fash-b.sph": (0.7, 16_000, 1),
    "sph/cen7-fash-b.sph": (2.5, 16_000, 1),
    "sph/cen8-fbbh-b.sph": (2.8, 16_000, 1),
    "sph/cen8-fcaw-b.sph": (2.9, 16_000, 1),
    "sph/cen8-mmxg-b.sph": (2.3, 16_000, 1),
    "sph/cen8-mwhw-b.sph": (2.2, 16_000, 1),
}  # fmt: skip
REFUSED = {
    "awful.wav": "says that it has 1092676 samples a second",
    "bad.wav": "cannot be read as audio",
    "evil.wav": "cannot be read as audio",
    "null.wav": "holds no samples",
}


def check(path, seconds, rate, channels):
    assert describe_audio(path)[1:] == (rate, channels)
    assert len(read_audio(path)) / SAMPLE_RATE == pytest.approx(seconds, abs=0.001)


@pytest.mark.parametrize("name", SOUND)
def test_a_file_of_the_zoo_is_read(name):
    check(ZOO / name, *SOUND[name])


@pytest.mark.parametrize("name", REFUSED)
def test_a_broken_file_of_the_zoo_is_refused(name):
    with pytest.raises(AudioError, match=f"{name}: {REFUSED[name]}"):
        read_audio(ZOO / name)


def test_what_is_no_audio_is_refused():
    grids = sorted((ZOO / "textgrid").iterdir())
    assert len(grids) == 19
    for path in [*grids, ZOO / "zoo.tsv"]:
        with pytest.raises(AudioError, match="cannot be read as audio"):
            read_audio(path)


def test_every_file_of_the_zoo_is_in_the_table():
    names = {path.relative_to(ZOO).as_posix() for path in ZOO.rglob("*") if path.is_file()}
    others = {name for name in names if name.startswith("textgrid/")} | {"zoo.tsv"}
    assert names - others == SOUND.keys() | REFUSED.keys()


def test_every_sample_is_as_its_list_says():
    with open(DATA / "MANIFEST.tsv", encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)]
    rows = {row["path"]: row for row in rows if row["path"].startswith(SAMPLES.name)}
    found = [path for path in SAMPLES.rglob("*") if path.is_file()]
    assert len(found) == len(rows) > 0
    for path in found:
        row = rows[path.relative_to(DATA).as_posix()]
        channels = 2 if path.name == "jfk.flac" else 1
        check(path, float(row["seconds"]), int(row["sample_rate"]), channels)
