"""Active inequalities beyond triangles, in compressed rows."""

import numpy as np

from telescope_transformer.arrays import offsets_of


class Rows:
    """Valid inequalities beyond triangles, sum of signs * x <= right, in compressed rows with their multipliers.

    Attributes:
        starts: int64 (t + 1,), where the entries of each inequality begin.
        edges: int64 (entries,), pairs.
        signs: float64 (entries,), coefficients 1 or -1.
        right: float64 (t,), right-hand sides.
        multipliers: float64 (t,), at least 0.
    """

    def __init__(self) -> None:
        self.starts = np.zeros(1, dtype=np.int64)
        self.edges = np.empty(0, dtype=np.int64)
        self.signs = np.empty(0)
        self.right = np.empty(0)
        self.multipliers = np.empty(0)

    def append(
        self,
        starts: np.ndarray,
        edges: np.ndarray,
        signs: np.ndarray,
        right: np.ndarray,
        multipliers: np.ndarray | None = None,
    ) -> None:
        """Add inequalities.

        Args:
            starts: int64 (k + 1,), beginning at 0.
            edges: int64 (entries,).
            signs: float64 (entries,).
            right: float64 (k,).
            multipliers: float64 (k,), or None for 0.
        """
        added = np.zeros(right.size) if multipliers is None else multipliers
        starts = np.concatenate([self.starts, self.starts[-1] + starts[1:]])
        edges, signs = np.concatenate([self.edges, edges]), np.concatenate([self.signs, signs])
        right, added = np.concatenate([self.right, right]), np.concatenate([self.multipliers, added])
        # All arrays are assigned in one statement, because an interrupt may cause them to be read during the update.
        self.starts, self.edges, self.signs, self.right, self.multipliers = starts, edges, signs, right, added

    def drop_idle(self) -> None:
        """Remove the inequalities whose multiplier is 0."""
        keep = self.multipliers > 0
        entries = np.repeat(keep, np.diff(self.starts))
        starts = offsets_of(np.diff(self.starts)[keep])
        edges, signs = self.edges[entries], self.signs[entries]
        right, kept = self.right[keep], self.multipliers[keep]
        self.starts, self.edges, self.signs, self.right, self.multipliers = starts, edges, signs, right, kept
