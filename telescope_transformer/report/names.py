"""What clusters are called, and why their members belong together, in words.

A name is made of what a cluster does and who it is. The same profile gives the same name, no two clusters of an
analysis share one, and a running analysis keeps the name of a cluster for as long as its main service stays.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from telescope_transformer.report.words import counted, duration, joined, rounded

# Half of the windows carry a label or the mark of a tool: then the cluster is named after it.
MAJORITY = 0.5
# Services below this share of the records are not part of a name.
NAMED_SHARE = 0.1
# So many services are spelt out; more are counted.
SPELT_SERVICES = 3
# Four sources in five of one network or country: the cluster comes from there.
MOST = 0.8
TOOL_WORDS = {
    "mirai": "Mirai-like",
    "zmap": "ZMap",
    "masscan": "Masscan",
    "nmap": "Nmap",
    "unicornscan": "Unicornscan",
}
# The masking figures name groups of fields; below this share a group explains nothing.
EXPLAINS = 0.05

Profile = Mapping[str, Any]


def name_clusters(profiles: Sequence[dict[str, Any]], kept: Mapping[int, str] | None = None) -> None:
    """Give each profile its `name` and `sentence`.

    Args:
        profiles: of all clusters, as `profile_clusters` gives them.
        kept: names of earlier days by cluster; one stays as long as it still tells the main service.
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
    """A name each: those that several would share get more words, and at last the cluster's number."""
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
    """What a cluster does and who it is, without regard to other clusters."""
    who = _majority(profile.get("labels", []), "label")
    tool = _majority(profile.get("tools", []), "tool")
    what = service_words(profile)
    if tool:
        what += f", {TOOL_WORDS.get(tool, tool)}"
    return f"{who}: {what}" if who else f"{what} from {place_words(profile)}"


def _majority(rows: Sequence[Mapping[str, Any]], key: str) -> str | None:
    return rows[0][key] if rows and rows[0]["share"] >= MAJORITY else None


def _still_fits(name: str, profile: Profile) -> bool:
    """Whether a kept name still tells the service of most records."""
    services = profile.get("services") or []
    number = re.search(r"\d+", services[0]["service"]) if services else None
    told = number[0] if number else services[0]["service"].split()[0] if services else ""
    return bool(re.search(rf"(?<!\d){re.escape(told)}(?!\d)", name)) or "ports" in name


def service_words(profile: Profile) -> str:
    """The services in a few words: "telnet 23/2323", "icmp/8", "14 tcp ports, mostly tcp/443 https"."""
    services = profile.get("services") or []
    n_services = profile.get("n_services", len(services))
    main = [row["service"] for row in services if row["share"] >= NAMED_SHARE]
    if not services:
        return "no services"
    are_all = len(main) == n_services or sum(row["share"] for row in services[: len(main)]) >= 0.95
    if main and are_all and len(main) <= SPELT_SERVICES:
        return _merged(main)
    of_port = [row["service"].split("/")[0] for row in services if "/" in row["service"]]
    kind = "services" if len(of_port) < len(services) else "ports"
    if len(set(of_port)) == 1 and kind == "ports":
        kind = f"{of_port[0]} ports"
    return f"{rounded(n_services)} {kind}" + (f", mostly {main[0]}" if main else "")


def _merged(services: Sequence[str]) -> str:
    """`tcp/23 telnet` and `tcp/2323 telnet-alt` as "telnet 23/2323"; others joined by "and"."""
    parts = [re.fullmatch(r"(\w+)/(\d+)(?: (\S+))?", service) for service in services]
    roots = {part[3].removesuffix("-alt") for part in parts if part and part[3]}
    if all(parts) and len(services) > 1 and len(roots) == 1 and all(part[3] for part in parts if part):
        return f"{roots.pop()} {'/'.join(part[2] for part in parts if part)}"
    return joined(services)


def place_words(profile: Profile) -> str:
    """Where the sources are: the address of a single one, its network, its owner, or how many networks."""
    n_sources, n_networks = profile.get("n_sources", 0), profile.get("n_networks", 0)
    sources, networks = profile.get("sources") or [], profile.get("networks") or []
    if n_sources == 1 and sources:
        return str(sources[0]["source"])
    if n_networks == 1 and networks:
        return str(networks[0]["network"])
    owners, countries = profile.get("owners") or [], profile.get("countries") or []
    of_all = n_sources or 1
    if owners and owners[0]["sources"] / of_all >= MOST:
        return owner_words(owners[0])
    spread = f"{n_networks} networks" if 1 < n_networks <= SPELT_SERVICES else "many networks"
    inside = f" in {countries[0]['country']}" if countries and countries[0]["sources"] / of_all >= MOST else ""
    return spread + inside


