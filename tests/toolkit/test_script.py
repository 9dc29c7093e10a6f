"""What the user reads when a script fails."""

import errno
import os
import threading

import pytest

from auralign.script import run
from auralign.text.characters import LinesError


class OutOfMemoryError(RuntimeError):
    """As torch names that of a GPU."""


def raise_from_memory():
    try:
        raise MemoryError
    except MemoryError as error:
        raise ValueError("method 'mine': loss raised MemoryError") from error


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        MemoryError("Unable to allocate 48.0 GiB for an array with shape (1, 2) and data type float32"),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate "
            "64 bytes. Error code 12 (Cannot allocate memory)\nframe 1"
        ),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 64 bytes."),
        OutOfMemoryError("Tried to allocate 2.00 GiB. GPU 0 has a total capacity"),
        RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
        RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        raise_from_memory,
    ],
)
def test_memory_that_runs_out_is_one_line_with_the_repair(error, capsys):
    def main(argv):
        if callable(error):
            error()
        raise error

    with pytest.raises(SystemExit) as stop:
        run(main)
    said = capsys.readouterr().err
    assert stop.value.code == 2 and said.count("\n") == 1 and "Traceback" not in said
    assert "no memory is left" in said and "tokens_per_pack" in said and "generate_batch_size" in said


def test_what_an_error_quotes_does_not_steer_the_terminal(capsys):
    def main(argv):
        raise ValueError("a.jsonl:2: the id 'x\x1b[2J\u202e'")

    with pytest.raises(SystemExit):
        run(main)
    assert "the id 'x⟨U+001B⟩[2J⟨U+202E⟩'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error, line",
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the disk: No space left on device; make room"),
        (ZeroDivisionError("a defect"), "Traceback"),
    ],
)
def test_the_error_of_a_thread_is_one_line_if_it_is_of_the_input(error, line, capsys):
    def fail():
        raise error

    def main(argv):
        thread = threading.Thread(target=fail, name="writer")
        thread.start()
        thread.join()

    before = threading.excepthook
    with pytest.raises(SystemExit) as stop:
        run(main)
    said = capsys.readouterr().err
    assert stop.value.code == 0 and threading.excepthook is before
    assert line in said and ("error in the thread writer" in said) == ("Traceback" not in said)


def test_a_defect_keeps_its_traceback():
    def main(argv):
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        run(main)


def test_torchs_own_error_of_the_machines_memory_is_known(capsys):
    import torch

    def main(argv):
        torch.empty(2**60, dtype=torch.uint8)

    with pytest.raises(SystemExit):
        run(main)
    assert "no memory is left" in capsys.readouterr().err


@pytest.mark.parametrize(("before", "capacity"), [(None, "64"), ("7", "7")])
def test_onednn_keeps_few_shapes_unless_the_user_says_how_many(monkeypatch, before, capacity):
    name = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
    monkeypatch.setenv(name, before or "")  # so that what `run` sets is undone
    if before is None:
        monkeypatch.delenv(name)
    seen = []
    with pytest.raises(SystemExit):
        run(lambda argv: seen.append(os.environ[name]))
    assert seen == [capacity]


def test_an_error_with_a_yaml_to_be_copied_keeps_its_lines(capsys):
    def fail(argv):
        raise LinesError("cannot be exported; this can:\nencoder: a\n    path: b\x07\n")

    with pytest.raises(SystemExit) as ended:
        run(fail)
    assert ended.value.code == 2
    assert capsys.readouterr().err.endswith("this can:\nencoder: a\n    path: b⟨U+0007⟩\n")
