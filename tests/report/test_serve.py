"""The report on loopback: the page, when it is made again, and which requests are refused."""

import contextlib
import json
import os
import re
import shutil
import socket
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from devtools import BROWSER, Page

from telescope_transformer import serve
from telescope_transformer.errors import InputError
from telescope_transformer.records.addresses import IPV4, Addresses, format_addresses
from telescope_transformer.report import ReportData
from telescope_transformer.serve import MOST_CONNECTIONS, PATIENCE, Analyses, ReportServer, host_names

SUMMARY: dict = {}


@pytest.fixture
def server(report_data: ReportData, tmp_path: Path) -> Iterator[ReportServer]:
    pq.write_table(report_data.windows, tmp_path / "windows.parquet")
    services = [*report_data.sources["services"].to_pylist()]
    services[report_data.sources["source"].to_pylist().index("192.0.2.2")].append("tcp/2323")
    index = report_data.sources.column_names.index("services")
    pq.write_table(report_data.sources.set_column(index, "services", pa.array(services)), tmp_path / "sources.parquet")
    pq.write_table(report_data.rejects, tmp_path / "rejects.parquet")
    SUMMARY.update(clusters=report_data.profiles, solution=report_data.solution, counts=report_data.counts)
    (tmp_path / "clusters.json").write_text(json.dumps(SUMMARY))
    with ReportServer(Analyses([tmp_path]), 0) as opened:
        threading.Thread(target=opened.serve_forever, daemon=True).start()
        yield opened
        opened.shutdown()


def get(server: ReportServer, path: str, **headers: str) -> tuple[int, str]:
    request = urllib.request.Request(server.address + path, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_the_page_is_served_on_loopback_and_may_ask_nobody_else(server: ReportServer) -> None:
    status, page = get(server, "")
    assert status == 200
    assert "default-src &#39;none&#39;" in page
    assert "connect-src &#39;self&#39;;" in page
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


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), InputError("damaged")])
def test_a_folder_that_cannot_be_read_any_more_keeps_the_last_page(
    server: ReportServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refuse(folder: Path) -> None:
        raise error

    page = get(server, "")
    monkeypatch.setattr(serve, "read_folder", refuse)
    (tmp_path / "sensors.json").write_text("{}")
    assert get(server, "") == page


def test_head_has_the_headers_alone(server: ReportServer) -> None:
    request = urllib.request.Request(server.address, method="HEAD")
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert int(answer.headers["Content-Length"]) == len(get(server, "")[1].encode())
        assert answer.read() == b""


def test_other_paths_and_other_names_are_refused(server: ReportServer) -> None:
    assert get(server, "windows.parquet")[0] == 404
    assert get(server, "../../etc/passwd")[0] == 404
    assert get(server, "", Host="evil.example")[0] == 403


def test_a_malformed_request_gets_an_answer(server: ReportServer) -> None:
    with socket.create_connection(server.server_address[:2], timeout=60) as connection:
        connection.sendall(f"GET http://[ HTTP/1.0\r\nHost: 127.0.0.1:{server.server_port}\r\n\r\n".encode())
        assert connection.recv(100).split()[1] == b"400"


def test_silent_clients_do_not_block_others(server: ReportServer) -> None:
    """Neither clients that send nothing nor clients that do not read the answer block the server."""
    request = f"GET / HTTP/1.0\r\nHost: 127.0.0.1:{server.server_port}\r\n\r\n".encode()
    silent = [socket.create_connection(server.server_address[:2]) for _ in range(3 * MOST_CONNECTIONS)]
    for connection in silent[::2]:
        connection.sendall(request)
    threads = threading.active_count()
    began = time.monotonic()
    assert get(server, "")[0] == 200
    assert time.monotonic() - began < PATIENCE / 2
    assert threads < 2 * MOST_CONNECTIONS
    silent[0].settimeout(PATIENCE / 2)
    # The oldest connection was closed to make room.
    with contextlib.suppress(ConnectionError):
        while silent[0].recv(1 << 20):
            pass
    for connection in silent:
        connection.close()


def test_on_port_80_the_host_header_needs_no_port() -> None:
    assert host_names(80) == {"127.0.0.1", "localhost", "127.0.0.1:80", "localhost:80"}
    assert host_names(8707) == {"127.0.0.1:8707", "localhost:8707"}


def test_a_folder_without_analysis_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not the output of an analysis"):
        Analyses([tmp_path])


def test_the_search_finds_every_source_that_was_read(server: ReportServer) -> None:
    def found(query: str) -> tuple[int, dict, list]:
        status, text = get(server, f"api/search?{urllib.parse.urlencode({'q': query})}")
        assert status == 200
        answer = json.loads(text)
        return answer["total"], dict(answer["clusters"]), [row["source"] for row in answer["rows"]]

    assert found("192.0.2.1") == (1, {0: 1}, ["192.0.2.1"])
    assert found("192.0.2.250") == (1, {}, ["192.0.2.250"])
    assert found("2001:db8::/32") == (1, {2: 1}, ["2001:db8:1:2::9"])
    assert found("192.0.2.")[0] == 30
    assert found("tcp/22")[:2] == (10, {0: 10})
    assert found("tcp/2")[0] == 0
    assert found("zmap")[:2] == (10, {0: 10})
    assert found("zmap 192.0.2.0/29")[2] == ["192.0.2.1", "192.0.2.4", "192.0.2.7"]
    assert found("zmap dns")[0] == 0
    assert found("192.0.2.0/30 ssh") == (1, {0: 1}, ["192.0.2.1"])
    # One source also asks for a service that is not its main one.
    assert found("tcp/80") == (1, {}, ["192.0.2.250"])
    assert found("tcp/2323") == (1, {1: 1}, ["192.0.2.2"])
    assert found("tcp/2323 udp/53")[0] == 1
    assert found("' OR 1=1 --")[0] == 0
    assert found("") == (0, {}, [])


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("api/search?q=192.0.2.0/33", "is not a prefix"),
        ("api/search?q=" + "a" * 300, "at most 200 characters"),
        ("api/members?cluster=x", "is not a cluster number"),
        ("api/period?from=yesterday", "is not a day"),
    ],
)
def test_an_invalid_question_gets_an_error_message(server: ReportServer, path: str, words: str) -> None:
    status, text = get(server, path)
    assert status == 400
    assert words in json.loads(text)["error"]


