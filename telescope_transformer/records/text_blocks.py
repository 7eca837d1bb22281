"""Text as blocks of whole lines in valid UTF-8, whatever encoding and line ends a file has."""

import codecs
import re
from collections.abc import Iterator

from telescope_transformer.records.damage import DamagedInput, NotFlowRecords

LONGEST_LINE = 16 << 20
"""Bytes. No record of any format is nearly this long; a longer line means that a file does not hold text records."""

_JUDGED_BYTES, _FEWEST_JUDGED = 512, 32
"""Most and fewest bytes by which text without a byte order mark is judged; any header has more than the fewest."""

_PLAIN_TEXT = re.compile(rb"[\t\r\n -~]+")
# A crash while a log is written leaves blocks of NULs, and the next line follows them.
_LOST = re.compile(rb"^\0+", re.MULTILINE)
# UTF-32 comes first, because its little-endian mark begins with that of UTF-16.
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}


def encoding_of(head: bytes) -> str:
    """The encoding: by the byte order mark, or UTF-16 if every other byte is zero, otherwise `utf-8`."""
    marked = next((name for mark, name in _MARKS.items() if head.startswith(mark)), None)
    if marked is not None:
        return marked
    low, high = head[:_JUDGED_BYTES:2], head[1:_JUDGED_BYTES:2]
    for one, other, name in ((low, high, "utf-16-le"), (high, low, "utf-16-be")):
        if len(head) >= _FEWEST_JUDGED and not other.strip(b"\0") and _PLAIN_TEXT.fullmatch(one):
            return name
    return "utf-8"


def as_utf8(head: bytes) -> bytes:
    """The head of a text file as clean UTF-8: without a byte order mark, with line feeds as line ends."""
    encoding = encoding_of(head)
    if encoding != "utf-8":
        return _clean(head.decode(encoding, "ignore").removeprefix("\ufeff").encode("utf-8", "replace"))
    return _clean(head.removeprefix(codecs.BOM_UTF8))


def is_text(head: bytes) -> bool:
    """Whether the beginning of a file may be text. Further on, a NUL costs one row, but its first line holds none."""
    return b"\0" not in as_utf8(head[: 2 * _JUDGED_BYTES]).lstrip()[:_JUDGED_BYTES].partition(b"\n")[0]


def _clean(block: bytes) -> bytes:
    """Escapes undecodable bytes as `\\xff`, and turns CR LF and CR into LF.

    Also removes marks between joined files, and NULs before a line.
    """
    try:
        block.decode("utf-8")
    except UnicodeDecodeError:
        block = block.decode("utf-8", "backslashreplace").encode("utf-8")
    if b"\r" in block:
        block = block.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if codecs.BOM_UTF8 in block:
        block = block.removeprefix(codecs.BOM_UTF8).replace(b"\n" + codecs.BOM_UTF8, b"\n")
    return _LOST.sub(b"", block) if b"\0" in block else block


class TextBlocks:
    """Iterates over the text of a file in blocks of whole lines, each about as large as the given blocks.

    At damage the text ends after the last whole line before it, because a value cut in two could pass for a valid one
    (port 22 of 2222); `damage` then holds the exception. Call `raise_damage` when all lines are read.
    """

    def __init__(self, blocks: Iterator[bytes], name: str) -> None:
        self._blocks = blocks
        self._name = name
        self.damage: DamagedInput | None = None

    def __iter__(self) -> Iterator[bytes]:
        held: list[bytes] = []
        size, has_lines = 0, False
        for block in self._decoded():
            end = max(block.rfind(b"\n"), block.rfind(b"\r", 0, len(block) - 1)) + 1
            if end:
                yield _clean(b"".join(held) + block[:end])
                held, size, has_lines = [block[end:]], len(block) - end, True
                continue
            held.append(block)
            size += len(block)
            if size > LONGEST_LINE:
                told = f"a line is longer than {LONGEST_LINE >> 20} MiB: this is not a text file of records"
                raise DamagedInput(self._name, None, told) if has_lines else NotFlowRecords(self._name, told)
        if size and self.damage is None:
            yield _clean(b"".join(held))

    def _decoded(self) -> Iterator[bytes]:
        """The blocks as UTF-8, without a byte order mark; sets `damage` if they end in damage."""
        blocks = self._until_damage()
        first = next(blocks, b"")
        encoding = encoding_of(first)
        if encoding == "utf-8":
            yield first.removeprefix(codecs.BOM_UTF8)
            yield from blocks
            return
        decoder = codecs.getincrementaldecoder(encoding)("replace")
        yield decoder.decode(first).removeprefix("\ufeff").encode("utf-8", "replace")
        for block in blocks:
            yield decoder.decode(block).encode("utf-8", "replace")

    def _until_damage(self) -> Iterator[bytes]:
        try:
            yield from self._blocks
        except DamagedInput as damage:
            self.damage = damage

    def raise_damage(self) -> None:
        """Raises the damage that ended the text, if any did."""
        if self.damage is not None:
            raise self.damage
