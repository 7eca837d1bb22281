"""Words about one cluster, which its name and the sentences about it are made of.

All shares are our choices, made by reading the names of real clusters.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from telescope_transformer.words import EPOCH, duration, joined, rounded, spoken_day

# A cluster is named after a label or tool if half of its windows have it. "Mostly" means half of the records.
MAJORITY = 0.5
# Services with a smaller share of the records do not appear in a name.
NAMED_SHARE = 0.1
# A name spells out its services only if together they have at least this share of the records.
NEARLY_ALL = 0.95
# Up to this many services are spelt out. If there are more, the name gives their number.
SPELT_SERVICES = 3
# One place or source port stands for the whole cluster if at least this share of its sources or records has it.
MOST = 0.8

Profile = Mapping[str, Any]


def majority(rows: Sequence[Mapping[str, Any]], key: str) -> str | None:
    """The label or tool of at least half of a cluster's windows, if any. `rows` must begin with the most frequent."""
    return rows[0][key] if rows and rows[0]["share"] >= MAJORITY else None


def service_words(profile: Profile) -> str:
    """Describe the services in a few words: "telnet 23/2323", "icmp/8", "14 tcp ports, mostly tcp/443 https"."""
    services = profile.get("services") or []
    n_services = profile.get("n_services", len(services))
    if not services:
        return "no services"
    if main := spelt_services(profile):
        return _merged(main)
    of_port = [row["service"].split("/")[0] for row in services if "/" in row["service"]]
    kind = "services" if len(of_port) < len(services) else "ports"
    if len(set(of_port)) == 1 and kind == "ports":
        kind = f"{of_port[0]} ports"
    main_service = most_often(services)
    return f"{rounded(n_services)} {kind}" + (f", {main_service}" if main_service else "")


def most_often(services: Sequence[Mapping[str, Any]]) -> str:
    """The service with most records, if its share is large enough: "mostly tcp/443 https"."""
    main = services[0]
    if main["share"] < NAMED_SHARE:
        return ""
    return f"{'mostly' if main['share'] >= MAJORITY else 'most often'} {main['service']}"


def spelt_services(profile: Profile) -> list[str]:
    """The services that cover nearly all records, if they are few enough to spell out; otherwise an empty list."""
    services = profile.get("services") or []
    main = [row for row in services if row["share"] >= NAMED_SHARE]
    are_all = len(main) == profile.get("n_services", len(services)) or sum(row["share"] for row in main) >= NEARLY_ALL
    return [row["service"] for row in main] if are_all and len(main) <= SPELT_SERVICES else []


def _merged(services: Sequence[str]) -> str:
    """Write `tcp/23 telnet` and `tcp/2323 telnet-alt` as "telnet 23/2323"; join other services by "and"."""
    parts = [re.fullmatch(r"(\w+)/(\d+)(?: (\S+))?", service) for service in services]
    roots = {part[3].removesuffix("-alt") for part in parts if part and part[3]}
    if all(parts) and len(services) > 1 and len(roots) == 1 and all(part[3] for part in parts if part):
        return f"{roots.pop()} {'/'.join(part[2] for part in parts if part)}"
    return joined(services)


def place_words(profile: Profile) -> str:
    """Where the sources are: "from 192.0.2.1", "from Example Net", "from 3 networks in NL"; "" if all over."""
    n_sources, n_networks = profile.get("n_sources", 0), profile.get("n_networks", 0)
    sources, networks = profile.get("sources") or [], profile.get("networks") or []
    if n_sources == 1 and sources:
        return f"from {sources[0]['source']}"
    if n_networks == 1 and networks:
        return f"from {networks[0]['network']}"
    owners, countries = profile.get("owners") or [], profile.get("countries") or []
    of_all = n_sources or 1
    if owners and owners[0]["sources"] / of_all >= MOST:
        return f"from {owner_words(owners[0])}"
    country = countries[0]["country"] if countries and countries[0]["sources"] / of_all >= MOST else ""
    if 1 < n_networks <= SPELT_SERVICES:
        return f"from {n_networks} networks" + (f" in {country}" if country else "")
    return f"from {country}" if country else ""


def owner_words(row: Mapping[str, Any]) -> str:
    """The name of an autonomous system, or its number if the name is unknown."""
    return row.get("name") or f"AS{row['asn']}"


def rhythm_words(profile: Profile) -> str:
    timing = profile.get("timing", {})
    gap, pattern = timing.get("median_inter_arrival_s", 0.0), timing.get("pattern", "")
    if pattern == "regular":
        return f"every {duration(gap)}"
    return {"bursts within a second": "in bursts", "slow": "slow"}.get(pattern, "")


def target_words(profile: Profile) -> str:
    return {"ascending": "sweeping up", "descending": "sweeping down", "single destination": "one target"}.get(
        profile.get("targets", {}).get("order", ""), ""
    )


def place_detail(profile: Profile) -> str:
    networks = profile.get("networks") or []
    is_main = bool(networks) and networks[0]["sources"] >= MAJORITY * (profile.get("n_sources") or 1)
    return f"mostly {networks[0]['network']}" if is_main and profile.get("n_networks", 0) > 1 else ""


def sensor_words(profile: Profile) -> str:
    """The prefix or sensor that most records reach: "only to sensor-1", "mostly to 198.51.100.0/24"."""
    prefixes = profile.get("targets", {}).get("prefixes") or []
    if not prefixes or prefixes[0]["share"] < MAJORITY:
        return ""
    return f"{'only' if prefixes[0]['share'] == 1 else 'mostly'} to {prefixes[0]['prefix']}"


def main_source_port(profile: Profile) -> int:
    """The source port of most records; 0 if none stands out, or the input has no source ports."""
    ports = profile.get("src_ports") or []
    return ports[0]["port"] if ports and ports[0]["share"] >= MOST else 0


def source_port_words(profile: Profile) -> str:
    port = main_source_port(profile)
    return f"source port {port}" if port else ""


def pause_words(profile: Profile) -> str:
    """The order of magnitude of the pauses between records, which changes less from day to day than their median."""
    gap = profile.get("timing", {}).get("median_inter_arrival_s", 0.0)
    names = [
        name for name, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60), ("seconds", 1)) if gap >= size
    ]
    return f"{names[0]} apart" if names else ""


def size_words(profile: Profile) -> str:
    number = profile.get("n_sources", 0)
    return f"{rounded(number)} sources" if number > 1 else ""


def since_words(profile: Profile) -> str:
    first = profile.get("first_seen", "")[:10]
    return f"since {spoken_day((date.fromisoformat(first) - EPOCH).days)}" if first else ""