def test_members_and_days_come_from_the_tables(server: ReportServer) -> None:
    members = json.loads(get(server, "api/members?cluster=0")[1])
    assert members == {"lines": [f"192.0.2.{1 + 3 * k}" for k in range(10)], "total": 10}
    assert json.loads(get(server, "api/members?cluster=0&networks=1")[1])["lines"] == ["192.0.2.0/24"]
    days = json.loads(get(server, "api/period?from=2024-03-04&to=2024-03-04")[1])["clusters"]
    assert sorted(days) == [[0, 8], [1, 8], [2, 8]]


def test_one_of_several_analyses_is_chosen(server: ReportServer, tmp_path: Path) -> None:
    for day in ("2024-03-04", "2024-03-05"):
        shutil.copytree(tmp_path, tmp_path / "days" / day, ignore=shutil.ignore_patterns("days"))
    with ReportServer(Analyses([tmp_path / "days"]), 0) as opened:
        threading.Thread(target=opened.serve_forever, daemon=True).start()
        status, page = get(opened, "1/")
        assert status == 200
        assert "2024-03-04</option>" in page
        assert json.loads(get(opened, "1/api/search?q=ssh")[1])["total"] == 10
        assert get(opened, "2/")[0] == 404
        opened.shutdown()


def selected(page: str) -> list[str]:
    return re.findall(r'<option value="(/\d+/)" selected>([^<]*)</option>', page)


