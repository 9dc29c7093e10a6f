"""A log without a terminal has a line every so often, with the same parts whatever the work."""

import io
import re

import pytest

from auralign import progress
from auralign.files import hash_path
from auralign.progress import Progress, track


class Clock:
    """Time that passes when it is told to."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress.time, "monotonic", clock)
    monkeypatch.delenv("AURALIGN_LOG_SECONDS", raising=False)
    return clock


def lines(capsys):
    return capsys.readouterr().err.splitlines()


def test_a_line_has_time_count_values_rate_time_left_and_memory(clock, capsys):
    with Progress("train sift", unit="step", total=300, initial=100) as shown:
        clock.now += 50
        shown.update(100, loss=0.5, gradient_norm=1.25)
        (line,) = lines(capsys)
        assert re.fullmatch(
            r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  train sift: 200 of 300 steps, loss 0.5, gradient norm 1.25, 2 steps/s, "
            r"50 s left, memory \d+\.\d [MG]B",
            line,
        )


def test_a_line_is_printed_every_30_seconds(clock, capsys):
    with Progress("train sift", unit="step") as shown:
        for _ in range(95):
            clock.now += 1
            shown.update()
        counts = [int(re.search(r": (\d+) steps", line)[1]) for line in lines(capsys)]
    assert counts == [30, 60, 90]


def test_the_last_line_has_the_end(clock, capsys):
    with Progress("train sift", unit="step") as shown:
        clock.now += 31
        shown.update()
        shown.update()
    assert [re.search(r": (\d) step", line)[1] for line in lines(capsys)] == ["1", "2"]


def test_short_work_prints_nothing(clock, capsys):
    assert list(track("ab", "reading", unit="letter")) == ["a", "b"]
    assert lines(capsys) == []


def test_the_environment_sets_the_seconds(clock, capsys, monkeypatch):
    monkeypatch.setenv("AURALIGN_LOG_SECONDS", "0")
    list(track("ab", "reading", unit="letter"))
    assert len(lines(capsys)) == 2


@pytest.mark.parametrize("given", ["often", "-1", "nan", "inf"])
def test_other_seconds_are_refused_by_name(given, monkeypatch):
    monkeypatch.setenv("AURALIGN_LOG_SECONDS", given)
    with pytest.raises(ValueError, match=f"AURALIGN_LOG_SECONDS='{given}'.*such as 30"):
        Progress("reading", unit="letter")


def test_a_terminal_has_a_bar_and_no_lines(clock, monkeypatch):
    screen = io.StringIO()
    screen.isatty = lambda: True
    monkeypatch.setattr("sys.stderr", screen)
    with Progress("train sift", unit="step", total=2) as shown:
        clock.now += 60
        shown.update(loss=0.5)
        shown.update(loss=0.25)
    assert "loss 0.25" in screen.getvalue()
    assert "2/2" in screen.getvalue()
    assert "memory" not in screen.getvalue()


def test_a_large_file_is_hashed_with_progress(clock, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("AURALIGN_LOG_SECONDS", "0")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("auralign.files.REMEMBER_ABOVE_BYTES", 2)
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    # NIST's example of SHA-256
    assert hash_path(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert "hash abc: 0.0 MB of 0.0 MB" in lines(capsys)[0]
