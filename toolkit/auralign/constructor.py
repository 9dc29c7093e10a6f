"""What a YAML's `!name:`, `!new:` and `!apply:` mean: a callable by its name, imported when it is first used.

    >>> make = Constructor("builtins.dict", stride=4)
    >>> make(width=8)
    {'stride': 4, 'width': 8}

Reading a recipe imports neither torch nor any model, so that a finished stage says so at once.
"""

import functools
import importlib
import inspect
from collections.abc import Callable
from typing import Any

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

    @functools.cached_property
    def func(self) -> Callable:
        """The class or function itself; the first use imports it.

        Raises ValueError if nothing of that name can be imported.
        """
        return locate(self.name)

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

    Raises ValueError if there is none; an error of the module's own code goes through.

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
        return found
    raise ValueError(f"there is no module {parts[0]!r}, which the YAML names: {name}")
