"""Clusters of sources against true actors, on simulated telescopes: `telescope evaluate --truth actor`.

Models are measured as `telescope analyze` uses them, without labels. The clusterers that they are compared with use
the setting that agrees best with the truth. The oracles are upper bounds.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.sparse import csr_array, hstack
from sklearn.decomposition import TruncatedSVD
from sklearn.preprocessing import normalize

from telescope_transformer.analysis import AnalysisSettings, LazyEmbedder, analyze
from telescope_transformer.errors import InputError
from telescope_transformer.evaluation.baselines.communities import DIMENSIONS, hdbscan, leiden, reduced
from telescope_transformer.evaluation.baselines.services import TIME_EDGES
from telescope_transformer.evaluation.cells import Cells, check_known, spread
from telescope_transformer.evaluation.clustering import sweep_clusterings
from telescope_transformer.evaluation.model_arguments import ModelArgument
from telescope_transformer.evaluation.oracle import behaviour_partition, oracle_partition
from telescope_transformer.evaluation.tables import lines
from telescope_transformer.hub import SHIPPED
from telescope_transformer.learning.adapt import AdaptSettings, adapt
from telescope_transformer.learning.arguments import read_recipe
from telescope_transformer.metrics.clusters import cluster_scores
from telescope_transformer.metrics.pairs import cosine_matrix
from telescope_transformer.model_files import checkpoint_digest
from telescope_transformer.progress import progress_bar
from telescope_transformer.record_order import source_codes
from telescope_transformer.simulation import SimulationSettings, simulate
from telescope_transformer.windows import cut

SCHEMA = "telescope-actors/1"
# With more sources, a small machine's memory cannot hold several complete graphs.
MOST_DENSE = 5_000
ORACLE, BEHAVIOUR = "oracle", "oracle of behaviour and ports"
THRESHOLD, LEIDEN, HDBSCAN = "TF-IDF + timing, best threshold", "TF-IDF + Leiden", "TF-IDF + HDBSCAN"
FIGURES = ("ari", "join_f1", "n_clusters", "n_classes")
_SIZE = re.compile(r"(\d+)x(\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class Simulated:
    """A simulated telescope.

    Args:
        settings: settings of the simulation.
    """

    settings: SimulationSettings

    @cached_property
    def records(self) -> pa.Table:
        """Flow records with their actors as `label`."""
        return simulate(self.settings.sources, self.settings.seed, records_per_source=self.settings.records_per_source)

    @cached_property
    def unlabelled(self) -> pa.Table:
        """The records without labels, as a real telescope records them."""
        return self.records.drop_columns(["label"])

    @cached_property
    def truth(self) -> dict[str, str]:
        """Actor by source, of all sources with a record."""
        pairs = self.records.select(["src_ip", "label"]).group_by(["src_ip", "label"], use_threads=False).aggregate([])
        return dict(zip(pairs["src_ip"].to_pylist(), pairs["label"].to_pylist(), strict=True))


def parse_size(text: str) -> tuple[int, float]:
    """Parse a size such as 2000x90 into sources and records per source.

    Raises:
        InputError: if the text is not a size.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise InputError(f"{text!r} is not a size of a simulated telescope, such as 2000x90 (sources x records)")
    return int(match[1]), float(match[2])


