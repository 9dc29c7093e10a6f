"""What a report says of the machine and the code."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from auralign import environment
from auralign.environment import describe_environment, describe_hardware, find_commit


def test_the_commit_is_that_of_the_checkout():
    folder = environment.Path(environment.__file__).parent
    head = subprocess.run(["git", "-C", folder, "rev-parse", "HEAD"], capture_output=True, text=True)
    find_commit.cache_clear()
    assert find_commit().removesuffix("-dirty") == head.stdout.strip()  # both "" outside of a checkout


@pytest.mark.parametrize("changed, mark", [("README.md", ""), ("environment.py", "-dirty")])
def test_a_changed_page_does_not_make_a_commit_dirty_but_changed_code_does(
    tmp_path, monkeypatch, changed, mark
):
    names = ("__init__.py", "environment.py", "README.md")
    for name in names:
        (tmp_path / name).write_text("first")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=n", "-c", "user.email=e"]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *arguments], check=True)
    (tmp_path / changed).write_text("second")
    monkeypatch.setattr(environment, "__file__", str(tmp_path / "environment.py"))
    find_commit.cache_clear()
    assert find_commit()[40:] == mark
    find_commit.cache_clear()


def test_without_git_there_is_no_commit(monkeypatch):
    monkeypatch.setenv("PATH", "")
    find_commit.cache_clear()
    assert find_commit() == ""
    find_commit.cache_clear()


def test_gpus_are_named_once_with_their_number(monkeypatch):
    cuda = SimpleNamespace(
        is_initialized=lambda: True, device_count=lambda: 2, get_device_name=lambda n: "H100"
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    assert describe_hardware().endswith(", 2 x H100")


def test_versions_are_those_that_are_installed():
    import numpy

    assert describe_environment()["versions"]["numpy"] == numpy.__version__
