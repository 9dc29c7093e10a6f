"""A small trained model that answers about spoken digits, with a recording and its words."""

from pathlib import Path

FIXTURES = Path(__file__).parent / "fixtures"
MODELS = Path(__file__).parent.parent / "egs" / "digits" / "models"
FOLDER, LLM, ENCODER = FIXTURES / "model_62a17e5", MODELS / "llm", MODELS / "encoder"
PARTS = ["--llm", str(LLM), "--encoder", str(ENCODER)]  # arguments of commands that load it
AUDIO = FIXTURES / "digits_corpus" / "test" / "synthetic-test-Andreaengbxrp-0191.flac"
WORDS = "eight six one four"


def load():
    """The loaded model."""
    import auralign

    return auralign.load(FOLDER, llm=LLM, encoder=ENCODER)
