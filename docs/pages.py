"""Hook of mkdocs: the pages of the site that are made of other things of the repository.

| pages | made of |
|---|---|
| quick start, contributing, recipes, ... | README.md and the other Markdown files of the repository, as they are |
| tutorial | the notebook; with what its cells printed, if `tools/test.sh --all` has executed it as it is now |
| methods | every alignment method that is installed, so that a new one appears by itself |
| API | the public modules of `MODULES` |

A link to a file that is a page becomes a link to the page; a link to another file of the repository becomes its text, as that
file is not part of the site; a link to nothing is a warning, and so an error of `mkdocs build --strict`.
"""

import importlib
import inspect
import json
import logging
import posixpath
import re
import textwrap
from pathlib import Path

from auralign.method import cite
from auralign.plugins import MethodError, find_methods, load_class

ROOT = Path(__file__).parent.parent
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]+)\)")
FENCE = re.compile(r"(^```.*?^```)", re.M | re.S)
NOTEBOOK, EXECUTED = "docs/tutorial.ipynb", "build/tutorial.ipynb"
MODULES = (
    "auralign",
    "auralign.method",
    "auralign.layout",
    "auralign.records",
    "auralign.losses",
    "auralign.testing",
    "auralign.steps",
    "auralign.recipe",
    "auralign.publish",
)
WHOLE = (
    "auralign.method",
    "auralign.layout",
    "auralign.records",
)  # modules that define their names themselves
SUBMODULES = {
    "auralign.publish": [
        "auralign.publish.load.load",
        "auralign.publish.export.export",
        "auralign.publish.pretrained",
        "auralign.publish.conversation",
        "auralign.publish.follow_up",
    ],
}
log = logging.getLogger("mkdocs.plugins.pages")


def copies() -> dict[str, str]:
    """Page by file of the repository: what is shown as it is."""
    pages = {"README.md": "index.md", NOTEBOOK: "tutorial.md"}
    pages |= {f"docs/{path.name}": path.name for path in sorted((ROOT / "docs").glob("*.md"))}
    for name in ("CONTRIBUTING", "BENCHMARKS", "SECURITY", "RELIABILITY", "CHANGELOG"):
        pages[f"{name}.md"] = f"{name.lower()}.md"
    for readme in sorted([*ROOT.glob("recipes/*/README.md"), *ROOT.glob("egs/*/README.md")]):
        pages[str(readme.relative_to(ROOT))] = f"recipes/{readme.parent.name}.md"
    return pages


def read_source(source: str) -> str:
    """The text of a file of the repository, as Markdown."""
    text = (ROOT / source).read_text(encoding="utf-8")
    if source != NOTEBOOK:
        return text
    cells = json.loads(text)["cells"]
    executed = (
        json.loads((ROOT / EXECUTED).read_text(encoding="utf-8"))["cells"]
        if (ROOT / EXECUTED).is_file()
        else []
    )
    same = [source_of(cell) for cell in cells] == [source_of(cell) for cell in executed]
    return "\n\n".join(map(cell_to_markdown, executed if same else cells)) + "\n"


def source_of(part: dict, key: str = "source") -> str:
    """A text of a notebook, which may be a list of its lines."""
    found = part.get(key, "")
    return found if isinstance(found, str) else "".join(found)


def cell_to_markdown(cell: dict) -> str:
    """A cell of a notebook as Markdown: prose as it is, code in a block, and what it printed in another."""
    source = source_of(cell)
    if cell["cell_type"] == "markdown":
        return source
    printed = "".join(
        source_of(output, "text") or source_of(output.get("data", {}), "text/plain")
        for output in cell["outputs"]
        if output.get("name") != "stderr" and "text/html" not in output.get("data", {})
    )
    blocks = [f"```{'bash' if source.startswith('%%bash') else 'python'}\n{source}\n```"]
    if printed.strip():
        blocks.append(f"```text\n{printed.rstrip()}\n```")
    return "\n\n".join(blocks)


def relink(text: str, source: str, pages: dict[str, str], images: dict[str, Path]) -> str:
    """The text of a file with its links as links of the site.

    Arguments
    ---------
    text : str
        Markdown.
    source : str
        Path of the file in the repository, from which its links start.
    pages : dict of str to str
        Page by file of the repository.
    images : dict of str to Path
        Receives the images that the text shows, by their path in the site.
    """

    def replace(found):
        is_image, label, target = found.groups()
        name, hash_sign, anchor = target.partition("#")
        if not name or ":" in name:
            return found[0]
        file = posixpath.normpath(posixpath.join(posixpath.dirname(source), name))
        folder = posixpath.dirname(pages[source])
        if not (ROOT / file).exists():
            log.warning("%s links to %s, which does not exist", source, target)
        if is_image:
            images[posixpath.join(folder, posixpath.basename(file))] = ROOT / file
            return f"![{label}]({posixpath.basename(file)})"
        page = pages.get(file) or pages.get(f"{file}/README.md")
        return f"[{label}]({posixpath.relpath(page, folder or '.')}{hash_sign}{anchor})" if page else label

    return "".join(part if part.startswith("```") else LINK.sub(replace, part) for part in FENCE.split(text))


