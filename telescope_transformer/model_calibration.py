"""Calibrate a model on a telescope or a prepared dataset: embed windows of it, and fit a `Calibration` to them."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.calibration import Calibration, calibrate, measured
from telescope_transformer.embedding import embed_windows
from telescope_transformer.errors import DatasetError
from telescope_transformer.model import TelescopeForContrastiveLearning, WindowEncoder
from telescope_transformer.model_files import load_model
from telescope_transformer.preparation import load_split
from telescope_transformer.windows import fixed_windows

# Windows are recut to these lengths. Both windows of a pair have the same length, because the length of a window often
# reveals its source.
LENGTHS = (8, 16, 32, 64, 128)
# As many as `calibration.PAIRS_PER_SOURCE`, the pairs that `calibration` uses of each source.
WINDOWS_PER_SOURCE = 8
# The windows of a telescope are cut to so many records, since its sources may have few.
SHORT = LENGTHS[0]
# Sources of a telescope that a calibration is fitted to. They have thousands of pairs, and embedding their windows of
# eight records takes a second.
MOST_SOURCES = 1_000


def calibrate_dataset(
    dataset: str | Path,
    model: str | Path | None = None,
    *,
    fit_split: str = "validation",
    test_split: str = "unseen_sources",
    seed: int = 0,
) -> Calibration:
    """Fit probabilities and the threshold on one split of a dataset, and measure their error on another.

    Args:
        dataset: folder of a prepared dataset with splits.
        model: folder or Hub id of a checkpoint; None is the shipped one.
        fit_split: split whose sources are used for the fit.
        test_split: split whose sources are used to measure the calibration error.
        seed: seed of the draw of pairs.

    Raises:
        CheckpointError, HubError: if there is no such checkpoint.
        DatasetError: if there is no such split, or it has too few sources.
    """
    network, tokenizer = load_model(model)

    def embedded(windows: pa.Table) -> tuple[np.ndarray, np.ndarray]:
        """Embeddings (n, d), and the source and length of each window as one text."""
        vectors, sources = [], []
        for length in LENGTHS:
            cut = fixed_windows(windows, length, max_per_source=WINDOWS_PER_SOURCE, seed=seed)
            vectors.append(embed_windows(network, tokenizer, cut))
            sources.append([f"{source}/{length}" for source in cut["source"].to_pylist()])
        return np.concatenate(vectors), np.concatenate(sources)

    fitted = calibrate(*embedded(load_split(dataset, fit_split)), seed=seed)
    return measured(fitted, *embedded(load_split(dataset, test_split)), seed=seed)


def calibrate_telescope(
    model: TelescopeForContrastiveLearning,
    encoder: WindowEncoder,
    windows: pa.Table,
    *,
    unseen: pa.Array | None,
    seed: int = 0,
    device: str | None = None,
) -> Calibration | None:
    """Fit a calibration to a telescope's windows, cut to `SHORT`; None if too few sources have several of these.

    Args:
        model, encoder: make the embeddings.
        windows: windows of any length.
        unseen: the sources that the model was not trained on. The probabilities are fitted to these alone if they are
            enough (`calibration.calibrate`). None means all.
        seed: seed of the choice of sources and windows.
        device: as for `embed_windows`.
    """
    counts = windows.group_by("source").aggregate([("n_records", "sum")])
    able = counts.filter(pc.greater_equal(counts["n_records_sum"], 2 * SHORT))["source"].combine_chunks().sort()
    able = able.take(pa.array(np.random.default_rng(seed).permutation(len(able))))
    if unseen is not None:
        is_unseen = pc.is_in(able, value_set=unseen)
        able = pa.concat_arrays([able.filter(is_unseen), able.filter(pc.invert(is_unseen))])
    some = windows.filter(pc.is_in(windows["source"], value_set=able[:MOST_SOURCES]))
    cut = fixed_windows(some, SHORT, max_per_source=WINDOWS_PER_SOURCE, seed=seed)
    embeddings = embed_windows(model, encoder, cut, device=device, progress=False)
    new = None if unseen is None else pc.is_in(cut["source"], value_set=unseen).to_numpy(zero_copy_only=False)
    try:
        return calibrate(embeddings, cut["source"].to_numpy(zero_copy_only=False), unseen=new, seed=seed)
    except DatasetError:
        return None
