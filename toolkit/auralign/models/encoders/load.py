"""Load the encoder of a Hugging Face folder, of whichever kind the folder is."""

from auralign.hub import resolve
from auralign.models.encoders.encoder import SpeechEncoder, model_type
from auralign.models.encoders.wav2vec2 import load_wav2vec2
from auralign.models.encoders.whisper import load_whisper

# The loader of each model_type that a folder's config.json may name.
LOADERS = {
    "whisper": load_whisper,
    "wav2vec2": load_wav2vec2,
    "hubert": load_wav2vec2,
    "wavlm": load_wav2vec2,
}


def load_encoder(path, **options) -> SpeechEncoder:
    """Load the encoder of a Hugging Face folder or hub id.

    Arguments
    ---------
    path : str or Path
        A folder of one of the kinds in `LOADERS`, or an id of the hub.
    options
        Those of the kind's own loader, such as `layers` and `chunk_seconds`.

    Returns SpeechEncoder. Raises what the kind's own loader raises, and ValueError if the kind is not in `LOADERS`.
    """
    path = resolve(path)
    return LOADERS[model_type(path, LOADERS)](path, **options)
