"""A method's representation of n windows: the similarity of all pairs, and the vectors behind it if there are any."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from telescope_transformer.arrays import unit_rows
from telescope_transformer.metrics.pairs import cosine_matrix
from telescope_transformer.similarity import blend_by_source, cluster_sums


class Representation(NamedTuple):
    """A method's representation of n windows.

    Attributes:
        similarity: (n, n) float32, higher means more alike.
        vectors: (n, d) float32, or None.
    """

    similarity: NDArray[np.float32]
    vectors: NDArray[np.float32] | None = None

    @classmethod
    def of_vectors(cls, vectors: np.ndarray) -> "Representation":
        """The cosine similarity of vectors; 0 for vectors of zeros."""
        unit = unit_rows(vectors)
        return cls(cosine_matrix(unit), unit)

    def blended(self, sources: np.ndarray) -> "Representation":
        """With the windows of each source blended, as an analysis clusters them.

        Without vectors, the similarity of two windows becomes its mean over the pairs of windows of their sources.

        Args:
            sources: (n,) code of each window's source.
        """
        if self.vectors is None:
            codes = np.unique(sources, return_inverse=True)[1]
            sums, sizes = cluster_sums(self.similarity, codes)
            means = cluster_sums(sums.T, codes)[0] / np.outer(sizes, sizes)
            # Rounding must not make the similarity of two windows depend on their order.
            return Representation(((means + means.T) / 2)[codes][:, codes].astype(np.float32))
        vectors = self.vectors.copy()
        blend_by_source(vectors, sources)
        return Representation.of_vectors(vectors)
