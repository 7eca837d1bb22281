"""Similarities and signed edge weights of embeddings, and their sums over clusters.

The weight of a pair is `scale * (cosine - threshold)`. With `scale` 1 it is the weight of the paper (section 5,
similarity minus an offset); with the slope of a fitted `Calibration` it is a log-odds. Since the weight is affine in
the cosine, sums of weights over clusters follow from sums of vectors.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit
from scipy import sparse

from telescope_transformer.arrays import unit_rows
from telescope_transformer.errors import InputError

# float32 values in a block, which take 16 MB. Finding the largest value of each row takes three times as much memory
# in addition.
BLOCK_CELLS = 1 << 22
# Embeddings that were saved in half precision have lengths within this of 1.
UNIT_TOLERANCE = 0.01


def embedding_matrix(table: pa.Table) -> np.ndarray:
    """The embeddings of a table of windows, float32 (n_windows, dimensions).

    Raises:
        InputError: if the column is absent, not a list, or a row is missing, infinite or of another length.
    """
    if "embedding" not in table.column_names:
        raise InputError(f"the table has no column `embedding`, only {', '.join(table.column_names) or 'none'}")
    kind = table.schema.field("embedding").type
    lists = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    if not lists or not (pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type)):
        raise InputError(f"column `embedding` must be a list of float, found {kind}")
    values = table["embedding"].combine_chunks()
    lengths = set(pc.unique(pc.list_value_length(values)).to_pylist())
    if len(lengths) > 1 or None in lengths:
        raise InputError(f"rows of column `embedding` are missing or differ in length: {lengths}")
    with np.errstate(over="ignore"):
        flat: np.ndarray = values.flatten().to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
    if not np.isfinite(flat).all():
        raise InputError("column `embedding` holds a missing or infinite value, or one that is too large for float32")
    return flat.reshape(table.num_rows, max(lengths, default=0))


def membership(labels: np.ndarray) -> sparse.csr_matrix:
    """Indicator matrix (n_clusters, n) of clusters 0..k-1."""
    n_clusters = int(labels.max()) + 1 if len(labels) else 0
    ones = np.ones(len(labels), dtype=np.float32)
    return sparse.csr_matrix((ones, (labels, np.arange(len(labels)))), shape=(n_clusters, len(labels)))


def cluster_sums(embeddings: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each cluster, the sum of its vectors (k, dimensions) and its number of windows (k,)."""
    return np.asarray(membership(labels) @ embeddings), np.bincount(labels)


@njit(cache=True, nogil=True)
def add_to_sums(sums: np.ndarray, labels: np.ndarray, vectors: np.ndarray) -> None:
    """Add each vector (m, dimensions) to the sum (k, dimensions) of its label (m,)."""
    for i in range(labels.size):
        for j in range(vectors.shape[1]):
            sums[labels[i], j] += vectors[i, j]


def blend_by_source(vectors: np.ndarray, sources: np.ndarray) -> None:
    """Move each window towards the other windows of its source, in proportion to their similarity.

    The windows of a source are several views of one host, and together they say more about its actor than each does
    alone. A window v becomes the sum of (v . u) u over all windows u of its source, scaled to length 1. This is a step
    of power iteration. Windows at right angles do not change each other, so a host that does two unrelated things
    keeps both.

    Args:
        vectors: float32 (n, dimensions), rows of length 1; changed in place.
        sources: (n,) code of each window's source, -1 for windows that are left out.
    """
    order = np.argsort(sources, kind="stable")
    begins = np.flatnonzero(np.diff(sources[order], prepend=-1))
    ends = np.append(begins[1:], len(order))
    several = ends - begins > 1
    for begin, end in zip(begins[several].tolist(), ends[several].tolist(), strict=True):
        rows = order[begin:end]
        windows = vectors[rows]
        vectors[rows] = unit_rows(windows @ (windows.T @ windows))


