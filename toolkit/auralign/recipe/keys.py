"""What is known of a key of a recipe: its type, bounds and meaning, and what a change of it does."""

import dataclasses
import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from auralign.constructor import Constructor
from auralign.method import AlignmentMethod
from auralign.options import check_options


class RecipeError(ValueError):
    """A YAML or an override that cannot be used: names the file, the key and the repair."""


# What a changed key does to a training that has begun (`auralign.train.resume`).
SAME = "same"  # it goes on, bit for bit: weights do not depend on the key, except by files, whose content is compared
NOTED = "noted"  # it goes on, not bit for bit; the checkpoints keep a history of such changes
STEPS = "steps"  # num_steps: the run goes on with the rate of the new schedule, if it is not beyond that step
FIXED = "fixed"  # it stops: the new run needs another output_folder, or --restart
CHANGES = (SAME, NOTED, STEPS, FIXED)


@dataclass(frozen=True)
class Key:
    """Type, meaning and bounds of one key of a YAML.

    Arguments
    ---------
    name : str
    kinds : tuple of type
        Types of its value.
    meaning : str
        Printed by `--help` and by errors.
    change : str
        One of `CHANGES`. All but `SAME` are inputs of stage 3.
    stages : str
        The other stages whose results the key changes, separated by spaces.
    default
        Value of a YAML that does not name the key; `...` if every YAML must name it.
    minimum : float, optional
        The smallest number allowed.
    choices : tuple of str
        The only words allowed, if any are given.
    alike : tuple of str
        Words that make no difference to training among themselves.
    is_new : bool
        The key came after finished runs: at its default it is no change.
    words : mapping of str to str
        Words for constructors: the dotted name that each stands for.
    uncounted : tuple of str
        Arguments of the constructor that change no result.
    """

    name: str
    kinds: tuple[type, ...]
    meaning: str
    change: str
    stages: str = ""
    default: Any = ...
    minimum: float | None = None
    choices: tuple[str, ...] = ()
    alike: tuple[str, ...] = ()
    is_new: bool = False
    words: Mapping[str, str] = dataclasses.field(default_factory=dict)
    uncounted: tuple[str, ...] = ()

    @property
    def is_required(self) -> bool:
        """Whether every YAML must name it."""
        return self.default is ...

    @property
    def is_scalar(self) -> bool:
        """Whether it can be given on the command line as one word."""
        return not {Constructor, AlignmentMethod, dict, list} & {*self.kinds}

    @property
    def is_list(self) -> bool:
        """Whether it is a list, which is given whole on the command line."""
        return list in self.kinds and Constructor not in self.kinds

    def check(self, value: Any) -> Any:
        """The value in the key's type.

        Raises ValueError, without the file's name, if it has another type, is out of bounds or not a known word.
        """
        kinds = self.kinds
        if self.words and isinstance(value, str):
            if value not in self.words:
                known = ", ".join(self.words)
                raise ValueError(
                    f"{self.name}: {value!r}: use {known} or a !name: constructor ({self.meaning})"
                )
            value = Constructor(self.words[value])
        if float in kinds and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if float in kinds and isinstance(value, str):  # YAML 1.1 reads 3e-4, without a point, as a string
            try:
                value = float(value)
            except ValueError as error:
                raise ValueError(f"{self.name}: {value!r} is no number") from error
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise ValueError(
                f"{self.name}: {value!r} is {type(value).__name__}; expected {names_of(kinds)} ({self.meaning})"
            )
        if isinstance(value, AlignmentMethod):
            check_options(value, vars(value))
        if self.minimum is not None and value is not None and not self.minimum <= value < math.inf:
            raise ValueError(
                f"{self.name}: {value} must be a number of at least {self.minimum} ({self.meaning})"
            )
        if self.choices and value not in self.choices:
            raise ValueError(f"{self.name}: {value!r}: use {' or '.join(self.choices)}")
        return value

    def counted(self, value: Any) -> Any:
        """The value without what changes no result."""
        if not self.uncounted or not isinstance(value, Constructor):
            return value
        keywords = {name: part for name, part in value.keywords.items() if name not in self.uncounted}
        return value.replace(*value.args, **keywords)


def key(meaning: str, change: str, *, default: Any = ..., **more) -> Any:
    """A field of `Recipe`; the arguments are those of `Key`."""
    about = {"meaning": meaning, "change": change, "default": default, **more}
    if default is ...:
        return dataclasses.field(metadata=about)
    if isinstance(default, (dict, list)):
        return dataclasses.field(default_factory=default.copy, metadata=about)
    return dataclasses.field(default=default, metadata=about)


def names_of(kinds) -> str:
    """Types as a user reads them."""
    names = {
        Constructor: "a !name: constructor",
        type(None): "null",
        AlignmentMethod: "a method (!apply:auralign.plugins.load_method)",
    }
    return " or ".join(names.get(kind, kind.__name__) for kind in kinds)


def suggest(name: str, known) -> str:
    """The nearest known name, or all of them, to be put behind an error."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(sorted(known))}"
