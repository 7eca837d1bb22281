"""The page: self-contained, small, and immune to hostile strings. test_browser.py tests it in a browser."""

import base64
import json
import re
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from devtools import BROWSER, Page
from made_telescope import HOSTILE, build_telescope

from telescope_transformer.analysis import sources_table
from telescope_transformer.arrays import unit_rows
from telescope_transformer.report import (
    ReportData,
    certificate_text,
    layout,
    profile_clusters,
    render_report,
    write_report,
)
from telescope_transformer.report.page_data import page_data
from telescope_transformer.report.rendering import script_json
from telescope_transformer.threshold import DEFAULT_THRESHOLD


def unpacked(box: dict) -> list:
    return json.loads(zlib.decompress(base64.b64decode(box["data"])))


def test_the_page_refers_to_nothing_outside_and_escapes_the_data(report_data: ReportData) -> None:
    html = render_report(report_data)
    assert HOSTILE not in html
    assert "<img" not in html
    assert re.findall(r"<script[^>]*>", html) == ['<script type="application/json" id="report-data">', "<script>"]
    assert not re.search(r'(?:src|href)="(?!#)', html)
    assert "unsafe" not in re.search(r'Content-Security-Policy" content="([^"]*)"', html)[1]


def test_json_in_a_script_cannot_end_it() -> None:
    text = script_json({"a": "</script><!-- \u2028 '&"})
    assert not set("<>&'\u2028") & set(text)
    assert json.loads(text) == {"a": "</script><!-- \u2028 '&"}


def test_the_same_data_give_the_same_page(report_data: ReportData, tmp_path: Path) -> None:
    first, second = tmp_path / "a.html", tmp_path / "b.html"
    write_report(first, report_data)
    write_report(second, report_data)
    assert first.read_bytes() == second.read_bytes()
    assert not list(tmp_path.glob("*.part*"))


def test_a_page_without_windows_still_shows_the_rejects(report_data: ReportData) -> None:
    windows, sources = report_data.windows.slice(0, 0), report_data.sources.slice(0, 0)
    empty = ReportData(windows, sources, profiles=[], solution={}, rejects=report_data.rejects)
    assert "Rejected rows" in render_report(empty)


@pytest.mark.parametrize(
    ("solution", "words"),
    [
        ({"cost": 4.0, "lower_bound": 4.0, "gap": 0.0}, "Proved optimal"),
        ({"cost": 0.0, "lower_bound": -0.1, "gap": 1.0}, "Proved optimal: this partition costs nothing"),
        ({"cost": 4.0, "lower_bound": 3.9, "gap": 0.025}, "Proved near optimal: no other .* more than 2.5 %"),
        ({"cost": 4.0, "lower_bound": 2.4, "gap": 0.4}, "Not proved to be the best.* more than 40.0 %"),
        ({"cost": 4.0, "lower_bound": None, "gap": None}, "No lower bound was computed"),
    ],
)
def test_the_certificate_in_words(solution: dict, words: str) -> None:
    assert re.match(words, certificate_text(solution))


@pytest.fixture(scope="module")
def large_page() -> str:
    """A page of 100,000 windows of as many sources in 20,000 clusters."""
    rng = np.random.default_rng(0)
    small = build_telescope(300, rng)
    profiles = profile_clusters(small.records, small.windows)
    n, n_clusters = 100_000, 20_000
    windows = pa.table(
        {
            "window_id": pa.array(rng.permutation(n)),
            "source": [f"10.{a}.{b}.{c}" for a, b, c in rng.integers(0, 256, (n, 3)).tolist()],
            "start": pa.array(rng.integers(1_709_510_400, 1_719_510_400, n) * 1_000_000),
            "end": pa.array(rng.integers(1_719_510_400, 1_719_610_400, n) * 1_000_000),
            "n_records": pa.array(rng.integers(8, 128, n), pa.int32()),
            "cluster": pa.array(rng.integers(0, n_clusters, n), pa.int32()),
            "margin": pa.array(rng.normal(size=n), pa.float32()),
            "embedding": pa.FixedSizeListArray.from_arrays(pa.array(rng.normal(size=2 * n).astype(np.float32)), 2),
        }
    )
    numbered = [
        profiles[k % 3] | {"cluster": k, "activity": rng.integers(0, 99, 60).tolist()} for k in range(n_clusters)
    ]
    return render_report(ReportData(windows, sources_table(windows), profiles=numbered, solution={"cost": 1.0}))


