"""The pretrained models that a recipe names, and the same recipe with those of the hub at fixed commits.

A model is the `path`, or the first argument, of a part of `auralign.models`. A constructor of the user's own has arguments of its
own meaning, which stay as they are.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any

from auralign.constructor import Constructor
from auralign.recipe.recipe import Recipe

# The keys whose models a stage reads.
OF_STAGE = {
    "generate": ("llm",),
    "train": ("llm", "encoder", "branches"),
    "decode": ("llm", "encoder", "branches", "recognizer"),
}
ALL_KEYS = OF_STAGE["decode"]
PARTS = "auralign.models."


def names_of_models(recipe: Recipe, stage: str) -> list[str]:
    """The models that a stage ("generate", "train" or "decode") reads, as the recipe names them, each once."""
    found: dict[str, None] = {}

    def note(name: str) -> str:
        found[name] = None
        return name

    for key in OF_STAGE[stage]:
        _rename(getattr(recipe, key), note)
    if stage == "train" and recipe.init_from is not None:
        note(recipe.init_from)
    return list(found)


def with_models(recipe: Recipe, names: Mapping[str, str]) -> Recipe:
    """The recipe with other names for its models.

    Arguments
    ---------
    recipe : Recipe
    names : mapping of str to str
        New name by the present one. Keys of the recipe's own, such as `encoder_folder`, and the text of its YAML get the new
        names too.

    Returns Recipe: `recipe` itself if it names none of them.
    """

    if not names:
        return recipe

    def rename(name: str) -> str:
        return names.get(name, name)

    changed = {key: _rename(getattr(recipe, key), rename) for key in ALL_KEYS}
    if recipe.init_from is not None:
        changed["init_from"] = rename(recipe.init_from)
    own = {key: rename(value) if isinstance(value, str) else value for key, value in recipe.own.items()}
    if own == recipe.own and all(value == getattr(recipe, key) for key, value in changed.items()):
        return recipe
    source = recipe.source
    if source is not None:
        source = dataclasses.replace(source, text=_rename_in_text(source.text, names))
    return dataclasses.replace(recipe, **changed, own=own, source=source)


def _rename(value: Any, rename: Callable[[str], str]) -> Any:
    if isinstance(value, Mapping):
        return {key: _rename(item, rename) for key, item in value.items()}
    if not isinstance(value, Constructor):
        return value
    args = list(value.args)
    keywords = {key: _rename(item, rename) for key, item in value.keywords.items()}
    if value.name.startswith(PARTS):
        if isinstance(keywords.get("path"), str):
            keywords["path"] = rename(keywords["path"])
        elif args and isinstance(args[0], str):
            args[0] = rename(args[0])
    return value.replace(*args, **keywords)


def _rename_in_text(text: str, names: Mapping[str, str]) -> str:
    """The text of a YAML with other names, each of which is a whole value.

    >>> _rename_in_text("path: a/b\\nother: a/b-c\\n", {"a/b": "a/b@1"})
    'path: a/b@1\\nother: a/b-c\\n'
    """
    for name, new in names.items():
        text = re.sub(rf"(?<![\w./@-]){re.escape(name)}(?![\w./@-])", lambda _, new=new: new, text)
    return text
