"""Local times whose zone is in a column of its own."""

import json
from pathlib import Path

import pandas as pd
import pytest
from variants import TCP, Variant, Variants

from telescope_transformer.records import read_records
from telescope_transformer.records.in_memory import read_table

VARIANTS = Variants()
HEADER = "time,{},src,dst,proto,sport,dport\n"
ENDS = "192.0.2.1,198.51.100.7,tcp,40000,23\n"
TOLD = "times without a zone are read in the zone that the column"


def table(column: str, *rows: tuple[str, str]) -> str:
    return HEADER.format(column) + "".join(f"{time},{zone},{ENDS}" for time, zone in rows)


LOCAL = "2016-07-21 19:50:56"
for column, zone in (
    *(("tz", zone) for zone in ("+02:00", "+0200", "UTC+2", "CEST", "Europe/Berlin", '"Africa/Cairo"')),
    *(("utc_offset", zone) for zone in ("2", "+2", "2.0")),
    *((name, "+02:00") for name in ("timezone", "TimeZone", "tz_offset", "gmt_offset")),
):
    VARIANTS.add(f"{column} is {zone}", table(column, (LOCAL, zone)), [TCP], told=TOLD)
VARIANTS.add("winter and summer", table("tz", (LOCAL, "America/New_York")).replace("19:50", "13:50"), [TCP])
for zone in ("", "NULL", "-", "UTC"):
    VARIANTS.add(f"the zone is {zone!r}", table("tz", (LOCAL.replace("19:", "17:"), zone)), [TCP])
WITH_ZONE = (
    *("Thu Jul 21 19:50:56 CEST 2016", "Thu Jul 21 19:50:56 +0200 2016", "2016-07-21 07:50:56 PM +02:00"),
    *("20160721T195056+02:00", "20160721 195056 +02:00", "21/Jul/2016:19:50:56 +0200", "2016-07-21 19.50.56 +02:00"),
)
for time in ("2016-07-21T17:50:56Z", "2016-07-21 20:50:56+03:00", "1469123456", *WITH_ZONE):
    VARIANTS.add(f"{time} needs no zone", table("tz", (time, "Asia/Tokyo")), [TCP])
for time in (
    *("Thu Jul 21 19:50:56 2016", "Thu Jul 21 07:50:56 PM 2016", "2016-07-21 07:50:56 PM", "21/Jul/2016:19:50:56"),
    *("20160721195056", "20160721195056.0", "20160721 195056", "20160721T195056", "2016-07-21-19:50:56"),
    *("2016-07-21 19.50.56", "'2016-07-21 19:50:56'", "42572.82703703704"),
):
    VARIANTS.add(f"{time} is local", table("tz", *((time, zone) for zone in ("+02:00", "Europe/Berlin"))), [TCP, TCP])
for zone in ("CST", "Mars/Base", "200", "7200", "-120", "W. Europe Standard Time"):
    VARIANTS.add(f"{zone} is not clear", table("tz", (LOCAL, "CEST"), (LOCAL, zone)), [TCP], rejected=1)
for time, zone in (("1970-01-01 00:30:00", "+02:00"), ("9999-12-31 23:59:59", "-12:00")):
    VARIANTS.add(f"{time} {zone} is out of range", table("tz", (LOCAL, "CEST"), (time, zone)), [TCP], rejected=1)
for time in ("2016-03-27 02:30:00", "2016-10-30 02:30:00"):
    rows = table("tz", (LOCAL, "Europe/Berlin"), (time, "Europe/Berlin"))
    VARIANTS.add(f"{time} is none, or twice", rows, [TCP], rejected=1)
VARIANTS.add(
    "a date, a time and a zone",
    "date,time,timezone,src,dst,proto,sport,dport\n2016-07-21,19:50:56,+02:00," + ENDS,
    [TCP],
)
# A database of places gives the zone of the source, not that of the clock.
VARIANTS.add(
    "the zone of a place",
    "time,src,dst,proto,sport,dport,city,timezone\n2016-07-21 17:50:56," + ENDS.strip() + ",Tokyo,Asia/Tokyo\n",
    [TCP],
)
FLOW = {"time": LOCAL, "src": "192.0.2.1", "dst": "198.51.100.7", "proto": "tcp", "sport": 40000, "dport": 23}
VARIANTS.add("JSON", json.dumps(FLOW | {"timezone": "Europe/Berlin"}), [TCP], told=TOLD)
VARIANTS.add("JSON, a number", json.dumps(FLOW | {"utc_offset": 2}), [TCP])
UTC = FLOW | {"time": "2016-07-21 17:50:56"}
VARIANTS.add("JSON, the zone of a place", json.dumps(UTC | {"geoip": {"timezone": "Asia/Tokyo"}}), [TCP])
VARIANTS.add("JSON, the zone of a place, flat", json.dumps(UTC | {"timezone": "Asia/Tokyo", "lat": 35.7}), [TCP])
PLACES = (UTC | {"timezone": "Asia/Tokyo"}, UTC | {"timezone": "Asia/Tokyo", "city": "Tokyo"})
for name, records in (("last", PLACES), ("first", PLACES[::-1])):
    VARIANTS.add(f"JSON, the place is only in the {name}", "\n".join(map(json.dumps, records)), [TCP] * 2)
