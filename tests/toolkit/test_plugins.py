"""Methods are found by entry point; what is wrong with one is said, and hides no other."""

import importlib.metadata
import subprocess
import sys
import types
from pathlib import Path

import pytest

from auralign import cli, plugins
from auralign.layout import Layout, Speech, View
from auralign.method import AlignmentMethod
from auralign.plugins import MethodError


class Echo(AlignmentMethod):
    """Says it again."""

    name = "echo"

    def choices(self, utterance, rng):
        return []

    def layout(self, utterance, choice, response):
        return Layout.of(View((Speech(utterance.text), response)))


class Old(Echo):
    name = "old"
    api_version = 0


@pytest.fixture
def announce(monkeypatch):
    """Announce (name, attribute, package) as entry points of a module that holds this file's classes."""
    module = types.ModuleType("auralign_thirdparty")
    module.Echo, module.Old, module.number = Echo, Old, 7
    monkeypatch.setitem(sys.modules, "auralign_thirdparty", module)

    def set_entries(*claims):
        found = []
        for name, value, package in claims:
            dist = types.SimpleNamespace(name=package, version="0.0.1")
            entry = importlib.metadata.EntryPoint(name, value, plugins.GROUP)._for(dist)
            found.append(entry)
        monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: found)

    return set_entries


def test_a_method_that_ends_the_process_when_it_is_made_is_named(announce, monkeypatch):
    monkeypatch.setattr(Echo, "__init__", lambda self: sys.exit(0))
    announce(("echo", "auralign_thirdparty:Echo", "auralign-echo"))
    with pytest.raises(MethodError, match="'echo' of auralign-echo 0.0.1 could not be made: SystemExit: 0"):
        plugins.load_method("echo")


class Unprintable(Exception):
    def __str__(self):
        raise KeyboardInterrupt


class Restless(type(AlignmentMethod)):
    def __getattribute__(cls, name):
        if name == "name":
            raise KeyboardInterrupt
        return super().__getattribute__(name)


def fail_unprintably(*arguments):
    raise Unprintable


def fail_in_two_lines(*arguments):
    raise ValueError("one\n\x1b[31mtwo")


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"paper": None}, "'echo' of auralign-echo .* has the paper None"),
        ({"fidelity": 7}, "'echo' of auralign-echo .* has the fidelity 7"),
        ({"needs": None}, "'echo' of auralign-echo 0.0.1 makes .*, which is no method with `Needs`"),
        ({"__new__": lambda cls: 7}, "'echo' of auralign-echo 0.0.1 makes 7, which is no method"),
        ({"__init__": fail_unprintably}, "could not be made: Unprintable: its message cannot be made"),
        ({"metaclass": Restless}, "'echo' of auralign-echo .* could not be imported: KeyboardInterrupt"),
    ],
)
def test_a_method_that_is_not_what_it_says_is_named_and_hides_no_other(
    announce, monkeypatch, capsys, attributes, said
):
    kind = attributes.pop("metaclass", type(Echo))
    module = types.ModuleType("auralign_wrong")
    module.Echo = kind("Echo", (Echo,), attributes)
    monkeypatch.setitem(sys.modules, "auralign_wrong", module)
    sit = ("sit", "auralign_methods.sit:SIT", "auralign")
    announce(("echo", "auralign_wrong:Echo", "auralign-echo"), sit)
    with pytest.raises(MethodError, match=said):
        plugins.load_method("echo")
    assert cli.run(["methods"]) == 0 and "sit " in capsys.readouterr().out


def test_what_a_method_raises_is_one_line_without_control_characters(announce, monkeypatch):
    monkeypatch.setattr(importlib.metadata.EntryPoint, "load", fail_in_two_lines)
    announce(("echo", "auralign_thirdparty:Echo", "auralign-echo"))
    with pytest.raises(MethodError, match="could not be imported: ValueError: one ⟨U\\+001B⟩\\[31mtwo$"):
        plugins.load_method("echo")


def test_shipped_methods_are_announced_by_entry_points():
    files = (Path(__file__).parents[2] / "plugins" / "auralign_methods").glob("[a-z]*.py")
    announced = {entry.name for entry in plugins.find_methods() if entry.package == "auralign"}
    assert announced == {path.stem for path in files}


def test_methods_are_listed_with_fidelity_and_paper(capsys):
    assert cli.run(["methods"]) == 0
    rows = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()}
    assert rows["sift"][:2] == ["mechanism", "arXiv:2601.06086"]
    assert rows["diva"][:2] == ["smoke", "arXiv:2410.02678"]


def test_listing_imports_no_method():
    code = "import sys; from auralign.plugins import find_methods; find_methods(); "
    code += "print('auralign_methods' in sys.modules, 'torch' in sys.modules)"
    assert subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split() == ["False", "False"]


def test_third_party_method_is_loaded(announce):
    announce(("echo", "auralign_thirdparty:Echo", "auralign-echo"))
    assert isinstance(plugins.load_method("echo"), Echo)


@pytest.mark.parametrize(
    ("name", "claims", "message"),
    [
        (
            "ecco",
            [("echo", "auralign_thirdparty:Echo", "auralign-echo")],
            "no alignment method 'ecco'. Did you mean 'echo'",
        ),
        (
            "echo",
            [("echo", "auralign_thirdparty:Echo", "one"), ("echo", "auralign_thirdparty:Echo", "two")],
            "'echo' is claimed by one 0.0.1, two 0.0.1; uninstall all but one",
        ),
        (
            "gone",
            [("gone", "auralign_nothing:Gone", "auralign-echo")],
            "'gone' of auralign-echo 0.0.1 .* could not be imported: ModuleNotFoundError",
        ),
        (
            "old",
            [("old", "auralign_thirdparty:Old", "auralign-echo")],
            "written for method API 0; this auralign speaks 1",
        ),
        ("seven", [("seven", "auralign_thirdparty:number", "auralign-echo")], "not a subclass"),
        ("other", [("other", "auralign_thirdparty:Echo", "auralign-echo")], "calls itself 'echo'"),
    ],
)
def test_mistake_is_named(announce, name, claims, message):
    announce(*claims)
    with pytest.raises(MethodError, match=message):
        plugins.load_method(name)


def test_unknown_option_is_named(announce):
    with pytest.raises(MethodError, match="does not take these options \\(volume\\)"):
        plugins.load_method("sift", volume=11)


def test_check_names_the_broken_and_passes_the_others(announce, capsys):
    announce(
        ("echo", "auralign_thirdparty:Echo", "auralign-echo"),
        ("gone", "auralign_nothing:Gone", "auralign-echo"),
    )
    assert cli.run(["methods", "--check"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "ok    echo"
    assert lines[1].startswith("FAIL  gone: method 'gone' of auralign-echo 0.0.1")


@pytest.mark.parametrize("ending", ["import sys; sys.exit(0)", "raise KeyboardInterrupt"])
def test_a_plugin_that_ends_the_process_is_listed_as_broken(announce, capsys, tmp_path, monkeypatch, ending):
    (tmp_path / "auralign_ending.py").write_text(ending)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "auralign_ending", raising=False)
    announce(("ending", "auralign_ending:Ending", "auralign-echo"))
    assert cli.run(["methods", "--check"]) == 1
    assert capsys.readouterr().out.startswith("FAIL  ending: ")


def test_describe_prints_where_the_method_stands(capsys):
    cli.run(["methods", "sift"])
    out = capsys.readouterr().out
    assert "arXiv:2601.06086" in out
    assert "sift.py:" in out
    assert "Faithful to the paper" in out
