"""Shards of stage 2 or 4 on the machines of a Ray cluster, by Ray Data; needs auralign[ray].

    python -m auralign.on_ray generate.py hparams/sift.yaml --num-shards 16 --num-gpus 1     in a recipe's folder

Each shard is a row that a worker maps to the exit code of the script with `--shard`. The machines share the recipe's folder and
Python's packages. If a worker is killed, Ray gives its shard to another, which resumes it; the shard that ends last joins all.
"""

import argparse
import os
import runpy
import sys
from pathlib import Path

from auralign import script
from auralign.shards import OPTION


def run_shards(arguments: list[str], *, num_shards: int, num_gpus: float = 0, num_cpus: float = 1) -> int:
    """Run all shards of a script in the working folder; returns the exit code of the first shard that failed, or 0.

    Arguments
    ---------
    arguments : list of str
        The script and its arguments, such as ["generate.py", "hparams/sift.yaml"].
    num_shards : int
    num_gpus, num_cpus : float
        What Ray keeps free for a shard. Default: no GPU, and one core.

    Raises ValueError if Ray Data is not installed.
    """
    try:
        from ray import data
    except ImportError as error:
        raise ValueError(f"Ray Data is needed ({error}): pip install 'auralign[ray]'") from error
    folder = os.getcwd()

    def run(row: dict) -> dict:
        argv = [*arguments, OPTION, f"{row['id'] + 1}/{num_shards}"]
        return {"shard": row["id"] + 1, "code": run_here(folder, argv)}

    shards = data.range(num_shards, override_num_blocks=num_shards)
    found = shards.map(run, num_gpus=num_gpus, num_cpus=num_cpus).take_all()
    codes = {row["shard"]: row["code"] for row in found}
    return next((code for _, code in sorted(codes.items()) if code), 0)


def run_here(folder: str, argv: list[str]) -> int:
    """Run a script in this process, so that its locks end with the process; returns its exit code."""
    os.chdir(folder)
    sys.path.append(folder)
    sys.argv = argv
    try:
        runpy.run_path(argv[0], run_name="__main__")
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    return 0


def main(argv: list[str]) -> int:
    """The command line: `--help` describes it."""
    parser = argparse.ArgumentParser(
        prog="python -m auralign.on_ray",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--num-shards", type=int, required=True, metavar="N", help="parts that the stage is dealt to"
    )
    parser.add_argument("--num-gpus", type=float, default=0, metavar="N", help="of each shard (default: 0)")
    parser.add_argument("--num-cpus", type=float, default=1, metavar="N", help="of each shard (default: 1)")
    parser.add_argument("script", help="generate.py or decode.py; what follows is for it")
    options, rest = parser.parse_known_args(argv)
    if options.num_shards < 1:
        raise ValueError(f"--num-shards {options.num_shards}: give a number of at least 1")
    if not Path(options.script).is_file():
        raise FileNotFoundError(f"no {options.script} here; go to a recipe's folder")
    return run_shards(
        [options.script, *rest],
        num_shards=options.num_shards,
        num_gpus=options.num_gpus,
        num_cpus=options.num_cpus,
    )


if __name__ == "__main__":
    script.run(main)
