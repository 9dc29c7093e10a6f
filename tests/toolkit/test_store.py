"""Half-done work on disk: what is damaged is counted and made again, the rest is kept."""

import random

import pytest

from auralign.records import Hypothesis, RecordError, header, to_line
from auralign.store import Store

ROWS = [Hypothesis(f"q{n}", f"u{n}", "speech", f"answer {n}", "stop") for n in range(6)]


@pytest.fixture
def path(tmp_path):
    with Store(tmp_path / "a.partial.jsonl", Hypothesis, about={"prompt": "p"}) as store:
        store.append(ROWS)
    return tmp_path / "a.partial.jsonl"


def resume(path):
    """What a later run finds, makes and reads."""
    with Store(path, Hypothesis, about={"prompt": "p"}) as store:
        found = set(store.keys)
        store.append([row for row in ROWS if row.key not in found])
        return found, [store.read(row.key) for row in ROWS]


def test_every_flipped_bit_is_harmless(path, capsys):
    whole, draw = path.read_bytes(), random.Random(1)
    for _ in range(300):
        damaged = bytearray(whole)
        place = draw.randrange(8 * len(whole))
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        found, rows = resume(path)
        assert rows == ROWS and len(found) >= len(ROWS) - 2
        lost = len(ROWS) - len(found)
        said = capsys.readouterr().err
        assert not lost or "damaged, and made again" in said or place // 8 >= whole.rstrip().rfind(b"\n")
        assert resume(path)[0] == {row.key for row in ROWS}


def test_the_damaged_rows_are_counted(path, capsys):
    lines = path.read_bytes().splitlines(keepends=True)
    for number in (2, 4):
        lines[number] = lines[number].replace(b"answer", b"Answer")
    path.write_bytes(b"".join(lines))
    assert resume(path) == ({"q0", "q2", "q4", "q5"}, ROWS)
    assert capsys.readouterr().err == f"{path}: 2 rows are damaged, and made again\n"


def test_a_torn_last_line_is_cut_off(path, capsys):
    path.write_bytes(path.read_bytes()[:-20])
    assert resume(path) == ({row.key for row in ROWS[:-1]}, ROWS)
    assert capsys.readouterr().err == ""


def test_work_of_an_earlier_auralign_is_found(tmp_path):
    path = tmp_path / "a.partial.jsonl"
    path.write_text(header(Hypothesis, {"prompt": "p"}) + "".join(map(to_line, ROWS[:3])) + "{broken}\n")
    assert resume(path) == ({"q0", "q1", "q2"}, ROWS)
    assert resume(path)[0] == {row.key for row in ROWS}


def test_a_row_that_is_damaged_meanwhile_is_refused(path):
    store = Store(path, Hypothesis)
    path.write_bytes(path.read_bytes().replace(b"answer 3", b"answer 8"))
    with pytest.raises(RecordError, match="the row of q3 was damaged; run the same command again"):
        store.read("q3")
