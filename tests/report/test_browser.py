"""The page in a real browser: all parts are drawn and the search works, in light and in dark, also on a phone."""

import json
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pyarrow as pa
import pytest
from devtools import BROWSER, Page
from made_telescope import HOSTILE

from telescope_transformer.analysis import sources_table
from telescope_transformer.report import ReportData, write_report

pytestmark = [pytest.mark.browser, pytest.mark.skipif(BROWSER is None, reason="no Chromium on the path")]

ROWS = "[...document.querySelectorAll('#cluster-table tr[data-cluster]')].map((row) => Number(row.dataset.cluster))"
# Elements that are wider than the page; elements that scroll by themselves may be.
WIDE = """[...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > innerWidth + 0.5
  && !e.closest('.scroll, svg, .hidden')).map((e) => e.outerHTML.slice(0, 90))"""
FITS = f"document.scrollingElement.scrollWidth <= innerWidth ? [] : {WIDE}"


def search(page: Page, text: str = "", **dates: str) -> str:
    """Enter a search and a range of days; returns what the page says about them."""
    for name, value in {"search": text, **{f"filter-{name}": value for name, value in dates.items()}}.items():
        page.value(f"document.getElementById('{name}').value = {json.dumps(value)}")
    page.value("document.getElementById('filter').dispatchEvent(new Event('input'))")
    return page.value(
        "new Promise((done) => setTimeout(() => done(document.getElementById('filter-status').textContent), 50))"
    )


def open_cluster(page: Page, number: int) -> str:
    """Open a cluster by its name in the table; returns the text of its details."""
    page.value(f"document.querySelector('button[data-open=\"{number}\"]').click()")
    return page.value("document.getElementById('detail').textContent")


def found(page: Page) -> str:
    return page.value("document.getElementById('results-text').textContent")


def test_every_part_of_the_page_is_drawn(page: Page) -> None:
    detail = open_cluster(page, 1)
    assert all(words in detail for words in ("udp/53 dns", "single destination", HOSTILE, "10 of 10 windows labelled"))
    assert page.value(ROWS) == [0, 1, 2]
    assert page.value("document.querySelectorAll('.spark').length") >= 3
    assert page.value("document.querySelectorAll('#traffic svg rect').length") >= 10
    assert page.value("document.getElementById('table-status').textContent") == "3 clusters"
    assert page.value(FITS) == []
    assert page.problems == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_has_a_picture(page: Page, scheme: str, tmp_path: Path) -> None:
    page.open(page.value("location.href"), height=2400, scheme=scheme)
    page.picture(tmp_path / "report.png")
    # The picture of an empty page of this size is far smaller.
    assert (tmp_path / "report.png").stat().st_size > 40_000


def test_details_open_below_the_row_and_a_link_opens_them_in_view(page: Page) -> None:
    open_cluster(page, 2)
    assert page.value("document.getElementById('detail').closest('tr').previousElementSibling.dataset.cluster") == "2"
    link = page.value("location.href")
    assert link.endswith("#cluster-2")
    page.reopen(link)
    box = page.value("document.getElementById('detail').getBoundingClientRect().toJSON()")
    assert 0 <= box["top"] < 900
    assert page.value("scrollY") > 0


def test_an_address_finds_that_source_alone(page: Page) -> None:
    assert search(page, "192.0.2.1") == "1 source, 1 cluster"
    assert page.value(ROWS) == [0]
    assert page.value("document.querySelectorAll('#results-table tbody tr').length") == 1
    assert "It belongs to" in found(page)


def test_a_source_in_no_cluster_is_found_and_said_to_be_left_out(page: Page) -> None:
    assert search(page, "192.0.2.250") == "1 source, 0 clusters"
    assert "too few to compare it with others: it is in no cluster" in found(page)
    assert "see the list above" in page.value("document.querySelector('#cluster-table tbody').textContent")
    search(page, "198.51.100.77")
    assert found(page) == "No source of 198.51.100.77 was read."


def test_a_source_that_is_alone_is_said_to_be_alone(chromium: Page, report_data: ReportData, tmp_path: Path) -> None:
    clusters = pa.array([3, *report_data.windows["cluster"].to_pylist()[1:]], pa.int32())
    index = report_data.windows.column_names.index("cluster")
    windows = report_data.windows.set_column(index, "cluster", clusters)
    one = {**report_data.profiles[0], "cluster": 3, "n_windows": 1, "name": "alone"}
    data = replace(report_data, windows=windows, sources=sources_table(windows), profiles=[*report_data.profiles, one])
    write_report(tmp_path / "alone.html", data)
    page = chromium.open((tmp_path / "alone.html").as_uri())
    search(page, "192.0.2.1")
    assert "It is alone: no other source behaves like it." in found(page)
    assert "1 window in no cluster: 1 like no other;" in page.value("document.getElementById('alone').textContent")


