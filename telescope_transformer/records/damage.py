"""What can be wrong with an input file as a whole; what is wrong with one row is a reject."""

from pathlib import Path

from telescope_transformer.errors import FlowRecordError, InputError
from telescope_transformer.records.rejects import escaped


class DamagedInput(InputError):
    """A file is cut off or corrupt, from a byte offset on where that is known; what lies before it was read.

    Of a compressed file, the offset is that within its decompressed content.
    """

    def __init__(self, path: str | Path, offset: int | None, reason: str) -> None:
        super().__init__(f"{escaped(path)}: damaged{'' if offset is None else f' at byte {offset}'}: {reason}")
        self.path = str(path)
        self.offset = offset
        self.reason = reason


class NotFlowRecords(FlowRecordError):
    """A file holds something else than flow records: among the files of a folder it is passed over, and counted."""

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(f"{escaped(path)}: {reason}")
        self.path = str(path)
        self.reason = reason
