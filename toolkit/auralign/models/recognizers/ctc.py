"""The encoder's own transcript: a CTC head on its frames, for the cascade that a connector is compared with.

    recognizer = load_ctc("models/encoder", width=encoder.width)
    recognizer.transcribe(frames, lengths)        # ["reverse three five nine", ...]
    recognizer.align(frames, lengths, texts)      # [[("reverse", 12, 15), ("three", 31, 33), ...], ...]
    recognizer.locate(frames, lengths, phrases)   # [[(31, 47, -0.02)], ...] of [["three five"], ...]

`load_ctc` finds a head of words beside the encoder: `ctc_head.safetensors` (weight (V, D), bias (V,)) and `ctc_tokens.json`
(V words, of which the first is the blank). `load_wav2vec2_ctc` takes the head of characters that a downloaded wav2vec2, HuBERT
or WavLM was fine-tuned with.

Axes: B batch, T frames, D width, V vocabulary.
"""

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

from auralign.hub import resolve
from auralign.models.encoders.encoder import model_type
from auralign.models.encoders.wav2vec2 import MODEL_TYPES
from auralign.models.folder import check_complete, check_files, check_finite, loading
from auralign.models.recognizers.alignment import forced_align, locate_units, num_frames_of
from auralign.models.recognizers.units import Characters, Words
from auralign.text.words import plain

HEAD_FILE = "ctc_head.safetensors"
TOKENS_FILE = "ctc_tokens.json"


class CTCRecognizer(nn.Module):
    """A frozen linear layer from frames to units.

    Arguments
    ---------
    head : torch.nn.Linear
        From D to V.
    units : Words, Characters, or list of str
        The meaning of the outputs; a list holds the tokens of `Words`.
    """

    def __init__(self, head, units):
        super().__init__()
        self.units = Words(units) if isinstance(units, list) else units
        if head.out_features != len(self.tokens):
            raise ValueError(
                f"a CTC head with {head.out_features} outputs cannot name {len(self.tokens)} tokens"
            )
        self.head = head.requires_grad_(False)

    @property
    def tokens(self) -> list[str]:
        return self.units.tokens

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
        return [
            self.units.read(torch.unique_consecutive(row[:length]).tolist())
            for row, length in zip(best, lengths.tolist(), strict=True)
        ]

    @torch.no_grad()
    def align(self, frames, lengths, texts):
        """Align the words of a text with the frames, by the likeliest way through the frames that spells it.

        The text is taken as true, whatever was said. A span ends with the last frame of its word, and is shorter than the
        word: CTC is sure of a word for a few frames, mostly late in it, and predicts blanks before and after. Its training
        does not constrain these frames, so a span says which word is spoken around it, not when its sounds begin and end.

        Arguments
        ---------
        frames : torch.Tensor (B, T, D)
        lengths : torch.Tensor (B,), in frames
        texts : list of B str

        Returns
        -------
        list of B lists of (word, start, end), in frames, the end exclusive; words of punctuation alone are left out. None
        instead of a list if the text holds `unknown_words`, or is too long for its frames.
        """
        return [
            self._align_one(row, text)
            for row, text in zip(self._log_probabilities(frames, lengths), texts, strict=True)
        ]

    @torch.no_grad()
    def locate(self, frames, lengths, phrases):
        """Find phrases inside longer audio, each in the frames that fit best; see `locate_units`.

        A phrase that was not said is located too: the score says whether it was. The score is the mean log probability of its
        units, each averaged over its frames: near 0 if the encoder recognizes the phrase, far below if it recognizes others.

        Arguments
        ---------
        frames : torch.Tensor (B, T, D)
        lengths : torch.Tensor (B,), in frames
        phrases : list of B lists of str

        Returns
        -------
        list of B lists of (start, end, score), in frames, the end exclusive. None instead of a tuple if the phrase holds
        `unknown_words`, or no word at all, or is too long for its frames.
        """
        return [
            [self._locate_one(row, phrase) for phrase in of_one]
            for row, of_one in zip(self._log_probabilities(frames, lengths), phrases, strict=True)
        ]

    def unknown_words(self, text):
        """The words of a text that the tokens cannot spell, ignoring case and punctuation."""
        return [word for word in text.split() if plain(word) and not self.units.spell(word)]

    def _scores(self, frames):
        """Logits (B, T, V) of frames, of which the last layer is the encoder's output."""
        weight = self.head.weight
        return self.head(frames[..., -weight.shape[1] :].to(weight.device, weight.dtype))

    def _log_probabilities(self, frames, lengths) -> list[torch.Tensor]:
        """(length, V) of each utterance."""
        scores = self._scores(frames).float().log_softmax(dim=-1).cpu()  # (B, T, V)
        return [row[:length] for row, length in zip(scores, lengths.tolist(), strict=True)]

    def _align_one(self, scores, text):
        """`align` for log probabilities (T, V)."""
        words = [word for word in text.split() if plain(word)]
        spelled = [self.units.spell(word) for word in words]
        ids = self._join(spelled)
        if not all(spelled) or num_frames_of(ids) > len(scores):
            return None
        spans = [(start, end) for start, end, _ in self._spans(scores, ids)]
        found, start = [], 0
        for word, units in zip(words, spelled, strict=True):
            last = start + len(units) - 1
            found.append((word, spans[start][0], spans[last][1]))
            start = last + 1 + len(self.units.between)
        return found

    def _locate_one(self, scores, phrase: str):
        """`locate` for log probabilities (T, V)."""
        spelled = [self.units.spell(word) for word in phrase.split() if plain(word)]
        ids = self._join(spelled)
        if not ids or not all(spelled) or num_frames_of(ids) > len(scores):
            return None
        start, end = locate_units(scores.numpy(), ids, blank=self.units.blank)
        units = self._spans(scores[start:end], ids)
        return start, end, float(np.mean([score for *_, score in units]))

    def _join(self, spelled: list[list[int]]) -> list[int]:
        """The units of words, concatenated, with the units between two words."""
        ids: list[int] = []
        for number, units in enumerate(spelled):
            ids += [*(self.units.between if number else ()), *units]
        return ids

    def _spans(self, scores, ids: list[int]) -> list[tuple[int, int, float]]:
        """(start, end, mean log probability) of each unit, on the likeliest way through all of (T, V)."""
        if not ids:
            return []
        path, found = forced_align(scores[None], torch.tensor([ids]), blank=self.units.blank)
        runs, sizes = torch.unique_consecutive(path[0], return_counts=True)
        ends = sizes.cumsum(0).tolist()
        return [
            (end - size, end, float(found[0, end - size : end].mean()))
            for run, size, end in zip(runs.tolist(), sizes.tolist(), ends, strict=True)
            if run != self.units.blank
        ]


