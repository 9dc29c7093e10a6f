"""Write a look-alike of a published corpus, for a recipe's hparams/smoke.yaml, and print what --data is.

python -m auralign.testing.corpora librispeech DIR    writes DIR/LibriSpeech; so do covost, slue and slue-parquet
"""

import sys
from collections.abc import Callable
from pathlib import Path

from auralign.testing.corpora.covost import make_covost
from auralign.testing.corpora.librispeech import make_librispeech
from auralign.testing.corpora.slue import make_slue, make_slue_phase_2
from auralign.testing.corpora.slue_parquet import make_slue_parquet

MAKERS: dict[str, Callable[[Path], Path]] = {
    "librispeech": lambda folder: make_librispeech(folder, sound=True),
    "covost": lambda folder: make_covost(folder, sound=True)[0].parent,
    "slue": lambda folder: (make_slue(folder), make_slue_phase_2(folder))[0],
    "slue-parquet": make_slue_parquet,
}


def main(argv: list[str]) -> None:
    """Write the named corpus into the folder if it is not there yet, and print its own folder."""
    if len(argv) != 2 or argv[0] not in MAKERS:
        sys.exit(f"usage: python -m auralign.testing.corpora {{{','.join(MAKERS)}}} DIR")
    made = Path(argv[1]) / f"{argv[0]}.made"  # written last: what --data is
    if not made.exists():
        try:
            made.write_text(f"{MAKERS[argv[0]](made.parent)}\n")
        except FileExistsError as error:
            sys.exit(f"corpora: {error.filename} is there already; give another folder, or remove it")
    print(made.read_text(), end="")


if __name__ == "__main__":
    main(sys.argv[1:])
