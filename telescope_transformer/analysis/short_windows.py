"""Place windows with few records: each joins its most likely cluster, without changing other windows."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.analysis.embedding_stage import BLOCK
from telescope_transformer.placement import SMALLEST_CONFIDENCE, Centres, Embed, fit_placement, rows_to_try
from telescope_transformer.preparation import read_blocks
from telescope_transformer.progress import Say
from telescope_transformer.windows import Windows
from telescope_transformer.words import counted

# Returns the windows of the given rows, ascending, with their records.
WindowsOf = Callable[[np.ndarray], Windows]


def place_short_windows(
    vectors: np.ndarray,
    labels: np.ndarray,
    heads: pa.Table,
    windows_of: WindowsOf,
    embed: Embed,
    say: Say,
    *,
    core_records: int,
    seed: int,
) -> np.ndarray:
    """Give each window without a cluster its most likely cluster, or a new one, in place.

    Args:
        vectors: float32 (n, dimensions), embeddings of the windows.
        labels: (n,) clusters, -1 for windows that have none yet; changed in place. New clusters get the numbers from
            the largest one on.
        heads: table of the windows, without their records.
        windows_of: reads some of the windows.
        embed: embeds a table of windows.
        say: called with a message about the result.
        core_records: fewest records of the windows that already have a cluster.
        seed: seed of the choice of windows that are cut down.

    Returns:
        Confidence float32 (n,): probability that a window belongs to its most similar cluster. NaN for windows that
        already had a cluster; 0 if too few windows can be cut down to measure it.
    """
    confidence = np.full(len(labels), np.nan, dtype=np.float32)
    core, short = np.flatnonzero(labels >= 0), np.flatnonzero(labels < 0)
    if not len(short):
        return confidence
    confidence[short] = 0
    new = labels.max(initial=-1) + 1
    labels[short] = new + np.arange(len(short))
    sources = pc.rank(heads["source"].take(pa.array(core)), tiebreaker="dense").to_numpy().astype(np.int64)
    tried = core[rows_to_try(sources, labels[core], seed)]
    if len(tried) and core_records > 1:
        centres = Centres.of(np.asarray(vectors[core]), labels[core])
        placement = fit_placement(
            windows_of(tried),
            np.asarray(vectors[tried]),
            labels[tried],
            centres,
            embed,
            longest=core_records - 1,
            seed=seed,
        )
        found, similarities = centres.nearest(vectors[short])
        confidence[short] = placement.confidence(similarities, heads["n_records"].take(pa.array(short)).to_numpy())
        placed = confidence[short] >= SMALLEST_CONFIDENCE
        labels[short[placed]] = found[placed]
    n_placed = int((labels[short] < new).sum())
    say(
        f"{counted(n_placed, 'window')} of fewer than {core_records} records placed in clusters; "
        f"{counted(len(short) - n_placed, 'window')} left alone for being too short"
    )
    return confidence


def windows_in(work: Path, rows: np.ndarray) -> Windows:
    """Read the given windows of a work folder; rows are ascending."""
    found, begin = [], 0
    for block in read_blocks(work, BLOCK):
        mine = rows[(rows >= begin) & (rows < begin + len(block))] - begin
        if len(mine):
            found.append(block.take(mine).to_table())
        begin += len(block)
    return Windows.from_table(pa.concat_tables(found))
