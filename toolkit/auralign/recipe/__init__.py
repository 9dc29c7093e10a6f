"""A recipe: the values by which a run works, their schema, and the YAML that they are read from."""

from auralign.recipe.file import HELP, RecipeFile, load_recipe, make_recipe, parse_arguments
from auralign.recipe.keys import CHANGES, FIXED, NOTED, SAME, STEPS, Key, RecipeError
from auralign.recipe.recipe import KEYS, Recipe, print_help

__all__ = [
    "CHANGES",
    "FIXED",
    "HELP",
    "KEYS",
    "NOTED",
    "SAME",
    "STEPS",
    "Key",
    "Recipe",
    "RecipeError",
    "RecipeFile",
    "load_recipe",
    "make_recipe",
    "parse_arguments",
    "print_help",
]
