"""Read a recipe's YAML: check its keys, apply what the command line changes, and only then build its values.

    >>> parse_arguments(["hparams/sift.yaml", "--lr", "3e-4", "--connector.stride=4", "--restart"])
    (['hparams/sift.yaml'], {'lr': '3e-4', 'connector.stride': '4', 'restart': 'true'})

The language is HyperPyYAML. Its `!name:` loads to a Constructor, which imports nothing before it is called. What a YAML may name
is checked before (`auralign.recipe.trust`).
One module, as keys, overrides and tags are checked on one text before anything in it is built.
"""

import datetime
import io
import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auralign.constructor import APPLY, MODULE, NAME, NEW, Constructor, realise
from auralign.recipe import trust
from auralign.recipe.hardware import AUTO, DTYPES, choose_device, choose_precision
from auralign.recipe.keys import RecipeError, names_of, suggest
from auralign.recipe.nodes import parse
from auralign.recipe.recipe import KEYS, Recipe
from auralign.records import shorten

HELP = ("--help", "-h")
RESOLVED = "# All references and overrides are resolved.\n"  # the first line of a run's recipe
BOOLEANS = ("true", "false")
NULLS = ("null", "none")
NUMBER = re.compile(
    r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+"
)  # of which YAML 1.1 reads 3e-4, without a point, as text


@dataclass(frozen=True)
class RecipeFile:
    """The YAML of a recipe.

    Arguments
    ---------
    path : Path
        Its path.
    folder : Path
        The recipe's folder, from which relative paths in the YAML start.
    text : str
        The YAML with all references and overrides resolved.
    overrides : dict of str to str
        Values of the command line, by key.
    name : str
        Name of the run in a ledger: the YAML's name without its suffix.
    trusted : bool
        Whether `--trust-config` was given, so that the YAML may construct anything. Default: False.
    """

    path: Path
    folder: Path
    text: str
    overrides: Mapping[str, str]
    name: str
    trusted: bool = False


def parse_arguments(argv: list[str]) -> tuple[list[str], dict[str, str]]:
    """Split `a.yaml b.yaml --lr 3e-4 --num-steps=10` into paths and overrides.

    Dashes in names are underscores, and a key that is true or false may be given without a value. What asks for help is left out.

    Raises RecipeError on an option without a value.
    """
    paths, overrides, rest = [], {}, list(argv)
    while rest:
        word = rest.pop(0)
        if word in HELP:
            continue
        if not word.startswith("--"):
            paths.append(word)
            continue
        name, equals, value = word[2:].partition("=")
        name = name.replace("-", "_")
        if not equals and _is_flag(name) and (not rest or rest[0].lower() not in BOOLEANS):
            value = "true"  # `--restart` alone
        elif not equals:
            if not rest or rest[0].startswith("--"):
                raise RecipeError(f"the option {word} needs a value: {word} VALUE")
            value = rest.pop(0)
        overrides[name] = value
    return paths, overrides


def _is_flag(name: str) -> bool:
    return name == trust.TRUST or (name in KEYS and KEYS[name].kinds == (bool,))