def method_pages() -> dict[str, str]:
    """Text by page: a list of the installed methods, and a page for each that can be loaded."""
    pages, rows = {}, []
    for entry in find_methods():
        try:
            method = load_class(entry)
        except MethodError as error:  # one broken method hides no other
            rows.append(f"| `{entry.name}` | {entry.package} {entry.version} | cannot be loaded: {error} | |")
            continue
        summary = inspect.getdoc(method).partition("\n\n")[0].replace("\n", " ").replace("|", "\\|")
        paper = cite(method.paper)
        rows.append(
            f"| [`{entry.name}`]({entry.name}.md) | {summary} | {link_paper(paper)} | {method.fidelity} |"
        )
        pages[f"methods/{entry.name}.md"] = textwrap.dedent(f"""\
            # `{entry.name}`

            Paper: {link_paper(paper) or "none"}. Tried: {method.fidelity or "not said"}. Version {method.version}, in
            {entry.package} {entry.version}.

                method: !apply:auralign.plugins.load_method
                    name: {entry.name}

            ::: {method.__module__}.{method.__qualname__}
                options: {{show_root_heading: false, show_root_toc_entry: false, heading_level: 2}}
            """)
    head = """\
        # Methods

        All methods that are installed. *Tried* says how far each was tried here: `smoke` (it runs, its loss falls), `mechanism`
        (its effect shows in miniature), `replicated` (a published figure was reached).

        | method | what it does | paper | tried |
        |---|---|---|---|
        """
    pages["methods/index.md"] = textwrap.dedent(head) + "\n".join(rows) + "\n"
    return pages


def link_paper(paper: str) -> str:
    """A citation whose arXiv ids are links."""
    return re.sub(r"(?:arXiv:)?(\d{4}\.\d{5})", r"[\1](https://arxiv.org/abs/\1)", paper)


def api_pages() -> dict[str, str]:
    """Text by page: every public name of the modules, each described once and linked to from other pages."""
    described: set[str] = set()
    # The module auralign gathers names of others, which are described in their place.
    return {f"api/{name}.md": f"# {name}\n\n{describe_module(name, described)}" for name in reversed(MODULES)}


def describe_module(name: str, described: set[str]) -> str:
    """What mkdocstrings reads of a module: the module, if it defines its names itself; else its docstring and each name."""
    without_heading = "show_root_heading: false, show_root_toc_entry: false"
    if name in WHOLE:
        return f"::: {name}\n    options: {{{without_heading}}}\n"
    module = importlib.import_module(name)
    links, entries = [], []
    for member, path in definitions(module):
        if path in described or path.rpartition(".")[0] in WHOLE:
            links.append(f"- [`{member}`][{path}]: `{path}`\n")
        else:
            entries.append(f"::: {path}\n")
            described.add(path)
    head = f"::: {name}\n    options: {{members: false, {without_heading}}}\n"
    return "\n".join([head, *([f"Described elsewhere:\n\n{''.join(links)}"] if links else []), *entries])


def definitions(module) -> list[tuple[str, str]]:
    """Public name and path of everything that a module offers, except for constants, which have no docstring."""
    if not hasattr(module, "__all__"):
        return [(path.rpartition(".")[2], path) for path in SUBMODULES[module.__name__]]
    paths = {member: definition_of(module, member) for member in module.__all__}
    return [(member, path) for member, path in paths.items() if path]


def definition_of(module, name: str) -> str:
    """The path at which a class or function is defined, else "": only running code finds a lazily imported one."""
    found = getattr(module, name)
    if inspect.ismodule(found):  # the package auralign.train, which can be called
        return f"auralign.api.{name}"
    if inspect.isclass(found) or inspect.isfunction(found):
        return f"{found.__module__}.{found.__qualname__}"
    return ""


def on_config(config):
    """Put the pages that are made here into the navigation."""
    made = {
        "recipes": sorted(page for page in copies().values() if page.startswith("recipes/")),
        "methods": [
            "methods/index.md",
            *sorted(page for page in method_pages() if page != "methods/index.md"),
        ],
        "api": [f"api/{name}.md" for name in MODULES],
    }
    for item in config.nav:
        for title, page in item.items():
            item[title] = (
                [{posixpath.basename(path)[:-3]: path} for path in made[page]] if page in made else page
            )
    return config


def on_files(files, config):
    """Add the pages, and the images that they show."""
    from mkdocs.structure.files import File  # the rest is tested without mkdocs

    pages, images = copies(), {}
    texts = {page: relink(read_source(source), source, pages, images) for source, page in pages.items()}
    made = [
        File.generated(config, page, content=text)
        for page, text in {**texts, **method_pages(), **api_pages()}.items()
    ]
    made += [File.generated(config, place, abs_src_path=str(image)) for place, image in images.items()]
    for file in made:
        found = files.get_file_from_path(file.src_uri)
        if found:
            files.remove(found)
        files.append(file)
    return files
