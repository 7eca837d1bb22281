"""Settings of an analysis."""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path

from telescope_transformer.errors import InputError, SolverError
from telescope_transformer.labels import Owners
from telescope_transformer.preparation import WindowSettings
from telescope_transformer.splits import LARGEST_SEED
from telescope_transformer.windows import MIN_RECORDS, WINDOW, check_window


@dataclass(frozen=True)
class AnalysisSettings:
    """Settings of `analyze`.

    Attributes:
        model: directory or Hub id of a checkpoint to use without adaptation; None adapts the shipped checkpoint to the
            windows.
        adapt: whether to adapt the shipped model to the windows first, if there are enough sources.
        adapt_steps: training steps of the adaptation; None uses the recipe's.
        threshold: cosine similarity at which a pair neither attracts nor repels; None uses the calibrated one.
        window: largest number of records in a window.
        min_records: windows with fewer records are dropped.
        session_gap: a pause of more than this many seconds may end a window (`windows.cut`); None cuts by count alone.
        core_records: windows with fewer records do not influence the clusters and are assigned afterwards
            (`placement`).
        time_limit: seconds to spend on the proof of the lower bound; the search has a fixed amount of work.
        seed: seed of the search.
        granularity: whether to cluster at several thresholds, for the stability of each cluster.
        networks: files that say which network announces each address, for the report, or the result of
            `labels.read_owners` on them.

    Raises:
        SolverError: if the threshold is not from -1 to 1, or the time limit is negative.
        DatasetError: if no window could be cut in this way.
        InputError: if another number is not a whole number of at least 0, or the seed is too large.
    """

    model: str | None = None
    adapt: bool = True
    adapt_steps: int | None = None
    threshold: float | None = None
    window: int = WINDOW
    min_records: int = 1
    session_gap: float | None = None
    core_records: int = MIN_RECORDS
    time_limit: float = 60.0
    seed: int = 0
    granularity: bool = False
    networks: Sequence[str | Path] | Owners = ()

    def __post_init__(self) -> None:
        # Checked here, because otherwise a later stage would refuse it after earlier stages have done their work.
        if self.threshold is not None and not (isinstance(self.threshold, Real) and -1 <= self.threshold <= 1):
            raise SolverError(f"the threshold is a cosine and must be from -1 to 1, not {self.threshold!r}")
        if not isinstance(self.time_limit, Real) or not self.time_limit >= 0:
            raise SolverError(f"time_limit must be a number of seconds of at least 0, not {self.time_limit!r}")
        check_window(self.window, self.min_records, self.session_gap)
        for name in ("adapt_steps", "core_records", "seed"):
            value = getattr(self, name)
            if not (isinstance(value, Integral) and value >= 0) and not (name == "adapt_steps" and value is None):
                raise InputError(f"{name} must be a whole number of at least 0, not {value!r}")
        if self.seed > LARGEST_SEED:
            raise InputError(f"seed must be at most {LARGEST_SEED}, not {self.seed}")

    @property
    def training_steps(self) -> int | None:
        """Steps of the adaptation: 0 only centres the model, None uses the recipe's."""
        return self.adapt_steps if self.adapt else 0

    @property
    def windows(self) -> WindowSettings:
        """Settings of the windows."""
        return WindowSettings(self.window, self.min_records, self.session_gap)