def load_recipe(path, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """The recipe of a YAML, checked and with defaults filled in.

    Arguments
    ---------
    path : path
    overrides : dict of str
        Values by key, as text or of their own type, paths too; `connector.stride` is the argument `stride` of `connector`.
        `trust_config` (default: False), which is not a key, lets the YAML construct anything.

    Raises RecipeError on an object that a YAML may not construct, an unknown key (with a suggestion), a missing value, one of a
    wrong type, and broken YAML.
    """
    text = read_text(path)
    overrides = {name: _plain(value, name, path) for name, value in (overrides or {}).items()}
    trusted = str(overrides.pop(trust.TRUST, False)).lower() == "true"
    nodes = parse(text, path)
    given = set(nodes)
    check_keys(given, text, path)
    folders = trust.own_folders(path)
    if not trusted:
        trust.check_tags(nodes, path, folders)
    whole, inner, words = {}, {}, {}
    for name, value in overrides.items():
        first = name.partition(".")[0]
        if first not in given and first not in KEYS:
            raise RecipeError(f"{path}: no key {first!r} to override{suggest(first, given | set(KEYS))}")
        if first == name and name in KEYS and isinstance(value, str) and value in KEYS[name].words:
            words[name] = KEYS[name].words[value]
        elif first == name:
            whole[name] = _typed(name, value, text, path)
        else:
            inner[name] = value
    _choose(text, whole, inner, path)
    # Of one command, not of the run: a recipe that is kept must not restart whatever is done with it later.
    command = {"restart": whole.pop("restart")} if "restart" in whole else {}
    resolved = _resolve(_override(text, inner, words, path) if inner or words else text, whole, path)
    values = _build(resolved, path, None if trusted else folders) | command
    words = {name: str(value) for name, value in overrides.items()}
    source = RecipeFile(Path(path), Path.cwd(), resolved, words, name=Path(path).stem, trusted=trusted)
    return make_recipe(values, path, source=source)


def check_keys(given: set[str], text: str, path) -> None:
    """Raise RecipeError if the text of a YAML has no keys, or one that is neither a recipe's nor used by a reference."""
    if not given:
        raise RecipeError(f"{path}: holds no keys; give a YAML such as hparams/sift.yaml")
    # A key of the recipe's own must be of use to another value; resolved references do not show that.
    own = given if text.startswith(RESOLVED) else set(re.findall(r"<(\w+)", text))
    for name in sorted(given):
        if name not in KEYS and name not in own:
            raise RecipeError(f"{path}: unknown key {name!r}{suggest(name, KEYS)}")


def _choose(text: str, whole: dict[str, Any], inner: dict[str, Any], path) -> None:
    """Replace `auto` by what this machine does well, also as the dtype of LLM and encoder, and let the LLM's dtype follow a
    precision of the command line.

    It is done before all else, so that a run records what it was made with.
    """
    top = dict(re.findall(r"^(device|precision):[ \t]*([\w:]+)", text, flags=re.MULTILINE))
    device, precision = (
        str(whole.get(name, top.get(name, KEYS[name].default))) for name in ("device", "precision")
    )
    is_new = "precision" in whole
    if device == AUTO:
        device = whole["device"] = choose_device()
    if precision == AUTO:
        precision = whole["precision"] = choose_precision(device)
    if precision not in DTYPES:  # refused below
        return
    for part in ("llm", "encoder"):
        block = re.search(rf"^{part}:.*\n((?:[ \t]+.*\n|[ \t]*(?:#.*)?\n)*)", f"{text}\n", flags=re.MULTILINE)
        found = re.search(r"^[ \t]+dtype:[ \t]*(\w+)", block[1] if block else "", flags=re.MULTILINE)
        given = inner.get(f"{part}.dtype")
        is_to_follow = found and (found[1] == AUTO or (is_new and part == "llm"))
        if given == AUTO or (given is None and is_to_follow):
            inner[f"{part}.dtype"] = DTYPES[precision]


def make_recipe(values: Mapping[str, Any], path, *, source: RecipeFile | None = None) -> Recipe:
    """A Recipe of values by key, checked; keys that it has not are its `own`.

    Raises RecipeError on a missing value and on one of a wrong type; `path` is named in it.
    """
    checked = {}
    for name, about in KEYS.items():
        if name not in values:
            if about.is_required:
                raise RecipeError(f"{path}: lacks {name!r} ({about.meaning})")
            continue
        try:
            checked[name] = about.check(values[name])
        except ValueError as error:
            raise RecipeError(f"{path}: {error}") from error
    own = {name: value for name, value in values.items() if name not in KEYS}
    recipe = Recipe(**checked, own=own, source=source)
    recipe.check_names()
    try:
        recipe.draws  # noqa: B018 (checks itself)
    except ValueError as error:
        raise RecipeError(f"{path}: {error}") from error
    return recipe


def read_text(path) -> str:
    """The text of a YAML. Raises RecipeError if there is no such file, or if it is not UTF-8."""
    if not Path(path).is_file():
        raise RecipeError(f"no YAML at {path}; give the path of a file such as hparams/sift.yaml")
    try:
        return Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise RecipeError(
            f"{path}: not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8"
        ) from error


def _override(text: str, inner: Mapping[str, Any], words: Mapping[str, str], path) -> str:
    """The YAML with other constructors for the keys of `words`, and other values for keys within keys (`connector.stride`).

    A constructor that the YAML names already keeps its arguments."""
    from ruamel.yaml import YAML  # imported late, as all of YAML here: it takes 0.1 s
    from ruamel.yaml.error import YAMLError

    try:
        tree = YAML().load(text)
    except YAMLError as error:
        raise RecipeError(f"{path}: {' '.join(str(error).split())}") from error
    for name, constructor in words.items():
        if _tag(tree.get(name)) != f"!name:{constructor}":
            tree[name] = _constructor(constructor)
    for name, value in inner.items():
        first, *parts, last = name.split(".")
        key, node = first, _open(tree, first, path)
        for part in parts:
            key = f"{key}.{part}"
            node = _open(node, part, path, key=key)
        before = node.get(last)
        keep_text = isinstance(before, str) and not _is_reference(before)
        node[last] = value if keep_text or not isinstance(value, str) else _guess(value, before)
    changed = io.StringIO()
    YAML().dump(tree, changed)
    return changed.getvalue()


def _open(tree, name: str, path, *, key: str = ""):
    """The mapping at a key of a tree, made if the key has arguments but the YAML gives none."""
    from ruamel.yaml.comments import CommentedMap, TaggedScalar

    key = key or name
    node = tree.get(name)
    if isinstance(node, dict):
        return node
    default = KEYS[name].default if name in KEYS and node is None else None
    words = KEYS[name].words if name in KEYS else {}
    made = CommentedMap()
    if isinstance(node, str) and node in words:
        made = _constructor(words[node])
    elif isinstance(node, TaggedScalar) and _tag(node).startswith("!") and not node.value:
        made.yaml_set_ctag(node.tag)  # `!name:some.Class` without arguments
    elif isinstance(default, Constructor):
        made = _constructor(default.name)
    elif not isinstance(default, dict):
        if _is_reference(node):
            why = f"it is a reference, {node.value}; override that"
        elif name in KEYS and KEYS[name].is_list:
            why = f"it is a list, which is given whole: --{name} '[ONE, OTHER]'"
        elif node is None and name in KEYS:
            why = f"the YAML gives none; write it there first ({KEYS[name].meaning})"
        else:
            why = f"it is {node!r}"
        raise RecipeError(f"{path}: {key} has no parts to override: {why}")
    tree[name] = made
    return made


def _constructor(name: str):
    """The mapping of a `!name:` tag without arguments."""
    from ruamel.yaml import Tag
    from ruamel.yaml.comments import CommentedMap

    made = CommentedMap()
    made.yaml_set_ctag(Tag(suffix=f"!name:{name}"))
    return made


def _tag(node) -> str:
    return getattr(getattr(node, "tag", None), "value", None) or ""


def _is_reference(node) -> bool:
    return _tag(node) in ("!ref", "!copy")


def _plain(value: Any, name: str, path) -> Any:
    """The value of an override as YAML writes it: a path is text, and a number of numpy or torch is a number.

    Raises RecipeError if YAML has no form for it.
    """
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return {key: _plain(part, f"{name}.{key}", path) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part, name, path) for part in value]
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        value = value.item()
    if value is None or isinstance(value, (str, int, float, datetime.date)):
        return value
    raise RecipeError(
        f"{path}: {name} is given a {type(value).__name__}, {shorten(repr(value))}, for which YAML has no form; give text, a "
        "path, a number, a truth value, None, or a list or dict of these"
    )


