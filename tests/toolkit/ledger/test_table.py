"""One formatter for the terminal and for Markdown."""

import pytest

from auralign.ledger.table import Table

TABLE = Table(
    ("group", "method", "normalised text", "floor"),
    [["seen", "sift", "1.00", "-"], ["seen", "sit", "0.50", "-"], ["unseen", "sift", "0.25", "-"]],
    num_texts=2,
)


def test_words_are_aligned_left_and_numbers_right_under_stacked_headers():
    text = TABLE.to_text(heading=lambda row: f"{row[0]}:", without={0, *TABLE.empty_columns()})
    assert text.splitlines() == [
        "         normalised",
        "  method       text",
        "seen:",
        "  sift         1.00",
        "  sit          0.50",
        "unseen:",
        "  sift         0.25",
    ]


def test_a_column_is_empty_if_no_cell_has_a_value():
    assert TABLE.empty_columns() == (3,)


def test_a_table_without_rows_has_no_text():
    assert Table((), [], num_texts=1).to_text() == Table(("a",), [], num_texts=1).to_text() == ""


def test_markdown_escapes_what_an_llm_wrote_and_cuts_it():
    table = Table(("got",), [["a | b\n<|im_end|> *x*"], ["y" * 100]], num_texts=1)
    _, marks, escaped, cut = table.to_markdown().splitlines()
    assert marks == "| :-- |"
    assert escaped == r"| a \| b \<\|im\_end\|\> \*x\* |"
    assert cut == f"| {'y' * 79}… |"


@pytest.mark.parametrize(
    ("written", "escaped"),
    [
        ("see https://a.b/c", r"see https\://a.b/c"),
        ("see www.a.b", r"see www\.a.b"),
        ("mail me@a.b", r"mail me\@a.b"),
        ("mail me.@a.b", r"mail me.\@a.b"),
        ("&lt;b&#62; ~~no~~ $x$", r"\&lt;b\&#62; \~\~no\~\~ \$x\$"),
        ("red\x1b[31m", r"red⟨U+001B⟩\[31m"),
        ("\u202eder", "⟨U+202E⟩der"),
        ("at 10:30, www", "at 10:30, www"),
    ],
)
def test_markdown_makes_no_link_and_hides_no_character(written, escaped):
    assert Table(("got",), [[written]], num_texts=1).to_markdown().splitlines()[-1] == f"| {escaped} |"


@pytest.mark.parametrize("letter", ["\x1b", "\x9b", "\r", "\x08", "\u202e", "\u2066", "\x85", "\u2028"])
def test_a_terminal_gets_no_control_character(letter):
    text = Table(("got",), [[f"a{letter}b"]], num_texts=1).to_text(heading=lambda row: f"h{letter}")
    assert letter not in text and len(text.splitlines()) == 3
