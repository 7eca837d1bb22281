"""Evaluation across telescopes: learn on the others, adapt without labels, measure on unseen sources.

For each telescope and seed, these are compared: a model trained on the other telescopes, the same model adapted to the
telescope's own records, and a model trained from scratch on these records alone; TF-IDF with timing, fitted on these
records; and a supervised pair classifier trained on the other telescopes. Sources are split by /24. Networks that a
model has seen in training elsewhere are excluded from the measurement.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from telescope_transformer.calibration import fit_calibration, measured
from telescope_transformer.embedding import embed_windows
from telescope_transformer.errors import DatasetError, InputError
from telescope_transformer.evaluation.baselines.communities import hdbscan, leiden, reduced
from telescope_transformer.evaluation.baselines.networks import embedded
from telescope_transformer.evaluation.baselines.organisation_pairs import organisation_pairs
from telescope_transformer.evaluation.baselines.pair_classifier import pair_classifier_elsewhere
from telescope_transformer.evaluation.baselines.services import tfidf_with_timing
from telescope_transformer.evaluation.cells import Cells, check_known
from telescope_transformer.evaluation.clustering import correlation_clusters, sweep_clusterings
from telescope_transformer.evaluation.measure import EvaluationSuite
from telescope_transformer.evaluation.plan import Plan, Telescope, Variant
from telescope_transformer.evaluation.representation import Representation
from telescope_transformer.evaluation.telescopes import Parts, fingerprint, networks, split, windows_of
from telescope_transformer.evaluation.windows import WindowSet
from telescope_transformer.files import text_digest
from telescope_transformer.learning.adapt import AdaptSettings, adapt
from telescope_transformer.learning.arguments import arguments_of, read_recipe
from telescope_transformer.learning.training import fastest_precision, train_on_windows
from telescope_transformer.metrics.bootstrap import percentile_interval
from telescope_transformer.metrics.clusters import partition_scores
from telescope_transformer.model import TelescopeForContrastiveLearning, WindowEncoder
from telescope_transformer.model_files import load_network
from telescope_transformer.progress import progress_bar
from telescope_transformer.threshold import reproducible_threshold
from telescope_transformer.windows import fixed_windows

SCHEMA = "telescope-across/1"
# Bootstrap replicates over sources. The spread over seeds is reported separately.
REPLICATES = 100
TFIDF, CLASSIFIER = "TF-IDF + timing", "pair classifier, learned elsewhere"
# The model does not see the values of source ports or the time of day either, since these distinguish hosts of one
# actor.
CLASSIFIER_OF_BEHAVIOUR = "pair classifier without source ports and time of day"
# Ending of the methods whose windows are blended by source before organisations are compared, as in an analysis.
BLENDED = ", windows of a source blended"
# Ending of the methods that are only centred on the telescope.
CENTRED = ", centred"
# Metrics of a cell by their name in the tables: target and name in `measure.Figures`.
SOURCE_FIGURES = {name: (name, "auroc") for name in ("same_source", "hard", "prefix")}
ORGANISATION_FIGURES = {
    "organisation": ("organisation", "auroc"),
    "organisation_macro": ("organisation", "macro_auroc"),
    "organisation_other_prefix": ("organisation_other_prefix", "auroc"),
}

Model = tuple[TelescopeForContrastiveLearning, WindowEncoder]
Represent = Callable[[WindowSet], Representation]


@dataclass(frozen=True)
class Target:
    """A telescope that is evaluated, with one seed.

    Args:
        plan: plan of the whole evaluation.
        telescope: the telescope to evaluate.
        seed: seed of the split and of all training.
        data: folder with the files of the telescopes.
        output: folder of the evaluation.
        cpu: use the CPU even if there is a GPU.
    """

    plan: Plan
    telescope: Telescope
    seed: int
    data: Path
    output: Path
    cpu: bool = False

    @cached_property
    def elsewhere(self) -> dict[str, pa.Table]:
        """Windows of the telescopes that models are trained on, by name."""
        return {other.name: self._windows(other) for other in self.plan.others(self.telescope)}

    @cached_property
    def parts(self) -> Parts:
        """The split of the telescope."""
        seen = set().union(*(networks(windows) for windows in self.elsewhere.values()))
        return split(self._windows(self.telescope), self.telescope.window, self.seed, seen)

    @cached_property
    def fingerprint(self) -> str:
        """Eight hexadecimal digits that change with the records of this telescope and of those to learn from."""
        return _together([self.telescope, *self.plan.others(self.telescope)], self.data)

    @property
    def models(self) -> Path:
        """Folder of the models of this telescope and seed."""
        return self.output / "models" / f"{self.telescope.name}-{self.fingerprint}" / str(self.seed)

    def _windows(self, telescope: Telescope) -> pa.Table:
        return windows_of(telescope, self.data, self.output / "windows")


def _together(telescopes: Sequence[Telescope], data: Path) -> str:
    return text_digest(" ".join(fingerprint(each, data) for each in telescopes))[:8]


def evaluate_across(
    plan: Plan,
    data: Path,
    output: Path,
    *,
    seeds: Sequence[int] = (0, 1, 2),
    only: Sequence[str] = (),
    methods: Sequence[str] = (),
    cpu: bool = False,
) -> list[dict[str, Any]]:
    """Measure every requested cell that has no result yet; returns all cells with results.

    Args:
        plan: telescopes and models.
        data: folder with the files of the telescopes.
        output: folder of cells, models and windows.
        seeds: seeds of splits and training.
        only: names of the telescopes to evaluate; empty means all.
        methods: names of methods to measure; empty means all.
        cpu: use the CPU even if there is a GPU.

    Raises:
        InputError: if a name is unknown, or a file cannot be read.
    """
    check_known(only, [telescope.name for telescope in plan.telescopes], "the plan", "telescope")
    names = method_names(plan)
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise InputError(f"two methods of the plan have the name {twice[0]!r}; give the models other names")
    check_known(methods, names, "the plan", "method")
    cells = Cells(output, SCHEMA)
    places = [(one, seed) for one in plan.telescopes if one.name in (only or [one.name]) for seed in seeds]
    wanted = [name for name in names if name in (methods or [name])]
    with progress_bar(total=len(places) * len(wanted), unit="cell", description="across telescopes") as bar:
        for telescope, seed in places:
            target = Target(plan, telescope, seed, data, output, cpu)
            for name in wanted:
                bar.set_description(f"{telescope.name}, seed {seed}, {name}")
                key = {"telescope": telescope.name, "seed": seed, "method": name}
                cells.compute(key, partial(_measured, target, name), _depends(target, name), target.fingerprint)
                bar.update()
    return cells.all()


def method_names(plan: Plan) -> list[str]:
    """Names of all methods, in the order of the tables."""
    arms = [name for variant in plan.variants for name in [*_arms(variant), f"{variant.name}, adapted{BLENDED}"]]
    ceilings = [name + ending for name in _ceilings(plan) for ending in ("", BLENDED)]
    return [TFIDF, TFIDF + BLENDED, CLASSIFIER, CLASSIFIER_OF_BEHAVIOUR, *arms, *ceilings]


def _ceilings(plan: Plan) -> dict[str, Variant]:
    """Names of the classifiers that have seen the telescope's labels of organisations, each with its variant."""
    return {f"{variant.name}, adapted, with labels of organisations": variant for variant in plan.variants}


