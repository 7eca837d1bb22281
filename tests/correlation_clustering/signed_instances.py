"""Small instances with known optima, and the optimum of any small instance by brute force."""

import numpy as np


def random_weights(seed: int, n: int, density: float = 1.0, scale: float = 1.0) -> np.ndarray:
    """Symmetric Gaussian weights (n, n), of which a share is 0."""
    rng = np.random.default_rng(seed)
    lower = np.tril(rng.standard_normal((n, n)) * (rng.random((n, n)) < density), -1) * scale
    return lower + lower.T


def optimum(weights: np.ndarray) -> float:
    """The minimum disagreement over all partitions, found by assigning node after node; for n <= 9."""
    n = weights.shape[0]
    best = np.inf

    def assign(labels: list[int], k: int, cost: float) -> None:
        nonlocal best
        i = len(labels)
        if cost >= best:
            return
        if i == n:
            best = cost
            return
        for c in range(k + 1):
            extra = sum(max(-w, 0.0) if labels[j] == c else max(w, 0.0) for j, w in enumerate(weights[i, :i]))
            assign([*labels, c], max(k, c + 1), cost + extra)

    assign([], 0, 0.0)
    return best


def disagreement(weights: np.ndarray, labels: np.ndarray) -> float:
    """The disagreement by its definition."""
    cost = 0.0
    for i in range(len(labels)):
        for j in range(i):
            same = labels[i] == labels[j]
            cost += max(-weights[i, j], 0.0) if same else max(weights[i, j], 0.0)
    return cost


def embeddings(n: int, d: int = 16, clusters: int = 6, noise: float = 0.6) -> np.ndarray:
    """Unit vectors (n, d) float32 around a few centres; the same for the same n."""
    rng = np.random.default_rng(n)
    vectors = rng.standard_normal((clusters, d))[rng.integers(0, clusters, n)] + noise * rng.standard_normal((n, d))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def graph_of_edges(n: int, edges: list[tuple[int, int, float]]) -> np.ndarray:
    weights = np.zeros((n, n))
    for i, j, weight in edges:
        weights[i, j] = weights[j, i] = weight
    return weights


# The two instances of the unit test of Kernighan-Lin in andres/graph.
SIX_NODES = graph_of_edges(
    6,
    [(0, 1, 5.0), (0, 3, -20.0), (1, 2, 5.0), (1, 4, 5.0), (2, 5, -20.0), (3, 4, 5.0), (4, 5, 5.0)],
)
FIVE_NODES = graph_of_edges(
    5,
    [
        (0, 1, 10.0),
        (0, 2, -1.0),
        (0, 3, -1.0),
        (0, 4, -1.0),
        (1, 2, 10.0),
        (1, 3, -1.0),
        (1, 4, 4.0),
        (2, 3, -1.0),
        (2, 4, -1.0),
        (3, 4, 10.0),
    ],
)
