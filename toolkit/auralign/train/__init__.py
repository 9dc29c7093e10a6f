"""Stage 3: train the connector on the targets."""

import auralign.models  # noqa: F401  # before SpeechBrain, which imports torchaudio
