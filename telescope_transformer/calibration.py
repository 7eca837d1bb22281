"""How likely two windows of a given cosine similarity are the work of one actor, learned without labels.

Two windows of one source share an actor; a random pair of windows of different sources does so with an unknown
probability, the prior. The similarities of random pairs are thus a mixture, of which the pairs of one source show one
part. How often random pairs are as similar as pairs of one source bounds the prior from above (mixture proportion
estimation: Blanchard, Lee and Scott 2010), and isotonic regression gives the rest. On other data only the prior
changes. The calibrated edge weights are those of `similarity.signed_weights` at the cosine where the log-odds are 0.
"""

import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from telescope_transformer.errors import CheckpointError, DatasetError

FILE_NAME = "calibration.json"
PAIRS_PER_SOURCE = 8
RANDOM_PAIRS = 200_000
# As many pairs of other windows as the fitted prior is worth: of some ten windows alone, a prior is chance.
FITTED_PAIRS = 1_000
FEWEST_SOURCES = 20
# The most similar half of a source's pairs are near copies, which different sources of one actor rarely send.
TAILS = np.arange(0.05, 0.51, 0.05)
COSINE_BINS = 1024
RELIABILITY_BINS = 10
SMALLEST_PRIOR = 1e-6
LARGEST_RATIO_SHARE = 0.999


@dataclass(frozen=True)
class Calibration:
    """A fitted calibration.

    Attributes:
        knots: (cosine, probability) pairs, rising: how likely a pair is of one source, where half of the pairs are and
            the other half are random; straight lines between them.
        tails: cosines that 95, 90, ... 50 % of the pairs of one source exceed.
        slope: log-odds per unit of cosine, by logistic regression; the scale of the edge weights, in nats.
        prior: probability that a random pair of windows of different sources is the work of one actor.
        expected_calibration_error: on sources that were not fitted, positive and random pairs in equal number; None
            where it was not measured.
        reliability: per bin the mean predicted and the observed probability, and the number of pairs.
        pairs: number of same-source pairs that were fitted.
    """

    knots: Sequence[tuple[float, float]]
    tails: Sequence[float]
    slope: float
    prior: float
    expected_calibration_error: float | None = None
    reliability: Sequence[dict[str, float]] = ()
    pairs: int = 0

    @property
    def threshold(self) -> float:
        """The cosine above which a pair is more likely than not of one actor; 1 where no pair is similar enough."""
        grid = np.linspace(-1, 1, 20_001)
        attractive = self.probability(grid) > 0.5
        return float(grid[attractive.argmax()]) if attractive.any() else 1.0

    def same_source_probability(self, cosine: np.ndarray) -> np.ndarray:
        """Probability that a pair is of one source, where half of the pairs are and the others are random."""
        places, values = np.array(self.knots).T
        return np.interp(cosine, places, values)

    def log_ratio(self, cosine: np.ndarray) -> np.ndarray:
        """Log-likelihood ratio of one actor against two, in nats.

        With f1, f0 the densities of pairs of one and of two actors and r = f1 / (prior f1 + (1 - prior) f0), which the
        odds of `same_source_probability` are, f1 / f0 = (1 - prior) r / (1 - prior r).
        """
        probability = self.same_source_probability(cosine)
        ratio = np.minimum(probability / (1 - probability), LARGEST_RATIO_SHARE / self.prior)
        return np.log((1 - self.prior) * ratio / (1 - self.prior * ratio))

    def probability(self, cosine: np.ndarray) -> np.ndarray:
        """Probability that a pair of windows of different sources is the work of one actor."""
        return expit(self.log_ratio(cosine) + _logit(self.prior))

    def edge_weight(self, cosine: np.ndarray) -> np.ndarray:
        """Signed weight of a pair in nats, `slope * (cosine - threshold)`: its log-odds, straightened."""
        return self.slope * (np.asarray(cosine) - self.threshold)

    def adapted(self, embeddings: np.ndarray, sources: np.ndarray, *, seed: int = 0) -> Self:
        """The same calibration with the prior of these windows; of few windows, the fitted prior says more.

        Args:
            embeddings: (n, dimensions), rows of length 1.
            sources: (n,) code or name of each window's source.
        """
        sources = np.unique(np.asarray(sources), return_inverse=True)[1]
        pairs = random_pairs(sources, RANDOM_PAIRS, np.random.default_rng(seed))
        if not len(pairs):
            return self
        found = _prior(cosines(embeddings, pairs), np.array(self.tails))
        own = len(sources) * (len(sources) - 1) / 2
        return replace(self, prior=(own * found + FITTED_PAIRS * self.prior) / (own + FITTED_PAIRS))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON and for the report, the threshold included."""
        plain = asdict(self) | {"threshold": self.threshold, "reliability": [dict(row) for row in self.reliability]}
        return plain | {"knots": [list(knot) for knot in self.knots], "tails": list(self.tails)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The calibration that `to_dict` gave these values of; the threshold follows from the others."""
        # Files of older versions hold a share of the prior as well; all of it counts now.
        return cls(**{name: value for name, value in values.items() if name not in ("threshold", "prior_strength")})

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write `calibration.json` into a checkpoint's folder."""
        path = Path(folder) / FILE_NAME
        path.write_text(json.dumps(self.to_dict(), indent=1) + "\n")
        return path

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Self | None:
        """Read the calibration beside a checkpoint; None where it has none.

        Raises:
            CheckpointError: if the file is damaged or its values are not possible.
        """
        path = Path(folder) / FILE_NAME
        if not path.is_file():
            return None
        try:
            calibration = cls.from_dict(json.loads(path.read_text()))
            usable = calibration.slope > 0 and 0 < calibration.prior < 1 and math.isfinite(calibration.threshold)
        except (ValueError, TypeError, AttributeError) as error:
            raise CheckpointError(f"{path}: not a calibration: {error}") from error
        if not usable:
            raise CheckpointError(f"{path}: slope {calibration.slope} and prior {calibration.prior} are not possible")
        return calibration


