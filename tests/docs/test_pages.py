"""The hook that makes pages of the documentation site. tools/test.sh --all builds the site itself."""

import ast
import importlib.util
import json
import logging
import os
import re
from pathlib import Path

import pytest

import auralign
from auralign.plugins import find_methods

ROOT = Path(__file__).parent.parent.parent
SKIPPED = {"tests", "corpus", "data", "exp", "build"}  # of tests and of runs


@pytest.fixture(scope="module")
def hook():
    spec = importlib.util.spec_from_file_location("pages", ROOT / "docs" / "pages.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def markdown_files():
    """Every Markdown file of the repository, relative to it."""
    for folder, below, names in os.walk(ROOT):
        below[:] = [
            name for name in below if name not in SKIPPED and (name == ".github" or not name.startswith("."))
        ]
        yield from (os.path.relpath(Path(folder, name), ROOT) for name in names if name.endswith(".md"))


@pytest.mark.parametrize("source", sorted([*markdown_files(), "docs/tutorial.ipynb"]))
def test_every_link_to_a_file_of_the_repository_resolves(hook, source, caplog):
    with caplog.at_level(logging.WARNING):
        hook.relink(hook.read_source(source), source, {source: "page.md"}, {})
    assert caplog.messages == []


def test_links_become_links_of_the_site(hook):
    pages, images = hook.copies(), {}
    text = "[a](egs/digits/README.md#results) [b](setup.cfg) [c](https://x.org) ![d](egs/digits/ledger.png) [e](docs/formats.md)"
    assert hook.relink(text, "README.md", pages, images) == (
        "[a](recipes/digits.md#results) b [c](https://x.org) ![d](ledger.png) [e](formats.md)"
    )
    assert images == {"ledger.png": ROOT / "egs" / "digits" / "ledger.png"}
    assert hook.relink("[a](../../README.md)", "recipes/SLUE/README.md", pages, {}) == "[a](../index.md)"


def test_a_link_to_nothing_is_a_warning_which_strict_makes_an_error(hook, caplog):
    assert hook.relink("[a](nowhere.py)", "README.md", hook.copies(), {}) == "a"
    assert caplog.messages == ["README.md links to nowhere.py, which does not exist"]


def test_code_blocks_are_left_as_they_are(hook):
    text = "```python\nx = [y](nowhere)\n```\n"
    assert hook.relink(text, "README.md", hook.copies(), {}) == text


@pytest.fixture
def notebook(hook, tmp_path, monkeypatch):
    """A function that writes the notebook of a checkout, and another that writes what its execution left."""
    monkeypatch.setattr(hook, "ROOT", tmp_path)

    def write(path, *cells):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(json.dumps({"cells": cells}))

    return write


PROSE = {"cell_type": "markdown", "source": ["# Title\n", "words"]}
CODE = {"cell_type": "code", "source": "print(1)", "outputs": []}
SHELL = {"cell_type": "code", "source": ["%%bash\n", "ls"], "outputs": []}
OUTPUTS = [
    {"output_type": "stream", "name": "stderr", "text": "a warning\n"},
    {"output_type": "stream", "name": "stdout", "text": ["1\n"]},
    {"output_type": "execute_result", "data": {"text/plain": "2"}},
    {"output_type": "display_data", "data": {"text/html": "<audio>", "text/plain": "<Audio object>"}},
]


def test_the_notebook_becomes_a_page(hook, notebook):
    notebook(hook.NOTEBOOK, PROSE, CODE, SHELL)
    page = "# Title\nwords\n\n```python\nprint(1)\n```\n\n```bash\n%%bash\nls\n```\n"
    assert hook.read_source(hook.NOTEBOOK) == page


def test_the_page_shows_what_the_executed_notebook_printed(hook, notebook):
    notebook(hook.NOTEBOOK, CODE)
    notebook(hook.EXECUTED, {**CODE, "outputs": OUTPUTS})
    assert hook.read_source(hook.NOTEBOOK) == "```python\nprint(1)\n```\n\n```text\n1\n2\n```\n"


def test_the_page_shows_no_output_of_another_version_of_the_notebook(hook, notebook):
    notebook(hook.NOTEBOOK, CODE)
    notebook(hook.EXECUTED, {**CODE, "source": "print(0)", "outputs": OUTPUTS})
    assert hook.read_source(hook.NOTEBOOK) == "```python\nprint(1)\n```\n"


def test_what_the_notebook_imports_is_there():
    cells = json.loads((ROOT / "docs" / "tutorial.ipynb").read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    nodes = [node for cell in code if not cell.startswith("%%") for node in ast.walk(ast.parse(cell))]
    names = {
        (node.module, name.name) for node in nodes if isinstance(node, ast.ImportFrom) for name in node.names
    }
    ours = {
        (module, name) for module, name in names if module.partition(".")[0] not in {"pathlib", "IPython"}
    }
    assert ours
    for module, name in sorted(ours):
        assert hasattr(importlib.import_module(module), name), f"from {module} import {name}"


def test_the_notebook_is_kept_without_outputs():
    cells = json.loads((ROOT / "docs" / "tutorial.ipynb").read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert code
    assert [cell for cell in code if cell["outputs"] or cell["execution_count"]] == []


def test_every_installed_method_has_a_page_and_a_row(hook):
    pages = hook.method_pages()
    names = {entry.name for entry in find_methods()}
    assert {f"methods/{name}.md" for name in names} == set(pages) - {"methods/index.md"}
    assert set(re.findall(r"^\| \[`(\w+)`\]", pages["methods/index.md"], re.M)) == names
    assert "::: auralign_methods.sift.SIFT" in pages["methods/sift.md"]
    assert "https://arxiv.org/abs/2601.06086" in pages["methods/sift.md"]


def test_every_public_name_of_auralign_is_described_or_linked_to(hook):
    pages = hook.api_pages()
    assert set(pages) == {f"api/{name}.md" for name in hook.MODULES}
    described = re.findall(r"^::: auralign\.(?:\w+\.)*(\w+)", pages["api/auralign.md"], re.M)
    linked_to = re.findall(r"^- \[`(\w+)`\]\[auralign\.[\w.]+\]", pages["api/auralign.md"], re.M)
    assert sorted([*described, *linked_to]) == sorted(auralign.__all__)


def test_every_object_is_described_once(hook):
    described = re.findall(r"^::: ([\w.]+)", "\n".join(hook.api_pages().values()), re.M)
    assert len(described) == len(set(described))
