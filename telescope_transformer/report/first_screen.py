"""The first screen for an analyst: what happened, what is new, which scanners are known, and what could be blocked.

The page, the notebook's view, `telescope report --json` and the messages of `watch` all show this.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.special import expit

from telescope_transformer.labels import is_malicious
from telescope_transformer.report.counting import numbers_of
from telescope_transformer.report.days import Days
from telescope_transformer.report.names import name_of
from telescope_transformer.report.news import KINDS, Change, Period, change_of, period_of, traffic_of
from telescope_transformer.report.phrases import SPELT_SERVICES, majority
from telescope_transformer.report.reliability import is_calibrated
from telescope_transformer.report.sentences import sentence_of, sentences
from telescope_transformer.words import counted, day_text

# The constants below are our choices, made by reading first screens of real telescopes.
# The most lines of each kind on the first screen. The table lists all clusters.
SHOWN = 8
# The most bars of a sparkline, which is 120 pixels wide.
SPARK_BINS = 60
# Fewer records than this reveal little about a source.
FEW_RECORDS = 20
# Clusters with a lower mean probability are not candidates for a block list.
LEAST_CONFIDENCE = 0.6
# If more than this share of a cluster's sources are also in other clusters, several hosts may share their addresses.
SHARED_SOURCES = 0.1
# Replies to spoofed packets come from one well-known port (below 1024, RFC 6335) and go to many spoofed ports.
REPLY_SHARE, REPLY_SERVICES, WELL_KNOWN = 0.8, 50, 1024


def first_screen(
    profiles: Sequence[Mapping[str, Any]],
    sources: pa.Table,
    solution: Mapping[str, Any],
    counts: Mapping[str, int],
    traffic: Days | None = None,
) -> dict[str, Any]:
    """The first screen as plain values.

    Args:
        profiles: profiles of the clusters. Clusters of one window are counted but not listed.
        sources: a row per source that was read; `cluster` is null if the source is in no cluster.
        solution: the solution of the clustering.
        counts: the counts of an analysis.
        traffic: records and sources per day of everything that was read; None sums up the clusters.

    Returns:
        `sentences`; `period`; `new`, `growing` and `gone`, each a list of lines, and their `totals`; `known` scanners;
        `candidates` for a block list, each with the malicious group that a label list names (or None) and the reasons
        against blocking it.
    """
    days = traffic or traffic_of(profiles)
    period = period_of(days)
    several = [profile for profile in profiles if profile["n_windows"] > 1]
    lines = news_lines(profiles, days)
    shown = {kind: lines[kind][:SHOWN] for kind in KINDS}
    known = _known(several)
    listed = {row["cluster"] for group in known for row in group["clusters"]}
    gone = {line["cluster"] for line in lines["gone"]}
    return {
        "period": _period_values(period),
        "sentences": sentences(days, period, several, sources, counts, lines),
        "totals": {kind: len(lines[kind]) for kind in KINDS},
        **shown,
        "known": known,
        "candidates": _candidates([p for p in several if p["cluster"] not in listed | gone], sources, solution),
    }


def news_lines(profiles: Sequence[Mapping[str, Any]], traffic: Days | None = None) -> dict[str, list[dict[str, Any]]]:
    """A line for each cluster that is new, growing or gone, by kind, the most unusual first.

    Args:
        profiles, traffic: as for `first_screen`.
    """
    period = period_of(traffic or traffic_of(profiles))
    if period is None:
        return {kind: [] for kind in KINDS}
    changes = [(change_of(profile, period), profile) for profile in profiles if profile["n_windows"] > 1]
    changes.sort(key=lambda pair: (-pair[0].score, pair[1]["cluster"]))
    return {kind: [line_of(one, change, period) for change, one in changes if change.kind == kind] for kind in KINDS}


def _period_values(period: Period | None) -> dict[str, Any] | None:
    if period is None:
        return None
    recent = day_text(period.recent) if period.n_recent else None
    return {"first": day_text(period.first), "last": day_text(period.last), "recent_from": recent}


def line_of(profile: Mapping[str, Any], change: Change, period: Period) -> dict[str, Any]:
    """One line of news: name, sizes, services, sparkline, and a sentence."""
    return {
        "cluster": profile["cluster"],
        "name": name_of(profile),
        "text": sentence_of(profile, change),
        "n_sources": profile["n_sources"],
        "n_networks": profile.get("n_networks", 0),
        "services": [row["service"] for row in profile.get("services", [])[:SPELT_SERVICES]],
        "since": f"{'last seen' if change.kind == 'gone' else 'since'} {day_text(change.since)}",
        "score": round(change.score, 2),
        "spark": spark(profile.get("days") or [], period),
    }


def spark(days: Days, period: Period) -> list[int]:
    """Numbers of records in at most `SPARK_BINS` equal parts of the period."""
    n_bins = min(SPARK_BINS, period.n_days)
    bins = np.zeros(n_bins, dtype=np.int64)
    table = period.within(days)
    np.add.at(bins, (table[:, 0] - period.first) * n_bins // period.n_days, table[:, 1])
    return bins.tolist()


def _known(profiles: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Clusters of known scanners, grouped by label and then by tool. Malicious groups are left out."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for profile in profiles:
        named = _named_by(profile)
        if named and not is_malicious(named[1]):
            groups[named].append(profile)
    found = [
        {
            "kind": kind,
            "who": who,
            "n_sources": sum(profile["n_sources"] for profile in members),
            "clusters": [{"cluster": one["cluster"], "name": name_of(one)} for one in members],
        }
        for (kind, who), members in groups.items()
    ]
    return sorted(found, key=lambda row: (row["kind"], -row["n_sources"], row["who"]))


def _named_by(profile: Mapping[str, Any]) -> tuple[str, str] | None:
    """The label or tool of most windows of a cluster: ("label", name), or ("tool", name) if there is no label."""
    for field, key in (("labels", "label"), ("tools", "tool")):
        if name := majority(profile.get(field) or [], key):
            return key, name
    return None


def confidence_of(profile: Mapping[str, Any], solution: Mapping[str, Any]) -> float | None:
    """Probability that a window belongs to this cluster and not to the next best one; None without calibration."""
    return float(expit(profile["margin"])) if is_calibrated(solution) and "margin" in profile else None


def _candidates(
    profiles: Sequence[Mapping[str, Any]], sources: pa.Table, solution: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Clusters that could be blocked, each with its confidence and the reasons against blocking it.

    Clusters of malicious groups come first, then those with the fewest reasons against; ties go to the larger cluster.
    """
    shared = _shared_sources(sources)
    rows = []
    for profile in profiles:
        confidence = confidence_of(profile, solution)
        if profile["n_sources"] < 2 or (confidence is not None and confidence < LEAST_CONFIDENCE):
            continue
        found = _named_by(profile)
        rows.append(
            {
                "cluster": profile["cluster"],
                "name": name_of(profile),
                "n_sources": profile["n_sources"],
                "malicious": found[1] if found and is_malicious(found[1]) else None,
                "confidence": None if confidence is None else round(confidence, 3),
                "against": reasons_against(profile, shared.get(profile["cluster"], 0)),
            }
        )
    rows.sort(key=lambda row: (row["malicious"] is None, len(row["against"]), -row["n_sources"], row["cluster"]))
    return rows[:SHOWN]


