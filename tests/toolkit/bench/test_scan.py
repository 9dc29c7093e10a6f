import re

import pytest

from auralign.bench import scan
from recipe import run


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(scan, "NUM_READERS", 2)
    monkeypatch.setattr(scan, "NUM_CHAPTERS", 1)


def test_the_scan_says_how_many_utterances_a_second():
    code, said, _ = run("auralign", "bench", "scan", "--repeats", "2")
    assert code == 0
    assert re.match(
        r"scan: stage 1 of LibriSpeech, 100 FLAC files by their headers, one core: [\d,]+ \([\d,]+ to [\d,]+, 2 runs\)",
        said,
    )
