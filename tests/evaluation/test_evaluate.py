"""The evaluation from flow records to metrics.json, on a simulated telescope and on hand-counted cases."""

import json
import shutil
from itertools import product
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import roc_auc_score

from telescope_transformer.calibration import FEWEST_SOURCES
from telescope_transformer.errors import CheckpointError, DatasetError, InputError
from telescope_transformer.evaluation.actors import evaluate_actors
from telescope_transformer.evaluation.clustering import (
    COUNTS,
    ENTROPIES,
    PROVED_WINDOWS,
    SWEEP_POINTS,
    Clustered,
    Truth,
    balanced_threshold,
    correlation_clusters,
    proved,
    score_clusterings,
    sweep_clusterings,
    sweep_thresholds,
)
from telescope_transformer.evaluation.inputs import read_windows
from telescope_transformer.evaluation.measure import EvaluationSuite
from telescope_transformer.evaluation.model_arguments import ModelArgument, model_argument
from telescope_transformer.evaluation.protocol import PARTS, Split, make_split, with_test_windows
from telescope_transformer.evaluation.representation import Representation
from telescope_transformer.evaluation.settings import EvaluationSettings
from telescope_transformer.evaluation.summary import Run, average, differences, summarise
from telescope_transformer.evaluation.tables import CLUSTER_NOTE, HEADINGS
from telescope_transformer.evaluation.targets import large_organisations, pair_targets, rows_with_neighbours
from telescope_transformer.evaluation.windows import WindowSet
from telescope_transformer.evaluation.within import evaluate, write
from telescope_transformer.learning.adapt import AdaptSettings
from telescope_transformer.metrics.bootstrap import percentile_interval, source_multiplicities
from telescope_transformer.model import FlowTokenizer, TelescopeConfig, TelescopeForContrastiveLearning
from telescope_transformer.records.addresses import network_of
from telescope_transformer.simulation import SimulationSettings, simulate, write_simulation
from telescope_transformer.windows import cut_windows

LENGTH = 4
DAY = 86_400_000_000
SETTINGS = SimulationSettings(sources=80, records_per_source=40.0)
CLUSTER_FIGURES = {
    *(f"{edges}_{figure}" for edges in ("join", "cut") for figure in ("precision", "recall", "f1")),
    *("ari", "v_measure", "variation_of_information", "n_clusters", "cost", "gap"),
}
PROOF = ("cost", "lower_bound", "gap")


def simulated() -> pa.Table:
    return simulate(SETTINGS.sources, records_per_source=SETTINGS.records_per_source)


@pytest.fixture(scope="module")
def windows() -> pa.Table:
    return cut_windows(simulated(), window=LENGTH, min_records=LENGTH)


@pytest.fixture(scope="module")
def split(windows: pa.Table) -> Split:
    return make_split(windows, LENGTH)


def window(source: str, start: int, sensor: int, port: int, label: str | None = None) -> dict:
    """A window of four records, a second apart."""
    times = [start + 1_000_000 * record for record in range(LENGTH)]
    fields = {"timestamp": times, "dst_ip": [sensor] * LENGTH, "dst_port": [port] * LENGTH, "protocol": [6] * LENGTH}
    return {"source": source, "start": start, "end": times[-1], "n_records": LENGTH, **fields, "label": label}


def window_set(rows: list[dict]) -> WindowSet:
    return WindowSet(pa.Table.from_pylist(rows))


def test_targets_choose_their_pairs() -> None:
    found = pair_targets(
        window_set(
            [
                window("192.0.2.1", 0, 1, 22, "a"),
                window("192.0.2.1", 2 * DAY, 2, 23, "a"),
                window("192.0.2.9", 0, 1, 22, "a"),
                window("203.0.113.5", 0, 1, 23, "b"),
            ]
        )
    )
    chosen = {name: target.chosen.tolist() for name, target in found.items()}
    # The pairs are 01, 02, 03, 12, 13, 23.
    assert chosen["same_source"] == [True] * 6
    assert chosen["hard"] == [False, True, False, False, True, False]
    assert chosen["day_apart"] == [True, False, False, True, True, False]
    assert chosen["no_common_sensor"] == [True, False, False, True, True, False]
    assert chosen["prefix"] == chosen["organisation"] == [False, True, True, True, True, True]
    assert found["prefix"].positive[1:].tolist() == [True, False, True, False, False]
    assert chosen["organisation_other_prefix"] == [False, False, True, False, True, True]


