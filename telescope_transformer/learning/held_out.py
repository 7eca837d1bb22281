"""Metrics on held-out sources, which decide whether learning helped."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.codes import row_majorities
from telescope_transformer.embedding import embed_windows
from telescope_transformer.files import text_digest
from telescope_transformer.learning.store import networks_of
from telescope_transformer.metrics.bootstrap import weighted_mean
from telescope_transformer.metrics.pairs import PairRanking, all_pairs, aurocs_of_groups, condensed, cosine_matrix
from telescope_transformer.model import TelescopeForContrastiveLearning, WindowEncoder
from telescope_transformer.splits import source_digest
from telescope_transformer.windows import fixed_windows

# A thousand windows have half a million pairs, which determine an AUROC to about .01.
MOST_SOURCES = 250
WINDOWS_PER_SOURCE = 4
# With fewer sources or fewer positive pairs, the metrics cannot show which weights are better.
FEWEST_SOURCES = 10
FEWEST_PAIRS = 20
# The metrics that decide: recognising a source, and relating different sources of one network, which often belong to
# one actor.
SCORED = ("same_source", "siblings")

# Names of the AUROCs in messages.
NAMES = {
    "same_source": "one source or two",
    "hard": "one source or two that ask for one service",
    "siblings": "one network or two",
}
# `same_source`: pairs of one source against pairs of two sources. `hard`: the same among windows with the same
# dominant service. `siblings`: pairs of two sources of one network against pairs of two networks, as a mean over
# networks. Otherwise a single network would decide: one of 60 sources has more pairs than 100 networks of 5.


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
    return chosen[networks]


def digest_of_sources(sources: pa.Array) -> str:
    """Digest of a set of addresses, by which an adapted model recognises them later without storing any."""
    return text_digest("\n".join(sorted(sources.to_pylist())))


def score(aurocs: Mapping[str, Any]) -> Any:
    """The mean of the metrics that decide, as far as they are defined: one number, or one for each replicate."""
    return np.mean([aurocs[name] for name in SCORED if name in aurocs], axis=0)


@dataclass(frozen=True)
class HeldOut:
    """Windows of the held-out sources, all of one length, and the pairs that the metrics compare.

    Args:
        windows: a row per window.
        sources: (n,) code of each window's source.
        networks: (n,) code of the network of each window's source.
        services: (n,) dominant service of each window: protocol and destination port as one number.
    """

    windows: pa.Table
    sources: np.ndarray
    networks: np.ndarray
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
        names, codes = np.unique(cut["source"].to_numpy(zero_copy_only=False), return_inverse=True)
        each = np.bincount(codes)
        # Without the second condition, no metric might be defined for sources of two windows each.
        if len(names) < FEWEST_SOURCES or (each * (each - 1) // 2).sum() < FEWEST_PAIRS:
            return None
        return cls(cut, codes, networks_of(pa.array(names))[codes], _dominant_services(cut, length))

    def figures(self, model: TelescopeForContrastiveLearning, device: str | None = None) -> dict[str, float]:
        """AUROC of each metric that has enough pairs, with four decimals."""
        found = self.aurocs(self.embed(model, device), np.ones((1, int(self.sources.max()) + 1)))
        return {name: round(float(values[0]), 4) for name, values in found.items()}

    def embed(self, model: TelescopeForContrastiveLearning, device: str | None = None) -> np.ndarray:
        """Embeddings of the windows (n, d)."""
        return embed_windows(model, WindowEncoder(model.config.fields), self.windows, device=device, progress=False)

    def aurocs(self, embeddings: np.ndarray, multiplicities: np.ndarray) -> dict[str, np.ndarray]:
        """AUROCs (replicates,) by name, of the metrics that have enough pairs.

        Args:
            embeddings: (n, d), rows of unit length.
            multiplicities: (replicates, sources), see `PairRanking.statistics`.
        """
        scores = condensed(cosine_matrix(embeddings))
        first, second = all_pairs(len(self.sources))
        one, two = self.sources[first], self.sources[second]
        same, hard = one == two, self.services[first] == self.services[second]
        siblings = self.networks[first] == self.networks[second]
        # Name, the pairs that are compared, which of them are positive, and whether each network counts alike.
        questions = {
            "same_source": (np.ones_like(same), same, False),
            "hard": (hard, same, False),
            "siblings": (~same, siblings, True),
        }
        found = {}
        for name, (asked, together, by_network) in questions.items():
            positive = together[asked]
            if positive.sum() < FEWEST_PAIRS or positive.all():
                continue
            if by_network:
                networks = [self.networks[side[asked]] for side in (first, second)]
                of_each = aurocs_of_groups(scores[asked], positive, (one[asked], two[asked]), networks, multiplicities)
                # Networks without siblings have no AUROC.
                found[name] = np.array([weighted_mean(each, np.ones_like(each)) for each in of_each])
            else:
                ranking = PairRanking(scores[asked], positive, one[asked], two[asked])
                found[name] = ranking.statistics(multiplicities)["auroc"]
        return found


def _dominant_services(windows: pa.Table, length: int) -> np.ndarray:
    """The most frequent service of each window of `length` records, (n,); ties go to the smallest number."""
    protocols, ports = (
        pc.list_flatten(windows[name]).to_numpy().astype(np.int64) for name in ("protocol", "dst_port")
    )
    return row_majorities((protocols << 16 | ports).reshape(-1, length))
