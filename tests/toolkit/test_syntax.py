"""A change of what the toolkit does is seen, a change of how it is written is not."""

import sys

import pytest

from auralign.syntax import changed_modules, describe_code, hash_syntax

CODE = b'''"""A module."""
import os

def f(x, *, scale=2.0):
    """Multiply."""
    return x * scale  # why
'''


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"# why", b"# why not"),
        (b"A module.", b"Another text."),
        (b'    """Multiply."""\n', b""),
        (b"x * scale", b"(x\n        * scale)"),
        (b"import os\n", b"import os\n\n\n"),
    ],
)
def test_docstrings_comments_and_layout_do_not_count(old, new):
    assert old in CODE
    assert hash_syntax(CODE.replace(old, new)) == hash_syntax(CODE)


@pytest.mark.parametrize(
    ("old", "new"),
    [(b"2.0", b"2.5"), (b"x * scale", b"x + scale"), (b"import os", b"import sys"), (b"f(x", b"g(x")],
)
def test_what_the_code_does_counts(old, new):
    assert hash_syntax(CODE.replace(old, new)) != hash_syntax(CODE)


def test_what_is_no_python_is_known_by_its_bytes():
    assert hash_syntax(b"def (") != hash_syntax(b"def )")


def test_late_imports_and_names_of_lazy_packages_are_followed():
    import auralign.train.stage  # noqa: F401

    found = describe_code()
    assert {"auralign.train.stage", "auralign.train.examples", "auralign.records"} <= found.keys()
    assert {"auralign.data.frames", "auralign.models.build"} <= found.keys()  # imported within functions
    assert not {"auralign.progress", "auralign.script", "auralign.syntax"} & found.keys()
    assert all(name.partition(".")[0] in ("auralign", "auralign_methods") for name in found)


def test_only_modules_with_another_syntax_tree_are_named():
    before = describe_code()
    assert changed_modules(before) == []
    names = [name for name in before if name in sys.modules][:3]
    layout, edited, gone = names[0], names[1], "auralign.no_such_module"
    before[layout] = "000000000000 " + before[layout].partition(" ")[2]
    before[edited] = "000000000000 000000000000"
    before[gone] = "000000000000 000000000000"
    assert changed_modules(before) == sorted([edited, gone], key=list(before).index)