def test_all_labelled_windows_vote_and_large_organisations_are_averaged() -> None:
    labels = [*"aaaabbb", "alone", None]
    rows = [window(f"192.0.2.{n}", n, 1, 22, label) for n, label in enumerate(labels)]
    assert rows_with_neighbours(window_set(rows), 5).tolist() == list(range(8))
    assert not len(rows_with_neighbours(window_set(rows[:4]), 5))
    assert large_organisations(window_set(rows)).tolist() == ["a"]


def test_splits_keep_sources_apart_and_draw_few_windows(split: Split) -> None:
    sources = {name: set(split.part(name).source_names) for name in PARTS}
    assert not sources["train"] & (sources["validation"] | sources["unseen_sources"])
    assert not sources["validation"] & sources["unseen_sources"]
    assert sources["unseen_sequences"] <= sources["train"]
    for name in PARTS[1:]:
        counts = np.bincount(split.part(name).sources)
        assert counts.min() >= 2
        assert counts.max() <= 4
    assert {split.part(name).length for name in PARTS} == {LENGTH}


@pytest.mark.parametrize("hold_out", ["prefix", "organisation"])
def test_held_out_units_are_whole(windows: pa.Table, hold_out: str) -> None:
    split = make_split(windows, LENGTH, seed=1, hold_out=hold_out)
    units = {
        name: {network_of(source) for source in split.part(name).source_names}
        if hold_out == "prefix"
        else set(split.part(name).labels) - {""}
        for name in ("train", "unseen_sources")
    }
    assert not units["train"] & units["unseen_sources"]


def test_test_data_exclude_sources_seen_in_training(windows: pa.Table, split: Split) -> None:
    changed = with_test_windows(split, windows, LENGTH)
    seen = {*split.train.source_names, *split.validation.source_names}
    assert not seen & set(changed.unseen_sources.source_names)
    assert len(changed.unseen_sources.source_names) >= len(split.unseen_sources.source_names)


def test_windows_of_several_lengths_are_refused(windows: pa.Table) -> None:
    with pytest.raises(DatasetError, match="one length"):
        WindowSet(pa.concat_tables([windows, cut_windows(simulated(), window=8)]))
    with pytest.raises(DatasetError, match="not by 'colour'"):
        make_split(windows, LENGTH, hold_out="colour")
    with pytest.raises(DatasetError, match="each needs two"):
        make_split(windows.slice(0, 9), LENGTH)


def test_figures_equal_scikit_learn(split: Split, rng: np.random.Generator) -> None:
    questions = EvaluationSuite(split.unseen_sources, replicates=3)
    vectors = rng.normal(size=(len(split.unseen_sources), 3))
    representation = Representation.of_vectors(vectors)
    figures = questions.answer(representation.similarity)
    upper = np.triu_indices(len(vectors), 1)
    for name, target in questions.targets.items():
        scores = representation.similarity[upper][target.chosen]
        positive = target.positive[target.chosen]
        if positive.any():
            assert figures[name]["auroc"][0] == pytest.approx(roc_auc_score(positive, scores))
    sources = split.unseen_sources.sources
    per_source = []
    for source in np.unique(sources):
        mine = [np.isin(sources[side], source) for side in upper]
        chosen = mine[0] | mine[1]
        per_source.append(roc_auc_score((mine[0] & mine[1])[chosen], representation.similarity[upper][chosen]))
    assert figures["same_source"]["macro_auroc"][0] == pytest.approx(np.mean(per_source))
    with pytest.raises(InputError, match="does not fit"):
        questions.answer(np.eye(2))


def test_the_balanced_threshold_lies_between_the_pairs() -> None:
    similarity = np.array([[1, 0.9, 0.2], [0.9, 1, 0.3], [0.2, 0.3, 1]])
    assert balanced_threshold(similarity, np.array([0, 0, 1])) == pytest.approx(0.6)
    with pytest.raises(DatasetError, match="of one source and of different sources"):
        balanced_threshold(similarity, np.arange(3))


def test_large_instances_get_no_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    similarity = np.array([[1, 0.9, 0.2], [0.9, 1, 0.6], [0.2, 0.6, 1]])
    found = correlation_clusters(similarity, 0.5, 0)
    assert proved(found, similarity, 0).facts == pytest.approx(
        {"threshold": 0.5, "cost": 0.1, "lower_bound": 0.1, "gap": 0.0}, abs=1e-6
    )
    assert f"more than {PROVED_WINDOWS} windows" in CLUSTER_NOTE
    assert f"at least {FEWEST_SOURCES} validation sources" in CLUSTER_NOTE
    monkeypatch.setattr("telescope_transformer.evaluation.clustering.PROVED_WINDOWS", 2)
    assert np.isnan(proved(found, similarity, 0).facts["gap"])


