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
    assert re.fullmatch(
        r"scan: [\d,]+ \([\d,]+ to [\d,]+, 2 runs\) utterances a CPU second, 100 FLAC files by their headers\n",
        said,
    )


def test_an_unknown_benchmark_is_told_with_those_there_are():
    code, _, told = run("auralign", "bench", "scna")
    assert code == 2
    assert "no benchmark 'scna'; there are: scan" in told
