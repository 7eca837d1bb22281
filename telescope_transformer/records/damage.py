"""Errors of an input file as a whole; an error in a single row becomes a reject."""

from pathlib import Path

from telescope_transformer.errors import FlowRecordError, InputError
from telescope_transformer.records.rejects import escaped


class DamagedInput(InputError):
    """A file is cut off or corrupt; the records before the damage were read.

    `offset` is the byte at which the damage begins, None if it is not known. In a compressed file, it counts
    decompressed bytes.
    """

    def __init__(self, path: str | Path, offset: int | None, reason: str) -> None:
        super().__init__(f"{escaped(path)}: damaged{'' if offset is None else f' at byte {offset}'}: {reason}")
        self.path = str(path)
        self.offset = offset
        self.reason = reason


class NotFlowRecords(FlowRecordError):
    """A file holds something other than flow records. In a folder, such files are skipped and counted."""

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(f"{escaped(path)}: {reason}")
        self.path = str(path)
        self.reason = reason