def _typed(name: str, value: Any, text: str, path) -> Any:
    """The value for a key as YAML has it, by the key's type; text comes from the command line."""
    if not isinstance(value, str):
        return value
    if name not in KEYS:  # one of the recipe's own, which has no type but that of its value in the YAML
        line = re.search(rf"^{name}:[ \t]*([^#\n]*)", text, flags=re.MULTILINE)
        before = _guess(line[1].strip()) if line else value
        return _guess(value, before) if isinstance(before, (bool, int, float)) else value
    kinds = KEYS[name].kinds
    if type(None) in kinds and value.lower() in NULLS:
        return None
    if bool in kinds and value.lower() in BOOLEANS:
        return value.lower() == "true"
    if str in kinds or KEYS[name].words:
        return value
    if not KEYS[name].is_scalar:
        found = _guess(value)
        if isinstance(found, (dict, list)) and isinstance(found, kinds):
            return found
        instead = "give a list" if KEYS[name].is_list else "edit the YAML, or change a part of it"
        part = f"--{name} '[{value}]'" if KEYS[name].is_list else f"--{name}.NAME VALUE"
        raise RecipeError(
            f"{path}: {name!r} cannot be given on the command line as {value!r}; {instead}: {part}"
        )
    convert = int if int in kinds else float
    try:
        if bool in kinds:
            raise ValueError
        return convert(value)
    except ValueError as error:
        raise RecipeError(f"{path}: --{name} {value}: expected {names_of(kinds)}") from error


