"""`auralign serve`: a model folder as a server that OpenAI's clients talk to."""

import argparse
import contextlib
import sys
from pathlib import Path

from auralign.cli.arguments import (
    Commands,
    add_address,
    add_model,
    bind,
    load_model,
    number,
    positive,
)

DESCRIPTION = """\
Serve a model folder at http://HOST:PORT/v1, as OpenAI's clients expect it: POST /v1/chat/completions with text and
input_audio (base64), streamed if asked; GET /v1/models; GET /health. Needs auralign[serve]. Ctrl-C ends it."""


def add(commands: Commands) -> None:
    """Add the parser of `auralign serve`."""
    parser = commands.add_parser(
        "serve", help="serve a model folder to OpenAI's clients", description=DESCRIPTION
    )
    add_model(parser)
    add_address(parser, port=8000)
    parser.add_argument("--name", help="the model's id in requests; default the name of the folder")
    parser.add_argument(
        "--max-request-mb",
        type=positive,
        default=25.0,
        metavar="N",
        help="limit of the body of a request, in megabytes; default %(default)g",
    )
    parser.add_argument(
        "--max-audio-seconds",
        type=positive,
        default=300.0,
        metavar="N",
        help="limit of the audio of one turn; default %(default)g, or less if the encoder takes less",
    )
    parser.add_argument(
        "--max-seconds",
        type=positive,
        default=120.0,
        metavar="N",
        help="limit of a request from its arrival to the end of its answer; default %(default)g",
    )
    parser.add_argument(
        "--max-waiting",
        type=number,
        default=8,
        metavar="N",
        help="how many requests may wait while one is answered; default %(default)g",
    )
    parser.set_defaults(do=do)


def do(options: argparse.Namespace) -> int:
    """Serve until it is interrupted."""
    try:
        import uvicorn
        from starlette.applications import Starlette  # noqa: F401
    except ModuleNotFoundError as error:
        raise ValueError(f"auralign serve needs {error.name}: pip install 'auralign[serve]'") from error
    from auralign.serve.answering import ModelAnswers
    from auralign.serve.app import Limits, make_app

    listener = bind(options)
    host, port = listener.getsockname()[:2]
    model = load_model(options)
    name = options.name or Path(options.folder).resolve().name
    limits = Limits(
        request_bytes=int(options.max_request_mb * 1e6),
        seconds=options.max_seconds,
        waiting=int(options.max_waiting),
    )
    app = make_app(ModelAnswers(model, name, max_audio_seconds=options.max_audio_seconds), limits)
    shown = f"[{host}]" if ":" in host else host
    listener.listen()  # so that whoever reads the next line can connect
    print(f"{name} is served at http://{shown}:{port}/v1; Ctrl-C ends it", file=sys.stderr, flush=True)
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=5, server_header=False)
    with contextlib.suppress(KeyboardInterrupt):  # the usual end of a server
        uvicorn.Server(config).run(sockets=[listener])
    return 0
