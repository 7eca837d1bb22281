"""A method's representation of n windows: the similarity of all pairs, and the vectors behind it if there are any."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from telescope_transformer.arrays import unit_rows
from telescope_transformer.metrics.pairs import cosine_matrix


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
