"""A Hub on loopback: the wire calls of the installed client over real HTTP, with faults on demand.

In a test: `with HubServer() as hub: ...`, and start clients in subprocesses with `hub.environment(home)`, since the
libraries read their endpoint once, at import. As a program, `python hub_server.py`, it prints its endpoint and serves
until its standard input closes.
"""

import json
import re
import socket
import struct
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from hub_routes import Request, Response, answer
from hub_store import Entry, HubStore, Repository, User

TOKENS = {
    "hf_writer000000000000000000000000000": User("user"),
    "hf_reader000000000000000000000000000": User("user", may_write=False),
    "hf_stranger0000000000000000000000000": User("stranger"),
}
WRITE_TOKEN, READ_TOKEN, STRANGER_TOKEN = TOKENS
RANGE = re.compile(r"bytes=(\d+)-(\d*)$")


@dataclass
class Fault:
    """A fault in the next `times` matching requests.

    A fault is an error status instead of an answer; a connection that is cut after some bytes of the response or, for
    an upload, of the request, with or without a reset; or a request that is carried out but whose answer is lost.
    """

    method: str
    path: str
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    message: str = "injected"
    cut_after: int | None = None
    reset: bool = False
    answer_lost: bool = False
    times: int = 1


@dataclass(frozen=True)
class Logged:
    method: str
    path: str
    status: int
    range: str | None
    authorized: bool
    storage: bool


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body are two writes; with delayed acknowledgements, each answer would take 40 ms.
    disable_nagle_algorithm = True
    hub: "HubServer"
    storage: bool

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing: requests are recorded in `HubServer.requests`."""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        fault = self.hub.take_fault(self.command, url.path)
        length = int(self.headers.get("Content-Length", 0))
        if fault and fault.cut_after is not None and self.command in ("PUT", "POST"):
            self.rfile.read(min(length, fault.cut_after))
            return self._hang_up()
        body = self._chunked() if "chunked" in self.headers.get("Transfer-Encoding", "") else self.rfile.read(length)
        if fault and fault.status is not None:
            response = Response.of({"error": fault.message}, fault.status)
            response.headers |= fault.headers
        else:
            with self.hub.lock:
                response = answer(self.hub.store, self._request(url.path, url.query, body))
        if fault and fault.answer_lost:
            return self._hang_up()
        self._send(response, fault)

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET

    def _hang_up(self) -> None:
        self._log(0)
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _request(self, path: str, query: str, body: bytes) -> Request:
        hub = self.hub
        return Request(
            self.command, path, parse_qs(query), self.headers, body, hub.endpoint, hub.storage, hub.part_bytes
        )

    def _chunked(self) -> bytes:
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _send(self, response: Response, fault: Fault | None) -> None:
        body, status, headers = response.body, response.status, dict(response.headers)
        wanted = RANGE.match(self.headers.get("Range", ""))
        if wanted and status == 200 and "Accept-Ranges" in headers:
            start = int(wanted[1])
            end = min(int(wanted[2] or len(body) - 1), len(body) - 1)
            headers["Content-Range"] = f"bytes {start}-{end}/{len(body)}"
            body, status = body[start : end + 1], 206
        self._log(status)
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        cut_after = fault.cut_after if fault else None
        if self.command != "HEAD":
            self.wfile.write(body[:cut_after])
        if cut_after is not None:
            self.close_connection = True
        if fault and fault.reset:
            # Closing with a linger time of zero resets the connection.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def _log(self, status: int) -> None:
        path, authorized = urlsplit(self.path).path, "Authorization" in self.headers
        entry = Logged(self.command, path, status, self.headers.get("Range"), authorized, self.storage)
        self.hub.requests.append(entry)


class HubServer:
    """The Hub and, on a second port, the storage to which it redirects large files."""

    def __init__(self) -> None:
        self.store = HubStore(dict(TOKENS))
        self.requests: list[Logged] = []
        self.faults: list[Fault] = []
        self.part_bytes: int | None = None
        self.lock = threading.Lock()
        self._servers = [self._listen(storage) for storage in (False, True)]
        self.endpoint, self.storage = (f"http://127.0.0.1:{server.server_address[1]}" for server in self._servers)

    def _listen(self, storage: bool) -> ThreadingHTTPServer:
        handler = type("BoundHandler", (Handler,), {"hub": self, "storage": storage})
        return ThreadingHTTPServer(("127.0.0.1", 0), handler)

    def __enter__(self) -> "HubServer":
        for server in self._servers:
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def fail(self, method: str, path: str, **fault: Any) -> None:
        """Let the next matching request fail; see `Fault`. The path is a regular expression to search for."""
        self.faults.append(Fault(method, path, **fault))

    def take_fault(self, method: str, path: str) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if fault.times > 0 and fault.method == method and re.search(fault.path, path):
                    fault.times -= 1
                    return fault
        return None

    def asked(self, method: str, path: str) -> list[Logged]:
        """All requests so far with this method and a matching path."""
        return [entry for entry in self.requests if entry.method == method and re.search(path, entry.path)]

    def files(self, name: str, kind: str = "model", revision: str = "main") -> dict[str, bytes]:
        commit = self.store.repositories[kind, name].at(revision)
        return {path: entry.data for path, entry in commit.files.items()}

    def plant(self, name: str, files: Mapping[str, bytes], kind: str = "model") -> None:
        """Create a repository with these files, large ones as such, without a client."""
        repository = Repository(name, kind, private=False)
        for path, data in files.items():
            large = repository.upload_mode(path, len(data)) == "lfs"
            entry = repository.branches["main"].files[path] = Entry(data, large)
            repository.objects[entry.sha256] = data
        self.store.repositories[kind, name] = repository

    def environment(self, home: Path, token: str | None = WRITE_TOKEN) -> dict[str, str]:
        """Environment variables that point stock clients here, with their caches under `home`."""
        found = {
            "HF_ENDPOINT": self.endpoint,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "NO_PROXY": "127.0.0.1",
        }
        return found | ({"HF_TOKEN": token} if token else {})


if __name__ == "__main__":
    with HubServer() as served:
        sys.stdout.write(json.dumps(served.environment(Path("hub-home"))) + "\n")
        sys.stdout.flush()
        sys.stdin.read()
