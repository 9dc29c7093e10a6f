"""Every recipe runs on its look-alike: from the raw folder to scores.json, stage by stage, killed and resumed."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

from auralign.files import read_json
from auralign.records import Records, Target
from auralign.testing import make_tiny_llm
from auralign.testing.corpora.covost import make_covost
from auralign.testing.corpora.librispeech import make_librispeech
from auralign.testing.corpora.slue import make_slue, make_slue_phase_2
from recipe import contents, run, run_script

ROOT = Path(__file__).parent.parent.parent
SMOKE = "hparams/smoke.yaml"
SCRIPTS = ("prepare.py", "generate.py", "train.py", "decode.py", "score.py")
# Of each recipe: the maker of its look-alike, which gives what --data is, and what else run.sh is told.
CORPORA = {
    "CoVoST-2": (lambda folder: make_covost(folder, sound=True)[0].parent, []),
    "LibriSpeech": (lambda folder: make_librispeech(folder, sound=True), ["--limit-test", "2"]),
    "SLUE": (lambda folder: (make_slue(folder), make_slue_phase_2(folder))[0], []),
}


def test_every_recipe_has_a_look_alike():
    assert set(CORPORA) == {path.name for path in (ROOT / "recipes").iterdir() if path.is_dir()}


def copy_recipe(name, folder):
    """The recipe alone, beside what it uses of the checkout."""
    place = folder / "recipes" / name
    shutil.copytree(
        ROOT / "recipes" / name, place, ignore=shutil.ignore_patterns("data", "exp", "__pycache__")
    )
    (folder / "egs").mkdir()
    (folder / "egs" / "digits").symlink_to(ROOT / "egs" / "digits")
    (folder / "tools").symlink_to(ROOT / "tools")
    # Without the look for what is to be installed: this Python has it.
    (place / "path.sh").write_text(f'export PATH="${{PROGRAMS:-{Path(sys.executable).parent}}}:$PATH"\n')
    return place


class Smoke:
    """A recipe in a folder of its own, run once from its raw data to its scores."""

    def __init__(self, name, folder):
        make, self.options = CORPORA[name]
        self.data = make(folder / "corpus")
        self.folder = copy_recipe(name, folder)
        self.printed = self.run_all()

    def arguments(self, script):
        return [SMOKE, "--data", str(self.data), *self.options] if script == "prepare.py" else [SMOKE]

    def run_all(self):
        """What each script prints."""
        return {name: run_script(self.folder, name, *self.arguments(name)).stdout for name in SCRIPTS}

    def run_shell(self, *options, **environment):
        command = ["bash", str(self.folder / "run.sh"), "--config", SMOKE, "--data", str(self.data)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
        command += [*self.options, *options]
        return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)


@pytest.fixture(scope="module", params=sorted(CORPORA))
def smoke(request, tmp_path_factory):
    return Smoke(request.param, tmp_path_factory.mktemp(request.param))


def test_a_recipe_runs_from_the_raw_folder_to_its_scores(smoke):
    scores = read_json(smoke.folder / "exp" / "smoke" / "ledger" / "scores.json")
    assert scores["tasks"]
    for row in scores["ledger"]["rows"]:
        assert {"text", "transcript", "speech", "shuffled"} <= {
            k for k, v in row["rates"].items() if v is not None
        }


def test_the_answers_from_text_prove_the_scoring(smoke):
    """The tiny LLM was built to answer the text with the references: a rule that loses them would show here."""
    scores = read_json(smoke.folder / "exp" / "smoke" / "ledger" / "scores.json")
    text = {row["group"]: row["rates"]["text"] for row in scores["ledger"]["rows"]}
    assert min(text.values()) > 0.5, text


def test_the_page_links_the_speech_of_each_answer(smoke):
    ledger = smoke.folder / "exp" / "smoke" / "ledger"
    text = (ledger / "report.html").read_text(encoding="utf-8")
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.S)[1])
    assert data["utterances"]
    for utterance in data["utterances"]:
        assert (ledger / unquote(utterance["audio"].partition("#")[0])).is_file()
    made = text[text.index('id="made-heading"') :]
    for shown in ("1 prepare", "2 generate train", "3 train", "4 decode speech", "trained parameters"):
        assert shown in made


def test_a_task_is_asked_in_five_phrasings(smoke):
    scores = read_json(smoke.folder / "exp" / "smoke" / "ledger" / "scores.json")
    assert {table["num_phrasings"] for table in scores["tasks"]} == {5}


def test_a_second_run_finds_all_stages_complete(smoke):
    assert all("already complete for these inputs, skipped" in text for text in smoke.run_all().values())


def test_what_was_killed_goes_on_to_the_same_answers(smoke):
    answers = smoke.folder / "exp" / "smoke" / "sift" / "hypotheses"
    before = contents(answers)
    for path in [answers / "test.speech.jsonl", *answers.glob(".decode_speech.*")]:
        path.unlink()
    killed = run_script(smoke.folder, "decode.py", SMOKE, killed_at=("fsync", 3), check=False)
    assert killed.returncode == 137
    run_script(smoke.folder, "decode.py", SMOKE)
    assert contents(answers) == before


def test_run_sh_ends_in_the_table(smoke):
    done = smoke.run_shell("--stage", "5")
    assert done.returncode == 0, done.stderr
    assert "The metrics of the tasks" in done.stdout
    assert "The gap ledger" in done.stdout


def test_the_default_method_asks_an_llm_that_has_the_template_of_the_default_one(tmp_path):
    """Qwen2.5's real template puts a system prompt of its own, where SIFT asks for none: stage 2 once stopped there."""
    template = (ROOT / "tests" / "fixtures" / "chat_templates" / "qwen2.5.jinja").read_text(encoding="utf-8")
    llm = make_tiny_llm(tmp_path / "llm", kind="qwen2", chat_template=template)
    make, options = CORPORA["LibriSpeech"]
    folder = copy_recipe("LibriSpeech", tmp_path)
    run_script(folder, "prepare.py", SMOKE, "--data", str(make(tmp_path / "corpus")), *options)
    models = [
        "--llm_folder",
        str(llm),
        "--encoder_folder",
        str(ROOT / "egs" / "digits" / "models" / "encoder"),
    ]
    small = [
        "--data_folder",
        "data/smoke",
        "--device",
        "cpu",
        "--max_new_tokens",
        "4",
        "--max_rejected",
        "1.0",
    ]
    run_script(folder, "generate.py", "hparams/sift.yaml", *models, *small)
    targets = Records(folder / "exp" / "sift" / "seed_1" / "targets" / "train.jsonl", Target)
    assert {target.choice.task for target in targets} == {"none"}