def owner_words(row: Mapping[str, Any]) -> str:
    """An autonomous system as it is spoken of: its name, or its number."""
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
    return f"most from {networks[0]['network']}" if networks and profile.get("n_networks", 0) > 1 else ""


def why_together(profile: Profile) -> str:
    """One sentence: what the members have in common, the fields that carry the similarity first."""
    facts = {
        "services": _service_fact(profile),
        "timing": _timing_fact(profile),
        "destinations": _target_fact(profile),
        "source ports": _source_port_fact(profile),
        "packet header": "packet headers alike",
    }
    why = profile.get("why") or []
    order = [row["field"] for row in why if row["share"] >= EXPLAINS] or ["services", "timing", "destinations"]
    said = [fact for field in order if (fact := facts.get(field))]
    said.append(_network_fact(profile))
    sentence = ", ".join(part for part in said if part)
    if why and why[0]["share"] >= EXPLAINS:
        sentence += f"; {why[0]['field']} carry {why[0]['share']:.0%} of the similarity".replace(
            "timing carry", "timing carries"
        ).replace("header carry", "header carries")
    return sentence[:1].upper() + sentence[1:] + "."


def _service_fact(profile: Profile) -> str:
    services, n_services = profile.get("services") or [], profile.get("n_services", 0)
    if not services:
        return ""
    if n_services == 1:
        return f"all records ask for {services[0]['service']}"
    if n_services <= SPELT_SERVICES:
        return f"the same {n_services} services"
    return f"the same mix of {n_services:,} services"


def _timing_fact(profile: Profile) -> str:
    timing = profile.get("timing", {})
    gap, pattern = timing.get("median_inter_arrival_s", 0.0), timing.get("pattern")
    if pattern == "regular":
        return f"a record every {duration(gap)}"
    if pattern == "bursts within a second":
        return "bursts within a second"
    return f"{duration(gap)} between records in the median" if gap else ""


def _target_fact(profile: Profile) -> str:
    targets = profile.get("targets", {})
    order, number = targets.get("order"), targets.get("n_destinations", 0)
    if order in ("ascending", "descending"):
        return f"destinations in {order} order"
    if order == "single destination" and number:
        return "one destination each" if number > 1 else "the same destination"
    return f"{counted(number, 'destination')} in {order} order" if order == "random" else ""


def _source_port_fact(profile: Profile) -> str:
    ports = profile.get("src_ports") or []
    if ports and ports[0]["share"] >= MOST:
        return f"source port {ports[0]['port']}"
    return "source ports chosen alike"


def _network_fact(profile: Profile) -> str:
    n_sources, n_networks = profile.get("n_sources", 0), profile.get("n_networks", 0)
    networks, owners = profile.get("networks") or [], profile.get("owners") or []
    if n_sources <= 1 or not networks:
        return ""
    if n_networks == 1:
        return f"all from {networks[0]['network']}"
    if owners and owners[0]["sources"] / n_sources >= MOST:
        return f"most from {owner_words(owners[0])}"
    return (
        "no common network" if networks[0]["sources"] / n_sources < MAJORITY else f"most from {networks[0]['network']}"
    )


def difference(one: Profile, other: Profile) -> str:
    """What tells two neighbouring clusters apart, in a few words, said of the first."""
    mine, theirs = ([row["service"] for row in profile.get("services", [])[:1]] for profile in (one, other))
    said = []
    if mine != theirs and mine and theirs:
        said.append(f"{mine[0]}, not {theirs[0]}")
    elif abs(one.get("n_services", 0) - other.get("n_services", 0)) > 2:
        said.append(f"{one['n_services']:,} services, not {other['n_services']:,}")
    gaps = [profile.get("timing", {}).get("median_inter_arrival_s", 0.0) for profile in (one, other)]
    if max(gaps) > 2 * min(gaps) and max(gaps) >= 1:
        said.append(f"{duration(gaps[0])} between records, not {duration(gaps[1])}")
    orders = [profile.get("targets", {}).get("order") for profile in (one, other)]
    if orders[0] != orders[1] and all(orders):
        said.append(f"{orders[0]} targets, not {orders[1]}")
    return "; ".join(said) or "nothing that these figures show"
