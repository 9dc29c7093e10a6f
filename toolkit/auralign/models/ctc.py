"""The encoder's own transcript: a CTC head on its frames, for the cascade that a connector is compared with.

    recognizer = load_ctc("models/encoder", width=encoder.width)
    recognizer.transcribe(frames, lengths)        # ["reverse three five nine", ...]
    recognizer.align(frames, lengths, texts)      # [[("reverse", 12, 15), ("three", 31, 33), ...], ...]

The head lies beside the encoder: `ctc_head.safetensors` (weight (V, D), bias (V,)) and `ctc_tokens.json` (V
words, of which the first stands for the blank).

Axes: B batch, T frames, D width, V vocabulary.
"""

import itertools
import json
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn
from torchaudio.functional import forced_align

from auralign.data.word_times import plain

HEAD_FILE = "ctc_head.safetensors"
TOKENS_FILE = "ctc_tokens.json"
BLANK = 0


class CTCRecognizer(nn.Module):
    """A frozen linear layer from frames to words.

    Arguments
    ---------
    head : torch.nn.Linear
        From D to V.
    tokens : list of str
        V words; the one at index 0 is the blank and never shown.
    """

    def __init__(self, head, tokens):
        super().__init__()
        if head.out_features != len(tokens):
            raise ValueError(f"a CTC head with {head.out_features} outputs cannot name {len(tokens)} tokens")
        self.head = head.requires_grad_(False)
        self.tokens = list(tokens)
        self._ids = {}  # by their spelling, and without case and punctuation
        for number, token in enumerate(self.tokens):
            if number != BLANK:
                self._ids.setdefault(plain(token), number)
                self._ids[token] = number

    @torch.no_grad()
    def transcribe(self, frames, lengths):
        """Greedy transcripts: the best token of each frame, repeats collapsed, blanks removed.

        Arguments
        ---------
        frames : torch.Tensor (B, T, D)
        lengths : torch.Tensor (B,), in frames

        Returns
        -------
        list of B str, words joined by spaces
        """
        best = self._scores(frames).argmax(dim=-1)  # (B, T)
        return [self._spell(row[:length]) for row, length in zip(best, lengths.tolist(), strict=True)]

    @torch.no_grad()
    def align(self, frames, lengths, texts):
        """When the words of a text were said: the likeliest way through the frames that spells it.

        The text is taken as true, whatever was said. A span ends with the last frame of its word, and is shorter than the
        word: CTC is sure of one for a few frames, mostly late in it, and says blank before and behind. Nothing holds it there,
        so a span tells which word is said about then, not where its sounds begin and end.

        Arguments
        ---------
        frames : torch.Tensor (B, T, D)
        lengths : torch.Tensor (B,), in frames
        texts : list of B str

        Returns
        -------
        list of B lists of (word, start, end), in frames, the end exclusive; words of punctuation alone are left out. None
        instead of a list where the text holds `unknown_words`, or is too long for its frames.
        """
        scores = self._scores(frames).float().log_softmax(dim=-1).cpu()  # (B, T, V)
        return [
            self._align_one(row[:length], text)
            for row, length, text in zip(scores, lengths.tolist(), texts, strict=True)
        ]

    def _scores(self, frames):
        """Logits (B, T, V) of frames, of which the last layer is the encoder's output."""
        weight = self.head.weight
        return self.head(frames[..., -weight.shape[1] :].to(weight.device, weight.dtype))

    def unknown_words(self, text):
        """The words of a text that are not among the tokens, case and punctuation aside."""
        return [word for word in text.split() if plain(word) and self._find(word) is None]

    def _find(self, word):
        return self._ids.get(word, self._ids.get(plain(word)))

    def _align_one(self, scores, text):
        """`align` for log probabilities (T, V)."""
        words = [word for word in text.split() if plain(word)]
        ids = [self._find(word) for word in words]
        num_repeats = sum(one == other for one, other in itertools.pairwise(ids))  # with a blank between
        if None in ids or len(scores) < len(ids) + num_repeats:
            return None
        if not ids:
            return []
        path, _ = forced_align(
            scores[None], torch.tensor([ids], dtype=torch.int32), blank=BLANK
        )  # takes one at a time
        runs, sizes = torch.unique_consecutive(path[0], return_counts=True)
        ends = sizes.cumsum(0).tolist()
        spans = [
            (end - size, end)
            for run, size, end in zip(runs.tolist(), sizes.tolist(), ends, strict=True)
            if run != BLANK
        ]
        return [(word, *span) for word, span in zip(words, spans, strict=True)]

    def _spell(self, best):
        ids = torch.unique_consecutive(best).tolist()
        return " ".join(self.tokens[index] for index in ids if index != BLANK)


def load_ctc(path, width):
    """Load the recognizer that lies beside an encoder.

    Arguments
    ---------
    path : str or Path
        The encoder's folder.
    width : int
        D of the encoder's frames; those of several layers end with the output, which the head reads.

    Raises
    ------
    FileNotFoundError : the folder has no CTC head.
    ValueError : the head is for frames of another width.
    """
    path = Path(path)
    for name in (HEAD_FILE, TOKENS_FILE):
        if not (path / name).is_file():
            raise FileNotFoundError(
                f"no {name} in {path}; without it this encoder has no transcript of its own"
            )
    weights = load_file(path / HEAD_FILE)
    num_tokens, head_width = weights["weight"].shape
    if width % head_width:
        raise ValueError(
            f"{path / HEAD_FILE} is for frames of width {head_width}, the encoder's have {width}"
        )
    head = nn.Linear(head_width, num_tokens)
    head.load_state_dict({name: value.float() for name, value in weights.items()})
    return CTCRecognizer(head, json.loads((path / TOKENS_FILE).read_text(encoding="utf-8")))
