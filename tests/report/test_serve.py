"""The report on loopback: the page, when it is made anew, and what is refused."""

import json
import os
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

SUMMARY: dict = {}


@pytest.fixture
def server(report_data: ReportData, tmp_path: Path) -> Iterator[ReportServer]:
    pq.write_table(report_data.windows, tmp_path / "windows.parquet")
    pq.write_table(report_data.sources, tmp_path / "sources.parquet")
    pq.write_table(report_data.rejects, tmp_path / "rejects.parquet")
    SUMMARY.update(clusters=report_data.profiles, solution=report_data.solution, counts=report_data.counts)
    (tmp_path / "clusters.json").write_text(json.dumps(SUMMARY))
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


def test_the_page_is_served_on_loopback_and_may_ask_nobody(server: ReportServer) -> None:
    status, page = get(server, "")
    assert status == 200
    assert "default-src &#39;none&#39;" in page
    assert "connect-src" not in page
    assert 'id="search"' in page
    assert server.server_address[0] == "127.0.0.1"


def test_new_tables_make_a_new_page_and_damaged_ones_keep_the_last(server: ReportServer, tmp_path: Path) -> None:
    assert "groucho" not in get(server, "")[1]
    (tmp_path / "sensors.json").write_text("{}")
    (tmp_path / "clusters.json").write_text(json.dumps(SUMMARY | {"counts": {"groucho": 7}}))
    assert "groucho" in get(server, "")[1]
    os.utime(tmp_path / "sensors.json", ns=(1, 1))
    (tmp_path / "clusters.json").write_text("{")
    assert "groucho" in get(server, "")[1]


def test_other_paths_and_other_names_are_refused(server: ReportServer) -> None:
    assert get(server, "windows.parquet")[0] == 404
    assert get(server, "../../etc/passwd")[0] == 404
    assert get(server, "", Host="evil.example")[0] == 403


def test_a_folder_without_analysis_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not the output of an analysis"):
        Served(tmp_path)
