"""Controls: what length, time of day and the sensor tell by themselves.

A window's length must tell nothing (AUROC 0.5); what time of day and sensor tell, a method has not learnt from
behaviour.
"""

import numpy as np

from telescope_transformer.evaluation.representation import Representation
from telescope_transformer.evaluation.windows import DAY_SECONDS, WindowSet, indicator


def length_only(windows: WindowSet) -> Representation:
    """Minus the difference of the numbers of records."""
    lengths = windows.table["n_records"].to_numpy().astype(np.float32)
    return Representation(-np.abs(lengths[:, None] - lengths[None, :]))


def time_of_day(windows: WindowSet) -> Representation:
    """The windows' mean directions on the 24-hour circle."""
    angle = 2 * np.pi * (windows.seconds % DAY_SECONDS) / DAY_SECONDS
    return Representation.of_vectors(np.stack([np.cos(angle).mean(axis=1), np.sin(angle).mean(axis=1)], axis=1))


def sensor_only(windows: WindowSet) -> Representation:
    """The windows' counts of records per sensor; all windows are alike where there is but one sensor."""
    counts = np.ones((len(windows), 1)) if windows.sensors is None else indicator(windows.sensors).toarray()
    return Representation.of_vectors(counts)
