"""The published values of each method: they load, make the method, and name their sources."""

import dataclasses
import re
from pathlib import Path

import pytest

import auralign_methods
from auralign.cli import main
from auralign.plugins import find_methods
from auralign.recipe.recipe import Recipe

FOLDER = Path(auralign_methods.__file__).parent / "as_published"
SHIPPED = [entry.name for entry in find_methods() if entry.package == "auralign"]
WIDTH = 64


def load(name):
    from hyperpyyaml import load_hyperpyyaml

    return load_hyperpyyaml((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))


def test_each_method_has_its_published_values():
    assert {path.stem for path in FOLDER.glob("*.yaml")} == set(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_published_values_make_the_method_and_the_parts(name):
    found = load(name)
    assert found["method"].name == name
    assert found["method"].needs is not None
    assert set(found) <= {field.name for field in dataclasses.fields(Recipe)}
    if "connector" in found:
        found["connector"](WIDTH, WIDTH)
    if "lora" in found:
        assert found["lora"]().r == 16


@pytest.mark.parametrize("name", SHIPPED)
def test_each_published_value_has_its_source(name):
    lines = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    assert lines[1].startswith("# ")
    values = [line for line in lines if re.match(r" *\w+: *[^ !#]", line) and f"name: {name}" not in line]
    assert all(re.search(r"  +# \w", line) for line in values), values
    assert not [line for line in values if line.endswith("# code")], "which file?"
    assert len(values) > 3 or name in ("in_context", "interleave", "mtbi", "wav2prompt")


def test_published_values_of_the_arms_of_azeros_differ_in_what_is_asked_and_taught_alone():
    shared = ("no_system_prompt", "normalize", "min_seconds", "max_seconds", "max_letters_per_second")
    arms = [load(name)["method"].options() for name in ("transcription", "sit", "sift")]
    assert [{name: arm[name] for name in shared} for arm in arms] == [
        dict(zip(shared, (True, True, 1.0, 30.0, 30.0), strict=True))
    ] * 3


def test_the_command_names_the_published_values(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["auralign", "methods", "sift"])
    with pytest.raises(SystemExit):  # with which each command ends
        main()
    assert "as_published/sift.yaml: the values of its paper" in capsys.readouterr().out
