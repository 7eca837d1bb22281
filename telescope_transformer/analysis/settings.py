"""How an analysis works, as the user sets it, and how it says what it does."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from telescope_transformer.errors import SolverError
from telescope_transformer.preparation import WindowSettings
from telescope_transformer.windows import MIN_RECORDS, WINDOW

Say = Callable[[str], None]


def say_nothing(message: str) -> None:
    """The default of every `say`: a library call prints nothing."""


def counted(number: int, thing: str) -> str:
    """A number with what it counts, as in "1 window" and "2,000 windows"."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


@dataclass(frozen=True)
class AnalysisSettings:
    """How `analyze` works.

    model: directory or Hub name of a checkpoint, which is taken as it is; None is the one that the package ships,
        adapted to the windows at hand.
    adapt: whether the shipped model learns from the windows at hand first, where there are enough sources.
    adapt_steps: steps of that training; None takes the recipe's.
    threshold: cosine similarity at which a pair neither attracts nor repels; None takes the calibrated one.
    window, min_records: most and fewest records in a window.
    session_gap: seconds without a record after which a window may end (`windows.cut`); None cuts by count alone.
    core_records: windows with fewer records decide nothing: they are placed at the end (`placement`).
    time_limit: seconds that the lower bound may be proved for; the search itself is bounded in work.
    seed: of the clustering's searches.
    granularity: also solve a sweep of thresholds, for the stability of each cluster.
    networks: files that say who announces an address, for the report (`labels.read_owners`).

    Raises:
        SolverError: if the threshold is no finite number.
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
    networks: Sequence[str | Path] = ()

    def __post_init__(self) -> None:
        # The solver would find it as well, but only when all windows have been embedded.
        if self.threshold is not None and not math.isfinite(self.threshold):
            raise SolverError(f"the threshold must be a finite number, not {self.threshold}")

    @property
    def windows(self) -> WindowSettings:
        """What the windows are."""
        return WindowSettings(self.window, self.min_records, self.session_gap)
