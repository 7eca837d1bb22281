"""Calibration on known truth: its error on unseen sources, and the F1 of the threshold that it chooses.

Run: telescope prepare RECORDS --window 8 --output DATASET
     telescope embed DATASET --model MODEL --split validation --split unseen_sources --output EMBEDDINGS.parquet
     python tests/benchmarks/calibration.py EMBEDDINGS.parquet... --truth label|source|network [--fitted DIR...]

The embeddings are of sources that the model was not trained on. In each split half of the sources are fitted, without
labels, or none with --fitted, where a calibration that was fitted to other data (one for each file of embeddings) has
only its prior adapted, as `telescope analyze` does; on the other half the clustering at the calibrated threshold is
compared with a sweep of thresholds by the F1 of joined pairs of windows: of one label, of one source, or of one /24
(IPv4) or /48. The same without the prior. Adds to results/calibration.json under --name.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from telescope_transformer.calibration import Calibration, fit_calibration, measured
from telescope_transformer.correlation_clustering import CorrelationClustering
from telescope_transformer.report.targets import network_of
from telescope_transformer.similarity import embedding_matrix

SWEEP = np.arange(0.1, 0.99, 0.05)
MOST_WINDOWS = 3_000
RESULTS = Path(__file__).parent / "results" / "calibration.json"


def truth_of(table: pa.Table, kind: str) -> np.ndarray:
    """Code of each window's actor, -1 where it is not known."""
    column = table["label" if kind == "label" else "source"].combine_chunks()
    if kind == "network":
        column = pa.array([network_of(source) for source in column.to_pylist()])
    return column.dictionary_encode().indices.fill_null(-1).to_numpy(zero_copy_only=False)


def join_f1(vectors: np.ndarray, labels: np.ndarray, threshold: float) -> float:
    """F1 of pairs of known windows in one cluster against pairs of one actor."""
    clusters = CorrelationClustering(method="greedy", random_state=0).fit_embeddings(vectors, threshold).labels_
    known = labels >= 0
    joined = clusters[known][:, None] == clusters[known]
    same = labels[known][:, None] == labels[known]
    rows = int(known.sum())
    both, found, wanted = ((m.sum() - rows) / 2 for m in (joined & same, joined, same))
    return 2 * both / max(found + wanted, 1)


def one_split(
    vectors: np.ndarray, sources: np.ndarray, labels: np.ndarray, seed: int, other: Calibration | None
) -> dict[str, Any]:
    """Calibration error on the sources not fitted, and the F1 with it, without prior, and of the best threshold."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(sources.max() + 1)
    fitted = np.isin(sources, order[: len(order) // 2])
    calibration = other or fit_calibration(vectors[fitted], sources[fitted], seed=seed)
    calibration = measured(calibration, vectors[~fitted], sources[~fitted], seed=seed)
    rows = np.flatnonzero(~fitted)
    rows = rng.choice(rows, min(MOST_WINDOWS, len(rows)), replace=False)
    adapted = calibration.adapted(vectors[rows], sources[rows], seed=seed)
    f1 = join_f1(vectors[rows], labels[rows], adapted.threshold)
    without_prior = join_f1(vectors[rows], labels[rows], even_threshold(adapted))
    best = max(f1, without_prior, *(join_f1(vectors[rows], labels[rows], value) for value in SWEEP))
    return {
        "error": round(calibration.expected_calibration_error or 0.0, 4),
        "threshold": round(adapted.threshold, 3),
        "f1": round(f1, 4),
        "best": round(best, 4),
        "share": round(f1 / best, 3),
        "share_without_prior": round(without_prior / best, 3),
    }


def even_threshold(calibration: Calibration) -> float:
    """The cosine at which a pair is as likely of one actor as of two where half of the pairs are of one."""
    grid = np.linspace(-1, 1, 20_001)
    return float(grid[(calibration.log_ratio(grid) > 0).argmax()])


def calibration_in(folder: str, parser: argparse.ArgumentParser) -> Calibration:
    """The calibration in a folder; ends the program where there is none."""
    return Calibration.load(folder) or parser.error(f"{folder} holds no calibration.json")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("embeddings", nargs="+")
    parser.add_argument("--truth", choices=("label", "source", "network"), default="label")
    parser.add_argument("--splits", type=int, default=4, help="of each file")
    parser.add_argument("--fitted", nargs="+", default=[], help="folders of calibrations fitted to other data")
    parser.add_argument("--name", help="of the row; default: the files and the truth")
    parser.add_argument("--output", type=Path, default=RESULTS)
    given = parser.parse_args()
    if given.fitted and len(given.fitted) != len(given.embeddings):
        parser.error("--fitted needs a folder for each file of embeddings")
    others: list[Calibration | None] = [calibration_in(folder, parser) for folder in given.fitted]
    others = others or [None] * len(given.embeddings)
    runs, windows = [], 0
    for path, other in zip(given.embeddings, others, strict=True):
        table = pq.read_table(path)
        windows += table.num_rows
        sources = table["source"].combine_chunks().dictionary_encode().indices.to_numpy()
        labels, vectors = truth_of(table, given.truth), embedding_matrix(table)
        runs += [one_split(vectors, sources, labels, seed, other) for seed in range(given.splits)]
    found: dict[str, Any] = {"windows": windows}
    for figure in ("error", "share", "share_without_prior"):
        found[figure] = round(float(np.mean([run[figure] for run in runs])), 4)
    found["splits"] = runs
    print(json.dumps(found, indent=1))
    recorded = json.loads(given.output.read_text()) if given.output.is_file() else {}
    recorded[given.name or f"{' '.join(Path(path).stem for path in given.embeddings)}, {given.truth}"] = found
    given.output.write_text(json.dumps(recorded, indent=1) + "\n")


if __name__ == "__main__":
    main()