def _depends(target: Target, method: str) -> dict[str, Any]:
    """What a cell depends on: the telescope, the training telescopes, and the recipes of the model."""
    found: dict[str, Any] = {"telescope": target.telescope, "others": target.plan.others(target.telescope)}
    for variant in target.plan.variants:
        fitted = method.removesuffix(BLENDED)
        if fitted in _arms(variant) or _ceilings(target.plan).get(fitted) is variant:
            found |= {"model": variant, "adapt": read_recipe(variant.adapt)}
            found["recipe"] = read_recipe(variant.recipe) if variant.recipe is not None else None
    return found


def _measured(target: Target, method: str) -> dict[str, Any]:
    """Metrics of a method on a telescope, or the reason why there are none."""
    try:
        parts = target.parts
    except DatasetError as error:
        return {"figures": {}, "skipped": str(error)}
    fitted = method.removesuffix(BLENDED)
    blended, ceiling = fitted != method, fitted in _ceilings(target.plan)
    if (blended or ceiling) and parts.labelled is None:
        return {"figures": {}, "reason": "unseen sources of known organisation are too few, or all of one"}
    try:
        represent, facts = _fitted(target, fitted)
    except DatasetError as error:
        return {"figures": {}, "reason": str(error)}
    counts = {"sources": len(parts.sample.source_names), "windows": len(parts.sample)}
    # A ceiling has no vectors, and no threshold without labels.
    sample = None if ceiling else represent(parts.sample)
    figures: dict[str, Any] = {}
    # A blended method knows which windows are of one source, and a ceiling has learned organisations instead.
    if sample is not None and not blended:
        figures |= _source_figures(sample, represent(parts.validation), parts, target.seed)
    if parts.labelled is not None:
        counts["labelled_sources"] = len(parts.labelled.source_names)
        labelled = represent(parts.labelled)
        if blended:
            labelled = labelled.blended(parts.labelled.sources)
        figures |= _figures(labelled, parts.labelled, ORGANISATION_FIGURES, target.seed)
        threshold = None if sample is None else _threshold(sample, parts.sample, target.seed)
        figures |= _clusters(labelled, parts.labelled, threshold, target.seed, communities=method == TFIDF)
    return {"figures": figures, "counts": counts, "facts": facts}


