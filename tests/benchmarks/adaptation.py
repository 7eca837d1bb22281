"""Measure the gain of adaptation by the number of steps.

Run: python tests/benchmarks/adaptation.py INPUT... [--columns FIELD=COLUMN,...] [--name NAME] [--output FILE.json]

A fifth of the networks is held out. The model is adapted to the other networks and measured on the held-out sources:
how well similarity separates pairs of windows of one source from pairs of two sources (AUROC), among all windows and
among those with the same dominant service. `small_telescopes.py` measures adaptation to few sources.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from measuring import keep

from telescope_transformer.learning.adapt import AdaptSettings, adapt
from telescope_transformer.learning.held_out import HeldOut, keep_out
from telescope_transformer.model_files import load_network
from telescope_transformer.records import read_records
from telescope_transformer.records.columns import parse_mapping
from telescope_transformer.windows import cut

RESULTS = Path(__file__).parent / "results" / "adaptation.json"
STEPS = (50, 100, 200, 500, 1000)
LENGTH = 8


def measure(windows: pa.Table, seed: int) -> list[dict[str, float]]:
    """One row per number of steps: the seconds, and the figures on held-out sources before and after adaptation."""
    names = pc.unique(windows["source"])
    out = pc.is_in(windows["source"], value_set=names.filter(pa.array(keep_out(names, 0.2, seed))))
    held_out = HeldOut.of(windows.filter(out), LENGTH, seed)
    if held_out is None:
        raise SystemExit("too few sources to hold out")
    learning = windows.filter(pc.invert(out))
    base = load_network()[0]
    settings = AdaptSettings(seed=seed, hold_out=0.0, min_sources=4, always=True, device_cpu=True)
    rows = []
    for steps in STEPS:
        begun = time.process_time()
        adapted = adapt(learning, settings=replace(settings, steps=steps), calibrated=False, progress=False)
        seconds = round(time.process_time() - begun, 1)
        compared = held_out.compare(base, adapted.model)
        row = {"steps": steps, "seconds": seconds}
        rows.append(row | {"before": compared.before, "after": compared.after})
        print(json.dumps(rows[-1]), flush=True)
    return rows


def main() -> None:
    """Measure one telescope and record its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inputs", nargs="+", type=Path)
    parser.add_argument("--columns")
    parser.add_argument("--name")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    columns = parse_mapping(options.columns) if options.columns else None
    windows = cut(read_records(options.inputs, columns=columns).table, min_records=1).to_table()
    keep(options.output, options.name or options.inputs[0].name, measure(windows, options.seed))


if __name__ == "__main__":
    main()
