"""The profile of each cluster of a telescope whose behaviours are known."""

import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from made_telescope import HOUR, MONDAY, Telescope

from telescope_transformer.analysis.tables import every_source, sources_table
from telescope_transformer.arrays import unit_rows
from telescope_transformer.errors import InputError
from telescope_transformer.fields import DAY
from telescope_transformer.labels import read_owners
from telescope_transformer.records.schema import UNKNOWN_ICMP_TYPE
from telescope_transformer.report import all_sources, name_clusters, profile_clusters
from telescope_transformer.report.days import days_of_groups, summed
from telescope_transformer.report.first_screen import label_words
from telescope_transformer.report.news import period_of
from telescope_transformer.report.ports import PORTS
from telescope_transformer.report.profiles import complete_profiles
from telescope_transformer.report.services import HINTS, service_name
from telescope_transformer.report.targets import NO_DESTINATION, network_of, target_prefix
from telescope_transformer.report.window_records import join_records


def test_sizes_services_and_targets(telescope: Telescope) -> None:
    scan, dns, ping = profile_clusters(telescope.records, telescope.windows)
    assert (scan["n_windows"], scan["n_sources"], scan["n_records"]) == (10, 10, 80)
    assert scan["first_seen"] == "2024-03-04T00:00:00Z"
    assert scan["last_seen"] == "2024-03-13T07:00:00Z"
    assert scan["services"] == [{"service": "tcp/22 ssh", "records": 80, "share": 1.0}]
    assert dns["services"][0]["service"] == "udp/53 dns"
    assert ping["services"][0]["service"] == "icmp/8"
    assert [c["targets"]["order"] for c in (scan, dns, ping)] == ["ascending", "single destination", "random"]
    assert scan["targets"]["prefixes"][0] == {"prefix": "198.51.100.0/24", "records": 80, "share": 1.0}


def test_records_of_one_time_and_named_sensors_tell_no_order(telescope: Telescope) -> None:
    """Sorting orders records of the same time by destination, and the number of a sensor has no meaning."""
    records, windows = telescope.records, telescope.windows
    at_once = pc.multiply(pc.divide(records["timestamp"], DAY), DAY)
    table = records.set_column(records.column_names.index("timestamp"), "timestamp", at_once)
    starts = pc.multiply(pc.divide(windows["start"], DAY), DAY)
    together = windows.set_column(windows.column_names.index("start"), "start", starts)
    assert profile_clusters(table, together)[0]["targets"]["order"] == "not known"
    names = pa.array([text.replace("198.51.", "240.1.") for text in records["dst_ip"].to_pylist()])
    sensors = records.set_column(records.column_names.index("dst_ip"), "dst_ip", names)
    orders = [one["targets"]["order"] for one in profile_clusters(sensors, windows)[:2]]
    assert orders == ["not known", "single destination"]


def test_timing_follows_the_hourly_sweep(telescope: Telescope) -> None:
    scan = profile_clusters(telescope.records, telescope.windows)[0]
    assert scan["timing"]["median_inter_arrival_s"] == 3600
    assert scan["timing"]["pattern"] == "regular"
    assert sum(scan["activity"]) == 80
    # The first eight hours of each of ten days, starting on a Monday.
    assert np.array(scan["rhythm"]).sum(axis=1).tolist() == [16, 16, 16, 8, 8, 8, 8]
    assert np.array(scan["rhythm"])[:, 8:].sum() == 0


def test_sources_networks_labels_and_neighbours(telescope: Telescope) -> None:
    scan, _, ping = profile_clusters(telescope.records, telescope.windows)
    assert scan["networks"] == [{"network": "192.0.2.0/24", "sources": 10, "share": 1.0}]
    assert {row["network"] for row in ping["networks"]} == {"192.0.2.0/24", "2001:db8:1::/48"}
    assert scan["labels"] == [{"label": "benign <b>", "windows": 10, "share": 1.0}]
    assert (scan["n_labelled"], ping["n_labelled"], ping["labels"]) == (10, 0, [])
    assert scan["tools"][0]["tool"] == "zmap"
    assert {row["cluster"] for row in scan["nearest"]} == {1, 2}
    assert set(scan["typical_windows"]) <= set(range(0, 30, 3))