def evaluate_actors(
    sizes: Sequence[str],
    models: Sequence[ModelArgument],
    seeds: Sequence[int],
    output: Path,
    settings: AdaptSettings,
    wanted: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """Measure models, baselines and the oracles on simulated telescopes, cell by cell.

    Args:
        sizes: sizes of telescopes such as 2000x90 (see `parse_size`).
        models: each is measured unchanged, adapted, and trained from scratch on the simulated telescope.
        seeds: seeds of the simulations.
        output: folder of the cells and of adapted checkpoints.
        settings: settings of the adaptation.
        wanted: names of methods to measure; empty means all.

    Returns:
        The cells.

    Raises:
        TelescopeError: if a size, a model or a recipe cannot be read.
    """
    parsed = {size: parse_size(size) for size in sizes}
    for model in models:
        LazyEmbedder(model.place).check()
    cells = Cells(output, SCHEMA)
    depends = _depends(models, output, settings)
    names = list(depends)
    check_known(wanted, names, "the evaluation", "method")
    names = [name for name in names if name in (wanted or names)]
    with progress_bar(total=len(sizes) * len(seeds) * len(names), unit="cell", description="simulated actors") as bar:
        for size, (sources, records) in parsed.items():
            for seed in seeds:
                simulated = Simulated(SimulationSettings(sources, seed, records))
                work = output / "models" / f"{size}_{seed}"
                methods = _methods(models, work, settings)
                for name in names:
                    bar.set_description(f"{size}, seed {seed}, {name}")
                    key = {"size": size, "seed": seed, "method": name}
                    cells.compute(key, partial(_measure, simulated, methods[name]), depends[name])
                    bar.update()
    return cells.all()


# The cluster of each source. A method returns one or several clusterings, and the best one is measured.
Clusters = Mapping[str, int]
Method = Callable[[Simulated], Iterator[Clusters]]


def _methods(models: Sequence[ModelArgument], work: Path, settings: AdaptSettings) -> dict[str, Method]:
    """The method of every row of the tables, by name and in order."""
    found = _baselines()
    for model in models:
        found |= _arms(model, work, settings)
    return found


def _depends(models: Sequence[ModelArgument], work: Path, settings: AdaptSettings) -> dict[str, dict[str, Any]]:
    """What the cells of each method depend on: nothing, or a model's weights and the settings of its adaptation."""
    found: dict[str, dict[str, Any]] = {name: {} for name in _baselines()}
    recipe = read_recipe(settings.recipe)
    for model in models:
        depends = {"weights": checkpoint_digest(model.place), "settings": settings, "recipe": recipe}
        found |= dict.fromkeys(_arms(model, work, settings), depends)
    return found


def _measure(simulated: Simulated, method: Method) -> dict[str, Any]:
    """Metrics of a method's best clustering, over the sources with a cluster, and over all sources."""
    best: dict[str, float] = {}
    for clusters in method(simulated):
        found = agreement(simulated.truth, clusters)
        if not best or found["ari_all"] > best["ari_all"]:
            best = found
    return {"figures": best}


def agreement(truth: Mapping[str, str], clusters: Clusters) -> dict[str, float]:
    """Agreement of clusters with actors.

    Args:
        truth: actor by source.
        clusters: cluster by source, for some sources. In `ari_all`, each other source is a singleton.

    Returns:
        `ari`, `join_f1`, `n_clusters` and `n_classes` over the sources with a cluster; `placed`, the share of these
        sources; and `ari_all`.
    """
    names = list(truth)
    actors = np.unique([truth[name] for name in names], return_inverse=True)[1]
    placed = np.array([name in clusters for name in names])
    labels = np.array([clusters.get(name, -1) for name in names], dtype=np.int64)
    labels[~placed] = labels.max(initial=-1) + 1 + np.arange(int((~placed).sum()))
    whole = cluster_scores(actors, labels)
    scores = cluster_scores(actors[placed], labels[placed]) if placed.any() else whole
    return {name: scores[name] for name in FIGURES} | {"ari_all": whole["ari"], "placed": float(placed.mean())}


def _arms(model: ModelArgument, work: Path, settings: AdaptSettings) -> dict[str, Method]:
    """Four methods of a model: unchanged, only centred, adapted from its weights, and trained from scratch."""
    return {
        model.name: partial(_analysed, model.place),
        f"{model.name}, centred": partial(_adapted, model, work / f"{model.name}-centred", settings, {"steps": 0}),
        f"{model.name}, adapted": partial(_adapted, model, work / model.name, settings, {}),
        f"{model.name}, from scratch": partial(
            _adapted, model, work / f"{model.name}-scratch", settings, {"from_scratch": True}
        ),
    }


def _adapted(
    model: ModelArgument, folder: Path, settings: AdaptSettings, changes: dict[str, Any], simulated: Simulated
) -> Iterator[Clusters]:
    seeded = replace(settings, seed=simulated.settings.seed, **changes)
    windows = cut(simulated.unlabelled, min_records=1)
    adapt(windows, model.place, seeded, folder=folder / "run").save(folder)
    yield from _analysed(str(folder), simulated)


def _analysed(place: str | None, simulated: Simulated) -> Iterator[Clusters]:
    """Clusters as `telescope analyze` finds them."""
    # A model that is given by name is used without adaptation.
    settings = AnalysisSettings(model=place or SHIPPED, seed=simulated.settings.seed)
    analysis = analyze(simulated.unlabelled, settings)
    clusters = analysis.sources
    yield dict(zip(clusters["source"].to_pylist(), clusters["cluster"].to_pylist(), strict=True))


def _baselines() -> dict[str, Method]:
    return {
        ORACLE: _oracle,
        BEHAVIOUR: _behaviour,
        THRESHOLD: _threshold,
        LEIDEN: partial(_communities, leiden),
        HDBSCAN: _hdbscan,
    }


def _oracle(simulated: Simulated) -> Iterator[Clusters]:
    addresses, _, clusters = oracle_partition(simulated.settings)
    yield _of_recorded(simulated, addresses, clusters)


def _behaviour(simulated: Simulated) -> Iterator[Clusters]:
    yield _of_recorded(simulated, *behaviour_partition(simulated.settings))


def _of_recorded(simulated: Simulated, addresses: pa.Array, clusters: NDArray[np.int64]) -> Clusters:
    """The clusters of the sources that have records."""
    found = dict(zip(addresses.to_pylist(), clusters.tolist(), strict=True))
    return {source: found[source] for source in simulated.truth}


def _threshold(simulated: Simulated) -> Iterator[Clusters]:
    names, vectors = source_vectors(simulated.unlabelled)
    if len(names) > MOST_DENSE:
        return
    for clustered in sweep_clusterings(cosine_matrix(vectors), simulated.settings.seed):
        yield dict(zip(names, clustered.labels.tolist(), strict=True))


def _communities(
    find: Callable[[np.ndarray, int], Iterator[NDArray[np.int64]]], simulated: Simulated
) -> Iterator[Clusters]:
    names, vectors = source_vectors(simulated.unlabelled)
    for labels in find(reduced(vectors, simulated.settings.seed), simulated.settings.seed):
        yield dict(zip(names, labels.tolist(), strict=True))


def _hdbscan(simulated: Simulated) -> Iterator[Clusters]:
    yield from _communities(lambda vectors, seed: hdbscan(vectors), simulated)


def source_vectors(records: pa.Table) -> tuple[list[str], NDArray[np.float32]]:
    """TF-IDF of services, and a histogram of inter-arrival times, of each source over all its records.

    Returns:
        Names of the sources, and their vectors (n, at most `DIMENSIONS`), reduced by singular value decomposition, of
        length 1.
    """
    codes, names = source_codes(records["src_ip"])
    order = np.lexsort((records["timestamp"].to_numpy(), codes))
    codes, times = codes[order], records["timestamp"].to_numpy()[order]
    services = records["protocol"].to_numpy().astype(np.int64) << 16 | records["dst_port"].to_numpy()
    terms = np.unique(services[order], return_inverse=True)[1]
    counts = _counts(codes, terms, len(names))
    documents = np.asarray((counts > 0).sum(axis=0)).ravel()
    inverse = np.log((1 + len(names)) / (1 + documents)) + 1
    within = codes[1:] == codes[:-1]
    bins = np.digitize(np.diff(times)[within] / 1e6, TIME_EDGES)
    timing = _counts(codes[1:][within], bins, len(names), len(TIME_EDGES) + 1)
    parts = [normalize(counts.multiply(inverse[None, :]).tocsr()), normalize(timing)]
    wide = hstack(parts, format="csr")
    if min(wide.shape) > DIMENSIONS:
        return names.to_pylist(), reduced(TruncatedSVD(DIMENSIONS, random_state=0).fit_transform(wide), 0)
    return names.to_pylist(), reduced(wide.toarray(), 0)


def _counts(rows: np.ndarray, columns: np.ndarray, n_rows: int, n_columns: int | None = None) -> csr_array:
    width = int(columns.max(initial=0)) + 1 if n_columns is None else n_columns
    counts = csr_array((np.ones(len(rows), np.float32), (rows, columns)), shape=(n_rows, width))
    counts.sum_duplicates()
    return counts


def actor_tables(cells: Sequence[Mapping[str, Any]]) -> str:
    """Markdown: a table for each size, a row per method, means over seeds with their range."""
    text = ["# Clusters against simulated actors\n"]
    for size in dict.fromkeys(cell["size"] for cell in cells):
        of_size = [cell for cell in cells if cell["size"] == size]
        seeds = sorted({cell["seed"] for cell in of_size})
        rows = [["method", "ARI, all sources", "ARI, placed", "pair F1", "placed", "clusters", "processor seconds"]]
        names = {cell["method"] for cell in of_size}
        for method in [*(name for name in _baselines() if name in names), *sorted(names - _baselines().keys())]:
            own = [cell for cell in of_size if cell["method"] == method and cell["figures"]]
            if own:
                figures = [
                    spread(cell["figures"][name] for cell in own) for name in ("ari_all", "ari", "join_f1", "placed")
                ]
                means = [np.mean([cell["figures"]["n_clusters"] for cell in own])]
                means.append(np.mean([cell["processor_seconds"] for cell in own]))
                rows.append([method, *figures, *(f"{mean:.0f}" for mean in means)])
        text.append(f"## {size} records a source, seeds {', '.join(map(str, seeds))}\n\n{lines(rows)}\n")
    text.append(
        "A model is measured without labels, as `telescope analyze` uses it. TF-IDF with a threshold, Leiden and\n"
        "HDBSCAN use the setting that agrees best with the truth. The oracle knows what the generator drew. The\n"
        "oracle of behaviour and ports takes all actors that share both for one actor. Sources without a cluster are\n"
        "clusters of one in the first column and left out of the others.\n"
    )
    return "\n".join(text)
