"""The hook that makes pages of the documentation site. tools/test.sh --all builds the site itself."""

import importlib.util
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


@pytest.mark.parametrize("source", sorted(markdown_files()))
def test_every_link_to_a_file_of_the_repository_resolves(hook, source, caplog):
    with caplog.at_level(logging.WARNING):
        hook.relink((ROOT / source).read_text(encoding="utf-8"), source, {source: "page.md"}, {})
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
