"""What libsndfile does not read, FFmpeg does, if PyAV is there; without it the file and what to install are named."""

import sys

import numpy as np
import pytest

from auralign.data.audio import AudioError, describe_audio, read_audio

RATE = 16_000


def noise(seconds=3.0):
    return np.random.default_rng(0).uniform(-0.3, 0.3, round(seconds * RATE)).astype(np.float32)


def write(path, codec, *, with_picture=False, channels="mono", form=None, **options):
    """Noise of 3 s at 16 kHz, with a picture beside it or without."""
    av = pytest.importorskip("av", reason="pip install 'auralign[av]'")
    with av.open(str(path), "w", format=form, options=options) as container:
        stream = container.add_stream(codec, rate=48_000 if codec == "libopus" else RATE)
        stream.layout = channels
        if with_picture:
            video = container.add_stream("mpeg4", rate=10)
            video.width = video.height = 32
            video.pix_fmt = "yuv420p"
            for number in range(50):  # longer than the sound
                picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
                picture.pts = number
                container.mux(video.encode(picture))
            container.mux(video.encode(None))
        num_channels = 1 if channels == "mono" else 2
        frame = av.AudioFrame.from_ndarray(
            np.tile(noise(), (num_channels, 1)), format="fltp", layout=channels
        )
        frame.sample_rate, frame.pts = RATE, 0
        resampler = av.AudioResampler(
            format=stream.format,
            layout=channels,
            rate=stream.rate,
            frame_size=stream.codec_context.frame_size or 1024,
        )
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return path


LOSSLESS = [("a.m4a", "alac"), ("a.mka", "flac")]
LOSSY = [("a.m4a", "aac"), ("a.aac", "aac"), ("a.webm", "libopus"), ("a.3gp", "aac")]


@pytest.mark.parametrize(("name", "codec"), LOSSLESS)
def test_samples_come_back(tmp_path, name, codec):
    path = write(tmp_path / name, codec)
    assert describe_audio(path) == (3.0, RATE, 1)
    np.testing.assert_allclose(read_audio(path), noise(), atol=1e-4)


@pytest.mark.parametrize(("name", "codec"), LOSSY)
def test_a_part_is_what_it_is_in_the_whole(tmp_path, name, codec):
    path = write(tmp_path / name, codec)
    whole = read_audio(path, sample_rate=describe_audio(path)[1])
    assert len(whole) / describe_audio(path)[1] == pytest.approx(
        3.0, abs=0.15
    )  # frames of 64 ms, and a delay
    rate = describe_audio(path)[1]
    part = read_audio(path, start=1.1, seconds=0.7, sample_rate=rate)
    assert np.array_equal(part, whole[round(1.1 * rate) :][: len(part)])


def test_of_a_video_the_sound_is_read(tmp_path):
    path = write(tmp_path / "a.mp4", "alac", with_picture=True, strict="-2")
    np.testing.assert_allclose(read_audio(path), noise(), atol=1e-4)


def test_channels_are_averaged(tmp_path):
    path = write(tmp_path / "a.m4a", "alac", channels="stereo")
    assert describe_audio(path) == (3.0, RATE, 2)
    np.testing.assert_allclose(read_audio(path), noise(), atol=1e-4)


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.m4a", "aac", {}),
        ("b.m4a", "aac", {"movflags": "faststart"}),
        ("a.aac", "aac", {}),
        ("a.webm", "libopus", {}),
        ("a.mka", "flac", {}),
    ],
)
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_cut_file_is_refused(tmp_path, name, codec, options, share):
    path = write(tmp_path / name, codec, **options)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(AudioError, match=f"{name}: .*(was the file cut|cannot be read as audio)"):
        read_audio(path)


def test_a_video_without_sound_is_refused(tmp_path):
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        video = container.add_stream("mpeg4", rate=10)
        video.width = video.height = 32
        video.pix_fmt = "yuv420p"
        picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
        container.mux(video.encode(picture))
        container.mux(video.encode(None))
    with pytest.raises(AudioError, match="a.mp4: holds no sound"):
        read_audio(tmp_path / "a.mp4")


def test_a_playlist_opens_no_other_file(tmp_path):
    path = write(tmp_path / "a.ts", "aac", form="mpegts")
    assert len(read_audio(path)) > 0
    playlist = tmp_path / "a.m3u8"
    playlist.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:3,\n{path}\n#EXT-X-ENDLIST\n")
    with pytest.raises(AudioError, match="a.m3u8: cannot be read as audio"):
        read_audio(playlist)


def test_without_pyav_the_file_and_the_extra_are_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    path = tmp_path / "a.m4a"
    path.write_bytes(bytes(4) + b"ftypM4A " + bytes(999))
    for function in (read_audio, describe_audio):
        with pytest.raises(
            AudioError, match=r"a.m4a: cannot be read as audio .*: pip install 'auralign\[av\]'"
        ):
            function(path)