STUB = """#!/usr/bin/env bash
echo "PYTHON $*"
"""


def test_run_sh_runs_the_five_scripts_in_their_order(smoke, tmp_path):
    (tmp_path / "python").write_text(STUB)
    (tmp_path / "python").chmod(0o755)
    done = smoke.run_shell("--", "--seed", "2", PROGRAMS=str(tmp_path))
    assert done.returncode == 0, done.stderr
    ran = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("PYTHON")]
    assert [words[0] for words in ran] == list(SCRIPTS)
    assert all(words[1] == SMOKE and words[-2:] == ["--seed", "2"] for words in ran)
    assert ran[0][2:4] == ["--data", str(smoke.data)]


@pytest.fixture(params=sorted(CORPORA))
def recipe(request, tmp_path):
    return copy_recipe(request.param, tmp_path)


def shell(recipe, *options):
    return subprocess.run(
        ["bash", str(recipe / "run.sh"), *options], capture_output=True, text=True, timeout=60
    )


def test_help_is_the_header_of_run_sh(recipe):
    done = shell(recipe, "--help")
    assert done.returncode == 0
    assert "--config hparams/smoke.yaml" in done.stdout
    assert "Stages: 1 prepare" in done.stdout


@pytest.mark.parametrize("option", ["--experiment", "--method"])
def test_an_unknown_experiment_is_refused_with_the_known_ones(recipe, option):
    done = shell(recipe, option, "sifft")
    assert done.returncode == 2
    assert "no hparams/sifft.yaml; there are: " in done.stderr
    assert "sift" in done.stderr.split("there are: ")[1]


def test_a_corpus_that_is_not_given_is_asked_for(recipe):
    done = shell(recipe, "--config", SMOKE, "--stop-stage", "1")
    assert done.returncode == 2
    assert "run.sh: --data DIR is not given: " in done.stderr


def test_models_that_are_not_there_are_asked_for_before_anything_runs(recipe):
    (recipe / "models").mkdir()
    yaml = (recipe / "hparams" / "sift.yaml").read_text().replace("Qwen/Qwen2.5-7B-Instruct", "models/llm")
    (recipe / "hparams" / "own.yaml").write_text(yaml)
    done = shell(recipe, "--data", str(recipe), "--config", "hparams/own.yaml")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--llm MODEL is not given, and models/llm of hparams/own.yaml is not there" in done.stderr


@pytest.mark.parametrize("model", ["org/name", "org/name@main", "models/name@v1.0"])
def test_a_model_is_given_by_its_id_on_the_hub(recipe, model):
    (recipe / "models").mkdir()
    done = shell(recipe, "--llm", model, "--encoder", model, "--stop-stage", "2")  # stops for want of --data
    assert "no folder" not in done.stderr
    assert "--data DIR is not given" in done.stderr


@pytest.mark.parametrize("folder", ["!ref <root>/llm", '"my models/llm"', "'my models/llm'  # quoted"])
def test_models_that_a_yaml_names_in_another_way_are_found(recipe, folder):
    (recipe / "my models" / "llm").mkdir(parents=True)
    yaml = f"root: my models\nllm_folder: {folder}\nencoder_folder: !ref <llm_folder>\n"
    (recipe / "hparams" / "own.yaml").write_text(yaml)
    done = shell(recipe, "--config", "hparams/own.yaml", "--stop-stage", "2")  # stops for want of --data
    assert "is not there" not in done.stderr
    assert "--data DIR is not given" in done.stderr


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--data", "/nowhere", "--config", SMOKE], "--data: no folder /nowhere; give "),
        (["--data", ".", "--llm", "/nowhere"], "--llm: no folder /nowhere; give a Hugging Face folder"),
        (["--config", SMOKE, "--experiment", "sift"], "give --experiment or --config, not both"),
        (["--config", SMOKE, "--method", "sift"], "give --method or --config, not both"),
    ],
)
def test_a_mistake_is_told_before_anything_is_installed(recipe, options, told):
    (recipe / "path.sh").write_text("echo installing\n")
    done = shell(recipe, *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr


def test_a_corpus_that_is_not_there_is_told_in_a_line(recipe, tmp_path, monkeypatch):
    monkeypatch.chdir(recipe)
    code, _, told = run("prepare.py", SMOKE, "--data", str(tmp_path / "nowhere"))
    assert code == 2
    assert f"no folder {tmp_path / 'nowhere'}; give the corpus: --data DIR" in told


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_script_answers_help(recipe, monkeypatch, script):
    monkeypatch.chdir(recipe)
    code, said, told = run(script, "--help")
    assert (code, told) == (0, "")
    assert "usage: " in said