VARIANTS.add(
    "JSON, the zones of a place and of the clock", json.dumps([FLOW | {"event.timezone": "+0200"}, *PLACES]), [TCP] * 3
)
for zone in (
    {"timezone": {"name": "Europe/Berlin"}},
    {"event": {"timezone": {"name": "+02:00"}}},
    {"observer": {"timezone": "CEST"}},
):
    VARIANTS.add(f"JSON of ECS, {zone}", json.dumps(FLOW | zone), [TCP], told=TOLD)
EVENT = FLOW | {"event": {"timezone": "+02:00"}}
VARIANTS.add("JSON of ECS, with a place", json.dumps(EVENT | {"geo": {"city_name": "Tokyo"}}), [TCP], told=TOLD)


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_a_local_time_is_in_the_zone_of_its_row(tmp_path: Path, variant: Variant) -> None:
    variant.check(tmp_path)


TITLED = "{},src,dst,proto,sport,dport\n{}," + ENDS.strip() + "\n"


@pytest.mark.parametrize(
    ("title", "text"),
    [
        ("Time (UTC+2)", LOCAL),
        ("time [CEST]", LOCAL),
        ("Time (Europe/Berlin)", LOCAL),
        ("Time (+02:00)", "2016-07-21T17:50:56Z"),
        ("Time (UTC+2)", "1469123456"),
        ("time [UTC]", "2016-07-21 17:50:56"),
        ("time (ms)", "1469123456000"),
        ("Time (2)", "2016-07-21 17:50:56"),
    ],
)
def test_the_zone_may_be_in_the_name_of_the_column(tmp_path: Path, title: str, text: str) -> None:
    (tmp_path / "log").write_text(TITLED.format(title, text))
    assert read_records(tmp_path / "log").table["timestamp"][0].as_py() // 1_000_000 == 1_469_123_456


def test_an_unclear_zone_in_the_name_of_the_column_costs_its_rows_unless_the_user_says_so(tmp_path: Path) -> None:
    (tmp_path / "log").write_text(TITLED.format("Time (CST)", LOCAL))
    assert read_records(tmp_path / "log").rejects["value"].to_pylist() == [f"{LOCAL} CST"]
    mapped = {"timestamp": "Time (CST)", "timezone": ""}
    assert read_records(tmp_path / "log", columns=mapped).counts.kept == 1


def test_the_column_of_the_zone_can_be_mapped_or_left_out(tmp_path: Path) -> None:
    (tmp_path / "log").write_text(table("where", (LOCAL, "+02:00")))
    (tmp_path / "other").write_text(table("tz", (LOCAL, "+02:00")))
    times = [
        read_records(tmp_path / name, columns=columns).table["timestamp"][0].as_py() // 1_000_000
        for name, columns in (
            ("log", None),
            ("log", {"timezone": "where"}),
            ("other", {"timestamp": "time"}),
            ("other", {"timezone": ""}),
        )
    ]
    assert times == [1_469_130_656, 1_469_123_456, 1_469_123_456, 1_469_130_656]


def test_times_of_a_data_frame_without_a_zone_are_in_that_of_their_row() -> None:
    frame = pd.DataFrame([FLOW | {"tz": "Europe/Berlin"}, FLOW | {"tz": "America/New_York"}])
    for name in (None, "UTC"):
        frame["time"] = pd.to_datetime(LOCAL).tz_localize(name)
        seconds = [time // 1_000_000 - 1_469_123_456 for time in read_table(frame).table["timestamp"].to_pylist()]
        assert any(TOLD in note for note in read_table(frame).notes) is (name is None)
        assert seconds == ([0, 6 * 3600] if name is None else [2 * 3600] * 2)
    for number in (20160721195056, 20160721195056.0, 42572.82703703704):
        frame["time"] = number
        seconds = [time // 1_000_000 - 1_469_123_456 for time in read_table(frame).table["timestamp"].to_pylist()]
        assert seconds == [0, 6 * 3600]


def test_a_time_that_its_zone_makes_unclear_is_shown_with_it(tmp_path: Path) -> None:
    (tmp_path / "log").write_text(table("tz", (LOCAL, "+02:00"), (LOCAL, "CST")))
    assert read_records(tmp_path / "log").rejects["value"].to_pylist() == [f"{LOCAL} CST"]
