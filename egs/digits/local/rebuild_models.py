"""Make the models of the digits example again: both from scratch, or an encoder for recordings.

    python rebuild_models.py --speech synthetic --corpus corpus/synthetic --output models --seed 1
    python rebuild_models.py --speech recorded --corpus corpus/recorded --output exp/recorded/models --seed 1

The LLM reads text only, so recordings need no other one: --speech recorded trains the encoder in `--init` on,
unless that was done before from the same corpus, encoder and seed. Each model is replaced in one step when it
is whole; an interrupted run leaves the old ones.

Reads: a corpus folder made by make_corpus.py; for recordings the encoder to continue from.
Writes: <output>/llm (synthetic only) and <output>/encoder, and beside each its scores.
"""

import argparse
import dataclasses
import json
import shutil
from pathlib import Path

from auralign import script
from auralign.files import hash_path
from auralign.stage import Stage, content
from build_encoder import RECIPES, build_encoder
from build_llm import build_llm

SHIPPED_MODELS = Path(__file__).resolve().parent.parent / "models"


def rebuild_from_scratch(output, corpus, *, seed):
    """LLM and encoder. Returns: word error rates of the encoder on valid and test."""
    build_llm(output / "llm", seed=seed)
    return build_encoder(output / "encoder", speech="synthetic", corpus=corpus, seed=seed)


def adapt_encoder(output, corpus, *, seed, init):
    """Train the encoder `init` on the recordings. Returns: word error rates on valid and test."""
    return build_encoder(output / "encoder", speech="recorded", corpus=corpus, seed=seed, init=init)


def rebuild_models(output, *, speech, corpus, seed, init, force=False):
    """Build into `output`, unless an encoder for just these recordings stands there already."""
    spoken = content(corpus, made_by="stage 0 (corpus)")
    if speech == "synthetic":
        return report(output, rebuild_from_scratch(output, corpus, seed=seed))
    recipe = dataclasses.asdict(RECIPES["recorded"])
    inputs = {
        "corpus": spoken,
        "init": hash_path(init),
        "seed": seed,
        "recipe": json.loads(json.dumps(recipe)),
    }
    if force:
        shutil.rmtree(output / "encoder", ignore_errors=True)
    outputs = [output / "encoder", output / "encoder.scores.json"]
    with Stage("encoder for recordings", output, inputs=inputs, outputs=outputs) as stage:
        if not stage.complete:
            report(output, adapt_encoder(output, corpus, seed=seed, init=init))


def report(output, scores):
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
