"""Windows as a telescope with fewer sensors would have recorded them: some records of a stretch, the others missed.

A window of eight records then spans more time, and gaps add up over what is missed. A model that never saw this tells
sources of one operator apart by how much of their traffic a telescope caught.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from training.sampling import Pairs


def shown_places(random: np.random.Generator, pairs: Pairs) -> list[np.ndarray]:
    """Places in their stretches of the records that first and second windows show: two (n, length), ascending."""
    return [shown_of(random, spans, length) for length, spans in zip(pairs.lengths, pairs.spans, strict=True)]


def shown_of(random: np.random.Generator, spans: np.ndarray, length: int) -> np.ndarray:
    """Places of `length` records, drawn from stretches of so many (n,): (n, length), ascending."""
    keys = random.random((len(spans), int(spans.max())))
    keys[np.arange(keys.shape[1]) >= spans[:, None]] = np.inf
    # The places of the smallest keys are a draw without replacement.
    return np.sort(np.argsort(keys, axis=1)[:, :length], axis=1)


def thinned(
    encoded: Mapping[str, np.ndarray], starts: np.ndarray, places: Sequence[np.ndarray]
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Windows of some of the records of their stretches, as if the telescope had missed the others.

    Args:
        encoded: of all records, as a store has them.
        starts: (n,) first record of each stretch.
        places: as `shown_places` gives them, or one array of `shown_of`.

    Returns:
        The windows' records, one window after the other, and the first record of each window (n,).
    """
    lengths = np.repeat([rows.shape[1] for rows in places], [len(rows) for rows in places])
    firsts = np.cumsum(lengths) - lengths
    shown = np.concatenate([rows.ravel() for rows in places]) + np.repeat(starts, lengths)
    longest = max(int(rows.max()) for rows in places) + 1
    # Stretches end within their source, but what is read beyond the last shown record may lie behind the store's end.
    rows = np.minimum(starts[:, None] + np.arange(longest), len(encoded["inter_arrival"]) - 1)
    since = np.cumsum(encoded["inter_arrival"][rows], axis=1, dtype=np.float64)
    times = since[np.repeat(np.arange(len(starts)), lengths), shown - np.repeat(starts, lengths)]
    seconds = np.diff(times, prepend=0.0)
    seconds[firsts] = 0.0
    return {"input_ids": encoded["input_ids"][shown], "inter_arrival": seconds}, firsts
