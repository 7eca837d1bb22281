"""Behaviours of the actors of a synthetic telescope, with their shares and ports, and references.

The mix follows what telescopes report: scanning dominates (Durumeric et al., "An Internet-Wide View of Internet-Wide
Scanning", USENIX Security 2014), worms like Mirai have many sources (Antonakakis et al., "Understanding the Mirai
Botnet", USENIX Security 2017), research scanners spread over a /24 (Collins et al., "Acknowledged Scanners", 2023),
backscatter comes from victims of spoofed floods (Moore et al., "Inferring Internet Denial-of-Service Activity", USENIX
Security 2001) and misconfigured hosts repeat one destination (Wustrow et al., "Internet Background Radiation
Revisited", IMC 2010).  The shares themselves are our choice.
"""

from dataclasses import dataclass

import numpy as np

from telescope_transformer.records.schema import TCP, UDP

ZMAP, MASSCAN, WORM, RESEARCH, SLOW, BACKSCATTER, MISCONFIGURATION = range(7)


@dataclass(frozen=True)
class Behaviour:
    """A kind of behaviour.

    Attributes:
        name: name of the behaviour.
        share: share of all sources that behave like this.
        smallest: fewest sources of an actor.
        largest: most sources of an actor.
        volume: records per source, relative to the mean.
        ports: sets of (protocol, port), one of which an actor uses; a port that occurs twice is twice as likely.
    """

    name: str
    share: float
    smallest: int
    largest: int
    volume: float
    ports: tuple[tuple[tuple[int, int], ...], ...]


def _tcp(*ports: int) -> tuple[tuple[int, int], ...]:
    return tuple((TCP, port) for port in ports)


def _udp(*ports: int) -> tuple[tuple[int, int], ...]:
    return tuple((UDP, port) for port in ports)


# Mirai sends every tenth probe to 2323 (scanner.c of the published source).
_TELNET = _tcp(*[23] * 9, 2323)

BEHAVIOURS = (
    Behaviour(
        "zmap", 0.12, 1, 8, 2.0,
        (_tcp(80), _tcp(443), _tcp(22), _tcp(3389), _tcp(8080, 80), _tcp(6379), _tcp(25565), _udp(53), _udp(123),
         _udp(161), _udp(1900), _tcp(5900), _tcp(445), _tcp(21)),
    ),
    Behaviour(
        "masscan", 0.13, 1, 6, 2.0,
        (_tcp(80, 443, 8080, 8443), _tcp(3389), _tcp(1433, 3306, 5432), _tcp(22, 2222), _tcp(6379, 9200, 27017),
         _tcp(5555), _tcp(2375, 2376, 6443, 10250), _tcp(445, 139), _tcp(8545), _tcp(81, 82, 88, 8000, 8081, 8888)),
    ),
    Behaviour(
        "worm", 0.30, 20, 200, 0.6,
        (_TELNET, _tcp(*[23] * 5, *[2323] * 2, 7547), _tcp(5555), _tcp(37215), _tcp(*[23] * 3, 80, 8080, 5555),
         _tcp(52869, 37215), _tcp(*[23] * 8, 22, 22)),
    ),
    Behaviour(
        "research", 0.15, 8, 64, 1.2,
        (_tcp(21, 22, 23, 25, 80, 110, 143, 443, 993, 995, 8080, 8443), _tcp(102, 502, 1911, 2404, 4840, 20000, 44818),
         _udp(53, 123, 161, 389, 1900, 5353, 11211), _tcp(80, 443), _tcp(5900, 5901, 3389, 22),
         _tcp(27017, 9200, 6379, 5432, 3306, 1433, 1521, 11211), _tcp(*range(8000, 8100)), _tcp(*range(1, 1024))),
    ),
    Behaviour("slow", 0.10, 16, 64, 0.4, (_udp(5060), _tcp(445), _tcp(1433), _tcp(22), _tcp(3389), _udp(5060, 5061))),
    Behaviour("backscatter", 0.10, 2, 20, 0.8, (_tcp(80), _tcp(443), _tcp(80, 443), _tcp(53), _tcp(22), _tcp(7777))),
    Behaviour(
        "misconfiguration", 0.10, 4, 40, 0.5,
        (_udp(53), _udp(123), _udp(514), _udp(6881), _tcp(25), _tcp(445), _udp(3478), _tcp(8333), _udp(161)),
    ),
)  # fmt: skip

# One row per source. Times are microseconds UTC; `speed` is in steps of the walk per microsecond, `rate` in records
# per microsecond; a walk starts at `origin` and returns there after `span` steps.
SOURCE_DTYPE = np.dtype(
    [
        ("key", "u8"), ("begin", "i8"), ("end", "i8"), ("period", "i8"), ("origin", "u8"), ("span", "u8"),
        ("rate", "f8"), ("speed", "f8"), ("address", "u4"), ("target", "u4"), ("actor", "i4"), ("walk", "i4"),
        ("first_port", "i4"), ("ports", "i4"), ("shard", "i4"), ("shards", "i4"), ("src_port", "u2"), ("kind", "u1"),
        ("ttl", "u1"),
    ]
)  # fmt: skip
