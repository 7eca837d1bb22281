"""Compare new weights with those that are shipped, so that `training.ship` overwrites none with worse ones.

They are compared on the telescopes in `across.yaml`, by sources that no training saw, as in an adaptation
(`learning.held_out`), and by clusters against the actors of simulated telescopes. Weights are worse if the 95 %
interval of the mean difference lies below zero in one of the two.
"""

from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import stats

from telescope_transformer.embedding import load_network
from telescope_transformer.errors import TrainingError
from telescope_transformer.evaluation.actors import evaluate_actors
from telescope_transformer.evaluation.model_arguments import ModelArgument
from telescope_transformer.evaluation.plan import read_plan
from telescope_transformer.evaluation.telescopes import windows_of
from telescope_transformer.learning.adapt import AdaptSettings
from telescope_transformer.learning.held_out import NAMES, HeldOut, score
from telescope_transformer.metrics.bootstrap import source_multiplicities
from telescope_transformer.progress import Say
from telescope_transformer.splits import split_of_source

PLAN = Path(__file__).with_name("across.yaml")
# The smallest simulated telescopes of `telescope evaluate --truth actor`.
SIZE, SEEDS = "2000x25", range(5)
PRESENT, NEW = "present", "new"
# Our choice: number of bootstrap replicates over sources. The quantile is the upper end of their 95 % interval.
REPLICATES = 200
UPPER_END = 0.975
# Seed of the draws of sources and windows.
SEED = 0


class Comparison(NamedTuple):
    """New weights against the present ones: the figures, and the upper end of the 95 % interval of the difference."""

    figures: str
    upper: float


def refuse_worse(present: Path, new: Path, data: Path, learned: Collection[str], work: Path, say: Say) -> None:
    """Compare two checkpoints.

    Args:
        present, new: folders of the checkpoints.
        data: folder of the telescopes; those without a file are left out.
        learned: files whose training sources the weights learned from.
        work: folder for windows and cells.
        say: called with the figures.

    Raises:
        TrainingError: if the new weights are worse, or no telescope has enough unseen sources.
    """
    found = [across_telescopes(present, new, data, learned, work, say), on_actors(present, new, work)]
    say("; ".join(one.figures for one in found))
    if worse := [one.figures for one in found if one.upper < 0]:
        raise TrainingError(f"the new weights are worse than those in {present}: {'; '.join(worse)}")


def across_telescopes(
    present: Path, new: Path, data: Path, learned: Collection[str], work: Path, say: Say
) -> Comparison:
    """The comparison on unseen sources; a bootstrap over the sources of each telescope gives the interval."""
    models = [load_network(folder)[0] for folder in (present, new)]
    scores, uppers = [], []
    for telescope in read_plan(PLAN).telescopes:
        if not all((data / name).is_file() for name in telescope.inputs):
            continue
        windows = windows_of(telescope, data, work / "windows")
        if any(name in learned for name in telescope.inputs):
            names = pc.unique(windows["source"])
            unseen = pa.array([split_of_source(name) == "test" for name in names.to_pylist()])
            windows = windows.filter(pc.is_in(windows["source"], value_set=names.filter(unseen)))
        held_out = HeldOut.of(windows, telescope.window, SEED)
        if held_out is not None:
            drawn = source_multiplicities(int(held_out.sources.max()) + 1, REPLICATES, seed=SEED)
            drawn = np.vstack([np.ones((1, drawn.shape[1])), drawn])
            before, after = (held_out.aurocs(held_out.embed(model), drawn) for model in models)
            changes = [f"{NAMES[name]} {before[name][0]:.3f} before, {after[name][0]:.3f} after" for name in after]
            say(f"{telescope.name}: AUROC of {', '.join(changes)}")
            scores.append([score(before)[0], score(after)[0]])
            uppers.append(float(np.nanquantile((score(after) - score(before))[1:], UPPER_END)))
    if not scores:
        raise TrainingError(f"{data}: no telescope of {PLAN.name} has enough unseen sources to compare weights")
    means, gained = np.mean(scores, axis=0), np.diff(scores)[:, 0]
    # The sources of one telescope are drawn independently of those of the others.
    width = np.linalg.norm(np.subtract(uppers, gained)) / len(scores)
    figures = f"mean AUROC of unseen sources {means[0]:.3f} before, {means[1]:.3f} after"
    return Comparison(figures, float(gained.mean() + width))


def on_actors(present: Path, new: Path, work: Path) -> Comparison:
    """The comparison with actors of simulated telescopes, without adaptation; seeds give the interval."""
    models = [ModelArgument(name, None, str(folder)) for name, folder in ((PRESENT, present), (NEW, new))]
    cells = evaluate_actors([SIZE], models, SEEDS, work / "actors", AdaptSettings(device_cpu=True), (PRESENT, NEW))
    found = {(cell["method"], cell["seed"]): cell["figures"]["ari_all"] for cell in cells if cell["size"] == SIZE}
    before, after = (np.array([found[name, seed] for seed in SEEDS]) for name in (PRESENT, NEW))
    width = stats.t.ppf(UPPER_END, len(SEEDS) - 1) * stats.sem(after - before)
    figures = f"mean ARI with simulated actors {before.mean():.3f} before, {after.mean():.3f} after"
    return Comparison(figures, float((after - before).mean() + width))
