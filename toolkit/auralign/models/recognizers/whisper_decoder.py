"""The Whisper encoder's own transcript: the decoder of the same folder reads its frames, for the matched cascade.

    recognizer = load_whisper_recognizer("models/whisper-small", language="en")
    recognizer.transcribe(*recognizer.encoder([waveform, another]))           # ["Reverse three, five, nine.", ...]
    recognizer.locate(frames, lengths, [["three five"], []])                  # [[(31, 47, 0.0)], []]

Whisper's decoder always saw 1,500 frames in training: those of the speech and those of the silence that fills 30 s, among
which it looks for the end. `load_whisper_recognizer` gives it these, by an encoder of its own that pads to the whole window: the
transcript is then what Whisper's pipeline gives (without timestamps), and the cascade the best that this Whisper can do. `Guards`
reject what a Whisper writes for silence, such as "you".

`load_whisper_decoder` reads the very frames that the connector has, without a second encoder, and these are not what the
decoder was trained on:

* "true_length": the encoder reads no silence behind the speech. Expect repetitions and words that nobody said, above all on
  short utterances.
* "30_seconds": these frames equal Whisper's own, but those behind the end of the speech are cut off, as no connector reads
  them. The transcript should be close to Whisper's.
* "whole_window": the same frames as by `load_whisper_recognizer`.

Axes: B batch, T frames, D width.
"""

import copy
import itertools
import re
from collections import defaultdict

import numpy as np
import torch
from torch import nn

from auralign.models.recognizers.guards import Guards, LogProbabilities
from auralign.models.recognizers.nearest import nearest_words
from auralign.models.recognizers.whisper_prompt import make_prompt
from auralign.text.words import plain

WITHOUT_SPACES = frozenset(("zh", "ja", "th", "lo", "my", "yue"))  # as Whisper's own code has them


