"""Find the chunks of long audio again in the frames that a Whisper encoder joined."""

import itertools

from auralign.models.encoders.whisper import MEL_FRAMES_PER_FRAME


class ChunkRule:
    """Where chunks were joined in the frames that a Whisper encoder gave.

    The encoder cuts audio into equal chunks, so the frames of all tell those of each, given how many there are; and they
    are as few as hold the frames. (Audio that outlasts a whole number of chunks by less than 10 ms each has one chunk more
    than its frames show. It is then read in chunks too few by one.)

    Arguments
    ---------
    extractor : transformers.WhisperFeatureExtractor
    chunk_seconds : float, optional
        The encoder's; the window that Whisper hears unless given.
    """

    def __init__(self, extractor, *, chunk_seconds: float | None = None):
        self.hop_length = extractor.hop_length
        seconds = extractor.chunk_length if chunk_seconds is None else chunk_seconds
        self.max_frames = self._count(int(seconds * extractor.sampling_rate))

    def _count(self, num_samples: int) -> int:
        return -(-(num_samples // self.hop_length) // MEL_FRAMES_PER_FRAME)

    def lengths(self, num_frames: int) -> list[int]:
        """Frames of each chunk of audio that has so many."""
        num_chunks = max(1, -(-num_frames // self.max_frames))
        each, left = divmod(num_frames, num_chunks)
        if not left:
            return [each] * num_chunks
        # Chunks differ by one sample at most: that it makes a frame of difference tells how many samples there are.
        shorter = (MEL_FRAMES_PER_FRAME * each + 1) * self.hop_length - 1
        num_samples = num_chunks * shorter + left
        edges = [number * num_samples // num_chunks for number in range(num_chunks + 1)]
        return [self._count(end - start) for start, end in itertools.pairwise(edges)]
