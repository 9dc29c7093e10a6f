"""Load the recognizer of a Whisper folder: with an encoder of its own, or on the frames of the recipe's encoder."""

from torch import nn

from auralign.hub import resolve
from auralign.models.encoders.encoder import model_type
from auralign.models.encoders.whisper import WHOLE_WINDOW, load_whisper
from auralign.models.folder import check_complete, check_files, check_finite, loading, torch_dtype
from auralign.models.recognizers.chunks import ChunkRule
from auralign.models.recognizers.ctc import check_width
from auralign.models.recognizers.guards import Guards
from auralign.models.recognizers.whisper_decoder import WhisperRecognizer

WINDOW_SECONDS = 30


def load_whisper_recognizer(path, *, dtype: str = "float32", **options):
    """Load a whole Whisper, which transcribes audio as in its training: its own `encoder` pads the audio to 30 s.

    Longer audio is encoded in equal chunks. Options and errors are those of `load_whisper_decoder`, except chunk_seconds.
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
    hidden_width: int | None = None,
    suits_decoder: bool = True,
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
        A Hugging Face folder (WhisperForConditionalGeneration) with preprocessor_config.json or processor_config.json,
        generation_config.json and the tokenizer, or an id of the hub; the encoder is loaded from the same one.
    width : int
        D of the encoder's frames; those of several layers end with the output, which the decoder reads.
    language : str
        Of the speech, such as "en"; an English-only Whisper knows "en" alone.
    task : str
        "transcribe", or "translate" into English.
    max_new_tokens : int, optional
        Length limit of the transcript of a chunk; default half of the decoder's positions, as in Whisper's own code.
    chunk_seconds : float, optional
        The encoder's; a recipe passes it on by itself.
    hidden_width : int, optional
        See `load_ctc`.
    suits_decoder : bool
        The encoder's (`WhisperEncoder.suits_decoder`); a recipe passes it on by itself. Default True.
    no_speech_threshold, logprob_threshold, compression_ratio_threshold, silence_threshold, temperatures
        See `Guards`. The defaults of the first three are those of Whisper's own code; no transcript is sampled by default.
    dtype : str
        "float32", "bfloat16" or "float16".

    Raises
    ------
    FileNotFoundError : no such folder, or one that lacks a needed file.
    ValueError : the model is of another kind, has no decoder weights, reads frames of another width, or does not know the
        language or the task, or the frames are pooled or have a masked window.
    """
    if not suits_decoder:
        raise ValueError(
            "recognizer: Whisper's decoder cannot read frames of the encoder's pool or padding: masked_window; use "
            "auralign.models.recognizers.load_whisper_recognizer, which has an encoder of its own"
        )
    from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration, WhisperTokenizer

    path = resolve(path)
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
    check_width(path, model.config.d_model, width, hidden_width)
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
