"""Signed graphs of nearest neighbours, for more vectors than fit in a matrix of all pairs."""

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from telescope_transformer.correlation_clustering.graph import SparseGraph, sparse_graph
from telescope_transformer.correlation_clustering.options import check_whole_number
from telescope_transformer.correlation_clustering.validation import check_embeddings

if TYPE_CHECKING:
    import faiss

# The search is exact for up to this many vectors. For 64 dimensions, this takes 2.6e10 multiplications or a few
# seconds.
_EXACT_UP_TO = 20_000
# Number of vectors in one query: 27 MB of results for 50 neighbours.
_BLOCK = 65_536
# Inner products of vectors with lengths between 2^-32 and 2^32 are far from the limits of float32, 2^-126 and 2^128.
_SAFE_EXPONENT = 32
# Parameters of the inverted file: cells per square root of the number of vectors, training vectors per cell, rounds of
# training, and cells that are searched for each vector. The first two are the smallest values that the Faiss
# documentation recommends. Faiss trains for 25 rounds by default. The recall with the last value is in the column
# `recall` of the section `sparse` of tests/benchmarks/clustering.py.
_CELLS_A_ROOT, _TRAINED_A_CELL, _TRAINING_ROUNDS, _SEARCHED_CELLS = 4, 40, 8, 12


def neighbour_graph(vectors: np.ndarray, threshold: float, neighbours: int = 50, *, seed: int = 0) -> SparseGraph:
    """Graph of the largest inner products of each vector, with weights <x_i, x_j> - threshold; other pairs weigh 0.

    The search is exact for up to 20,000 vectors. For more vectors, an inverted file (Douze et al., *The Faiss
    library*, 2024) finds 84 % of the neighbours of 100,000 embeddings and 75 % of those of a million.

    Args:
        vectors: (n, d).
        threshold: inner product at which a pair neither attracts nor repels.
        neighbours: number of neighbours of each vector.
        seed: seed for the training of the inverted file.
    """
    vectors = check_embeddings(vectors, threshold)
    check_whole_number("neighbours", neighbours, 0)
    n = vectors.shape[0]
    neighbours = min(neighbours, max(n - 1, 0))
    vectors, exponent = _scaled(vectors)
    found, similarity = _search(vectors, neighbours + 1, seed)
    if exponent:
        similarity = np.ldexp(similarity.astype(np.float64), 2 * exponent)
    return _symmetric(found, similarity.astype(np.float64) - threshold)


def _symmetric(neighbours: np.ndarray, weights: np.ndarray) -> SparseGraph:
    """The graph in which two nodes are adjacent if at least one is a neighbour of the other.

    Args:
        neighbours: int32 (n, k), -1 where a node has fewer neighbours.
        weights: float64 (n, k).
    """
    n, k = neighbours.shape
    nodes, others = np.repeat(np.arange(n), k), neighbours.reshape(-1)
    pairs = np.minimum(nodes, others) * n + np.maximum(nodes, others)
    # If both are neighbours of each other, their products can differ by a rounding error.
    pairs, first = np.unique(np.where((others < 0) | (others == nodes), -1, pairs), return_index=True)
    low, high = np.divmod(pairs[pairs >= 0], n)
    half = sparse.coo_array((weights.reshape(-1)[first[pairs >= 0]], (low, high)), shape=(n, n)).tocsr()
    return sparse_graph((half + half.T).tocsr())


def _scaled(vectors: np.ndarray) -> tuple[np.ndarray, int]:
    """Vectors in float32, divided by a power of two if their products could overflow or vanish in float32.

    Returns:
        The vectors float32 (n, d), and the exponent of the power of two.
    """
    longest = float(np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64).max(initial=0.0)))
    exponent = int(np.floor(np.log2(longest))) if longest > 0 else 0
    if abs(exponent) <= _SAFE_EXPONENT:
        exponent = 0
    else:
        vectors = np.ldexp(vectors, -exponent)
    return np.ascontiguousarray(vectors, dtype=np.float32), exponent


def _search(vectors: np.ndarray, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Nearest vectors of each vector, including the vector itself.

    Returns:
        Positions int32 (n, count) and inner products float32 (n, count).
    """
    # Imported here because only graphs that are too large for a matrix need it.
    import faiss

    n = vectors.shape[0]
    index = _index(vectors, seed)
    found, similarity = np.empty((n, count), dtype=np.int32), np.empty((n, count), dtype=np.float32)
    order = np.arange(n)
    if isinstance(index, faiss.IndexIVF):
        # Search the vectors cell by cell, so that the lists that a query reads are still in the cache.
        cells = [index.quantizer.search(block, 1)[1][:, 0] for block in _blocks(vectors)]
        order = np.argsort(np.concatenate(cells), kind="stable")
    for nodes in _blocks(order):
        similarity[nodes], found[nodes] = index.search(vectors[nodes], count)
    return found, similarity


def _blocks(array: np.ndarray) -> list[np.ndarray]:
    """Split the array into blocks of rows."""
    return [array[start : start + _BLOCK] for start in range(0, array.shape[0], _BLOCK)]


def _index(vectors: np.ndarray, seed: int) -> "faiss.Index":
    """The index of the vectors: exact, or an inverted file if there are many."""
    import faiss

    n, d = vectors.shape
    flat = faiss.IndexFlatIP(d)
    if n <= _EXACT_UP_TO:
        flat.add(vectors)
        return flat
    cells = int(_CELLS_A_ROOT * np.sqrt(n))
    index = faiss.IndexIVFFlat(flat, d, cells, faiss.METRIC_INNER_PRODUCT)
    # 1234 is the default seed of Faiss.
    index.cp.seed = 1234 + seed
    index.cp.niter = _TRAINING_ROUNDS
    sample = np.random.default_rng(seed).choice(n, min(n, _TRAINED_A_CELL * cells), replace=False)
    index.train(vectors[np.sort(sample)])
    index.add(vectors)
    index.nprobe = _SEARCHED_CELLS
    return index
