"""Metrics on held-out sources, which decide whether learning helped."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.codes import row_majorities
from telescope_transformer.embedding import embed_windows
from telescope_transformer.files import text_digest
from telescope_transformer.learning.store import networks_of
from telescope_transformer.metrics.bootstrap import percentile_interval, source_multiplicities
from telescope_transformer.metrics.pairs import PairRanking, all_pairs, condensed, cosine_matrix
from telescope_transformer.model import TelescopeForContrastiveLearning, WindowEncoder
from telescope_transformer.splits import source_digest
from telescope_transformer.windows import fixed_windows

# A thousand windows have half a million pairs, which determine an AUROC to about .01.
MOST_SOURCES = 250
WINDOWS_PER_SOURCE = 4
# With fewer sources or fewer positive pairs, the metrics cannot show which weights are better.
FEWEST_SOURCES = 10
FEWEST_PAIRS = 20
# Our choice: number of bootstrap replicates over sources.
REPLICATES = 200
# `same_source`: pairs of one source against pairs of two sources. `hard`: the same among windows with the same
# dominant service. These are their names in messages.
NAMES = {
    "same_source": "one source or two",
    "hard": "one source or two that ask for one service",
}


@dataclass(frozen=True)
class Comparison:
    """AUROCs of two models on the same held-out sources.

    Attributes:
        before, after: AUROC of each metric that has enough pairs, by name, with four decimals.
        gain: difference in `same_source`.
        upper: upper end of the 95 % interval of this difference, by a bootstrap over sources.
    """

    before: dict[str, float]
    after: dict[str, float]
    gain: float
    upper: float

    @property
    def worse(self) -> bool:
        """Whether the second model recognises sources worse, by more than the interval.

        Pairs of sources of one network say nothing reliable here: with a few held-out networks, such a metric refused
        weights that related organisations better.
        """
        return self.upper < 0

    def __str__(self) -> str:
        return ", ".join(
            f"{NAMES[name]} {self.before[name]:.3f} before, {self.after[name]:.3f} after" for name in self.after
        )


def keep_out(sources: pa.Array, share: float, seed: int) -> np.ndarray:
    """Choose the held-out sources, bool (S,): whole networks in the order of a hash, up to the share.

    A network (/24, IPv6: /48) is held out as a whole, since training pairs its sources with each other. A network that
    would exceed the share is skipped.

    Args:
        sources: (S,) distinct addresses.
        share: share of the sources to hold out, from 0 to 1.
    """
    networks = networks_of(sources)
    names = sources.to_pylist()
    # A network is named by its first source in the order of text.
    first = np.full(networks.max(initial=-1) + 1, "", dtype=object)
    for name, network in sorted(zip(names, networks.tolist(), strict=True), reverse=True):
        first[network] = name
    order = np.argsort([source_digest(name, seed) for name in first], kind="stable")
    sizes, left = np.bincount(networks, minlength=len(first)), share * len(names)
    chosen = np.zeros(len(first), dtype=bool)
    for network in order:
        if sizes[network] <= left:
            chosen[network] = True
            left -= sizes[network]
    held_out: np.ndarray = chosen[networks]
    return held_out


def digest_of_sources(sources: pa.Array) -> str:
    """Digest of a set of addresses, by which an adapted model recognises them later without storing any."""
    return text_digest("\n".join(sorted(sources.to_pylist())))


@dataclass(frozen=True)
class HeldOut:
    """Windows of the held-out sources, all of one length, and the pairs that the metrics compare.

    Args:
        windows: a row per window.
        sources: (n,) code of each window's source.
        services: (n,) dominant service of each window: protocol and destination port as one number.
    """

    windows: pa.Table
    sources: np.ndarray
    services: np.ndarray

    @classmethod
    def of(cls, windows: pa.Table, length: int, seed: int) -> "HeldOut | None":
        """Windows of `length` records of at most `MOST_SOURCES` sources with two windows; None if they are too few.

        Args:
            windows: windows of the held-out sources, grouped by source.
        """
        cut = fixed_windows(windows, length, max_per_source=WINDOWS_PER_SOURCE, seed=seed)
        counts = cut["source"].combine_chunks().value_counts()
        names = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
        if len(names) > MOST_SOURCES:
            rows = np.random.default_rng(seed).choice(len(names), MOST_SOURCES, replace=False)
            names = names.take(pa.array(np.sort(rows)))
        cut = cut.filter(pc.is_in(cut["source"], value_set=names))
        codes = np.unique(cut["source"].to_numpy(zero_copy_only=False), return_inverse=True)[1]
        each = np.bincount(codes)
        # Without the second condition, no metric might be defined for sources of two windows each.
        if len(each) < FEWEST_SOURCES or (each * (each - 1) // 2).sum() < FEWEST_PAIRS:
            return None
        return cls(cut, codes, _dominant_services(cut, length))

    def compare(
        self,
        old: TelescopeForContrastiveLearning,
        new: TelescopeForContrastiveLearning,
        *,
        seed: int = 0,
        device: str | None = None,
    ) -> Comparison:
        """Compare two models.

        Args:
            old, new: the models.
            seed: seed of the bootstrap.
            device: device to embed on; None is the first GPU, or else the CPU.
        """
        number = int(self.sources.max()) + 1
        drawn = np.vstack([np.ones((1, number)), source_multiplicities(number, REPLICATES, seed=seed)])
        aurocs = [self._aurocs(model, drawn, device) for model in (old, new)]
        gains = aurocs[1]["same_source"] - aurocs[0]["same_source"]
        before, after = ({name: round(float(values[0]), 4) for name, values in of.items()} for of in aurocs)
        return Comparison(before, after, float(gains[0]), percentile_interval(gains[1:])[1])

    def _aurocs(
        self, model: TelescopeForContrastiveLearning, multiplicities: np.ndarray, device: str | None
    ) -> dict[str, np.ndarray]:
        """AUROCs (replicates,) by name, of the metrics that have enough pairs.

        Args:
            multiplicities: (replicates, sources), see `PairRanking.statistics`.
        """
        vectors = embed_windows(model, WindowEncoder(model.config.fields), self.windows, device=device, progress=False)
        scores = condensed(cosine_matrix(vectors))
        first, second = all_pairs(len(self.sources))
        one, two = self.sources[first], self.sources[second]
        same, hard = one == two, self.services[first] == self.services[second]
        found = {}
        for name, asked in (("same_source", np.ones_like(same)), ("hard", hard)):
            positive = same[asked]
            if positive.sum() >= FEWEST_PAIRS and not positive.all():
                ranking = PairRanking(scores[asked], positive, one[asked], two[asked])
                found[name] = ranking.statistics(multiplicities)["auroc"]
        return found


def _dominant_services(windows: pa.Table, length: int) -> np.ndarray:
    """The most frequent service of each window of `length` records, (n,); ties go to the smallest number."""
    protocols, ports = (
        pc.list_flatten(windows[name]).to_numpy().astype(np.int64) for name in ("protocol", "dst_port")
    )
    return row_majorities((protocols << 16 | ports).reshape(-1, length))
