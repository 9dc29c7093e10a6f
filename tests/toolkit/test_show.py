"""`auralign show` prints what the model reads."""

import pytest

from auralign import cli
from recipe import make_recipe


@pytest.fixture
def folder(tmp_path, make_llm, monkeypatch):
    folder = make_recipe(tmp_path / "r", llm=make_llm("llama"), encoder="none")
    monkeypatch.chdir(folder)
    return folder


def test_prints_pieces_with_positions_and_loss(folder, capsys):
    cli.run(["show", "sift", "--utt", "test-1"])
    out = capsys.readouterr().out
    assert "utterance test-1 (test, 0.50 s): 'five nine sort'" in out
    student, teacher = out.split("teacher view")
    assert "<embeddings of the branch 'speech'" in student
    assert "'five nine sort' [" in teacher
    assert [line.split()[1] for line in teacher.splitlines() if " yes " in line] == ["target"]


def test_unknown_utterance_is_named(folder):
    with pytest.raises(ValueError, match="no utterance 'gone' in data/train.jsonl"):
        cli.run(["show", "sift", "--utt", "gone"])


def test_unknown_method_lists_what_is_there(folder):
    with pytest.raises(ValueError, match="no hparams/sit.yaml here.*here are: sift"):
        cli.run(["show", "sit"])
