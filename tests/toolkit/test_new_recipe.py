"""What `auralign new-recipe` writes runs as it stands, and with the edits that CONTRIBUTING shows."""

import ast
import os
import shutil
from pathlib import Path

import pytest
import soundfile

from auralign.records import Question, Records, Utterance
from auralign.testing import make_speech
from recipe import run, run_stages

ROOT = Path(__file__).parents[2]
SHARED = {"path.sh", "cmd.sh", "generate.py", "train.py", "decode.py"}
FILES = {*SHARED, "run.sh", "prepare.py", "score.py", "README.md", "hparams/sift.yaml", "hparams/smoke.yaml"}
ORDERS = {  # split to (what was said, device)
    "train": [("it is too dark here", "lamp"), ("play some jazz", "radio"), ("bake the bread", "oven")],
    "valid": [("turn the music down", "radio")],
    "test": [("i want to read", "lamp"), ("warm up the soup", "oven")],
}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """As much of one as a recipe needs, with the recipe Kitchen in it."""
    root = tmp_path_factory.mktemp("checkout")
    (root / "egs").symlink_to(ROOT / "egs")
    shutil.copytree(ROOT / "tools", root / "tools", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(
        ROOT / "recipes/LibriSpeech",
        root / "recipes/LibriSpeech",
        ignore=shutil.ignore_patterns("data", "exp", "__pycache__"),
    )
    code, out, err = new_recipe(root / "recipes/LibriSpeech/hparams", "Kitchen")
    assert (code, err) == (0, "")
    assert f"{root}/recipes/Kitchen/run.sh --config hparams/smoke.yaml --data DIR" in out
    return root


@pytest.fixture(scope="module")
def kitchen(tmp_path_factory):
    """The corpus: three tables, and the clips that they name."""
    root = tmp_path_factory.mktemp("corpora") / "Kitchen"
    (root / "clips").mkdir(parents=True)
    for split, orders in ORDERS.items():
        lines = ["audio\ttext\tspeaker\tdevice"]
        for number, (text, device) in enumerate(orders):
            clip = f"clips/{split}{number}.flac"
            soundfile.write(root / clip, make_speech(0.5 + 0.1 * number, seed=number), 16_000)
            lines.append(f"{clip}\t{text}\tspeaker{number}\t{device}")
        (root / f"{split}.tsv").write_text("\n".join(lines) + "\n")
    return root


def new_recipe(folder, *arguments):
    """Exit code, stdout and stderr of the command, where one stands in `folder`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return run("auralign", "new-recipe", *arguments)


def test_all_files_of_a_recipe_are_there(checkout):
    folder = checkout / "recipes/Kitchen"
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert found == FILES


@pytest.mark.parametrize("name", sorted(SHARED))
def test_shared_files_are_copies(checkout, name):
    made, model = (checkout / "recipes" / recipe / name for recipe in ("Kitchen", "LibriSpeech"))
    assert made.read_bytes() == model.read_bytes()


def test_the_recipe_bears_the_name_of_its_corpus_alone(checkout):
    own = [path for path in (checkout / "recipes/Kitchen").rglob("*.*") if path.name not in SHARED]
    texts = {path.name: path.read_text() for path in own}
    assert not [name for name, text in texts.items() if "MyCorpus" in text or "LibriSpeech" in text]
    assert [name for name, text in texts.items() if "Kitchen" not in text] == []


def test_its_smoke_test_rejects_as_little_as_any_run(checkout):
    assert "max_rejected" not in (checkout / "recipes/Kitchen/hparams/smoke.yaml").read_text()


def test_run_sh_can_be_run(checkout):
    assert os.access(checkout / "recipes/Kitchen/run.sh", os.X_OK)


def code_of(path):
    """Lines that do something: without those of --download, which a recipe of one's own has not, and what is said in quotes."""
    lines = [line.split(" #")[0].rstrip() for line in path.read_text().splitlines() if "download" not in line]
    told = ("set_up_recipe", "if run_stage")
    lines = [
        line.removesuffix(" librispeech").removesuffix(' ""') for line in lines if line and line[0] != "#"
    ]
    return [line.split(' "')[0] if line.startswith(told) else line for line in lines]


def test_run_sh_does_what_that_of_librispeech_does(checkout):
    made, model = (checkout / "recipes" / recipe / "run.sh" for recipe in ("Kitchen", "LibriSpeech"))
    assert code_of(made) == code_of(model), "repair: tools/new_recipe/run.sh"


def test_a_folder_may_be_given(checkout, tmp_path):
    code, out, err = new_recipe(tmp_path, "Garden", "--folder", str(checkout / "mine/garden"))
    assert (code, err) == (0, "")
    assert (checkout / "mine/garden/prepare.py").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["My Corpus"], "the name 'My Corpus' will not do for a folder; use letters, digits"),
        (["../Out"], "the name '../Out' will not do"),
        (["Kitchen"], "recipes/Kitchen is there already; give another --folder, or remove it"),
        (["Garden", "--folder", "/"], "--folder /: / is no checkout of auralign"),
        (["Garden", "--folder", "recipes/LibriSpeech/x"], "recipes is no checkout of auralign"),
    ],
)
def test_a_name_or_folder_that_will_not_do_is_refused(checkout, arguments, message):
    code, _, err = new_recipe(checkout, *arguments)
    assert code == 2
    assert message in err


