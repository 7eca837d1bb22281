"""What clusters are called, and the sentences about them."""

from typing import Any

import pyarrow as pa
import pytest

from telescope_transformer.report.names import name_clusters, plain_name
from telescope_transformer.report.news import Change, period_of
from telescope_transformer.report.reasons import difference
from telescope_transformer.report.sentences import sentence_of, sentences


def profile(cluster: int = 0, **changes: Any) -> dict[str, Any]:
    """A cluster of 100 sources in 90 networks whose records nearly all go to tcp/445."""
    return {
        "cluster": cluster,
        "n_sources": 100,
        "n_networks": 90,
        "n_services": 14,
        "services": [{"service": "tcp/445 smb", "share": 0.97}, {"service": "udp/53 dns", "share": 0.01}],
        "timing": {"pattern": "regular", "median_inter_arrival_s": 3.0},
        "targets": {"order": "random", "n_destinations": 7},
        "networks": [{"network": "192.0.2.0/24", "sources": 3}],
        "src_ports": [{"port": 6000, "share": 0.2}],
        "why": [{"field": "services", "share": 0.46}, {"field": "source ports", "share": 0.2}],
        **changes,
    }


def services(*shares: float) -> list[dict[str, Any]]:
    return [{"service": f"tcp/{port}", "share": share} for port, share in enumerate(shares, start=7001)]


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "tcp/445 smb"),
        ({"services": services(0.6, 0.2)}, "14 tcp ports, mostly tcp/7001"),
        ({"services": services(0.3, 0.2)}, "14 tcp ports, most often tcp/7001"),
        ({"services": services(0.09, 0.01), "n_services": 722}, "about 720 tcp ports"),
        ({"services": services(0.7, 0.3), "n_services": 2}, "tcp/7001 and tcp/7002"),
        ({"n_networks": 3}, "tcp/445 smb from 3 networks"),
        ({"countries": [{"country": "NL", "sources": 80}]}, "tcp/445 smb from NL"),
        ({"n_networks": 3, "countries": [{"country": "NL", "sources": 80}]}, "tcp/445 smb from 3 networks in NL"),
        ({"owners": [{"asn": 64500, "name": None, "sources": 90}]}, "tcp/445 smb from AS64500"),
        ({"labels": [{"label": "censys", "share": 0.5}]}, "censys: tcp/445 smb"),
        ({"tools": [{"tool": "mirai", "share": 0.5}]}, "tcp/445 smb, Mirai-like"),
    ],
)
def test_a_name_says_what_a_cluster_does_and_where_it_is(changes: dict[str, Any], name: str) -> None:
    assert plain_name(profile(**changes)) == name


def test_names_are_unique_and_say_nothing_wrong() -> None:
    """A network is part of a name only if most of the sources are in it."""
    slow = {"timing": {"pattern": "slow", "median_inter_arrival_s": 7200.0}}
    mostly = {"networks": [{"network": "198.51.100.0/24", "sources": 60}], **slow}
    alike = [profile(0), profile(1, **slow), profile(2, **slow), profile(3, **mostly)]
    name_clusters(alike)
    assert [one["name"] for one in alike] == [
        "tcp/445 smb, every 3 s",
        "tcp/445 smb, slow (no. 1)",
        "tcp/445 smb, slow (no. 2)",
        "tcp/445 smb, slow, mostly 198.51.100.0/24",
    ]


@pytest.mark.parametrize(
    ("one", "other", "names"),
    [
        (
            {"targets": {"prefixes": [{"prefix": "sensor-1", "share": 1.0}]}},
            {"targets": {"prefixes": [{"prefix": "198.51.100.0/24", "share": 0.6}]}},
            ["tcp/445 smb, only to sensor-1", "tcp/445 smb, mostly to 198.51.100.0/24"],
        ),
        ({"src_ports": [{"port": 6000, "share": 0.8}]}, {}, ["tcp/445 smb, source port 6000", "tcp/445 smb"]),
        (
            {"timing": {"pattern": "irregular", "median_inter_arrival_s": 59.0}},
            {"timing": {"pattern": "irregular", "median_inter_arrival_s": 60.0}},
            ["tcp/445 smb, seconds apart", "tcp/445 smb, minutes apart"],
        ),
        ({"n_sources": 7}, {"n_sources": 2345}, ["tcp/445 smb, 7 sources", "tcp/445 smb, about 2,300 sources"]),
        (
            {"first_seen": "2024-03-04T05:06:07Z"},
            {"first_seen": "2024-03-05T05:06:07Z"},
            ["tcp/445 smb, since 4 March 2024", "tcp/445 smb, since 5 March 2024"],
        ),
    ],
)
def test_clusters_of_the_same_plain_name_get_what_tells_them_apart(
    one: dict[str, Any], other: dict[str, Any], names: list[str]
) -> None:
    """What both have in common is not said."""
    both = {"targets": {"order": "ascending"}} if "targets" not in one else {}
    alike = [profile(0, **both, **one), profile(1, **both, **other)]
    name_clusters(alike)
    assert [each["name"] for each in alike] == names
    again = [profile(0, **both, **one), profile(1, **both, **other)]
    name_clusters(again, dict(enumerate(names)))
    assert [each["name"] for each in again] == names


