"""What a checkout makes of two dozen clips of digits: prompts and targets in token ids, and the loss of each training step.

    python tests/parity.py CHECKOUT COMMIT > tests/fixtures/parity_49366b2.json

It runs the scripts of CHECKOUT's egs/digits, with CHECKOUT's packages, and calls nothing else: so an earlier commit is measured
by the same lines as the present one.
"""

import argparse
import ast
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

CORPUS = Path(__file__).parent / "fixtures" / "digits_corpus"
YAML = "hparams/sift.yaml"
OUTPUT = "exp/synthetic/sift/seed_1"
# With a tenth of the recipe's rate or less, the kernels of another processor change no loss by more than 1e-6; with all of it
# the rounding grows to 1e-3 within 30 steps.
STEPS = "--lr 2e-4 --num_steps 30 --valid_every 1 --num_shown 0 --feature_cache memory".split()
SHOWN = ("synthetic-train-Hugoenus-0730", "synthetic-train-benjaminengbscotland-2380")  # a command, a string

RUN = """
import contextlib, io, json, runpy, sys
from auralign.cli import main
for words in json.loads(sys.argv[1]):
    sys.argv, printed = words, io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            main() if words[0] == "auralign" else runpy.run_path(words[0], run_name="__main__")
    except SystemExit as stop:  # with which each of them ends
        if stop.code:
            raise
    if words[0] == "auralign":
        print(printed.getvalue())
"""


def measure(checkout, folder):
    """Run stages 1 to 3 of `sift` on the clips.

    Arguments
    ---------
    checkout : Path
        Root of a checkout of auralign.
    folder : Path
        An empty folder to work in.

    Returns a dict: `views`, from utterance id to the token ids of the student's view and then the teacher's, a list for each
    piece; `prompts` and `targets`, from utterance id to the hash of the prompt's ids and to the ids of the LLM's answer;
    `train_loss` and `valid_loss`, of each step.

    Raises CalledProcessError if a script fails, which then has said why.
    """
    shutil.copytree(checkout / "egs" / "digits", folder, ignore=_ignore, dirs_exist_ok=True)
    (folder / "models").symlink_to(checkout / "egs" / "digits" / "models")

    commands = [
        ["prepare.py", "--corpus", str(CORPUS), "--output", "data/synthetic"],
        ["generate.py", YAML],
        ["train.py", YAML, *STEPS],
        *(["auralign", "show", YAML, "--utt", name] for name in SHOWN),
    ]
    path = os.pathsep.join([str(checkout / "toolkit"), os.environ.get("PYTHONPATH", "")])
    shown = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(commands)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout.split("utterance ")[1:]
    log = json.loads((folder / OUTPUT / "log.json").read_text(encoding="utf-8"))
    targets = [
        json.loads(line)
        for split in ("train", "valid")
        for line in (folder / OUTPUT / "targets" / f"{split}.jsonl")
        .read_text(encoding="utf-8")
        .splitlines()[1:]
    ]
    return {
        "views": {name: _read_ids(text) for name, text in zip(SHOWN, shown, strict=True)},
        "prompts": {target["utt_id"]: target["prompt_hash"] for target in targets},
        "targets": {target["utt_id"]: target["response_ids"] for target in targets},
        "train_loss": [row["train_loss"] for row in log],
        "valid_loss": [row["valid_loss"] for row in log],
    }


def _ignore(folder, names):
    return [name for name in names if name in ("corpus", "data", "exp", "models", "__pycache__")]


def _read_ids(shown):
    """Token ids of what `auralign show` prints, such as
            0..2  frame             '<|im_start|>user\\n' [1002, 535, 11]
    with a list behind each piece that is not speech."""
    return [
        ast.literal_eval(line[line.rindex(" [") :].strip())
        for line in shown.splitlines()
        if line.endswith("]")
    ]


def _dumps(values):
    """JSON with a line for each utterance, so that a difference can be read."""
    lines = []
    for key, value in values.items():
        if isinstance(value, dict):
            rows = ",\n".join(f"  {json.dumps(name)}: {json.dumps(row)}" for name, row in value.items())
            lines.append(f" {json.dumps(key)}: {{\n{rows}\n }}")
        else:
            lines.append(f" {json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(lines) + "\n}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkout", type=Path, help="root of a checkout of auralign")
    parser.add_argument("commit", help="its commit, to be noted in the output")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        measured = measure(options.checkout.resolve(), Path(temporary))
    print(_dumps({"commit": options.commit, **measured}))
