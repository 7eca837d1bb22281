"""Sentences that explain why the members of a cluster belong together, and what tells two clusters apart."""

from telescope_transformer.records.schema import PORT_PROTOCOLS
from telescope_transformer.report.phrases import (
    MAJORITY,
    MOST,
    Profile,
    main_source_port,
    most_often,
    owner_words,
    spelt_services,
)
from telescope_transformer.report.services import protocol_name
from telescope_transformer.report.targets import UNKNOWN_ORDER
from telescope_transformer.words import counted, duration, joined

WITH_PORTS = {protocol_name(protocol) for protocol in PORT_PROTOCOLS}
# A group of fields that explains a smaller share of the similarity (`report.attribution`) is not mentioned.
EXPLAINS = 0.05
# Without explained shares, these groups are mentioned.
UNEXPLAINED = ("services", "timing", "destinations")


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
    main_service = most_often(services)
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
    with_ports = sum(row["share"] for row in profile.get("protocols") or [] if row["protocol"] in WITH_PORTS)
    if profile.get("protocols") and with_ports < MAJORITY:
        return ""
    if port := main_source_port(profile):
        return f"use source port {port}"
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
