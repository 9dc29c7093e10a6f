"""What a YAML may construct: every tag is checked before anything is imported or called, and every object before it is used.

    >>> find_refusal("name", "torch.nn.GELU", ())
    >>> find_refusal("name", "transformers.pipeline", ())
    'it is neither a class nor one of the functions that load a model'

`--trust-config` turns both checks off, for a YAML that the user has read. Modules beside the recipe are the user's own code.
One module, because the check of a name and the check of the object behind it must agree.
"""

import ast
import functools
import inspect
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auralign.constructor import APPLY, MODULE, NAME, NEW, Constructor, find_module, locate
from auralign.names import canonical
from auralign.plugins import find_methods
from auralign.recipe.keys import RecipeError
from auralign.records import shorten

TRUST = "trust_config"  # an option of every command that reads a recipe; never a key of a YAML
REPAIR = "remove it, or give --trust-config if you have read the YAML and trust it"

PACKAGES = ("auralign", "torch.nn", "torch.optim", "transformers", "peft", "speechbrain")
OURS = "auralign_methods"
LIBRARY = (*PACKAGES, OURS)
HOLDER = "builtins.dict"  # holds its arguments and does nothing else
LOADERS = frozenset(
    {
        "auralign.plugins.load_method",
        "auralign.models.llm.load_llm",
        "auralign.models.encoders.load_encoder",
        "auralign.models.encoders.load_wav2vec2",
        "auralign.models.encoders.load_whisper",
        "auralign.models.recognizers.load_ctc",
        "auralign.models.recognizers.load_wav2vec2_ctc",
        "auralign.models.recognizers.load_whisper_decoder",
        "auralign.models.recognizers.load_whisper_recognizer",
        "auralign.testing.tiny.answering.load_answering_llm",
        HOLDER,
    }
)
SCHEDULE = re.compile(r"transformers\.(optimization\.)?get_\w*schedule\w*")
LOAD = "load_"  # begins the names of a plugin's functions that build a model
NO_CLASS = "it is neither a class nor one of the functions that load a model"

# The class that a key takes, by the last part of the key's name.
MODEL = "torch.nn.Module"
TAKES = {
    "method": "auralign.method.AlignmentMethod",
    "llm": MODEL,
    "encoder": MODEL,
    "recognizer": MODEL,
    "connector": MODEL,
    "heads": MODEL,
    "lora": "peft.PeftConfig",
    "optimizer": "torch.optim.Optimizer",
    "lr_scheduler": "torch.optim.lr_scheduler.LRScheduler",
}

# Tags by what they do; YAML's own (`!!str`) begin with STANDARD.
VALUES = ("!ref", "!copy", "!tuple", "!PLACEHOLDER")
STANDARD, PYTHON = "tag:yaml.org,2002:", "tag:yaml.org,2002:python/"
CONSTRUCTS = tuple(f"!{kind}:" for kind in (NAME, NEW, APPLY, MODULE))

MAX_DEPTH = 20
MAX_NODES = 10_000  # with every alias counted as what it repeats
MAX_CHARACTERS = 100_000  # of a value, with every reference counted as what it refers to
REFERENCE = re.compile(r"<([^<>\[.]+)[^<>]*>")


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


def own_folders(path) -> tuple[Path, ...]:
    """The folders whose modules are the user's own code for the YAML at `path`: the working folder, and the YAML's recipe."""
    folder = Path(path).resolve().parent
    return Path.cwd(), folder.parent if folder.name == "hparams" else folder


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
                yield from find_tagged({f"{key} (a key)": name} | inner)
        elif node.id == "sequence":
            yield from find_tagged({f"{key}[{number}]": part for number, part in enumerate(node.value)})


def check_tags(nodes: Mapping[str, Any], path, folders: Collection[Path]) -> None:
    """Raise RecipeError on the first value below the nodes of `parse` that must not be constructed."""
    for value in find_tagged(nodes):
        if reason := refusal_of_tag(value.tag, folders):
            raise RecipeError(
                f"{path}:{value.line}: {value.key}: {value.shown} is refused: {reason}; {REPAIR}"
            )


def guard(value: Any, key: str, path, folders: Collection[Path]) -> None:
    """Let every Constructor below a value of a YAML check the object that it names before it is used.

    Raises RecipeError on a name that `find_refusal` refuses: references can make one that the YAML does not show.
    """
    if isinstance(value, Constructor):
        if reason := find_refusal(value.kind, value.name, folders):
            raise RecipeError(f"{path}: {key}: !{value.kind}:{value.name} is refused: {reason}; {REPAIR}")
        value.check = functools.partial(check_object, constructor=value, key=key, folders=folders)
        for number, part in enumerate(value.args):
            guard(part, f"{key}[{number}]", path, folders)
        value = value.keywords
    if isinstance(value, Mapping):
        for name, part in value.items():
            guard(part, f"{key}.{name}" if key else str(name), path, folders)
    elif isinstance(value, (list, tuple)):
        for number, part in enumerate(value):
            guard(part, f"{key}[{number}]", path, folders)


