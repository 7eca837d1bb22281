"""What is said of each cluster of a telescope whose behaviours are known."""

import numpy as np
import pyarrow as pa
import pytest
from made_telescope import HOUR, MONDAY, Telescope

from telescope_transformer.errors import InputError
from telescope_transformer.report import profile_clusters
from telescope_transformer.report.services import service_name
from telescope_transformer.report.targets import network_of, target_prefix
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


def test_timing_follows_the_hourly_sweep(telescope: Telescope) -> None:
    scan = profile_clusters(telescope.records, telescope.windows)[0]
    assert scan["timing"]["median_inter_arrival_s"] == 3600
    assert scan["timing"]["pattern"] == "regular"
    assert sum(scan["activity"]) == 80
    # Ten days from a Monday on, the first eight hours of each.
    assert np.array(scan["rhythm"]).sum(axis=1).tolist() == [16, 16, 16, 8, 8, 8, 8]
    assert np.array(scan["rhythm"])[:, 8:].sum() == 0


def test_sources_networks_labels_and_neighbours(telescope: Telescope) -> None:
    scan, _, ping = profile_clusters(telescope.records, telescope.windows, networks={"192.0.2.0/24": "Example Net"})
    assert scan["networks"] == [{"network": "192.0.2.0/24", "sources": 10, "share": 1.0, "name": "Example Net"}]
    assert {row["network"] for row in ping["networks"]} == {"192.0.2.0/24", "2001:db8:1::/48"}
    assert scan["labels"][0]["label"] == "benign <b>"
    assert (scan["purity"], ping["purity"]) == (1.0, None)
    assert scan["tools"][0]["tool"] == "zmap"
    assert {row["cluster"] for row in scan["nearest"]} == {1, 2}
    assert set(scan["typical_windows"]) <= set(range(0, 30, 3))


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


def test_no_windows_no_profiles(telescope: Telescope) -> None:
    assert profile_clusters(telescope.records, telescope.windows.slice(0, 0)) == []


def test_names_of_services_and_networks() -> None:
    assert service_name((47 << 16) | 0) == "gre"
    assert service_name((200 << 16) | 0) == "proto200"
    assert network_of("2001:db8:1:2::9") == "2001:db8:1::/48"
    assert (target_prefix("240.1.2.3"), target_prefix("192.0.2.3")) == ("240.1.2.3", "192.0.2.0/24")
