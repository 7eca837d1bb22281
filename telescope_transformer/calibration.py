"""The probability that two windows with a given cosine are of one source, and the threshold of the edge weights.

Even without labels it is known that two windows of one source share an actor. The probability refers to a pair that is
drawn with equal chance from the same-source pairs or from random pairs. It is fitted by isotonic regression and tested
on held-out sources. Which windows of different sources belong to one actor is another question, so the threshold of
the edge weights is chosen on other evidence (`telescope_transformer.threshold`). The weight of an edge is
`slope * (cosine - threshold)`.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from telescope_transformer.errors import CheckpointError, DatasetError
from telescope_transformer.files import read_json, write_text
from telescope_transformer.shapes import OrNull, check_shape
from telescope_transformer.threshold import DEFAULT_THRESHOLD, reproducible_threshold

FILE_NAME = "calibration.json"
# Largest number of pairs per source, so that large sources do not dominate.
PAIRS_PER_SOURCE = 8
# Number of random pairs, enough for a smooth histogram and computed in a tenth of a second.
RANDOM_PAIRS = 200_000
# Our choice. With fewer sources, the fitted curve has only a few steps.
FEWEST_SOURCES = 20
# Bins over [-1, 1], each 0.002 wide, which is finer than the three decimals that thresholds are reported with.
COSINE_BINS = 1024
# The usual number of bins of the expected calibration error.
RELIABILITY_BINS = 10
# Pairs whose vectors are gathered at a time, which takes 10 MB.
PIECE = 8_192
# The shape of `Calibration.to_dict`.
SHAPE: dict[str, Any] = {
    "knots": [("number", "number")],
    "slope": "number",
    "threshold?": "number",
    "agreement?": ["measures"],
    "expected_calibration_error?": OrNull("number"),
    "reliability?": ["measures"],
    "pairs?": "count",
    "unseen?": "flag",
    "from_checkpoint?": "flag",
}


@dataclass(frozen=True)
class Calibration:
    """A fitted calibration.

    Attributes:
        knots: ascending (cosine, probability) pairs, interpolated linearly: the probability that a pair is of one
            source, if half of the pairs are and the other half are random.
        slope: log-odds per unit of cosine, by logistic regression; the scale of the edge weights, in nats.
        threshold: the cosine above which two windows attract each other.
        agreement: the evidence for the threshold (`threshold.ThresholdEvidence`); empty for the default threshold.
        expected_calibration_error: on held-out sources, with equally many positive and random pairs; None if it was
            not measured.
        reliability: for each bin the mean predicted and the observed probability, and the number of pairs.
        pairs: number of same-source pairs in the fit.
        unseen: whether the model was certainly not trained on the sources of the fit and of the test.
        from_checkpoint: whether it was fitted to other records and came with the checkpoint, because the records at
            hand have too few sources with several windows.
    """

    knots: Sequence[tuple[float, float]]
    slope: float
    threshold: float = DEFAULT_THRESHOLD
    agreement: Sequence[dict[str, float]] = ()
    expected_calibration_error: float | None = None
    reliability: Sequence[dict[str, float]] = ()
    pairs: int = 0
    unseen: bool = True
    from_checkpoint: bool = False

    def probability(self, cosine: np.ndarray) -> np.ndarray:
        """Probability that a pair is of one source, if half of the pairs are and the others are random."""
        places, values = np.array(self.knots).T
        probability: np.ndarray = np.interp(cosine, places, values)
        return probability

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON and for the report."""
        lists = {name: [dict(row) for row in getattr(self, name)] for name in ("agreement", "reliability")}
        return asdict(self) | lists | {"knots": [list(knot) for knot in self.knots]}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The calibration whose `to_dict` gave these values.

        Raises:
            ValueError: if a value is missing, of another kind, or not possible.
        """
        check_shape(values, SHAPE)
        calibration = cls(**{field.name: values[field.name] for field in fields(cls) if field.name in values})
        places, levels = np.array(calibration.knots, dtype=float).reshape(-1, 2).T
        possible = len(places) and calibration.slope > 0 and abs(calibration.threshold) <= 1
        falls = any((np.diff(each) < 0).any() for each in (places, levels))
        if not possible or falls or levels.min() < 0 or levels.max() > 1:
            raise ValueError(
                f"slope {calibration.slope}, threshold {calibration.threshold} and knots from "
                f"{calibration.knots[:1]} to {calibration.knots[-1:]} are not possible"
            )
        return calibration

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write `calibration.json` into a checkpoint's folder."""
        path = Path(folder) / FILE_NAME
        write_text(path, json.dumps(self.to_dict(), indent=1) + "\n")
        return path

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Self | None:
        """Read the calibration in a checkpoint's folder; None if it has none.

        Raises:
            CheckpointError: if the file is damaged or its values are impossible.
        """
        path = Path(folder) / FILE_NAME
        if not path.is_file():
            return None
        try:
            return cls.from_dict(read_json(path))
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{path}: not a calibration: {error}") from error

    @classmethod
    def of_checkpoint(cls, folder: str | os.PathLike[str]) -> Self | None:
        """The calibration in a checkpoint's folder, for records that cannot be calibrated; see `load`."""
        found = cls.load(folder)
        return None if found is None else replace(found, from_checkpoint=True)


