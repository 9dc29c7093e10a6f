"""Guards against a Whisper's text for silence, and against its repetitions."""

import zlib
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Guards:
    """When a transcript is not believed, as Whisper's authors have it (openai/whisper, transcribe.py), with their figures.

    Arguments
    ---------
    no_speech_threshold : float, optional
        A chunk is silent if the decoder's probability of <|nospeech|> is above, and `logprob_threshold` is not reached: its
        transcript is empty. None: no chunk is.
    logprob_threshold : float, optional
        Mean log probability of a transcript's tokens, its end with them, below which it is poor. None: no transcript is, and
        the probability of <|nospeech|> decides alone.
    compression_ratio_threshold : float, optional
        Above which a transcript repeats itself: bytes of the text over those that zlib makes of them.
    silence_threshold : float, optional
        The probability of <|nospeech|> above which a chunk is silent however likely its transcript is. This one is ours: by
        Whisper's own two, digital silence stays "you", which base and tiny.en are sure of (-0.4), at a probability of 0.91 and
        more; of 84 utterances the greatest was 0.85, a digit of half a second.
    temperatures : sequence of float
        Of sampling, tried in turn while the transcript is poor or repeats itself; the last is taken as it is. Whisper's are
        0.2, 0.4, 0.6, 0.8 and 1.0. The default is none: the transcript is then the likeliest one, the same on every
        machine, and `compression_ratio_threshold` means nothing.
    """

    no_speech_threshold: float | None = 0.6
    logprob_threshold: float | None = -1.0
    compression_ratio_threshold: float | None = 2.4
    silence_threshold: float | None = 0.9
    temperatures: tuple[float, ...] = ()

    def is_silent(self, no_speech: float, logprob: float) -> bool:
        """Whether nothing was said."""
        if self.silence_threshold is not None and no_speech > self.silence_threshold:
            return True
        if self.no_speech_threshold is None or no_speech <= self.no_speech_threshold:
            return False
        return self.logprob_threshold is None or logprob <= self.logprob_threshold

    def is_poor(self, text: str, logprob: float) -> bool:
        """Whether another transcript is tried."""
        if self.logprob_threshold is not None and logprob < self.logprob_threshold:
            return True
        limit = self.compression_ratio_threshold
        return limit is not None and compression_ratio(text) > limit


def compression_ratio(text: str) -> float:
    """Bytes of a text over those that zlib makes of them.

    >>> compression_ratio("ha " * 100) > 2.4 > compression_ratio("Reverse three, five, nine.")
    True
    """
    content = text.encode()
    return len(content) / len(zlib.compress(content))


class LogProbabilities:
    """Adds up, as a logits processor, the log probabilities (B,) of the tokens that are written up to the first end."""

    def __init__(self, end):
        self.ends = torch.tensor([end] if isinstance(end, int) else list(end))
        self.last = None

    def __call__(self, ids, scores):
        """Before each step: `scores` (B, V) are those from which its token is chosen."""
        if self.last is None:
            self.totals = scores.new_zeros(len(scores), dtype=torch.float32)
            self.ended = torch.zeros(len(scores), dtype=torch.bool, device=scores.device)
        else:
            self.add(ids)
        self.last = scores.float().log_softmax(-1)
        return scores

    def add(self, ids) -> None:
        """Count the last of `ids` (B, U), which the last step wrote."""
        written = self.last.gather(1, ids[:, -1:])[:, 0]
        self.totals += torch.where(self.ended, 0.0, written)
        self.ended |= torch.isin(ids[:, -1], self.ends.to(ids.device))
