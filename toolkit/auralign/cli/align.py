"""`auralign align`: give the utterances of a manifest their word times."""

import argparse
from typing import TYPE_CHECKING

from auralign.cli.arguments import Commands, add_trust, import_from_working_folder, trust_of

if TYPE_CHECKING:
    from auralign.align import Source
    from auralign.records import Records

DESCRIPTION = """\
Write a manifest again with the times of its utterances' words, read from existing alignments or found by CTC. Utterances that
have word times already are left as they are; those that get none are listed beside the manifest with the reason. Run this
before stage 2: targets are generated again if the manifest changes, and training stops if it would replace an earlier run.
"""


def add(commands: Commands) -> None:
    """Add the parser of `auralign align`."""
    parser = commands.add_parser(
        "align", help="give the utterances of a manifest their word times", description=DESCRIPTION
    )
    parser.add_argument("manifest", metavar="MANIFEST", help="such as data/train.jsonl")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--textgrids",
        metavar="DIR",
        help="a folder with <utterance id>.TextGrid at any depth, as the Montreal Forced Aligner writes them",
    )
    source.add_argument(
        "--librispeech", metavar="DIR", help="a folder with <speaker>-<chapter>.alignment.txt at any depth"
    )
    source.add_argument(
        "--recipe",
        metavar="YAML",
        help="align with this recipe's encoder and recognizer: path of a YAML, or a name in hparams/",
    )
    parser.add_argument("--tier", metavar="NAME", help="tier of the TextGrids (default: words)")
    parser.add_argument(
        "--force", action="store_true", help="also align utterances that have word times already"
    )
    add_trust(parser)
    parser.set_defaults(do=do)


def do(options: argparse.Namespace) -> int:
    """Align the manifest and print how many utterances have word times."""
    from auralign.align import align_file

    if options.tier and not options.textgrids:
        raise ValueError(f"--tier {options.tier}: only TextGrids have tiers; leave it out")
    summary = align_file(
        options.manifest, lambda manifest: _open_source(options, manifest), force=options.force
    )
    print(f"align: {summary}")
    return 0


def _open_source(options: argparse.Namespace, manifest: "Records") -> "Source":
    from auralign.align import from_librispeech, from_recipe, from_textgrids

    if options.textgrids:
        return from_textgrids(options.textgrids, options.tier or "words")
    if options.librispeech:
        return from_librispeech(options.librispeech)
    from auralign.run_folder import RunFolder

    import_from_working_folder()
    run = RunFolder.open(options.recipe, trust_of(options))
    return from_recipe(run.recipe, manifest, path=run.recipe.source.path)
