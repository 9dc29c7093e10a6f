"""The pages for people as HTML: one head, style and form of tables for the ledger, the audit, the probe and the
benchmark.

A page is one file that works from a disk and without a network: its style and its picture are in it. Values are escaped.
"""

import base64
from pathlib import Path
from typing import Any

from auralign.text.characters import show_controls

FOLDER = Path(__file__).parent
BASE = "base.html"


def render_page(name: str = BASE, *, title: str, result: str, picture: bytes | None, **values: Any) -> str:
    """A page.

    Arguments
    ---------
    name : str
        A template beside this module. The default has sections for `advice` (list of str), `tables` (list of (heading, Table)),
        `facts` (dict), `notes` (list of str) and `legend` (list of (name, meaning)).
    title, result : str
        The heading, and the line below it.
    picture : bytes, optional
        A PNG; None for none.
    **values
        The other values of the template.

    Returns str: characters that are not seen, and lone surrogates, are written as their codes (`show_controls`).

    Raises jinja2.UndefinedError if the template needs a value that is not given.
    """
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    page = environment.get_template(name).render(
        title=title,
        result=result,
        style=Markup((FOLDER / "page.css").read_text(encoding="utf-8")),
        picture="" if picture is None else base64.b64encode(picture).decode("ascii"),
        **values,
    )
    return show_controls(page)