def calibrate(
    embeddings: np.ndarray, sources: np.ndarray, *, unseen: np.ndarray | None = None, seed: int = 0
) -> Calibration:
    """Fit the probabilities, test them on held-out sources, and choose the threshold.

    Args:
        embeddings: (n, dimensions), rows of length 1.
        sources: (n,) code or name of each window's source; at least 20 sources with several windows.
        unseen: (n,) bool, windows of sources that the model was certainly not trained on. If there are enough, the
            probabilities are fitted and tested on these alone. None means all windows.
        seed: seed of the draws.

    Raises:
        DatasetError: if there are too few sources, or their similarities do not distinguish them.
    """
    codes = np.unique(np.asarray(sources), return_inverse=True)[1]
    rows = np.arange(len(codes)) if unseen is None else np.flatnonzero(unseen)
    enough = _sources_with_pairs(codes[rows]) >= 2 * FEWEST_SOURCES
    if not enough:
        rows = np.arange(len(codes))
    calibration = fit_calibration(embeddings[rows], codes[rows], seed=seed)
    calibration = replace(calibration, unseen=enough or unseen is None)
    in_half = np.random.default_rng(seed).permutation(codes.max() + 1)[codes[rows]] % 2 == 0
    fitted, tested = rows[in_half], rows[~in_half]
    if min(_sources_with_pairs(codes[half]) for half in (fitted, tested)) >= FEWEST_SOURCES:
        half = measured(
            fit_calibration(embeddings[fitted], codes[fitted], seed=seed), embeddings[tested], codes[tested], seed=seed
        )
        tests = half.expected_calibration_error, half.reliability
        calibration = replace(calibration, expected_calibration_error=tests[0], reliability=tests[1])
    evidence = reproducible_threshold(embeddings, sources)
    if evidence is None:
        return calibration
    return replace(calibration, threshold=evidence.threshold, agreement=evidence.agreement)


def fit_calibration(embeddings: np.ndarray, sources: np.ndarray, *, seed: int = 0) -> Calibration:
    """Fit the probabilities and the slope on windows that the model was not trained on.

    Args:
        embeddings: (n, dimensions), rows of length 1.
        sources: (n,) code or name of each window's source; at least 20 sources with several windows.
        seed: seed of the draw of pairs.

    Raises:
        DatasetError: if there are too few sources, or their similarities do not distinguish them.
    """
    rng = np.random.default_rng(seed)
    sources = np.unique(np.asarray(sources), return_inverse=True)[1]
    if _sources_with_pairs(sources) < FEWEST_SOURCES:
        raise DatasetError(f"calibration needs at least {FEWEST_SOURCES} sources with two windows or more")
    positive = same_source_pairs(sources, rng)
    of_one = _histogram(cosines(embeddings, positive))
    of_random = _histogram(cosines(embeddings, random_pairs(sources, RANDOM_PAIRS, rng)))
    slope = _slope(of_one, of_random)
    if not slope > 0:
        raise DatasetError("windows of one source are no more similar than windows of different sources")
    return Calibration(_isotonic(of_one, of_random, len(positive)), slope, pairs=len(positive))


