"""The Whisper encoder's own transcript: the decoder of the same folder reads its frames, for the matched cascade.

    recognizer = load_whisper_recognizer("models/whisper-small", language="en")
    recognizer.transcribe(*recognizer.encoder([waveform, another]))           # ["Reverse three, five, nine.", ...]
    recognizer.locate(frames, lengths, [["three five"], []])                  # [[(31, 47, 0.0)], []]

Whisper's decoder always saw 1,500 frames in training: those of the speech and those of the silence that fills 30 s, among
which it looks for the end. `load_whisper_recognizer` gives it these, by an encoder of its own that pads to the whole window: the
transcript is then what Whisper's pipeline gives (without timestamps), and the cascade the best that this Whisper can do. `Guards`
are against what a Whisper writes that hears silence, such as "you".

`load_whisper_decoder` reads the very frames that the connector has, without a second encoder, and these are not what the
decoder was trained on:

* "true_length": the encoder heard no silence behind the speech. Expect repetitions and words that nobody said, above all on
  short utterances.
* "30_seconds": these frames are Whisper's very own, but those behind the end of the speech are cut off, as no connector reads
  them. It should be near.
* "whole_window": the same as by `load_whisper_recognizer`.

Axes: B batch, T frames, D width.
"""

import copy
import itertools
import re
import zlib
from collections import defaultdict
from dataclasses import dataclass

import torch
from torch import nn

from auralign.models.ctc import check_width
from auralign.models.encoder import model_type
from auralign.models.folder import check_complete, check_files, check_finite, loading, torch_dtype
from auralign.models.whisper import MEL_FRAMES_PER_FRAME, WHOLE_WINDOW, load_whisper
from auralign.text.words import plain

TASKS = ("transcribe", "translate")
WINDOW_SECONDS = 30
WITHOUT_SPACES = frozenset(("zh", "ja", "th", "lo", "my", "yue"))  # as Whisper's own code has them


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
        0.2, 0.4, 0.6, 0.8 and 1.0. None are tried unless given: a transcript is then the likeliest one, the same on every
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


