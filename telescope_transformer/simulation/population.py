"""Draws actors and their sources: when they send, how fast, to which ports, and in which order."""

from dataclasses import dataclass, field
from ipaddress import IPv4Network

import numpy as np

from telescope_transformer.arrays import positions_in_runs
from telescope_transformer.fields import HOUR
from telescope_transformer.simulation.behaviours import (
    BACKSCATTER,
    BEHAVIOURS,
    MASSCAN,
    MISCONFIGURATION,
    RESEARCH,
    SLOW,
    SOURCE_DTYPE,
    WORM,
    ZMAP,
    Behaviour,
)
from telescope_transformer.simulation.orders import (
    Walk,
    masscan_walk,
    reverse_byte_walk,
    shuffle,
    zmap_exponents,
    zmap_walk,
)

# Private and shared address space, so that no real address is simulated.
SOURCES = IPv4Network("10.0.0.0/8")
RESEARCH_SOURCES = IPv4Network("100.64.0.0/10")
# Hop counts and initial TTLs of sources; the TTLs are those of common operating systems.
_HOPS = (6, 25)
_INITIAL_TTL = (64, 128, 255)
# Our choice, to bound memory: the most entries of all walks (100 MB), and the most walks of a scanner. Further actors
# share walks, but with different origins.
_WALK_ENTRIES = 2**23
_MOST_WALKS = 32
# Our choice: standard deviation of the logarithm of the volume, among actors and among the sources of an actor.
_ACTOR_SPREAD, SOURCE_SPREAD = 0.7, 0.4
# Our choice: mean delay of an infection after the start of its worm, as a share of the recording.
INFECTION_DELAY = 0.15
# A connection attempt and two retransmissions (`emission._emit_tries`).
PACKETS_PER_TRY = 3


@dataclass
class Population:
    """Sources (n,) of `SOURCE_DTYPE`, and the arrays they index: actor names, ports (protocol << 16 | port) and
    walks."""

    sources: np.ndarray
    actors: list[str]
    ports: np.ndarray
    walks: list[Walk]
    targets: np.ndarray


@dataclass
class _Draft:
    """The population while its behaviours are drawn one after the other."""

    rng: np.random.Generator
    targets: np.ndarray
    start: int
    duration: int
    walks: dict[int, list[int]] = field(default_factory=dict)
    lengths: list[int] = field(default_factory=list)
    actors: list[str] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)


def draw_population(
    sources: int, seed: int, records_per_source: float, telescope: IPv4Network, start: int, duration: int
) -> Population:
    """Draw actors and sources; `start` and `duration` are in microseconds."""
    targets = np.arange(telescope.num_addresses, dtype=np.uint32) + np.uint32(int(telescope.network_address))
    draft = _Draft(np.random.default_rng(seed), targets, start, duration)
    walks = _draw_walks(draft)
    shares = np.array([behaviour.share for behaviour in BEHAVIOURS])
    counts = np.diff(np.round(np.concatenate(([0.0], np.cumsum(shares / shares.sum()))) * sources).astype(int))
    mean_volume = sum(behaviour.share * behaviour.volume for behaviour in BEHAVIOURS) / shares.sum()
    parts = [
        _draw_kind(draft, kind, int(count), records_per_source * BEHAVIOURS[kind].volume / mean_volume)
        for kind, count in enumerate(counts)
    ]
    table = np.concatenate(parts)
    _place(table, draft.rng)
    return Population(table, draft.actors, np.array(draft.ports, dtype=np.uint32), walks, targets)


