"""`python -m auralign.testing.corpora` writes a look-alike once, and prints what a recipe's --data is."""

import subprocess
import sys

import pytest


def write(*arguments):
    command = [sys.executable, "-m", "auralign.testing.corpora", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("name", "place", "file"),
    [
        ("librispeech", "LibriSpeech", "SPEAKERS.TXT"),
        ("covost", "", "covost_v2.en_de.tsv"),
        ("slue", "SLUE", "slue-hvb/slue-hvb_test.tsv"),
        ("slue-parquet", "SLUE-parquet", "ted/test-00000-of-00001.parquet"),
    ],
)
def test_a_corpus_is_written_once(tmp_path, name, place, file):
    found = write(name, tmp_path)
    assert (found.returncode, found.stdout) == (0, f"{tmp_path / place}\n"), found.stderr
    made = (tmp_path / place / file).stat().st_mtime_ns
    assert write(name, tmp_path).stdout == found.stdout
    assert (tmp_path / place / file).stat().st_mtime_ns == made


@pytest.mark.parametrize("arguments", [[], ["librispeech"], ["fisher", "folder"]])
def test_a_mistake_prints_the_usage(arguments):
    found = write(*arguments)
    assert found.returncode == 1
    assert (
        "usage: python -m auralign.testing.corpora {librispeech,covost,slue,slue-parquet} DIR" in found.stderr
    )
