"""torchrun, which leaves it to the training to say why it ended.

    python -m auralign.train.torchrun --standalone --nproc-per-node 4 train.py hparams/sift.yaml --device cuda

The arguments are torchrun's. That adds a traceback and a summary to the one line of the process that failed, and ends with code 1
whatever code its processes give; it also dies of SIGUSR1, and leaves its processes.
"""

import logging
import os
import signal
import sys

SIGNALS = "SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1"  # that are sent on to the processes


def main(argv: list[str] | None = None) -> int:
    """Run a script in several processes; returns 0, the code of the process that failed, or 128 and the number of its signal."""
    if "LOGLEVEL" not in os.environ:
        logging.disable(logging.ERROR)  # torchrun's own messages
    os.environ.setdefault("TORCHELASTIC_SIGNALS_TO_HANDLE", SIGNALS)
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import parse_args, run

    options = parse_args(argv)
    try:
        run(options)
    except ChildFailedError as error:
        codes = {rank: failure.exitcode for rank, failure in error.failures.items()}
        # Ranks that end because another one did give 1; torchrun itself ends the rest by a signal.
        said = [code for code in codes.values() if code > 1] or [code for code in codes.values() if code == 1]
        if said:
            return said[0]
        rank, failure = error.get_first_failure()
        number = -failure.exitcode
        print(
            f"{os.path.basename(options.training_script)}: error: process {rank} was ended by {signal.Signals(number).name}; run "
            "the same command again to go on",
            file=sys.stderr,
        )
        return 128 + number
    except SignalException as stop:
        return 128 + int(stop.sigval)
    return 0


if __name__ == "__main__":
    sys.exit(main())
