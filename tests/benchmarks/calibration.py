"""Calibration on labelled data: its error on unseen sources, and the F1 of the threshold that it chooses.

Run: python tests/benchmarks/calibration.py EMBEDDINGS.parquet [--splits 4]

EMBEDDINGS.parquet is what `telescope embed` writes, of sources that the model was not trained on, with labels. In each
split half of the sources are fitted, without labels; on the other half the clustering at the calibrated threshold is
compared with a sweep of thresholds by the F1 of joined pairs among labelled windows.
"""

import argparse

import numpy as np
import pyarrow.parquet as pq

from telescope_transformer.calibration import fit_calibration, measured
from telescope_transformer.correlation_clustering import CorrelationClustering
from telescope_transformer.similarity import embedding_matrix

SWEEP = np.arange(0.1, 0.96, 0.05)
MOST_WINDOWS = 3_000


def join_f1(vectors: np.ndarray, labels: np.ndarray, threshold: float) -> float:
    """F1 of pairs of labelled windows in one cluster against pairs of one label; unlabelled windows have label -1."""
    clusters = CorrelationClustering(method="greedy", random_state=0).fit_embeddings(vectors, threshold).labels_
    known = labels >= 0
    joined = clusters[known][:, None] == clusters[known]
    same = labels[known][:, None] == labels[known]
    rows = int(known.sum())
    both, found, wanted = ((m.sum() - rows) / 2 for m in (joined & same, joined, same))
    return 2 * both / max(found + wanted, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("embeddings")
    parser.add_argument("--splits", type=int, default=4)
    given = parser.parse_args()
    table = pq.read_table(given.embeddings)
    vectors = embedding_matrix(table)
    sources = table["source"].combine_chunks().dictionary_encode().indices.to_numpy()
    labels = table["label"].combine_chunks().dictionary_encode().indices.fill_null(-1).to_numpy()
    print("split  error  windows   threshold  F1     best   share")
    for seed in range(given.splits):
        rng = np.random.default_rng(seed)
        order = rng.permutation(sources.max() + 1)
        fitted = np.isin(sources, order[: len(order) // 2])
        calibration = fit_calibration(vectors[fitted], sources[fitted], seed=seed)
        calibration = measured(calibration, vectors[~fitted], sources[~fitted], seed=seed)
        unseen = np.flatnonzero(~fitted)
        for name, rows in (("labelled", unseen[labels[unseen] >= 0]), ("all", unseen)):
            rows = rng.choice(rows, min(MOST_WINDOWS, len(rows)), replace=False)
            threshold = calibration.adapted(vectors[rows], sources[rows], seed=seed).threshold
            chosen = join_f1(vectors[rows], labels[rows], threshold)
            best = max(chosen, *(join_f1(vectors[rows], labels[rows], value) for value in SWEEP))
            error = calibration.expected_calibration_error
            print(f"{seed:5}  {error:.3f}  {name:8}  {threshold:9.3f}  {chosen:.3f}  {best:.3f}  {chosen / best:.3f}")


if __name__ == "__main__":
    main()
