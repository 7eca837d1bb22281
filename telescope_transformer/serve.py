"""`telescope serve`: the report on loopback, filtered live by time and source."""

import json
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from telescope_transformer.errors import InputError
from telescope_transformer.report import ReportData, render_report

LOOPBACK = "127.0.0.1"
MICROSECONDS = 1_000_000


class Served:
    """An analysis that was written to a folder: its page, and its clusters under a filter.

    Raises:
        InputError: if the folder is not the output of an analysis.
    """

    def __init__(self, folder: Path) -> None:
        try:
            self.windows = pq.read_table(folder / "windows.parquet")
            rejects = pq.read_table(folder / "rejects.parquet")
            summary = json.loads((folder / "clusters.json").read_text())
            data = ReportData(
                windows=self.windows,
                profiles=summary["clusters"],
                solution=summary["solution"],
                counts=summary["counts"],
                rejects=rejects,
                calibration=summary.get("calibration"),
                title=f"Telescope report: {folder.resolve().name}",
            )
        except (OSError, pa.ArrowException, ValueError, KeyError) as error:
            raise InputError(f"{folder}: not the output of an analysis: {error}") from error
        self.page = render_report(data, live=True).encode()

    def clusters(self, query: Mapping[str, str]) -> list[dict[str, int]]:
        """Clusters with windows under a filter, most windows first.

        Args:
            query: `from` and `to` (days, both included) and `source` (an address, the beginning of one, or a prefix);
                empty ones do not filter.

        Raises:
            ValueError: for a day or prefix that is none.
        """
        windows = self.windows.select(["source", "start", "end", "cluster"])
        if query.get("from"):
            windows = windows.filter(pc.greater_equal(windows["end"], _microseconds(query["from"], 0)))
        if query.get("to"):
            windows = windows.filter(pc.less(windows["start"], _microseconds(query["to"], 1)))
        if query.get("source"):
            windows = windows.filter(pc.is_in(windows["source"], _sources(windows["source"], query["source"].strip())))
        counts = Counter(windows["cluster"].to_pylist())
        return [
            {"cluster": cluster, "windows": n} for cluster, n in sorted(counts.items(), key=lambda c: (-c[1], c[0]))
        ]


def _microseconds(day: str, days_later: int) -> int:
    moment = datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC) + timedelta(days=days_later)
    return int(moment.timestamp()) * MICROSECONDS


def _sources(column: pa.ChunkedArray, wanted: str) -> pa.Array:
    names = pc.unique(column)
    if "/" not in wanted:
        return names.filter(pc.starts_with(names, wanted))
    network = ip_network(wanted, strict=False)
    return pa.array([name for name in names.to_pylist() if ip_address(name) in network], pa.string())


class Handler(BaseHTTPRequestHandler):
    """Answers GET / and GET /api/clusters, to requests that name the loopback address only."""

    server: "ReportServer"

    def do_GET(self) -> None:
        # A page elsewhere can point its own name at this address; its requests carry that name.
        if self.headers.get("Host") not in self.server.names:
            self.send_error(HTTPStatus.FORBIDDEN, "only for the loopback address")
            return
        address = urlsplit(self.path)
        if address.path == "/":
            self._send(HTTPStatus.OK, "text/html; charset=utf-8", self.server.served.page)
        elif address.path == "/api/clusters":
            self._send_clusters({name: values[0] for name, values in parse_qs(address.query).items()})
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def _send_clusters(self, query: dict[str, str]) -> None:
        try:
            answer: dict[str, Any] = {"clusters": self.server.served.clusters(query)}
            status = HTTPStatus.OK
        except ValueError as error:
            answer, status = {"error": str(error)}, HTTPStatus.BAD_REQUEST
        self._send(status, "application/json", json.dumps(answer).encode())

    def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

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