def load_ctc(path, width, *, hidden_width=None):
    """Load the recognizer in an encoder's folder.

    Arguments
    ---------
    path : str or Path
        The encoder's folder, or its id on the hub.
    width : int
        D of the encoder's frames; those of several layers end with the output, which the head reads.
    hidden_width : int, optional
        D of one layer of the encoder; a recipe passes it on by itself. Default: any that `width` is a multiple of.

    Raises
    ------
    FileNotFoundError : the folder has no CTC head.
    ValueError : the head is for frames of another width.
    """
    path = resolve(path)
    for name in (HEAD_FILE, TOKENS_FILE):
        if not (path / name).is_file():
            raise FileNotFoundError(
                f"no {name} in {path}; without it this encoder has no transcript of its own"
            )
    weights = load_file(path / HEAD_FILE)
    num_tokens, head_width = weights["weight"].shape
    check_width(path / HEAD_FILE, head_width, width, hidden_width)
    head = nn.Linear(head_width, num_tokens)
    head.load_state_dict({name: value.float() for name, value in weights.items()})
    return CTCRecognizer(head, json.loads((path / TOKENS_FILE).read_text(encoding="utf-8")))


def load_wav2vec2_ctc(path, width, *, lowercase: bool = False, hidden_width=None):
    """Load the recognizer of a wav2vec2, HuBERT or WavLM that was fine-tuned by CTC: its head and its characters.

    Arguments
    ---------
    path : str or Path
        A Hugging Face folder (Wav2Vec2ForCTC, HubertForCTC or WavLMForCTC) with vocab.json, or an id of the hub; the encoder
        is loaded from the same one.
    width : int
        D of the encoder's frames; those of several layers end with the output, which the head reads.
    lowercase : bool
        Whether transcripts are lower-cased; default False, they have the case of the vocabulary, which is often capitals.
    hidden_width : int, optional
        See `load_ctc`.

    Raises
    ------
    FileNotFoundError : no such folder, or one that lacks a needed file.
    ValueError : a model of another kind, without a head, with an adapter on top or a vocabulary for each language, or one for
        frames of another width.
    """
    from transformers import AutoConfig, AutoModelForCTC, Wav2Vec2CTCTokenizer

    path = resolve(path)
    model_type(path, MODEL_TYPES)
    check_files(path, ("vocab.json",), what="a recognizer of characters")
    config = AutoConfig.from_pretrained(path, local_files_only=True)
    if getattr(config, "add_adapter", False):
        raise ValueError(
            f"{path}: its head reads the frames of an adapter, which the encoder does not have; give a model without"
        )
    vocabulary = json.loads((Path(path) / "vocab.json").read_text(encoding="utf-8"))
    if any(isinstance(value, dict) for value in vocabulary.values()):
        raise ValueError(f"{path}/vocab.json: has a vocabulary for each language; give a model that has one")
    check_width(path, config.hidden_size, width, hidden_width)
    with loading(path):
        model, info = AutoModelForCTC.from_pretrained(path, local_files_only=True, output_loading_info=True)
    missing = [name for name in info["missing_keys"] if name.startswith("lm_head.")]
    check_complete(path, missing, what="weights of a CTC head")
    check_finite(path, model)
    tokenizer = Wav2Vec2CTCTokenizer.from_pretrained(path, local_files_only=True)
    names = {number: token for token, number in tokenizer.get_vocab().items()}
    num_tokens = model.lm_head.out_features
    special = set(tokenizer.all_special_tokens) - {tokenizer.word_delimiter_token}
    unheard = [token for number, token in names.items() if number >= num_tokens and token not in special]
    if unheard:
        raise ValueError(
            f"{path}: its CTC head has {num_tokens} outputs, none for the token {unheard[0]!r} of its vocabulary; copy the "
            "folder again"
        )
    units = Characters(
        [names.get(number, "") for number in range(num_tokens)],
        blank=config.pad_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id,
        delimiter=tokenizer.word_delimiter_token,
        special=special,
        lowercase=lowercase,
    )
    return CTCRecognizer(model.lm_head.float(), units)


def check_width(path, width_read: int, width: int, hidden_width: int | None = None) -> None:
    """Raise ValueError if frames of `width`, of layers of `hidden_width` each, do not end with a layer of the width that the head
    at `path` reads."""
    if width % width_read or hidden_width not in (None, width_read):
        raise ValueError(
            f"recognizer: {path} is for frames of width {width_read}, the encoder's have {hidden_width or width}; use the "
            "recognizer of the encoder's own folder, or leave `recognizer` out"
        )
