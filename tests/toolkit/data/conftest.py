"""Audio that sources name."""

import numpy as np
import pytest
import soundfile


@pytest.fixture
def clips(tmp_path):
    for name in ("a", "b"):
        soundfile.write(tmp_path / f"{name}.wav", np.full(8_000, 0.1), 16_000)
    return tmp_path
