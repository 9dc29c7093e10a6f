"""The pages of docs/ are true: every file and name that training_step.md gives exists, and every line of formats.md parses."""

import ast
import dataclasses
import json
import re
from pathlib import Path

import pytest

from auralign.ledger import ledger
from auralign.records import Hypothesis, Question, Target, Utterance, from_line
from auralign.score.metrics import Estimate

ROOT = Path(__file__).parent.parent
TOOLKIT = ROOT / "toolkit" / "auralign"


def names_of(sources):
    """(names, members): everything that these sources define, and by class what it defines, with what it inherits from them."""
    names, members, bases = set(), {}, {}
    for source in sources:
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ClassDef):
                bases[node.name] = [ast.unparse(base).rpartition(".")[2] for base in node.bases]
                members[node.name] = {
                    found
                    for child in node.body
                    for found in (
                        [child.name]
                        if isinstance(child, ast.FunctionDef | ast.ClassDef)
                        else [name.id for name in ast.walk(child) if isinstance(name, ast.Name)]
                    )
                }
            if isinstance(node, ast.ClassDef | ast.FunctionDef):
                names.add(node.name)
            elif isinstance(node, ast.arg):
                names.add(node.arg)
            elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
                names.add(node.id if isinstance(node, ast.Name) else node.attr)
    for name in members:
        for base in bases[name]:
            members[name] |= members.get(base, set())
    return names, members


def unknown(page, folder):
    """What stands in backticks on a page and is neither a file of the folder nor a name that its files define."""
    names, members = names_of(path.read_text(encoding="utf-8") for path in folder.rglob("*.py"))
    faults = []
    for code in re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", page, flags=re.M | re.S)):
        owner, dot, member = code.partition(".")
        if code.endswith(".py"):
            known = (folder / code).is_file()
        elif code.endswith("/"):
            known = (ROOT / code).is_dir()
        elif dot:
            known = member in members.get(owner, ())
        else:
            known = code in names or (ROOT / "plugins" / "auralign_methods" / f"{code}.py").is_file()
        if not known:
            faults.append(code)
    return faults


def test_every_file_and_name_of_the_training_step_exists():
    page = (ROOT / "docs" / "training_step.md").read_text(encoding="utf-8")
    assert len(set(re.findall(r"`[^`\n]+`", page))) > 50
    assert unknown(page, TOOLKIT) == []


@pytest.mark.parametrize("code", ["train/steps.py", "assembled_", "SpeechLLM.hear", "Nobody.listen"])
def test_what_does_not_exist_is_found(code):
    assert unknown(f"see `{code}` and `assemble`", TOOLKIT) == [code]


SECTION = re.compile(r"^## `(\w+)`.*?(?=^## |\Z)", re.M | re.S)
RECORDS = {kind.__name__: kind for kind in (Utterance, Target, Question, Hypothesis)}
PARTS = {
    kind.__name__: kind
    for kind in (ledger.Ledger, ledger.Row, ledger.Rates, ledger.Difference, ledger.Example, Estimate)
}


@pytest.fixture(scope="module")
def sections():
    """By record, its section of formats.md."""
    page = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    return {found[1]: found[0] for found in SECTION.finditer(page)}


def lines_of(section):
    """The lines of the JSON blocks of a section."""
    blocks = re.findall(r"^```json\n(.*?)^```", section, re.M | re.S)
    return [line for block in blocks for line in block.splitlines()]


def fields_in(section):
    """The names in the first column of a section's tables."""
    return re.findall(r"^\| `(\w+)` \|", section, re.M)


@pytest.mark.parametrize("name", RECORDS)
def test_every_record_has_a_line_that_parses_and_a_row_for_each_field(sections, name):
    kind = RECORDS[name]
    lines = lines_of(sections[name])
    assert lines
    for line in lines:
        record = from_line(line, kind, position="formats.md")
        assert json.loads(line).keys() <= {field.name for field in dataclasses.fields(record)}
    assert fields_in(sections[name]) == [field.name for field in dataclasses.fields(kind) if field.compare]


@pytest.mark.parametrize("name", PARTS)
def test_every_part_of_the_scores_has_a_row_for_each_field(sections, name):
    part = re.search(rf"^### `{name}`.*?(?=^##|\Z)", sections["scores"], re.M | re.S)[0]
    assert fields_in(part) == [
        ledger.STORED.get(field.name, field.name) for field in dataclasses.fields(PARTS[name])
    ]


def test_the_line_of_the_scores_is_a_row_of_a_ledger(sections):
    (line,) = lines_of(sections["scores"])
    row = ledger._row_from_dict(json.loads(line))
    assert row.speech.value == row.rates.speech
    assert sum(row.answers.values()) == row.rates.num_questions
