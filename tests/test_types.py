"""The types of the public modules are checked: setup.cfg lists them, each is there, and none says less than it should."""

import configparser
from pathlib import Path

ROOT = Path(__file__).parent.parent
CONFIG = configparser.ConfigParser()
CONFIG.read(ROOT / "setup.cfg")
# The API that others write against.
PUBLIC = (
    "layout.py method.py records.py plugins.py losses testing cli data/sources ../auralign_methods".split()
)


def test_the_modules_that_others_write_against_are_checked():
    listed = {name.strip() for name in CONFIG["mypy"]["files"].split(",")}
    assert [name for name in listed if not (ROOT / name).exists()] == []
    paths = {(ROOT / name).resolve() for name in listed}
    assert [name for name in PUBLIC if (ROOT / "toolkit" / "auralign" / name).resolve() not in paths] == []


def test_no_module_of_ours_is_left_out_of_the_check():
    ours = [name for name in CONFIG.sections() if name.startswith("mypy-auralign")]
    assert all(not {"ignore_errors", "follow_imports"} & set(CONFIG[name]) for name in ours)
