"""A local server that speaks the hub's API: repositories of files at commits, and failures on request."""

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlparse

import pytest

__all__ = ["FakeHub", "commit_of", "serve_hub"]


def commit_of(name: str) -> str:
    """Return the commit that a name stands for: 40 hexadecimal digits."""
    return hashlib.sha1(name.encode()).hexdigest()


@dataclass
class FakeHub:
    """What the server has.

    Attributes:
        folders: The folder of each repository and revision; a bare repository is its main branch.
        status: Answered to every request in place of what is asked for.
        delay: Seconds before every answer.
        asked: Every path that was asked for.
    """

    folders: dict[tuple[str, str], Path] = field(default_factory=dict)
    status: int = 200
    delay: float = 0.0
    asked: list[str] = field(default_factory=list)

    def add(self, hub_id: str, folder: Path, revision: str = "main") -> str:
        """Put a folder on the hub; return the commit."""
        commit = commit_of(f"{hub_id} {revision}")
        for name in (revision, commit):
            self.folders[hub_id, name] = folder
        return commit

    def answer(self, path: str) -> tuple[int, bytes, dict[str, str]]:
        """Return status, body and headers for a path."""
        if self.status != 200:
            return self.status, b"{}", {}
        parts = unquote(urlparse(path).path).strip("/").split("/")
        if parts[:2] == ["api", "models"]:
            return self._answer_api("/".join(parts[2:4]), *parts[4:])
        hub_id, revision, file = "/".join(parts[:2]), parts[3], "/".join(parts[4:])
        found = self.folders.get((hub_id, revision))
        if found is None or not (found / file).is_file():
            return 404, b"", {"X-Error-Code": "EntryNotFound"}
        body = (found / file).read_bytes()
        headers = {"ETag": f'"{hashlib.sha1(body).hexdigest()}"', "X-Repo-Commit": self._commit(hub_id, revision)}
        return 200, body, headers

    def _commit(self, hub_id: str, revision: str) -> str:
        return revision if len(revision) == 40 else commit_of(f"{hub_id} {revision}")

    def _answer_api(self, hub_id: str, kind: str = "revision", *rest: str) -> tuple[int, bytes, dict[str, str]]:
        revision = "/".join(rest) or "main"
        if not any(hub_id == known for known, _ in self.folders):
            return 404, b"", {"X-Error-Code": "RepoNotFound"}
        folder = self.folders.get((hub_id, revision))
        if folder is None:
            return 404, b"", {"X-Error-Code": "RevisionNotFound"}
        if kind == "revision":
            said: Any = {"id": hub_id, "sha": self._commit(hub_id, revision), "siblings": [], "tags": []}
            return 200, json.dumps(said).encode(), {}
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        said = [_entry(path, folder) for path in files]
        return 200, json.dumps(said).encode(), {}


def _entry(path: Path, folder: Path) -> dict[str, Any]:
    body = path.read_bytes()
    name = path.relative_to(folder).as_posix()
    return {"type": "file", "path": name, "size": len(body), "oid": hashlib.sha1(body).hexdigest()}


@contextmanager
def serve_hub(patch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """Run a hub without repositories, and let the hub's client talk to it."""
    from huggingface_hub import constants

    hub = FakeHub()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            hub.asked.append(self.path)
            time.sleep(hub.delay)
            status, body, headers = hub.answer(self.path)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=lambda: server.serve_forever(poll_interval=0.02), daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    patch.setattr(constants, "ENDPOINT", address)
    patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
    patch.setattr(constants, "HF_HUB_OFFLINE", False)
    patch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