def _draw_walks(draft: _Draft) -> list[Walk]:
    """Draw a bounded number of walks for each scanner, and decide which of them each kind may use."""
    count = int(np.clip(_WALK_ENTRIES // (2 * len(draft.targets)), 1, _MOST_WALKS))
    zmap = [zmap_walk(draft.targets, exponent) for exponent in zmap_exponents(draft.rng, count)]
    masscan = [masscan_walk(draft.targets, int(seed)) for seed in draft.rng.integers(0, 2**62, count)]
    walks = [*zmap, *masscan, reverse_byte_walk(draft.targets)]
    draft.walks = {
        ZMAP: list(range(count)),
        RESEARCH: list(range(count)),
        MASSCAN: list(range(count, 2 * count)),
        SLOW: [2 * count],
    }
    draft.lengths = [walk.length for walk in walks]
    return walks


def _draw_kind(draft: _Draft, kind: int, count: int, mean_records: float) -> np.ndarray:
    behaviour, rng = BEHAVIOURS[kind], draft.rng
    sizes = _group_sizes(rng, behaviour, count)
    actors = len(sizes)
    actor = np.repeat(np.arange(actors), sizes)
    table = np.zeros(count, dtype=SOURCE_DTYPE)
    table["kind"] = kind
    table["actor"] = len(draft.actors) + actor
    draft.actors += [f"{behaviour.name}-{number:05d}" for number in range(actors)]

    offered = _register_ports(draft, behaviour)
    chosen = offered[rng.integers(0, len(offered), actors)]
    table["first_port"], table["ports"] = chosen[actor].T
    table["shard"] = positions_in_runs(sizes)
    table["shards"] = np.repeat(sizes, sizes)
    table["key"] = rng.integers(0, 2**63, count)
    table["src_port"] = rng.integers(1024, 65536, count)
    initial = np.array(_INITIAL_TTL)[rng.integers(0, 3, actors)] if kind != WORM else np.full(actors, 64)
    table["ttl"] = initial[actor] - rng.integers(*_HOPS, count)
    table["target"] = draft.targets[rng.integers(0, len(draft.targets), actors)][actor]

    _schedule(draft, table, kind, actor)
    spread = np.exp(_ACTOR_SPREAD * rng.standard_normal(actors) - _ACTOR_SPREAD**2 / 2)
    records = mean_records * spread[actor]
    if kind in (WORM, BACKSCATTER):
        records = records * np.exp(SOURCE_SPREAD * rng.standard_normal(count) - SOURCE_SPREAD**2 / 2)
    table["rate"] = records / (table["end"] - table["begin"])
    if kind == MISCONFIGURATION:
        # All devices of an actor use the same timer.
        table["period"] = (draft.duration / 2 / (mean_records * spread / PACKETS_PER_TRY))[actor]
    if kind in draft.walks:
        _assign_walks(draft, table, kind, actor)
    return table


def _group_sizes(rng: np.random.Generator, behaviour: Behaviour, count: int) -> np.ndarray:
    """Draw sizes of actors with sum `count`, so that even a small population has some actors of each behaviour."""
    largest = min(behaviour.largest, max(behaviour.smallest, count // 3, 1))
    sizes = rng.integers(min(behaviour.smallest, largest), largest + 1, max(count, 1))
    ends = np.minimum(np.cumsum(sizes), count)
    sizes = np.diff(np.concatenate(([0], ends)))
    return sizes[sizes > 0]


def _register_ports(draft: _Draft, behaviour: Behaviour) -> np.ndarray:
    """Add the port sets of a behaviour; returns the first index and the size of each set (sets, 2)."""
    spans = []
    for ports in behaviour.ports:
        spans.append((len(draft.ports), len(ports)))
        draft.ports += [protocol << 16 | port for protocol, port in ports]
    return np.array(spans)


def _schedule(draft: _Draft, table: np.ndarray, kind: int, actor: np.ndarray) -> None:
    """Set when sources are active: during the campaign of their actor. Worms spread, and victims answer briefly."""
    rng, count = draft.rng, len(table)
    actors = int(actor[-1]) + 1 if count else 0
    begin = rng.uniform(0.0, 0.6, actors)
    length = rng.uniform(0.2, 1.0, actors) * (1.0 - begin)
    if kind == RESEARCH:
        begin, length = np.zeros(actors), np.ones(actors)
    first, span = begin[actor], length[actor]
    if kind == WORM:
        first = np.minimum(first + rng.exponential(INFECTION_DELAY, count), 0.9)
        span = rng.exponential(0.4, count) + 0.02
    elif kind == BACKSCATTER:
        span = np.minimum(span, (rng.uniform(0.1, 2.0, actors) * HOUR / draft.duration)[actor])
    elif kind == MISCONFIGURATION:
        first = rng.uniform(0.0, 0.5, count)
        span = rng.uniform(0.2, 0.8, count)
    table["begin"] = draft.start + (first * draft.duration).astype(np.int64)
    table["end"] = draft.start + (np.minimum(first + span, 1.0) * draft.duration).astype(np.int64) + 1


def _assign_walks(draft: _Draft, table: np.ndarray, kind: int, actor: np.ndarray) -> None:
    """Set the walk of each actor and the part of it that each source covers."""
    rng, count = draft.rng, len(table)
    actors = int(actor[-1]) + 1 if count else 0
    usable = np.array(draft.walks[kind])
    table["walk"] = usable[rng.integers(0, len(usable), actors)][actor]
    length = draft.lengths[usable[0]]
    origin = rng.integers(0, length, actors)[actor]
    table["span"] = length
    if kind in (ZMAP, RESEARCH):
        # ZMap's shards are contiguous ranges of exponents ("Ten Years of ZMap", IMC 2024, section 4.3).
        table["span"] = length // table["shards"].astype(np.int64)
        origin = origin + table["shard"].astype(np.int64) * table["span"].astype(np.int64)
    elif kind == MASSCAN:
        origin = rng.integers(0, length, count)
    table["origin"] = origin % length
    steps_per_hit = length / len(draft.targets)
    table["speed"] = table["rate"] * steps_per_hit * (table["shards"] if kind == SLOW else 1)


def _place(table: np.ndarray, rng: np.random.Generator) -> None:
    """Gives every source its own address; the sources of a research scanner share a /24."""
    research = table["kind"] == RESEARCH
    others = np.arange(np.count_nonzero(~research), dtype=np.uint64)
    scattered = shuffle(others, SOURCES.num_addresses, int(rng.integers(0, 2**62)))
    table["address"][~research] = np.uint32(int(SOURCES.network_address)) + scattered.astype(np.uint32)
    if not research.any():
        return
    networks, number = np.unique(table["actor"][research], return_inverse=True)
    prefixes = shuffle(
        np.arange(len(networks), dtype=np.uint64), RESEARCH_SOURCES.num_addresses // 256, int(rng.integers(0, 2**62))
    )
    base = int(RESEARCH_SOURCES.network_address) + prefixes[number] * 256 + 16
    table["address"][research] = (base + table["shard"][research].astype(np.uint64)).astype(np.uint32)
