"""From a folder of audio and a CSV to a ledger, as README shows it, on tiny models."""

import shutil
from pathlib import Path

import pytest

from auralign.ledger.report import read_scores
from auralign.recipe import load_recipe
from auralign.records import Question, Records, Utterance
from recipe import make_recipe
from test_mistakes import run

OWN_DATA = Path(__file__).parents[3] / "egs" / "own_data"
YAML = "hparams/sift.yaml"


@pytest.fixture(scope="module")
def folder(tmp_path_factory, make_llm, whisper_folder):
    """A recipe with clips and a table, run to its end."""
    folder = make_recipe(tmp_path_factory.mktemp("own") / "r", llm=make_llm("llama"), encoder=whisper_folder)
    shutil.copy(OWN_DATA / "score.py", folder)
    (folder / "data").rename(folder / "clips")
    splits = {"train": 12, "valid": 3, "test": 4}
    rows = [
        f"{split}-{number}.flac,three {number},{split},drei {number}"
        for split in splits
        for number in range(splits[split])
    ]
    (folder / "clips.csv").write_text("path,sentence,split,german\n" + "\n".join(rows) + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for split in splits:
            asked = ["--ask", "repeat {speech}", "--ask", "auf deutsch: {speech}", "german"]
            arguments = ["--audio-folder", "clips", "--where", f"split={split}"]
            check(
                "auralign",
                "prepare",
                "clips.csv",
                f"data/{split}.jsonl",
                *arguments,
                *(asked if split == "test" else []),
            )
        for script in ("generate.py", "train.py", "decode.py", "score.py"):
            check(script, YAML)
    return folder


def check(*command):
    code, out, err = run(*command)
    assert code == 0, out + err
    return out


def test_utterances_are_those_of_the_table(folder):
    utterances = Records(folder / "data" / "valid.jsonl", Utterance)
    assert [(u.id, u.audio, u.text) for u in utterances] == [
        (f"valid-{n}", f"../clips/valid-{n}.flac", f"three {n}") for n in range(3)
    ]
    assert utterances[1].seconds == 0.5


def test_questions_have_their_answers_from_the_table_or_none(folder):
    questions = list(Records(folder / "data" / "test.questions.jsonl", Question))
    assert [(q.utt_id, q.group, q.reference) for q in questions[:1] + questions[4:5]] == [
        ("test-0", "answered as the text", None),
        ("test-0", "german", "drei 0"),
    ]


def test_the_ledger_compares_with_the_answer_to_the_text(folder):
    ledger, *_ = read_scores(folder / "exp" / "ledger" / "scores.json")
    rates = ledger.row("sift", "answered as the text").rates
    assert (rates.text, rates.num_questions) == (1.0, 4)
    assert ledger.row("sift", "german").rates.text == 0.0


def test_without_a_recognizer_there_is_no_cascade(folder):
    ledger, _, facts = read_scores(folder / "exp" / "ledger" / "scores.json")
    assert {row.rates.transcript for row in ledger.rows} == {None}
    assert not any("word error rate" in fact for fact in facts)


def test_the_yaml_builds_from_the_digits_models(monkeypatch):
    monkeypatch.chdir(OWN_DATA)
    hparams = load_recipe(YAML)
    encoder, llm = hparams.encoder(), hparams.llm()
    assert hparams.connector(encoder.width, llm.width).num_embeddings(80) == 10
    assert encoder.hears(3600)


def test_questions_of_an_older_manifest_do_not_outlive_it(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(shutil.copytree(folder, tmp_path / "r"))
    questions = Path("data/test.questions.jsonl")
    assert questions.exists()
    where = ["--audio-folder", "clips", "--where", "split=test"]
    check("auralign", "prepare", "clips.csv", "data/test.jsonl", *where)
    assert not questions.exists()


def test_help_names_every_form():
    from auralign.data.sources import FORMS

    printed = check("auralign", "prepare", "--help")
    assert all(form in printed for form in FORMS)


@pytest.mark.parametrize("option", ["--max-seconds", "--max_seconds"])
def test_options_have_dashes_or_underscores(folder, tmp_path, monkeypatch, option):
    monkeypatch.chdir(shutil.copytree(folder, tmp_path / "r"))
    where = ["--audio_folder=clips", "--where", "split=test"]
    code, _, err = run("auralign", "prepare", "clips.csv", "data/test.jsonl", *where, option, "0.1")
    assert code != 0
    assert "longer than 0.1 s" in err
