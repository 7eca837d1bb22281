"""How likely two windows of a given cosine similarity are the work of one actor, learned without labels.

Two windows of one source share an actor; a random pair of windows of different sources does so with an unknown
probability, the prior. The similarities of random pairs are thus a mixture, of which the pairs of one source show
one part. Expectation maximisation separates the other part (learning from positive and unlabelled examples: Elkan and
Noto 2008) and gives the log-likelihood ratio as an affine function of the cosine, so that the calibrated weights are
those of `similarity.signed_weights` at another threshold and scale. On other data only the prior changes (Saerens,
Latinne and Decaestecker 2002).
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
from sklearn.linear_model import LogisticRegression

from telescope_transformer.errors import CheckpointError, DatasetError

FILE_NAME = "calibration.json"
# A window that joins m others brings m pairs of much the same evidence but is one decision. In a Dirichlet process
# with the pairs' prior its prior odds are m * prior / (1 - prior): all of the prior for m = 1, none for
# m = (1 - prior) / prior. Half of it is the geometric middle, and the best of 0, 1/2 and 1 on labelled organisations.
PRIOR_STRENGTH = 0.5
PAIRS_PER_SOURCE = 8
RANDOM_PAIRS = 200_000
COSINE_BINS = 512
RELIABILITY_BINS = 10
EM_ROUNDS = 200
SMALLEST_PRIOR = 1e-6


@dataclass(frozen=True)
class Calibration:
    """A fitted calibration.

    Attributes:
        slope, intercept: log-likelihood ratio of one actor against two, `slope * cosine + intercept`, in nats.
        prior: probability that a random pair of windows of different sources is the work of one actor.
        prior_strength: the share of the prior's log-odds that enters the edge weights.
        expected_calibration_error: on sources that were not fitted, positive and random pairs in equal number; None
            where it was not measured.
        reliability: per bin the mean predicted and the observed probability, and the number of pairs.
        pairs: number of same-source pairs that were fitted.
    """

    slope: float
    intercept: float
    prior: float
    prior_strength: float = PRIOR_STRENGTH
    expected_calibration_error: float | None = None
    reliability: Sequence[dict[str, float]] = ()
    pairs: int = 0

    @property
    def threshold(self) -> float:
        """The cosine at which an edge weighs 0."""
        return -(self.intercept + self.prior_strength * _logit(self.prior)) / self.slope

    def edge_weight(self, cosine: np.ndarray) -> np.ndarray:
        """Signed weight of a pair in nats: `slope * (cosine - threshold)`."""
        return self.slope * (np.asarray(cosine) - self.threshold)

    def probability(self, cosine: np.ndarray) -> np.ndarray:
        """Probability that a pair of windows of different sources is the work of one actor, with the whole prior."""
        return expit(self.slope * np.asarray(cosine) + self.intercept + _logit(self.prior))

    def same_source_probability(self, cosine: np.ndarray) -> np.ndarray:
        """Probability that a pair is of one source where half of the pairs are and the rest are random.

        Random pairs share an actor with the prior's probability: f1 / (f1 + prior f1 + (1 - prior) f0).
        """
        ratio = np.exp(-np.clip(self.slope * np.asarray(cosine) + self.intercept, -700, 700))
        return 1.0 / (1.0 + self.prior + (1.0 - self.prior) * ratio)

    def adapted(self, embeddings: np.ndarray, sources: np.ndarray, *, seed: int = 0) -> Self:
        """The same calibration with the prior of these windows, by expectation maximisation over random pairs.

        Args:
            embeddings: (n, dimensions), rows of length 1.
            sources: (n,) code or name of each window's source.
        """
        pairs = random_pairs(np.asarray(sources), RANDOM_PAIRS, np.random.default_rng(seed))
        if not len(pairs):
            return self
        ratio = self.slope * cosines(embeddings, pairs) + self.intercept
        prior = self.prior
        for _ in range(EM_ROUNDS):
            prior = _bounded(float(expit(ratio + _logit(prior)).mean()))
        return replace(self, prior=prior)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON and for the report, the threshold included."""
        return asdict(self) | {"threshold": self.threshold, "reliability": [dict(row) for row in self.reliability]}

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write `calibration.json` into a checkpoint's folder."""
        path = Path(folder) / FILE_NAME
        path.write_text(json.dumps(self.to_dict(), indent=1) + "\n")
        return path

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Self | None:
        """Read the calibration beside a checkpoint; None where it has none.

        Raises:
            CheckpointError: if the file is damaged or its slope is not positive.
        """
        path = Path(folder) / FILE_NAME
        if not path.is_file():
            return None
        try:
            values = json.loads(path.read_text())
            values.pop("threshold", None)
            calibration = cls(**values)
            usable = calibration.slope > 0 and 0 < calibration.prior < 1 and math.isfinite(calibration.threshold)
        except (ValueError, TypeError, AttributeError) as error:
            raise CheckpointError(f"{path}: not a calibration: {error}") from error
        if not usable:
            raise CheckpointError(f"{path}: slope {calibration.slope} and prior {calibration.prior} are not possible")
        return calibration


def fit_calibration(embeddings: np.ndarray, sources: np.ndarray, *, seed: int = 0) -> Calibration:
    """Fit the log-likelihood ratio and the prior on windows that the model was not trained on.

    Args:
        embeddings: (n, dimensions), rows of length 1.
        sources: (n,) code or name of each window's source; at least 20 sources with several windows.

    Raises:
        DatasetError: if there are too few pairs, or similarity does not tell sources apart.
    """
    rng = np.random.default_rng(seed)
    sources = np.unique(np.asarray(sources), return_inverse=True)[1]
    positive = same_source_pairs(sources, rng)
    if len(np.unique(sources[positive[:, 0]])) < 20:
        raise DatasetError("calibration needs at least 20 sources with two windows or more")
    unlabelled = random_pairs(sources, RANDOM_PAIRS, rng)
    of_one = _histogram(cosines(embeddings, positive))
    of_random = _histogram(cosines(embeddings, unlabelled))
    slope, intercept, prior = _separate(of_one, of_random)
    if not slope > 0:
        raise DatasetError("windows of one source are no more similar than windows of different sources")
    return Calibration(slope, intercept, prior, pairs=len(positive))


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


def _separate(of_one: np.ndarray, of_random: np.ndarray) -> tuple[float, float, float]:
    """Log-likelihood ratio (slope, intercept) and prior from the densities of positive and of random pairs.

    Alternates between the logistic regression of positive pairs against the random pairs weighted by their probability
    of being the work of two actors, and the prior as the mean of what remains.
    """
    centres = (np.arange(COSINE_BINS) + 0.5) * (2 / COSINE_BINS) - 1
    both = np.concatenate([centres, centres])[:, None]
    label = np.repeat([1, 0], COSINE_BINS)
    model = LogisticRegression(C=1e4, warm_start=True)
    prior, of_two = 0.05, of_random
    slope = intercept = 0.0
    for _ in range(EM_ROUNDS):
        weight = np.concatenate([of_one, of_two / of_two.sum()]) * COSINE_BINS
        model.fit(both, label, sample_weight=weight)
        slope, intercept = float(model.coef_[0, 0]), float(model.intercept_[0])
        posterior = expit(slope * centres + intercept + _logit(prior))
        updated = _bounded(float((of_random * posterior).sum()))
        of_two = of_random * (1 - posterior) + 1e-12
        if abs(updated - prior) < 1e-7:
            break
        prior = updated
    return slope, intercept, prior


def _logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


def _bounded(probability: float) -> float:
    return min(max(probability, SMALLEST_PRIOR), 1 - SMALLEST_PRIOR)
