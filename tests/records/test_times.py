"""Times compared with the standard library: text with and without zones, epoch numbers of every unit."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from telescope_transformer.records import read_records
from telescope_transformer.records.text_columns import INVALID, MISSING, VALID, parse_integers, text_view
from telescope_transformer.records.times import TimeReader

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
instants = st.datetimes(datetime(1970, 1, 3), datetime(9999, 12, 29))
zones = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


def micros(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(instants, zones)
def test_iso_text_agrees_with_datetime(moment: datetime, zone: timezone) -> None:
    local = moment.replace(tzinfo=zone)
    naive = local.astimezone(UTC).replace(tzinfo=None)
    texts = [local.isoformat(), local.isoformat(" "), naive.isoformat(), f"{naive.isoformat()}Z"]
    texts += [naive.isoformat(" ").replace("-", "/"), local.isoformat()[::-1].replace(":", "", 1)[::-1]]
    values, status = TimeReader().read(pa.array(texts))
    assert status.tolist() == [VALID] * len(texts)
    assert values.tolist() == [micros(local)] * len(texts)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.integers(631_152_000, 99_999_999_999), st.integers(0, 999_999))
def test_seconds_since_1970_are_read_exactly(seconds: int, fraction: int) -> None:
    # See the test of seconds since 1900 or 1904.
    assume(not 3_345_062_400 <= seconds < 4_102_444_800)
    values, _ = TimeReader().read(pa.array([f"{seconds}.{fraction:06d}", f"{seconds}"]))
    assert values.tolist() == [seconds * 1_000_000 + fraction, seconds * 1_000_000]
    assert TimeReader().read(pa.array([seconds]))[0].tolist() == [seconds * 1_000_000]


@pytest.mark.parametrize("factor", [1, 10**3, 10**6, 10**9])
def test_the_unit_of_a_number_follows_from_its_size(factor: int) -> None:
    number = 1_700_000_000 * factor
    for column in (
        pa.array([number]),
        pa.array([float(number)]),
        pa.array([str(number)]),
        pa.array([number], pa.uint64()),
    ):
        values, status = TimeReader().read(column)
        assert (values.tolist(), status.tolist()) == ([1_700_000_000_000_000], [VALID])


NO_TIMES = """
2024-13-01 2024-00-01 2024-02-30 2023-02-29 2024-01-01T24:00 2024-01-01T00:60 2024-01/01 noon -1 1e9
1.2.3 2024-01-01T00:00:00+24:00 2024-01-01T00:00:00X 1969-12-31T23:59:59 99999999999999999999
"""


def test_julian_dates_are_recognised_by_the_whole_column() -> None:
    """2016-07-21T17:50:56 and a day later, and a time before noon, when a Julian day begins."""
    expected = [1_469_123_456_000_000, 1_469_209_856_000_000, 1_469_059_200_000_000]
    dates = ["2457591.2437037037", "2457592.2437037037", "2457590.5"]
    for values in (pa.array(dates), pa.array([float(date) for date in dates])):
        assert TimeReader().read(values)[0].tolist() == expected


@pytest.mark.parametrize("text", NO_TIMES.split())
def test_text_that_is_no_time_is_refused(text: str) -> None:
    _, status = TimeReader().read(pa.array([text]))
    assert status.tolist() == [INVALID]


@pytest.mark.parametrize("number", [1e308, -1e308, 3e20, 2.6e20])
@pytest.mark.filterwarnings("error")
def test_a_number_too_large_for_any_time_is_refused(number: float) -> None:
    assert TimeReader().read(pa.array([number]))[1].tolist() == [INVALID]


def test_missing_times_are_missing_and_non_finite_ones_invalid() -> None:
    assert TimeReader().read(pa.array(["", None, " "]))[1].tolist() == [MISSING] * 3
    assert TimeReader().read(pa.array([None, float("nan"), float("inf"), -1.0]))[1].tolist() == [
        MISSING,
        MISSING,
        INVALID,
        INVALID,
    ]


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.integers(0, 10**18 - 1))
def test_integers_of_every_spelling_are_parsed_exactly(number: int) -> None:
    texts = [
        str(number),
        f"{number}.0",
        f"{number}.",
        f" {number} ",
        hex(number),
        f"{number}x",
        f"-{number}",
        f"{number}.5",
    ]
    values, status = parse_integers(text_view(pa.array(texts)))
    assert status.tolist() == [VALID] * 5 + [INVALID] * 3
    assert values.tolist()[:5] == [number] * 5


@pytest.mark.parametrize("number", [3_678_112_256, 3_551_968_256.5])
def test_seconds_since_1900_or_1904_are_rejected_with_a_note(tmp_path: Path, number: float) -> None:
    path = tmp_path / "log"
    path.write_text(f"timestamp,src_ip,dst_ip,protocol,dst_port\n{number},192.0.2.1,198.51.100.7,6,23\n")
    records = read_records(path)
    assert (records.counts.kept, records.counts.rejected) == (0, 1)
    assert "since 1900 or 1904" in records.summary()
