"""The pairs of windows that a step trains on. They depend only on the seed and the step."""

from dataclasses import dataclass

import numpy as np

from telescope_transformer.errors import TrainingError
from telescope_transformer.learning.arguments import TrainingArguments

# Fewest records that windows are cut down to. A single record has no inter-arrival time. Training with single records
# also made it harder to tell the organisations of eight-record windows apart (AUROC .86 instead of .91 on the scanners
# of 2024).
FEWEST_RECORDS = 2


@dataclass(frozen=True)
class Pairs:
    """n positive pairs: two disjoint windows of each of n distinct sources.

    Args:
        sources: (n,) number of each pair's source; the second window may be of another source of the same network.
        starts: (2, n) first record of each window, counted over all records.
        lengths: number of records in the first windows, and in the second windows.
    """

    sources: np.ndarray
    starts: np.ndarray
    lengths: tuple[int, int]


class PairSampler:
    """Draws the pairs of a step.

    First one length is drawn for all windows of the step. If lengths differed within a half of the batch, the model
    could learn them instead of the traffic. Then sources that are long enough for two windows are drawn without
    replacement, with probability proportional to (records)^alpha, so that no negative is from the anchor's own source.
    Finally, two windows that do not overlap are drawn uniformly from the records of each source. In some steps all
    second windows are then cut down to a few records. A source with few records is then embedded near the longer
    windows that it would have had.

    Args:
        offsets: (S + 1,) first record of each source, and the total number of records.
        arguments: options of the run, such as the number of pairs and the lengths of windows.
        siblings: (S,) number of each source's network; None if no pair joins two sources.

    Raises:
        TrainingError: if fewer than `batch_pairs` sources have twice `min_records` records.
    """

    def __init__(self, offsets: np.ndarray, arguments: TrainingArguments, siblings: np.ndarray | None = None):
        self.offsets, self.arguments, self.counts = offsets, arguments, np.diff(offsets)
        batch_pairs, min_records, counts = arguments.batch_pairs, arguments.min_records, self.counts
        # Sorted by length, longest first, so that the sources with enough records are a prefix.
        self.order = np.argsort(-counts, kind="stable")
        self.descending = -counts[self.order]
        self.log_weights = arguments.alpha * np.log(np.maximum(counts[self.order], 1))
        able = int(np.searchsorted(self.descending, -2 * min_records, side="right"))
        if able < batch_pairs:
            raise TrainingError(
                f"{batch_pairs} pairs a batch need as many sources with at least {2 * min_records} records; this "
                f"split has {able} of {len(counts)}: set batch_pairs (--batch-pairs) to {able} or less"
            )
        self.families = None
        if siblings is not None and arguments.sibling_pairs > 0:
            self.families = _Families(siblings, counts >= 2 * min_records)
        # Lengths that leave too few sources to fill the batch are excluded.
        self.shortest = min_records
        self.longest = min(arguments.max_records, int(-self.descending[batch_pairs - 1]) // 2)

    def pairs(self, step: int) -> Pairs:
        """The pairs of a step; earlier draws have no influence."""
        random = np.random.default_rng([self.arguments.seed, step])
        length = self._draw_length(random)
        able = int(np.searchsorted(self.descending, -2 * length, side="right"))
        # Taking the largest values of log weight plus Gumbel noise draws without replacement (Efraimidis and Spirakis
        # 2006).
        pairs = self.arguments.batch_pairs
        keys = self.log_weights[:able] + random.gumbel(size=able)
        sources = self.order[np.argpartition(-keys, pairs - 1)[:pairs]]
        sources = sources[random.permutation(pairs)]
        slack = self.counts[sources] - 2 * length
        earlier, later = np.sort(random.integers(0, slack + 1, size=(2, pairs)), axis=0)
        swap = random.integers(0, 2, size=pairs).astype(bool)
        first = np.where(swap, later + length, earlier)
        second = np.where(swap, earlier, later + length)
        starts = np.stack([first, second]) + self.offsets[sources]
        if self.families is not None:
            self._draw_siblings(self.families, random, sources, starts, length)
        return Pairs(sources, starts, (length, self._cut_down(step, starts, length)))

    def _draw_siblings(
        self, families: "_Families", random: np.random.Generator, sources: np.ndarray, starts: np.ndarray, length: int
    ) -> None:
        """Replace the second window of some pairs, in place, by a window of another source of the same network."""
        partners = families.draw(random, sources)
        chosen = random.random(len(sources)) < self.arguments.sibling_pairs
        chosen &= (partners != sources) & (self.counts[partners] >= length)
        for row, owners in enumerate((sources[chosen], partners[chosen])):
            slack = self.counts[owners] - length
            starts[row, chosen] = self.offsets[owners] + random.integers(0, slack + 1)

    def _cut_down(self, step: int, starts: np.ndarray, length: int) -> int:
        """Cut the second windows of a step down, in place, or leave them as they are; returns their length."""
        random = np.random.default_rng([self.arguments.seed, step, 4])
        if not random.random() < self.arguments.cut_steps or length <= FEWEST_RECORDS:
            return length
        shorter = int(np.exp(random.uniform(np.log(FEWEST_RECORDS), np.log(length))))
        starts[1] += random.integers(0, length - shorter + 1, size=starts.shape[1])
        return shorter

    def _draw_length(self, random: np.random.Generator) -> int:
        if self.arguments.lengths == "uniform":
            return int(random.integers(self.shortest, self.longest + 1))
        low, high = np.log(self.shortest), np.log(self.longest + 1)
        return int(np.clip(np.exp(random.uniform(low, high)), self.shortest, self.longest))


class _Families:
    """Groups of sources of one network, to draw another source of the same network.

    Args:
        siblings: (S,) number of each source's network.
        able: (S,) bool, whether a source has enough records.
    """

    def __init__(self, siblings: np.ndarray, able: np.ndarray):
        self.members = np.flatnonzero(able)[np.argsort(siblings[able], kind="stable")]
        families, begins, sizes = np.unique(siblings[self.members], return_index=True, return_counts=True)
        self.place = np.zeros(len(siblings), dtype=np.int64)
        self.place[self.members] = np.arange(len(self.members))
        row = np.searchsorted(families, siblings).clip(max=len(families) - 1)
        self.begins, self.sizes = begins[row], sizes[row]

    def draw(self, random: np.random.Generator, sources: np.ndarray) -> np.ndarray:
        """Another source of each source's network, (n,); the source itself if it is the only one."""
        begins, sizes = self.begins[sources], self.sizes[sources]
        step = 1 + random.integers(0, np.maximum(sizes - 1, 1))
        drawn = self.members[begins + (self.place[sources] - begins + step) % sizes]
        return np.where(sizes > 1, drawn, sources)
