"""Greedy additive edge contraction (GAEC): join the two clusters with the largest weight while it is positive.

See Keuper et al., *Efficient decomposition of image and mesh graphs by lifted multicuts* (ICCV 2015), section 4. On a
complete graph, GAEC is sum-linkage that stops at 0. This module works on a matrix with cached nearest neighbours and
takes O(n) time per contraction. Four things make it fast:

- A contraction writes one row and no column. Before a row is read, the entries for clusters that were contracted since
  the row was written are copied from the rows of these clusters.
- A nearest neighbour that may have become worse keeps its old weight as an upper bound, and is searched again only
  when that bound is the largest of all.
- The matrix is packed as the number of clusters falls.
- Sums and maxima are loops without branches.

If several weights are equal, the pair with the lowest first cluster is joined. A cluster keeps the partner that it
found first, which is the lowest one at the start. Sums are rounded in the precision of the matrix, so clusterings with
ties can differ between float32 and float64.

In this module, ``key`` (n,) is the weight between each cluster and its best partner or an upper bound of it,
``partner`` (n,) is that partner, ``stale`` (n,) says whether the key is only a bound, and ``stamp`` (n,) is the number
of the contraction that last wrote each row.
"""

import numpy as np

from telescope_transformer.correlation_clustering.compiled import compiled

# The matrix is packed when less than this share of its clusters is left. Packing then copies at most a quarter of the
# matrix.
_PACK_BELOW = 0.5
# Number of values whose maximum is computed at once by vector instructions: 64 float32 fill four to eight registers.
_BLOCK = 64


@compiled(fastmath={"nnan", "nsz"})
def _largest(values: np.ndarray) -> float:
    """Largest of finite values (and -inf). Without NaN, the loop compiles to vector instructions."""
    best: float = values.dtype.type(-np.inf)
    for value in values:
        best = max(best, value)
    return best


@compiled()
def first_largest(values: np.ndarray) -> tuple[int, float]:
    """Position and value of the largest value: the lowest position among equals, -1 if there are no values.

    Passes over all values in blocks, and then over the block that contains the maximum.
    """
    best = values.dtype.type(-np.inf)
    block = 0
    for start in range(0, values.size, _BLOCK):
        largest = _largest(values[start : start + _BLOCK])
        if largest > best:
            best, block = largest, start
    for place in range(block, min(block + _BLOCK, values.size)):
        if values[place] == best:
            return place, best
    return -1, best


@compiled()
def _nearest(matrix: np.ndarray, threshold: float, sizes: np.ndarray, key: np.ndarray, partner: np.ndarray) -> None:
    """Find the best partner of each node before any contraction; the lowest index among equals."""
    weights = np.empty(key.size, key.dtype)
    for a in range(key.size):
        _weigh(matrix[a], threshold * sizes[a], sizes, a, weights)
        partner[a], key[a] = first_largest(weights)


@compiled(fastmath={"nnan", "nsz"})
def _weigh(row: np.ndarray, penalty: float, sizes: np.ndarray, a: int, weights: np.ndarray) -> None:
    """Write the weights between cluster a and every cluster; -inf for a itself and for clusters that are gone."""
    for k in range(weights.size):
        weights[k] = row[k] - penalty * sizes[k] if sizes[k] > 0 else -np.inf
    weights[a] = -np.inf


@compiled()
def _refresh(matrix: np.ndarray, stamp: np.ndarray, alive: int, a: int) -> None:
    """Update row a with the entries that later contractions wrote to the rows of other clusters."""
    row, since = matrix[a], stamp[a]
    for c in range(alive):
        if stamp[c] > since:
            row[c] = matrix[c, a]


@compiled()
def _merge_rows(
    matrix: np.ndarray,
    threshold: float,
    sizes: np.ndarray,
    alive: int,
    i: int,
    j: int,
    weights: np.ndarray,
    key: np.ndarray,
    partner: np.ndarray,
    stale: np.ndarray,
) -> None:
    """Add row j to row i, and raise the keys of other clusters or mark them as stale.

    ``weights`` is scratch, and ``sizes[j]`` is already 0.
    """
    row_i, row_j = matrix[i], matrix[j]
    for k in range(alive):
        row_i[k] += row_j[k]
    _weigh(row_i, threshold * sizes[i], sizes, i, weights)
    for k in range(alive):
        if weights[k] > key[k]:
            key[k] = weights[k]
            partner[k] = i
            stale[k] = False
        elif partner[k] == i or partner[k] == j:
            partner[k] = i
            stale[k] = weights[k] < key[k] or stale[k]


@compiled()
def _pack(
    matrix: np.ndarray,
    sizes: np.ndarray,
    stamp: np.ndarray,
    alive: int,
    key: np.ndarray,
    partner: np.ndarray,
    stale: np.ndarray,
    member: np.ndarray,
) -> int:
    """Move the rows and columns of the remaining clusters to the front; returns their number."""
    place = np.full(alive, -1, np.int64)
    kept = 0
    for a in range(alive):
        if sizes[a] > 0:
            place[a] = kept
            kept += 1
    for a in range(alive):
        if place[a] >= 0:
            p = place[a]
            for b in range(alive):
                if place[b] >= 0:
                    matrix[p, place[b]] = matrix[a, b]
            sizes[p], stamp[p], key[p], stale[p], member[p] = sizes[a], stamp[a], key[a], stale[a], member[a]
            partner[p] = place[partner[a]] if partner[a] >= 0 else -1
    return kept


@compiled()
def contract_greedily(matrix: np.ndarray, threshold: float) -> np.ndarray:
    """Parent of each node in the forest of contractions.

    Needs only O(n) memory beyond the matrix.

    Args:
        matrix: float32 or float64 (n, n), see `DenseGraph`; overwritten.
        threshold: see `DenseGraph`.

    Returns:
        int64 (n,).
    """
    n = matrix.shape[0]
    sizes = np.ones(n)
    key = np.empty(n, matrix.dtype)
    weights = np.empty(n, matrix.dtype)
    partner = np.empty(n, np.int32)
    stamp = np.zeros(n, np.int64)
    stale = np.zeros(n, np.bool_)
    member = np.arange(n)
    parent = np.arange(n)
    _nearest(matrix, threshold, sizes, key, partner)
    alive, living, step = n, n, 0
    while living > 1:
        i, _ = first_largest(key[:alive])
        if key[i] <= 0:
            break
        _refresh(matrix, stamp, alive, i)
        if stale[i]:
            _weigh(matrix[i], threshold * sizes[i], sizes, i, weights[:alive])
            partner[i], key[i] = first_largest(weights[:alive])
            stale[i] = False
            continue
        j = partner[i]
        if stamp[j] > stamp[i]:
            i, j = j, i
            _refresh(matrix, stamp, alive, i)
        else:
            _refresh(matrix, stamp, alive, j)
        parent[member[j]] = member[i]
        sizes[i] += sizes[j]
        sizes[j] = 0
        _merge_rows(matrix, threshold, sizes, alive, i, j, weights[:alive], key, partner, stale)
        partner[i], key[i] = first_largest(weights[:alive])
        stale[i] = False
        key[j] = -np.inf
        step += 1
        stamp[i], stamp[j] = step, 0
        living -= 1
        if living < _PACK_BELOW * alive:
            alive = _pack(matrix, sizes, stamp, alive, key, partner, stale, member)
    return parent
