"""A third-party method: the example is what `auralign new-method` writes, installs beside auralign, trains, and goes again."""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

import auralign
from recipe import make_recipe, run

ROOT = Path(__file__).parents[3]
BOTH = """
import runpy
for script in ("generate.py", "train.py"):
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as stop:
        if stop.code:
            raise
"""
EXAMPLE, TEMPLATE = ROOT / "egs" / "my_method", Path(auralign.__file__).parent / "template"


def texts(folder):
    return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir() if path.is_file()}


def test_the_template_is_the_example():
    assert texts(TEMPLATE) == texts(EXAMPLE), f"repair: cp {TEMPLATE}/* {EXAMPLE}/"


def test_new_method_writes_the_example_under_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = run("auralign", "new-method", "key_words")
    assert (code, err) == (0, "")
    assert "pip install -e auralign-key-words" in out
    written = texts(tmp_path / "auralign-key-words")
    assert set(written) == {"pyproject.toml", "key_words.py", "test_key_words.py", "README.md"}
    assert "class KeyWords(AlignmentMethod)" in written["key_words.py"]
    assert 'key_words = "key_words:KeyWords"' in written["pyproject.toml"]
    assert not any(
        "my_method" in text or "MyMethod" in text or "my-method" in text for text in written.values()
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["Key-Words"], "the name 'Key-Words' is no Python module"),
        (["class"], "the name 'class' is no Python module"),
        (["words_"], "the name 'words_' is no Python module"),  # pip takes no package auralign-words-
        (["sift"], "a method 'sift' is installed already"),
        (["other", "--folder", "."], "is there already"),
    ],
)
def test_a_name_or_folder_that_will_not_do_is_refused(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, _, err = run("auralign", "new-method", *arguments)
    assert code == 2
    assert message in err


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """A fresh virtual environment that sees this one's packages, with the example installed in it."""
    folder = tmp_path_factory.mktemp("environment") / "venv"
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    (site,) = (folder / "lib").glob("python*/site-packages")
    here = [path for path in sys.path if path.endswith("site-packages")]
    (site / "outer.pth").write_text("\n".join(f"import site; site.addsitedir({path!r})" for path in here))
    install = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--editable",
        str(copy(folder)),
    ]
    call(python, *install)
    return python


def copy(folder):
    """A copy of the example: building leaves files beside it."""
    import shutil

    return shutil.copytree(EXAMPLE, folder.parent / "my_method")


def call(python, *arguments, cwd=None, check=True):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [python, *arguments], capture_output=True, text=True, cwd=cwd, env=environment, timeout=300
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_an_installed_method_is_listed_trains_and_goes_again(environment, tmp_path, make_llm, whisper_folder):
    assert "ok    my_method" in call(environment, "-m", "auralign", "methods", "--check")
    recipe = make_recipe(tmp_path / "r", llm=make_llm("llama"), encoder=whisper_folder, method="my_method")
    call(environment, "-c", BOTH, "hparams/my_method.yaml", cwd=recipe)
    log = json.loads((recipe / "exp" / "my_method" / "log.json").read_text())
    assert log[-1]["train_loss"] < log[0]["train_loss"]
    call(environment, "-m", "pip", "uninstall", "--quiet", "--yes", "auralign-my-method")
    assert "my_method" not in call(environment, "-m", "auralign", "methods")
    said = call(environment, "train.py", "hparams/my_method.yaml", cwd=recipe, check=False)
    assert "no alignment method 'my_method'" in said


def test_a_method_in_a_file_beside_the_recipe_needs_no_package(
    tmp_path, make_llm, whisper_folder, monkeypatch
):
    recipe = make_recipe(tmp_path / "r", llm=make_llm("llama"), encoder=whisper_folder)
    (recipe / "my_file.py").write_text((EXAMPLE / "my_method.py").read_text())
    yaml = recipe / "hparams" / "sift.yaml"
    text = yaml.read_text().replace(
        "!apply:auralign.plugins.load_method\n    name: sift",
        "!new:my_file.MyMethod\n    instruction: 'say {speech}'",
    )
    assert "my_file" in text
    yaml.write_text(text)
    monkeypatch.chdir(recipe)
    for script in ("generate.py", "train.py"):
        code, out, err = run(script, "hparams/sift.yaml")
        assert code == 0, out + err
    targets = [
        json.loads(line) for line in (recipe / "exp/sift/targets/train.jsonl").read_text().splitlines()[1:]
    ]
    assert {(target["method"], target["choice"]["instruction"]) for target in targets} == {
        ("my_method", "say {speech}")
    }