def _fitted(target: Target, method: str) -> tuple[Represent, dict[str, Any]]:
    """A function that represents windows, and facts about how it was fitted."""
    parts = target.parts
    if method == TFIDF:
        return partial(tfidf_with_timing, parts.train), {}
    if method in (CLASSIFIER, CLASSIFIER_OF_BEHAVIOUR):
        if not target.elsewhere:
            raise DatasetError("the plan has no other telescope to learn from")
        others = [WindowSet(fixed_windows(windows, target.telescope.window)) for windows in target.elsewhere.values()]
        hosts = method == CLASSIFIER
        return pair_classifier_elsewhere(others, parts.train, target.seed, hosts=hosts), {}
    if method in _ceilings(target.plan):
        (model, encoder), facts = _adapted(target, _ceilings(target.plan)[method], from_scratch=False)
        return organisation_pairs(parts.train, partial(_vectors, model, encoder), target.seed), facts
    arms = {name: (variant, arm) for variant in target.plan.variants for name, arm in _arms(variant).items()}
    variant, arm = arms[method]
    (model, encoder), facts = arm(target, variant)
    return partial(embedded, model, encoder), facts


def _vectors(model: TelescopeForContrastiveLearning, encoder: WindowEncoder, windows: WindowSet) -> np.ndarray:
    return embed_windows(model, encoder, windows.table, progress=False)


Arm = Callable[[Target, Variant], tuple[Model, dict[str, Any]]]


def _arms(variant: Variant) -> dict[str, Arm]:
    """Methods of a variant: unchanged, only centred, adapted, and trained from scratch on the telescope alone."""
    return {
        variant.name: _elsewhere,
        f"{variant.name}{CENTRED}": partial(_adapted, from_scratch=False, steps=0),
        f"{variant.name}, adapted": partial(_adapted, from_scratch=False),
        f"{variant.name}, from scratch": partial(_adapted, from_scratch=True),
    }


def _elsewhere(target: Target, variant: Variant) -> tuple[Model, dict[str, Any]]:
    return load_network(learned_elsewhere(target, variant)), {}


def learned_elsewhere(target: Target, variant: Variant) -> str | Path:
    """The checkpoint of a variant: the given one, or one trained on the other telescopes."""
    if variant.checkpoint is not None:
        return variant.checkpoint
    if not target.elsewhere:
        raise DatasetError("the plan has no other telescope to learn from")
    # Two telescopes share the model if the same other telescopes remain to learn from.
    others = f"{'+'.join(target.elsewhere)}-{_together(target.plan.others(target.telescope), target.data)}"
    folder = target.output / "models" / others / str(target.seed) / variant.name
    arguments = arguments_of(variant.recipe, {"seed": target.seed, "cpu": target.cpu, "tracker": "none", "mix": []})
    train_on_windows(list(target.elsewhere.values()), fastest_precision(arguments), folder)
    return folder


