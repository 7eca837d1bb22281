"""Compare the clusters of whole analyses with the known organisations of the sources.

Run: python tests/benchmarks/organisations.py FLOWS --name NAME [--base CHECKPOINT] [--seeds 0,1,2]

FLOWS is a file of flow records with the column `label`. For each seed, the base model is adapted to all records, and
`analyze` clusters them. Homogeneity is low if clusters mix organisations, completeness if organisations are split.

An evaluation across telescopes (`telescope evaluate --across`) compares windows of 8 records of unseen sources only.
Here, windows have up to 128 records, all labelled sources of eight records or more count, and the model has learned,
without labels, from most of them.

Two figures show how far this could go: the agreement at the best of `THRESHOLDS`, and that of a classifier that knows
the organisations of all other networks and sees the services and the inter-arrival times of all records of a source.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from measuring import keep
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import adjusted_rand_score, homogeneity_completeness_v_measure
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from telescope_transformer.analysis import Analysis, AnalysisSettings, analyze
from telescope_transformer.evaluation.baselines.services import TIME_EDGES
from telescope_transformer.learning.adapt import AdaptSettings, adapt
from telescope_transformer.learning.store import networks_of
from telescope_transformer.records import read_records
from telescope_transformer.windows import MIN_RECORDS, cut

RESULTS = Path(__file__).parent / "results" / "organisations.json"
# The bound is not measured here.
PROOF_SECONDS = 1.0
THRESHOLDS = (0.45, 0.55, 0.65, 0.75)
# Of the classifier with labels: the most services it sees, quantiles of the logarithm of the inter-arrival times, and
# folds of the cross-validation, each with other networks.
MOST_SERVICES = 100
QUANTILES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
FOLDS = 10
MOST_ITERATIONS = 3_000


def measure(flows: Path, records: pa.Table, base: str | None, seed: int) -> dict[str, float]:
    """Agreement of the clusters with the organisations, for one seed of the adaptation."""
    with tempfile.TemporaryDirectory() as folder:
        model, work = Path(folder) / "model", Path(folder) / "work"
        adapt(cut(records, min_records=1), base, AdaptSettings(seed=seed), progress=False).save(model)
        settings = AnalysisSettings(model=str(model), time_limit=PROOF_SECONDS, seed=seed)
        found = analyze(flows, settings, work=work)
        others = [analyze(flows, replace(settings, threshold=t), work=work) for t in THRESHOLDS]
    labels, clusters = labelled(found)
    homogeneity, completeness, _ = homogeneity_completeness_v_measure(labels, clusters)
    by_threshold = [adjusted_rand_score(*labelled(other)) for other in others]
    return {
        "ari": round(float(adjusted_rand_score(labels, clusters)), 3),
        "homogeneity": round(float(homogeneity), 3),
        "completeness": round(float(completeness), 3),
        "threshold": float(found.solution["threshold"]),
        "best_ari": round(float(max(by_threshold)), 3),
        "best_threshold": THRESHOLDS[int(np.argmax(by_threshold))],
        "sources": len(labels),
        "organisations": len(np.unique(labels)),
    }


def labelled(found: Analysis) -> tuple[np.ndarray, np.ndarray]:
    """Organisation and cluster of each labelled source that has enough records for a window."""
    long = pc.greater_equal(found.sources["n_records"], MIN_RECORDS)
    known = found.sources.filter(pc.and_(pc.is_valid(found.sources["label"]), long))
    return known["label"].cast(pa.string()).to_numpy(zero_copy_only=False), known["cluster"].to_numpy()


def with_labels(records: pa.Table) -> dict[str, float]:
    """Agreement and accuracy of a classifier that is trained on the organisations of all other networks."""
    records = records.filter(pc.is_valid(records["label"]))
    names, sources, sizes = np.unique(
        records["src_ip"].cast(pa.string()).to_numpy(zero_copy_only=False), return_inverse=True, return_counts=True
    )
    labels = np.empty(len(names), dtype=object)
    labels[sources] = records["label"].cast(pa.string()).to_numpy(zero_copy_only=False)
    features, long = source_features(records, sources, len(names)), sizes >= MIN_RECORDS
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=MOST_ITERATIONS))
    networks = networks_of(pa.array(names))[long]
    truth = labels[long].astype(str)
    said = cross_val_predict(classifier, features[long], truth, groups=networks, cv=GroupKFold(FOLDS))
    return {
        "ari": round(float(adjusted_rand_score(truth, said)), 3),
        "accuracy": round(float((truth == said).mean()), 3),
    }


def source_features(records: pa.Table, sources: np.ndarray, n_sources: int) -> np.ndarray:
    """Shares of services, distribution of inter-arrival times and number of records of each source (n, features).

    Args:
        records: flow records.
        sources: code of the source of each record.
        n_sources: number of sources.
    """
    services = records["protocol"].to_numpy().astype(np.int64) * 65_536 + records["dst_port"].to_numpy()
    common = np.argsort(-np.unique_counts(services).counts)[:MOST_SERVICES]
    codes = np.unique(services, return_inverse=True)[1]
    times = records["timestamp"].cast(pa.int64()).to_numpy() / 1e6
    order = np.lexsort((times, sources))
    begins = np.searchsorted(sources[order], np.arange(n_sources))
    rows = []
    for of_source in np.split(order, begins[1:]):
        shares = np.bincount(codes[of_source], minlength=codes.max() + 1)[common] / len(of_source)
        gaps = np.log1p(np.diff(times[of_source])) if len(of_source) > 1 else np.zeros(1)
        shape = np.histogram(gaps, np.log1p([0, *TIME_EDGES, np.inf]))[0] / len(gaps)
        rows.append(np.concatenate([shares, np.quantile(gaps, QUANTILES), shape, [np.log(len(of_source))]]))
    return np.array(rows)


def main() -> None:
    """Measure one telescope and record its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("flows", type=Path)
    parser.add_argument("--name", required=True)
    parser.add_argument("--base")
    parser.add_argument("--seeds", default="0,1,2")
    options = parser.parse_args()
    records = read_records([options.flows]).table
    found: dict[str, Any] = {"classifier with labels": with_labels(records)}
    print(f"{options.name}, classifier with labels: {found['classifier with labels']}", flush=True)
    for seed in options.seeds.split(","):
        found[seed] = measure(options.flows, records, options.base, int(seed))
        print(f"{options.name} seed {seed}: {found[seed]}", flush=True)
    keep(RESULTS, options.name, found)


if __name__ == "__main__":
    main()