def test_a_cluster_without_times_is_opened(chromium: Page, report_data: ReportData, tmp_path: Path) -> None:
    left_out = ("first_seen", "last_seen")
    profiles = [{name: one[name] for name in one if name not in left_out} for one in report_data.profiles]
    write_report(tmp_path / "timeless.html", replace(report_data, profiles=profiles))
    page = chromium.open((tmp_path / "timeless.html").as_uri())
    page.value("document.querySelector('button[data-open=\"1\"]').click()")
    assert "destinations" in page.value("document.getElementById('detail').textContent")


@pytest.mark.parametrize(
    ("text", "clusters", "told"),
    [
        ("2001:db8::/32", [2], "1 source, 1 cluster"),
        ("192.0.2.0/30", [0, 1], "2 sources, 2 clusters"),
        ("192.0.2.", [0, 1, 2], "30 sources, 3 clusters"),
        ("ssh", [0], "10 sources, 1 cluster"),
        ("cluster 0", [0], "10 sources, 1 cluster"),
        ("cluster 53", [], "0 sources, 0 clusters"),
        ("tcp/22", [0], "10 sources, 1 cluster"),
        ("tcp/2", [], "0 sources, 0 clusters"),
        ("zmap", [0], "10 sources, 1 cluster"),
        ("benign", [0], "10 sources, 1 cluster"),
        ("192.0.2.0/33", [0, 1, 2], "192.0.2.0/33 is not a prefix"),
    ],
)
def test_one_search_finds_everything(page: Page, text: str, clusters: list[int], told: str) -> None:
    assert search(page, text) == told
    assert sorted(page.value(ROWS)) == clusters


