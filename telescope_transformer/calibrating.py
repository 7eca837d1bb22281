"""Fit a calibration on a prepared dataset, with sources that the model was not trained on, and test it on others."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from telescope_transformer.calibration import Calibration, calibrate, measured
from telescope_transformer.embedding import embed_windows, load_model
from telescope_transformer.preparation import load_split
from telescope_transformer.windows import fixed_windows

# Windows are recut to these lengths. Both windows of a pair have the same length, because the length of a window often
# reveals its source.
LENGTHS = (8, 16, 32, 64, 128)
# As many as `calibration.PAIRS_PER_SOURCE`, the pairs that `calibration` uses of each source.
WINDOWS_PER_SOURCE = 8


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