def test_cohesion_is_the_mean_similarity_of_pairs_and_one_for_singletons(rng: np.random.Generator) -> None:
    vectors = unit_rows(rng.normal(size=(6, 8))).astype(np.float32)
    columns = {"window_id": [10, 11, 12, 13, 14, 15], "n_records": [1] * 6, "cluster": [0, 0, 0, 0, 1, 2]}
    profiles = [{"n_windows": 2}, {"n_windows": 1}]
    complete_profiles(profiles, pa.table(columns), vectors)
    pairs = [float(vectors[i] @ vectors[j]) for i in range(4) for j in range(i)]
    assert [profile["cohesion"] for profile in profiles] == pytest.approx([np.mean(pairs), 1.0], abs=1e-4)
    assert [profile["n_windows"] for profile in profiles] == [4, 1]
    assert [profile.get("profiled_windows") for profile in profiles] == [2, None]
    assert set(profiles[0]["typical_windows"]) < {10, 11, 12, 13}
    assert profiles[1]["typical_windows"] == [14]
    assert [[near["cluster"] for near in profile["nearest"]] for profile in profiles] == [[1], [0]]


def test_one_labelled_window_does_not_label_its_cluster(telescope: Telescope) -> None:
    few = telescope.windows.drop_columns("label").append_column("label", pa.array(["Org", *[None] * 29]))
    scan = profile_clusters(telescope.records, few)[0]
    assert scan["labels"] == [{"label": "Org", "windows": 1, "share": 0.1}]
    assert label_words(scan["labels"], scan["n_labelled"], scan["n_windows"]) == "1 of 10 windows labelled: Org"
    name_clusters([scan])
    assert "Org" not in scan["name"]


def test_owners_of_sources(telescope: Telescope, tmp_path: Path) -> None:
    (tmp_path / "asn.csv").write_text("192.0.2.0/24,AS64500 Example Net\n")
    scan, _, ping = profile_clusters(telescope.records, telescope.windows, owners=read_owners([tmp_path / "asn.csv"]))
    assert scan["owners"] == [{"asn": 64500, "name": "Example Net", "sources": 10, "share": 1.0}]
    assert (ping["owners"][0]["sources"], ping["n_sources"]) == (9, 10)