def test_a_service_that_is_not_the_main_one_finds_its_source(
    chromium: Page, report_data: ReportData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = report_data.sources["services"].to_pylist()
    first, last = (report_data.sources["source"].to_pylist().index(name) for name in ("192.0.2.2", "192.0.2.250"))
    services[first] += ["tcp/2323", "tcp/5555"]
    services[last] += ["tcp/31337", "tcp/5555"]
    index = report_data.sources.column_names.index("services")
    data = replace(report_data, sources=report_data.sources.set_column(index, "services", pa.array(services)))
    write_report(tmp_path / "all.html", data)
    page = chromium.open((tmp_path / "all.html").as_uri())
    assert search(page, "tcp/2323") == "1 source, 1 cluster"
    service = page.value("document.querySelector('#results-table tbody').rows[0].cells[3].textContent")
    assert service.endswith(", 2 more")
    assert search(page, "tcp/5555") == "2 sources, 1 cluster"
    assert search(page, "31337") == "1 source, 0 clusters"
    assert found(page).endswith("it is in no cluster.")
    # A page without room for all of them says so.
    monkeypatch.setattr("telescope_transformer.report.page_data.MAX_OTHER_SERVICES", 2)
    write_report(tmp_path / "some.html", data)
    page = chromium.open((tmp_path / "some.html").as_uri())
    assert search(page, "tcp/2323") == "1 source, 1 cluster"
    assert found(page).endswith("This page holds the 2 main services of each source; telescope serve searches all.")


def test_the_chosen_days_filter_the_views_and_not_the_news(page: Page) -> None:
    news = "document.getElementById('today').textContent"
    before = page.value(news)
    assert search(page, **{"from": "2024-03-05", "to": "2024-03-06"}) == "3 clusters"
    records = "[...document.querySelectorAll('#cluster-table tr[data-cluster]')].map((r) => r.cells[2].textContent)"
    assert page.value(records) == ["16", "16", "16"]
    assert search(page, **{"from": "2024-04-01", "to": ""}) == "0 clusters"
    assert page.value(news) == before


def test_search_days_and_cluster_are_in_the_address(page: Page) -> None:
    search(page, "ssh", **{"from": "2024-03-05"})
    open_cluster(page, 0)
    link = page.value("location.href")
    page.reopen(link)
    assert page.value("[document.getElementById('search').value, document.getElementById('filter-from').value]") == [
        "ssh",
        "2024-03-05",
    ]
    assert "tcp/22 ssh" in page.value("document.getElementById('detail').textContent")


def test_a_cluster_chosen_while_zoomed_is_brought_into_view(page: Page) -> None:
    outside = """loadReport().then((report) => {
      const map = new WindowMap(report, () => {});
      map.draw();
      Object.assign(map.view, { centreX: 5, centreY: 5, zoom: 50 });
      map.choose(1);
      const [x0, y0, x1, y1] = map.view.seen();
      const inside = ([x, y]) => x >= x0 && x <= x1 && y >= y0 && y <= y1;
      return report.members.get(1).filter((i) => inside(map.place(i))).length;
    })"""
    assert page.value(outside) > 0


def test_a_click_on_a_value_of_the_details_searches_for_it_and_all_addresses_are_shown(page: Page) -> None:
    open_cluster(page, 0)
    page.value("[...document.querySelectorAll('.addresses button')].find((b) => b.textContent === 'Show all').click()")
    lines = page.value("document.querySelector('.addresses textarea').value").split("\n")
    assert sorted(lines) == sorted(f"192.0.2.{1 + 3 * k}" for k in range(10))
    page.value(
        "[...document.querySelectorAll('.addresses button')].find((b) => b.textContent.includes('/24')).click()"
    )
    assert page.value("document.querySelector('.addresses textarea').value") == "192.0.2.0/24"
    page.value("document.querySelector('#detail .counts button').click()")
    assert page.value("document.getElementById('search').value") == "tcp/22"


def test_history_is_sentences_with_links(chromium: Page, report_data: ReportData, tmp_path: Path) -> None:
    events = [
        {"day": "2024-03-05", "event": "birth", "cluster": 0, "others": [], "windows": 1},
        *({"day": "2024-03-05", "event": "birth", "cluster": k, "others": [], "windows": 1} for k in (8, 9)),
        {"day": "2024-03-06", "event": "merge", "cluster": 0, "others": [2], "windows": 4},
    ]
    write_report(tmp_path / "events.html", replace(report_data, events=events))
    page = chromium.open((tmp_path / "events.html").as_uri())
    names = [profile["name"] for profile in report_data.profiles]
    told = page.value("[...document.querySelectorAll('#events li')].map((item) => item.textContent)")
    assert told == [
        f"2024-03-06 {names[0]} took in {names[2]} (4 windows).",
        f"2024-03-05 {names[0]} appeared (1 window).",
        "2024-03-05 2 windows like no other.",
    ]
    page.value("document.querySelector('#events li button').click()")
    assert "History" in page.value("document.getElementById('detail').textContent")


def with_levels(report_data: ReportData, levels: list[dict[str, object]]) -> ReportData:
    return replace(report_data, solution={**report_data.solution, "granularity": levels})


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation(chromium: Page, report_data: ReportData, tmp_path: Path, scheme: str) -> None:
    levels = [{"threshold": 0.45, "n_clusters": 2, "n_alone": 0}, {"threshold": 0.5, "n_clusters": 3, "n_alone": 0}]
    write_report(tmp_path / "axe.html", with_levels(report_data, levels))
    page = chromium.open((tmp_path / "axe.html").as_uri(), scheme=scheme)
    open_cluster(page, 1)
    search(page, "192.0.2.0/24")
    page.value(files("axe_core_python").joinpath("axe.min.js").read_text())
    told = "(v) => `${v.id}: ${v.nodes[0].html} ${v.nodes[0].failureSummary}`"
    broken = page.value(f"axe.run().then((found) => found.violations.map({told}))")
    assert broken == []


def test_the_page_does_not_scroll_sideways_on_a_phone(chromium: Page, report_data: ReportData, tmp_path: Path) -> None:
    levels = [{"threshold": t, "n_clusters": 20_000, "n_alone": 10_000} for t in (0.45, 0.5, 0.55)]
    write_report(tmp_path / "phone.html", with_levels(report_data, levels))
    page = chromium.open((tmp_path / "phone.html").as_uri(), width=360, height=740)
    assert page.value(FITS) == []
    open_cluster(page, 0)
    search(page, "192.0.2.0/24")
    assert page.value(FITS) == []


def test_the_page_prints(page: Page) -> None:
    printed = page.call("Page.printToPDF")["data"]
    assert printed.startswith("JVBERi")  # "%PDF-" in base 64
    assert len(printed) > 20_000