def _shared_sources(sources: pa.Table) -> dict[int, int]:
    """For each cluster, how many of its sources also have windows in other clusters."""
    if "agreement" not in sources.column_names:
        return {}
    return numbers_of(sources.filter(pc.less(sources["agreement"], 1.0))["cluster"])


def reasons_against(profile: Mapping[str, Any], n_shared: int) -> list[str]:
    """Reasons against blocking the sources of a cluster."""
    n_sources = profile["n_sources"]
    reasons = []
    if n_shared > SHARED_SOURCES * n_sources:
        reasons.append(
            f"{n_shared:,} of {counted(n_sources, 'source')} are in other clusters, too: their addresses may be shared"
        )
    if profile["n_records"] < FEW_RECORDS * n_sources:
        reasons.append(f"few records: {profile['n_records'] / n_sources:.0f} per source")
    labels = profile.get("labels", [])
    known = [row for row in labels if not is_malicious(row["label"])]
    n_known = profile.get("n_labelled", 0) - sum(row["windows"] for row in labels if row not in known)
    # A profile has only the most frequent labels, which may all be of malicious groups.
    if known and n_known > 0:
        reasons.append(label_words(known, n_known, profile["n_windows"]))
    if len(profile.get("days") or [0, 0]) == 1:
        reasons.append("seen on one day only")
    ports = profile.get("src_ports") or []
    from_one = bool(ports) and ports[0]["share"] >= REPLY_SHARE and ports[0]["port"] < WELL_KNOWN
    if from_one and profile.get("n_services", 0) >= REPLY_SERVICES:
        reasons.append(f"may be replies from port {ports[0]['port']} to packets with spoofed addresses")
    return reasons


def label_words(rows: Sequence[Mapping[str, Any]], n_labelled: int, n_windows: int) -> str:
    """How many windows have a label, and which labels: "1 of 1,841 windows labelled: alphastrike"."""
    names = [f"{row['label']} ({row['windows']:,})" if len(rows) > 1 else str(row["label"]) for row in rows]
    return f"{n_labelled:,} of {n_windows:,} windows labelled: {', '.join(names)}"