def _sources_with_pairs(codes: np.ndarray) -> int:
    """Number of sources with at least two windows."""
    return int((np.bincount(codes, minlength=1) > 1).sum())


def measured(calibration: Calibration, embeddings: np.ndarray, sources: np.ndarray, *, seed: int = 0) -> Calibration:
    """The calibration with its error and reliability on windows of held-out sources."""
    rng = np.random.default_rng(seed)
    sources = np.unique(np.asarray(sources), return_inverse=True)[1]
    positive = same_source_pairs(sources, rng)
    unlabelled = random_pairs(sources, len(positive), rng)
    cosine = np.concatenate([cosines(embeddings, positive), cosines(embeddings, unlabelled)])
    observed = np.repeat([1.0, 0.0], [len(positive), len(unlabelled)])
    rows = reliability(calibration.probability(cosine), observed)
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
    """Expected calibration error: mean over pairs of the difference of predicted and observed shares per bin."""
    total = sum(row["pairs"] for row in rows)
    return float(sum(row["pairs"] * abs(row["predicted"] - row["observed"]) for row in rows) / max(total, 1))


def cosines(embeddings: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Cosine similarity of each pair (m, 2) of rows of length 1."""
    # Computed in pieces, because 200,000 pairs at once would copy the embeddings several times over.
    pieces = [pairs[begin : begin + PIECE] for begin in range(0, len(pairs), PIECE)]
    products = [np.einsum("ij,ij->i", embeddings[piece[:, 0]], embeddings[piece[:, 1]]) for piece in pieces]
    return np.concatenate([np.empty(0, dtype=np.float32), *products])


def same_source_pairs(sources: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw pairs of different windows of one source, (m, 2); at most `PAIRS_PER_SOURCE` of each source."""
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
    different: np.ndarray = pairs[sources[pairs[:, 0]] != sources[pairs[:, 1]]]
    return different


def _histogram(cosine: np.ndarray) -> np.ndarray:
    counts, _ = np.histogram(np.clip(cosine, -1, 1), bins=COSINE_BINS, range=(-1, 1))
    shares: np.ndarray = counts / max(1, counts.sum())
    return shares


def _centres() -> np.ndarray:
    return (np.arange(COSINE_BINS) + 0.5) * (2 / COSINE_BINS) - 1


def _slope(of_one: np.ndarray, of_random: np.ndarray) -> float:
    """Log-odds per unit of cosine, by logistic regression on two densities with equal weight."""
    places = np.concatenate([_centres(), _centres()])[:, None]
    weight = np.concatenate([of_one, of_random]) * COSINE_BINS
    model = LogisticRegression(C=1e4).fit(places, np.repeat([1, 0], COSINE_BINS), sample_weight=weight)
    return float(model.coef_[0, 0])


def _isotonic(of_one: np.ndarray, of_random: np.ndarray, n_positive: int) -> list[tuple[float, float]]:
    """Isotonic probability that a pair is of one source, as knots; the number of pairs bounds it away from 0 and 1."""
    both = of_one + of_random
    seen = both > 0
    share = of_one[seen] / both[seen]
    least = 0.5 / n_positive
    fitted = IsotonicRegression(y_min=least, y_max=1 - least).fit(_centres()[seen], share, sample_weight=both[seen])
    return list(zip(fitted.X_thresholds_.tolist(), fitted.y_thresholds_.tolist(), strict=True))
