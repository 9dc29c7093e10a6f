"""tools/installed.py: what is missing, by the lock in our own environment and by setup.cfg's ranges in another."""

import importlib.util
import os
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
SETUP = """\
[options]
install_requires =
    torch>=2.13,<2.16
    peft>=0.21
[options.extras_require]
# a comment
tables =
    pandas
test =
    auralign[tables]
    pytest>=8
[options.entry_points]
auralign.methods =
    sift = auralign_methods.sift:SIFT
"""
LOCK = """\
filelock==4.3.1 \\
    --hash=sha256:aa
    # via torch
numpy==2.4.6 ; python_full_version < '3.12' \\
    --hash=sha256:bb
    # via
    #   peft
    #   pandas
numpy==2.5.5 ; python_full_version >= '3.12' \\
    --hash=sha256:cc
    # via
    #   peft
    #   pandas
pandas==3.1.1 \\
    --hash=sha256:dd
    # via auralign (setup.cfg)
peft==0.21.2 \\
    --hash=sha256:ee
    # via auralign (setup.cfg)
pytest==9.2.0 \\
    --hash=sha256:ff
    # via auralign (setup.cfg)
torch==2.14.1 \\
    --hash=sha256:ab
    # via
    #   auralign (setup.cfg)
    #   peft
"""
LOCKED = {"filelock": "4.3.1", "pandas": "3.1.1", "peft": "0.21.2", "pytest": "9.2.0", "torch": "2.14.1"}


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """The module, on the files above, in an environment of the user's own that holds `installed.versions`."""
    spec = importlib.util.spec_from_file_location("installed", ROOT / "tools" / "installed.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "setup.cfg").write_text(SETUP)
    (tmp_path / "requirements.lock").write_text(LOCK)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "PACKAGES", tmp_path / "packages")
    module.versions = LOCKED | {"numpy": "2.4.6" if os.sys.version_info < (3, 12) else "2.5.5"}
    monkeypatch.setattr(module, "version_of", lambda name: module.versions.get(name))
    monkeypatch.setattr(module, "find_fault_of_project", lambda: None)
    module.follow = lambda: monkeypatch.setattr(module, "follows_the_lock", lambda: True)
    return module


def shown(capsys, installed, *arguments):
    installed.main(*arguments)
    return capsys.readouterr().out


def test_nothing_is_missing_where_all_is_as_locked(installed):
    installed.follow()
    assert installed.find_fault(["test"]) is None


def test_an_extra_names_others(installed):
    assert sorted(installed.read_requirements(["test"])) == ["pandas", "peft", "pytest", "torch"]


def test_an_absent_package_is_named(installed):
    del installed.versions["peft"]
    assert installed.find_fault([]) == "peft is not installed"


def test_a_version_out_of_range_is_named_with_the_range(installed):
    installed.versions["torch"] = "2.11.0"
    assert installed.find_fault([]) == "torch is 2.11.0, setup.cfg asks for <2.16,>=2.13"


def test_a_version_in_range_stays_in_the_users_environment(installed):
    installed.versions |= {"torch": "2.13.0", "filelock": "1.0"}
    assert installed.find_fault([]) is None


def test_our_own_environment_follows_the_lock(installed):
    installed.follow()
    installed.versions["filelock"] = "1.0"
    assert installed.find_fault([]) == "filelock is 1.0, the lock has filelock==4.3.1"


def test_a_build_of_the_locked_version_is_the_locked_version(installed):
    installed.follow()
    installed.versions["torch"] = "2.14.1+cpu"
    assert installed.find_fault([]) is None


def test_only_what_is_missing_is_taken_from_the_lock(installed, capsys):
    del installed.versions["peft"]
    assert shown(capsys, installed, "lock") == LOCK[LOCK.index("peft==") : LOCK.index("pytest==")]


def test_what_an_extra_needs_is_found_by_what_it_was_locked_for(installed, capsys):
    installed.versions.clear()
    base = [line.split("==")[0] for line in shown(capsys, installed, "lock").splitlines() if "==" in line]
    assert base == ["filelock", "numpy", "peft", "torch"]  # one numpy: that of this Python


def test_pins_leave_what_is_there_to_the_resolver(installed, capsys):
    del installed.versions["peft"]
    installed.versions["torch"] = "2.11.0"
    assert shown(capsys, installed, "pins") == "peft==0.21.2\ntorch==2.14.1\n"


def test_an_environment_with_some_of_it_is_mixed(installed):
    assert installed.find_fault_of_mixture([]) is None
    installed.versions.clear()
    assert installed.find_fault_of_mixture([]) == "nothing is installed"


def test_a_half_written_package_is_forgotten_and_a_whole_one_is_not(installed):
    for name, files in (("whole", ["whole.py"]), ("half", ["half.py", "more.py"]), ("recordless", None)):
        folder = installed.PACKAGES / f"{name}-1.0.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        if files:
            (installed.PACKAGES / files[0]).touch()
            (folder / "RECORD").write_text("".join(f"{file},,\n" for file in files))
    installed.repair(since=0)
    assert [found.name for found in metadata.distributions(path=[str(installed.PACKAGES)])] == ["whole"]


def test_the_lock_in_the_tree_has_every_requirement_by_hash(monkeypatch):
    spec = importlib.util.spec_from_file_location("installed", ROOT / "tools" / "installed.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    from packaging.requirements import Requirement

    lock = module.read_lock()
    # vLLM asks for a torch of its own.
    extras = [name for name in module.read_config()["options.extras_require"] if name != "vllm"]
    for name, ranges in module.read_requirements(extras).items():
        for block in lock[name]:
            (pinned,) = Requirement(module.pin(block)).specifier
            assert all(pinned.version in Requirement(line).specifier for line in ranges), name
    assert all("--hash=sha256:" in block for blocks in lock.values() for block in blocks)
