"""`python -m auralign.testing.corpora` writes a look-alike once, and prints what a recipe's --data is."""

import runpy
import sys

import pytest


@pytest.fixture
def write(monkeypatch, capsys):
    """Run the command in this process, as a new one takes seconds to import torch; gives what it prints."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["corpora", *map(str, arguments)])
        runpy.run_module("auralign.testing.corpora", run_name="__main__")
        return capsys.readouterr().out

    return run


@pytest.mark.parametrize(
    ("name", "place", "file"),
    [
        ("librispeech", "LibriSpeech", "SPEAKERS.TXT"),
        ("covost", "", "covost_v2.en_de.tsv"),
        ("slue", "SLUE", "slue-hvb/slue-hvb_test.tsv"),
        ("slue-parquet", "SLUE-parquet", "ted/test-00000-of-00001.parquet"),
    ],
)
def test_a_corpus_is_written_once(write, tmp_path, name, place, file):
    assert write(name, tmp_path) == f"{tmp_path / place}\n"
    made = (tmp_path / place / file).stat().st_mtime_ns
    assert write(name, tmp_path) == f"{tmp_path / place}\n"
    assert (tmp_path / place / file).stat().st_mtime_ns == made


@pytest.mark.parametrize("arguments", [[], ["librispeech"], ["fisher", "folder"]])
def test_a_mistake_prints_the_usage(write, arguments):
    with pytest.raises(SystemExit) as stop:
        write(*arguments)
    assert stop.value.code == (
        "usage: python -m auralign.testing.corpora {librispeech,covost,slue,slue-parquet} DIR"
    )
