"""Scanner lists by name and date: which list applies to a record, and invalid periods."""

import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from telescope_transformer.errors import InputError
from telescope_transformer.labels import label_records, read_labels
from telescope_transformer.labels.periods import parse_period, period_of_name
from telescope_transformer.words import EPOCH


def records(*rows: tuple[str, str]) -> pa.Table:
    """Flow records of (address, day)."""
    times = [int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * 1_000_000 for _, day in rows]
    return pa.table({"src_ip": [address for address, _ in rows], "timestamp": times})


def labelled(folder: Path, *rows: tuple[str, str]) -> list[str | None]:
    return label_records(records(*rows), read_labels(folder))["label"].to_pylist()


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2024-03-14", date(2024, 3, 14), date(2024, 3, 14)),
        ("2024-02", date(2024, 2, 1), date(2024, 2, 29)),
        ("2021-2025", date(2021, 1, 1), date(2025, 12, 31)),
        ("2024-01..2024-06", date(2024, 1, 1), date(2024, 6, 30)),
    ],
)
def test_periods_are_days_months_and_years(text: str, first: date, last: date) -> None:
    assert parse_period(text) == ((first - EPOCH).days, (last - EPOCH).days)


@pytest.mark.parametrize("text", ["2024-13", "2025-2024", "yesterday", "2024-02-30", ""])
def test_an_invalid_period_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_period(text)


def test_names_end_in_dates() -> None:
    assert period_of_name("censys_2024-03") == ("censys", parse_period("2024-03"))
    assert period_of_name("as64500") == ("as64500", None)
    assert period_of_name("scan-2024-99") == ("scan-2024-99", None)


def test_an_address_that_changed_hands_has_the_label_of_its_holder_then(tmp_path: Path) -> None:
    (tmp_path / "acme_2021_v4.txt").write_text("192.0.2.0/28\n")
    (tmp_path / "2024-03-14").mkdir()
    (tmp_path / "2024-03-14" / "other.txt").write_text("192.0.2.1\n")
    (tmp_path / "always.txt").write_text("192.0.2.0/24\n")
    days = ("2021-06-01", "2022-03-01", "2022-12-01", "2023-10-01", "2024-03-20")
    assert labelled(tmp_path, *(("192.0.2.1", day) for day in days)) == ["acme", "acme", "always", "other", "other"]
    assert labelled(tmp_path, ("192.0.2.200", "2021-06-01"), ("198.51.100.1", "2021-06-01")) == ["always", None]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_table_of_dated_ranges(tmp_path: Path, kind: str) -> None:
    rows = {"name": ["acme", "acme"], "period": ["2024-03", "2021"], "first": [3221225985, 3325256705]}
    rows["last"] = [3221225990, 3325256705]
    if kind == "parquet":
        pq.write_table(pa.table(rows), tmp_path / "lists.parquet")
    else:
        lines = ["name,period,first,last", "acme,2024-03,192.0.2.1,192.0.2.6", "acme,2021,198.51.100.1,198.51.100.1"]
        (tmp_path / "lists.csv").write_text("\n".join(lines))
    assert labelled(tmp_path, ("192.0.2.6", "2024-03-02"), ("192.0.2.7", "2024-03-02")) == ["acme", None]
    assert labelled(tmp_path, ("198.51.100.1", "2024-03-02"), ("198.51.100.1", "2021-03-02")) == [None, "acme"]
    told = "dated entries from 2021-01-01 to 2024-03-31 label records up to 183 days from their date"
    assert told in read_labels(tmp_path).summary()


def test_the_shortest_of_overlapping_periods_wins(tmp_path: Path) -> None:
    rows = ["acme,2021-2025,192.0.2.1", "botnet,2024-03-14,192.0.2.0/24", "range,2024-03-14,192.0.2.9-192.0.2.20"]
    (tmp_path / "lists.csv").write_text("\n".join(["name,period,prefix", *rows]))
    days = [("192.0.2.1", "2024-03-14"), ("192.0.2.1", "2024-03-15"), ("192.0.2.15", "2024-03-14")]
    assert labelled(tmp_path, *days) == ["botnet", "acme", "range"]


def test_many_periods_and_many_records_are_joined_at_once(tmp_path: Path) -> None:
    """Each address has a different list for every day; one join per period would search a thousand times."""
    n_days, n_rows = 1000, 200_000
    first = date(2020, 1, 1)
    lines = [f"d{day},{first + timedelta(days=day)},192.0.2.{day % 250}" for day in range(n_days)]
    (tmp_path / "lists.csv").write_text("\n".join(["name,period,prefix", *lines]))
    day = np.arange(n_rows) % n_days
    times = ((first - EPOCH).days + day) * 86_400_000_000
    table = pa.table({"src_ip": [f"192.0.2.{one % 250}" for one in day.tolist()], "timestamp": times})
    labels = read_labels(tmp_path)
    label_records(table.slice(0, 10), labels)
    begun = time.process_time()
    found = label_records(table, labels)["label"].to_pylist()
    assert time.process_time() - begun < 2
    assert found == [f"d{one}" for one in day.tolist()]


@pytest.mark.parametrize(
    ("line", "told"),
    [("acme,2024-13,192.0.2.1", "row 1: .*no period|row 1: month"), ("acme,2024,192.0.2.300", "row 1: '192.0.2.300'")],
)
def test_a_wrong_row_is_named(tmp_path: Path, line: str, told: str) -> None:
    (tmp_path / "lists.csv").write_text(f"name,period,prefix\n{line}\n")
    with pytest.raises(InputError, match=told):
        read_labels(tmp_path)
