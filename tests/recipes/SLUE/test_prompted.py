"""PCP on the sentiments of a look-alike, with tiny models: pseudo-labels of the transcripts, then few labels."""

from pathlib import Path

import pytest

from auralign.records import Records, Target, Utterance
from auralign.testing.corpora.slue import make_slue
from recipe import run

RECIPE = Path(__file__).resolve().parents[3] / "recipes" / "SLUE"
METHOD = ["--method.name", "prompted", "--method.template", "{speech}\nPositive, Neutral or Negative?"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Both stages, of which the second goes on from the first with two labels."""
    folder = tmp_path_factory.mktemp("prompted")
    release = make_slue(folder / "release")
    labels = ["--method.label", "sentiment", "--num_train_utts", "2", "--init_from", str(folder / "pseudo")]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(RECIPE)
        data = ["hparams/smoke.yaml", "--data_folder", str(folder / "data")]
        succeed("prepare.py", *data, "--data", str(release), "--corpora", "voxceleb")
        for name, options in (("pseudo", METHOD), ("few", [*METHOD, *labels])):
            for script in ("generate.py", "train.py"):
                succeed(script, *data, "--output_folder", str(folder / name), *options)
    return folder


def succeed(*command):
    code, out, err = run(*command)
    assert code == 0, out + err


def targets(folder, name):
    return list(Records(folder / name / "targets" / "train.jsonl", Target))


def test_the_llm_labels_training_utterances_alone_and_then_few_have_the_corpus_s_labels(folder):
    ids = {one.id for one in Records(folder / "data" / "train.jsonl", Utterance)}
    pseudo, few = targets(folder, "pseudo"), targets(folder, "few")
    assert {one.utt_id for one in pseudo} <= ids and {one.finish_reason for one in few} == {"given"}
    assert len(few) == 2 and pseudo  # how many answers of a random LLM are kept depends on the processor
    labels = {one.id: one.labels["sentiment"] for one in Records(folder / "data" / "train.jsonl", Utterance)}
    assert {one.utt_id: one.response for one in few} == {one.utt_id: labels[one.utt_id] for one in few}


def test_few_labels_go_on_from_the_pseudo_labels(folder):
    assert (folder / "few" / "log.json").is_file()
    assert str(folder / "pseudo") in (folder / "few" / "run.json").read_text()
