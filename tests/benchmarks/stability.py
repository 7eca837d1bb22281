"""Measure how stable clusters are under changes of the input that should not matter.

Run: python tests/benchmarks/stability.py INPUT... [--columns FIELD=COLUMN,...] [--sources N] [--model CHECKPOINT]

INPUT is one or more files of flow records, or the size of a simulated telescope such as 2000x90. With --sources, so
many random sources of the files are analysed. The model is adapted once, unless --model gives one. Each variation is
then analysed with the same weights and compared with the original by the adjusted Rand index of their common sources.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from measuring import keep
from sklearn.metrics import adjusted_rand_score

from telescope_transformer.analysis import Analysis, AnalysisSettings, analyze
from telescope_transformer.evaluation.actors import Simulated, parse_size
from telescope_transformer.learning.adapt import AdaptSettings, adapt
from telescope_transformer.records import read_records
from telescope_transformer.records.columns import parse_mapping
from telescope_transformer.simulation import SimulationSettings
from telescope_transformer.windows import cut

RESULTS = Path(__file__).parent / "results" / "stability.json"
# The bound is not measured here.
PROOF_SECONDS = 1.0
SECOND = 1_000_000
# Addresses of copies start at the reserved block 240.0.0.0/4, which no telescope records as a source.
COPIES = 240 << 24

Variation = tuple[pa.Table, AnalysisSettings]


def variations(
    records: pa.Table, settings: AnalysisSettings, original: Analysis
) -> Iterator[tuple[str, Callable[[], Variation]]]:
    """Name and content of each variation."""
    clusters = original.sources.filter(pc.is_valid(original.sources["cluster"]))
    sizes = clusters["cluster"].combine_chunks().value_counts()
    cluster = sizes.field("values")[int(np.argmax(sizes.field("counts").to_numpy()))]
    largest = clusters["source"].filter(pc.equal(clusters["cluster"], cluster))
    inside = pc.is_in(records["src_ip"], value_set=largest.combine_chunks())
    threshold = original.solution["threshold"]
    yield "another seed of the search", lambda: (records, replace(settings, seed=1))
    yield "threshold + .001", lambda: (records, replace(settings, threshold=threshold + 0.001))
    yield "order within a second", lambda: (_shuffled(records), settings)
    yield "one source more", lambda: (_with_copies(records, largest[:1]), settings)
    yield "largest cluster removed", lambda: (records.filter(pc.invert(inside)), settings)
    yield "largest cluster twice", lambda: (_with_copies(records, largest), settings)
    yield "without short windows", lambda: (records, replace(settings, min_records=settings.core_records))


def sampled(records: pa.Table, sources: int) -> pa.Table:
    """The records of so many random sources."""
    names = pc.unique(records["src_ip"]).sort()
    drawn = names.take(pa.array(np.random.default_rng(0).permutation(len(names))[:sources]))
    return records.filter(pc.is_in(records["src_ip"], value_set=drawn))


def _shuffled(records: pa.Table) -> pa.Table:
    """The records, shuffled within each second."""
    seconds = pc.divide(records["timestamp"].cast(pa.int64()), SECOND).to_numpy()
    return records.take(pa.array(np.lexsort((np.random.default_rng(0).random(len(seconds)), seconds))))


def _with_copies(records: pa.Table, sources: pa.ChunkedArray) -> pa.Table:
    """The records, and copies of the records of some sources under new addresses."""
    names = sources.combine_chunks()
    copied = records.filter(pc.is_in(records["src_ip"], value_set=names))
    code = pc.index_in(copied["src_ip"], value_set=names).to_numpy()
    new = pa.array([f"240.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}" for n in range(len(names))], names.type)
    place = copied.column_names.index("src_ip")
    copied = copied.set_column(place, "src_ip", pa.chunked_array([new.take(pa.array(code))]))
    both = pa.concat_tables([records, copied.cast(records.schema)])
    return both.take(pc.sort_indices(both["timestamp"]))


def agreement(first: Analysis, second: Analysis, settings: AnalysisSettings) -> tuple[float, int]:
    """Adjusted Rand index of the long windows in both analyses, matched by source and start; and their number."""
    found = []
    for analysis in (first, second):
        long = analysis.windows.filter(pc.greater_equal(analysis.windows["n_records"], settings.core_records))
        keys = zip(long["source"].to_pylist(), long["start"].cast(pa.int64()).to_pylist(), strict=True)
        found.append(dict(zip(keys, long["cluster"].to_pylist(), strict=True)))
    common = sorted(found[0].keys() & found[1].keys())
    return float(adjusted_rand_score(*([labels[key] for key in common] for labels in found))), len(common)


def measure(records: pa.Table, model: str) -> dict[str, dict[str, float]]:
    """The agreement of each variation with the original."""
    settings = AnalysisSettings(model=model, time_limit=PROOF_SECONDS)
    original = analyze(records, settings)
    found: dict[str, dict[str, float]] = {}
    for name, make in variations(records, settings, original):
        changed, its_settings = make()
        ari, windows = agreement(original, analyze(changed, its_settings), settings)
        found[name] = {"ari": ari, "windows": windows}
        print(f"{name:30s} ARI {ari:.3f} of {windows:,} windows", flush=True)
    return found


def main() -> None:
    """Measure one telescope and record its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inputs", nargs="+")
    parser.add_argument("--columns")
    parser.add_argument("--sources", type=int)
    parser.add_argument("--model")
    parser.add_argument("--name")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    if len(options.inputs) == 1 and not Path(options.inputs[0]).exists():
        sources, volume = parse_size(options.inputs[0])
        records = Simulated(SimulationSettings(sources, 0, volume)).unlabelled
    else:
        columns = parse_mapping(options.columns) if options.columns else None
        records = read_records([Path(name) for name in options.inputs], columns=columns).table
        if options.sources is not None:
            records = sampled(records, options.sources)
    with tempfile.TemporaryDirectory() as folder:
        if options.model is None:
            adapt(cut(records, min_records=1), settings=AdaptSettings(), progress=False).save(folder)
        found = measure(records, options.model or folder)
    keep(options.output, options.name or Path(options.inputs[0]).name, found)


if __name__ == "__main__":
    main()
