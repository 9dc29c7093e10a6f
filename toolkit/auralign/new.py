"""Folders to start from: a package for a method of one's own, a recipe for a corpus of one's own.

    >>> spellings("key_words")
    {'my_method': 'key_words', 'my-method': 'key-words', 'MyMethod': 'KeyWords'}

A method's package needs auralign alone, so its template comes with the toolkit. A recipe runs in a checkout, whose recipes share
files: they are copied from there, and only what differs from corpus to corpus has a template, in `tools/new_recipe`.
"""

import importlib.util
import keyword
import re
import shutil
from importlib.resources import files
from pathlib import Path

from auralign.files import PathLike, make_folder_atomically
from auralign.plugins import find_methods

MODEL = "LibriSpeech"  # the recipe whose shared files are copied
SHARED = ("path.sh", "cmd.sh", "generate.py", "train.py", "decode.py")
YAMLS = ("sift.yaml", "smoke.yaml")
# Lines that begin so are not copied: the model is tried out on a corpus of traps, the template is checked in its own folder.
LEFT_OUT = ("max_rejected:", "# shellcheck source=recipes/")
TEMPLATE, PLACEHOLDER = Path("tools", "new_recipe"), "MyCorpus"
OWN = ("run.sh", "prepare.py", "score.py", "README.md")  # of the template


def new_method(name: str, folder: PathLike | None = None) -> Path:
    """Write a package with a method, its entry point and its test; returns the folder.

    Arguments
    ---------
    name : str
        Name of the method and of its module.
    folder : path, optional
        The folder to write; default: `auralign-<name>`. A folder named like the module
        would hide it from Python.

    Raises ValueError if the name will not do, FileExistsError if the folder is there.
    """
    folder = Path(folder or f"auralign-{name.replace('_', '-')}")
    if not re.fullmatch(r"[a-z](?:[a-z0-9_]*[a-z0-9])?", name) or keyword.iskeyword(name):
        raise ValueError(
            f"the name {name!r} is no Python module; use small letters, digits and, within it, underscores"
        )
    if name in {entry.name for entry in find_methods()}:
        raise ValueError(f"a method {name!r} is installed already; give yours another name")
    if importlib.util.find_spec(name) is not None:
        raise ValueError(
            f"a module {name!r} is installed already, which yours would hide; give it another name"
        )
    _check_absent(folder)
    with make_folder_atomically(folder) as temporary:
        for source in files("auralign").joinpath("template").iterdir():
            if not source.is_file():
                continue
            text, target = source.read_text(encoding="utf-8"), source.name
            for old, new in spellings(name).items():
                text, target = text.replace(old, new), target.replace(old, new)
            (temporary / target).write_text(text, encoding="utf-8")
    return folder


def spellings(name: str) -> dict[str, str]:
    """What is written in the template to what is written for a method of this name."""
    return {
        "my_method": name,
        "my-method": name.replace("_", "-"),
        "MyMethod": "".join(word.capitalize() for word in name.split("_")),
    }


def new_recipe(name: str, folder: PathLike | None = None) -> Path:
    """Write a recipe for a corpus into a checkout of auralign; returns the folder.

    Arguments
    ---------
    name : str
        Name of the corpus.
    folder : path, optional
        The folder to write, two levels below the root of a checkout, as its scripts find the tools from there; default:
        `recipes/<name>` of the checkout that holds the current folder.

    Raises ValueError if the name will not do, FileNotFoundError if there is no checkout, FileExistsError if the
    folder is there.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise ValueError(
            f"the name {name!r} will not do for a folder; use letters, digits, '-', '_' and '.', such as MyCorpus"
        )
    if folder is None:
        root = find_checkout(Path.cwd())
        folder = root / "recipes" / name
    else:
        folder = Path(folder)
        root = folder.absolute().parent.parent
        if not is_checkout(root):
            raise FileNotFoundError(
                f"--folder {folder}: {root} is no checkout of auralign; a recipe is two folders below its root, as recipes/{name}"
            )
    _check_absent(folder)
    model = root / "recipes" / MODEL
    with make_folder_atomically(folder) as temporary:
        for file in SHARED:
            shutil.copy(model / file, temporary)
        for file in OWN:
            _copy_renamed(root / TEMPLATE / file, temporary / file, PLACEHOLDER, name)
        (temporary / "hparams").mkdir()
        for file in YAMLS:
            _copy_renamed(model / "hparams" / file, temporary / "hparams" / file, MODEL, name)
    return folder


def find_checkout(start: Path) -> Path:
    """The checkout of auralign that holds a folder.

    Raises FileNotFoundError if no parent folder is a checkout.
    """
    for folder in (start, *start.parents):
        if is_checkout(folder):
            return folder
    raise FileNotFoundError(
        f"{start} is in no checkout of auralign, which recipes need; go into one, or say --folder CHECKOUT/recipes/NAME"
    )


def is_checkout(folder: Path) -> bool:
    """Whether a folder holds the tools and the recipe that a new recipe is made of."""
    return (folder / TEMPLATE).is_dir() and (folder / "recipes" / MODEL).is_dir()


def _copy_renamed(source: Path, target: Path, old: str, new: str) -> None:
    lines = source.read_text(encoding="utf-8").splitlines(keepends=True)
    text = "".join(line for line in lines if not line.startswith(LEFT_OUT))
    target.write_text(text.replace(old, new), encoding="utf-8")
    shutil.copymode(source, target)


def _check_absent(folder: Path) -> None:
    if folder.exists():
        raise FileExistsError(f"{folder} is there already; give another --folder, or remove it")
