"""`auralign demo`: a web page to talk to a model folder."""

import argparse
import sys

from auralign.cli.arguments import Commands, add_address, add_model, add_trust, bind, load_model, trust_of

DESCRIPTION = """\
Show a web page at http://HOST:PORT: record or upload speech and compare the answers to speech, to what the encoder's own
recognizer wrote (the cascade) and to text; read sentences aloud and have them scored. Works offline and on a CPU. Needs
auralign[demo]. Ctrl-C ends it."""
WITHOUT = (
    "This model folder has no examples, as the sentences of a test set may not be published. `auralign demo MODEL --examples "
    "RUN` shows answers of the run that it was exported from, after stage 4; `auralign export --examples` publishes them."
)


def add(commands: Commands) -> None:
    """Add the parser of `auralign demo`."""
    parser = commands.add_parser(
        "demo", help="show a web page to talk to a model folder", description=DESCRIPTION
    )
    add_model(parser)
    add_address(parser, port=7860)
    parser.add_argument(
        "--language",
        default="en",
        metavar="CODE",
        help="of the speech, for the recognizer; default %(default)s",
    )
    parser.add_argument(
        "--sentences",
        metavar="FILE",
        help="text file of sentences to read aloud, one to a line; default ten in English",
    )
    parser.add_argument(
        "--examples",
        metavar="RUN",
        help="output folder of a run, whose right and wrong answers are shown; default: those in the model folder, if any",
    )
    add_trust(parser)
    parser.set_defaults(do=do)


def do(options: argparse.Namespace) -> int:
    """Show the page until it is interrupted."""
    try:
        from auralign.demo.page import launch, make_page
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("auralign"):
            raise
        raise ValueError(f"auralign demo needs {error.name}: pip install 'auralign[demo]'") from error
    from auralign.demo.listener import Listener, find_recognizer
    from auralign.demo.reading import read_sentences
    from auralign.hub import resolve
    from auralign.publish.examples import read_examples, stored_examples

    with bind(options) as probe:  # Gradio binds again, after the model is loaded
        host, port = probe.getsockname()[:2]
    sentences = read_sentences(options.sentences)
    examples = read_examples(options.examples, overrides=trust_of(options)) if options.examples else None
    model, folder = load_model(options), resolve(options.folder)
    if examples is None:
        examples = stored_examples(folder)
    recognizer, reason = find_recognizer(
        model, folder, encoder=options.encoder, language=options.language, device=options.device
    )
    if reason:
        print(f"warning: no cascade: {reason}", file=sys.stderr)
    page = make_page(
        Listener(model, recognizer, without=reason),
        name=f"{str(model.config['llm']['name']).partition('@')[0].rpartition('/')[2]} with ears",
        sentences=sentences,
        examples=examples,
        without=WITHOUT,
    )
    url = launch(page, host=host, port=port)
    print(f"the page is at {url}; Ctrl-C ends it", file=sys.stderr, flush=True)
    page.block_thread()
    return 0
