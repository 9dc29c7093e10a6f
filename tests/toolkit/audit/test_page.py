"""The page: complete, escaped, in two formats, with a picture in which nothing overlaps."""

import pytest

from auralign.audit import MEASURES, audit
from auralign.audit.page import HTML, MARKDOWN, MAX_GROUPS, PICTURE, format_text, group_table, write_audit
from auralign.audit.picture import make_figure
from auralign.ledger.picture import overlapping_labels


@pytest.fixture
def found(own_llm, write_rows, own_rows, verbatim_rows):
    rows = [*own_rows, *verbatim_rows, {**own_rows[0], "target": "<script>alert(1)</script> | [x](y)"}]
    many = [{**own_rows[0], "instruction": f"{{speech}} in {number} words $x$"} for number in range(25)]
    emotions = [{**row, "attributes": {"emotion": "sad"}} for row in rows]
    return audit(write_rows([*emotions, *many]), llm=own_llm, tell=lambda cost: None)


def test_the_page_defines_every_measure_and_escapes_what_it_shows(found, tmp_path):
    folder = write_audit(found, tmp_path / "page")
    markdown, html = ((folder / name).read_text(encoding="utf-8") for name in (MARKDOWN, HTML))
    for name in MEASURES:
        assert f"**{name}**" in markdown
        assert f"<dt>{name}</dt>" in html
    assert "<script>alert" not in markdown + html
    assert "emotion" in markdown
    assert (folder / PICTURE).read_bytes().startswith(b"\x89PNG")


def test_instructions_that_are_not_in_the_table_are_counted(found):
    table = group_table(found)
    assert len(table.rows) == MAX_GROUPS + 1
    assert table.rows[-1][0] == f"{len(found.groups) - MAX_GROUPS} more, in audit.json"


def test_no_labels_of_the_picture_overlap(found):
    assert overlapping_labels(make_figure(found)) == []


def test_the_terminal_shows_values_and_advice(found):
    text = format_text(found)
    assert "- conflict 0." in text
    assert "sensitivity" in text
