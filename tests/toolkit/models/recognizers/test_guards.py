"""Guards: what counts as silence, and what as a poor transcript."""

import pytest

from auralign.models.recognizers import Guards
from auralign.models.recognizers.guards import compression_ratio


@pytest.mark.parametrize(
    ("no_speech", "logprob", "silent"),
    [
        (0.7, -1.5, True),
        (0.7, -0.5, False),
        (0.5, -1.5, False),
        (0.6, -1.5, False),
        (0.7, -1.0, True),
        (0.91, -0.1, True),
    ],
)
def test_silence_is_what_sounds_like_none_and_was_written_without_confidence(no_speech, logprob, silent):
    assert Guards().is_silent(no_speech, logprob) is silent


def test_a_guard_can_be_left_out():
    assert not Guards(no_speech_threshold=None).is_silent(0.9, -9.0)
    assert not Guards(silence_threshold=None).is_silent(1.0, -0.9)
    assert Guards(logprob_threshold=None).is_silent(0.7, 0.0)
    assert not Guards(logprob_threshold=None, compression_ratio_threshold=None).is_poor("ha " * 100, -9.0)


def test_a_transcript_is_poor_that_repeats_itself_or_is_unlikely():
    # zlib: "ha " 100 times, 300 bytes, comes to 2 bytes of header, 4 of checksum and a few between
    assert compression_ratio("ha " * 100) == pytest.approx(300 / 14, rel=0.3)
    assert compression_ratio("") == 0
    assert Guards().is_poor("ha " * 100, -0.1)
    assert Guards().is_poor("three five", -1.1)
    assert not Guards().is_poor("three five", -0.9)
