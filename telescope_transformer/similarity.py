"""Embeddings to signed edge weights: how strongly each pair of windows attracts or repels.

The weight of a pair is affine in its cosine similarity, `scale * (cosine - threshold)`: with `scale` 1 as in the paper
(Section 5, the similarity minus an offset), and with the slope of a fitted `Calibration` it is the log-odds that one
actor sent both windows. All sums of weights over clusters then follow from sums of vectors.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from telescope_transformer.errors import InputError

BLOCK_CELLS = 1 << 25


def embedding_matrix(table: pa.Table, column: str = "embedding") -> np.ndarray:
    """The embeddings of a table of windows, float32 (n_windows, dimensions).

    Raises:
        InputError: if the column is absent, not a list, or a row is missing, infinite or of another length.
    """
    if column not in table.column_names:
        raise InputError(f"the table has no column `{column}`, only {', '.join(table.column_names) or 'none'}")
    kind = table.schema.field(column).type
    if not (pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind)):
        raise InputError(f"column `{column}` must be a list of float, found {kind}")
    values = table.column(column).combine_chunks()
    lengths = set(pc.unique(pc.list_value_length(values)).to_pylist())
    if len(lengths) > 1 or None in lengths:
        raise InputError(f"rows of column `{column}` are missing or differ in length: {lengths}")
    flat = values.flatten().to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
    if not np.isfinite(flat).all():
        raise InputError(f"column `{column}` holds a missing or infinite value")
    return flat.reshape(table.num_rows, max(lengths, default=0))


def normalised(embeddings: np.ndarray) -> np.ndarray:
    """Rows scaled to length 1, float32; a row of zeros stays as it is."""
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    return (embeddings / np.where(lengths > 0, lengths, 1.0)).astype(np.float32, copy=False)


def signed_weights(embeddings: np.ndarray, threshold: float, scale: float = 1.0) -> np.ndarray:
    """Edge weights of the complete graph, float32 (n, n), symmetric, 0 on the diagonal.

    Args:
        embeddings: (n, dimensions), rows of length 1.
        threshold: the cosine similarity at which a pair neither attracts nor repels.
        scale: weight per unit of cosine; a calibration's slope makes the weights log-odds in nats.
    """
    weights = embeddings @ embeddings.T
    weights -= np.float32(threshold)
    weights *= np.float32(scale)
    np.fill_diagonal(weights, 0.0)
    return weights


def membership(labels: np.ndarray) -> sparse.csr_matrix:
    """Indicator matrix (n_clusters, n) of clusters 0..k-1."""
    n_clusters = int(labels.max()) + 1 if len(labels) else 0
    ones = np.ones(len(labels), dtype=np.float32)
    return sparse.csr_matrix((ones, (labels, np.arange(len(labels)))), shape=(n_clusters, len(labels)))


def cluster_sums(embeddings: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Per cluster the sum of its vectors (k, dimensions) and its number of windows (k,)."""
    return np.asarray(membership(labels) @ embeddings), np.bincount(labels)


def row_blocks(n_rows: int, n_columns: int) -> Iterator[slice]:
    """Slices of rows such that a block of n_columns float32 stays near 128 MB."""
    step = max(1, BLOCK_CELLS // max(1, n_columns))
    for start in range(0, n_rows, step):
        yield slice(start, min(n_rows, start + step))


def window_margins(embeddings: np.ndarray, labels: np.ndarray, threshold: float, scale: float = 1.0) -> np.ndarray:
    """By how much each window belongs to its cluster, float32 (n,), in units of edge weight.

    The mean weight to the other members of its own cluster minus the mean weight to the best other cluster. A
    singleton has no other members and counts 0 for its own side, so its margin is positive where every cluster
    repels it. With a single cluster the alternative is to be alone, at weight 0. Negative: it would rather leave.
    """
    sums, sizes = cluster_sums(embeddings, labels)
    margins = np.empty(len(labels), dtype=np.float32)
    for rows in row_blocks(len(labels), len(sizes)):
        margins[rows] = _block_margins(embeddings[rows], labels[rows], sums, sizes, threshold)
    return margins * np.float32(scale)


def _block_margins(
    vectors: np.ndarray, own: np.ndarray, sums: np.ndarray, sizes: np.ndarray, threshold: float
) -> np.ndarray:
    totals = vectors @ sums.T
    here = np.arange(len(own))
    others = sizes[own] - 1
    to_own = (totals[here, own] - (vectors * vectors).sum(axis=1)) / np.maximum(others, 1) - threshold
    to_own[others == 0] = 0.0
    if len(sizes) == 1:
        return to_own
    means = totals / sizes - threshold
    means[here, own] = -np.inf
    return to_own - means.max(axis=1)


def cohesion(embeddings: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Mean cosine similarity of the pairs inside each cluster, float64 (k,); 1 for singletons."""
    sums, sizes = cluster_sums(embeddings, labels)
    squares = np.bincount(labels, weights=(embeddings * embeddings).sum(axis=1))
    inside = (sums.astype(np.float64) ** 2).sum(axis=1) - squares
    pairs = sizes * (sizes - 1.0)
    return np.where(pairs > 0, inside / np.maximum(pairs, 1), 1.0)
