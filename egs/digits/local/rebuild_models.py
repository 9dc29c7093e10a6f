"""Make the models of the digits example again: both from scratch, or an encoder for recordings.

    python rebuild_models.py --speech synthetic --corpus corpus/synthetic --output models --seed 1
    python rebuild_models.py --speech recorded --corpus corpus/recorded --output exp/recorded/models --seed 1

The LLM reads text only, so recordings need no other one: --speech recorded trains the encoder in `--init` on,
if that was not done before from the same corpus, encoder and seed. Each model is replaced in one step when it
is whole; an interrupted run leaves the old ones.

Reads: a corpus folder made by make_corpus.py; for recordings the encoder to continue from.
Writes: <output>/llm (synthetic only) and <output>/encoder, and beside each its scores.
"""

import argparse
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from auralign import script
from auralign.files import hash_path
from auralign.stage import Stage, content
from build_encoder import RECIPES, build_encoder

SHIPPED_MODELS = Path(__file__).resolve().parent.parent / "models"


def rebuild_from_scratch(output, corpus, *, seed):
    """LLM and encoder side by side, with one thread each: on two cores sooner than one after the other with two."""
    scripts = Path(__file__).parent
    llm = [sys.executable, scripts / "build_llm.py", "--output", output / "llm", "--seed", str(seed)]
    encoder = [sys.executable, scripts / "build_encoder.py", "--corpus", corpus, "--seed", str(seed)]
    encoder += ["--output", output / "encoder"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    print(f"training {output}/llm and {output}/encoder; the progress is the encoder's", flush=True)
    with (
        tempfile.TemporaryFile("w+") as log,
        subprocess.Popen(llm, env=environment, stdout=log, stderr=log) as background,
    ):
        code = None
        try:
            code = subprocess.run(encoder, env=environment).returncode
        finally:
            if code != 0:  # it failed, or Ctrl-C
                background.kill()
        code = code or background.wait()
        log.seek(0)
        print(log.read(), end="", file=sys.stderr if code else sys.stdout)
    if code:
        sys.exit(code)


def rebuild_models(output, *, speech, corpus, seed, init, force=False):
    """Build into `output`, if no encoder for these very recordings is there yet."""
    spoken = content(corpus, made_by="stage 0 (corpus)")
    if speech == "synthetic":
        rebuild_from_scratch(output, corpus, seed=seed)
        return
    inputs = {
        "corpus": spoken,
        "init": hash_path(init),
        "seed": seed,
        "recipe": json.loads(json.dumps(dataclasses.asdict(RECIPES["recorded"]))),
    }
    if force:
        shutil.rmtree(output / "encoder", ignore_errors=True)
    outputs = [output / "encoder", output / "encoder.scores.json"]
    with Stage("encoder for recordings", output, inputs=inputs, outputs=outputs) as stage:
        if stage.complete:
            return
        scores = build_encoder(output / "encoder", speech="recorded", corpus=corpus, seed=seed, init=init)
        for split, rate in scores.items():
            print(f"{output}/encoder: word error rate on {split} {100 * rate:.2f} %")


def main(argv):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--speech", choices=("synthetic", "recorded"), default="synthetic")
    parser.add_argument("--corpus", required=True, type=Path, help="corpus folder made by make_corpus.py")
    parser.add_argument("--output", required=True, type=Path, help="folder for llm/ and encoder/")
    parser.add_argument(
        "--init", type=Path, default=SHIPPED_MODELS / "encoder", help="encoder that recordings continue from"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--force", action="store_true", help="train an encoder for recordings again")
    rebuild_models(**vars(parser.parse_args(argv)))


if __name__ == "__main__":
    script.run(main)
