"""What a value of a recipe is, in plain JSON: by that a stage knows whether its inputs changed.

>>> describe({"lr": 1e-3, "strides": (4, 8)})
{'lr': 0.001, 'strides': [4, 8]}
"""

import ast
import contextlib
import functools
import importlib.util
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

from auralign.bases import hash_content
from auralign.constructor import Constructor, find_module, locate
from auralign.files import hash_path, hash_value
from auralign.hub import is_pinned, resolve
from auralign.marks import check_taken, take
from auralign.names import canonical


def describe(value) -> object:
    """A JSON-able account of a value of a recipe, by which a stage knows that it changed. Nothing is imported for it.

    A constructor is named by its dotted name and arguments, with the content of files and folders among them (of a downloaded
    model: what `auralign.bases.hash_content` counts); a method by its options and its version. What is the user's own is
    described by its source too: its module's file, and those of the modules that it imports from outside of the installed
    packages. Parts of auralign and of the `LIBRARIES` are described by name alone: an upgrade is no changed input, as it would
    undo all that was trained; the version of auralign is recorded.

    Raises TypeError on values that are neither plain, nor constructors, nor methods.
    """
    if isinstance(value, (Constructor, functools.partial)):
        is_named = isinstance(value, Constructor)
        name = value.name if is_named else canonical(f"{value.func.__module__}.{value.func.__qualname__}")
        account = {"call": name, "args": describe(value.args), "with": describe(value.keywords)}
        paths = [path for path in (*value.args, *value.keywords.values()) if _is_path(path)]
        account |= {"content": [_hash_and_take(path) for path in paths]} if paths else {}
        return account | _source(named_files(name) if is_named else own_files(value.func))
    if isinstance(value, dict):
        return {str(key): describe(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [describe(item) for item in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if hasattr(value, "options") and hasattr(value, "name"):
        account = {"method": value.name, "version": value.version, "options": describe(value.options())}
        account |= {"added": describe(dict(value.added))} if getattr(value, "added", None) else {}
        # The user's own method by its source too: whoever writes one edits it, and its old targets are then no longer what it
        # asks for. The source is whole files, with constants and helpers, and with those of the method's parents.
        kinds = [
            kind
            for kind in type(value).__mro__
            if hasattr(kind, "layout") and not _is_library(kind.__module__)
        ]
        files = {Path(file) for file in map(inspect.getsourcefile, kinds) if file}
        imported = own_files(type(value)) - files
        account |= {"source": hash_files(files)} if files else {}
        return account | ({"imported": hash_files(imported)} if imported else {})
    if callable(value) and hasattr(value, "__qualname__"):
        name = canonical(f"{value.__module__}.{value.__qualname__}")
        return {"call": name, "args": [], "with": {}} | _source(own_files(value))
    raise TypeError(
        f"cannot say what {value!r} is: give the YAML plain values, !name: constructors or a method"
    )


LIBRARIES = ("auralign", "auralign_methods", "torch", "transformers", "peft", "speechbrain")
INSTALLED = {"site-packages", "dist-packages"}
LATER = (
    "source",
    "imported",
)  # accounts of an earlier auralign may lack them, or have them for its own methods


def same(before, now) -> bool:
    """Whether recorded inputs equal the present ones, in all that the record holds.

    An earlier auralign wrote the name under which a class was defined, and of the user's own classes the files of their parents:
    what differs from that is imported and compared again.
    """
    if isinstance(before, dict) and isinstance(now, dict):
        if {"call", "with"} <= before.keys() & now.keys():
            return _same_call(before, now)
        before, now = fill_added(before, now)
        names = set(before) | set(now)
        return all(
            (name in LATER and not (name in before and name in now))
            or (name in before and name in now and same(before[name], now[name]))
            for name in names
        )
    if isinstance(before, list) and isinstance(now, list):
        return len(before) == len(now) and all(map(same, before, now))
    return before == now


def fill_added(before, now):
    """Two accounts of a method, the recorded one with the options that were added since, at the values that change nothing.

    >>> fill_added({"options": {}}, {"options": {"limit": 3}, "added": {"limit": 3}})
    ({'options': {'limit': 3}}, {'options': {'limit': 3}})
    """
    if not ("options" in before and "added" in {**before, **now}):
        return before, now
    options = {**now.get("added", {}), **before["options"]}
    kept = ({name: value for name, value in one.items() if name != "added"} for one in (before, now))
    was, is_now = kept
    return {**was, "options": options}, is_now


def by_content(account):
    """An account without the paths whose content it holds: a model that was moved or copied is the same model."""
    if isinstance(account, dict):
        kept = {name: by_content(value) for name, value in account.items()}
        if "content" in account and "with" in account:
            kept["with"] = {name: value for name, value in kept["with"].items() if name != "path"}
        return kept
    return [by_content(item) for item in account] if isinstance(account, list) else account


def _same_call(before: dict, now: dict) -> bool:
    """`same`, for the accounts of two constructors. A path is known by its content alone: a model that was moved is the same."""
    if not _same_content(before.get("content", []), now):
        return False
    were, are = (_without_paths(account, now) for account in (before, now))
    if not same(were["args"], are["args"]):
        return False
    if not same(were["with"], are["with"]) and not same(
        *_with_defaults(were["with"], are["with"], now["call"])
    ):
        return False
    was = canonical(before["call"]), before.get("source")
    if was[0] == now["call"] and was[1] in (None, now.get("source")):
        return True
    try:
        made = locate(now["call"])
        name = canonical(f"{made.__module__}.{made.__qualname__}")
    except (ValueError, ImportError, AttributeError):
        return False
    return was[0] == name and was[1] in (None, _source(own_files(made)).get("source"))


def _with_defaults(were: dict, are: dict, call: str) -> tuple[dict, dict]:
    """Two sets of keyword arguments; of one that only one of them holds, the other gets the default of what is called."""
    try:
        parameters = inspect.signature(locate(call)).parameters
        defaults = {name: describe(parameters[name].default) for name in were.keys() ^ are.keys()}
    except (
        KeyError,
        TypeError,
        ValueError,
        ImportError,
        AttributeError,
    ):  # it has no such argument, or no default
        return were, are
    return {**defaults, **were}, {**defaults, **are}


def _same_content(before: list, now: dict) -> bool:
    """Whether the content of a constructor's paths is what was recorded. An earlier auralign hashed every file of a model."""
    return before == now.get("content", []) or (
        bool(before) and before == [hash_path(path) for path in paths_of(now)]
    )


def paths_of(account: dict) -> list:
    """The arguments of a constructor's account that are paths, in the order of its "content"."""
    return [path for path in (*account.get("args", []), *account["with"].values()) if _is_path(path)]


def _without_paths(account: dict, now: dict) -> dict:
    """Arguments of an account, without those whose content the present account holds."""
    if len(paths_of(now)) != len(now.get("content", [])):  # a path that is there no more
        return {"args": account.get("args", []), "with": account["with"]}
    named = {name for name, value in now["with"].items() if _is_path(value)}
    numbers = {number for number, value in enumerate(now.get("args", [])) if _is_path(value)}
    return {
        "args": [value for number, value in enumerate(account.get("args", [])) if number not in numbers],
        "with": {name: value for name, value in account["with"].items() if name not in named},
    }


def _hash_and_take(path) -> str:
    place = resolve(path)
    digest = hash_content(place)
    take(place, digest)
    return digest


def check_unchanged(constructor) -> None:
    """After a constructor was called: raise ChangedOutputError if a folder or file that it has read is no longer as it was when
    the stage at work described it."""
    for path in filter(_is_path, (*constructor.args, *constructor.keywords.values())):
        place = resolve(path)
        check_taken(place, lambda place=place: hash_content(place))


def _source(files: set[Path]) -> dict:
    return {"source": hash_files(files)} if files else {}


def hash_files(files: set[Path]) -> str:
    """One hash of the contents of files, whatever their names."""
    return hash_value(sorted(hash_path(file) for file in files))[:16]


def own_files(made) -> set[Path]:
    """The files of Python code that a class, function or class method is written in, as far as they are not auralign's, of
    its `LIBRARIES` or Python's own; with those of modules that they import and that are in no installed package."""
    holder = getattr(made, "__self__", made)  # a class method's class
    kinds = inspect.getmro(holder) if inspect.isclass(holder) else ()
    found: set[Path] = set()
    for module in {made.__module__, *(kind.__module__ for kind in kinds)}:
        _add_own(sys.modules.get(module), found)
    return found


def named_files(name: str) -> set[Path]:
    """What `own_files` gives for a dotted name, without importing it, so without the files of a class' parents."""
    found: set[Path] = set()
    _add_own(_find_module(name), found)
    return found


def _find_module(name: str):
    """The name, file and package of the module that holds a dotted name; None if it is a library's or not found."""
    spec, _ = (None, ()) if _is_library(name) else find_module(name)
    if spec is None or not spec.has_location:
        return None
    return SimpleNamespace(__name__=spec.name, __file__=spec.origin, __package__=spec.parent)


def _add_own(module, found: set[Path]) -> None:
    """Add the file of a module, if it is not a library's, and those of the modules that it imports."""
    file = getattr(module, "__file__", None)
    if file is None or not file.endswith(".py") or not Path(file).is_file() or Path(file) in found:
        return
    if _is_library(module.__name__):
        return
    found.add(Path(file))
    for name in _imports(module, file):
        imported = sys.modules.get(name) or _find_own(name)
        if not _is_installed(getattr(imported, "__file__", None)):
            _add_own(imported, found)


def _is_library(name: str) -> bool:
    """Whether a module belongs to `LIBRARIES` or to Python's standard library."""
    return name.partition(".")[0] in (*LIBRARIES, *sys.stdlib_module_names)


def _is_installed(file: str | None) -> bool:
    return bool(INSTALLED & {*Path(file or "").parts})


def _find_own(name: str):
    """The name, file and package of a module that is not loaded yet; None for an installed one."""
    with contextlib.suppress(ImportError, ValueError, AttributeError):
        top = importlib.util.find_spec(name.partition(".")[0])
        if top is not None and not _is_installed(top.origin):
            spec = importlib.util.find_spec(name)
            return spec and SimpleNamespace(__name__=name, __file__=spec.origin, __package__=spec.parent)
    return None


def _imports(module, file: str) -> Iterator[str]:
    """Absolute names of what a module's code imports; of `from a import b` both a and a.b, whichever is a module."""
    for node in ast.walk(ast.parse(Path(file).read_bytes(), filename=file)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = (module.__package__ or "").split(".")
            start = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*start, *([node.module] if node.module else [])])
            yield origin
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def _is_path(value) -> bool:
    return isinstance(value, (str, Path)) and bool(str(value)) and (Path(value).exists() or is_pinned(value))
