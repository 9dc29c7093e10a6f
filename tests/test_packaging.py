"""What setup.cfg promises is what a wheel holds."""

import configparser
import os
import shutil
import subprocess
import sys
import venv
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
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(ROOT / name, source / name, ignore=ignored, symlinks=True)
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", str(folder), str(source)]
    built = subprocess.run([*command, "--no-build-isolation"], capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as archive:
        names = archive.namelist()
        points = next(name for name in names if name.endswith(".dist-info/entry_points.txt"))
        config = configparser.ConfigParser()
        config.read_string(archive.read(points).decode())
    return names, config


def modules_on_disk():
    return {
        str(Path(name) / path.relative_to(folder))
        for name, folder in ROOTS.items()
        for path in folder.rglob("*.py")
    }


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


def test_the_wheel_holds_the_parts_of_the_html_report(wheel):
    names, _ = wheel
    parts = {"page.html", "page.css", "page.js", "base.html", "table.html"}
    assert {f"auralign/ledger/{part}" for part in parts} <= set(names)


def test_the_wheel_says_that_it_is_typed(wheel):
    names, _ = wheel
    assert {"auralign/py.typed", "auralign_methods/py.typed"} <= set(names)


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    """A clone named auralign, installed in place in an environment that has setuptools alone: (clone, python)."""
    folder = tmp_path_factory.mktemp("in_place")
    clone, environment = folder / "auralign", folder / "environment"
    for name in ("toolkit", "plugins"):
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(ROOT / name, clone / name, ignore=ignored, symlinks=True)
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, clone)
    venv.create(environment, with_pip=False, system_site_packages=False)
    python = environment / "bin" / "python"
    packages = next(environment.glob("lib/python3*/site-packages"))
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    done = subprocess.run(
        [*command, "--target", str(packages), "--editable", str(clone)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return clone, python


def run(python, code, cwd):
    done = subprocess.run([python, "-c", code], cwd=cwd, capture_output=True, text=True, env={})
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_above_a_clone_named_auralign_the_package_is_imported(installed):
    clone, python = installed
    shown = run(python, "import auralign; print(auralign.__file__)", clone.parent)
    assert shown == str(clone / "toolkit" / "auralign" / "__init__.py")


def test_an_editable_installation_is_a_plain_path(installed):
    """Editors and type checkers follow a path, and no import hook."""
    clone, python = installed
    shown = run(python, "import sys; print(sys.meta_path, sys.path)", clone.parent)
    assert str(clone / "toolkit") in shown and "editable" not in shown.lower()


def test_a_new_file_is_seen_without_installing_again(installed):
    clone, python = installed
    (clone / "plugins" / "auralign_methods" / "new_one.py").write_text("FOUND = 7\n")
    assert run(python, "from auralign_methods.new_one import FOUND; print(FOUND)", clone.parent) == "7"


def test_two_checkouts_in_one_environment_use_each_its_own_tree(tmp_path):
    """Both at once, with different methods, and neither installs anything."""
    before = sorted(distribution.name for distribution in metadata.distributions())
    running = []
    for name in ("first", "second"):
        root = tmp_path / name
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
        for folder in ("toolkit", "plugins", "tools"):
            shutil.copytree(ROOT / folder, root / folder, ignore=ignored, symlinks=True)
        for file in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE", "requirements.lock"):
            shutil.copy(ROOT / file, root)
        (root / "egs" / "digits").mkdir(parents=True)
        shutil.copy(ROOT / "egs" / "digits" / "path.sh", root / "egs" / "digits")
        page = (root / "plugins" / "auralign_methods" / "sit.py").read_text(encoding="utf-8")
        (root / "plugins" / "auralign_methods" / f"{name}.py").write_text(
            page.replace('name = "sit"', f'name = "{name}"'), encoding="utf-8"
        )
        setup = (root / "setup.cfg").read_text(encoding="utf-8")
        announced = f"auralign.methods =\n    {name} = auralign_methods.{name}:SIT\n"
        (root / "setup.cfg").write_text(setup.replace("auralign.methods =\n", announced, 1), encoding="utf-8")
        show = "from auralign.plugins import load_class, find_method; import auralign_methods as m; print(m.__file__, "
        show += f"load_class(find_method({name!r})).name)"
        command = ["bash", "-c", f'. egs/digits/path.sh && python -c "{show}"']
        environment = {"VIRTUAL_ENV": sys.prefix, "PATH": os.environ["PATH"], "HOME": str(tmp_path)}
        running.append(subprocess.Popen(command, cwd=root, env=environment, text=True, stdout=-1, stderr=-1))
    for name, process in zip(("first", "second"), running, strict=True):
        stdout, stderr = process.communicate(timeout=120)
        assert stdout.split() == [
            str(tmp_path / name / "plugins" / "auralign_methods" / "__init__.py").replace(
                "plugins", "toolkit"
            ),
            name,
        ], stdout + stderr
    assert sorted(distribution.name for distribution in metadata.distributions()) == before
