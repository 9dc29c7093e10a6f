"""Run a script's `main` so that a mistake of the user ends in one clear line, not in a traceback."""

import os
import sys
from collections.abc import Callable

TRACEBACK = "AURALIGN_TRACEBACK"


def run(main: Callable[[list[str]], int | None]) -> None:
    """Call `main(argv)` and exit: 0, what it returns, 2 for bad input, 3 where another run is at work, 130 after Ctrl-C.

    Set AURALIGN_TRACEBACK=1 to see where an error comes from.
    """
    from auralign.stage import StageBusyError

    try:
        sys.exit(main(sys.argv[1:]) or 0)
    except KeyboardInterrupt:
        print("\ninterrupted; run the same command again to go on", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # the reader of our output went away: `auralign methods | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except (ValueError, OSError, StageBusyError) as error:
        if os.environ.get(TRACEBACK):
            raise
        name = os.path.basename(sys.argv[0])
        print(f"{name}: error: {error}", file=sys.stderr)
        sys.exit(3 if isinstance(error, StageBusyError) else 2)
