"""`telescope serve`: serves reports of analyses on the loopback address, with a search over all sources."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import date
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import SHUT_RDWR, socket
from threading import BoundedSemaphore, Lock
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from telescope_transformer.errors import InputError
from telescope_transformer.report import analyses_below, read_folder, render_report
from telescope_transformer.report.search import SourceSearch
from telescope_transformer.words import EPOCH

LOOPBACK = "127.0.0.1"
# The port that browsers leave out of the header Host (RFC 9110, section 4.2.1).
HTTP_PORT = 80
# Written after all tables, so its presence means they are complete.
NEWEST = "sensors.json"
# Our choices, for a few browsers: the seconds after which a silent connection is closed, the most answers that are
# prepared at the same time, and the most connections that wait for their clients. A further connection closes the
# oldest.
PATIENCE = 10
MOST_AT_ONCE = 16
MOST_CONNECTIONS = 64
# The most analyses that one server offers and holds in memory: two months of daily analyses.
MOST_ANALYSES = 60
# An analysis to choose from: its address, its name, and whether it is the one that is shown.
Choice = tuple[str, str, bool]


class _Version(NamedTuple):
    """The state of an analysis at the time when it was read, and the choices in its page."""

    written: int | None
    choices: Sequence[Choice]
    page: bytes
    search: SourceSearch


class Served:
    """The analysis in a folder. It is read again when its tables, or the analyses to choose from, have changed.

    Raises:
        InputError: if the folder is not the output of an analysis.
    """

    def __init__(self, folder: Path, choices: Sequence[Choice] = ()) -> None:
        self._folder = folder
        self._lock = Lock()
        self._version = self._read(choices)

    def now(self, choices: Sequence[Choice] = ()) -> _Version:
        """The newest version, or the previous one while new tables are being written and cannot be read."""
        with self._lock:
            if (self._time(), choices) != (self._version.written, self._version.choices):
                with suppress(InputError):
                    self._version = self._read(choices)
            return self._version

    def _time(self) -> int | None:
        try:
            return (self._folder / NEWEST).stat().st_mtime_ns
        except OSError:
            return None

    def _read(self, choices: Sequence[Choice]) -> _Version:
        written = self._time()
        try:
            folder = read_folder(self._folder)
        except OSError as error:
            # Such as a folder that may no longer be read.
            raise InputError(str(error)) from error
        page = render_report(folder.report_data(), live=True, others=choices)
        return _Version(written, choices, page.encode(), SourceSearch(folder))


class Analyses:
    """The analyses in folders, or in their subfolders, which are listed anew at each request.

    An analysis keeps its number, so an open page never asks another one. It is read when it is first requested. If
    there are more than `MOST_ANALYSES`, only the first ones are offered, which are the newest days of a folder.

    Raises:
        InputError: if there is no analysis, or the first one is not the output of an analysis.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders
        self._listed: list[Path] = []
        self._numbers: dict[Path, int] = {}
        self._served: dict[Path, Served] = {}
        self._lock = Lock()
        if self.get(None) is None:
            raise InputError("no folder of an analysis is given")

    def get(self, number: int | None) -> _Version | None:
        """The newest version of the analysis with this number; None is the first. Returns None if it does not exist.

        Raises:
            InputError: if its folder is not the output of an analysis.
        """
        with self._lock:
            self._list()
            chosen = next((path for path in self._listed if number in (None, self._numbers[path])), None)
            if chosen is None:
                return None
            choices = self._choices(chosen)
            if chosen not in self._served:
                self._served[chosen] = Served(chosen, choices)
            served = self._served[chosen]
        return served.now(choices)

    def _list(self) -> None:
        """List the analyses, and forget those that are gone; a folder that cannot be listed changes nothing."""
        try:
            found = dict.fromkeys(path for folder in self._folders for path in analyses_below(folder))
        except OSError as error:
            if not self._listed:
                raise InputError(str(error)) from error
            return
        self._listed = list(found)[:MOST_ANALYSES]
        for path in self._listed:
            self._numbers.setdefault(path, len(self._numbers))
        for path in self._served.keys() - set(self._listed):
            del self._served[path]

    def _choices(self, here: Path) -> list[Choice]:
        if len(self._listed) == 1:
            return []
        return [(f"/{self._numbers[path]}/", str(path), path == here) for path in self._listed]


class Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD requests whose Host header names the loopback address."""

    server: "ReportServer"
    timeout = PATIENCE

    def do_GET(self) -> None:
        # Prevents DNS rebinding: another website can make its own name resolve to this address, but then the header
        # holds that name.
        if self.headers.get("Host") not in self.server.names:
            self.send_error(HTTPStatus.FORBIDDEN, "only for the loopback address")
            return
        try:
            address = urlsplit(self.path)
        except ValueError:  # Such as "http://[".
            self.send_error(HTTPStatus.BAD_REQUEST)
            return
        parts = [part for part in address.path.split("/") if part]
        named = parts and parts[0].isascii() and parts[0].isdigit() and len(parts[0]) < 10
        number = int(parts.pop(0)) if named else None
        try:
            with self.server.working(self.connection):
                version = self.server.analyses.get(number)
                answer = None if version is None else _answer(version, parts, parse_qs(address.query))
        except InputError as error:
            if parts:
                self._send(json.dumps({"error": str(error)}).encode(), "application/json", HTTPStatus.BAD_REQUEST)
            else:
                self.send_error(HTTPStatus.INTERNAL_SERVER_ERROR, explain=str(error))
            return
        if answer is None:
            self.send_error(HTTPStatus.NOT_FOUND)
        elif isinstance(answer, bytes):
            self._send(answer, "text/html; charset=utf-8")
        else:
            self._send(json.dumps(answer).encode(), "application/json")

    def _send(self, content: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_HEAD = do_GET

    def log_message(self, format: str, *arguments: Any) -> None:
        """Do not log requests, because they contain addresses."""


def _answer(version: _Version, parts: list[str], query: dict[str, list[str]]) -> bytes | dict[str, Any] | None:
    """The requested page or data; None if the path is unknown.

    Raises:
        InputError: if a parameter is invalid.
    """
    values = {name: given[0] for name, given in query.items()}
    if not parts:
        return version.page
    if parts == ["api", "search"]:
        return version.search.find(values.get("q", ""))
    if parts == ["api", "members"]:
        return version.search.members(_number(values.get("cluster", "")), networks=values.get("networks") == "1")
    if parts == ["api", "period"]:
        first, last = (_day(values[name]) if values.get(name) else None for name in ("from", "to"))
        return {
            "clusters": version.search.period(first if first is not None else 0, last if last is not None else 10**6)
        }
    return None


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise InputError(f"{text[:20]!r} is not a cluster number")
    return int(text)


def _day(text: str) -> int:
    try:
        return (date.fromisoformat(text) - EPOCH).days
    except ValueError as error:
        raise InputError(f"{text[:20]!r} is not a day (YYYY-MM-DD)") from error


def host_names(port: int) -> set[str]:
    """The Host headers that name this server. Browsers leave out the default port of HTTP."""
    names = {LOOPBACK, "localhost"}
    return {f"{name}:{port}" for name in names} | (names if port == HTTP_PORT else set())


class ReportServer(ThreadingHTTPServer):
    """Serves analyses on the loopback address. Port 0 takes a free port.

    Clients that do not send a request or do not read their answer cannot block others. The number of answers in
    preparation is limited, but waiting for a client does not count. If too many connections wait for their clients,
    the oldest is closed.
    """

    daemon_threads = True

    def __init__(self, analyses: Analyses, port: int) -> None:
        super().__init__((LOOPBACK, port), Handler)
        self.analyses = analyses
        self.names = host_names(self.server_port)
        self._room = BoundedSemaphore(MOST_AT_ONCE)
        # The connections that wait for their clients, the oldest first.
        self._idle: dict[socket, None] = {}
        self._lock = Lock()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start a thread for a new connection."""
        self._wait_for(request)
        super().process_request(request, client_address)

    @contextmanager
    def working(self, connection: socket) -> Iterator[None]:
        """Wait until fewer than `MOST_AT_ONCE` answers are being prepared, then prepare one inside the block.

        Raises:
            ConnectionError: if the connection was closed while it waited for its turn.
        """
        with self._room:
            with self._lock:
                if connection not in self._idle:
                    raise ConnectionAbortedError
                del self._idle[connection]
            try:
                yield
            finally:
                self._wait_for(connection)

    def _wait_for(self, connection: socket) -> None:
        """Note that a connection waits for its client. If too many do, the oldest is closed."""
        with self._lock:
            self._idle[connection] = None
            while len(self._idle) > MOST_CONNECTIONS:
                oldest = next(iter(self._idle))
                del self._idle[oldest]
                # This wakes up the thread of that connection, which then ends.
                with suppress(OSError):
                    oldest.shutdown(SHUT_RDWR)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        with self._lock:
            self._idle.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that disconnect during an answer; print any other error."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    @property
    def address(self) -> str:
        return f"http://{LOOPBACK}:{self.server_port}/"