def test_days_are_listed_at_each_request_and_keep_their_addresses(
    server: ReportServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def add(day: str) -> str:
        shutil.copytree(tmp_path, tmp_path / "days" / day, ignore=shutil.ignore_patterns("days"))
        return str(tmp_path / "days" / day)

    monkeypatch.setattr(serve, "MOST_ANALYSES", 3)
    first, second = (add(day) for day in ("2024-03-04", "2024-03-05"))
    server.analyses = Analyses([tmp_path / "days"])
    assert selected(get(server, "")[1]) == [("/0/", second)]
    third = add("2024-03-06")
    assert selected(get(server, "")[1]) == [("/2/", third)]
    for address, day in (("0/", second), ("1/", first), ("2/", third)):
        status, page = get(server, address)
        assert status == 200
        assert selected(page) == [(f"/{address}", day)]
        assert len(re.findall(r"<option value=./\d+/.", page)) == 3
    # A fourth day takes the place of the oldest one; a deleted day makes room for it again.
    fourth = add("2024-03-07")
    assert (get(server, "1/")[0], selected(get(server, "")[1])) == (404, [("/3/", fourth)])
    shutil.rmtree(third)
    assert (get(server, "2/")[0], selected(get(server, "1/")[1])) == (404, [("/1/", first)])
    # A new day that cannot be read is named, and hides no other.
    (tmp_path / "days" / "2024-03-08").mkdir()
    (tmp_path / "days" / "2024-03-08" / "clusters.json").write_text("<b>")
    status, page = get(server, "")
    assert status == 500
    assert "2024-03-08/clusters.json: not the output of an analysis" in page
    assert get(server, "3/")[0] == 200


@pytest.mark.parametrize("text", ["[]", "[" * 100_000, '{"clusters": 7}', '{"clusters": [], "solution": []}'])
def test_a_summary_of_another_kind_is_named(server: ReportServer, tmp_path: Path, text: str) -> None:
    (tmp_path / "clusters.json").write_text(text)
    with pytest.raises(InputError, match=r"clusters\.json: not the output of an analysis"):
        Analyses([tmp_path])


def write_million(folder: Path, data: ReportData) -> pa.Array:
    """The made-up analysis with a million more sources that are in no cluster; returns their addresses, ascending."""
    n = 1_000_000
    numbers = np.sort(np.random.default_rng(0).choice(1 << 31, n, replace=False)).astype(np.uint64)
    addresses = format_addresses(Addresses(np.zeros(n, np.uint64), numbers, np.full(n, IPV4, np.uint8)))
    times = np.full(n, data.sources["first_seen"][0].as_py())
    more = {"source": addresses, "n_records": np.ones(n, np.int64), "first_seen": times, "last_seen": times}
    more["service"] = pa.array(["tcp/22 ssh", "udp/9999"]).take(pa.array((numbers % 2).astype(np.int64)))
    lists = pa.array([["tcp/22 ssh", "tcp/2222"], ["udp/9999"]], pa.list_(pa.string()))
    more["services"] = lists.take(pa.array((numbers % 2).astype(np.int64)))
    folder.mkdir()
    every = pa.concat_tables([data.sources, pa.table(more)], promote_options="permissive")
    pq.write_table(every, folder / "sources.parquet")
    pq.write_table(data.windows, folder / "windows.parquet")
    summary = {"clusters": data.profiles, "solution": data.solution, "counts": data.counts}
    (folder / "clusters.json").write_text(json.dumps(summary))
    return addresses


@pytest.mark.browser
@pytest.mark.skipif(BROWSER is None, reason="no Chromium on the path")
def test_a_million_sources_are_searched_in_a_browser(chromium: Page, report_data: ReportData, tmp_path: Path) -> None:
    addresses = write_million(tmp_path / "million", report_data)
    analyses = Analyses([tmp_path / "million"])
    assert len(analyses.get(0).page) < 5_000_000
    with ReportServer(analyses, 0) as opened:
        threading.Thread(target=opened.serve_forever, daemon=True).start()
        page = chromium.open(opened.address)
        search = "document.getElementById('search')"
        told = "document.getElementById('filter-status').textContent"
        first_row = "document.querySelector('#results-table tbody').textContent"
        for row in (0, len(addresses) // 2, len(addresses) - 1):
            address = addresses[row].as_py()
            page.value(f"{search}.value = {json.dumps(address)}; {search}.form.requestSubmit()")
            page.wait(f"{first_row}.startsWith({json.dumps(address)})")
            assert page.value(told) == "1 source, 0 clusters"
        # The main service of half of the sources, and a service that the others also ask for.
        n_odd = sum(int(address.rsplit(".", 1)[1]) % 2 for address in addresses.to_pylist())
        for service, number in (("udp/9999", n_odd), ("tcp/2222", len(addresses) - n_odd)):
            page.value(f"{search}.value = '{service}'; {search}.form.requestSubmit()")
            page.wait(f"{told} === '{number:,} sources, 0 clusters'")
        assert "the first 100 are shown" in page.value("document.getElementById('results-text').textContent")
        assert page.problems == []
        opened.shutdown()
