"""Run a script's `main` so that a mistake of the user ends in one clear line, not in a traceback."""

import errno
import os
import re
import sys
import threading
from collections.abc import Callable

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
TRACEBACK = "AURALIGN_TRACEBACK"
# oneDNN, which computes on the CPU, keeps what it has made ready for each shape, by default of 1,024 shapes. Speech has a new
# shape in every pack: the memory of a training grew by GBs, and was no faster for it.
PREPARED_SHAPES = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")
LONGEST_LINE = 2000  # characters


def run(main: Callable[[list[str]], int | None], *, resumes: bool = False) -> None:
    """Call `main(argv)` and exit: 0, what it returns, 2 for bad input, 3 if another run is at work, 75 if a signal stopped a
    training (see `auralign.train.preemption`), or with `resumes` any work, which then goes on when run again; 130 after Ctrl-C.

    Set AURALIGN_TRACEBACK=1 to see the traceback of an error. An ONEDNN_PRIMITIVE_CACHE_CAPACITY of the environment stays.
    """
    from auralign.stage import StageBusyError
    from auralign.train.preemption import EXIT_CODE, StoppedBySignal, catching, leave_mark

    os.environ.setdefault(*PREPARED_SHAPES)
    main = catching()(main) if resumes else main
    before, threading.excepthook = threading.excepthook, _end_of_thread
    try:
        sys.exit(main(sys.argv[1:]) or 0)
    except KeyboardInterrupt:
        print("\ninterrupted; run the same command again to go on", file=sys.stderr)
        sys.exit(130)
    except StoppedBySignal as stop:
        print(f"{stop}; run the same command again to go on", file=sys.stderr)
        leave_mark()
        sys.exit(EXIT_CODE)
    except BrokenPipeError:  # the reader of our output went away: `auralign methods | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        if not _say(error, "error"):
            raise
        sys.exit(3 if isinstance(error, StageBusyError) else 2)
    finally:
        threading.excepthook = before


def run_on_all_ranks(main: Callable[[list[str]], int | None]) -> None:
    """`run`, for a script that `torchrun` may start: the processes join before `main`, and only rank 0 prints."""
    if {"RANK", "LOCAL_RANK"} <= set(os.environ):
        from auralign.train.parallel import on_all_ranks

        main = on_all_ranks(main)
    run(main)


def _end_of_thread(end: threading.ExceptHookArgs) -> None:
    """Say in one line what ended a thread, as that of TensorBoard on a full disk; who waits for it gets the error too."""
    name = end.thread.name if end.thread else "unknown"
    if not (isinstance(end.exc_value, Exception) and _say(end.exc_value, f"error in the thread {name}")):
        threading.__excepthook__(end)


def _say(error: Exception, what: str) -> bool:
    """Print an error of the input, in one line but for a `LinesError`; False if it is a defect, or if tracebacks are wanted."""
    from auralign.records import shorten
    from auralign.text.characters import show_controls

    line = _in_one_line(error)
    if os.environ.get(TRACEBACK) or line is None:
        return False
    line = shorten(line, LONGEST_LINE)  # a library may put a whole file into its error
    line = "\n".join(show_controls(part) for part in line.split("\n"))
    program = os.path.basename(sys.argv[0])
    print(f"{'auralign' if program == '__main__.py' else program}: {what}: {line}", file=sys.stderr)
    return True


def _in_one_line(error: Exception) -> str | None:
    """The message for an error of the input; None for a defect of auralign, whose traceback is needed."""
    from auralign.environment import is_out_of_memory
    from auralign.stage import StageBusyError
    from auralign.text.characters import LinesError

    if is_out_of_memory(error):
        found = str(error).strip().partition("\n")[0][:200]
        return (
            f"no memory is left{found and f' ({found})'}; lower tokens_per_pack (stage 3), or generate_batch_size and "
            "decode_batch_size (stages 2 and 4)"
        )
    code = re.search(r"\(os error (\d+)\)", str(error))  # of safetensors, whose errors are no OSError
    if code and int(code[1]) in FULL:
        return (
            "no room is left on the disk; make room and run the same command again, what is finished is kept"
        )
    if isinstance(error, OSError) and error.errno in FULL:
        path = error.filename or "the disk"
        return f"{path}: {error.strerror}; make room and run the same command again, what is finished is kept"
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, LinesError):
        return str(error).rstrip()
    if isinstance(error, (ValueError, OSError, StageBusyError)):
        return " ".join(str(error).split())  # libraries write theirs on several
    return None
