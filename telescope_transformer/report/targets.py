"""The destinations of a cluster: how many, in which prefixes, and in which order they are visited."""

from collections.abc import Mapping
from ipaddress import IPv4Address
from typing import Any

import numpy as np
import pyarrow as pa

from telescope_transformer.records.addresses import IPV4, network_of, parse_addresses
from telescope_transformer.records.sensors import ABSENT_DESTINATION
from telescope_transformer.report.counting import codes_of, numbered, top_values
from telescope_transformer.report.window_records import WindowRecords

NO_DESTINATION = str(IPv4Address(ABSENT_DESTINATION))
# Sensors with a name instead of an address get pseudo-addresses whose first octet is at least this.
SENSOR_PREFIX = 240
# The order of visits if there are too few steps to determine it.
UNKNOWN_ORDER = "not known"
# With eight steps in random directions, all go the same way in one of about a hundred clusters (2 / 2^8).
FEWEST_STEPS = 8


def target_prefix(address: str) -> str:
    """The network of a destination, or the destination itself if it is a named sensor."""
    return address if _is_sensor(address) else network_of(address)


def _is_sensor(address: str) -> bool:
    first = address.partition(".")[0]
    return first.isdigit() and int(first) >= SENSOR_PREFIX


def target_profiles(
    joined: WindowRecords, clusters: np.ndarray, n_clusters: int, sensors: Mapping[str, str]
) -> list[dict[str, Any]]:
    """For each cluster, the number of destinations, the prefixes with most records, and the order of visits.

    Args:
        joined: records by window.
        clusters: cluster of each record.
        n_clusters: clusters are 0..n_clusters-1.
        sensors: pseudo-address of each named sensor, which is listed by its name.
    """
    codes, names = codes_of(joined.table["dst_ip"])
    sensor_at = {address: name for name, address in sensors.items()}
    # Without a destination column, nothing is known about the targets.
    codes = np.where(np.array([name == NO_DESTINATION for name in names], dtype=bool)[codes], -1, codes)
    of_address, prefixes = numbered([target_prefix(name) for name in names])
    prefix_codes = np.where(codes < 0, -1, of_address[codes])
    by_address = top_values(clusters, codes, n_clusters, names.__getitem__, key="address", count="records", top=0)
    shown = [sensor_at.get(prefix, prefix) for prefix in prefixes]
    by_prefix = top_values(clusters, prefix_codes, n_clusters, shown.__getitem__, key="prefix", count="records")
    # The order of the pseudo-addresses of sensors has no meaning.
    ordered = np.array([not _is_sensor(name) for name in names], dtype=bool)[codes]
    orders = sweep_orders(joined, clusters, _ranks(names)[codes], ordered, n_clusters)
    return [
        {
            "n_destinations": total,
            "prefixes": best,
            "n_prefixes": n_prefixes,
            "order": order if total else UNKNOWN_ORDER,
        }
        for (_, total), (best, n_prefixes), order in zip(by_address, by_prefix, orders, strict=True)
    ]


def _ranks(addresses: list[str]) -> np.ndarray:
    """Position of each address in numerical order, int64; IPv4 addresses come first."""
    parsed = parse_addresses(pa.array(addresses, pa.string()))
    rank = np.empty(len(addresses), dtype=np.int64)
    rank[np.lexsort((parsed.low, parsed.high, parsed.kind != IPV4))] = np.arange(len(addresses))
    return rank


def sweep_orders(
    joined: WindowRecords, clusters: np.ndarray, ranks: np.ndarray, ordered: np.ndarray, n_clusters: int
) -> list[str]:
    """For each cluster, a word for the order in which its windows visit destinations.

    A step is a pair of neighbouring records of one window with different destinations. Mostly upward steps are
    `ascending`, mostly downward steps `descending`, about as many of both `random`, anything else `mixed`. Without
    steps, the word is `single destination`. Records of the same time are sorted by destination, so a step counts only
    if its times differ. With too few steps that count, the order is `not known`.

    Args:
        joined: records by window.
        clusters: cluster of each record.
        ranks: position of each record's destination among all destinations.
        ordered: whether the position of each record's destination has a meaning.
        n_clusters: clusters are 0..n_clusters-1.
    """
    same = joined.window[1:] == joined.window[:-1]
    step = np.sign(np.diff(ranks))
    owner = clusters[1:]
    moves = np.bincount(owner[same & (step != 0)], minlength=n_clusters)
    told = same & (np.diff(joined.table["timestamp"].to_numpy()) > 0) & ordered[1:] & ordered[:-1]
    up = np.bincount(owner[told & (step > 0)], minlength=n_clusters)
    down = np.bincount(owner[told & (step < 0)], minlength=n_clusters)
    return [
        _order_word(int(u), int(d)) if n else "single destination" for n, u, d in zip(moves, up, down, strict=True)
    ]


def _order_word(up: int, down: int) -> str:
    if up + down < FEWEST_STEPS:
        return UNKNOWN_ORDER
    share = up / (up + down)
    if share >= 0.9:
        return "ascending"
    if share <= 0.1:
        return "descending"
    return "random" if 0.4 <= share <= 0.6 else "mixed"
