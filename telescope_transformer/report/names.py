"""Names of clusters, and sentences that explain why their members belong together.

A name says what a cluster does and who it is. The same profile always gives the same name, and no two clusters of an
analysis share a name. A running analysis keeps a cluster's name for as long as the name is true.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from telescope_transformer.records.schema import PORT_PROTOCOLS
from telescope_transformer.report.services import protocol_name
from telescope_transformer.report.targets import UNKNOWN_ORDER
from telescope_transformer.report.words import counted, duration, joined, rounded

# All shares below are our choices, made by reading the names of real clusters.
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
TOOL_WORDS = {
    "mirai": "Mirai-like",
    "zmap": "ZMap",
    "masscan": "Masscan",
    "nmap": "Nmap",
    "unicornscan": "Unicornscan",
}
WITH_PORTS = {protocol_name(protocol) for protocol in PORT_PROTOCOLS}
# An old name stays if the number of services that it states is off by at most this factor.
MANY_MORE = 1.5
# Patterns of a name: claims other than labels, tools and services; ports and other numbers; the number of services.
_CLAIM = re.compile(
    r"from [^,(]+|mostly [\d:a-f.]+/\d+|\bin bursts\b|\bslow\b|\bevery [^,(]+|\bsweeping \w+|\bone target\b"
)
_NUMBER = re.compile(r"(?<![A-Za-z\d])\d+(?![A-Za-z\d])")
_COUNT = re.compile(r"^(?:[^:]*: )?(?:about )?([\d,]+) (?:\w+ )?(?:ports|services)")
# A group of fields that explains a smaller share of the similarity (`report.why`) is not mentioned.
EXPLAINS = 0.05
# Without explained shares, these groups are mentioned.
UNEXPLAINED = ("services", "timing", "destinations")

Profile = Mapping[str, Any]


def name_clusters(profiles: Sequence[dict[str, Any]], kept: Mapping[int, str] | None = None) -> None:
    """Give each profile its `name` and `sentence`.

    Args:
        profiles: profiles of all clusters, as `profile_clusters` returns them.
        kept: names from earlier days by cluster; a name stays for as long as it is true.
    """
    taken: set[str] = set()
    for profile in profiles:
        old = (kept or {}).get(profile["cluster"])
        if old and old not in taken and _still_fits(old, profile):
            profile["name"] = old
            taken.add(old)
    rest = [profile for profile in profiles if "name" not in profile]
    for profile, name in zip(rest, _unique(rest, taken), strict=True):
        profile["name"] = name
    for profile in profiles:
        profile["sentence"] = why_together(profile)


def _unique(profiles: Sequence[Profile], taken: set[str]) -> list[str]:
    """A unique name for each cluster. A name that several would share gets more words, and at last the number."""
    names = [plain_name(profile) for profile in profiles]
    for more in (_rhythm_words, _target_words, _place_detail):
        shared = {name for name, times in Counter(names).items() if times > 1} | taken
        names = [
            f"{name}, {words}" if name in shared and (words := more(profile)) and words not in name else name
            for name, profile in zip(names, profiles, strict=True)
        ]
    shared = {name for name, times in Counter(names).items() if times > 1} | taken
    return [
        f"{name} (no. {profile['cluster']})" if name in shared else name
        for name, profile in zip(names, profiles, strict=True)
    ]


def plain_name(profile: Profile) -> str:
    """What a cluster does and who it is; other clusters may have the same plain name."""
    who, tool = _who(profile)
    what = service_words(profile)
    if tool:
        what += f", {tool}"
    return f"{who}: {what}" if who else f"{what} {place_words(profile)}".rstrip()


def _who(profile: Profile) -> tuple[str | None, str | None]:
    """The label of most windows, and the display name of the tool of most windows."""
    tool = majority(profile.get("tools", []), "tool")
    return majority(profile.get("labels", []), "label"), TOOL_WORDS.get(tool, tool) if tool else None


def majority(rows: Sequence[Mapping[str, Any]], key: str) -> str | None:
    """The label or tool of at least half of a cluster's windows, if any. `rows` must begin with the most frequent."""
    return rows[0][key] if rows and rows[0]["share"] >= MAJORITY else None


def _still_fits(name: str, profile: Profile) -> bool:
    """Whether everything in an old name is still true, and the name has the label and the tool of most windows."""
    who, tool = _who(profile)
    name = re.sub(r" \(no\. \d+\)$", "", name)
    said = {claim.strip() for claim in _CLAIM.findall(name)}
    holds = {words(profile) for words in (place_words, _place_detail, _rhythm_words, _target_words)}
    begins = name.startswith(f"{who}: ") if who else ": " not in name
    tools = {known for known in TOOL_WORDS.values() if f", {known}" in name}
    return said <= holds and begins and tools == ({tool} if tool else set()) and _services_fit(name, profile)


def _services_fit(name: str, profile: Profile) -> bool:
    """Whether the services in an old name are still right: the main one (or that none stands out) and their number."""
    services = profile.get("services") or []
    if not services:
        return False
    if found := _COUNT.search(name):
        stated, actual = int(found[1].replace(",", "")), profile.get("n_services", len(services))
        if not stated / MANY_MORE <= actual <= stated * MANY_MORE:
            return False
        if services[0]["share"] < NAMED_SHARE:
            return ", most" not in name
        name = re.sub("^, (?:mostly|most often) ", "", name[found.end() :])
    shares = {_number(row["service"]): row["share"] for row in reversed(services)}
    named = _NUMBER.findall(_CLAIM.sub("", name)) or [_number(name)]
    return _number(services[0]["service"]) in named and all(shares.get(one, 0) >= NAMED_SHARE / 2 for one in named)


