"""The command `auralign` as a whole: what it offers, how fast it answers, and the module of each command."""

import pkgutil
import subprocess
import sys

import pytest

from auralign import cli
from auralign.cli.arguments import print_stream

HEAVY = ("torch", "numpy", "transformers", "hyperpyyaml", "soundfile")


def run_python(*arguments):
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True)


def test_python_m_auralign_is_the_command():
    found = run_python("-m", "auralign", "--help")
    assert found.returncode == 0
    assert found.stdout.startswith("usage: auralign")
    for command in ("methods", "prepare", "new-method", "new-recipe", "ask"):
        assert f"\n    {command}" in found.stdout
    assert run_python("-m", "auralign", "gone").returncode == 2


def test_the_parser_imports_nothing_heavy():
    code = "import sys; from auralign.cli import make_parser; make_parser().format_help(); "
    found = run_python("-c", code + f"print([name for name in {HEAVY} if name in sys.modules])")
    assert found.stdout == "[]\n", found.stderr


def test_every_module_of_a_command_is_in_the_list():
    names = {module.name for module in pkgutil.iter_modules(cli.__path__)} - {"arguments"}
    assert {command.__name__.removeprefix("auralign.cli.") for command in cli.COMMANDS} == names


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["prepare", "a.csv", "a.jsonl", "--label", "german"], "--label german: expected NAME=VALUE"),
        (
            ["prepare", "a.csv", "a.jsonl", "--label", "a=b", "--label", "a=c"],
            "--label a=c: .*each name once",
        ),
        (["prepare", "a.csv", "a.jsonl", "--where", "split"], "--where 'split' is not a condition"),
        (["prepare", "a.csv", "a.jsonl", "--ask", "{speech}", "x", "y"], "--ask .*at most one COLUMN .*x, y"),
        (["bench", "--repeats", "0"], "--repeats 0: give at least 1"),
    ],
)
def test_an_argument_that_cannot_be_read_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        cli.run(arguments)


@pytest.mark.parametrize("value", ["-1", "nan", "many"])
def test_a_limit_is_a_number_of_at_least_zero(value, capsys):
    with pytest.raises(SystemExit):
        cli.run(["prepare", "a.csv", "a.jsonl", f"--max-rejected={value}"])
    assert f"invalid number value: '{value}'" in capsys.readouterr().err


def test_an_answer_does_not_steer_the_terminal(capsys):
    answer = "red\x1b[2J"
    assert print_stream(iter([answer]), live=True) == answer
    assert print_stream(iter([answer]), live=False) == answer
    assert capsys.readouterr().out == f"red⟨U+001B⟩[2J\n{answer}\n"
