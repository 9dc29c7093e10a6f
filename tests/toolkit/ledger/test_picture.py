import struct

import pytest

from auralign.ledger.picture import draw_ledger


def test_the_picture_is_a_png_of_readme_width(ledger, tmp_path):
    draw_ledger(ledger, tmp_path / "ledger.png")
    content = (tmp_path / "ledger.png").read_bytes()
    assert (content[:8], struct.unpack(">I", content[16:20])) == (b"\x89PNG\r\n\x1a\n", (1200,))


def test_the_same_ledger_draws_the_same_bytes_and_nothing_else(ledger, tmp_path):
    for name in ("one.png", "two.png"):
        draw_ledger(ledger, tmp_path / "pictures" / name)
    one, two = sorted((tmp_path / "pictures").iterdir())
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize("num_methods", [1, 9])
def test_any_number_of_methods_can_be_drawn(corpus, tmp_path, num_methods):
    methods = {f"method {n}": corpus.method(str(n), "1ttw11tt", "1-------") for n in range(num_methods)}
    draw_ledger(corpus.ledger(methods=methods), tmp_path / "ledger.png")
    assert (tmp_path / "ledger.png").stat().st_size > 10_000