def _guess(value: str, before: Any = None) -> Any:
    """What YAML takes a word for; 3e-4 and what replaces a float are numbers."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    if NUMBER.fullmatch(value):
        return float(value)
    try:
        found = YAML(typ="safe", pure=True).load(value)
    except (YAMLError, RecursionError):
        return value
    if isinstance(before, float) and isinstance(found, int) and not isinstance(found, bool):
        return float(found)
    return found if found is None or isinstance(found, (bool, int, float, str, list, dict)) else value


def _resolve(text: str, overrides: Mapping[str, Any], path) -> str:
    """The YAML's text with every reference replaced by what it refers to."""
    from hyperpyyaml import resolve_references

    try:
        resolved = resolve_references(io.StringIO(text), dict(overrides)).read()
    except Exception as error:  # HyperPyYAML raises many kinds; a user reads one line with the file's name
        raise RecipeError(f"{path}: {' '.join(str(error).split())}") from error
    return RESOLVED + resolved.removeprefix(RESOLVED)


def _build(text: str, path, folders: Collection[Path] | None) -> dict[str, Any]:
    """The values of a YAML without references. What they name is checked unless `folders`, those of the user's code, is None."""
    from ruamel.yaml.error import YAMLError

    loader = _loader()(text)
    try:
        values = loader.get_single_data()
    except YAMLError as error:
        raise RecipeError(f"{path}: {' '.join(str(error).split())}") from error
    finally:
        loader.dispose()
    if folders is not None:
        trust.guard(values, "", path, folders)
    try:
        return {
            name: realise(value) if isinstance(value, Constructor) else value
            for name, value in values.items()
            if not name.startswith("__")
        }
    except Exception as error:  # whatever a `!new:` or `!apply:` of the YAML raises
        raise RecipeError(f"{path}: {' '.join(str(error).split())}") from error


def _loader() -> type:
    """A YAML loader that makes Constructors of HyperPyYAML's tags, and of no other tag anything."""
    from ruamel.yaml import SafeLoader

    class Loader(SafeLoader):
        """Of one document."""

        def dispose(self):
            """Let the parser go."""

    def construct(kind):
        def build(loader, name, node):
            value = None
            if node.id == "mapping":
                value = loader.construct_mapping(node, deep=True)
            elif node.id == "sequence":
                value = loader.construct_sequence(node, deep=True)
            args, keywords = (value, {}) if isinstance(value, list) else ((), value or {})
            made = Constructor(name, *args, **keywords)
            made.kind = kind
            return made

        return build

    for kind in (NAME, NEW, APPLY, MODULE):
        Loader.add_multi_constructor(f"!{kind}:", construct(kind))

    def make_tuple(loader, node):
        parts = _guess(f"[{node.value[1:-1]}]")
        return tuple(parts) if isinstance(parts, list) else node.value  # such as "(see [1)", which is text

    Loader.add_constructor("!tuple", make_tuple)
    Loader.add_implicit_resolver("!tuple", re.compile(r"^\(.*\)$"), first="(")
    return Loader