def test_the_sweep_clusters_at_each_of_its_thresholds_and_tells_the_cost(rng: np.random.Generator) -> None:
    similarity = Representation.of_vectors(rng.normal(size=(24, 3))).similarity
    thresholds = sweep_thresholds(similarity)
    assert (np.diff(thresholds) > 0).all()
    for threshold, found in zip(thresholds, sweep_clusterings(similarity, 5), strict=True):
        weights = np.triu(similarity - threshold, 1)
        together = found.labels[:, None] == found.labels
        cut, joined = np.maximum(weights, 0)[~together].sum(), np.maximum(-weights, 0)[together].sum()
        assert found.facts["threshold"] == threshold
        assert found.facts["cost"] == pytest.approx(cut + joined, abs=1e-4)


def test_intervals_of_clusterings_cover_them_and_counts_have_none(rng: np.random.Generator) -> None:
    sources = np.repeat(np.arange(60), 4)
    operators = sources // 10
    labels = np.where(rng.random(240) < 0.8, sources, rng.integers(0, 60, 240))
    drawn = np.vstack([np.ones(60), source_multiplicities(60, 200)])
    for classes, have_none in ((sources, COUNTS | ENTROPIES), (operators, COUNTS)):
        truth = Truth(np.arange(240), classes, sources)
        found = iter([("whole", Clustered(labels, {})), ("sweep_00", Clustered(labels, {}))])
        figures = score_clusterings(found, truth, drawn, lambda best: best)[0]["whole"]
        for name, values in figures.items():
            low, high = percentile_interval(values[1:])
            assert np.isnan(low) == (name in have_none), name
            assert name in COUNTS | ENTROPIES or low <= values[0] <= high, name


def test_means_over_splits_skip_what_is_not_defined() -> None:
    def run(method: str, split: int, values: list[float]) -> Run:
        return Run(method, "unseen_sources", split, {"hard": {"auroc": np.array(values)}})

    nan = float("nan")
    runs = [run("m", 0, [0.8, 0.7, 0.9]), run("m", 0, [0.6, 0.5, 0.7]), run("m", 1, [nan, nan, nan])]
    averages = average([*runs, run("b", 0, [0.5, 0.5, 0.5]), run("b", 1, [nan, nan, nan])])
    figure = summarise(averages, {"m": ("M", "model"), "b": ("B", "baseline")})["m"]["parts"]["unseen_sources"]
    assert figure["hard"]["auroc"]["mean"] == pytest.approx(0.7)
    assert figure["hard"]["auroc"]["splits"] == {"0": pytest.approx(0.7), "1": None}
    ahead = differences(averages, ["m"], {"hard": ("auroc",)})["m"]["b"]["unseen_sources"]["hard"]["auroc"]
    assert ahead["mean"] == pytest.approx(0.2)
    assert ahead["low"] == pytest.approx(0.105)


def test_model_arguments() -> None:
    assert model_argument("deep@2=runs/a") == ModelArgument("deep", 2, "runs/a")
    assert model_argument("runs/a") == ModelArgument("a", None, "runs/a")
    assert model_argument("shipped") == ModelArgument("model", None, None)
    with pytest.raises(InputError, match="must be a number, not 'x'"):
        model_argument("deep@x=runs")


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    config = TelescopeConfig(hidden_size=16, num_hidden_layers=1, intermediate_size=16, projection_size=8)
    TelescopeForContrastiveLearning(config).save_pretrained(folder)
    FlowTokenizer().save_pretrained(folder)
    return folder


