"""How an analysis works, as the user sets it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from telescope_transformer import sequences

Say = Callable[[str], None]


def say_nothing(message: str) -> None:
    """The default of every `say`: a library call prints nothing."""


@dataclass(frozen=True)
class Settings:
    """How `analyze` works.

    model: directory or Hub name of a checkpoint; None is the one that the package ships.
    threshold: cosine similarity at which a pair neither attracts nor repels; None takes the calibrated one.
    window, min_records: most and fewest records in a window.
    time_limit: seconds that the clustering may search.
    seed: of the clustering's searches.
    granularity: also solve a sweep of thresholds, for the stability of each cluster.
    networks: CSV of the name of the autonomous system of each /24 or /48, for the report.
    """

    model: str | None = None
    threshold: float | None = None
    window: int = sequences.WINDOW
    min_records: int = sequences.MIN_RECORDS
    time_limit: float = 60.0
    seed: int = 0
    granularity: bool = False
    networks: str | Path | None = None