def fit_calibration(embeddings: np.ndarray, sources: np.ndarray, *, seed: int = 0) -> Calibration:
    """Fit probabilities and prior on windows that the model was not trained on.

    Args:
        embeddings: (n, dimensions), rows of length 1.
        sources: (n,) code or name of each window's source; at least 20 sources with several windows.

    Raises:
        DatasetError: if there are too few sources, or similarity does not tell them apart.
    """
    rng = np.random.default_rng(seed)
    sources = np.unique(np.asarray(sources), return_inverse=True)[1]
    positive = same_source_pairs(sources, rng)
    if len(np.unique(sources[positive[:, 0]])) < FEWEST_SOURCES:
        raise DatasetError(f"calibration needs at least {FEWEST_SOURCES} sources with two windows or more")
    of_one = cosines(embeddings, positive)
    of_random = cosines(embeddings, random_pairs(sources, RANDOM_PAIRS, rng))
    slope = _slope(_histogram(of_one), _histogram(of_random))
    if not slope > 0:
        raise DatasetError("windows of one source are no more similar than windows of different sources")
    tails = np.quantile(of_one, TAILS)
    knots = _isotonic(_histogram(of_one), _histogram(of_random), len(positive))
    return Calibration(knots, tails.tolist(), slope, _prior(of_random, tails), pairs=len(positive))


def measured(calibration: Calibration, embeddings: np.ndarray, sources: np.ndarray, *, seed: int = 0) -> Calibration:
    """The calibration with its error and reliability on the windows of sources that it was not fitted on."""
    rng = np.random.default_rng(seed)
    sources = np.unique(np.asarray(sources), return_inverse=True)[1]
    positive = same_source_pairs(sources, rng)
    unlabelled = random_pairs(sources, len(positive), rng)
    cosine = np.concatenate([cosines(embeddings, positive), cosines(embeddings, unlabelled)])
    observed = np.repeat([1.0, 0.0], [len(positive), len(unlabelled)])
    rows = reliability(calibration.same_source_probability(cosine), observed)
    return replace(calibration, expected_calibration_error=calibration_error(rows), reliability=rows)