def row_blocks(n_rows: int, n_columns: int) -> Iterator[slice]:
    """Slices of rows such that a block of n_columns float32 stays near 16 MB."""
    step = max(1, BLOCK_CELLS // max(1, n_columns))
    for start in range(0, n_rows, step):
        yield slice(start, min(n_rows, start + step))


def window_margins(embeddings: np.ndarray, labels: np.ndarray, threshold: float, scale: float = 1.0) -> np.ndarray:
    """How clearly each window belongs to its cluster, float32 (n,), in units of edge weight.

    The margin is the mean weight to the other members of the window's cluster minus the mean weight to the best other
    cluster. For a singleton the first term is 0, so its margin is positive if every cluster repels it. If there is
    only one cluster, the second term is 0, the weight of being alone. A negative margin means that another cluster
    would be better. If there are many clusters, the best other one is searched among those with the nearest means
    (`Nearest`).
    """
    sums, sizes = cluster_sums(embeddings, labels)
    means = (sums / np.maximum(sizes, 1)[:, None]).astype(np.float32)
    search = Nearest(means)
    margins = np.empty(len(labels), dtype=np.float32)
    for rows in row_blocks(len(labels), max(embeddings.shape[1], search.cells_a_row)):
        vectors = np.ascontiguousarray(embeddings[rows], dtype=np.float32)
        margins[rows] = _block_margins(vectors, labels[rows], means, sizes, search, threshold)
    return margins * np.float32(scale)


def _block_margins(
    vectors: np.ndarray, own: np.ndarray, means: np.ndarray, sizes: np.ndarray, search: "Nearest", threshold: float
) -> np.ndarray:
    others = sizes[own] - 1
    in_own = np.einsum("ij,ij->i", vectors, means[own]) * sizes[own] - np.einsum("ij,ij->i", vectors, vectors)
    to_own: np.ndarray = in_own / np.maximum(others, 1) - threshold
    to_own[others == 0] = 0.0
    if len(sizes) == 1:
        return to_own
    found, products = search.of(vectors, 2)
    # If the window's cluster is one of the two, the other one is used.
    first_is_own = found[:, 0] == own
    best = np.where(first_is_own, products[:, 1], products[:, 0])
    margins: np.ndarray = to_own - (best - threshold)
    return margins


class Nearest:
    """Finds the rows with the largest inner products with a query, exactly or, among many rows, approximately.

    Beyond `EXACT_UP_TO` rows, an inverted file (Jegou, Douze and Schmid 2011) searches the `PROBES` lists with the
    nearest centres. The number of lists, and thus the work per query, grows with the square root of the number of
    rows.

    Args:
        rows: float32 (k, dimensions).
    """

    # Our choices. Beyond 4,096 rows there are 64 lists or more, of which 16 are searched.
    EXACT_UP_TO = 4096
    PROBES = 16

    def __init__(self, rows: np.ndarray):
        self._rows = np.ascontiguousarray(rows, dtype=np.float32)
        self._index = self._inverted_file() if len(rows) > self.EXACT_UP_TO else None

    @property
    def cells_a_row(self) -> int:
        """Numbers in memory per query."""
        return len(self._rows) if self._index is None else self._rows.shape[1]

    def of(self, queries: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows and inner products (m, count), best first; -1 and minus infinity where there are fewer rows."""
        count_found = min(count, len(self._rows))
        if self._index is not None:
            return _search(self._index, np.ascontiguousarray(queries, dtype=np.float32), count, count_found)
        products = queries @ self._rows.T
        best = np.argpartition(-products, count_found - 1, axis=1)[:, :count_found]
        values = np.take_along_axis(products, best, axis=1)
        order = np.lexsort((best, -values), axis=1)
        best, values = np.take_along_axis(best, order, axis=1), np.take_along_axis(values, order, axis=1)
        room = ((0, 0), (0, count - count_found))
        return np.pad(best, room, constant_values=-1), np.pad(values, room, constant_values=-np.inf)

    def _inverted_file(self) -> Any:
        import faiss

        lists = round(len(self._rows) ** 0.5)
        coarse = faiss.IndexFlatIP(self._rows.shape[1])
        index = faiss.IndexIVFFlat(coarse, self._rows.shape[1], lists, faiss.METRIC_INNER_PRODUCT)
        index.train(self._rows)
        index.add(self._rows)
        index.nprobe = self.PROBES
        # Lists are chosen by inner product. The index owns the quantiser, since it must not outlive it.
        index.own_fields = True
        coarse.this.disown()  # type: ignore[attr-defined]  # SWIG's handle
        return index


def _search(index: Any, queries: np.ndarray, count: int, count_found: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and inner products (m, count) by an inverted file, in which each query can find `count_found` rows."""
    import faiss

    products, found = index.search(queries, count)
    # If many rows are equal, the lists near a query can be empty. Then all lists are searched.
    missing = np.flatnonzero(found[:, count_found - 1] < 0)
    if len(missing):
        all_lists = faiss.SearchParametersIVF(nprobe=index.nlist)  # type: ignore[call-arg]  # SWIG's keywords
        products[missing], found[missing] = index.search(queries[missing], count, params=all_lists)
    return found, np.where(found < 0, -np.inf, products)