def _number(service: str) -> str:
    """The port or type of a service, or its protocol if it has none."""
    found = _NUMBER.search(service)
    return found[0] if found else re.split(r"[ ,]", service)[0]


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
    main_service = _most_often(services)
    return f"{rounded(n_services)} {kind}" + (f", {main_service}" if main_service else "")


def _most_often(services: Sequence[Mapping[str, Any]]) -> str:
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


def _rhythm_words(profile: Profile) -> str:
    timing = profile.get("timing", {})
    gap, pattern = timing.get("median_inter_arrival_s", 0.0), timing.get("pattern", "")
    if pattern == "regular":
        return f"every {duration(gap)}"
    return {"bursts within a second": "in bursts", "slow": "slow"}.get(pattern, "")


def _target_words(profile: Profile) -> str:
    return {"ascending": "sweeping up", "descending": "sweeping down", "single destination": "one target"}.get(
        profile.get("targets", {}).get("order", ""), ""
    )


def _place_detail(profile: Profile) -> str:
    networks = profile.get("networks") or []
    is_main = bool(networks) and networks[0]["sources"] >= MAJORITY * (profile.get("n_sources") or 1)
    return f"mostly {networks[0]['network']}" if is_main and profile.get("n_networks", 0) > 1 else ""


def why_together(profile: Profile) -> str:
    """One sentence on what the members have in common, beginning with the fields that explain most of the similarity.

    "They probe almost only tcp/445 smb, send a record every 3 s and share no network; services explain 46 % of the
    similarity."
    """
    facts = {
        "services": _service_fact(profile),
        "timing": _timing_fact(profile),
        "destinations": _target_fact(profile),
        "source ports": _source_port_fact(profile),
        "packet header": "have similar packet headers",
    }
    why = [row for row in profile.get("why") or [] if row["share"] >= EXPLAINS]
    said = [facts.get(field, "") for field in ([row["field"] for row in why] or UNEXPLAINED)]
    said = [fact for fact in [*said, _network_fact(profile)] if fact]
    if not said:
        return ""
    sentence = f"{'They' if profile.get('n_sources', 0) > 1 else 'Its windows'} {joined(said)}"
    if why:
        verb = "explain" if why[0]["field"].endswith("s") else "explains"
        sentence += f"; {why[0]['field']} {verb} {100 * why[0]['share']:.0f} % of the similarity"
    return f"{sentence}."


def _service_fact(profile: Profile) -> str:
    services = profile.get("services") or []
    n_services = profile.get("n_services", len(services))
    if not services:
        return ""
    if main := spelt_services(profile):
        return f"probe {'only' if len(main) == n_services else 'almost only'} {joined(main)}"
    main_service = _most_often(services)
    return f"probe {counted(n_services, 'service')}" + (f" ({main_service})" if main_service else "")


def _timing_fact(profile: Profile) -> str:
    timing = profile.get("timing", {})
    gap, pattern = timing.get("median_inter_arrival_s", 0.0), timing.get("pattern")
    if pattern == "regular":
        return f"send a record every {duration(gap)}"
    if pattern == "bursts within a second":
        return "send records in bursts within a second"
    return f"typically pause {duration(gap)} between records" if gap else ""


def _target_fact(profile: Profile) -> str:
    targets = profile.get("targets", {})
    order, number = targets.get("order"), targets.get("n_destinations", 0)
    if order in ("ascending", "descending"):
        return f"visit destinations in {order} order"
    if order == "single destination" and number:
        return "visit one destination each" if number > 1 else "visit the same destination"
    if number <= 1:
        return ""
    return f"visit {counted(number, 'destination')}" + (" in random order" if order == "random" else "")


def _source_port_fact(profile: Profile) -> str:
    ports = profile.get("src_ports") or []
    with_ports = sum(row["share"] for row in profile.get("protocols") or [] if row["protocol"] in WITH_PORTS)
    if profile.get("protocols") and with_ports < MAJORITY:
        return ""
    if ports and ports[0]["share"] >= MOST:
        return f"use source port {ports[0]['port']}"
    return "choose their source ports in a similar way"


def _network_fact(profile: Profile) -> str:
    n_sources, n_networks = profile.get("n_sources", 0), profile.get("n_networks", 0)
    networks, owners = profile.get("networks") or [], profile.get("owners") or []
    if n_sources <= 1 or not networks:
        return ""
    if n_networks == 1:
        return f"all come from {networks[0]['network']}"
    if owners and owners[0]["sources"] / n_sources >= MOST:
        return f"mostly come from {owner_words(owners[0])}"
    if networks[0]["sources"] / n_sources >= MAJORITY:
        return f"mostly come from {networks[0]['network']}"
    return f"come from {n_networks:,} networks" if n_networks else ""


def difference(one: Profile, other: Profile) -> str:
    """What distinguishes a cluster from a neighbouring one, in a few words."""
    mine, theirs = ([row["service"] for row in profile.get("services", [])[:1]] for profile in (one, other))
    said = []
    if mine != theirs and mine and theirs:
        said.append(f"most often {mine[0]}, not {theirs[0]}")
    elif abs(one.get("n_services", 0) - other.get("n_services", 0)) > 2:
        said.append(f"{one['n_services']:,} services, not {other['n_services']:,}")
    gaps = [profile.get("timing", {}).get("median_inter_arrival_s", 0.0) for profile in (one, other)]
    if max(gaps) > 2 * min(gaps) and max(gaps) >= 1:
        said.append(f"{duration(gaps[0])} between records, not {duration(gaps[1])}")
    orders = [profile.get("targets", {}).get("order") for profile in (one, other)]
    if orders[0] != orders[1] and all(orders) and UNKNOWN_ORDER not in orders:
        said.append(f"destinations: {orders[0]}, not {orders[1]}")
    return "; ".join(said) or "these figures show no difference"