def reliability(predicted: np.ndarray, observed: np.ndarray) -> list[dict[str, float]]:
    """Reliability diagram: ten bins of equal width; empty bins are left out."""
    bins = np.minimum((predicted * RELIABILITY_BINS).astype(int), RELIABILITY_BINS - 1)
    rows = []
    for k in np.unique(bins):
        mine = bins == k
        means = {"predicted": float(predicted[mine].mean()), "observed": float(observed[mine].mean())}
        rows.append(means | {"pairs": int(mine.sum())})
    return rows


def calibration_error(rows: Sequence[dict[str, float]]) -> float:
    """Expected calibration error: mean over pairs of the distance between predicted and observed per bin."""
    total = sum(row["pairs"] for row in rows)
    return float(sum(row["pairs"] * abs(row["predicted"] - row["observed"]) for row in rows) / max(total, 1))


def cosines(embeddings: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Cosine similarity of each pair (m, 2) of rows of length 1."""
    return np.einsum("ij,ij->i", embeddings[pairs[:, 0]], embeddings[pairs[:, 1]])


def same_source_pairs(sources: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Pairs of different windows of one source, (m, 2); at most 8 of each: no large source speaks for all."""
    order = rng.permutation(len(sources))
    order = order[np.argsort(sources[order], kind="stable")]
    ordered = sources[order]
    pairs = []
    for step in range(1, PAIRS_PER_SOURCE + 1):
        here = np.flatnonzero(ordered[step:] == ordered[:-step])
        pairs.append(np.column_stack([order[here], order[here + step]]))
    candidates = np.concatenate(pairs)
    candidates = candidates[rng.permutation(len(candidates))]
    candidates = candidates[np.argsort(sources[candidates[:, 0]], kind="stable")]
    owner = sources[candidates[:, 0]]
    rank = np.arange(len(owner)) - np.searchsorted(owner, owner)
    return candidates[rank < PAIRS_PER_SOURCE]


def random_pairs(sources: np.ndarray, number: int, rng: np.random.Generator) -> np.ndarray:
    """About `number` random pairs of windows of different sources, (m, 2)."""
    if len(sources) < 2:
        return np.empty((0, 2), dtype=np.int64)
    pairs = rng.integers(0, len(sources), (number, 2))
    return pairs[sources[pairs[:, 0]] != sources[pairs[:, 1]]]


def _histogram(cosine: np.ndarray) -> np.ndarray:
    counts, _ = np.histogram(np.clip(cosine, -1, 1), bins=COSINE_BINS, range=(-1, 1))
    return counts / max(1, counts.sum())


def _centres() -> np.ndarray:
    return (np.arange(COSINE_BINS) + 0.5) * (2 / COSINE_BINS) - 1


def _prior(of_random: np.ndarray, tails: np.ndarray) -> float:
    """The largest share of random pairs that can be as similar as pairs of one source are.

    Args:
        of_random: cosines of random pairs.
        tails: the cosines that 1 - TAILS of the pairs of one source exceed.
    """
    exceeding = (of_random[:, None] >= tails).mean(axis=0)
    return min(max(float((exceeding / (1 - TAILS)).min()), SMALLEST_PRIOR), 0.5)


def _slope(of_one: np.ndarray, of_random: np.ndarray) -> float:
    """Log-odds per unit of cosine by logistic regression of two densities, in equal parts."""
    places = np.concatenate([_centres(), _centres()])[:, None]
    weight = np.concatenate([of_one, of_random]) * COSINE_BINS
    model = LogisticRegression(C=1e4).fit(places, np.repeat([1, 0], COSINE_BINS), sample_weight=weight)
    return float(model.coef_[0, 0])


def _isotonic(of_one: np.ndarray, of_random: np.ndarray, n_positive: int) -> list[tuple[float, float]]:
    """Rising probability that a pair is of one source, as knots; never surer than the number of pairs allows."""
    both = of_one + of_random
    seen = both > 0
    share = of_one[seen] / both[seen]
    least = 0.5 / n_positive
    fitted = IsotonicRegression(y_min=least, y_max=1 - least).fit(_centres()[seen], share, sample_weight=both[seen])
    return list(zip(fitted.X_thresholds_.tolist(), fitted.y_thresholds_.tolist(), strict=True))


def _logit(probability: float) -> float:
    return math.log(probability / (1 - probability))
