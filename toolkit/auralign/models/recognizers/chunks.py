"""Find the chunks of long audio again in the frames that a Whisper encoder joined."""

import itertools

from auralign.models.encoders.whisper import MEL_FRAMES_PER_FRAME


class ChunkRule:
    """Finds the edges of chunks in the frames of a Whisper encoder.

    The encoder cuts audio into equal chunks, as few as possible, so the total number of frames determines the number of chunks
    and the frames of each. (Audio that exceeds a whole number of chunks by less than 10 ms per chunk has one chunk more than
    its frames show. It is then read in one chunk too few.)

    Arguments
    ---------
    extractor : transformers.WhisperFeatureExtractor
    chunk_seconds : float, optional
        The encoder's; default the window of Whisper, 30 s.
    """

    def __init__(self, extractor, *, chunk_seconds: float | None = None):
        self.hop_length = extractor.hop_length
        seconds = extractor.chunk_length if chunk_seconds is None else chunk_seconds
        self.max_frames = self._count(int(seconds * extractor.sampling_rate))

    def _count(self, num_samples: int) -> int:
        return -(-(num_samples // self.hop_length) // MEL_FRAMES_PER_FRAME)

    def lengths(self, num_frames: int) -> list[int]:
        """Number of frames of each chunk of audio that has `num_frames`."""
        num_chunks = max(1, -(-num_frames // self.max_frames))
        each, left = divmod(num_frames, num_chunks)
        if not left:
            return [each] * num_chunks
        # Chunks differ by at most one sample; that this changes the number of frames determines the number of samples.
        shorter = (MEL_FRAMES_PER_FRAME * each + 1) * self.hop_length - 1
        num_samples = num_chunks * shorter + left
        edges = [number * num_samples // num_chunks for number in range(num_chunks + 1)]
        return [self._count(end - start) for start, end in itertools.pairwise(edges)]
