"""Compare the clusters of whole analyses with the known organisations of the sources.

Run: python tests/benchmarks/organisations.py FLOWS --name NAME [--base CHECKPOINT] [--seeds 0,1,2]

FLOWS is a file of flow records with the column `label`. For each seed, the base model is adapted to all records, and
`analyze` clusters them. Homogeneity is low if clusters mix organisations, completeness if organisations are split.

An evaluation across telescopes (`telescope evaluate --across`) compares windows of 8 records of unseen sources only.
Here, windows have up to 128 records, all labelled sources of eight records or more count, and the model has learned,
without labels, from most of them.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from measuring import keep
from sklearn.metrics import adjusted_rand_score, homogeneity_completeness_v_measure

from telescope_transformer.analysis import AnalysisSettings, analyze
from telescope_transformer.learning.adapt import AdaptSettings, adapt
from telescope_transformer.records import read_records
from telescope_transformer.windows import MIN_RECORDS, cut

RESULTS = Path(__file__).parent / "results" / "organisations.json"
# The bound is not measured here.
PROOF_SECONDS = 1.0


def measure(records: pa.Table, base: str | None, seed: int) -> dict[str, float]:
    """Agreement of the clusters with the organisations, for one seed of the adaptation."""
    with tempfile.TemporaryDirectory() as folder:
        adapt(cut(records, min_records=1), base, AdaptSettings(seed=seed), progress=False).save(folder)
        found = analyze(records, AnalysisSettings(model=folder, time_limit=PROOF_SECONDS, seed=seed))
    long = pc.greater_equal(found.sources["n_records"], MIN_RECORDS)
    known = found.sources.filter(pc.and_(pc.is_valid(found.sources["label"]), long))
    labels = known["label"].cast(pa.string()).to_numpy(zero_copy_only=False)
    clusters = known["cluster"].to_numpy()
    homogeneity, completeness, _ = homogeneity_completeness_v_measure(labels, clusters)
    return {
        "ari": round(float(adjusted_rand_score(labels, clusters)), 3),
        "homogeneity": round(float(homogeneity), 3),
        "completeness": round(float(completeness), 3),
        "threshold": float(found.solution["threshold"]),
        "sources": len(labels),
        "organisations": len(np.unique(labels)),
    }


def main() -> None:
    """Measure one telescope and record its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("flows", type=Path)
    parser.add_argument("--name", required=True)
    parser.add_argument("--base")
    parser.add_argument("--seeds", default="0,1,2")
    options = parser.parse_args()
    records = read_records([options.flows]).table
    found = {}
    for seed in options.seeds.split(","):
        found[seed] = measure(records, options.base, int(seed))
        print(f"{options.name} seed {seed}: {found[seed]}", flush=True)
    keep(RESULTS, options.name, found)


if __name__ == "__main__":
    main()