def test_one_hundred_thousand_windows_stay_under_five_megabytes(large_page: str) -> None:
    assert len(large_page) < 5_000_000


@pytest.mark.browser
@pytest.mark.skipif(BROWSER is None, reason="no Chromium on the path")
def test_one_hundred_thousand_windows_are_interactive_in_three_seconds(
    chromium: Page, large_page: str, tmp_path: Path
) -> None:
    (tmp_path / "large.html").write_text(large_page)
    chromium.call("Performance.enable", timeDomain="threadTicks")
    page = chromium.open((tmp_path / "large.html").as_uri())
    # The time of the page's own thread does not depend on other work of the machine.
    measured = {one["name"]: one["value"] for one in chromium.call("Performance.getMetrics")["metrics"]}
    assert page.value("document.querySelectorAll('#cluster-table tr[data-cluster]').length") == 50
    assert 0 < measured["TaskDuration"] < 3, measured
    assert page.problems == []
    # The profiles of this page have no names, so the table shows the number of each cluster instead.
    assert page.value("document.querySelector('#cluster-table button.name').textContent").startswith("cluster ")


def test_clusters_and_events_are_left_out_where_the_page_would_be_too_large(
    report_data: ReportData, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = [{**report_data.profiles[0], "cluster": k} for k in range(3, 400)]
    events = [{"day": "2024-03-04", "event": "birth", "cluster": k, "others": [], "windows": 1} for k in range(900)]
    clusters = pa.array([*report_data.windows["cluster"].to_pylist()[:-1], 399], pa.int32())
    windows = report_data.windows.drop_columns("cluster").append_column("cluster", clusters)
    data = replace(report_data, windows=windows, profiles=[*report_data.profiles, *many], events=events)
    whole = page_data(data)
    assert (whole["n_profiles"], len(unpacked(whole["clusters"]))) == (400, 400)
    monkeypatch.setattr("telescope_transformer.report.page_data.MAX_PAGE_CHARS", 0)
    tight = page_data(data)
    shown = unpacked(tight["clusters"])
    assert [profile["cluster"] for profile in shown[:3]] == [0, 1, 2]
    assert (tight["n_profiles"], len(shown), tight["n_clusters"]) == (100, 100, 400)
    assert [event["cluster"] for event in unpacked(tight["events"])] == list(range(700, 900))


def test_the_first_screen_says_what_happened_and_what_is_in_no_cluster(report_data: ReportData) -> None:
    page = render_report(report_data)
    first = page.split('id="clusters"')[0]
    assert "From 4 March to 13 March 2024, 31 sources sent 241 records." in first
    assert "30 of them form 3 clusters; 1 sent too few records to be in a cluster." in first
    assert "242 records were read: 241 kept, 1 rejected" in page


def test_sources_of_too_few_records_are_in_no_cluster_and_are_not_said_to_behave_like_no_other(
    report_data: ReportData,
) -> None:
    alone = [*range(3, 7), *report_data.windows["cluster"].to_pylist()[4:]]
    windows = report_data.windows.drop_columns("cluster").append_column("cluster", pa.array(alone, pa.int32()))
    confidence = pa.array([0.0, 0.2, 0.49, None, 0.5, *[None] * (windows.num_rows - 5)], pa.float32())
    windows = windows.append_column("placement", confidence)
    data = replace(report_data, windows=windows, sources=sources_table(windows))
    assert "3 sent too few records to be in a cluster." in data.first_screen()["sentences"][1]
    assert "1 behaves like no other source" in data.first_screen()["sentences"][1]
    assert page_data(data)["alone"]["n_short"] == 3
    assert data.every_source()["cluster"].null_count == 3


@pytest.mark.parametrize(
    ("threshold", "more", "words"),
    [
        (0.5, {}, "chosen without labels"),
        (0.7, {}, "set by hand; learned without labels it would be 0.500."),
        (0.5, {"agreement": []}, "0.500, the default, because fewer than 50 sources have two windows"),
        (0.7, {"agreement": []}, "set by hand."),
        (0.5, {"from_checkpoint": True}, "which comes with the checkpoint"),
        (DEFAULT_THRESHOLD, None, "the default, because fewer than 50"),
        (0.7, None, "set by hand."),
    ],
)
def test_the_report_says_where_the_threshold_comes_from(
    report_data: ReportData, threshold: float, more: dict[str, Any] | None, words: str
) -> None:
    found = {"threshold": 0.5, "agreement": [{"threshold": 0.5, "agreement": 0.9}], "expected_calibration_error": None}
    calibration = None if more is None else found | more
    solution = {**report_data.solution, "threshold": threshold}
    assert words in render_report(replace(report_data, solution=solution, calibration=calibration))


def test_the_report_says_what_probabilities_are_of_and_how_they_were_tested(report_data: ReportData) -> None:
    learned = "The model may have learned from some of these sources"
    calibration = {"threshold": 0.5, "expected_calibration_error": 0.02, "reliability": [], "unseen": True}
    page = render_report(replace(report_data, calibration=calibration))
    assert "probability that two windows are of one source" in page
    assert learned not in page
    assert learned in render_report(replace(report_data, calibration=calibration | {"unseen": False}))
    solution = {**report_data.solution, "threshold": DEFAULT_THRESHOLD}
    without = render_report(replace(report_data, calibration=None, solution=solution))
    assert "it is not known how likely two windows" in without
    assert "by hand" not in without
    untested = render_report(replace(report_data, calibration=calibration | {"expected_calibration_error": None}))
    assert "It was not tested, because too few sources have two windows." in untested
    elsewhere = render_report(replace(report_data, calibration=calibration | {"from_checkpoint": True}))
    assert "tested on sources" not in elsewhere
    assert "On these records the error may be larger." in elsewhere


def test_windows_that_behave_alike_lie_together_on_the_map(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "LANDMARKS", 100)
    groups = np.arange(400) % 4
    vectors = unit_rows(np.eye(4, 16)[groups] + 0.05 * rng.normal(size=(400, 16)))
    places = layout.map_layout(vectors)
    assert places.min() >= 0
    assert places.max() <= 1
    centres = np.array([places[groups == g].mean(axis=0) for g in range(4)])
    nearest = np.linalg.norm(places[:, None] - centres, axis=2).argmin(axis=1)
    assert (nearest == groups).mean() > 0.98


@pytest.mark.parametrize("n", [0, 1, 4, 5, 12])
def test_few_or_equal_windows_have_places_on_the_map(n: int) -> None:
    places = layout.map_layout(np.ones((n, 8), dtype=np.float32))
    assert places.shape == (n, 2)
    assert np.isfinite(places).all()


def test_the_page_says_what_the_adaptation_changed(report_data: ReportData) -> None:
    facts = {"adapted": True, "sources": 1234, "kept_out": 137}
    facts |= {"before": {"same_source": 0.9}, "after": {"same_source": 0.95}}
    page = render_report(replace(report_data, adaptation=facts))
    assert "The model learned from 1,234 sources of this telescope, without labels." in page
    assert "windows of one source against windows of two: 0.900 before, 0.950 after" in page
    few = {"adapted": False, "reason": "3 sources have 8 records or more; <b>100</b> are needed"}
    page = render_report(replace(report_data, adaptation=few))
    assert "not adapted to this telescope: 3 sources have 8 records or more; &lt;b&gt;100" in page
