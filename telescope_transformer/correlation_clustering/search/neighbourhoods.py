"""Joins and splits: a cluster and its nearest ones are taken apart and clustered anew.

The neighbourhood contains that of Kernighan and Lin with joins (Keuper et al., *Efficient decomposition of image and
mesh graphs by lifted multicuts*, ICCV 2015), which exchanges nodes of two clusters, joins them or splits one: here the
nodes of up to six clusters are solved from single nodes, and the result fused with what was there.
"""

import numpy as np

from telescope_transformer.correlation_clustering.graph import DenseGraph, canonical_labels
from telescope_transformer.correlation_clustering.search.local_search import fuse, improve
from telescope_transformer.correlation_clustering.solution import PROVED, Deadline, Progress

RESOLVE_UP_TO = 5_000
_MOST_NEIGHBOURS = 5


def resolve_neighbourhoods(
    progress: Progress, graph: DenseGraph, rng: np.random.Generator, deadline: Deadline
) -> None:
    """Improve the best clustering of ``progress`` until no neighbourhood of any cluster brings anything."""
    labels = progress.labels
    changed = True
    while changed and not deadline.passed and not progress.closed:
        changed = False
        small = graph.contract(labels)
        nearness = small.matrix / np.outer(small.sizes, small.sizes)
        np.fill_diagonal(nearness, np.inf)
        for c in rng.permutation(small.n):
            if deadline.passed:
                break
            size = min(small.n, 2 + int(rng.integers(_MOST_NEIGHBOURS)))
            around = np.argpartition(-nearness[c], size - 1)[:size]
            better = _resolve(graph, labels, np.flatnonzero(np.isin(labels, around)), rng, deadline)
            if better is not None:
                labels, changed = better, True
                break
    progress.offer(labels)


def _resolve(
    graph: DenseGraph, labels: np.ndarray, nodes: np.ndarray, rng: np.random.Generator, deadline: Deadline
) -> np.ndarray | None:
    """All labels with those of ``nodes`` improved; None where they are not."""
    part = DenseGraph(np.ascontiguousarray(graph.matrix[np.ix_(nodes, nodes)]), graph.threshold)
    before = canonical_labels(labels[nodes])
    fresh = improve(part, np.arange(part.n), rng, deadline)
    found = fuse(part, before, fresh, rng, deadline)
    old = part.cost(before)
    if part.cost(found) >= old - PROVED * max(old, part.scale):
        return None
    better = labels.copy()
    better[nodes] = labels.size + found
    return canonical_labels(better)
