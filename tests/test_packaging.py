"""What setup.cfg promises is what a wheel holds."""

import configparser
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

import auralign

ROOT = Path(__file__).parent.parent
ROOTS = {"auralign": ROOT / "toolkit" / "auralign", "auralign_methods": ROOT / "plugins" / "auralign_methods"}


@pytest.fixture(scope="session")
def definition():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    return config


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """Names of the files in the wheel, and its entry points; built from a copy, as setuptools leaves files beside
    setup.cfg."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for name in ("toolkit", "plugins"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", str(folder), str(source)]
    if can_build():
        command.append("--no-build-isolation")  # without a network
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as archive:
        names = archive.namelist()
        points = next(name for name in names if name.endswith(".dist-info/entry_points.txt"))
        config = configparser.ConfigParser()
        config.read_string(archive.read(points).decode())
    return names, config


def can_build():
    """Whether this environment holds what pyproject.toml asks for; setuptools brings bdist_wheel since 70.1."""
    try:
        return int(metadata.version("setuptools").split(".")[0]) >= 77
    except metadata.PackageNotFoundError:
        return False


def packages_on_disk():
    return {
        ".".join((name, *path.parent.relative_to(folder).parts))
        for name, folder in ROOTS.items()
        for path in folder.rglob("__init__.py")
    }


def modules_on_disk():
    return {
        str(Path(name) / path.relative_to(folder))
        for name, folder in ROOTS.items()
        for path in folder.rglob("*.py")
    }


def test_setup_cfg_lists_the_packages_that_are_on_disk(definition):
    listed = definition["options"]["packages"].split()
    assert sorted(listed) == sorted(packages_on_disk())


def test_every_folder_with_modules_is_a_package():
    folders = {path.parent for folder in ROOTS.values() for path in folder.rglob("*.py")}
    template = ROOTS["auralign"] / "template"  # a package of somebody's own
    assert [folder for folder in folders if not (folder / "__init__.py").is_file()] == [template]


def test_the_package_and_setup_cfg_name_the_same_version(definition):
    assert definition["metadata"]["version"] == auralign.__version__


def test_the_wheel_holds_every_module(wheel):
    names, _ = wheel
    assert {name for name in names if name.endswith(".py")} == modules_on_disk()


def test_the_wheel_announces_command_and_methods(wheel, definition):
    _, points = wheel
    assert dict(points["console_scripts"]) == {"auralign": "auralign.cli:main"}
    promised = definition["options.entry_points"]["auralign.methods"].strip().splitlines()
    assert {f"{name} = {value}" for name, value in points["auralign.methods"].items()} == set(promised)


def test_every_shipped_method_is_announced(definition):
    announced = {
        line.split("auralign_methods.")[1].split(":")[0]
        for line in definition["options.entry_points"]["auralign.methods"].strip().splitlines()
    }
    assert announced == {path.stem for path in ROOTS["auralign_methods"].glob("[!_]*.py")}
