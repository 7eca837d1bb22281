"""Which sources the first screen shows as known scanners, and which as candidates for a block list."""

from typing import Any

import pyarrow as pa

from telescope_transformer.report.first_screen import SHOWN, first_screen, news_lines, reasons_against

# Two windows of two sources each, on one day.
DAY = 19786


def profile(cluster: int, label: str | None = None, tool: str | None = None, n_labelled: int = 0) -> dict[str, Any]:
    return {
        "cluster": cluster,
        "name": f"cluster {cluster}",
        "n_windows": 10,
        "n_sources": 2 + cluster,
        "n_records": 1000,
        "labels": [{"label": label, "windows": n_labelled, "share": n_labelled / 10}] if label else [],
        "n_labelled": n_labelled,
        "tools": [{"tool": tool, "windows": 10, "share": 1.0}] if tool else [],
        "services": [{"service": "tcp/23 telnet", "records": 1000, "share": 1.0}],
        "n_services": 1,
        "days": [(DAY, 500, 2), (DAY + 1, 500, 2)],
    }


def screen_of(*profiles: dict[str, Any]) -> dict[str, Any]:
    sources = pa.table({"source": ["192.0.2.1"], "cluster": pa.array([0], pa.int32()), "n_records": [8]})
    return first_screen(profiles, sources, {"scale": 1.0}, {"kept": 8})


def test_malicious_groups_are_candidates_and_known_scanners_are_not() -> None:
    screen = screen_of(
        profile(0, "censys", n_labelled=10),
        profile(1, "rdp-botnet", n_labelled=10),
        profile(2, tool="mirai"),
        profile(3, tool="zmap"),
        profile(4),
        profile(5, "feodo (malicious)", tool="masscan", n_labelled=6),
    )
    assert [(row["kind"], row["who"]) for row in screen["known"]] == [("label", "censys"), ("tool", "zmap")]
    found = [(row["cluster"], row["malicious"]) for row in screen["candidates"]]
    assert found == [(5, "feodo (malicious)"), (2, "mirai"), (1, "rdp-botnet"), (4, None)]
    assert not any(row["against"] for row in screen["candidates"])


def test_a_malicious_label_is_no_reason_against_blocking() -> None:
    mixed = profile(0, "censys", n_labelled=5)
    mixed["labels"] = [
        {"label": "rdp-botnet", "windows": 3, "share": 0.3},
        {"label": "censys", "windows": 2, "share": 0.2},
    ]
    assert reasons_against(mixed, 0) == ["2 of 10 windows labelled: censys"]
    mixed["labels"] = [{"label": f"botnet {i}", "windows": 1, "share": 0.1} for i in range(4)]
    assert reasons_against(mixed, 0) == []
    del mixed["labels"]
    assert reasons_against(mixed, 0) == []


def test_all_new_clusters_have_a_line_and_the_first_screen_shows_the_most_unusual() -> None:
    old = profile(0) | {"days": [(DAY + i, 100, 10) for i in range(10)]}
    new = [profile(k) | {"days": [(DAY + 9, 100, k)]} for k in range(1, 13)]
    screen, lines = screen_of(old, *new), news_lines([old, *new])
    assert [line["cluster"] for line in lines["new"]] == list(range(12, 0, -1))
    assert (screen["new"], screen["totals"]["new"]) == (lines["new"][:SHOWN], 12)
