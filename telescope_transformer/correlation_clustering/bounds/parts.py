"""Solve a graph in independent pieces: its hard blocks, or the components that attractive pairs connect."""

import math
from collections.abc import Callable

import numpy as np

from telescope_transformer.correlation_clustering.bounds.reduction import reduce_graph
from telescope_transformer.correlation_clustering.graph import SparseGraph, canonical_labels
from telescope_transformer.correlation_clustering.graph_kernels import EPSILON
from telescope_transformer.correlation_clustering.solution import Deadline, Progress

# Added to the number of entries of each block when the time is divided. If one second is shared with a block of
# 100,000 entries, the smallest block still gets about 20 ms.
_LEAST_SHARE = 2_000

Part = Callable[[Progress, np.random.Generator, Deadline], None]


def by_parts(progress: Progress, solve_part: Part, rng: np.random.Generator, deadline: Deadline) -> None:
    """Call ``solve_part`` for each hard block of the graph, and combine their clusterings and bounds.

    Each block gets time in proportion to its size. Time that it does not use goes to the larger blocks that follow.

    Args:
        progress: progress on the whole graph.
        solve_part: called with the progress on one block, ``rng`` and a deadline.
        rng: source of random numbers.
        deadline: when to stop.
    """
    graph = progress.graph
    if graph.n < 2 or progress.finished:
        return
    if graph.n > graph.reduce_up_to:
        _by_components(progress, solve_part, rng, deadline)
        return
    reduction = reduce_graph(graph, progress.cost)
    blocks = reduction.hard_blocks()
    if len(blocks) == 1 and blocks[0][0].size == graph.n:
        # With all pairs, these take three times the memory of the matrix.
        del reduction, blocks
        progress.graph = graph.fastest_form()
        solve_part(progress, rng, deadline)
        return
    labels = np.empty(reduction.graph.n, dtype=np.int64)
    # The blocks hold all that is left to solve.
    del reduction.graph
    labels[reduction.pieces] = progress.labels
    parts: list[tuple[np.ndarray, SparseGraph, Progress]] = []
    try:
        for nodes, block in blocks:
            part = progress.of(block.fastest_form(), canonical_labels(labels[nodes]), 0.0)
            parts.append((nodes, block, part))
        _in_turn([part for _, _, part in parts], solve_part, rng, deadline)
        unproved = [part for _, _, part in parts if not part.closed]
        if progress.limited and 0 < len(unproved) < len(parts):
            # Use the time that the proved parts did not need.
            _in_turn(unproved, solve_part, rng, deadline)
    finally:
        solved = [(nodes, block, part.labels) for nodes, block, part in parts]
        rest = [(nodes, block, labels[nodes]) for nodes, block in blocks[len(parts) :]]
        progress.offer(reduction.combined(solved + rest))
        bounds = [max(0.0, float(np.nan_to_num(part.lower_bound))) for _, _, part in parts]
        progress.prove(math.fsum([reduction.offset, -reduction.drift, *bounds]) * (1.0 - EPSILON))


def _in_turn(parts: list[Progress], solve_part: Part, rng: np.random.Generator, deadline: Deadline) -> None:
    """Give each part its share of the remaining time."""
    left = sum(_share(part) for part in parts)
    for part in parts:
        part.give(deadline.seconds_left * _share(part) / left)
        left -= _share(part)
        if not part.closed:
            solve_part(part, rng, part.part(1.0))


def _share(part: Progress) -> float:
    """Weight of a part when the time is divided."""
    return part.graph.entries + _LEAST_SHARE


def _by_components(progress: Progress, solve_part: Part, rng: np.random.Generator, deadline: Deadline) -> None:
    """Solve the components of a large graph, one by one."""
    graph = progress.graph
    component = graph.attractive_parts()
    sizes = np.bincount(component)
    if sizes.size == 1:
        solve_part(progress, rng, deadline)
        return
    labels, parts = progress.labels.copy(), []
    left = float((sizes[sizes > 1] ** 2).sum())
    try:
        for c in np.argsort(sizes, kind="stable"):
            nodes = np.flatnonzero(component == c)
            if nodes.size == 1:
                continue
            seconds = deadline.seconds_left * sizes[c] ** 2 / left
            part = progress.of(graph.part(nodes), canonical_labels(labels[nodes]), seconds)
            parts.append(part)
            by_parts(part, solve_part, rng, part.part(1.0))
            # These labels are distinct from those of all other components.
            labels[nodes] = part.labels + graph.n * (1 + c)
            left -= sizes[c] ** 2
    finally:
        progress.offer(canonical_labels(labels + graph.n**2 * component))
        bounds = [max(0.0, float(np.nan_to_num(part.lower_bound))) for part in parts]
        progress.prove(math.fsum(bounds) * (1.0 - EPSILON))
