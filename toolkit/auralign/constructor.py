"""What a YAML's `!name:`, `!new:` and `!apply:` mean: a callable by its name, imported when it is first used.

    >>> make = Constructor("builtins.dict", stride=4)
    >>> make(width=8)
    {'stride': 4, 'width': 8}

Reading a recipe imports neither torch nor any model, so that a finished stage says so at once.
"""

import ast
import functools
import importlib
import importlib.util
import inspect
from collections.abc import Callable
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

from auralign.files import hash_path
from auralign.names import canonical

NAME, NEW, APPLY, MODULE = "name", "new", "apply", "module"  # HyperPyYAML's tags


class Constructor:
    """A class or function by its dotted name, with arguments for it.

    Arguments
    ---------
    name : str
        Such as "auralign.models.llm.load_llm"; an earlier name of a part of auralign is replaced by the present one.
    args, keywords
        Arguments of each call, before and beside those given to it. Constructors among them that mean their result
        (`!new:`, `!apply:`) are called first.
    """

    def __init__(self, name: str, /, *args, **keywords):
        self.name, self.args, self.keywords = canonical(name), args, keywords
        self.kind = NAME
        self.check: Callable[[Any], None] | None = None

    @functools.cached_property
    def func(self) -> Callable:
        """The class or function itself; the first use imports it, and gives it to `check`, if there is one.

        Raises ValueError if nothing of that name can be imported, and what `check` raises.
        """
        found = locate(self.name)
        if self.check is not None:
            self.check(found)
        return found

    def replace(self, *args, **keywords) -> "Constructor":
        """The same class or function, of the same kind and with the same check, with other arguments."""
        made = Constructor(self.name, *args, **keywords)
        made.kind, made.check = self.kind, self.check
        return made

    def __call__(self, *args, **keywords) -> Any:
        given = {name: realise(value) for name, value in self.keywords.items()}
        return self.func(*map(realise, self.args), *args, **{**given, **keywords})

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(functools.partial(self.func, *self.args, **self.keywords))

    def __eq__(self, other):
        return isinstance(other, Constructor) and self._parts() == other._parts()

    def __hash__(self):
        return hash(self.name)

    def _parts(self):
        return self.kind, self.name, self.args, self.keywords

    def __repr__(self):
        arguments = [*map(repr, self.args), *(f"{name}={value!r}" for name, value in self.keywords.items())]
        return f"{self.name}({', '.join(arguments)})"


def with_keywords(make: Callable, **keywords) -> Callable:
    """The same constructor with further keywords; a Constructor stays one, so that its arguments can still be read.

    >>> with_keywords(Constructor("builtins.dict", stride=4), width=8)
    builtins.dict(stride=4, width=8)
    """
    if not isinstance(make, Constructor):
        return functools.partial(make, **keywords)
    return make.replace(*make.args, **{**make.keywords, **keywords})


def realise(value):
    """A value of a YAML with `!new:` and `!apply:` replaced by their results; `!name:` stays a Constructor.

    Raises whatever the class or function raises.
    """
    if isinstance(value, Constructor):
        if value.kind == NAME:
            return value
        if value.kind == MODULE:
            return importlib.import_module(value.name)
        if (value.kind == NEW) != inspect.isclass(value.func):
            raise ValueError(
                f"!{value.kind}:{value.name}: it is {value.func}; !new: takes a class, !apply: a function"
            )
        return value()
    if isinstance(value, dict):
        return {name: realise(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(realise, value))
    return value


def locate(name: str) -> Any:
    """The object of a dotted name: a module's class, function or class method.

    Raises ValueError if there is none, or only behind a module that another one imports. An error of the module's own code goes
    through.

    >>> locate("pathlib.Path.cwd").__name__
    'cwd'
    """
    parts = name.split(".")
    for number in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:number])
        try:
            found = importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name and (module == error.name or module.startswith(f"{error.name}.")):
                continue  # this much of the name is a class, or there is nothing
            raise
        for part in parts[number:]:
            if not hasattr(found, part):
                raise ValueError(f"there is no {part!r} in {module}, which the YAML names: {name}")
            found = getattr(found, part)
            if inspect.ismodule(found):  # `torch.os.system`: whoever reads the YAML must see what it names
                raise ValueError(f"{part!r} is not a part of {module}, but a module that it imports: {name}")
        return found
    raise ValueError(f"there is no module {parts[0]!r}, which the YAML names: {name}")


def find_module(name: str) -> tuple[ModuleSpec | None, tuple[str, ...]]:
    """The module that holds a dotted name, found among the files of `sys.path` without importing it, and the rest of the name.

    >>> spec, rest = find_module("importlib.machinery.PathFinder")
    >>> spec.name, rest
    ('importlib.machinery', ('PathFinder',))
    """
    parts = name.split(".")
    spec, number = importlib.util.find_spec(parts[0]), 1  # of a top-level package this imports nothing
    while spec is not None and spec.submodule_search_locations is not None and number < len(parts):
        inner = PathFinder.find_spec(".".join(parts[: number + 1]), spec.submodule_search_locations)
        if inner is None:
            break
        spec, number = inner, number + 1
    return spec, tuple(parts[number:]) if spec else tuple(parts)


def find_fault(name: str) -> str | None:
    """What is wrong with a dotted name, as far as it can be seen without importing anything; None if nothing is.

    >>> find_fault("auralign.models.llm.load_lm")
    "there is no 'load_lm' in auralign.models.llm"
    """
    spec, rest = find_module(name)
    if spec is None:
        return f"there is no module {rest[0]!r}"
    if not name.startswith("auralign.") or spec.origin is None or not rest:
        return None  # other packages may make their names when they are imported
    tree = ast.parse(Path(spec.origin).read_bytes())
    if rest[0] in _names_of(tree):
        return None
    return f"there is no {rest[0]!r} in {spec.name}"


def _names_of(tree: ast.Module) -> set[str]:
    """Names that the top level of a module defines, or imports from auralign: others do not belong to it."""
    found = set()
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("auralign"):
            found |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return found


def load_function(name: str, option: str) -> Callable[..., Any]:
    """The function that `module:function` names.

    Raises ValueError, naming the option, if there is none.
    """
    module, colon, attribute = name.partition(":")
    if not (module and colon and attribute):
        raise ValueError(f"{option} {name}: expected module:function, such as my_labels:toxicity")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except ImportError as error:
        raise ValueError(
            f"{option} {name}: no module {module!r} ({error}); run the command in the folder that holds it, or install it"
        ) from error
    except AttributeError as error:
        raise ValueError(f"{option} {name}: {module} has no {attribute!r}; correct the name") from error
    if not callable(found):
        raise ValueError(f"{option} {name}: is {type(found).__name__}, and no function")
    function: Callable[..., Any] = found
    return function


def describe_function(name: str, option: str) -> list[str]:
    """A function's name and the hash of its file, so that an edited one is run again."""
    file = inspect.getsourcefile(inspect.unwrap(load_function(name, option)))
    return [name, hash_path(file) if file else ""]
