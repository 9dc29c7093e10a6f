"""A small trained model that answers about spoken digits, with a recording and its words."""

from pathlib import Path

FIXTURES = Path(__file__).parent / "fixtures"
MODELS = Path(__file__).parent.parent / "egs" / "digits" / "models"
FOLDER, LLM, ENCODER = FIXTURES / "model_62a17e5", MODELS / "llm", MODELS / "encoder"
PARTS = ["--llm", str(LLM), "--encoder", str(ENCODER)]  # arguments of commands that load it
AUDIO = FIXTURES / "digits_corpus" / "train" / "synthetic-train-miguelen-0321.flac"
WORDS = "eight two two two"


def load():
    """The loaded model."""
    import auralign

    return auralign.load(FOLDER, llm=LLM, encoder=ENCODER)