def _adapted(
    target: Target, variant: Variant, *, from_scratch: bool, steps: int | None = None
) -> tuple[Model, dict[str, Any]]:
    """A variant that was adapted to, or trained from scratch on, the telescope's own records."""
    settings = AdaptSettings(
        recipe=variant.adapt,
        steps=steps,
        from_scratch=from_scratch,
        seed=target.seed,
        always=True,
        device_cpu=target.cpu,
    )
    # From scratch, no weights from elsewhere are used. The shipped model is only a comparison.
    base = "shipped" if from_scratch else learned_elsewhere(target, variant)
    folder = target.models / f"{variant.name}-{'scratch' if from_scratch else 'adapted'}"
    adaptation = adapt(target.parts.learning, base, settings, folder=folder, calibrated=False)
    if from_scratch and not adaptation.adapted:
        raise DatasetError(adaptation.facts["reason"])
    return (adaptation.model, WindowEncoder(adaptation.model.config.fields)), adaptation.facts


def _figures(
    representation: Representation, windows: WindowSet, wanted: Mapping[str, tuple[str, str]], seed: int
) -> dict[str, Any]:
    """The wanted metrics that are defined, each with `value`, `low` and `high`."""
    targets = {target for target, _ in wanted.values()}
    suite = EvaluationSuite(windows, replicates=REPLICATES, seed=seed)
    answers = suite.answer_pairs(representation.similarity, targets)
    found: dict[str, Any] = {}
    for name, (target, metric) in wanted.items():
        values = answers.get(target, {}).get(metric)
        if values is not None and np.isfinite(values[0]):
            low, high = percentile_interval(values[1:])
            found[name] = {"value": values[0], "low": low, "high": high}
    return found


def _source_figures(sample: Representation, validation: Representation, parts: Parts, seed: int) -> dict[str, Any]:
    """Metrics of recognising sources and, for vectors, the error of the calibration."""
    found = _figures(sample, parts.sample, SOURCE_FIGURES, seed)
    if sample.vectors is not None and validation.vectors is not None:
        found["calibration_error"] = _calibration_error(validation.vectors, sample.vectors, parts, seed)
    return found


def _threshold(sample: Representation, windows: WindowSet, seed: int) -> float | None:
    """The threshold that an analysis would choose without labels; None if there is none."""
    if sample.vectors is None:
        return None
    evidence = reproducible_threshold(sample.vectors, windows.sources)
    return evidence.threshold if evidence else None


def _calibration_error(validation: np.ndarray, sample: np.ndarray, parts: Parts, seed: int) -> float | None:
    """Expected calibration error on unseen sources, with probabilities fitted on validation sources."""
    try:
        calibration = fit_calibration(validation, parts.validation.sources, seed=seed)
    except DatasetError:
        return None
    return measured(calibration, sample, parts.sample.sources, seed=seed).expected_calibration_error


def _clusters(
    representation: Representation, windows: WindowSet, threshold: float | None, seed: int, *, communities: bool
) -> dict[str, float]:
    """Adjusted Rand index with the organisations, at a threshold chosen without labels and at the best threshold."""
    truth = windows.labels if windows.labels is not None else np.zeros(len(windows))

    def ari(labels: np.ndarray) -> float:
        return partition_scores(truth, labels, sources=windows.sources)["ari"]

    found: dict[str, float] = {}
    similarity = representation.similarity
    if threshold is not None:
        found |= {"threshold": threshold, "ari": ari(correlation_clusters(similarity, threshold, seed).labels)}
    found["ari_best"] = max(ari(clustered.labels) for clustered in sweep_clusterings(similarity, seed))
    if communities and representation.vectors is not None:
        vectors = reduced(representation.vectors, seed)
        found["ari_leiden"] = max(ari(labels) for labels in leiden(vectors, seed))
        found["ari_hdbscan"] = max(ari(labels) for labels in hdbscan(vectors))
    return found


def value_of(cell: Mapping[str, Any], name: str) -> float | None:
    """A metric of a cell, with or without an interval; None if it is missing."""
    figure = cell["figures"].get(name)
    value: float | None = figure["value"] if isinstance(figure, Mapping) else figure
    return value
