"""What a method makes of n windows: a similarity of all pairs, and the vectors that it comes from if there are any."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from telescope_transformer.arrays import unit_rows
from telescope_transformer.metrics.pairs import cosine_matrix


class Representation(NamedTuple):
    """similarity: (n, n) float32, higher for what belongs together; vectors: (n, d) float32, or None."""

    similarity: NDArray[np.float32]
    vectors: NDArray[np.float32] | None = None

    @classmethod
    def of_vectors(cls, vectors: NDArray) -> "Representation":
        """The cosine of the vectors, which are scaled to length 1 where they are not 0."""
        unit = unit_rows(vectors)
        return cls(cosine_matrix(unit), unit)
