"""Signed graphs of nearest neighbours, for more vectors than all pairs of which can be weighed."""

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from telescope_transformer.correlation_clustering.graph import SparseGraph

if TYPE_CHECKING:
    import faiss

# Vectors up to which the search is exact: 2.6e10 multiplications at 64 dimensions.
_EXACT_UP_TO = 20_000
# Vectors that are searched for at a time: 30 MB of results.
_BLOCK = 65_536
# An inverted file has so many cells for the square root of the number of vectors, is trained on so many vectors a cell
# in so many rounds, and searches so many cells for a vector. The first two are the least that Faiss advises; what the
# last one misses is the `recall` of the benchmark's section `sparse`.
_CELLS_A_ROOT, _TRAINED_A_CELL, _TRAINING_ROUNDS, _SEARCHED_CELLS = 4, 40, 8, 12


@njit(cache=True, nogil=True)
def _count_pairs(neighbours, indptr):
    """Upper bound of each row's length: own neighbours plus the nodes that name it."""
    n, k = neighbours.shape
    for i in range(n):
        for p in range(k):
            j = neighbours[i, p]
            if j >= 0 and j != i:
                indptr[i + 1] += 1
                indptr[j + 1] += 1
    for i in range(n):
        indptr[i + 1] += indptr[i]


@njit(cache=True, nogil=True)
def _symmetric_rows(neighbours, similarity, threshold, indptr, indices, data):
    """Compressed rows of the union of both directions, sorted, each pair once; returns how many entries are used."""
    n, k = neighbours.shape
    fill = indptr[:-1].copy()
    for i in range(n):
        for p in range(k):
            j = neighbours[i, p]
            if j >= 0 and j != i:
                weight = np.float64(similarity[i, p]) - threshold
                indices[fill[i]], data[fill[i]] = j, weight
                indices[fill[j]], data[fill[j]] = i, weight
                fill[i] += 1
                fill[j] += 1
    used = 0
    for i in range(n):
        row = indices[indptr[i] : fill[i]].copy()
        weights = data[indptr[i] : fill[i]].copy()
        indptr[i] = used
        for p in np.argsort(row):
            if used > indptr[i] and indices[used - 1] == row[p]:
                # The two directions were multiplied in another order; the larger product serves both.
                data[used - 1] = max(data[used - 1], weights[p])
            else:
                indices[used], data[used] = row[p], weights[p]
                used += 1
    indptr[n] = used
    return used


def neighbour_graph(vectors: np.ndarray, threshold: float, neighbours: int = 50, *, seed: int = 0) -> SparseGraph:
    """Graph of the ``neighbours`` largest inner products of each vector (n, d), weighed <x_i, x_j> - threshold.

    Pairs outside it weigh 0. Exact search up to 20,000 vectors; an inverted file of sqrt(n) or more cells beyond
    (Douze et al., *The Faiss library*, 2024), which finds
    84 % of the neighbours of 100,000 embeddings and 75 % of those of a million.
    """
    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    n = vectors.shape[0]
    neighbours = min(neighbours, max(n - 1, 0))
    found, similarity = _search(vectors, neighbours + 1, seed)
    indptr = np.zeros(n + 1, dtype=np.int64)
    _count_pairs(found, indptr)
    indices, data = np.empty(indptr[-1], dtype=np.int32), np.empty(indptr[-1])
    used = _symmetric_rows(found, similarity, float(threshold), indptr, indices, data)
    return SparseGraph(indptr, indices[:used].copy(), data[:used].copy())


def _search(vectors: np.ndarray, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Places (n, count) int32 and products float32 of the ``count`` nearest vectors to each, itself among them."""
    # Only graphs too large for a matrix need it.
    import faiss

    n = vectors.shape[0]
    index = _index(vectors, seed)
    found, similarity = np.empty((n, count), dtype=np.int32), np.empty((n, count), dtype=np.float32)
    order = np.arange(n)
    if isinstance(index, faiss.IndexIVF):
        # Cell by cell, so that the lists that a query reads are in the cache from the one before.
        cells = [index.quantizer.search(block, 1)[1][:, 0] for block in _blocks(vectors)]
        order = np.argsort(np.concatenate(cells), kind="stable")
    for nodes in _blocks(order):
        similarity[nodes], found[nodes] = index.search(vectors[nodes], count)
    return found, similarity


def _blocks(array: np.ndarray) -> list[np.ndarray]:
    return [array[start : start + _BLOCK] for start in range(0, array.shape[0], _BLOCK)]


def _index(vectors: np.ndarray, seed: int) -> "faiss.Index":
    import faiss

    n, d = vectors.shape
    flat = faiss.IndexFlatIP(d)
    if n <= _EXACT_UP_TO:
        flat.add(vectors)
        return flat
    cells = int(_CELLS_A_ROOT * np.sqrt(n))
    index = faiss.IndexIVFFlat(flat, d, cells, faiss.METRIC_INNER_PRODUCT)
    index.cp.seed = 1234 + seed
    index.cp.niter = _TRAINING_ROUNDS
    sample = np.random.default_rng(seed).choice(n, min(n, _TRAINED_A_CELL * cells), replace=False)
    index.train(vectors[np.sort(sample)])
    index.add(vectors)
    index.nprobe = _SEARCHED_CELLS
    return index
