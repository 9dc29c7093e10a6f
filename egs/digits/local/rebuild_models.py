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
import sys
from pathlib import Path

from auralign.files import hash_path, hash_value, write_atomically
from build_encoder import build_encoder
from build_llm import build_llm

SHIPPED_MODELS = Path(__file__).resolve().parent.parent / "models"


def rebuild_from_scratch(output, corpus, *, seed):
    """LLM and encoder. Returns: word error rates of the encoder on valid and test."""
    build_llm(output / "llm", seed=seed)
    return build_encoder(output / "encoder", speech="synthetic", corpus=corpus, seed=seed)


def adapt_encoder(output, corpus, *, seed, init, force):
    """Train the encoder on. Returns: word error rates on valid and test, or None where it stands already."""
    source = hash_value([hash_path(corpus / "labels.jsonl"), hash_path(init), seed])
    marker = output / "encoder.built_from"
    if marker.is_file() and marker.read_text() == source and (output / "encoder").is_dir() and not force:
        return None
    marker.unlink(missing_ok=True)
    scores = build_encoder(output / "encoder", speech="recorded", corpus=corpus, seed=seed, init=init)
    with write_atomically(marker) as file:
        file.write(source)
    return scores


def rebuild_models(output, *, speech, corpus, seed, init, force=False):
    """Build into `output`. Returns: word error rates on valid and test, or None where all stands already."""
    output, corpus = Path(output), Path(corpus)
    if not (corpus / "labels.jsonl").is_file():
        raise FileNotFoundError(f"no labels.jsonl in {corpus}; make the corpus first, with make_corpus.py")
    if speech == "synthetic":
        return rebuild_from_scratch(output, corpus, seed=seed)
    return adapt_encoder(output, corpus, seed=seed, init=Path(init), force=force)


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
    parser.add_argument("--force", action="store_true", help="train an encoder for recordings again")
    options = parser.parse_args()
    try:
        scores = rebuild_models(**vars(options))
    except (FileNotFoundError, ValueError) as error:
        sys.exit(f"rebuild_models.py: {error}")
    if scores is None:
        print(f"{options.output}/encoder stands already for this corpus; --force trains it again")
        return
    for split, rate in scores.items():
        print(f"{options.output}/encoder: word error rate on {split} {100 * rate:.2f} %")


if __name__ == "__main__":
    main()
