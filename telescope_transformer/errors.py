"""The errors that a user can cause, each a subclass of `TelescopeError`.

The command line prints their message, or an `OSError`'s (a full disk, a folder that cannot be written), and exits with
status 1; any other exception is a defect of the package.
"""


class TelescopeError(Exception):
    """Base class of every error that the package raises on purpose."""


class InputError(TelescopeError):
    """An input file is missing, empty, truncated or not what it claims; the message names it."""


class NoRecordsError(InputError):
    """The inputs are what they claim, and hold no record: headers only."""


class FlowRecordError(InputError):
    """A flow record or a column mapping is not valid; the message names the row, the field and the value."""


class DatasetError(TelescopeError):
    """A prepared dataset is missing, incomplete or of another schema version."""


class CheckpointError(TelescopeError):
    """A model directory or training checkpoint is missing, damaged or of another architecture."""


class TrainingError(TelescopeError):
    """Training cannot start or go on: a wrong option, a wrong world size, a loss that is not finite."""


class SolverError(TelescopeError):
    """A clustering solver failed or was asked for something that it cannot do."""


class WeightsError(SolverError, ValueError):
    """Edge weights are not a valid signed graph; the message names the first offending pair."""


class WeightsTypeError(WeightsError, TypeError):
    """Edge weights hold something that is no number at all."""


class StateError(TelescopeError):
    """The state of a running analysis is missing, locked, damaged or of another version."""


class ExportError(TelescopeError):
    """A cluster or a format that was asked for cannot be exported."""


class HubError(TelescopeError):
    """The Hub refused a request or could not be reached; the message never contains a token."""


class MissingExtraError(TelescopeError):
    """An optional dependency is not installed; the message names the extra that brings it."""