class WhisperRecognizer(nn.Module):
    """Whisper's decoder, frozen, greedy.

    Utterances are read together only where they have equally many frames: its attention to frames has no mask. So nothing
    is touched by batch mates.

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
        At most so many of a chunk.
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
        """Where phrases are said inside longer audio: the times of the words of its own transcript that are nearest to each.

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
        list of B lists of (start, end, score), in frames, the end exclusive; a score is 0 where the very words were
        transcribed, and less by one over the number of words for each that was not. None instead of a place where no word of
        the phrase was.

        Raises ValueError where the folder names no heads to time words by.
        """
        if not getattr(self.generation, "alignment_heads", None):
            raise ValueError(
                "this Whisper cannot time words: its generation_config.json has no alignment_heads; take them from the model "
                "that it was made from, or locate by a recognizer of auralign.models.ctc"
            )
        return [
            self._locate_each(chunks, of_one)
            for chunks, of_one in zip(self._read(frames, lengths), phrases, strict=True)
        ]

    def _locate_each(self, chunks, phrases: list[str]) -> list[tuple[int, int, float] | None]:
        """`locate` in one utterance."""
        timed, before = [], 0
        for frames, tokens in chunks:
            timed += [(word, before + start, before + end) for word, start, end in self._time(frames, tokens)]
            before += frames.shape[1]
        found = []
        for phrase in phrases:
            words = self._words(phrase)
            place = nearest_words([word for word, *_ in timed], words)
            if place is None:
                found.append(None)
            else:
                first, last, edits = place
                found.append((timed[first][1], timed[last][2], -edits / len(words)))
        return found

    def _words(self, text: str) -> list[str]:
        """What is compared: words, or characters where there are no spaces, without case and punctuation."""
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
        token_at = [number for number, size in enumerate(_steps(ends)) for _ in range(size)]
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
        """The probability of <|nospeech|> in frames (B, T, D), where Whisper learned to write it: behind the start."""
        from transformers.modeling_outputs import BaseModelOutput

        logits = self.model(
            encoder_outputs=BaseModelOutput(last_hidden_state=frames),
            decoder_input_ids=self._prompts(len(frames))[:, :1],
            use_cache=False,
        ).logits[:, 0]
        # The token has no name of its own in the config; it stands before <|notimestamps|> in all vocabularies.
        return logits.float().softmax(-1)[:, self.generation.no_timestamps_token_id - 1].tolist()

    def _generate(self, frames, temperature: float = 0.0) -> list[tuple[list[int], float]]:
        """The tokens in frames (B, T, D), special ones left out, and their mean log probability with that of their end."""
        from transformers import GenerationMixin
        from transformers.modeling_outputs import BaseModelOutput

        config, devices = self.generation, [frames.device] if frames.is_cuda else []
        if temperature:
            config = copy.deepcopy(config)
            config.update(do_sample=True, temperature=temperature, top_k=0, top_p=1.0)
        logprobs = _LogProbs(config.eos_token_id)
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


class _LogProbs:
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


def nearest_words(words: list[str], phrase: list[str]) -> tuple[int, int, int] | None:
    """Where in a transcript the words nearest to a phrase stand.

    Those of the fewest edits: words put in, left out or replaced. Of several, the earliest; of those that start there, the
    ones whose number is nearest to the phrase's.

    Returns
    -------
    first, last, edits : int, the last inclusive; None where no word of the phrase is found.

    >>> nearest_words("please sort three nine two".split(), "three five".split())
    (2, 3, 1)
    """
    best = None
    for first in range(len(words)):
        column = list(range(len(phrase) + 1))  # edits from the first words of the phrase to no word
        for last, word in enumerate(words[first : first + 2 * len(phrase)], start=first):
            before, column = column, [column[0] + 1]
            for at, wanted in enumerate(phrase):
                replaced = before[at] + (word != wanted)
                column.append(min(replaced, before[at + 1] + 1, column[at] + 1))
            rank = (column[-1], first, abs(last + 1 - first - len(phrase)))
            if best is None or rank < best[0]:
                best = (rank, last)
    if best is None or best[0][0] >= len(phrase):
        return None
    (edits, first, _), last = best
    return first, last, edits


def _steps(ends):
    """From running totals to what each adds."""
    return (end - start for start, end in itertools.pairwise((0, *ends)))


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


def make_prompt(config, *, language: str, task: str) -> list[int]:
    """The tokens that tell Whisper what to write: start, language and task (unless it knows English alone), no timestamps.

    Arguments
    ---------
    config : transformers.GenerationConfig

    Raises ValueError on a language or task that it does not know.
    """
    if task not in TASKS:
        raise ValueError(f"task {task!r}: use {' or '.join(TASKS)}")
    known = {token.strip("<|>"): number for token, number in getattr(config, "lang_to_id", {}).items()}
    if not getattr(config, "is_multilingual", bool(known)):
        if (language, task) != ("en", TASKS[0]):
            raise ValueError(
                f"language {language!r}, task {task!r}: this Whisper transcribes English (en) alone"
            )
        wanted = []
    elif language not in known:
        raise ValueError(f"language {language!r}: this Whisper knows {', '.join(sorted(known))}")
    else:
        wanted = [known[language], config.task_to_id[task]]
    return [config.decoder_start_token_id, *wanted, config.no_timestamps_token_id]


def load_whisper_recognizer(path, *, dtype: str = "float32", **options):
    """Load a whole Whisper, which transcribes audio as it was trained to: `encoder` hears it, padded to 30 s.

    Longer audio is heard in equal chunks. Options and errors as of `load_whisper_decoder`, but for chunk_seconds.
    """
    encoder = load_whisper(path, padding=WHOLE_WINDOW, chunk_seconds=WINDOW_SECONDS, dtype=dtype)
    recognizer = load_whisper_decoder(path, encoder.width, dtype=dtype, **options)
    recognizer.encoder = encoder
    return recognizer


def load_whisper_decoder(
    path,
    width,
    *,
    language: str = "en",
    task: str = "transcribe",
    max_new_tokens: int | None = None,
    chunk_seconds: float | None = None,
    no_speech_threshold: float | None = 0.6,
    logprob_threshold: float | None = -1.0,
    compression_ratio_threshold: float | None = 2.4,
    silence_threshold: float | None = 0.9,
    temperatures=(),
    dtype: str = "float32",
):
    """Load the decoder of a Whisper folder, to read the frames of its encoder.

    Arguments
    ---------
    path : str or Path
        A local Hugging Face folder (WhisperForConditionalGeneration) with preprocessor_config.json, generation_config.json
        and the tokenizer; the encoder is loaded from the same one.
    width : int
        D of the encoder's frames; those of several layers end with the output, which the decoder reads.
    language : str
        Of the speech, such as "en"; an English-only Whisper knows "en" alone.
    task : str
        "transcribe", or "translate" into English.
    max_new_tokens : int, optional
        Of a transcript, of each chunk of long audio; half of what the decoder has positions for unless given, as Whisper's
        authors have it.
    chunk_seconds : float, optional
        The encoder's; a recipe passes it on by itself.
    no_speech_threshold, logprob_threshold, compression_ratio_threshold, silence_threshold, temperatures
        Of `Guards`: the first three as Whisper's authors have them; no transcript is sampled unless temperatures are given.
    dtype : str
        "float32", "bfloat16" or "float16".

    Raises
    ------
    FileNotFoundError : no such folder, or one that lacks a needed file.
    ValueError : another kind of model, one without decoder weights, for frames of another width, or that does not know the
        language or task.
    """
    from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration, WhisperTokenizer

    model_type(path, ("whisper",))
    check_files(path, ("generation_config.json",), what="a Whisper that transcribes")
    with loading(path):
        model, info = WhisperForConditionalGeneration.from_pretrained(
            path,
            local_files_only=True,
            dtype=torch_dtype(dtype),
            output_loading_info=True,
            attn_implementation="eager",  # gives the attention by which words are timed
        )
    missing = [name for name in info["missing_keys"] if not name.startswith("model.encoder.")]
    check_complete(path, missing, what="decoder weights")
    check_finite(path, model)
    check_width(path, model.config.d_model, width)
    model.model.encoder.layers = nn.ModuleList()  # frames come from the encoder of the recipe
    extractor = WhisperFeatureExtractor.from_pretrained(path, local_files_only=True)
    try:
        return WhisperRecognizer(
            model,
            WhisperTokenizer.from_pretrained(path, local_files_only=True),
            ChunkRule(extractor, chunk_seconds=chunk_seconds),
            language=language,
            task=task,
            max_new_tokens=max_new_tokens or model.config.max_target_positions // 2,
            guards=Guards(
                no_speech_threshold,
                logprob_threshold,
                compression_ratio_threshold,
                silence_threshold,
                tuple(temperatures),
            ),
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
