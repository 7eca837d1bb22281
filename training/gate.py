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

from telescope_transformer.errors import TrainingError
from telescope_transformer.evaluation.actors import evaluate_actors
from telescope_transformer.evaluation.model_arguments import ModelArgument
from telescope_transformer.evaluation.plan import read_plan
from telescope_transformer.evaluation.telescopes import windows_of
from telescope_transformer.learning.adapt import AdaptSettings
from telescope_transformer.learning.held_out import HeldOut
from telescope_transformer.model_files import load_network
from telescope_transformer.progress import Say
from telescope_transformer.splits import split_of_source

PLAN = Path(__file__).with_name("across.yaml")
# The smallest simulated telescopes of `telescope evaluate --truth actor`.
SIZE, SEEDS = "2000x25", range(5)
PRESENT, NEW = "present", "new"
# The upper end of a 95 % interval.
UPPER_END = 0.975
# Seed of the draws of sources and windows.
SEED = 0


class Gain(NamedTuple):
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


def across_telescopes(present: Path, new: Path, data: Path, learned: Collection[str], work: Path, say: Say) -> Gain:
    """The comparison on unseen sources; a bootstrap over the sources of each telescope gives the interval."""
    models = [load_network(folder)[0] for folder in (present, new)]
    found = []
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
            found.append(held_out.compare(*models, seed=SEED))
            say(f"{telescope.name}: AUROC of {found[-1]}")
    if not found:
        raise TrainingError(f"{data}: no telescope of {PLAN.name} has enough unseen sources to compare weights")
    before = float(np.mean([each.before["same_source"] for each in found]))
    gain = float(np.mean([each.gain for each in found]))
    # The sources of one telescope are drawn independently of those of the others.
    width = np.linalg.norm([each.upper - each.gain for each in found]) / len(found)
    figures = f"mean AUROC of unseen sources {before:.3f} before, {before + gain:.3f} after"
    return Gain(figures, gain + float(width))


def on_actors(present: Path, new: Path, work: Path) -> Gain:
    """The comparison with actors of simulated telescopes, without adaptation; seeds give the interval."""
    models = [ModelArgument(name, None, str(folder)) for name, folder in ((PRESENT, present), (NEW, new))]
    cells = evaluate_actors([SIZE], models, SEEDS, work / "actors", AdaptSettings(device_cpu=True), (PRESENT, NEW))
    found = {(cell["method"], cell["seed"]): cell["figures"]["ari_all"] for cell in cells if cell["size"] == SIZE}
    before, after = (np.array([found[name, seed] for seed in SEEDS]) for name in (PRESENT, NEW))
    width = stats.t.ppf(UPPER_END, len(SEEDS) - 1) * stats.sem(after - before)
    figures = f"mean ARI with simulated actors {before.mean():.3f} before, {after.mean():.3f} after"
    return Gain(figures, float((after - before).mean() + width))
