"""Checks of options: limits, whole numbers, seeds and thresholds."""

from numbers import Integral, Real
from typing import Any

import numpy as np

from telescope_transformer.errors import SolverError, WeightsError

# Maximum number of characters of a wrong value that an error message repeats: about a line.
_SHOWN = 80


def check_whole_number(name: str, value: Any, least: int) -> None:
    """Check an option that must be a whole number.

    Raises:
        SolverError: the value is not an integer of at least ``least``.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < least:
        raise SolverError(f"{name} must be a whole number of at least {least}, not {value!r}")


def check_limit(name: str, value: Any) -> None:
    """Check an option that must be a number or None.

    Raises:
        SolverError: the value is neither None nor a number of at least 0.
    """
    if value is not None and not _real(value) >= 0:
        raise SolverError(f"{name} must be None or a number of at least 0, not {_shown(value)}")


def check_threshold(threshold: Any) -> float:
    """A threshold as a float.

    Raises:
        WeightsError: the threshold is not a finite number.
    """
    value = _real(threshold)
    if not np.isfinite(value):
        raise WeightsError(f"the threshold must be a finite number, not {_shown(threshold)}")
    return value


def check_seed(random_state: Any) -> int | None:
    """A seed from a scikit-learn random state: None, a whole number of at least 0, or a RandomState.

    Raises:
        SolverError: the random state is none of these.
    """
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31 - 1))
    if random_state is not None:
        check_whole_number("random_state", random_state, 0)
        return int(random_state)
    return None


def _real(value: Any) -> float:
    """The value as a float; nan if it is not a real number or too large for one."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return float("nan")
    try:
        return float(value)
    except OverflowError:
        return float("nan")


def _shown(value: Any) -> str:
    """The value as text for an error message, shortened."""
    text = repr(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
