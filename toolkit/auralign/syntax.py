"""What the code of the toolkit says, apart from docstrings, comments and layout: by that a stage knows that it was edited.

    >>> hash_syntax(b"x = 1  # one") == hash_syntax(b"x = (1)")
    True
    >>> changed_modules(describe_code())
    []

The code that a stage's outputs depend on is that of the modules of auralign and its methods which are loaded when the stage
begins or ends, and of all that these import, also within functions: a part that is imported late is known from the start, and
a part that is built from the name in a YAML is loaded by the end. Modules that only show what happens do not count.
"""

import ast
import contextlib
import hashlib
import importlib.util
import json
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from auralign.files import recall, remember

PACKAGES = ("auralign", "auralign_methods")
# They show what happens, or start it: no output depends on them.
WITHOUT_EFFECT = tuple(
    f"auralign.{name}"
    for name in "__main__ changes cli environment marks progress script stage syntax testing versions".split()
)
DIGITS = 12  # of a hash in a mark
MOST_KNOWN = 1000  # files whose syntax is remembered
KNOWN = ("syntax", f"1-{sys.version_info.major}.{sys.version_info.minor}")


def describe_code() -> dict[str, str]:
    """Module -> hash of its file and hash of its syntax tree, of all modules that the loaded ones of the toolkit depend on."""
    known = _known()
    num_known = len(known)
    found: dict[str, str] = {}
    # Many names are of one file, and no file changes within a call.
    file_of, hash_file = cache(_file_of), cache(_hash_file)
    pending = [name for name in list(sys.modules) if _counts(name)]
    seen = set(pending)
    while pending:
        name = pending.pop()
        package, _, attribute = name.rpartition(".")
        home = file_of(package) if package else None
        module = file_of(name) if home is None or home.name == "__init__.py" else None
        file = module or home
        if file is None:
            continue
        key = hash_file(file)
        if key not in known:
            content = file.read_bytes()
            known[key] = [hash_syntax(content), *_imports(content)]
        tree, *imported = known[key]
        if module:
            found[name] = f"{key} {tree}"
        else:  # a name of `auralign.lazy`, or one that the package defines
            late = next((item for item in imported if item.startswith(f"{attribute}=")), "")
            imported = [f"{package}.{late.partition('=')[2]}"] if late else []
        new = {other for other in imported if _counts(other)} - seen
        seen |= new
        pending += new
    if len(known) > num_known:
        used = {hashes.partition(" ")[0] for hashes in found.values()}
        kept = (
            known if len(known) <= MOST_KNOWN else {key: value for key, value in known.items() if key in used}
        )
        remember(*KNOWN, json.dumps(kept))
    return dict(sorted(found.items()))


def changed_modules(before: Mapping[str, str]) -> list[str]:
    """The modules whose syntax tree is another than `describe_code` recorded, or which are gone."""
    changed = []
    for name, hashes in before.items():
        was, _, tree = str(hashes).partition(" ")
        file = _file_of(name)
        if file is None or (_hash_file(file) != was and hash_syntax(file.read_bytes()) != tree):
            changed.append(name)
    return changed


def hash_syntax(content: bytes) -> str:
    """A hash of the syntax tree of a module without its docstrings; that of the bytes if they are no Python."""
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):
        return _hash(content)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            node.body = [part for part in node.body if not _is_text(part)]
    return _hash(ast.dump(tree).encode("utf-8", "surrogatepass"))


def _is_text(node: ast.stmt) -> bool:
    """Whether a statement is a text alone, such as a docstring, which has no effect."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:DIGITS]


# Of a file: the time of its last change, its size, and the hash of its content.
_hashes: dict[Path, tuple[int, int, str]] = {}


def _hash_file(file: Path) -> str:
    """The hash of a file, which is read again only if it was written since: a process runs several stages."""
    stat = file.stat()
    kept = _hashes.get(file)
    if kept is None or kept[:2] != (stat.st_mtime_ns, stat.st_size):
        kept = _hashes[file] = (stat.st_mtime_ns, stat.st_size, _hash(file.read_bytes()))
    return kept[2]


@cache
def _counts(name: str) -> bool:
    """Whether a module is one of the toolkit that outputs may depend on."""
    return name.partition(".")[0] in PACKAGES and not any(
        name == other or name.startswith(f"{other}.") for other in WITHOUT_EFFECT
    )


@cache
def _root(package: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    return Path(spec.origin).parent if spec is not None and spec.origin else None


def _file_of(name: str) -> Path | None:
    """The file of a module of the toolkit, which need not be loaded; None if there is none, as for a function's name."""
    return next((file for file in _places(name) if file.is_file()), None)


@cache
def _places(name: str) -> tuple[Path, ...]:
    """Where the file of a module would be."""
    package, *parts = name.split(".")
    root = _root(package)
    if root is None:
        return ()
    path = root.joinpath(*parts)
    return path / "__init__.py", path.with_suffix(".py")


def _imports(content: bytes) -> Iterable[str]:
    """Absolute names of the toolkit's modules that the code of a module imports; some of them may be those of functions. Of names
    that `auralign.lazy` imports late, "name=module", where the module is relative to the package."""
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if _counts(alias.name))
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level and _counts(node.module):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "lazily":
            with contextlib.suppress(ValueError, IndexError, AttributeError):
                homes = ast.literal_eval(node.args[1])
                yield from (f"{name}={module}" for module, names in homes.items() for name in names)


def _known() -> dict[str, list[str]]:
    """What was worked out before: hash of a file -> hash of its syntax tree, and what it imports."""
    try:
        known = json.loads(recall(*KNOWN) or "{}")
    except ValueError:
        return {}
    return known if isinstance(known, dict) else {}
