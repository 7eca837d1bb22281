"""The report on loopback: the page, its filter, and what is refused."""

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from telescope_transformer.errors import InputError
from telescope_transformer.report import ReportData
from telescope_transformer.serve import ReportServer, Served


@pytest.fixture
def server(report_data: ReportData, tmp_path: Path) -> Iterator[ReportServer]:
    pq.write_table(report_data.windows, tmp_path / "windows.parquet")
    pq.write_table(report_data.rejects, tmp_path / "rejects.parquet")
    summary = {"clusters": report_data.profiles, "solution": report_data.solution, "counts": report_data.counts}
    (tmp_path / "clusters.json").write_text(json.dumps(summary))
    with ReportServer(Served(tmp_path), 0) as opened:
        threading.Thread(target=opened.serve_forever, daemon=True).start()
        yield opened
        opened.shutdown()


def get(server: ReportServer, path: str, **headers: str) -> tuple[int, str]:
    request = urllib.request.Request(server.address + path, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def clusters(server: ReportServer, query: str) -> dict[int, int]:
    return {row["cluster"]: row["windows"] for row in json.loads(get(server, f"api/clusters?{query}")[1])["clusters"]}


def test_the_page_may_ask_its_own_server_only(server: ReportServer) -> None:
    status, page = get(server, "")
    assert status == 200
    assert "connect-src &#39;self&#39;" in page or "connect-src 'self'" in page
    assert 'id="live-source"' in page
    assert server.server_address[0] == "127.0.0.1"


def test_filters_by_day_and_source(server: ReportServer) -> None:
    assert clusters(server, "") == {0: 10, 1: 10, 2: 10}
    assert clusters(server, "from=2024-03-05&to=2024-03-06") == {0: 2, 1: 2, 2: 2}
    assert clusters(server, "source=192.0.2.1") == {0: 5, 1: 3, 2: 3}
    assert clusters(server, "source=192.0.2.0/30") == {0: 1, 1: 1}
    assert clusters(server, "source=2001:db8::/32") == {2: 1}


def test_what_is_no_filter_is_said(server: ReportServer) -> None:
    status, body = get(server, "api/clusters?from=yesterday")
    assert (status, "yesterday" in json.loads(body)["error"]) == (400, True)
    assert get(server, "api/clusters?source=x/y")[0] == 400


def test_other_paths_and_other_names_are_refused(server: ReportServer) -> None:
    assert get(server, "windows.parquet")[0] == 404
    assert get(server, "../../etc/passwd")[0] == 404
    assert get(server, "", Host="evil.example")[0] == 403


def test_a_folder_without_analysis_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not the output of an analysis"):
        Served(tmp_path)
