"""A web server of a few files in memory, which can cut, ignore and refuse as real ones do."""

import contextlib
import os
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from unittest.mock import patch


@dataclass
class FileServer:
    """`files` maps path to content; `ranges` holds the Range header of every request, None where there was none."""

    files: dict[str, bytes]
    knows_ranges: bool = True
    tells_length: bool = True
    cut_after: int | None = None  # bytes of the next answer alone
    redirects: dict[str, str] = field(default_factory=dict)
    ranges: list[str | None] = field(default_factory=list)
    url: str = ""


@contextlib.contextmanager
def serve(files: dict[str, bytes]):
    """Yield a FileServer that listens on this machine."""
    state = FileServer(files)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path in state.redirects:
                self.send_response(302)
                self.send_header("Location", state.redirects[self.path])
                self.end_headers()
                return
            asked = self.headers["Range"]
            state.ranges.append(asked)
            content = state.files.get(self.path)
            if content is None:
                self.send_error(404)
                return
            start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and state.knows_ranges else 0
            if start and start >= len(content):
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            if state.tells_length:
                self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            end = len(content) if state.cut_after is None else start + state.cut_after
            state.cut_after = None
            self.wfile.write(content[start:end])

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    try:
        with patch.dict(os.environ, no_proxy="127.0.0.1"):
            yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
