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
    assert "<n embeddings through 'speech', for 'five nine sort'>" in student
    assert "'five nine sort' [" in teacher
    assert [line.split()[1] for line in teacher.splitlines() if " yes " in line] == ["target"]


def test_unknown_utterance_is_named(folder):
    with pytest.raises(ValueError, match="no utterance 'gone' in data/train.jsonl"):
        cli.run(["show", "sift", "--utt", "gone"])


def test_unknown_method_lists_what_is_there(folder):
    with pytest.raises(ValueError, match="no hparams/sit.yaml here.*here are: sift"):
        cli.run(["show", "sit"])


def test_a_method_without_answers_shows_none(folder, capsys):
    yaml = folder / "hparams" / "sift.yaml"
    yaml.write_text(yaml.read_text().replace("name: sift", "name: diva"))
    cli.run(["show", "sift"])
    assert "written by the LLM" not in capsys.readouterr().out


def test_two_places_of_speech_are_told_apart(folder, capsys):
    yaml = folder / "hparams" / "sift.yaml"
    yaml.write_text(
        yaml.read_text().replace("name: sift", "name: sift\n    views: [sp]\n    voice_branch: voice")
    )
    cli.run(["show", "sift", "--utt", "test-1"])
    student = capsys.readouterr().out.split("teacher view")[0]
    places = [line.split()[0] for line in student.splitlines() if "embeddings through" in line]
    assert [place.partition("..")[2] for place in places] == ["+n1", "+n2"]
    assert places[1].startswith("n1+")
    assert "<n1 embeddings through 'voice', for ''>" in student


def test_targets_of_another_choice_are_not_shown(folder, capsys):
    from auralign.recipe import load_recipe
    from auralign.records import Choice, Target, write_records

    its = {"method": "sift", "method_version": "1", "llm": "x", "llm_revision": "x", "frame_hash": "x"}
    its |= {"prompt_hash": "x", "decoding": {}, "seed": 1, "finish_reason": "stop"}
    choices = (Choice("none", options={"view": "sp"}), Choice("none", options={"view": "s"}))
    targets = [
        Target(key=str(number), utt_id="test-1", choice=choice, response=f"answer {number}", **its)
        for number, choice in enumerate(choices)
    ]
    hparams = load_recipe("hparams/sift.yaml")
    write_records(folder / hparams.output_folder / "targets" / "test.jsonl", targets, kind=Target)
    cli.run(["show", "sift", "--utt", "test-1"])
    out = capsys.readouterr().out
    assert "answer 1" in out
    assert "answer 0" not in out


def test_a_document_is_shown_with_whom_each_span_hears(folder, capsys):
    from auralign.records import Records, Utterance, write_records

    yaml = folder / "hparams" / "sift.yaml"
    yaml.write_text(yaml.read_text().replace("name: sift", "name: interleave"))
    path = folder / "data" / "train.jsonl"
    clips = list(Records(path, Utterance))
    text, spans = f"say {clips[0].text} now", {"train-0": [4, 4 + len(clips[0].text)]}
    document = Utterance("d1", "", 0.0, text, labels={"spans": spans}, others=("train-0",))
    write_records(path, [*clips, document], kind=Utterance)
    cli.run(["show", "sift", "--utt", "d1"])
    out = capsys.readouterr().out
    assert f"document d1 (train): {text!r}" in out
    assert f"other train-0 (0.40 s): {clips[0].text!r}" in out
    student, teacher = out.split("teacher view")
    assert f"<n embeddings of 'train-0' through 'speech', for {clips[0].text!r}>" in student
    assert [line.split()[1] for line in student.splitlines() if ".." in line] == [
        "frame",
        "before",
        "speech",
        "text",
        "frame",
    ]
