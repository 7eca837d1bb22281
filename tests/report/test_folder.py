"""The folder of an analysis may come from elsewhere: every value of a wrong type is an error that names it."""

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from telescope_transformer.errors import ExportError, InputError
from telescope_transformer.export import export_clusters
from telescope_transformer.report import ReportData, read_folder, render_report

WRONG = (None, True, -1, 10**30, "</script>", [], [[1]], {"a": 1})


@pytest.fixture
def summary(report_data: ReportData, tmp_path: Path) -> dict[str, Any]:
    """The content of `clusters.json` beside the tables of the made-up telescope."""
    pq.write_table(report_data.windows, tmp_path / "windows.parquet")
    pq.write_table(report_data.sources, tmp_path / "sources.parquet")
    events = [{"day": "2024-03-06", "event": "merge", "cluster": 0, "others": [2], "windows": 4}]
    bins = [{"predicted": 0.1, "observed": 0.2, "pairs": 9}]
    found = {
        "clusters": report_data.profiles,
        "solution": dict(report_data.solution),
        "counts": dict(report_data.counts),
        "traffic": report_data.traffic,
        "events": events,
        "calibration": {"threshold": 0.5, "expected_calibration_error": 0.01, "reliability": bins},
        "adaptation": {"adapted": True, "sources": 9, "kept_out": 2, "before": {"hard": 0.5}, "after": {"hard": 0.6}},
        "id": "one",
    }
    return json.loads(json.dumps(found))


def places(value: Any, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path of every value in the summary; lists are represented by their first item."""
    if at:
        yield at
    items = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*at, key))


def test_every_value_of_a_wrong_kind_is_shown_or_named(summary: dict[str, Any], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    messages = []
    for place in places(summary):
        wrong = json.loads(json.dumps(summary))
        inner = wrong
        for key in place[:-1]:
            inner = inner[key]
        inner[place[-1]] = WRONG[rng.integers(len(WRONG))]
        (tmp_path / "clusters.json").write_text(json.dumps(wrong))
        try:
            render_report(read_folder(tmp_path).report_data())
        except InputError as error:
            messages.append(str(error))
        with contextlib.suppress(ExportError):
            export_clusters(tmp_path, "json", tmp_path / "x", [0])
    assert len(messages) > 50
    assert all("clusters.json" in message or "from different analyses" in message for message in messages)


@pytest.mark.parametrize(
    ("table", "column", "values"),
    [
        ("sources", "label", [{"a": 1}]),
        ("sources", "service", [7]),
        ("sources", "services", [[7]]),
        ("sources", "services", ["tcp/22"]),
        ("sources", "agreement", ["much"]),
        ("windows", "margin", ["much"]),
        ("windows", "label", [[1]]),
        ("windows", "end", [2**60]),
        ("windows", "start", [-1]),
        ("windows", "cluster", [2**40]),
        ("windows", "n_records", [2**62]),
        ("sources", "last_seen", [None]),
        ("sources", "cluster", [-1]),
    ],
)
def test_a_column_of_another_kind_is_named(
    summary: dict[str, Any], tmp_path: Path, table: str, column: str, values: list
) -> None:
    (tmp_path / "clusters.json").write_text(json.dumps(summary))
    path = tmp_path / f"{table}.parquet"
    content = pq.read_table(path)
    if column in content.column_names:
        content = content.drop_columns([column])
    pq.write_table(content.append_column(column, pa.array(values * content.num_rows)), path)
    with pytest.raises(InputError, match=rf"{table}\.parquet: not the output of an analysis: column {column} must be"):
        read_folder(tmp_path)


@pytest.mark.parametrize(
    ("table", "column", "kind"),
    [
        ("windows", "margin", pa.float16()),
        ("windows", "margin", pa.null()),
        ("windows", "placement", pa.null()),
        ("windows", "n_records", pa.int8()),
        ("windows", "cluster", pa.uint64()),
        ("sources", "agreement", pa.float16()),
        ("sources", "services", pa.list_(pa.large_string())),
    ],
)
def test_a_column_in_another_type_of_its_kind_is_read(
    summary: dict[str, Any], tmp_path: Path, table: str, column: str, kind: pa.DataType
) -> None:
    (tmp_path / "clusters.json").write_text(json.dumps(summary))
    path = tmp_path / f"{table}.parquet"
    content = pq.read_table(path)
    if column in content.column_names and kind != pa.null():
        values = content[column].cast(kind)
        content = content.drop_columns([column]).append_column(column, values)
    else:
        content = content.select([name for name in content.column_names if name != column])
        content = content.append_column(column, pa.nulls(content.num_rows, kind))
    pq.write_table(content, path)
    render_report(read_folder(tmp_path).report_data())
    export_clusters(tmp_path, "csv", tmp_path / "x")


def test_more_records_than_can_be_added_are_named(summary: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "clusters.json").write_text(json.dumps(summary))
    windows = pq.read_table(tmp_path / "windows.parquet").drop_columns(["n_records"])
    records = pa.array([2**53] * windows.num_rows)
    pq.write_table(windows.append_column("n_records", records), tmp_path / "windows.parquet")
    with pytest.raises(InputError, match=r"windows\.parquet: .*n_records has a sum above"):
        read_folder(tmp_path)


def test_rejects_of_another_kind_are_named(summary: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "clusters.json").write_text(json.dumps(summary))
    pq.write_table(pa.table({"file": ["a"]}), tmp_path / "rejects.parquet")
    with pytest.raises(InputError, match=r"rejects\.parquet: not the output of an analysis: .*row"):
        read_folder(tmp_path).report_data()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda one: one.update(traffic=[[9, 1, 1], [8, 1, 1]]), "traffic is"),
        (lambda one: one.update(traffic=[[8, 1, 1], [2**50, 1, 1]]), "traffic is"),
        (lambda one: one["clusters"].append(one["clusters"][0]), "cluster 0 twice"),
        (lambda one: one["clusters"][0].update(last_seen="yesterday"), r"clusters\[0\]\.last_seen is"),
        (lambda one: one["clusters"][0].update(rhythm=[1, 2]), r"clusters\[0\]\.rhythm is"),
    ],
)
def test_what_the_page_cannot_draw_is_named(
    summary: dict[str, Any], tmp_path: Path, change: Callable[[dict[str, Any]], None], told: str
) -> None:
    change(summary)
    (tmp_path / "clusters.json").write_text(json.dumps(summary))
    with pytest.raises(InputError, match=rf"clusters\.json: .*{told}"):
        read_folder(tmp_path)


def test_a_folder_that_is_no_analysis_says_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    (tmp_path / "days" / "2026-01-15").mkdir(parents=True)
    (tmp_path / "days" / "2026-01-15" / "clusters.json").write_text("{}")
    told = {"file": "it is a file", "empty": "it has no clusters.json$", "none": "there is no such folder"}
    for name, reason in told.items():
        with pytest.raises(InputError, match=rf"{name}: not the output of an analysis: {reason}"):
            read_folder(tmp_path / name)
    with pytest.raises(
        InputError, match=r"days: holds no analysis itself, but 1 in its subfolders; name one .*2026-01-15"
    ):
        read_folder(tmp_path / "days")


def test_a_file_that_cannot_be_read_is_not_said_to_be_another(tmp_path: Path) -> None:
    (tmp_path / "clusters.json").mkdir()
    with pytest.raises(InputError, match=r"clusters\.json: cannot be read: not a regular file$"):
        read_folder(tmp_path)
