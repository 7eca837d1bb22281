"""Confidence intervals by resampling sources, because windows of one source are not independent."""

import numpy as np
from numpy.typing import NDArray


def source_multiplicities(n_sources: int, replicates: int, *, seed: int = 0) -> NDArray[np.float64]:
    """Draw n sources with replacement per replicate; returns how often each is drawn, (replicates, sources).

    The same seed draws the same sources for every method, so that differences can be bootstrapped too.
    """
    rng = np.random.default_rng(seed)
    return rng.multinomial(n_sources, np.full(n_sources, 1 / n_sources), size=replicates).astype(np.float64)


def percentile_interval(replicates: np.ndarray, *, level: float = 0.95) -> tuple[float, float]:
    """The percentile interval of the defined replicates; NaN if there are none."""
    defined = replicates[~np.isnan(replicates)]
    if not len(defined):
        return float("nan"), float("nan")
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def weighted_mean(values: np.ndarray, weights: np.ndarray) -> float:
    """Weighted mean of the defined values; NaN if they have no weight."""
    defined = ~np.isnan(values) & (weights > 0)
    return float(np.average(values[defined], weights=weights[defined])) if defined.any() else float("nan")