@pytest.mark.parametrize(
    ("old", "changes", "stays"),
    [
        ("tcp/445 smb from 3 networks", {"n_networks": 3}, True),
        ("tcp/445 smb from 3 networks", {}, False),
        ("tcp/445 smb from 192.0.2.9", {}, False),
        ("tcp/445 smb, every 3 s", {}, True),
        ("tcp/445 smb, slow", {}, False),
        ("tcp/445 smb, one target (no. 3)", {}, False),
        ("tcp/445 smb (no. 3)", {}, True),
        ("tcp/445 smb, mostly 198.51.100.0/24", {}, False),
        ("tcp/445 smb, Mirai-like", {}, False),
        ("tcp/445 smb, Mirai-like", {"tools": [{"tool": "mirai", "share": 0.5}]}, True),
        ("tcp/445 smb", {"tools": [{"tool": "mirai", "share": 0.5}]}, False),
        ("censys: tcp/445 smb", {"labels": [{"label": "censys", "share": 0.5}]}, True),
        ("censys: tcp/445 smb", {}, False),
        ("tcp/445 smb and tcp/139 netbios", {}, False),
        ("10 tcp ports, mostly tcp/445 smb", {}, True),
        ("6 tcp ports, mostly tcp/445 smb", {}, False),
        ("tcp/445 smb, only to sensor-1", {}, False),
        ("tcp/445 smb, source port 6000", {}, False),
        ("tcp/445 smb, source port 6000", {"src_ports": [{"port": 6000, "share": 0.9}]}, True),
        ("tcp/445 smb, seconds apart", {}, True),
        ("tcp/445 smb, minutes apart", {}, False),
        ("tcp/445 smb, 90 sources", {}, True),
        ("tcp/445 smb, 60 sources", {}, False),
        ("tcp/445 smb, since 4 March 2024", {}, False),
        ("tcp/445 smb, since 4 March 2024", {"first_seen": "2024-04-03T00:00:00Z"}, True),
        ("tcp/445 smb, since 4 March 2024", {"first_seen": "2024-03-03T00:00:00Z"}, False),
        ("smb 445 from Example, Inc. (EU)", {"owners": [{"name": "Example, Inc. (EU)", "sources": 90}]}, True),
        ("tcp/445 smb from Example, Inc. (EU)", {"owners": [{"name": "Example, Ltd.", "sources": 90}]}, False),
        ("tcp/445 smb from 3 networks in NL", {"n_networks": 3}, False),
        ("A: B, 9 ports: smb 445", {"labels": [{"label": "A: B, 9 ports", "share": 0.5}]}, True),
        ("smb 445, own", {"tools": [{"tool": "own", "share": 0.5}]}, True),
        ("tcp/445 smb", {"tools": [{"tool": "own", "share": 0.5}]}, False),
        (
            "smb 445 and gre",
            {"services": [{"service": "gre", "share": 0.6}, {"service": "tcp/445 smb", "share": 0.4}]},
            True,
        ),
        ("gre and tcp/445 smb", {}, False),
        ("2 services, mostly icmp", {"services": [{"service": "icmp", "share": 0.9}], "n_services": 2}, True),
    ],
)
def test_a_name_is_kept_while_all_that_it_says_holds(old: str, changes: dict[str, Any], stays: bool) -> None:
    now = [profile(0, **changes)]
    name_clusters(now, {0: old})
    assert (now[0]["name"] == old) is stays


