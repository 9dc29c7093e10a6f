"""Extension of griffe: reads docstrings as this project writes them, which is the numpy style with four differences.

The section of arguments is headed "Arguments"; "Returns ..." and "Raises ..." may be a paragraph; an error and its reason may be
on one line; examples begin with `>>>` in the first column.
"""

import re

import griffe

HEADING = re.compile(r"^Arguments\n-+\n", re.M)
PARAGRAPH = re.compile(r"\n\n((?:Returns|Raises) .+(?:\n.+)*)")
ERROR = re.compile(r"^(\w+Error) : (.+)$", re.M)
EXAMPLE = re.compile(r"^>>>.*(?:\n.+)*", re.M)


def rewrite(text: str) -> str:
    """A docstring as griffe reads it. Paragraphs behind the arguments go in front of them, or they would be read as arguments."""
    text = ERROR.sub(r"\1\n    \2", text)
    text = EXAMPLE.sub(lambda found: re.sub("^", "    ", found[0], flags=re.M), text)
    summary, *rest = HEADING.split(text, maxsplit=1)
    if not rest:
        return text
    paragraphs = "".join(f"{paragraph}\n\n" for paragraph in PARAGRAPH.findall(rest[0]))
    return f"{summary}{paragraphs}Parameters\n----------\n{PARAGRAPH.sub('', rest[0])}"


class Docstrings(griffe.Extension):
    """Rewrites each docstring before it is parsed."""

    def on_object(self, *, obj, **_):
        """Rewrite the docstring of one object."""
        if obj.docstring:
            obj.docstring.value = rewrite(obj.docstring.value)
