"""Names of auralign's parts, as recipes and model folders write them: a name stays valid when a part moves.

>>> canonical("auralign.models.whisper.load_whisper")
'auralign.models.encoders.load_whisper'
>>> canonical("auralign.models.connectors.stacking.StackAndProject")
'auralign.models.connectors.StackAndProject'
>>> canonical("peft.LoraConfig")
'peft.LoraConfig'
"""

_ENCODERS, _RECOGNIZERS = "auralign.models.encoders", "auralign.models.recognizers"
# Module of an earlier auralign, the package that its parts are in now, and those parts.
_MOVED = (
    ("auralign.models.encoder", _ENCODERS, ("SpeechEncoder", "load_encoder")),
    ("auralign.models.whisper", _ENCODERS, ("WhisperEncoder", "load_whisper")),
    ("auralign.models.wav2vec2", _ENCODERS, ("Wav2Vec2Encoder", "load_wav2vec2")),
    (
        "auralign.models.ctc",
        _RECOGNIZERS,
        ("CTCRecognizer", "Characters", "Words", "load_ctc", "load_wav2vec2_ctc", "locate_units"),
    ),
    (
        "auralign.models.whisper_decoder",
        _RECOGNIZERS,
        ("ChunkRule", "WhisperRecognizer", "load_whisper_decoder", "load_whisper_recognizer"),
    ),
)
# Old name -> canonical name. A part that moves again gets a line here, and the names it had before stay.
RENAMED = {f"{module}.{part}": f"{package}.{part}" for module, package, parts in _MOVED for part in parts}

_MODELS = "auralign.models"


def canonical(name: str) -> str:
    """The name by which a part is written and compared, whichever name or file it was found under.

    Arguments
    ---------
    name : str
        A dotted path such as a `!name:` of a YAML, a "call" of an auralign.json, or module and qualified name of an object.

    Returns str: the new name if the part was renamed; without the file if the part is in a package of `auralign.models`, whose
    files are private; every other name unchanged.
    """
    name = RENAMED.get(name, name)
    package, *rest = name.removeprefix(f"{_MODELS}.").split(".")
    # Files are in lower case; what follows the package in `auralign.models.llm.LLM.generate` is a class.
    if name.startswith(f"{_MODELS}.") and len(rest) > 1 and rest[0].islower():
        return ".".join((_MODELS, package, *rest[1:]))
    return name