def test_the_program_writes_figures_tables_and_pictures(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("telescope_transformer.evaluation.clustering.BOUND_SECONDS", 0.2)
    flows, output = tmp_path / "flows.parquet", tmp_path / "out"
    write_simulation(flows, SETTINGS)
    settings = EvaluationSettings(
        models=[ModelArgument("tiny", None, str(tiny_model))],
        methods=["tfidf_with_timing"],
        window=LENGTH,
        splits=[0],
        replicates=5,
        name="simulated",
    )
    write(output, *evaluate([flows], settings))
    metrics = json.loads((output / "metrics.json").read_text())
    parts = metrics["methods"]["length_only"]["parts"]
    assert all(parts[part]["same_source"]["auroc"]["mean"] == 0.5 for part in parts)
    assert set(metrics["methods"]) == {"length_only", "time_of_day", "sensor_only", "tfidf_with_timing", "tiny"}
    timing = metrics["methods"]["tfidf_with_timing"]["parts"]["unseen_sources"]
    assert timing["same_source"]["auroc"]["low"] <= timing["same_source"]["auroc"]["mean"]
    assert timing["clusters_organisations_best"]["ari"]["mean"] > 0
    both = metrics["methods"]["tiny"]["parts"]
    for part, truth in product(both, ("organisations", "sources")):
        assert both[part][f"clusters_{truth}_balanced"].keys() >= CLUSTER_FIGURES
        assert len(metrics["curves"]["tiny"][part][truth]["join_recall"]) == SWEEP_POINTS
        for name in ("balanced", "best"):
            facts = {fact: both[part][f"clusters_{truth}_{name}"][fact]["mean"] for fact in PROOF}
            assert 0 <= facts["lower_bound"] <= facts["cost"]
            assert 0 <= facts["gap"] <= 1
    # Of 80 sources about eight are validation sources.
    assert "clusters_sources_calibrated" not in both["unseen_sources"]
    assert not any(group.startswith("clusters") for group in metrics["methods"]["length_only"]["parts"][part])
    assert metrics["differences"]["tiny"]["tfidf_with_timing"]["unseen_sources"]["same_source"]["auroc"]["mean"] < 0
    assert {row["dataset"] for row in metrics["results"]} == {f"simulated, windows of {LENGTH}"}
    tables = (output / "metrics.md").read_text()
    assert "| tiny |" in tables
    assert CLUSTER_NOTE in tables
    assert all(HEADINGS[name] in tables for name in HEADINGS if "clusters" in name)
    assert "| tiny - TF-IDF + sensor + timing |" in tables
    pictures = {path.name for path in (output / "plots").iterdir()}
    assert {"tiny_map.png", "tiny_similarities.png", "tiny_thresholds_organisations.png"} <= pictures
    shown = (output / "report.html").read_text()
    assert shown.count("data:image/png;base64,") == len(pictures)
    assert "at least 20 validation sources" in shown
    assert "http" not in shown
    written = "".join((output / name).read_text() for name in ("metrics.json", "metrics.md", "report.html"))
    assert not any(source in written for source in np.unique(simulated()["src_ip"].to_pylist()))


def test_a_damaged_model_is_found_before_the_inputs_are_read(tmp_path: Path, tiny_model: Path) -> None:
    model = shutil.copytree(tiny_model, tmp_path / "model")
    (model / "calibration.json").write_text("[]")
    models = [ModelArgument("damaged", None, str(model))]
    with pytest.raises(CheckpointError, match=r"calibration\.json"):
        evaluate([tmp_path / "absent.csv"], EvaluationSettings(models=models))
    with pytest.raises(CheckpointError, match=r"calibration\.json"):
        evaluate_actors(["200x30"], models, [0], tmp_path / "out", AdaptSettings())


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"methods": ["nonsense"]}, "unknown baseline 'nonsense'"),
        ({"hold_out": "colour"}, "not by 'colour'"),
        ({"window": 0}, "window must be at least 1, not 0"),
        ({"models": [ModelArgument("dante", None, None)]}, "'dante' is the name of a baseline"),
    ],
)
def test_wrong_settings_are_reported(options: dict, told: str) -> None:
    with pytest.raises(InputError, match=told):
        EvaluationSettings(**options)


def test_distinct_keeps_one_of_equal_records(tmp_path: Path) -> None:
    lines = ["timestamp,src_ip,dst_ip,protocol,src_port,dst_port"]
    for port in (23, 22, 23, 80, 22, 443):
        lines.append(f"1700000000,192.0.2.1,198.51.100.1,6,1024,{port}")
    (tmp_path / "flows.csv").write_text("\n".join(lines) + "\n")
    found = read_windows([tmp_path / "flows.csv"], 4, distinct=True)
    assert found["dst_port"].to_pylist() == [[22, 23, 80, 443]]


def test_files_without_flow_records_are_told(tmp_path: Path) -> None:
    (tmp_path / "flows.csv").write_text(
        "timestamp,src_ip,dst_ip,protocol,src_port,dst_port\nx,192.0.2.1,192.0.2.2,6,1,2\n"
    )
    with pytest.raises(InputError, match=r"no flow record was kept: .* rejected 1"):
        read_windows([tmp_path / "flows.csv"], 4)
