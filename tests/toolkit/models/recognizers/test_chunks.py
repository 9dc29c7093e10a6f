"""Chunks of long audio are found again from the number of their frames."""

import numpy as np
import pytest

from auralign.models.encoders import load_whisper
from auralign.models.recognizers import ChunkRule
from auralign.testing import make_tiny_whisper


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_tiny_whisper(tmp_path_factory.mktemp("whisper"), decoder=True, seed=2)


@pytest.mark.parametrize("seconds", [30, 7.33, 1])
def test_the_chunks_of_all_frames_are_found_from_their_number(folder, seconds):
    encoder = load_whisper(folder, chunk_seconds=seconds)
    rule = ChunkRule(encoder.extractor, chunk_seconds=seconds)
    rng = np.random.default_rng(0)
    one = int(seconds * 16_000)
    # Not of the first 10 ms behind a whole number of chunks, for each chunk: see ChunkRule.
    sizes = [*rng.integers(400, 5 * one, size=3000), one, 2 * one, 5 * one]
    sure = [size for size in sizes if size % one == 0 or size % one > 160 * (size // one + 2)]
    assert len(sure) > 2000
    for size in sure:
        edges = encoder._edges(size)
        wanted = [encoder.num_chunk_frames(end - start) for start, end in zip(edges, edges[1:], strict=False)]
        assert rule.lengths(encoder.num_frames(size)) == wanted


def test_chunks_that_cannot_be_told_are_still_all_frames(folder):
    rule = ChunkRule(load_whisper(folder).extractor, chunk_seconds=2)
    for num_frames in range(1, 1000):
        lengths = rule.lengths(num_frames)
        assert sum(lengths) == num_frames
        assert max(lengths) <= 100
