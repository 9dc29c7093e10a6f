"""What a YAML may construct: every tag is checked before anything is imported or called, and every object before it is used.

    >>> find_refusal("name", "torch.nn.GELU", ())
    >>> find_refusal("name", "transformers.pipeline", ())
    'it is neither a class nor one of the functions that load a model'

`--trust-config` turns both checks off, for a YAML that the user has read. Modules beside the recipe are the user's own code.
"""

import functools
import importlib.metadata
import inspect
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from auralign.constructor import APPLY, MODULE, NAME, NEW, Constructor, find_fault, find_module, locate
from auralign.names import canonical
from auralign.plugins import find_methods
from auralign.recipe.keys import RecipeError
from auralign.recipe.nodes import A_KEY, PYTHON, Tagged, find_tagged

TRUST = "trust_config"  # an option of every command that reads a recipe; never a key of a YAML
REPAIR = "remove it, or give --trust-config if you have read the YAML and trust it"

PACKAGES = ("auralign", "torch.nn", "torch.optim", "transformers", "peft", "speechbrain")
OURS = "auralign_methods"
PARTS = (
    "auralign.parts"  # the group of entry points of packages that have encoders and connectors, and no method
)
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

CONSTRUCTS = tuple(f"!{kind}:" for kind in (NAME, NEW, APPLY, MODULE))


def own_folders(path) -> tuple[Path, ...]:
    """The folders whose modules are the user's own code for the YAML at `path`: the working folder, and the YAML's recipe."""
    folder = Path(path).resolve().parent
    return Path.cwd(), folder.parent if folder.name == "hparams" else folder


def check_tags(nodes: Mapping[str, Any], path, folders: Collection[Path]) -> None:
    """Raise RecipeError on the first value below the nodes of `parse` that must not be constructed."""
    for value in find_tagged(nodes):
        if reason := _refusal_of(value, folders):
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


def _refusal_of(value: Tagged, folders: Collection[Path]) -> str | None:
    """Why a value of a YAML is refused without `--trust-config`, before anything is imported; None if it is not."""
    return refusal_of_tag(value.tag, folders) or (
        "the key of a mapping is not constructed" if value.key.endswith(A_KEY) else None
    )


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
    if spec is None or find_fault(name):
        return None  # `Recipe.check_names` says what is missing; should there be something after all, `check_object` sees it
    if len(rest) != 1:
        return f"{'.'.join(rest)} is not a class of {spec.name}" if rest else "it is a module"
    if not rest[0][0].isupper() and not (is_plugin and rest[0].startswith(LOAD)):
        return NO_CLASS
    return None


def review(value: Tagged, folders: Collection[Path]) -> tuple[bool, str]:
    """Whether a value may be constructed, and why or why not. Libraries and installed methods are imported, but no own files."""
    if reason := _refusal_of(value, folders):
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
    """Top-level packages of the installed methods, and those that announce parts alone."""
    announced = [*find_methods(), *importlib.metadata.entry_points(group=PARTS)]
    return {entry.value.partition(":")[0].partition(".")[0] for entry in announced} - {OURS}


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