def refusal_of_tag(tag: str, folders: Collection[Path]) -> str | None:
    """Why a tag is refused without `--trust-config`, as far as it can be seen without importing anything; None if it is not."""
    if tag.startswith(PYTHON):
        return "Python tags (!!python/...) are not read; write !name:, !new: or !apply:"
    start = next((one for one in CONSTRUCTS if tag.startswith(one)), None)
    if start is None:
        return "only !ref, !copy, !name:, !new: and !apply: are read"
    return find_refusal(start[1:-1], tag.removeprefix(start), folders)


def find_refusal(kind: str, name: str, folders: Collection[Path]) -> str | None:
    """Why an object may not be named, as far as it can be seen without importing anything; None if it may.

    Arguments
    ---------
    kind : str
        "name", "new", "apply" or "module".
    name : str
        Its dotted name.
    folders : collection of Path
        Those whose modules are the user's own code.
    """
    name = canonical(name)
    parts = name.split(".")
    if not all(part.isidentifier() and not part.startswith("_") for part in parts):
        return "it is not the public name of a class"
    if kind == MODULE:
        return "no key takes a module"
    if name in LOADERS or (kind == NAME and SCHEDULE.fullmatch(name)):
        return None
    is_plugin = not _is_below(name, LIBRARY) and _is_below(name, _plugins())
    if not is_plugin and not _is_below(name, LIBRARY):
        if is_own(parts[0], folders):
            return None
        module = ".".join(parts[:-1]) or name
        return f"{module!r} is not a module of {', '.join(PACKAGES)}, an installed method or a file beside the recipe"
    if kind != NAME:
        return f"!{kind}: is for auralign.plugins.load_method and the files beside the recipe"
    spec, rest = find_module(name)
    if spec is None:
        return None  # `Recipe.check_names` says what is missing
    if len(rest) != 1:
        return f"{'.'.join(rest)} is not a class of {spec.name}" if rest else "it is a module"
    if not rest[0][0].isupper() and not (is_plugin and rest[0].startswith(LOAD)):
        return NO_CLASS
    return None


def review(value: Tagged, folders: Collection[Path]) -> tuple[bool, str]:
    """Whether a value may be constructed, and why or why not. Libraries and installed methods are imported, but no own files."""
    if reason := refusal_of_tag(value.tag, folders):
        return False, reason
    _, _, name = value.tag.partition(":")
    name = canonical(name)
    if is_own(name.partition(".")[0], folders):
        return True, "a file beside the recipe, which is your own code"
    try:
        reason = refusal_of_object(locate(name), name, value.key, folders)
    except (ValueError, ImportError) as error:
        return False, str(error)
    return not reason, reason or ("loads a model or a method" if name in LOADERS else "a part of a library")


def check_object(found, *, constructor: Constructor, key: str, folders: Collection[Path]) -> None:
    """See that the object which a Constructor names is one that its key takes.

    Arguments
    ---------
    found
        The class or function itself. Its own module counts, not the one in which the name was found.
    constructor : Constructor
    key : str
        Such as "connector" or "branches.voice.encoder".
    folders : collection of Path
        Those whose modules are the user's own code.

    Raises RecipeError if it is not one.
    """
    if reason := refusal_of_object(found, constructor.name, key, folders):
        raise RecipeError(f"{key}: !{constructor.kind}:{constructor.name} is refused: {reason}; {REPAIR}")


def refusal_of_object(found, name: str, key: str, folders: Collection[Path]) -> str | None:
    """Why an object of that name is not one that the key takes; None if it is one."""
    home = str(getattr(found, "__module__", None) or type(found).__module__)
    if name == HOLDER or is_own(home.partition(".")[0], folders):
        return None
    is_plugin = not _is_below(home, LIBRARY) and _is_below(home, _plugins())
    if not is_plugin and not _is_below(home, LIBRARY):
        return f"it is of the module {home}"
    if name in LOADERS or SCHEDULE.fullmatch(name) or is_own(name.partition(".")[0], folders):
        return None
    if not inspect.isclass(found):
        return None if is_plugin and getattr(found, "__name__", "").startswith(LOAD) else NO_CLASS
    wanted = TAKES.get(_kind_of(key))
    bases = [wanted] if wanted else list(dict.fromkeys(TAKES.values()))
    return (
        None
        if issubclass(found, tuple(map(locate, bases)))
        else f"it is not a subclass of {' or '.join(bases)}"
    )


def _kind_of(key: str) -> str:
    """The key of `TAKES` that decides for a part: users name heads and branches."""
    first, *rest = key.split(".")
    if first == "heads" and len(rest) == 1:
        return first
    return rest[-1] if first == "branches" and len(rest) == 2 else key


def _is_below(name: str, modules: Iterable[str]) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def _plugins() -> set[str]:
    """Top-level packages of the installed methods."""
    return {entry.value.partition(":")[0].partition(".")[0] for entry in find_methods()} - {OURS}


def is_own(package: str, folders: Collection[Path]) -> bool:
    """Whether the import of a top-level module or package would take it from one of the folders itself."""
    try:
        spec, _ = find_module(package)
    except ValueError:  # `__main__` has no specification
        return False
    if spec is None or not (spec.has_location or spec.submodule_search_locations):
        return False  # "built-in" and "frozen" are no paths
    places = spec.submodule_search_locations or (str(spec.origin),)
    return all(Path(place).parent.resolve() in folders for place in places)