def test_a_name_is_kept_while_its_main_service_stays() -> None:
    """Cluster 2 no longer has a main service, cluster 3 never had one."""
    spread = {"services": services(0.05), "n_services": 800}
    now = [profile(0), profile(1, services=services(0.99)), profile(2, **spread), profile(3, **spread)]
    kept = {
        0: "smb 445 of old",
        1: "14 tcp ports, mostly tcp/445 smb",
        2: "9 ports, mostly tcp/22",
        3: "about 720 tcp ports",
    }
    name_clusters(now, kept)
    assert [one["name"] for one in now] == ["smb 445 of old", "tcp/7001", "about 800 tcp ports", "about 720 tcp ports"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {},
            "They probe almost only tcp/445 smb, choose their source ports in a similar way and come from 90 "
            "networks; services explain 46 % of the similarity.",
        ),
        (
            {"protocols": [{"protocol": "icmp", "share": 1.0}]},
            "They probe almost only tcp/445 smb and come from 90 networks; services explain 46 % of the similarity.",
        ),
        (
            {"why": [], "services": services(0.6, 0.2), "n_networks": 1},
            "They probe 14 services (mostly tcp/7001), send a record every 3 s, visit 7 destinations in random order "
            "and all come from 192.0.2.0/24.",
        ),
        (
            {"why": [{"field": "timing", "share": 0.9}], "n_sources": 1},
            "Its windows send a record every 3 s; timing explains 90 % of the similarity.",
        ),
    ],
)
def test_a_sentence_says_why_members_belong_together(changes: dict[str, Any], sentence: str) -> None:
    one = profile(**changes)
    name_clusters([one])
    assert one["sentence"] == sentence


def test_the_page_says_what_tells_neighbours_apart() -> None:
    other = profile(services=services(1.0), timing={}, targets={"order": "ascending"})
    apart = difference(profile(), other)
    assert (
        apart
        == "most often tcp/445 smb, not tcp/7001; 3 s between records, not 0 s; destinations: random, not ascending"
    )
    assert difference(profile(), profile()) == "these figures show no difference"


def test_news_of_a_cluster_counts_its_other_ports() -> None:
    new = Change("new", 19797, 9.0, float("inf"))
    assert sentence_of(profile(services=services(0.6, 0.2), n_services=3), new) == (
        "A new cluster of 100 sources in 90 networks has probed tcp/7001, tcp/7002 and 1 other port in steps of 3 s "
        "since 15 March."
    )
    assert "has probed 14 ports in steps" in sentence_of(profile(services=services(0.01)), new)


def test_a_day_that_is_far_busier_than_others_is_named_with_its_cluster() -> None:
    traffic = [(19790 + i, 100 if i != 4 else 1000, 10) for i in range(10)]
    loud, quiet = profile(0, name="loud", days=[(19794, 830, 5)]), profile(1, name="quiet", days=[(19794, 170, 5)])
    sources = pa.table({"source": ["192.0.2.1"], "cluster": pa.array([0], pa.int32()), "n_records": [8]})
    nothing: dict[str, list] = {"new": [], "growing": [], "gone": []}

    def said(days: list[tuple[int, int, int]], several: list[dict[str, Any]]) -> str:
        return " ".join(sentences(days, period_of(days), several, sources, {"kept": 8}, nothing))

    words = "The busiest day was 12 March, with 1,000 records, 10 times as many as on the median day."
    assert f'{words} 83 % of them came from the cluster "loud".' in said(traffic, [quiet, loud])
    assert said(traffic, [quiet]).count(words) == 1
    assert "came from the cluster" not in said(traffic, [quiet])
    assert "busiest" not in said([(day, 100, 10) for day, _, _ in traffic], [quiet])
    assert "Since 17 March, no cluster is new, none is growing and none has gone quiet." in said(traffic, [])


def test_records_far_from_all_others_are_not_said_to_be_of_the_period() -> None:
    traffic = [(19790, 7, 1), (19791, 1, 1), *((19791 + i, 0, 0) for i in range(1, 3)), (19794, 4, 1), (23000, 1, 1)]
    sources = pa.table({"source": ["192.0.2.1"], "cluster": pa.array([None], pa.int32()), "n_records": [13]})
    nothing: dict[str, list] = {"new": [], "growing": [], "gone": []}
    said = sentences(traffic, period_of(traffic), [], sources, {}, nothing)
    assert said[0] == "1 source sent 13 records, 12 of them from 8 March to 12 March 2024."
    assert said[1] == "The other 1 lies far from these days: records from other years, or from a wrong clock."
    assert "4 records came from 1 source; in the 4 days before, 2 a day from 0.5." in said[3]
