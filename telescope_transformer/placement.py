"""Which cluster a window of few records belongs to, and how likely that is right.

What a few records say of their source is little, and how little is measured on the telescope at hand: windows of many
records whose cluster is known are cut down to a few records, embedded again and compared with the clusters, without
the window they were cut from. How often the nearest cluster is then the right one, by similarity and for each number
of records, is the confidence of windows that have no more than that.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from sklearn.isotonic import IsotonicRegression

from telescope_transformer.similarity import Nearest
from telescope_transformer.windows import Windows

# Windows that are cut down for each number of records: the confidence is then known to some 2 %.
MOST_TRIED = 1_000
# Below, no cluster is known to be the right one: the window stays alone.
SMALLEST_CONFIDENCE = 0.5
# With fewer windows to try, nothing is known of short ones.
FEWEST_TRIED = 30
# Rows of vectors that are compared with all clusters at a time.
BLOCK = 8_192

Embed = Callable[[pa.Table], np.ndarray]


@dataclass(frozen=True)
class Centres:
    """Clusters of windows of many records, by the mean of their embeddings.

    Attributes:
        clusters: (k,) their numbers.
        sums: float64 (k, dimensions), the sums of their members' embeddings.
        sizes: (k,) numbers of members.
    """

    clusters: np.ndarray
    sums: np.ndarray
    sizes: np.ndarray

    @classmethod
    def of(cls, vectors: np.ndarray, labels: np.ndarray) -> "Centres":
        """The clusters of vectors (n, dimensions) with labels (n,)."""
        clusters, places = np.unique(labels, return_inverse=True)
        sums = np.zeros((len(clusters), vectors.shape[1]))
        for begin in range(0, len(vectors), BLOCK):
            np.add.at(sums, places[begin : begin + BLOCK], vectors[begin : begin + BLOCK])
        return cls(clusters, sums, np.bincount(places))

    def nearest(
        self, vectors: np.ndarray, cut_from: np.ndarray | None = None, own: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The cluster whose members are most similar to each vector on average, and that similarity.

        Args:
            vectors: (m, dimensions), rows of length 1.
            cut_from: (m, dimensions), embeddings of the members that the vectors were cut from, which are left out.
            own: (m,) their clusters.
        """
        search = Nearest((self.sums / self.sizes[:, None]).astype(np.float32))
        labels, similarities = np.empty(len(vectors), dtype=np.int64), np.empty(len(vectors))
        for begin in range(0, len(vectors), BLOCK):
            rows = slice(begin, begin + BLOCK)
            places, found = search.of(np.asarray(vectors[rows], dtype=np.float32), 2)
            if own is not None and cut_from is not None:
                found = np.where(self.clusters[places] == own[rows, None], -np.inf, found)
                place = np.searchsorted(self.clusters, own[rows])
                mean = (self.sums[place] - cut_from[rows]) / np.maximum(self.sizes[place] - 1, 1)[:, None]
                to_own = np.einsum("ij,ij->i", mean, vectors[rows])
                places, found = np.column_stack([places, place]), np.column_stack([found, to_own])
            best = found.argmax(axis=1)
            here = np.arange(len(best))
            labels[rows], similarities[rows] = self.clusters[places[here, best]], found[here, best]
        return labels, similarities


@dataclass(frozen=True)
class Placement:
    """How often the nearest cluster is right, by number of records and similarity.

    Attributes:
        knots: for each number of records, from 1 on, (similarity, confidence) pairs, rising.
    """

    knots: Sequence[Sequence[tuple[float, float]]]

    def confidence(self, similarities: np.ndarray, n_records: np.ndarray) -> np.ndarray:
        """How likely windows belong to the cluster that they are so similar to.

        Args:
            similarities: (m,) to the nearest cluster.
            n_records: (m,) at least 1; more than was tried counts as the most that was.
        """
        found = np.zeros(len(similarities))
        of_window = np.clip(n_records, 1, len(self.knots)) - 1
        for row, knots in enumerate(self.knots):
            mine = of_window == row
            places, values = np.array(knots).T
            found[mine] = np.interp(similarities[mine], places, values)
        return found


def fit_placement(
    windows: Windows,
    vectors: np.ndarray,
    labels: np.ndarray,
    centres: Centres,
    embed: Embed,
    *,
    longest: int,
    seed: int = 0,
) -> Placement:
    """Try how often windows that are cut down to a few records find back to their cluster.

    Args:
        windows: members of the clusters, each with at least `longest` records; `rows_to_try` chooses them.
        vectors: float32 (n, dimensions), their embeddings.
        labels: (n,) their clusters.
        centres: of all clusters.
        embed: embeds a table of windows.
        longest: most records that a window is cut down to.
        seed: of what is cut from the windows.
    """
    rng = np.random.default_rng(seed)
    curves = []
    for length in range(1, longest + 1):
        cut = _cut_down(windows, length, rng)
        found, similarities = centres.nearest(embed(cut.to_table()), vectors, labels)
        fitted = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(similarities, found == labels)
        curves.append(list(zip(fitted.X_thresholds_.tolist(), fitted.y_thresholds_.tolist(), strict=True)))
    return Placement(curves)


def rows_to_try(sources: np.ndarray, labels: np.ndarray, seed: int = 0) -> np.ndarray:
    """Rows of up to 1,000 windows to cut down, ascending; none if fewer than 30 can be tried.

    Only windows in whose cluster there is another source are tried: of others, nothing would be left to find.

    Args:
        sources: (n,) code of each window's source.
        labels: (n,) its cluster.
        seed: of the draw.
    """
    clusters, place = np.unique(labels, return_inverse=True)
    pairs = np.unique(np.column_stack([place, sources]), axis=0)
    shared = np.flatnonzero(np.bincount(pairs[:, 0], minlength=len(clusters))[place] > 1)
    if len(shared) < FEWEST_TRIED:
        return shared[:0]
    return np.sort(np.random.default_rng(seed).permutation(shared)[:MOST_TRIED])


def _cut_down(windows: Windows, length: int, rng: np.random.Generator) -> Windows:
    """Of each window, `length` records in a row."""
    starts = windows.offsets[:-1] + rng.integers(0, windows.n_records - length + 1)
    records = windows.records.take(pa.array((starts[:, None] + np.arange(length)).ravel()))
    times = records["timestamp"].to_numpy().reshape(-1, length)
    columns = {"source": windows.table["source"], "start": pa.array(times[:, 0]), "end": pa.array(times[:, -1])}
    table = pa.table(columns | {"n_records": pa.array(np.full(len(times), length), pa.int32())})
    return Windows(table, records, np.arange(len(times) + 1, dtype=np.int64) * length)
