"""Sentences about what happened at the whole telescope and in single clusters."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.report.days import Days
from telescope_transformer.report.names import name_of
from telescope_transformer.report.news import KINDS, Change, Period
from telescope_transformer.report.phrases import MAJORITY, NAMED_SHARE, SPELT_SERVICES
from telescope_transformer.words import counted, duration, joined, spoken_day, spoken_days

# A day is mentioned if it has three times the records of the median day. Our choice: traffic at telescopes usually
# varies less than that from one day to the next.
BUSY = 3.0


def sentence_of(profile: Mapping[str, Any], change: Change) -> str:
    """Say in a sentence what one cluster did."""
    who = counted(profile["n_sources"], "source")
    if profile.get("n_networks", 0) > 1:
        who += f" in {counted(profile['n_networks'], 'network')}"
    does = _what_it_probes(profile)
    if change.kind == "new":
        return f"A new cluster of {who} has probed {does} since {spoken_day(change.since, year=False)}."
    if change.kind == "gone":
        return f"A cluster of {who} that probed {does} was last seen on {spoken_day(change.since, year=False)}."
    if change.kind == "growing":
        return f"A cluster of {who} that probes {does} has {change.factor:.1f} times as many sources a day as before."
    return f"A cluster of {who} probes {does}."


def _what_it_probes(profile: Mapping[str, Any]) -> str:
    """The main services, the number of others, and the rhythm: "tcp/443 and 2 other ports in steps of 10 s"."""
    services = profile.get("services", [])
    n_services = profile.get("n_services", len(services))
    named = [row["service"].split()[0] for row in services if row["share"] >= NAMED_SHARE][:SPELT_SERVICES]
    kind = "port" if all("/" in row["service"] for row in services) else "service"
    others = n_services - len(named)
    does = counted(n_services, kind)
    if named:
        does = joined([*named, counted(others, f"other {kind}")] if others else named)
    timing = profile.get("timing", {})
    is_regular = timing.get("pattern") == "regular"
    return does + (f" in steps of {duration(timing['median_inter_arrival_s'])}" if is_regular else "")


def sentences(
    days: Days,
    period: Period | None,
    several: Sequence[Mapping[str, Any]],
    sources: pa.Table,
    counts: Mapping[str, int],
    lines: Mapping[str, Sequence[Mapping[str, Any]]],
) -> list[str]:
    """Say what happened at the whole telescope, the most important things first.

    Args:
        days: records and sources per day of everything that was read.
        period: the period of these days; None if there are none.
        several: profiles of the clusters of several windows.
        sources: a row per source that was read; `cluster` is null if the source is in no cluster.
        counts: the counts of an analysis.
        lines: clusters that are new, growing and gone, the most unusual first.
    """
    if period is None:
        n_kept = counts.get("kept", pc.sum(sources["n_records"]).as_py() or 0)
        return [f"{counted(n_kept, 'record')} were kept; none is in a window."]
    # Not the number of records read: with --keep, a running analysis has deleted old ones.
    n_records = sum(row[1] for row in days)
    when = spoken_days(period.first, period.last)
    sent = f"{counted(sources.num_rows, 'source')} sent {counted(n_records, 'record')}"
    outside = n_records - int(period.within(days)[:, 1].sum())
    said = [f"{when}, {sent}."]
    if outside:
        lie = "1 lies" if outside == 1 else f"{outside:,} lie"
        said = [
            f"{sent}, {n_records - outside:,} of them {when[0].lower()}{when[1:]}.",
            f"The other {lie} far from these days: records from other years, or from a wrong clock.",
        ]
    said.append(_where_sources_are(several, sources))
    if period.n_recent:
        said += [_against_before(days, period), _news_counts(period, lines)]
    said += _busiest_day(days, period, several)
    said += [lines[kind][0]["text"] for kind in KINDS if lines[kind]]
    return said


def _where_sources_are(several: Sequence[Mapping[str, Any]], sources: pa.Table) -> str:
    """How many sources are in clusters, how many behave like no other, and how many sent too few records to tell."""
    n_unplaced = sources["cluster"].null_count
    numbers = pa.array([profile["cluster"] for profile in several], sources["cluster"].type)
    n_grouped = pc.sum(pc.is_in(sources["cluster"], numbers)).as_py() or 0
    n_alone = sources.num_rows - n_unplaced - n_grouped
    if sources.num_rows == 1 and not n_unplaced:
        return "Its windows form one cluster." if n_grouped else "There is no other source to compare it with."
    forms = "forms" if n_grouped == 1 else "form"
    who = "All of them" if n_grouped == sources.num_rows else f"{n_grouped:,} of them"
    parts = [f"{who} {forms} {counted(len(several), 'cluster')}"]
    if not several:
        parts = ["None of them is in a cluster"]
    if n_alone:
        parts.append(f"{n_alone:,} {'behaves' if n_alone == 1 else 'behave'} like no other source")
    if n_unplaced:
        parts.append(f"{n_unplaced:,} sent too few records to be in a cluster")
    return "; ".join(parts) + "."


def _against_before(days: Days, period: Period) -> str:
    """Compare records and sources per day in the newest part of the period with those before."""
    table = period.within(days)
    recent = table[:, 0] >= period.recent
    n_before = period.n_days - period.n_recent
    rates = [
        (table[recent, column].sum() / period.n_recent, table[~recent, column].sum() / n_before) for column in (1, 2)
    ]
    (records, records_before), (active, active_before) = rates
    since = spoken_day(period.recent, year=False)
    when, a_day = (f"On the last day, {since},", "")
    if period.n_recent > 1:
        when, a_day = f"In the last {period.n_recent} days, since {since},", " a day"
    before = f"in the {counted(n_before, 'day')} before, {_rate(records_before)} a day from {_rate(active_before)}"
    sent, by = _rate(records, "record"), _rate(active, "source")
    return f"{when} {sent}{a_day} came from {by}; {before}."


def _rate(number: float, thing: str = "") -> str:
    """A number per day with its unit. Below ten it has a decimal, so that a small number does not become 0."""
    text = f"{number:,.0f}" if number >= 10 or number == round(number) else f"{number:.1f}"
    text = text if number >= 0.05 or not number else "less than 0.1"
    return f"{text} {thing}{'' if text == '1' else 's'}" if thing else text


def _news_counts(period: Period, lines: Mapping[str, Sequence[Any]]) -> str:
    """The numbers of new, growing and gone clusters: "Since 14 March, no cluster is new, ..."."""
    new, growing, gone = (len(lines[kind]) for kind in KINDS)
    fresh = f"{counted(new, 'cluster') if new else 'no cluster'} {'is' if new <= 1 else 'are'} new"
    rising = f"{growing:,} {'is' if growing == 1 else 'are'} growing" if growing else "none is growing"
    quiet = f"{gone:,} {'has' if gone == 1 else 'have'} gone quiet" if gone else "none has gone quiet"
    return f"Since {spoken_day(period.recent, year=False)}, {fresh}, {rising} and {quiet}."


def _busiest_day(days: Days, period: Period, several: Sequence[Mapping[str, Any]]) -> list[str]:
    """Name the busiest day and the cluster responsible for it, if the day was far busier than others."""
    counts = np.zeros(period.n_days, dtype=np.int64)
    table = period.within(days)
    counts[table[:, 0] - period.first] = table[:, 1]
    usual, most = float(np.median(counts)), int(counts.max())
    if not usual or most < BUSY * usual:
        return []
    busiest = period.first + int(counts.argmax())
    times = f"{most / usual:.0f} times as many as on the median day"
    told = f"The busiest day was {spoken_day(busiest, year=False)}, with {most:,} records, {times}."
    of_day = [(sum(row[1] for row in one.get("days") or [] if row[0] == busiest), one) for one in several]
    mine, main = max(of_day, key=lambda pair: pair[0], default=(0, {}))
    if mine < MAJORITY * most:
        return [told]
    return [f'{told} {100 * mine / most:.0f} % of them came from the cluster "{name_of(main)}".']
