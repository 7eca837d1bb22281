"""Positions of the windows on the map: neighbours in the embedding are neighbours in the plane."""

import numpy as np
from threadpoolctl import threadpool_limits

from telescope_transformer.arrays import unit_rows
from telescope_transformer.similarity import row_blocks

# Our choices, for a map that is drawn in seconds: windows that t-SNE places (its time grows with their number), and
# the number of nearest landmarks that place any other window.
LANDMARKS, NEIGHBOURS = 1500, 4
# With the usual angle of 0.5 and 500 iterations, the map takes half as long again. The trustworthiness of its
# neighbours, on 1,500 windows of a simulated telescope, is 0.996 or 0.997 with either.
ITERATIONS, ANGLE = 400, 0.8
# Standard deviation of the noise that keeps equal windows apart: four pixels of a map of 1,000.
NOISE = 0.004


def map_layout(embeddings: np.ndarray) -> np.ndarray:
    """Positions of windows in the unit square, float32 (n_windows, 2).

    t-SNE (van der Maaten and Hinton 2008) places at most `LANDMARKS` windows. Every other window lies at the mean of
    the positions of its nearest landmarks, weighted by similarity. A little noise keeps equal windows visible. With
    more windows, only the search for landmarks takes longer. Large distances on the map have no meaning.
    """
    n_windows = len(embeddings)
    if n_windows < 5:
        return np.full((n_windows, 2), 0.5, dtype=np.float32) + np.arange(n_windows, dtype=np.float32)[:, None] / 10
    rng = np.random.default_rng(0)
    vectors = unit_rows(embeddings)
    chosen = np.sort(rng.choice(n_windows, min(LANDMARKS, n_windows), replace=False))
    anchors = _plane(vectors[chosen])
    positions = anchors if len(chosen) == n_windows else _interpolated(vectors, vectors[chosen], anchors)
    positions = positions + rng.normal(scale=NOISE, size=positions.shape)
    return _in_unit_square(positions).astype(np.float32)


def _in_unit_square(positions: np.ndarray) -> np.ndarray:
    """Positions (n, 2), shifted and stretched along both axes so that they fill the unit square."""
    low, high = positions.min(axis=0), positions.max(axis=0)
    scaled: np.ndarray = (positions - low) / np.maximum(high - low, 1e-9)
    return scaled


def _plane(vectors: np.ndarray) -> np.ndarray:
    """Run t-SNE into the unit square, starting from the two main axes."""
    # Imported here, because the stages before the report do not need them.
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    if float(vectors.var(axis=0).sum()) < 1e-12:
        return np.full((len(vectors), 2), 0.5)
    components = min(50, *vectors.shape)
    reduced = PCA(components, svd_solver="covariance_eigh").fit_transform(vectors.astype(np.float64))
    # Windows that are exactly equal make t-SNE's distances degenerate.
    reduced += np.random.default_rng(0).normal(scale=1e-4 * reduced.std(), size=reduced.shape)
    perplexity = min(30.0, (len(vectors) - 1) / 3)
    tsne = TSNE(perplexity=perplexity, init="pca", angle=ANGLE, max_iter=ITERATIONS, random_state=0)
    # Each iteration is so short that threads mostly wait. Two threads save a quarter of the time on an idle machine,
    # but take six times as long if other programs use the processor.
    with threadpool_limits(1):
        return _in_unit_square(tsne.fit_transform(reduced))


def _interpolated(vectors: np.ndarray, anchors: np.ndarray, anchor_positions: np.ndarray) -> np.ndarray:
    """Place each window at the mean of its nearest anchors, weighted by a kernel of their cosine distance."""
    answer = np.empty((len(vectors), 2))
    for rows in row_blocks(len(vectors), len(anchors)):
        cosines = vectors[rows] @ anchors.T
        nearest = np.argpartition(-cosines, NEIGHBOURS - 1, axis=1)[:, :NEIGHBOURS]
        distance = 1.0 - np.take_along_axis(cosines, nearest, axis=1)
        # A window that equals an anchor has distance 0 from it, so that anchor gets by far the largest weight.
        weight = 1.0 / (distance + 0.25 * distance.mean(axis=1, keepdims=True) + 1e-6) ** 2
        weight /= weight.sum(axis=1, keepdims=True)
        answer[rows] = (anchor_positions[nearest] * weight[:, :, None]).sum(axis=1)
    return answer