class WhisperRecognizer(nn.Module):
    """Whisper's decoder, frozen, greedy.

    Utterances are decoded together only if they have the same number of frames, as its attention to frames has no mask: no
    transcript depends on batch mates.

    Arguments
    ---------
    model : transformers.WhisperForConditionalGeneration
        Of which the decoder is used.
    tokenizer : transformers.WhisperTokenizer
    chunks : ChunkRule
        How the frames of long audio were joined: chunks are read one by one.
    language : str
        Such as "en".
    task : str
        "transcribe" or "translate".
    max_new_tokens : int
        Length limit of the transcript of a chunk.
    guards : Guards, optional
    """

    def __init__(
        self,
        model,
        tokenizer,
        chunks,
        *,
        language: str,
        task: str,
        max_new_tokens: int,
        guards: Guards | None = None,
    ):
        super().__init__()
        self.model, self.tokenizer, self.chunks = model.eval().requires_grad_(False), tokenizer, chunks
        self.language, self.guards = language, guards or Guards()
        self.prompt = make_prompt(model.generation_config, language=language, task=task)
        room = model.config.max_target_positions - len(self.prompt)
        if not 1 <= max_new_tokens <= room:
            raise ValueError(f"max_new_tokens {max_new_tokens}: this Whisper writes 1 to {room}")
        self.generation = copy.deepcopy(model.generation_config)
        # Older folders force their prompt, which is given here; `max_length` would count it too.
        self.generation.update(
            max_new_tokens=max_new_tokens,
            max_length=None,
            forced_decoder_ids=None,
            do_sample=False,
            num_beams=1,
        )
        self._without_spaces = language in WITHOUT_SPACES and task == "transcribe"

    def train(self, mode: bool = True):
        """Stay in eval mode."""
        return super().train(False)

    @torch.no_grad()
    def transcribe(self, frames, lengths):
        """Greedy transcripts, with the case and punctuation that Whisper gives them.

        A transcript that reaches `max_new_tokens` ends there.

        Arguments
        ---------
        frames : torch.Tensor (B, T, D)
        lengths : torch.Tensor (B,), in frames

        Returns
        -------
        list of B str; those of an utterance's chunks are joined
        """
        return [
            self._join(self._decode(tokens) for _, tokens in chunks) for chunks in self._read(frames, lengths)
        ]

    @torch.no_grad()
    def locate(self, frames, lengths, phrases):
        """Find phrases inside longer audio: the times of those words of the transcript that are nearest to each.

        Words are timed by the decoder's attention to frames, of those heads that the folder names: transformers' dynamic time
        warping, as Whisper's authors do it. The first word of a chunk takes the silence before it, and times are off by
        tenths of a second elsewhere too. See `nearest_words` for what is nearest.

        Arguments
        ---------
        frames : torch.Tensor (B, T, D)
        lengths : torch.Tensor (B,), in frames
        phrases : list of B lists of str

        Returns
        -------
        list of B lists of (start, end, score), in frames, the end exclusive. The score is 0 if exactly these words were
        transcribed, and lower by one over the number of words for each word that was not. None instead of a tuple if no word
        of the phrase was transcribed.

        Raises ValueError if the folder names no heads to time words by.
        """
        self._check_heads()
        return [
            self._locate_each(chunks, of_one)
            for chunks, of_one in zip(self._read(frames, lengths), phrases, strict=True)
        ]

    @torch.no_grad()
    def align(self, frames, lengths, texts):
        """Time the words of a text, which is taken as true, by the decoder's attention to frames; see `locate`.

        A text in capitals, as LibriSpeech's, is read in small letters, which the decoder knows better.

        Arguments
        ---------
        frames : torch.Tensor (B, T, D)
        lengths : torch.Tensor (B,), in frames
        texts : list of B str

        Returns
        -------
        list of B lists of (word, start, end), in frames, the end exclusive; words of punctuation alone are left out. None
        instead of a list if the speech is longer than one chunk, or the text is longer than the decoder's context.

        Raises ValueError if the folder names no heads to time words by.
        """
        self._check_heads()
        return [
            self._align_one(row[:length], text)
            for row, length, text in zip(frames, lengths.tolist(), texts, strict=True)
        ]

    def unknown_words(self, text: str) -> list[str]:
        """The words that cannot be aligned: none, as the tokens spell every text."""
        return []

    def _align_one(self, frames, text: str):
        """`align` for the frames (T, D) of one utterance."""
        words = [match[0] for match in self._match_words(text) if plain(match[0])]
        spoken = " " * (not self._without_spaces) + (text.lower() if text.isupper() else text).strip()
        tokens = self.tokenizer(spoken, add_special_tokens=False)["input_ids"]
        is_long = len(self.prompt) + len(tokens) > self.model.config.max_target_positions
        if len(self.chunks.lengths(len(frames))) > 1 or is_long:
            return None
        piece = frames[None, :, -self.model.config.d_model :].to(self.model.device, self.model.dtype)
        timed = self._time(piece, tokens)
        if len(timed) != len(words):
            return None
        return [(word, start, end) for word, (_, start, end) in zip(words, timed, strict=True)]

    def _check_heads(self) -> None:
        if not getattr(self.generation, "alignment_heads", None):
            raise ValueError(
                "this Whisper cannot time words: its generation_config.json has no alignment_heads; take them from the model "
                "that it was made from, or use another recognizer of auralign.models.recognizers"
            )

    def _locate_each(self, chunks, phrases: list[str]) -> list[tuple[int, int, float] | None]:
        """`locate` in one utterance."""
        timed, before = [], 0
        for frames, tokens in chunks:
            timed += [(word, before + start, before + end) for word, start, end in self._time(frames, tokens)]
            before += frames.shape[1]
        found = []
        for phrase in phrases:
            words = self._words(phrase)
            nearest = nearest_words([word for word, *_ in timed], words)
            if nearest is None:
                found.append(None)
            else:
                first, last, edits = nearest
                found.append((timed[first][1], timed[last][2], -edits / len(words)))
        return found

    def _words(self, text: str) -> list[str]:
        """The words of a text, or characters in a language without spaces, without case and punctuation."""
        return [plain(match[0]) for match in self._match_words(text) if plain(match[0])]

    def _match_words(self, text: str):
        return re.finditer(r"\S" if self._without_spaces else r"\S+", text)

    def _time(self, frames, tokens: list[int]) -> list[tuple[str, int, int]]:
        """The words of a chunk (1, T, D) as `_words` gives them, with start and end in frames."""
        starts = self._token_starts(frames, tokens)
        # How much text there is with each token; a character of several tokens is there, as another, from the first on.
        ends = itertools.accumulate(
            (len(self._decode(tokens[: number + 1])) for number in range(len(tokens))), max
        )
        token_at = np.repeat(np.arange(len(tokens)), np.diff([0, *ends]))
        found = []
        for match in self._match_words(self._decode(tokens)):
            word, first, last = plain(match[0]), token_at[match.start()], token_at[match.end() - 1]
            if word:
                found.append((word, starts[first], max(starts[last + 1], starts[first] + 1)))
        return found

    def _token_starts(self, frames, tokens: list[int]) -> list[int]:
        """The frame at which each token starts, and that at which the last ends."""
        from transformers.generation import GenerateEncoderDecoderOutput
        from transformers.modeling_outputs import BaseModelOutput

        if not tokens:
            return [0]
        prompt = self._prompts(1)
        ids = torch.cat([prompt, torch.tensor([tokens], device=prompt.device)], dim=1)
        outputs = self.model(
            encoder_outputs=BaseModelOutput(last_hidden_state=frames),
            decoder_input_ids=ids,
            output_attentions=True,
            use_cache=False,
        )
        # A token is written by the position before it: the prompt's last writes the first, the last token's writes the end.
        times = self.model._extract_token_timestamps(
            GenerateEncoderDecoderOutput(
                sequences=ids, cross_attentions=(tuple(layer.float() for layer in outputs.cross_attentions),)
            ),
            self.generation.alignment_heads,
            time_precision=1.0,
            num_input_ids=len(self.prompt) - 1,
        )[0, len(self.prompt) - 1 : -1]
        return [min(max(0, round(time)), frames.shape[1] - 1) for time in times.tolist()]

    def _join(self, texts) -> str:
        """One text of those of several chunks."""
        stripped = [text.strip() for text in texts]
        return ("" if self._without_spaces else " ").join(text for text in stripped if text)

    def _read(self, frames, lengths) -> list[list[tuple[torch.Tensor, list[int]]]]:
        """Of each utterance, its chunks: frames (1, T, D) and the tokens in them."""
        width = self.model.config.d_model
        cut = [
            list(row[:length, -width:].split(self.chunks.lengths(length)))
            for row, length in zip(frames, lengths.tolist(), strict=True)
        ]
        pieces = [piece[None].to(self.model.device, self.model.dtype) for of_one in cut for piece in of_one]
        by_length = defaultdict(list)
        for number, piece in enumerate(pieces):
            by_length[piece.shape[1]].append(number)
        tokens: dict[int, list[int]] = {}
        for numbers in by_length.values():
            found = self._transcribe_batch(torch.cat([pieces[number] for number in numbers]))
            tokens.update(zip(numbers, found, strict=True))
        number = itertools.count()
        return [[(pieces[at], tokens[at]) for at in itertools.islice(number, len(of_one))] for of_one in cut]

    def _transcribe_batch(self, frames) -> list[list[int]]:
        """The tokens in frames (B, T, D) without padding, as the guards let them pass."""
        found = self._generate(frames)
        guards = self.guards
        if guards.no_speech_threshold is guards.silence_threshold is None and not guards.temperatures:
            return [tokens for tokens, _ in found]
        silence = self._no_speech(frames)
        return [self._guard(*of_one) for of_one in zip(frames.split(1), found, silence, strict=True)]

    def _guard(self, frames, found: tuple[list[int], float], no_speech: float) -> list[int]:
        """The tokens of one chunk (1, T, D): none of silence, others instead of poor ones."""
        tokens, logprob = found
        for temperature in self.guards.temperatures:
            if self.guards.is_silent(no_speech, logprob):
                return []
            if not self.guards.is_poor(self._decode(tokens).strip(), logprob):
                return tokens
            ((tokens, logprob),) = self._generate(frames, temperature)
        return [] if self.guards.is_silent(no_speech, logprob) else tokens

    def _no_speech(self, frames) -> list[float]:
        """The probability of <|nospeech|> in frames (B, T, D), at its position in training: after the start token."""
        from transformers.modeling_outputs import BaseModelOutput

        logits = self.model(
            encoder_outputs=BaseModelOutput(last_hidden_state=frames),
            decoder_input_ids=self._prompts(len(frames))[:, :1],
            use_cache=False,
        ).logits[:, 0]
        # The config does not name the token; it precedes <|notimestamps|> in all vocabularies.
        return logits.float().softmax(-1)[:, self.generation.no_timestamps_token_id - 1].tolist()

    def _generate(self, frames, temperature: float = 0.0) -> list[tuple[list[int], float]]:
        """The tokens in frames (B, T, D), special ones left out, and their mean log probability with that of their end."""
        from transformers import GenerationMixin
        from transformers.modeling_outputs import BaseModelOutput

        config, devices = self.generation, [frames.device] if frames.is_cuda else []
        if temperature:
            config = copy.deepcopy(config)
            config.update(do_sample=True, temperature=temperature, top_k=0, top_p=1.0)
        logprobs = LogProbabilities(config.eos_token_id)
        with torch.random.fork_rng(devices):
            torch.manual_seed(0)  # what is sampled is a function of the frames
            # The Whisper class's own `generate` moves a window over features; here the frames are there.
            found = GenerationMixin.generate(
                self.model,
                encoder_outputs=BaseModelOutput(last_hidden_state=frames),
                decoder_input_ids=self._prompts(len(frames)),
                generation_config=config,
                logits_processor=[logprobs],
            )
        logprobs.add(found)
        special = set(self.tokenizer.all_special_ids)
        rows = [
            [token for token in row if token not in special] for row in found[:, len(self.prompt) :].tolist()
        ]
        return [
            (row, total / (len(row) + 1)) for row, total in zip(rows, logprobs.totals.tolist(), strict=True)
        ]

    def _prompts(self, num_rows: int) -> torch.Tensor:
        return torch.tensor([self.prompt] * num_rows, device=self.model.device)

    def _decode(self, tokens: list[int]) -> str:
        return self.tokenizer.decode(tokens, skip_special_tokens=True)
