"""Names that recipes and model folders of an earlier auralign hold stay valid; every public name is its own canonical name."""

import pydoc

import pytest

from auralign.models import connectors, encoders, llm, recognizers
from auralign.names import RENAMED, canonical

# All that YAMLs named at commit 62a17e5: `git grep -hoE "!(name|new|apply):auralign[A-Za-z0-9_.]+" 62a17e5 | sort -u`.
NAMED = """
auralign.models.connectors.ContinuousIntegrateAndFire
auralign.models.connectors.ConvolveAndProject
auralign.models.connectors.CountedQFormer
auralign.models.connectors.MultiLayerQFormer
auralign.models.connectors.StackAndProject
auralign.models.connectors.WindowedQFormer
auralign.models.ctc.load_ctc
auralign.models.ctc.load_wav2vec2_ctc
auralign.models.encoder.load_encoder
auralign.models.llm.load_llm
auralign.models.whisper.load_whisper
auralign.models.whisper_decoder.load_whisper_recognizer
auralign.plugins.load_method
""".split()
# What they could name beside: the other public parts of the modules of that commit.
UNNAMED = """
auralign.models.connectors.Connector
auralign.models.connectors.WeightedLayers
auralign.models.connectors.fire
auralign.models.connectors.make_qformer
auralign.models.ctc.CTCRecognizer
auralign.models.ctc.Characters
auralign.models.ctc.Words
auralign.models.ctc.locate_units
auralign.models.encoder.SpeechEncoder
auralign.models.llm.Answer
auralign.models.llm.Decoding
auralign.models.llm.LLM
auralign.models.llm.lora_options
auralign.models.wav2vec2.Wav2Vec2Encoder
auralign.models.wav2vec2.load_wav2vec2
auralign.models.whisper.WhisperEncoder
auralign.models.whisper_decoder.ChunkRule
auralign.models.whisper_decoder.WhisperRecognizer
auralign.models.whisper_decoder.load_whisper_decoder
""".split()
PACKAGES = (connectors, encoders, llm, recognizers)
PUBLIC = [
    part
    for part in (getattr(package, name) for package in PACKAGES for name in package.__all__)
    if hasattr(part, "__qualname__")
]


@pytest.mark.parametrize("name", [*NAMED, *UNNAMED])
def test_a_name_of_an_earlier_auralign_finds_the_same_part(name):
    found = pydoc.locate(canonical(name))
    assert callable(found)
    assert found.__name__ == name.rpartition(".")[2]


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_a_renamed_part_is_found_under_its_new_name_alone(old, new):
    assert canonical(old) == canonical(new) == new
    assert pydoc.locate(new) is not None
    assert pydoc.locate(old) is None


@pytest.mark.parametrize("part", PUBLIC)
def test_the_canonical_name_of_a_public_part_leads_to_it(part):
    name = canonical(f"{part.__module__}.{part.__qualname__}")
    assert pydoc.locate(name) is part
    assert canonical(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "torch.nn.Linear",
        "my_package.connectors.stacking.Mine",
        "auralign.models.speech_llm.SpeechLLM",
        "auralign.models.build.build_model",
        "auralign.models.llm.LLM.generate",
        "auralign.losses.divergence.bucketed_divergence",
        "auralign.models",
        "",
    ],
)
def test_every_other_name_stays_as_it_is(name):
    assert canonical(name) == name
