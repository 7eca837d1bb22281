"""The changes that are reported between two analyses whose clusters are known."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pc_csv
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from telescope_transformer.cli.main import app
from telescope_transformer.errors import InputError
from telescope_transformer.report import read_folder
from telescope_transformer.report.compare import compare

HOSTILE = "<script>alert(1)</script>\x1b[2J"


def write(folder: Path, clusters: dict[int, list[str]]) -> Path:
    """An analysis with these sources in these clusters, one window each; source 203.0.113.9 is in no cluster."""
    rows = [(f"192.0.2.{source}", cluster) for cluster, sources in clusters.items() for source in sources]
    n = len(rows)
    names, numbers = [row[0] for row in rows], pa.array([row[1] for row in rows], pa.int32())
    folder.mkdir()
    common = {"source": names, "cluster": numbers, "n_records": [8] * n}
    windows = pa.table({**common, "window_id": range(n), "start": [0] * n, "end": [1] * n})
    sources = pa.table({**common, "first_seen": [0] * n, "last_seen": [1] * n})
    left_out = pa.table({"source": ["203.0.113.9"], "n_records": [1], "first_seen": [0], "last_seen": [0]})
    pq.write_table(windows, folder / "windows.parquet")
    pq.write_table(pa.concat_tables([sources, left_out], promote_options="default"), folder / "sources.parquet")
    profiles = [
        {
            "cluster": k,
            "name": f"name {k} {HOSTILE}",
            "n_windows": len(v),
            "n_sources": len(v),
            "n_records": 8,
            "services": [],
        }
        for k, v in clusters.items()
    ]
    (folder / "clusters.json").write_text(json.dumps({"clusters": profiles}))
    return folder


@pytest.fixture
def days(tmp_path: Path) -> tuple[Path, Path]:
    """Numbers differ: 0 becomes 5, 1 and 2 merge, 3 splits in two, 4 disappears, 8 is new, 6 grows, a source moves."""
    monday = {0: range(10, 16), 1: range(20, 23), 2: range(30, 33), 3: range(40, 44), 4: range(50, 52), 6: [60, 61]}
    tuesday = {
        5: range(10, 15),
        7: [*range(20, 23), *range(30, 33)],
        1: [40, 41],
        2: [42, 43, 15],
        8: range(70, 75),
        6: range(60, 65),
    }
    return write(tmp_path / "monday", monday), write(tmp_path / "tuesday", tuesday)


def test_the_comparison_says_what_became_of_each_cluster(days: tuple[Path, Path]) -> None:
    found = compare(*(read_folder(day, embeddings=False) for day in days))
    by_kind = {row["change"]: (row["before"], row["after"]) for row in found.clusters}
    assert by_kind == {
        "appeared": ([], [8]),
        "gone": ([4], []),
        "merged": ([1, 2], [7]),
        "split": ([3], [1, 2]),
        "grown": ([6], [6]),
        "same": ([0], [5]),
    }
    told = {row["change"]: row["sentence"].replace(HOSTILE, "").replace("  ", " ") for row in found.clusters}
    assert told["split"] == 'name 3 split into "name 1 " and "name 2 ".'
    assert told["grown"] == "name 6 went from 2 to 5 sources."
    assert found.moved.to_pylist() == [{"source": "192.0.2.15", "before": 0, "after": 2}]
    assert (found.n_sources, found.n_common) == ((21, 27), 19)


def test_windows_that_are_alone_are_counted_in_one_line(tmp_path: Path) -> None:
    """Clusters of one window: 1 stays, 2 disappears, 3 joins cluster 0, 4 to 6 form a cluster; 7 leaves cluster 0."""
    monday = write(tmp_path / "monday", {0: [7, 8, 9, 10], **{k: [k] for k in range(1, 7)}})
    tuesday = write(tmp_path / "tuesday", {0: [3, 8, 9, 10], 1: [1], 4: [4, 5, 6], 7: [7], 11: [11]})
    found = compare(*(read_folder(day, embeddings=False) for day in (monday, tuesday)))
    changes = [(row["change"], row["before"], row["after"]) for row in found.clusters]
    assert changes == [("appeared", [], [4]), ("same", [0], [0])]
    assert (found.n_alone, found.moved.num_rows) == ((6, 3), 0)
    assert found.sentences()[2].startswith("Not listed: 6 windows of monday and 3 of tuesday that are alone")
    assert len(found.sentences()) == 4
    command = CliRunner().invoke(app, ["compare", str(monday), str(tuesday), "--json", "-o", str(tmp_path / "x")])
    assert json.loads(command.stdout)["alone"] == [6, 3]
    assert "Not listed: 6 windows" in (tmp_path / "x" / "compare.html").read_text()


def test_an_analysis_is_the_same_as_itself(days: tuple[Path, Path]) -> None:
    monday = read_folder(days[0], embeddings=False)
    found = compare(monday, monday)
    assert {row["change"] for row in found.clusters} == {"same"}
    assert found.moved.num_rows == 0


def test_the_command_writes_a_page_and_tables(days: tuple[Path, Path], tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["compare", *map(str, days), "--output", str(tmp_path / "changes")])
    assert result.exit_code == 0, result.output
    assert "\x1b" not in result.output
    page = (tmp_path / "changes" / "compare.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert pc_csv.read_csv(tmp_path / "changes" / "changes.csv").num_rows == 6
    told = CliRunner().invoke(app, ["compare", *map(str, days), "--json"])
    assert json.loads(told.stdout)["totals"]["merged"] == 1


def test_a_folder_that_cannot_be_written_is_named_before_the_comparison(
    days: tuple[Path, Path], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    result = CliRunner().invoke(app, ["compare", *map(str, days), "--output", str(tmp_path / "file" / "changes")])
    assert isinstance(result.exception, InputError)
    assert not result.output


def test_the_last_two_days_of_a_folder_are_compared(tmp_path: Path) -> None:
    for day, members in (("2024-03-03", [1]), ("2024-03-04", [1, 2]), ("2024-03-05", range(1, 9))):
        (tmp_path / "out").mkdir(exist_ok=True)
        write(tmp_path / "out" / day, {0: members})
    told = CliRunner().invoke(app, ["compare", str(tmp_path / "out"), "--json"])
    found = json.loads(told.stdout)
    assert found["names"] == ["2024-03-04", "2024-03-05"]
    assert [row["change"] for row in found["clusters"]] == ["grown"]
    alone = CliRunner().invoke(app, ["compare", str(tmp_path / "out" / "2024-03-03")])
    assert "several days" in str(alone.exception)


def test_changes_beyond_a_screen_are_counted(tmp_path: Path) -> None:
    monday = write(tmp_path / "monday", {k: [2 * k, 2 * k + 1] for k in range(25)})
    tuesday = write(tmp_path / "tuesday", {0: [100, 101]})
    lines = CliRunner().invoke(app, ["compare", str(monday), str(tuesday)]).stdout.splitlines()
    # Two sentences about all, one of the 25 clusters that are gone and of the new one each.
    assert (len(lines), lines[-1]) == (21, "and 8 more changes; --output and --json have all")
