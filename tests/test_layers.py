"""Imports point down only: a module of the toolkit imports from the lines below its own, and never a method.

Imports within functions count, as they are calls down all the same; those under `if TYPE_CHECKING:` do not, as they
never run.
"""

import ast
from pathlib import Path

import pytest

TOOLKIT = Path(__file__).parent.parent / "toolkit" / "auralign"

# The whole design from top to bottom; the parts of one line do not import each other.
LAYERS = """
    __init__  __main__
    cli
    api       demo     serve    on_ray
    show      align    script  steps  evaluation  prepare  bench  new  audit  probe  plan  builders
    testing
    adapters  generalisation
    publish   ledger
    decode    corpora
    generate  train    score
    models
    run_folder
    versions  shards
    losses    data     stage  store
    changes
    fingerprint  recipe
    render    constructor
    plugins
    method options
    layout
    records  text   hub  bases
    record_index
    marks  syntax
    files    reasoning  names  lazy  environment  json_lines
    progress
"""
LEVEL = {
    part: level for level, line in enumerate(reversed(LAYERS.strip().splitlines())) for part in line.split()
}


def modules(root):
    """(part, path) of every module: the part is the first name under `auralign`."""
    for path in sorted(set(root.rglob("*.py")) - set(root.glob("template/*"))):  # a package of somebody's own
        place = path.relative_to(root)
        yield (place.parts[0] if len(place.parts) > 1 else place.stem), path


def imported_parts(source):
    """(line, part) of each import of `auralign.<part>`; the part is "" for the package alone."""
    for node in without_type_checking(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level:
            raise ValueError(f"line {node.lineno}: relative import; write it from `auralign` on")
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for package, _, rest in (name.partition(".") for name in names):
            if package in ("auralign", "auralign_methods"):
                part = rest.split(".")[0] if package == "auralign" else package
                yield node.lineno, "" if part.startswith("__") else part


def without_type_checking(node):
    """All nodes below this one, except the body of `if TYPE_CHECKING:`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            continue
        yield child
        yield from without_type_checking(child)


def upward_imports(root):
    """One line for each import that does not point down."""
    faults = []
    for part, path in modules(root):
        for line, target in imported_parts(path.read_text(encoding="utf-8")):
            if target in ("", part) or (part in LEVEL and target in LEVEL and LEVEL[target] < LEVEL[part]):
                continue
            faults.append(f"{path.relative_to(root)}:{line}: {part} imports {target}")
    return faults


def test_imports_point_down():
    assert upward_imports(TOOLKIT) == []


def test_every_module_has_its_place():
    assert {part for part, _ in modules(TOOLKIT)} == set(LEVEL)


@pytest.mark.parametrize(
    ("importer", "statement"),
    [
        ("files.py", "from auralign.records import Utterance"),
        ("files.py", "def f():\n    from auralign import records"),
        ("losses/a.py", "import auralign.models.llm"),
        ("losses/a.py", "from auralign.data import audio"),
        ("train/a.py", "from auralign.decode.answers import answer"),
        ("plugins.py", "import auralign_methods.sift"),
    ],
)
def test_an_import_upwards_or_sideways_is_found(tmp_path, importer, statement):
    path = tmp_path / importer
    path.parent.mkdir(exist_ok=True)
    path.write_text(statement)
    assert len(upward_imports(tmp_path)) == 1


@pytest.mark.parametrize(
    ("importer", "statement"),
    [
        ("records.py", "from auralign.files import write_json"),
        ("train/a.py", "from auralign.train import b"),
        ("files.py", "from auralign import __version__"),
        ("method.py", "if TYPE_CHECKING:\n    from auralign.losses import Term"),
    ],
)
def test_an_import_downwards_is_fine(tmp_path, importer, statement):
    path = tmp_path / importer
    path.parent.mkdir(exist_ok=True)
    path.write_text(statement)
    assert upward_imports(tmp_path) == []
