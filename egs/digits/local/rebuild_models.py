"""Make the models of the digits example again: both from scratch, or an encoder for recordings.

    python rebuild_models.py --speech synthetic --corpus corpus/synthetic --output models --seed 1
    python rebuild_models.py --speech recorded --corpus corpus/recorded --output exp/recorded-models --seed 1

The LLM reads text only, so recordings need no other one: --speech recorded trains the encoder in `--init` on.
Each model is replaced in one step when it is whole; an interrupted run leaves the old ones.

Reads: a corpus folder made by make_corpus.py; for recordings the encoder to continue from.
Writes: <output>/llm (synthetic only) and <output>/encoder, and beside each its scores.
"""

import argparse
from pathlib import Path

from build_encoder import build_encoder
from build_llm import build_llm

SHIPPED_MODELS = Path(__file__).resolve().parent.parent / "models"


def rebuild_models(output, *, speech, corpus, seed, init):
    """Build into `output`. Returns: word error rates of the encoder on valid and test."""
    output = Path(output)
    if not (Path(corpus) / "labels.jsonl").is_file():
        raise FileNotFoundError(f"no labels.jsonl in {corpus}; make the corpus first, with make_corpus.py")
    if speech == "synthetic":
        build_llm(output / "llm", seed=seed)
        init = None
    return build_encoder(output / "encoder", speech=speech, corpus=corpus, seed=seed, init=init)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--speech", choices=("synthetic", "recorded"), default="synthetic")
    parser.add_argument("--corpus", required=True, help="corpus folder made by make_corpus.py")
    parser.add_argument("--output", required=True, help="folder for llm/ and encoder/")
    parser.add_argument(
        "--init", default=SHIPPED_MODELS / "encoder", help="encoder that recordings continue from"
    )
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    scores = rebuild_models(
        options.output, speech=options.speech, corpus=options.corpus, seed=options.seed, init=options.init
    )
    for split, rate in scores.items():
        print(f"{options.output}/encoder: word error rate on {split} {100 * rate:.2f} %")


if __name__ == "__main__":
    main()
