"""Builders: a step of stage 1 that makes a manifest of a manifest, or of a file of texts: `auralign build NAME`.

    measure   labels: signal-to-noise ratio, seconds a word, clipping, language, and what functions of the user's give
    chunk     pieces of long recordings, cut at pauses
    relate    the rows in the order of a path through their nearest neighbours, each with its relatives as `others`
    negate    rows of other texts as `others`
    voice     documents of which spans are spoken by speech synthesis

A builder says what it makes as steps, one for a row or a document; `build` runs them, keeps what each made, so that an
interrupted run goes on, and writes the manifest with its account. A builder is any class with the members of `Builder`.
"""

from auralign.lazy import lazily

BUILDERS = {
    "measure": "Measure",
    "chunk": "Chunk",
    "relate": "Relate",
    "negate": "Negate",
    "voice": "VoiceSpans",
}

__getattr__, __all__ = lazily(
    "auralign.builders",
    {
        "builder": ["Builder", "Rows", "build"],
        "measure": ["Measure"],
        "chunk": ["Chunk"],
        "relate": ["Relate"],
        "negate": ["Negate"],
        "voice": ["VoiceSpans"],
        "voices": ["Espeak", "Hibari", "Voice"],
    },
)
