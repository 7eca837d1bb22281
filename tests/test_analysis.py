"""From flow records to clusters of sources: the tables of an analysis and its folder."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from telescope_transformer.analysis import Settings, analyze, as_flow_records, counted, sources_table
from telescope_transformer.errors import FlowRecordError, InputError
from telescope_transformer.simulation import simulate


@pytest.fixture(scope="module")
def records() -> pa.Table:
    return simulate(60, seed=1, records_per_source=30.0)


@pytest.fixture(scope="module")
def analysis(records: pa.Table):
    return analyze(records, Settings(time_limit=5.0))


def window_rows(rows: list[tuple[str, int, int, int, int]]) -> pa.Table:
    names = ("source", "start", "end", "n_records", "cluster")
    return pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))


def test_a_source_goes_where_most_of_its_windows_are() -> None:
    windows = window_rows([("a", 5, 9, 8, 0), ("a", 10, 19, 8, 1), ("a", 20, 29, 8, 1), ("b", 0, 3, 9, 0)])
    table = sources_table(windows).to_pydict()
    assert table["source"] == ["a", "b"]
    assert table["cluster"] == [1, 0]
    assert table["n_windows"] == [3, 1]
    assert table["n_records"] == [24, 9]
    assert table["first_seen"] == [5, 0]
    assert table["last_seen"] == [29, 3]
    assert table["agreement"] == pytest.approx([2 / 3, 1.0])


def test_a_tie_between_clusters_goes_to_the_one_of_more_records() -> None:
    windows = window_rows([("a", 0, 1, 8, 0), ("a", 2, 3, 20, 1)])
    assert sources_table(windows)["cluster"].to_pylist() == [1]


def test_a_sources_label_is_the_one_of_most_of_its_windows() -> None:
    windows = window_rows([("b", 0, 1, 8, 0), ("a", 0, 1, 8, 0), ("b", 2, 3, 8, 0), ("b", 4, 5, 8, 0)])
    windows = windows.append_column("label", pa.array(["x", None, "y", "y"]))
    assert sources_table(windows)["label"].to_pylist() == [None, "y"]


def test_every_window_and_source_is_accounted_for(analysis, records: pa.Table) -> None:
    counts = analysis.counts
    assert counts["read"] == records.num_rows == counts["kept"] + counts["rejected"]
    assert counts["kept"] == counts["records_in_windows"] + counts["records_left_out"]
    assert analysis.windows.num_rows == counts["windows"]
    assert len(analysis.clusters) == analysis.solution["n_clusters"]
    assert set(analysis.records["src_ip"].to_pylist()) == set(analysis.sources["source"].to_pylist())
    clustered = analysis.sources.filter(analysis.sources["cluster"].is_valid())
    assert set(analysis.windows["source"].to_pylist()) == set(clustered["source"].to_pylist())


def test_the_certificate_holds(analysis) -> None:
    solution = analysis.solution
    assert solution["cost"] >= 0
    if solution["lower_bound"] is not None:
        assert solution["lower_bound"] <= solution["cost"] * (1 + 1e-6)


def test_the_same_seed_gives_the_same_clusters(analysis, records: pa.Table) -> None:
    again = analyze(records, Settings(time_limit=5.0))
    assert np.array_equal(again.windows["cluster"].to_numpy(), analysis.windows["cluster"].to_numpy())


def test_the_folder_holds_what_the_analysis_holds(analysis, tmp_path) -> None:
    report = analysis.write(tmp_path / "out")
    assert report.stat().st_size > 10_000
    written = json.loads((tmp_path / "out" / "clusters.json").read_text())
    assert written["solution"] == analysis.solution
    assert len(written["clusters"]) == len(analysis.clusters)
    assert pq.read_table(tmp_path / "out" / "windows.parquet").num_rows == analysis.windows.num_rows
    assert pq.read_table(tmp_path / "out" / "sources.parquet").equals(analysis.sources)
    assert pq.read_table(tmp_path / "out" / "rejects.parquet").num_rows == 0


def test_sources_of_too_few_records_end_with_a_message(records: pa.Table) -> None:
    with pytest.raises(InputError, match="fewest records that make a window, 8"):
        analyze(records.slice(0, 3))


def test_one_thing_is_not_said_to_be_several(records: pa.Table) -> None:
    sources = np.array(records["src_ip"].to_pylist())
    names, counts = np.unique(sources, return_counts=True)
    one_window = records.filter(sources == names[counts.argmax()]).slice(0, 8)
    said: list[str] = []
    analyze(one_window, Settings(time_limit=1.0), say=said.append)
    assert said[0] == "1 window of 1 source; left out for having under 8 records: 0 records, 0 whole sources"
    assert said[1].startswith("1 cluster at cosine threshold")
    assert [counted(1, "event"), counted(2_000, "event")] == ["1 event", "2,000 events"]


def test_a_table_without_a_column_is_refused(records: pa.Table) -> None:
    with pytest.raises(FlowRecordError, match="src_ip"):
        as_flow_records(records.drop_columns(["src_ip"]))
