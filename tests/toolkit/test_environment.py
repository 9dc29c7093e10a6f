"""What a report says of the machine and the code."""

import subprocess
import sys
from types import SimpleNamespace

from auralign import environment
from auralign.environment import describe_environment, describe_hardware, find_commit


def test_the_commit_is_that_of_the_checkout():
    folder = environment.Path(environment.__file__).parent
    head = subprocess.run(["git", "-C", folder, "rev-parse", "HEAD"], capture_output=True, text=True)
    find_commit.cache_clear()
    assert find_commit().removesuffix("-dirty") == head.stdout.strip()  # both "" outside of a checkout


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
