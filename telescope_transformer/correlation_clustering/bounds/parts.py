"""Solve a graph in independent pieces: its hard blocks, or the components that attractive pairs connect."""

from collections.abc import Callable

import numpy as np

from telescope_transformer.correlation_clustering.bounds.reduction import reduce_graph
from telescope_transformer.correlation_clustering.graph import canonical_labels
from telescope_transformer.correlation_clustering.solution import Deadline, Progress, sum_of_bounds

# Added to the number of entries of each block when the time is divided. If one second is shared with a block of
# 100,000 entries, the smallest block still gets about 20 ms.
_LEAST_SHARE = 2_000

SolvePart = Callable[[Progress, np.random.Generator], None]


def by_parts(progress: Progress, solve_part: SolvePart, rng: np.random.Generator) -> None:
    """Call ``solve_part`` for each hard block of the graph, and combine their clusterings and bounds.

    Each block gets time in proportion to its size. Time that it does not use goes to the larger blocks that follow.

    Args:
        progress: progress on the whole graph.
        solve_part: called with the progress on one block and ``rng``.
        rng: source of random numbers.
    """
    graph = progress.graph
    if graph.n < 2 or progress.finished:
        return
    if graph.n > graph.reduce_up_to:
        _by_components(progress, solve_part, rng)
        return
    reduction = reduce_graph(graph, progress.cost)
    blocks = reduction.hard_blocks()
    if len(blocks) == 1 and blocks[0][0].size == graph.n:
        # With all pairs, these take three times the memory of the matrix.
        del reduction, blocks
        progress.graph = graph.fastest_form()
        solve_part(progress, rng)
        return
    labels = np.empty(reduction.graph.n, dtype=np.int64)
    # The blocks hold all that is left to solve.
    del reduction.graph
    labels[reduction.pieces] = progress.labels
    parts: list[Progress] = []
    try:
        for nodes, block in blocks:
            parts.append(progress.on(block.fastest_form(), canonical_labels(labels[nodes]), 0.0))
        _in_turn(parts, solve_part, rng, progress.deadline())
    finally:
        found = [part.labels for part in parts] + [labels[nodes] for nodes, _ in blocks[len(parts) :]]
        progress.offer(reduction.combined((*block, part) for block, part in zip(blocks, found, strict=True)))
        progress.prove(reduction.bound(part.lower_bound for part in parts))


def _by_components(progress: Progress, solve_part: SolvePart, rng: np.random.Generator) -> None:
    """Call `by_parts` for each component of a large graph, and combine their clusterings and bounds."""
    graph = progress.graph
    component = graph.attractive_parts()
    sizes = np.bincount(component)
    if sizes.size == 1:
        solve_part(progress, rng)
        return
    labels = progress.labels + graph.n * component
    members = np.split(np.argsort(component, kind="stable"), np.cumsum(sizes)[:-1])
    members = sorted((nodes for nodes in members if nodes.size > 1), key=len)
    parts: list[Progress] = []
    try:
        for nodes in members:
            parts.append(progress.on(graph.part(nodes), canonical_labels(labels[nodes]), 0.0))
        _in_turn(parts, lambda part, rng: by_parts(part, solve_part, rng), rng, progress.deadline())
    finally:
        for nodes, part in zip(members, parts, strict=False):
            labels[nodes] = graph.n * component[nodes] + part.labels
        progress.offer(canonical_labels(labels))
        progress.prove(sum_of_bounds(part.lower_bound for part in parts))


def _in_turn(parts: list[Progress], solve_part: SolvePart, rng: np.random.Generator, deadline: Deadline) -> None:
    """Give each part its share of the time, and the parts that are not proved then what the others did not need."""
    while parts:
        left = sum(_share(part) for part in parts)
        for part in parts:
            part.set_limit(deadline.seconds_left * _share(part) / left)
            left -= _share(part)
            if not part.closed:
                solve_part(part, rng)
        unproved = [part for part in parts if not part.closed]
        if not np.isfinite(deadline.seconds_left) or deadline.passed or len(unproved) == len(parts):
            return
        parts = unproved


def _share(part: Progress) -> float:
    """Weight of a part when the time is divided."""
    return part.graph.entries + _LEAST_SHARE
