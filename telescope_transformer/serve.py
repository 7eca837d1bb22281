"""`telescope serve`: the report on loopback, always that of the folder's present tables."""

from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

from telescope_transformer.errors import InputError
from telescope_transformer.report import read_folder, render_report

LOOPBACK = "127.0.0.1"
# What an analysis writes last but for its report: with it, all tables are there.
NEWEST = "sensors.json"


class Served:
    """The page of an analysis that was written to a folder; rendered anew once the folder's tables are newer.

    Raises:
        InputError: if the folder is not the output of an analysis.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = Lock()
        self._written, self._page = self._render()

    @property
    def page(self) -> bytes:
        """The page; where new tables cannot be read, because they are being written, that of the last ones."""
        with self._lock:
            if self._time() != self._written:
                try:
                    self._written, self._page = self._render()
                except InputError:
                    return self._page
            return self._page

    def _time(self) -> int | None:
        path = self._folder / NEWEST
        return path.stat().st_mtime_ns if path.is_file() else None

    def _render(self) -> tuple[int | None, bytes]:
        written = self._time()
        return written, render_report(read_folder(self._folder).report_data()).encode()


class Handler(BaseHTTPRequestHandler):
    """Answers GET /, to requests that name the loopback address only."""

    server: "ReportServer"

    def do_GET(self) -> None:
        # A page elsewhere can point its own name at this address; its requests carry that name.
        if self.headers.get("Host") not in self.server.names:
            self.send_error(HTTPStatus.FORBIDDEN, "only for the loopback address")
            return
        if urlsplit(self.path).path != "/":
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        page = self.server.served.page
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(page)))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Requests are not logged: they hold addresses."""


class ReportServer(ThreadingHTTPServer):
    """Serves one analysis on the loopback address; port 0 takes a free one."""

    daemon_threads = True

    def __init__(self, served: Served, port: int) -> None:
        super().__init__((LOOPBACK, port), Handler)
        self.served = served
        self.names = {f"{name}:{self.server_port}" for name in (LOOPBACK, "localhost")}

    @property
    def address(self) -> str:
        return f"http://{LOOPBACK}:{self.server_port}/"
