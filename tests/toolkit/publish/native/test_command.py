"""`auralign export --as` of a trained run: the card's own lines answer as the run does."""

import re
import textwrap

import pytest
import soundfile

import auralign
from auralign import cli
from recipe import make_recipe, run


@pytest.fixture(scope="module")
def trained(tmp_path_factory, make_llm, whisper_folder, yaml_of):
    """The folder of a run that can be Audio Flamingo 3, after stage 3."""
    folder, llm = tmp_path_factory.mktemp("run") / "r", make_llm("llama")
    make_recipe(folder, llm=llm, encoder=whisper_folder)
    yaml = yaml_of("audioflamingo3", llm=llm, encoder=whisper_folder)
    (folder / "hparams/sift.yaml").write_text(yaml)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for script in ("generate.py", "train.py"):
            code, out, err = run(script, "hparams/sift.yaml")
            assert code == 0, out + err
    return folder


def test_the_cards_lines_answer_as_the_run_does(trained, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(trained)
    assert cli.run(["export", "exp/sift", str(tmp_path / "plain")]) == 0
    assert cli.run(["export", "exp/sift", str(tmp_path / "out"), "--as", "audioflamingo3"]) == 0
    samples, _ = soundfile.read("data/test-3.flac", dtype="float32")
    expected = auralign.load(tmp_path / "plain").answer(samples, "What was said?", sample_rate=16_000)
    card = (tmp_path / "out/README.md").read_text()
    lines = re.search(r"^    from transformers.*?\n(?=\n)", card, flags=re.MULTILINE | re.DOTALL)[0]
    capsys.readouterr()
    exec(
        "import torch\n" + textwrap.dedent(lines).replace("THIS FOLDER", str(tmp_path / "out")),
        {"samples": samples},
    )
    assert capsys.readouterr().out.strip() == expected


def test_a_run_of_other_parts_is_refused_and_nothing_is_written(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(trained)
    with pytest.raises(ValueError, match="cannot be exported as voxtral"):
        cli.run(["export", "exp/sift", str(tmp_path / "out"), "--as", "voxtral"])
    assert not (tmp_path / "out").exists()


def test_show_says_as_what_a_run_can_be_exported(trained, monkeypatch, capsys):
    monkeypatch.chdir(trained)
    cli.run(["show", "exp/sift"])
    shown = capsys.readouterr().out.splitlines()
    assert "can be exported as: a model folder, audioflamingo3" in shown
    assert "in the way of voxtral, qwen2_audio, ultravox" in shown[-1]


def test_an_unknown_name_lists_those_that_are_known(capsys):
    with pytest.raises(SystemExit):
        cli.run(["export", "x", "y", "--as", "whisper"])
    assert "voxtral" in capsys.readouterr().err
