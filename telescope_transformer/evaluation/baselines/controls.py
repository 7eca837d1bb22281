"""Controls: how well length, time of day and sensor alone identify sources.

Length alone must give an AUROC of 0.5. The AUROC that time of day and sensor alone reach is not evidence of learned
behaviour.
"""

import numpy as np

from telescope_transformer.evaluation.representation import Representation
from telescope_transformer.evaluation.windows import DAY_SECONDS, WindowSet, indicator


def length_only(windows: WindowSet) -> Representation:
    """Similarity by length: the negative difference of the numbers of records."""
    lengths = windows.table["n_records"].to_numpy().astype(np.float32)
    return Representation(-np.abs(lengths[:, None] - lengths[None, :]))


def time_of_day(windows: WindowSet) -> Representation:
    """The windows' mean directions on the 24-hour circle."""
    angle = 2 * np.pi * (windows.seconds % DAY_SECONDS) / DAY_SECONDS
    return Representation.of_vectors(np.stack([np.cos(angle).mean(axis=1), np.sin(angle).mean(axis=1)], axis=1))


def sensor_only(windows: WindowSet) -> Representation:
    """Counts of records per sensor; all windows are equal if there is only one sensor."""
    counts = np.ones((len(windows), 1)) if windows.sensors is None else indicator(windows.sensors).toarray()
    return Representation.of_vectors(counts)
