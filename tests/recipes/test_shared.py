"""Files that say that they are the same in every recipe are."""

import shlex
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
MARK = "# Same in every recipe; tests/recipes/test_shared.py keeps it so. Delete this line to diverge."


def shared_files(root):
    """Paths of the files in recipes/* and egs/* that open with the mark, by file name."""
    found = defaultdict(list)
    for path in sorted([*root.glob("egs/*/*"), *root.glob("recipes/*/*")]):
        if path.is_file() and path.read_bytes().split(b"\n", 1)[0].rstrip(b"\r") == MARK.encode():
            found[path.name].append(path.relative_to(root))
    return found


def repairs(root):
    """A `cp` command for each file that differs from most of its name, else from the first."""
    commands = []
    for paths in shared_files(root).values():
        contents = {path: (root / path).read_bytes() for path in paths}
        copies = list(contents.values())
        model = max(paths, key=lambda path: copies.count(contents[path]))
        commands += [
            shlex.join(["cp", str(model), str(path)]) for path in paths if contents[path] != contents[model]
        ]
    return commands


def test_shared_files_are_the_same_in_every_recipe():
    commands = repairs(ROOT)
    assert not commands, "files of recipes differ; repair them with\n" + "\n".join(commands)


@pytest.mark.parametrize("example", sorted(path.parent.name for path in ROOT.glob("egs/*/train.py")))
def test_every_example_shares_its_files(example):
    shared = {name for name, paths in shared_files(ROOT).items() if Path("egs", example, name) in paths}
    assert shared == {"path.sh", "generate.py", "train.py", "decode.py"}


@pytest.mark.parametrize(
    "recipe", sorted(path.name for path in (ROOT / "recipes").iterdir() if path.is_dir())
)
def test_every_recipe_shares_its_files(recipe):
    shared = {name for name, paths in shared_files(ROOT).items() if Path("recipes", recipe, name) in paths}
    assert shared == {"path.sh", "cmd.sh", "generate.py", "train.py", "decode.py"}


def write(root, place, text):
    path = root / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_difference_is_repaired_from_the_majority(tmp_path):
    write(tmp_path, "egs/digits/train.py", f"{MARK}\nold\n")
    write(tmp_path, "recipes/LibriSpeech/train.py", f"{MARK}\nnew\n")
    write(tmp_path, "recipes/SLUE/train.py", f"{MARK}\nnew\n")
    assert repairs(tmp_path) == ["cp recipes/LibriSpeech/train.py egs/digits/train.py"]


def test_equal_files_need_no_repair(tmp_path):
    write(tmp_path, "egs/digits/train.py", f"{MARK}\nsame\n")
    write(tmp_path, "recipes/SLUE/train.py", f"{MARK}\nsame\n")
    assert repairs(tmp_path) == []


def test_a_file_without_the_mark_may_differ(tmp_path):
    write(tmp_path, "egs/digits/train.py", f"{MARK}\nsame\n")
    write(tmp_path, "recipes/SLUE/train.py", "other\n")
    assert repairs(tmp_path) == []


def test_a_mark_further_down_does_not_count(tmp_path):
    write(tmp_path, "egs/digits/train.py", f"{MARK}\nsame\n")
    write(tmp_path, "recipes/SLUE/train.py", f"#!/usr/bin/env python\n{MARK}\nother\n")
    assert repairs(tmp_path) == []
