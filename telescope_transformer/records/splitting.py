"""Compiled splitting of text into rows and values, so that one malformed line costs only one row."""

import numpy as np
from numba import njit

BLANKS = 0
"""A delimiter that stands for any run of spaces and tabs."""

GOOD, MALFORMED, COMMENT, OPEN_QUOTE = range(4)
"""Kinds of line. OPEN_QUOTE: a quote is open at the end of the line, and a later line may close it."""

_LINE_FEED, _QUOTE, _SPACE, _TAB = 10, 34, 32, 9
_LONGEST_QUOTED = 1 << 16
"""Bytes within which a quote must close. Otherwise it is a stray quote, and must not swallow the rows after it."""


@njit(cache=True, nogil=True)
def _line_end(data: np.ndarray, at: int) -> int:
    while at < len(data) and data[at] != _LINE_FEED:
        at += 1
    return at


@njit(cache=True, nogil=True)
def _closing_quote(data: np.ndarray, at: int, limit: int, delimiter: int) -> int:
    """Where the quote that opened before `at` closes: before a delimiter, blanks or the end of a line; -1 if it stays
    open."""
    while at < limit:
        if data[at] == _QUOTE:
            if at + 1 < limit and data[at + 1] == _QUOTE:
                at += 2
                continue
            after = at + 1
            while after < limit and data[after] == _SPACE:
                after += 1
            if after == limit or data[after] == delimiter or data[after] == _LINE_FEED:
                return at
            if delimiter == BLANKS and after > at + 1:
                return at
        at += 1
    return -1


@njit(cache=True, nogil=True)
def _split_row(
    data: np.ndarray, at: int, end: int, limit: int, delimiter: int, starts: np.ndarray, stops: np.ndarray
) -> tuple[int, int, bool]:
    """Splits one row from `at`; `end` is where its line ends, `limit` how far a quote may reach beyond that.

    Returns the number of values (those that fit are stored), where the row ends, and whether a quote was left open.
    """
    count = 0
    while True:
        while at < end and (data[at] == _SPACE or (data[at] == _TAB and delimiter != _TAB)):
            at += 1
        if delimiter == BLANKS and at == end:
            return count, end, False
        start = at
        if at < end and data[at] == _QUOTE:
            close = _closing_quote(data, at + 1, limit, delimiter)
            if close < 0:
                return count, end, True
            start, stop, at = at + 1, close, close + 1
            if close > end:
                end = _line_end(data, close)
            while at < end and data[at] == _SPACE and delimiter != BLANKS:
                at += 1
        else:
            while at < end and data[at] != delimiter:
                if delimiter == BLANKS and (data[at] == _SPACE or data[at] == _TAB):
                    break
                at += 1
            stop = at
            while stop > start and (data[stop - 1] == _SPACE or (data[stop - 1] == _TAB and delimiter != _TAB)):
                stop -= 1
        if count < len(starts):
            starts[count], stops[count] = start, stop
        count += 1
        if at >= end:
            return count, end, False
        at += 1


@njit(cache=True, nogil=True)
def split_rows(
    data: np.ndarray,
    delimiter: int,
    quoted: bool,
    comment: int,
    columns: int,
    wanted: np.ndarray,
    starts: np.ndarray,
    stops: np.ndarray,
    bounds: np.ndarray,
    kinds: np.ndarray,
    counts: np.ndarray,
) -> int:
    """Splits a block of lines; blank lines are not rows.

    Args:
        data: uint8 (b,), whole lines.
        delimiter: a byte, or BLANKS.
        quoted: whether `"` may enclose values.
        comment: the byte that a comment line begins with, 0 for none.
        columns: number of values that a row has.
        wanted: int64 (k,), indices of the columns that are needed.
        starts, stops: int64 (n, k), bounds of the wanted values of each good row.
        bounds: int64 (n, 2), bounds of each row.
        kinds: uint8 (n,), the kind of each row.
        counts: int64 (n,), number of values found in each row.

    Returns:
        The number of rows.
    """
    row, at = 0, 0
    first, last = np.empty(columns + 1, dtype=np.int64), np.empty(columns + 1, dtype=np.int64)
    while at < len(data):
        end = _line_end(data, at)
        begin = at
        while begin < end and (data[begin] == _SPACE or data[begin] == _TAB):
            begin += 1
        if begin == end:
            at = end + 1
            continue
        bounds[row, 0] = at
        if comment and data[begin] == comment:
            kinds[row], bounds[row, 1] = COMMENT, end
            row += 1
            at = end + 1
            continue
        found, stop = 0, end
        good, cut = False, False
        if quoted:
            # Tries the line alone first; a quote that it leaves open may reach into the next lines.
            found, stop, left_open = _split_row(data, at, end, end, delimiter, first, last)
            if left_open:
                limit = min(len(data), at + _LONGEST_QUOTED)
                found, stop, left_open = _split_row(data, at, end, limit, delimiter, first, last)
                # The block may end before the quote does.
                cut = left_open and limit == len(data)
            good = not left_open
            if left_open:
                stop = end
        else:
            found = _split_plain(data, at, end, delimiter, first, last)
            good = True
        # A delimiter after the last value adds an empty value.
        trailing = found == columns + 1 and first[columns] == last[columns]
        good = good and (found == columns or trailing)
        if not good and stop > end:
            # These lines do not make a row together, so each of them is judged alone.
            stop = end
        counts[row] = found
        kinds[row] = GOOD if good else (OPEN_QUOTE if cut else MALFORMED)
        bounds[row, 1] = stop
        if good:
            for index in range(len(wanted)):
                starts[row, index], stops[row, index] = first[wanted[index]], last[wanted[index]]
        row += 1
        at = stop + 1
    return row


@njit(cache=True, nogil=True)
def _split_plain(data: np.ndarray, at: int, end: int, delimiter: int, starts: np.ndarray, stops: np.ndarray) -> int:
    """Like `_split_row`, but quotes have no meaning; returns the number of values."""
    count = 0
    while True:
        while delimiter == BLANKS and at < end and (data[at] == _SPACE or data[at] == _TAB):
            at += 1
        if delimiter == BLANKS and at == end:
            return count
        start = at
        while at < end and data[at] != delimiter:
            if delimiter == BLANKS and (data[at] == _SPACE or data[at] == _TAB):
                break
            at += 1
        if count < len(starts):
            starts[count], stops[count] = start, at
        count += 1
        if at >= end:
            return count
        at += 1


@njit(cache=True, nogil=True)
def measure(starts: np.ndarray, stops: np.ndarray, column: int, rows: np.ndarray, offsets: np.ndarray) -> int:
    """Writes the offsets (n + 1) of the values of a column in `rows` (n,); returns their total size in bytes.

    Args:
        starts, stops: int64 (rows of the block, columns), bounds of the values.
    """
    position = 0
    for index in range(len(rows)):
        offsets[index] = position
        position += stops[rows[index], column] - starts[rows[index], column]
    offsets[len(rows)] = position
    return position


@njit(cache=True, nogil=True)
def gather(
    data: np.ndarray, starts: np.ndarray, column: int, rows: np.ndarray, offsets: np.ndarray, out: np.ndarray
) -> None:
    """Copy the values of a column in `rows` into `out`, one after another, at the `offsets` of `measure`."""
    for index in range(len(rows)):
        position, place = offsets[index], starts[rows[index], column]
        for byte in range(offsets[index + 1] - position):
            out[position + byte] = data[place + byte]