def test_days_are_of_records_not_of_windows(telescope: Telescope) -> None:
    """A window that lasts for days is active on each day on which it has records."""
    records = telescope.records
    times = records["timestamp"].to_numpy() + 6 * HOUR * (records["timestamp"].to_numpy() % (24 * HOUR) // HOUR)
    later = records.set_column(0, "timestamp", pa.array(times))
    dns = profile_clusters(later, telescope.windows)[1]
    assert sum(row[1] for row in dns["days"]) == 80
    assert [row[1:] for row in dns["days"][:3]] == [[4, 1], [7, 2], [8, 3]]


def test_a_clock_in_the_year_9999_costs_no_memory_and_moves_no_axis() -> None:
    groups, sources = np.arange(60), np.arange(60)
    times = np.full(60, MONDAY)
    times[0] = 253_402_300_000_000_000
    tracemalloc.start()
    days = days_of_groups(groups, times, sources, 60)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    assert [len(one) for one in days] == [1] * 60
    period = period_of(summed(days))
    assert period is not None
    assert (period.first, period.last) == (MONDAY // (24 * HOUR), MONDAY // (24 * HOUR))


def test_no_destination_column_says_nothing_of_targets(telescope: Telescope) -> None:
    index = telescope.records.column_names.index("dst_ip")
    absent = telescope.records.set_column(index, "dst_ip", pa.array([NO_DESTINATION] * telescope.records.num_rows))
    targets = profile_clusters(absent, telescope.windows)[0]["targets"]
    assert targets == {"n_destinations": 0, "prefixes": [], "n_prefixes": 0, "order": "not known"}


def test_all_services_of_every_source_the_main_one_first(telescope: Telescope) -> None:
    more = telescope.records.slice(0, 1).to_pylist()[0] | {"src_ip": "192.0.2.250", "dst_port": 2323, "protocol": 6}
    records = pa.concat_tables([telescope.records, *[pa.Table.from_pylist([more], telescope.records.schema)] * 2])
    sources = every_source(sources_table(telescope.windows), all_sources(records))
    row = sources.filter(pc.equal(sources["source"], "192.0.2.250")).to_pylist()[0]
    assert (row["service"], row["services"]) == ("tcp/2323 telnet-alt", ["tcp/2323 telnet-alt", "tcp/80 http"])
    assert all(row["service"] == row["services"][0] for row in sources.to_pylist())


def test_named_sensors_go_by_their_names(telescope: Telescope) -> None:
    dns = profile_clusters(telescope.records, telescope.windows, sensors={"groucho": "240.0.0.7"})[1]
    assert dns["targets"]["prefixes"] == [{"prefix": "groucho", "records": 80, "share": 1.0}]


def test_every_window_finds_its_own_records_even_among_ties() -> None:
    times = [MONDAY] * 5 + [MONDAY + HOUR] * 5
    records = pa.table(
        {
            "timestamp": times,
            "src_ip": ["192.0.2.1"] * 10,
            "dst_ip": [f"198.51.100.{i}" for i in range(10)],
            "protocol": pa.array([6] * 10, pa.uint8()),
            "src_port": pa.array([0] * 10, pa.uint16()),
            "dst_port": pa.array([80] * 10, pa.uint16()),
        }
    )
    windows = pa.table({"source": ["192.0.2.1"] * 3, "start": [times[0], times[3], times[6]], "n_records": [3, 3, 4]})
    joined = join_records(records, windows)
    assert joined.window.tolist() == [0] * 3 + [1] * 3 + [2] * 4
    assert joined.table["dst_ip"].to_pylist() == records["dst_ip"].to_pylist()


def test_windows_of_other_records_are_refused(telescope: Telescope) -> None:
    with pytest.raises(InputError, match=r"192\.0\.2\.1: its windows hold more records"):
        profile_clusters(telescope.records.slice(0, 0), telescope.windows)
    with pytest.raises(InputError, match="lack the column"):
        profile_clusters(telescope.records.drop_columns(["dst_ip"]), telescope.windows)


def test_without_windows_there_are_no_profiles(telescope: Telescope) -> None:
    assert profile_clusters(telescope.records, telescope.windows.slice(0, 0)) == []


def test_names_of_services_and_networks() -> None:
    assert service_name((47 << 16) | 0) == "gre"
    assert service_name((1 << 16) | UNKNOWN_ICMP_TYPE) == "icmp"
    assert service_name((1 << 16) | 0) == "icmp/0"
    assert service_name((200 << 16) | 0) == "proto200"
    assert network_of("2001:db8:1:2::9") == "2001:db8:1::/48"
    assert (target_prefix("240.1.2.3"), target_prefix("192.0.2.3")) == ("240.1.2.3", "192.0.2.0/24")


def test_ports_have_hints_with_sources_and_no_vulnerabilities() -> None:
    assert HINTS["tcp/445 smb"] == "Windows file sharing (IANA: microsoft-ds)"
    assert HINTS["udp/161 snmp"].startswith("management of network devices")
    assert not {"tcp/40000", "icmp/8", "gre"} & HINTS.keys()
    rows = [row for ports in PORTS.values() for row in ports.values()]
    assert all(row.source and row.hint for row in rows)
    assert not any("CVE" in text for row in rows for text in row)
