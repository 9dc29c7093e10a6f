"""The encoder's own transcript: a CTC head on its frames, for the cascade that a connector is compared with.

    recognizer = load_ctc("models/encoder", width=encoder.width)
    recognizer.transcribe(frames, lengths)        # ["reverse three five nine", ...]

The head lies beside the encoder: `ctc_head.safetensors` (weight (V, D), bias (V,)) and `ctc_tokens.json` (V
words, of which the first stands for the blank).

Axes: B batch, T frames, D width, V vocabulary.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

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
        weight = self.head.weight
        best = self.head(frames.to(weight.device, weight.dtype)).argmax(dim=-1)  # (B, T)
        return [self._spell(row[:length]) for row, length in zip(best, lengths.tolist(), strict=True)]

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
        D of the encoder's frames.

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
    if head_width != width:
        raise ValueError(
            f"{path / HEAD_FILE} is for frames of width {head_width}, the encoder's have {width}"
        )
    head = nn.Linear(head_width, num_tokens)
    head.load_state_dict({name: value.float() for name, value in weights.items()})
    return CTCRecognizer(head, json.loads((path / TOKENS_FILE).read_text(encoding="utf-8")))
