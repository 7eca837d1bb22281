"""Errors that a user can cause, all subclasses of `TelescopeError`.

The command line prints the message of such an error, or of an `OSError` (a full disk, a folder that cannot be
written), and exits with status 1. Any other exception is a defect of the package.
"""

import re


def reason(error: Exception) -> str:
    """What went wrong; of an error of the file system, neither its number nor its file."""
    if isinstance(error, OSError) and error.strerror:
        # Arrow tells the reason of the file system after its own words.
        return re.sub(r".*Detail: \[errno \d+\] ", "", error.strerror, flags=re.DOTALL)
    return str(error) or type(error).__name__


class TelescopeError(Exception):
    """Base class of every error that the package raises on purpose."""


class InputError(TelescopeError):
    """An input file is missing, empty, truncated or not of the format that it claims; the message names it."""


class NoRecordsError(InputError):
    """The inputs are valid but contain no records, only headers."""


class FlowRecordError(InputError):
    """A flow record or a column mapping is not valid; the message names the row, the field and the value."""


class DatasetError(TelescopeError):
    """A prepared dataset is missing, incomplete or of another schema version."""


class CheckpointError(TelescopeError):
    """A model directory or training checkpoint is missing, damaged or of another architecture."""


class TrainingError(TelescopeError):
    """Training cannot start or continue: a wrong option, a wrong world size, a loss that is not finite."""


class SolverError(TelescopeError):
    """A clustering solver failed or does not support the request."""


class WeightsError(SolverError, ValueError):
    """Edge weights are not a valid signed graph; the message names the first offending pair."""


class WeightsTypeError(WeightsError, TypeError):
    """Edge weights contain something that is not a number."""


class StateError(TelescopeError):
    """The state of a running analysis is missing, locked, damaged or of another version."""


class ExportError(TelescopeError):
    """The requested cluster or format cannot be exported."""


class HubError(TelescopeError):
    """The Hub refused a request or could not be reached; the message never contains a token."""


class MissingExtraError(TelescopeError):
    """An optional dependency is not installed; the message names the extra that installs it."""
