"""A Hugging Face hub in memory: the part of its HTTP interface that `huggingface_hub` uses to read and to write repositories."""

import base64
import contextlib
import hashlib
import json
import os
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from unittest.mock import patch
from urllib.parse import unquote, urlsplit

TOKEN = "hf_of_the_owner"


@dataclass
class Repository:
    """Files by commit; `refs` maps branches and tags to commits."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    gated: bool = False  # its files need a token; its page does not
    private: bool = False  # nothing of it is seen without a token

    @property
    def files(self):
        """The files of main."""
        return self.commits[self.refs["main"]]

    def commit(self, files, *, branch="main"):
        """Put a new commit on a branch; returns its hash."""
        content = sorted((name, hashlib.sha1(data).hexdigest()) for name, data in files.items())
        sha = hashlib.sha1(json.dumps([len(self.commits), content]).encode()).hexdigest()
        self.commits[sha] = dict(files)
        self.refs[branch] = sha
        return sha


class Hub:
    """The repositories by (kind, id), kind being "models" or "datasets"; `asked` has "METHOD path" of every request."""

    def __init__(self):
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.asked: list[str] = []
        self.url = ""

    def add(self, name, files, *, kind="models", **options):
        """Add a repository with a folder's files, or those of a dict; returns its commit."""
        if not isinstance(files, dict):
            folder = Path(files)
            files = {
                path.relative_to(folder).as_posix(): path.read_bytes()
                for path in sorted(folder.rglob("*"))
                if path.is_file()
            }
        repository = self.repositories.setdefault((kind, name), Repository(**options))
        return repository.commit(files)

    def __getitem__(self, name):
        return self.repositories["models", name]

    def downloads(self):
        """Names of the files whose content was sent."""
        return sorted(
            line.rpartition("/")[2] for line in self.asked if line.startswith("GET ") and "/resolve/" in line
        )


@contextlib.contextmanager
def serve_hub():
    """Yield a Hub that listens on this machine."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self.answer()

        def do_HEAD(self):
            self.answer()

        def do_POST(self):
            self.answer()

        def answer(self):
            path = unquote(urlsplit(self.path).path)
            hub.asked.append(f"{self.command} {path}")
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            for pattern, action in ROUTES:
                found = re.fullmatch(pattern, path)
                if found:
                    action(self, body, *found.groups())
                    return
            self.fail(404, "EntryNotFound", f"the stub has no {path}")

        @property
        def is_owner(self):
            return self.headers.get("Authorization") == f"Bearer {TOKEN}"

        def send(self, content, *, status=200, **headers):
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(data)), **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def fail(self, status, code, message):
            self.send({"error": message}, status=status, **{"X-Error-Code": code, "X-Error-Message": message})

        def find(self, kind, name, revision):
            """The repository and the commit, or None after an error was sent."""
            repository = hub.repositories.get((kind, name))
            if repository is None or (repository.private and not self.is_owner):
                self.fail(404 if self.is_owner else 401, "RepoNotFound", "Repository not found")
                return None
            sha = repository.refs.get(revision, revision)
            if sha not in repository.commits:
                self.fail(404, "RevisionNotFound", f"Invalid rev id: {revision}")
                return None
            return repository, sha

        def info(self, body, kind, name, revision="main"):
            found = self.find(kind, name, revision)
            if found:
                repository, sha = found
                siblings = [{"rfilename": path} for path in sorted(repository.commits[sha])]
                self.send({"id": name, "sha": sha, "siblings": siblings, "private": repository.private})

        def tree(self, body, kind, name, revision):
            found = self.find(kind, name, revision)
            if found:
                repository, sha = found
                self.send(
                    [
                        {
                            "type": "file",
                            "path": path,
                            "size": len(data),
                            "oid": hashlib.sha1(data).hexdigest(),
                        }
                        for path, data in sorted(repository.commits[sha].items())
                    ]
                )

        def file(self, body, kind, name, revision, path):
            found = self.find("datasets" if kind else "models", name, revision)
            if not found:
                return
            repository, sha = found
            if repository.gated and not self.is_owner:
                self.fail(401, "GatedRepo", "Access to this model is restricted")
            elif path not in repository.commits[sha]:
                self.fail(404, "EntryNotFound", f"{path} does not exist")
            else:
                data = repository.commits[sha][path]
                self.send(data, ETag=f'"{hashlib.sha1(data).hexdigest()}"', X_Repo_Commit=sha)

        def create(self, body):
            asked = json.loads(body)
            if not self.is_owner:
                self.fail(401, "Unauthorized", "Invalid username or password.")
                return
            name = "/".join(part for part in (asked.get("organization"), asked["name"]) if part)
            key = (f"{asked.get('type', 'model')}s", name)
            if key in hub.repositories:
                self.send({"url": f"{hub.url}/{name}"}, status=409)
                return
            hub.repositories[key] = Repository(
                private=bool(asked.get("private")) or asked.get("visibility") == "private"
            )
            hub.repositories[key].commit({".gitattributes": b""})
            self.send({"url": f"{hub.url}/{name}", "name": name})

        def preupload(self, body, kind, name, revision):
            files = [
                {"path": one["path"], "uploadMode": "regular", "shouldIgnore": False}
                for one in json.loads(body)["files"]
            ]
            self.send({"files": files})

        def commit(self, body, kind, name, revision):
            found = self.find(kind, name, revision)
            if not self.is_owner:
                self.fail(403, "Forbidden", "No right to write")
            elif found:
                repository, sha = found
                files = dict(repository.commits[sha])
                for line in map(json.loads, body.splitlines()):
                    if line["key"] == "file":
                        files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
                sha = repository.commit(files, branch=revision)
                self.send({"commitUrl": f"{hub.url}/{name}/commit/{sha}", "commitOid": sha})

        def validate(self, body):
            self.send({"errors": [], "warnings": []})

        def log_message(self, *args):
            pass

    kinds, name = "(models|datasets)", "([^/]+/[^/]+)"
    ROUTES = [
        (f"/api/{kinds}/{name}", Handler.info),
        (f"/api/{kinds}/{name}/revision/(.+)", Handler.info),
        (f"/api/{kinds}/{name}/tree/([^/]+)", Handler.tree),
        (f"/api/{kinds}/{name}/preupload/(.+)", Handler.preupload),
        (f"/api/{kinds}/{name}/commit/(.+)", Handler.commit),
        ("/api/repos/create", Handler.create),
        ("/api/validate-yaml", Handler.validate),
        (f"/(?:(datasets)/)?{name}/resolve/([^/]+)/(.+)", Handler.file),
    ]
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def used_by_huggingface_hub(hub, cache, *, token=None):
    """Let `huggingface_hub`, in this process and its children, use a Hub and an empty cache."""
    from huggingface_hub import constants

    home = Path(cache)
    environment = {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(home),
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "XDG_CACHE_HOME": str(home / "xdg"),
        "no_proxy": "127.0.0.1",
        **({"HF_TOKEN": token} if token else {}),
    }
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, hub.url)
    values = {
        "ENDPOINT": hub.url,
        "HUGGINGFACE_CO_URL_TEMPLATE": template,
        "HF_HUB_CACHE": str(home / "hub"),
        "HF_HUB_OFFLINE": False,
        "HF_TOKEN_PATH": str(home / "token"),
    }
    with patch.dict(os.environ, environment), patch.multiple(constants, **values):
        yield
