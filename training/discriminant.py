"""Directions of the pooled vector that tell sources apart, found in closed form after training.

Linear discriminant analysis with a ridge, as speaker verification applies it to its vectors (Dehak et al. 2011,
Front-End Factor Analysis for Speaker Verification, section III): the loss shapes the embedding for negatives drawn at
random, and what the head leaves out of the pooled vector still helps to find a source's own windows among near ones.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from scipy.linalg import eigh
from sklearn.cluster import KMeans

from telescope_transformer.errors import TrainingError
from telescope_transformer.model import TelescopeConfig, TelescopeForContrastiveLearning
from training.data import PairBatches
from training.thinning import shown_of, thinned

WINDOWS_PER_SOURCE = 12
# Where training thins windows, how many times as long as a window the stretches are that some are drawn from.
THINNED = (2, 4)
BATCH_WINDOWS = 2_048
# Added to the covariance within sources, in units of its mean variance: few windows a source say little of most axes.
RIDGE = 3.0
MEANS_ROUNDS = 30


def fit_discriminant(model: TelescopeForContrastiveLearning, parts: Sequence[PairBatches]) -> None:
    """Set the discriminant of the model's head, in place, from windows of the sources that it was trained on.

    They are enough for it where `check_enough` passes. Where windows were thinned in training, some are here too: what
    a telescope misses is then among what varies within a source, and counts for less.
    """
    was_training = model.training
    model.eval()
    vectors: list[np.ndarray] = []
    sources: list[np.ndarray] = []
    for number, part in enumerate(parts):
        options = part.sampler.options
        for times in (1, *THINNED) if options.thinning else (1,):
            span = times * options.min_records
            starts, codes = windows_of(part.store.counts, span)
            vectors.extend(_pooled(model, part, part.store.offsets[codes] + starts, span))
            sources.append(np.stack([np.full_like(codes, number), codes]))
    model.train(was_training)
    codes = np.unique(np.concatenate(sources, axis=1), axis=1, return_inverse=True)[1]
    pooled = np.concatenate(vectors)
    mean, directions = discriminant(pooled, codes.ravel(), model.config.discriminant_size)
    model.head.directions.copy_(torch.from_numpy(directions))
    model.head.offset.copy_(torch.from_numpy(-directions @ mean))
    if model.config.discriminant_centres:
        found, shares = centres((pooled - mean) @ directions.T, model.config.discriminant_centres)
        model.head.centres.copy_(torch.from_numpy(found))
        model.head.centre_shares.copy_(torch.from_numpy(shares))


def check_enough(config: TelescopeConfig, parts: Sequence[PairBatches]) -> None:
    """Tell before training what could not be fitted after it.

    Raises:
        TrainingError: where the sources are fewer than the directions asked for, or the windows than the centres.
    """
    if not config.discriminant_size:
        return
    found = [windows_of(part.store.counts, part.sampler.options.min_records)[1] for part in parts]
    sources, windows = sum(len(np.unique(codes)) for codes in found), sum(len(codes) for codes in found)
    if sources <= config.discriminant_size:
        raise TrainingError(f"{config.discriminant_size} discriminant directions need more sources than {sources}")
    if windows <= config.discriminant_centres:
        raise TrainingError(f"{config.discriminant_centres} centres need more windows than {windows}")


def windows_of(counts: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Stretches of `length` records, evenly from each source that has two: first records (n,), and sources (n,)."""
    windows = counts // length
    taken = np.where(windows > 1, np.minimum(windows, WINDOWS_PER_SOURCE), 0)
    codes = np.repeat(np.arange(len(counts)), taken)
    place = np.arange(len(codes)) - np.repeat(np.cumsum(taken) - taken, taken)
    return place * windows[codes] // taken[codes] * length, codes


def discriminant(vectors: np.ndarray, sources: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Linear discriminant analysis in which every source weighs the same.

    Args:
        vectors: (n, d).
        sources: (n,) codes 0 .. S - 1, each there at least once.

    Returns:
        Mean of the vectors (d,), and the directions (size, d), in which sources vary by 1 inside, the ridge included.
    """
    counts = np.bincount(sources)
    means = np.zeros((len(counts), vectors.shape[1]))
    np.add.at(means, sources, vectors)
    means /= counts[:, None]
    apart = (vectors - means[sources]) / np.sqrt(counts[sources])[:, None]
    within = apart.T @ apart / len(counts)
    within += RIDGE * np.trace(within) / len(within) * np.eye(len(within))
    between = np.cov(means.T, bias=True)
    _, directions = eigh(between, within, subset_by_index=(len(within) - size, len(within) - 1))
    return vectors.mean(axis=0), directions.T[::-1].copy()


def centres(placed: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Where vectors gather, by k-means of their directions from the origin.

    Args:
        placed: (n, d).

    Returns:
        The centres (count, d), each a mean of vectors of unit length, and the share of the vectors around each
        (count,); a share is never 0.
    """
    unit = placed / np.maximum(np.linalg.norm(placed, axis=1, keepdims=True), 1e-12)
    fitted = KMeans(count, n_init=1, max_iter=MEANS_ROUNDS, random_state=0).fit(unit)
    # Fewer distinct vectors than centres leave some without any.
    members = np.maximum(np.bincount(fitted.labels_, minlength=count), 0.5)
    return fitted.cluster_centers_, members / members.sum()


@torch.no_grad()
def _pooled(
    model: TelescopeForContrastiveLearning, part: PairBatches, starts: np.ndarray, span: int
) -> Iterator[np.ndarray]:
    """Pooled vectors of windows of some of the records of stretches of `span`, or of all where it is a window's."""
    device = next(model.parameters()).device
    length = part.sampler.options.min_records
    random = np.random.default_rng([part.sampler.options.seed, span])
    for begin in range(0, len(starts), BATCH_WINDOWS):
        firsts, encoded = starts[begin : begin + BATCH_WINDOWS], part.store.encoded
        if span > length:
            encoded, firsts = thinned(encoded, firsts, [shown_of(random, np.full(len(firsts), span), length)])
        batch = part.tokenizer.collate(encoded, firsts, np.full(len(firsts), length)).to(device)
        yield model.model(**batch).pooler_output.double().cpu().numpy()
