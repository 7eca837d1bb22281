"""Clusters compared with simulated actors: the oracle, the baselines, and a model as `analyze` uses it."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from telescope_transformer.cli.main import app
from telescope_transformer.errors import InputError
from telescope_transformer.evaluation import actors
from telescope_transformer.evaluation.actors import (
    BEHAVIOUR,
    HDBSCAN,
    LEIDEN,
    ORACLE,
    THRESHOLD,
    Simulated,
    actor_tables,
    agreement,
    evaluate_actors,
    parse_size,
)
from telescope_transformer.evaluation.model_arguments import ModelArgument
from telescope_transformer.evaluation.oracle import behaviour_partition, oracle_partition
from telescope_transformer.learning.adapt import AdaptSettings
from telescope_transformer.metrics.clusters import partition_scores
from telescope_transformer.simulation import SimulationSettings


def test_the_oracle_is_right_except_for_indistinguishable_worms() -> None:
    addresses, truth, clusters = oracle_partition(SimulationSettings(3000, 3, 25.0))
    ari = partition_scores(truth, clusters)["ari"]
    assert 0.8 < ari < 1
    telescope = Simulated(SimulationSettings(3000, 3, 25.0))
    names = dict(zip(addresses.to_pylist(), truth.tolist(), strict=True))
    own = {(names[source], actor) for source, actor in telescope.truth.items()}
    assert len(own) == len({code for code, _ in own}) == len({actor for _, actor in own}), "actors are those simulated"
    wrong = {actor for (source, actor) in telescope.truth.items() if not actor.startswith("worm")}
    kinds = {source: telescope.truth[source] for source in telescope.truth if telescope.truth[source] in wrong}
    codes = dict(zip(addresses.to_pylist(), clusters.tolist(), strict=True))
    assert all(codes[source] == names[source] for source in kinds)


def test_actors_with_the_same_behaviour_and_ports_are_one_to_the_second_oracle() -> None:
    settings = SimulationSettings(500, 3, 25.0)
    addresses, truth, _ = oracle_partition(settings)
    same, clusters = behaviour_partition(settings)
    assert same == addresses
    kinds = {source: actor.split("-")[0] for source, actor in Simulated(settings).truth.items()}
    kind_of = {cluster: set() for cluster in clusters.tolist()}
    for source, cluster in zip(addresses.to_pylist(), clusters.tolist(), strict=True):
        kind_of[cluster] |= {kinds[source]} if source in kinds else set()
    assert all(len(found) <= 1 for found in kind_of.values())
    assert all(len(set(clusters[truth == actor].tolist())) == 1 for actor in np.unique(truth))
    assert len(np.unique(clusters)) < len(np.unique(truth))


def test_sources_without_a_cluster_are_alone() -> None:
    truth = {"a": "x", "b": "x", "c": "y", "d": "y"}
    found = agreement(truth, {"a": 0, "b": 0, "c": 1, "d": 1})
    assert found["ari"] == found["ari_all"] == found["placed"] == 1
    part = agreement(truth, {"a": 0, "b": 0})
    assert part["placed"] == 0.5
    assert part["ari_all"] == pytest.approx(agreement(truth, {"a": 0, "b": 0, "c": 1, "d": 2})["ari_all"])


def test_cells_of_methods_and_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def analysed(place: str | None, simulated: Simulated):  # type: ignore[no-untyped-def]
        calls.append(place)
        yield {source: number % 7 for number, source in enumerate(simulated.truth)}

    monkeypatch.setattr(actors, "_analysed", analysed)
    settings = AdaptSettings(min_sources=10_000, device_cpu=True)
    models = [ModelArgument("shipped", None, None)]
    cells = evaluate_actors(["150x30"], models, [0], tmp_path, settings)
    of = {cell["method"]: cell["figures"] for cell in cells}
    rows = {"shipped", "shipped, centred", "shipped, adapted", "shipped, from scratch"}
    assert set(of) == {ORACLE, BEHAVIOUR, THRESHOLD, LEIDEN, HDBSCAN} | rows
    assert of[ORACLE]["ari"] > 0.9
    assert 0.3 < of[THRESHOLD]["ari"] <= 1
    assert of["shipped"]["ari"] < 0.2
    assert calls[0] is None
    assert [Path(place).name for place in calls[1:]] == ["shipped-centred", "shipped", "shipped-scratch"]
    assert evaluate_actors(["150x30"], models, [0], tmp_path, settings) == cells
    assert len(calls) == 4, "cells are not computed again"
    text = actor_tables(cells)
    assert "## 150x30 records a source, seeds 0" in text
    assert "| oracle |" in text


def test_sizes() -> None:
    assert parse_size("2000x90") == (2000, 90.0)
    with pytest.raises(InputError, match="'many' is not a size"):
        parse_size("many")


def test_the_command_refuses_what_it_cannot_measure(tmp_path: Path) -> None:
    run = CliRunner().invoke
    result = run(app, ["evaluate", "100x9", "--truth", "label", "-o", str(tmp_path)])
    assert result.exit_code == 2
    assert "`actor`, not 'label'" in result.output
    result = run(app, ["evaluate", "a.yaml", "b.yaml", "--across", "-o", str(tmp_path)])
    assert result.exit_code == 2
    assert "takes one plan" in result.output
