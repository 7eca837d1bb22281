"""Assignment of short windows to clusters, and the probability that it is right.

A few records say little about their source. How much they say is measured on the same telescope: long windows with a
known cluster are cut down to a few records, embedded again, and compared with the clusters, from which the original
window is excluded. The share of these windows whose nearest cluster is the right one, as a function of similarity and
number of records, is the confidence of short windows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from sklearn.isotonic import IsotonicRegression

from telescope_transformer.similarity import Nearest
from telescope_transformer.windows import Windows, build_windows

# Windows that are cut down for each number of records. The standard error of the confidence is then about 2 %.
MOST_TRIED = 1_000
# Below this confidence, the nearest cluster is more likely wrong than right, and the window stays alone.
SMALLEST_CONFIDENCE = 0.5
# With fewer windows to cut down, the confidence cannot be estimated.
FEWEST_TRIED = 30
# Vectors that are compared with all clusters at a time.
BLOCK = 8_192

# Embeds a table of windows: float32 (n, dimensions), rows of length 1.
Embed = Callable[[pa.Table], np.ndarray]


@dataclass(frozen=True)
class Centres:
    """Clusters of long windows, represented by the mean of their embeddings.

    Attributes:
        clusters: (k,) numbers of the clusters.
        sums: float64 (k, dimensions), sums of the embeddings of the members.
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
        """For each vector, the cluster with the highest mean similarity to its members, and that similarity.

        Args:
            vectors: (m, dimensions), rows of length 1.
            cut_from: (m, dimensions), embeddings of the members that the vectors were cut from, which are excluded.
            own: (m,) clusters of these members.
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
    """Probability that the nearest cluster is right, by number of records and similarity.

    Attributes:
        knots: for each number of records, from 1 on, ascending (similarity, confidence) pairs.
    """

    knots: Sequence[Sequence[tuple[float, float]]]

    def confidence(self, similarities: np.ndarray, n_records: np.ndarray) -> np.ndarray:
        """Probability that windows belong to their nearest cluster.

        Args:
            similarities: (m,) to the nearest cluster.
            n_records: (m,) at least 1; numbers beyond the largest measured one count as that number.
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
    """Measure how often windows that are cut down to a few records are nearest to their own cluster.

    Args:
        windows: members of the clusters, each with at least `longest` records; `rows_to_try` chooses them.
        vectors: float32 (n, dimensions), their embeddings.
        labels: (n,) their clusters.
        centres: centres of all clusters.
        embed: embeds a table of windows.
        longest: most records that a window is cut down to.
        seed: seed of the cuts.
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
    """Rows of up to 1,000 windows to cut down, ascending; empty if fewer than 30 can be used.

    Only clusters with several sources can be used, because others could be empty without the window.

    Args:
        sources: (n,) code of each window's source.
        labels: (n,) its cluster.
        seed: seed of the draw.
    """
    clusters, place = np.unique(labels, return_inverse=True)
    pairs = np.unique(np.column_stack([place, sources]), axis=0)
    shared = np.flatnonzero(np.bincount(pairs[:, 0], minlength=len(clusters))[place] > 1)
    if len(shared) < FEWEST_TRIED:
        return shared[:0]
    return np.sort(np.random.default_rng(seed).permutation(shared)[:MOST_TRIED])


def _cut_down(windows: Windows, length: int, rng: np.random.Generator) -> Windows:
    """A random run of `length` records of each window."""
    starts = windows.offsets[:-1] + rng.integers(0, windows.n_records - length + 1)
    records = windows.records.take(pa.array((starts[:, None] + np.arange(length)).ravel()))
    return build_windows(windows.table["source"], np.arange(len(windows) + 1) * length, records, {})
