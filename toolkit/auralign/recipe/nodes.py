"""The nodes of a YAML, as it is written: parsed with limits, and searched for tags, before anything is constructed.

    >>> nodes = parse("lora: !name:peft.LoraConfig {r: 8}", "a.yaml")
    >>> [(value.key, value.tag, value.line) for value in find_tagged(nodes)]
    [('lora', '!name:peft.LoraConfig', 1)]

HyperPyYAML resolves references by copying text and by arithmetic, so that a few lines could take all memory.
"""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from auralign.recipe.keys import RecipeError
from auralign.records import shorten

VALUES = ("!ref", "!copy", "!tuple", "!PLACEHOLDER")  # tags that construct nothing
STANDARD = "tag:yaml.org,2002:"  # begins YAML's own tags, such as !!str
PYTHON = f"{STANDARD}python/"

MAX_DEPTH = 20
MAX_NODES = 10_000  # with every alias counted as what it repeats
MAX_CHARACTERS = 100_000  # of a value, with every reference counted as what it refers to
REFERENCE = re.compile(r"<([^<>\[.]+)[^<>]*>")
A_KEY = " (a key)"  # ends the name of a value that is the key of a mapping


@dataclass(frozen=True)
class Tagged:
    """A value of a YAML that is more than a reference, a tuple or one of YAML's own types: its key, tag and line."""

    key: str
    tag: str
    line: int

    @property
    def shown(self) -> str:
        """The tag as a YAML has it."""
        return self.tag.replace(STANDARD, "!!")


def parse(text: str, path) -> dict[str, Any]:
    """The nodes of a YAML by key; nothing is constructed.

    Raises RecipeError on broken YAML, a key that is given twice, a value that is nested or repeated too often (a "billion
    laughs"), and a reference that leads back to itself or grows without measure.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        _check_size(YAML(pure=True).parse(text), path)
        root = YAML().compose(text)
    except YAMLError as error:
        raise RecipeError(f"{path}: {' '.join(str(error).split())}") from error
    if root is None or root.id != "mapping":
        return {}
    nodes: dict[str, Any] = {}
    for name, node in root.value:
        if name.id != "scalar" or name.tag != f"{STANDARD}str":
            raise RecipeError(
                f"{_place(path, name)}: a key must be a word; this one is a {name.id} with the tag {name.tag}; write a key such "
                "as lr"
            )
        if name.value in nodes:
            raise RecipeError(f"{_place(path, name)}: the key {name.value!r} is given twice; keep one")
        nodes[name.value] = node
    _check_references(nodes, path)
    return nodes


def _place(path, node) -> str:
    return f"{path}:{node.start_mark.line + 1}"


def _check_size(events: Iterable[Any], path) -> None:
    """Raise RecipeError if the events of a YAML would make too many or too deeply nested nodes."""
    sizes: dict[str, int] = {}  # nodes below an anchor
    open_nodes: list[list[Any]] = []  # anchor and size of the collections that are open
    for event in events:
        kind, line = type(event).__name__, event.start_mark.line + 1
        if kind in ("SequenceStartEvent", "MappingStartEvent"):
            open_nodes.append([event.anchor, 1])
            if len(open_nodes) > MAX_DEPTH:
                raise RecipeError(f"{path}:{line}: nested more than {MAX_DEPTH} deep; write it flatter")
            continue
        if kind in ("SequenceEndEvent", "MappingEndEvent"):
            anchor, size = open_nodes.pop()
        elif kind == "ScalarEvent":
            anchor, size = event.anchor, 1
        elif kind == "AliasEvent":
            if event.anchor in [anchor for anchor, _ in open_nodes]:
                raise RecipeError(f"{path}:{line}: *{event.anchor} contains itself; write its value out")
            anchor, size = None, sizes.get(event.anchor, 1)
        else:
            continue
        if anchor:
            sizes[anchor] = size
        if open_nodes:
            open_nodes[-1][1] += size
        if size > MAX_NODES or (open_nodes and open_nodes[-1][1] > MAX_NODES):
            raise RecipeError(
                f"{path}:{line}: more than {MAX_NODES} values, with every alias (*name) counted as what it repeats; "
                "use fewer aliases"
            )


def _check_references(nodes: Mapping[str, Any], path) -> None:
    """Raise RecipeError if the text of a reference would be endless, or its arithmetic unbounded."""
    texts: dict[str, str] = {}

    def text_of(name: str, node, above: tuple[str, ...]) -> str:
        if name in above:
            raise RecipeError(
                f"{_place(path, node)}: {name}: the reference leads back to itself ({' -> '.join((*above, name))}); "
                "write the value out"
            )
        if name not in texts:
            texts[name] = expand(name, node, (*above, name))
        return texts[name]

    def expand(name: str, node, above: tuple[str, ...]) -> str:
        if node.id != "scalar":
            children = [part for pair in node.value for part in (pair if node.id == "mapping" else (pair,))]
            return " ".join(expand(name, child, above) for child in children)
        if node.tag not in ("!ref", "!copy"):
            return str(node.value)
        found, end = [], 0
        for match in REFERENCE.finditer(node.value):
            named = nodes.get(match[1])
            found += [node.value[end : match.start()], text_of(match[1], named, above) if named else ""]
            end = match.end()
            if sum(map(len, found)) > MAX_CHARACTERS:
                raise RecipeError(
                    f"{_place(path, node)}: {name}: its references make more than {MAX_CHARACTERS} characters; "
                    "write the value out"
                )
        text = "".join((*found, node.value[end:]))
        if "*" in text and not _is_bounded(text):
            raise RecipeError(
                f"{_place(path, node)}: {name}: {shorten(text)!r} is not computed: a reference may hold +, -, *, / and // "
                "of numbers; write the value out"
            )
        return text

    for name, node in nodes.items():
        text_of(name, node, ())


def _is_bounded(text: str) -> bool:
    """Whether HyperPyYAML's arithmetic ends at once: powers, and texts times numbers, can take all memory."""
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return True  # it stays a text
    parts = list(ast.walk(tree))
    is_text = any(isinstance(part, ast.Constant) and isinstance(part.value, (str, bytes)) for part in parts)
    return not is_text and not any(isinstance(part, ast.Pow) for part in parts)


def find_tagged(nodes: Mapping[str, Any]) -> Iterator[Tagged]:
    """Every value below the nodes of `parse` that is constructed, in the order of the file."""
    for key, node in nodes.items():
        if node.tag not in VALUES and (not node.tag.startswith(STANDARD) or node.tag.startswith(PYTHON)):
            yield Tagged(key, node.tag, node.start_mark.line + 1)
        if node.id == "mapping":
            for name, part in node.value:  # a mapping can be a key of a mapping: its tags count too
                inner = {f"{key}.{name.value if name.id == 'scalar' else '?'}": part}
                yield from find_tagged({f"{key}{A_KEY}": name} | inner)
        elif node.id == "sequence":
            yield from find_tagged({f"{key}[{number}]": part for number, part in enumerate(node.value)})