def test_outside_of_a_checkout_there_is_no_recipe_to_write(tmp_path):
    code, _, err = new_recipe(tmp_path, "Garden")
    assert code == 2
    assert f"{tmp_path} is in no checkout of auralign" in err
    assert list(tmp_path.iterdir()) == []


def test_the_recipe_runs_as_it_stands(checkout, kitchen, tmp_path):
    scores = run_stages(
        checkout / "recipes/Kitchen", tmp_path, data=kitchen, options=["--phrasings", "2"], num_steps=2
    )
    assert [(task["group"], task["task"], task["measure"]) for task in scores["tasks"]] == [
        ("test", "asr", "WER raw"),
        ("test", "asr", "WER normalised"),
    ]
    sizes = {split: len(Records(tmp_path / f"data/{split}.jsonl", Utterance)) for split in ORDERS}
    assert sizes == {"train": 3, "valid": 1, "test": 2}


def test_another_table_may_be_the_test_set(checkout, kitchen, tmp_path, monkeypatch):
    monkeypatch.chdir(checkout / "recipes/Kitchen")
    out = ["--data_folder", str(tmp_path)]
    code, _, err = run(
        "prepare.py", "hparams/smoke.yaml", "--data", str(kitchen), *out, "--splits", "train valid test=train"
    )
    assert code == 2  # there it would be the training set as well
    assert "no clip would be left" in err


@pytest.fixture(scope="module")
def edited(checkout, tmp_path_factory):
    """The recipe with the edits that CONTRIBUTING shows."""
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = guide.split("## A recipe for your corpus")[1].split("\n## ")[0]
    edits, score = (block.split("```")[0] for block in section.split("```python\n")[1:])
    folder = shutil.copytree(checkout / "recipes/Kitchen", checkout / "recipes/Edited")
    (folder / "prepare.py").write_text(replace((folder / "prepare.py").read_text(), edits))
    (folder / "score.py").write_text(score)
    return folder


def replace(script, edits):
    """The script, with what the edits define in the place of what bears the same name."""
    new = {name_of(node): ast.get_source_segment(edits, node) for node in ast.parse(edits).body}
    for old, name in [
        (ast.get_source_segment(script, node), name_of(node)) for node in ast.parse(script).body
    ]:
        script = script.replace(old, new.pop(name, old))
    assert new == {}, "CONTRIBUTING defines what the template of prepare.py has not"
    return script


def name_of(node):
    return node.targets[0].id if isinstance(node, ast.Assign) else getattr(node, "name", None)


def test_the_recipe_runs_with_the_edits_of_the_guide(edited, kitchen, tmp_path):
    scores = run_stages(edited, tmp_path, data=kitchen, num_steps=2)
    assert [(task["task"], task["measure"], task["num_phrasings"]) for task in scores["tasks"]] == [
        ("device", "accuracy", 2)
    ]
    questions = Records(tmp_path / "data/test.questions.jsonl", Question)
    assert [(question.utt_id, question.phrasing, question.reference) for question in questions] == [
        ("clips/test0", 0, "lamp"),
        ("clips/test0", 1, "lamp"),
        ("clips/test1", 0, "oven"),
        ("clips/test1", 1, "oven"),
    ]


@pytest.mark.parametrize(("answer", "worth"), [("Lamp.", 1.0), ("the lamp", 0.0), ("radio", 0.0)])
def test_the_judge_of_the_guide_compares_devices(edited, answer, worth):
    found = {"__name__": "score"}
    exec(compile((edited / "score.py").read_text(), "CONTRIBUTING.md", "exec"), found)
    question = Question("k", "u", "test", "device", "{speech}", "lamp")
    assert found["CorpusJudge"]().score(answer, question, "it is dark") == worth
