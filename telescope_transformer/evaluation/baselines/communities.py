"""Common clusterers for vectors: Leiden on a graph of nearest neighbours, and HDBSCAN.

They have an advantage: the caller keeps the setting that agrees best with the truth.
"""

import random
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import HDBSCAN
from sklearn.decomposition import TruncatedSVD
from sklearn.neighbors import NearestNeighbors

from telescope_transformer.arrays import unit_rows
from telescope_transformer.extras import require

# Number of neighbours in the graph, and dimensions that wide vectors are reduced to: common choices.
NEIGHBOURS, DIMENSIONS = 15, 64
# Settings from coarse to fine: resolutions of modularity, and smallest cluster sizes of HDBSCAN.
RESOLUTIONS = (0.5, 1.0, 2.0, 4.0, 8.0)
SMALLEST_CLUSTERS = (3, 5, 10, 20)


def reduced(vectors: np.ndarray, seed: int) -> NDArray[np.float32]:
    """Vectors of at most `DIMENSIONS` dimensions and of unit length."""
    if min(vectors.shape) > DIMENSIONS:
        vectors = TruncatedSVD(DIMENSIONS, random_state=seed).fit_transform(vectors)
    return unit_rows(vectors)


def leiden(vectors: np.ndarray, seed: int) -> Iterator[NDArray[np.int64]]:
    """Labels by modularity (Traag, Waltman and van Eck 2019), for each of the resolutions.

    Args:
        vectors: (n, d) of unit length.

    Raises:
        MissingExtraError: if igraph is not installed.
    """
    igraph = require("igraph")
    distances, places = NearestNeighbors(n_neighbors=min(NEIGHBOURS, len(vectors) - 1)).fit(vectors).kneighbors()
    # For unit vectors, the cosine is 1 - distance^2 / 2. Weights must be positive.
    weights = np.maximum(1 - distances.ravel() ** 2 / 2, 1e-6)
    edges = np.stack([np.repeat(np.arange(len(vectors)), places.shape[1]), places.ravel()], axis=1)
    graph = igraph.Graph(len(vectors), edges.tolist())
    graph.es["weight"] = weights.tolist()
    graph.simplify(combine_edges="max")
    for resolution in RESOLUTIONS:
        igraph.set_random_number_generator(random.Random(seed))
        found = graph.community_leiden("modularity", weights="weight", resolution=resolution, n_iterations=10)
        yield np.array(found.membership)


def hdbscan(vectors: np.ndarray) -> Iterator[NDArray[np.int64]]:
    """Labels of HDBSCAN for each smallest cluster size."""
    for smallest in SMALLEST_CLUSTERS:
        if len(vectors) >= smallest:
            yield density_clusters(vectors, smallest)


def density_clusters(vectors: np.ndarray, smallest: int) -> NDArray[np.int64]:
    """Labels of HDBSCAN for at least `smallest` vectors; each noise point is a singleton."""
    labels: NDArray[np.int64] = HDBSCAN(min_cluster_size=smallest, copy=True).fit_predict(vectors).astype(np.int64)
    noise = labels < 0
    labels[noise] = labels.max(initial=-1) + 1 + np.arange(noise.sum())
    return labels
