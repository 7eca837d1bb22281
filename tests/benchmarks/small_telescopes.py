"""Measure whether adaptation to a telescope of few sources, or of one kind of traffic, hurts.

Run: python tests/benchmarks/small_telescopes.py DATA ACROSS

DATA and ACROSS are the folders of `telescope evaluate training/across.yaml --across --data DATA --output ACROSS`. Its
models learned elsewhere are used, and trained if they are missing. Small telescopes are drawn from the sources that a
telescope's models may learn from. A model learned elsewhere is compared unchanged, only centred, and adapted as
`telescope adapt` does it, on sources that none of them has seen. Adaptation has hurt a figure if the 95 % interval of
its difference to the centred model lies below zero, by a paired bootstrap over sources.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from measuring import keep

from telescope_transformer.arrays import offsets_of
from telescope_transformer.calibration import Calibration, measured
from telescope_transformer.embedding import embed_windows
from telescope_transformer.evaluation.across import ORGANISATION_FIGURES, SOURCE_FIGURES, Target, learned_elsewhere
from telescope_transformer.evaluation.cells import plain
from telescope_transformer.evaluation.measure import EvaluationSuite
from telescope_transformer.evaluation.plan import read_plan
from telescope_transformer.evaluation.representation import Representation
from telescope_transformer.evaluation.tables import lines, short
from telescope_transformer.evaluation.telescopes import Parts
from telescope_transformer.evaluation.windows import WindowSet
from telescope_transformer.fields import DAY
from telescope_transformer.learning.adapt import AdaptSettings, adapt
from telescope_transformer.learning.store import networks_of
from telescope_transformer.model import TelescopeForContrastiveLearning, WindowEncoder
from telescope_transformer.model_files import load_network

RESULTS = Path(__file__).parent / "results" / "small_telescopes.json"
PLAN = Path(__file__).parents[2] / "training" / "across.yaml"
# The shipped model has learned from the telescopes that models for this one would learn from.
OF_SHIPPED = "honeypots-2019"
TELESCOPES = ("scanners-2023", "scanners-2024", OF_SHIPPED)
# Seed 0 was used to choose the fewest sources.
SEEDS = (1, 2)
SIZES = (60, 100, 200, 500)
# Sources of a telescope with one kind of traffic.
ODD_SIZE = 100
# Name of the telescope that records no times of day.
DATES = "dates only"
# Sources with fewer records have no two windows of four.
FEWEST_RECORDS = 8
REPLICATES = 40
FACTS = ("adapted", "reason", "sources", "kept_out", "steps", "seconds")
ORDERED = (*SOURCE_FIGURES, *ORGANISATION_FIGURES)


def small_telescopes(learning: pa.Table, seed: int) -> Iterator[tuple[str, pa.Table]]:
    """Name and windows of each small telescope."""
    counts = learning.group_by("source", use_threads=False).aggregate([("n_records", "sum")])
    able = pc.greater_equal(counts["n_records_sum"], FEWEST_RECORDS)
    names = counts["source"].filter(able).combine_chunks().sort()
    names = names.take(pa.array(np.random.default_rng(seed).permutation(len(names))))
    for size in SIZES:
        if size <= len(names):
            yield f"{size} sources", of_sources(learning, names[:size])
    networks = networks_of(names)
    largest = np.argsort(-np.bincount(networks), kind="stable")[:2]
    yield "two networks", of_sources(learning, names.filter(pa.array(np.isin(networks, largest)))[:ODD_SIZE])
    campaign = names.filter(pa.array(networks == largest[0]))[: ODD_SIZE // 2]
    yield "half in one network", of_sources(learning, pa.concat_arrays([names[:ODD_SIZE], campaign]).unique())
    port = pc.list_element(learning["dst_port"], 0)
    one = learning.filter(pc.equal(port, pc.mode(port)[0]["mode"]))
    yield "one port", of_sources(one, names.filter(pc.is_in(names, value_set=pc.unique(one["source"])))[:ODD_SIZE])
    yield DATES, dates_only(of_sources(learning, names[:ODD_SIZE]))


def of_sources(windows: pa.Table, sources: pa.Array) -> pa.Table:
    """The windows of some sources."""
    return windows.filter(pc.is_in(windows["source"], value_set=sources))


def dates_only(windows: pa.Table) -> pa.Table:
    """The windows as a telescope would have them that records the day of a record, but no time."""
    times = windows["timestamp"].combine_chunks()
    days = pc.multiply(pc.divide(times.flatten().cast(pa.int64()), DAY), DAY)
    lists = pa.ListArray.from_arrays(offsets_of(windows["n_records"].to_numpy()).astype(np.int32), days)
    changed = {"timestamp": lists.cast(times.type)}
    for name in ("start", "end"):
        whole = pc.multiply(pc.divide(windows[name].cast(pa.int64()), DAY), DAY)
        changed[name] = whole.cast(windows[name].type)
    for name, column in changed.items():
        windows = windows.set_column(windows.column_names.index(name), name, column)
    return windows


Figures = dict[str, np.ndarray]


class Unseen:
    """The unseen sources of a telescope, and the figures of a model on them.

    Args:
        parts: the split telescope.
        seed: seed of the bootstrap.
        change: changes the windows as those of the small telescope were changed.
    """

    def __init__(self, parts: Parts, seed: int, change: Callable[[pa.Table], pa.Table] = lambda windows: windows):
        self.seed, self.sample = seed, WindowSet(change(parts.sample.table))
        self.asked = [(self.sample, SOURCE_FIGURES)]
        if parts.labelled is not None:
            self.asked.append((WindowSet(change(parts.labelled.table)), ORGANISATION_FIGURES))
        self.suites = [EvaluationSuite(windows, replicates=REPLICATES, seed=seed) for windows, _ in self.asked]

    def figures(self, model: TelescopeForContrastiveLearning, calibration: Calibration | None) -> Figures:
        """Each figure (1 + replicates,), and the error of the probabilities (1,)."""
        encoder = WindowEncoder(model.config.fields)
        found: Figures = {}
        for (windows, wanted), suite in zip(self.asked, self.suites, strict=True):
            vectors = embed_windows(model, encoder, windows.table, progress=False)
            targets = {target for target, _ in wanted.values()}
            answers = suite.answer_pairs(Representation.of_vectors(vectors).similarity, targets)
            for name, (target, metric) in wanted.items():
                if metric in answers.get(target, {}):
                    found[name] = answers[target][metric]
            if windows is self.sample and calibration is not None:
                error = measured(calibration, vectors, windows.sources, seed=self.seed).expected_calibration_error
                found["calibration_error"] = np.array([error])
        return found


def measure(target: Target) -> Iterator[dict[str, Any]]:
    """A row per small telescope: figures of the three models, and the differences of adapted and centred."""
    base = None if target.telescope.name == OF_SHIPPED else learned_elsewhere(target, target.plan.variants[0])
    model = load_network(base)[0]
    usual = Unseen(target.parts, target.seed)
    for name, windows in small_telescopes(target.parts.learning, target.seed):
        unseen = Unseen(target.parts, target.seed, dates_only) if name == DATES else usual
        settings = AdaptSettings(seed=target.seed, device_cpu=True)
        adapted = adapt(windows, base, settings, progress=False)
        only_centred = adapt(windows, base, replace(settings, steps=0), progress=False)
        found = {
            "unchanged": unseen.figures(model, None),
            "centred": unseen.figures(only_centred.model, only_centred.calibration),
            "adapted": unseen.figures(adapted.model, adapted.calibration),
        }
        figures = {arm: {figure: float(values[0]) for figure, values in of.items()} for arm, of in found.items()}
        facts = {key: adapted.facts.get(key) for key in FACTS}
        hurt = [figure for figure in ORDERED if _worse(found["centred"].get(figure), found["adapted"].get(figure))]
        yield {"telescope": name, "seed": target.seed, "facts": facts, "figures": plain(figures), "hurt": hurt}


def _worse(before: np.ndarray | None, after: np.ndarray | None) -> bool:
    """Whether the upper end of the 95 % interval of the difference lies below zero."""
    if before is None or after is None:
        return False
    return bool(np.nanquantile((after - before)[1:], 0.975) < 0)


SHOWN = {
    "same source": "same_source",
    "organisation, pooled": "organisation",
    "other /24s": "organisation_other_prefix",
    "macro": "organisation_macro",
    "calibration error": "calibration_error",
}


def table(recorded: dict[str, list[dict[str, Any]]]) -> str:
    """The recorded figures as a Markdown table: a model unchanged, only centred, and as `telescope adapt` chooses."""
    rows = [["telescope", "seed", "sources learned from, held out", "choice", *SHOWN, "worse than centred"]]
    for telescope, found in recorded.items():
        for row in found:
            facts, arms = row["facts"], row["figures"].values()
            figures = [" / ".join(short(arm[name]) for arm in arms if name in arm) for name in SHOWN.values()]
            choice = "adapted" if facts["adapted"] else "only centred"
            size = f"{facts['sources']}, {facts['kept_out']}"
            rows.append(
                [f"{telescope}, {row['telescope']}", row["seed"], size, choice, *figures, ", ".join(row["hurt"])]
            )
    return lines([[str(cell) for cell in row] for row in rows])


def main() -> None:
    """Measure small parts of every telescope, record the figures, and print them as a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("across", type=Path)
    options = parser.parse_args()
    plan = read_plan(PLAN)
    for telescope in plan.telescopes:
        if telescope.name in TELESCOPES:
            rows = []
            for seed in SEEDS:
                for row in measure(Target(plan, telescope, seed, options.data, options.across, cpu=True)):
                    rows.append(row)
                    print(telescope.name, json.dumps(row), flush=True)
                    keep(RESULTS, telescope.name, rows)
    print(table(json.loads(RESULTS.read_text(encoding="utf-8"))))


if __name__ == "__main__":
    main()
