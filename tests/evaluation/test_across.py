"""Evaluation across telescopes: plans, labels by date, splits by network, and cells that are not computed twice."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from telescope_transformer.errors import DatasetError, InputError
from telescope_transformer.evaluation.across import BLENDED, CLASSIFIER, TFIDF, evaluate_across, method_names
from telescope_transformer.evaluation.across_tables import across_tables
from telescope_transformer.evaluation.baselines import organisation_pairs
from telescope_transformer.evaluation.baselines.communities import hdbscan, leiden, reduced
from telescope_transformer.evaluation.baselines.pair_classifier import pair_classifier_elsewhere
from telescope_transformer.evaluation.baselines.pair_features import PairFeatures
from telescope_transformer.evaluation.cells import Cells, spread
from telescope_transformer.evaluation.plan import LabelFile, Plan, Telescope, Variant, read_plan
from telescope_transformer.evaluation.representation import Representation
from telescope_transformer.evaluation.telescopes import fingerprint, networks, split, windows_of
from telescope_transformer.evaluation.windows import WindowSet
from telescope_transformer.metrics.pairs import condensed
from telescope_transformer.records.addresses import network_of
from telescope_transformer.simulation import SimulationSettings, simulate, write_simulation
from telescope_transformer.windows import cut_windows

RECIPE = """
model: {hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 16, projection_size: 8}
steps: 4
batch_pairs: 32
min_records: 4
max_records: 8
save_every: 4
tracker: none
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two simulated telescopes, a recipe and a plan."""
    folder = tmp_path_factory.mktemp("data")
    for name, seed in (("a", 1), ("b", 2)):
        write_simulation(folder / f"{name}.parquet", SimulationSettings(400, seed, 30.0))
    recipe = folder / "recipe.yaml"
    recipe.write_text(RECIPE)
    telescopes = {name: {"inputs": [f"{name}.parquet"], "window": 4} for name in ("a", "b")}
    models = {"small": {"recipe": str(recipe), "adapt": str(recipe)}}
    (folder / "plan.yaml").write_text(json.dumps({"telescopes": telescopes, "models": models}))
    return folder


@pytest.fixture(scope="module")
def plan(data: Path) -> Plan:
    return read_plan(data / "plan.yaml")


def test_every_cell_is_measured_once_and_tables_come_from_the_cells(
    data: Path, plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(organisation_pairs, "CANDIDATE_PAIRS", 20_000)
    ceiling = "small, adapted, with labels of organisations"
    methods = [TFIDF, "small", "small, adapted", ceiling, f"small, adapted{BLENDED}"]
    cells = evaluate_across(plan, data, tmp_path, seeds=[0], only=["a"], methods=methods, cpu=True)
    cells.sort(key=lambda cell: methods.index(cell["method"]))
    assert [cell["method"] for cell in cells] == methods
    known, blended = cells[3]["figures"], cells[4]["figures"]
    for figures in (known, blended):
        assert "same_source" not in figures
        assert figures["organisation"]["value"] > cells[2]["figures"]["organisation"]["value"]
    for cell in cells[:3]:
        figures = cell["figures"]
        assert 0 <= figures["same_source"]["low"] <= figures["same_source"]["value"] <= 1
        assert {"organisation", "organisation_macro", "ari_best", "calibration_error"} <= figures.keys()
    assert cells[0]["figures"]["ari_leiden"] > 0
    assert cells[2]["facts"]["steps"] == 4
    assert cells[0]["figures"] != cells[1]["figures"] != cells[2]["figures"]
    written = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "cells").iterdir()}
    again = evaluate_across(plan, data, tmp_path, seeds=[0], only=["a"], methods=methods, cpu=True)
    assert sorted(again, key=lambda cell: methods.index(cell["method"])) == cells
    assert written == {path.name: path.stat().st_mtime_ns for path in (tmp_path / "cells").iterdir()}
    text = across_tables(cells, method_names(plan), ["a", "b"])
    assert "| small, adapted |" in text
    assert f"| {ceiling} |" in text
    assert "## b" not in text
    without_labels = {"telescope": "b", "seed": 0, "method": f"{TFIDF}{BLENDED}", "figures": {}}
    assert "## b" not in across_tables([without_labels, *cells], method_names(plan), ["a", "b"])
    counted = without_labels | {"method": TFIDF, "counts": {"sources": 7}}
    assert "7 unseen sources" in across_tables([without_labels, counted], method_names(plan), ["b"])
    sources = {source for name in "ab" for source in pq.read_table(data / f"{name}.parquet")["src_ip"].to_pylist()}
    kept = "".join(path.read_text() for path in tmp_path.rglob("*.json") if path.name != "tokenizer.json")
    assert not any(source in kept for source in sources)


def test_similarities_without_vectors_are_averaged_over_the_windows_of_two_sources() -> None:
    similarity = np.array([[9, 1, 2], [1, 9, 4], [2, 4, 9]], dtype=np.float32)
    blended = Representation(similarity).blended(np.array([7, 7, 3]))
    np.testing.assert_allclose(blended.similarity, [[5, 5, 3], [5, 5, 3], [3, 3, 9]])
    uneven = np.random.default_rng(0).random((60, 60), dtype=np.float32)
    blended = Representation(uneven + uneven.T).blended(np.arange(60) // 7)
    assert (blended.similarity == blended.similarity.T).all()


def test_unseen_sources_share_no_network_with_what_was_learned_from() -> None:
    windows = cut_windows(simulate(600, seed=1, records_per_source=30.0), min_records=1)
    some = {network_of(name) for name in windows["source"].to_pylist()[::7]}
    parts = split(windows, 4, seed=0, seen=some)
    learned = networks(parts.learning)
    for part in (parts.sample, parts.validation):
        unseen = {network_of(name) for name in part.source_names}
        assert not unseen & learned
        assert not unseen & some
    assert parts.labelled is not None
    assert (parts.labelled.labels != "").all()
    with pytest.raises(DatasetError, match=r"each part needs 20; .* other telescopes have their networks"):
        split(windows, 4, seed=0, seen=networks(windows))


def test_labels_come_from_the_lists_in_their_order(tmp_path: Path) -> None:
    first = [0xC0000200, 0xC0000210, 0xC0000200]
    ranges = {"first": first, "last": [0xC0000203, 0xC0000210, 0xC00002FF], "name": ["one", "two", "all"]}
    pq.write_table(pa.table(ranges | {"list": ["new", "new", "old"]}), tmp_path / "lists.parquet")
    lines = ["timestamp,src_ip,dst_ip,protocol,src_port,dst_port"]
    for host in (1, 16, 99):
        lines += [f"170000000{second},192.0.2.{host},198.51.100.1,6,1024,23" for second in range(3)]
    lines.append("1700000000,203.0.113.1,198.51.100.1,6,1024,23")
    (tmp_path / "flows.csv").write_text("\n".join(lines) + "\n")

    def labels(lists: list[str], cache: str) -> dict[str, str | None]:
        telescope = Telescope("t", ["flows.csv"], labels=LabelFile("lists.parquet", lists), most_records=2)
        windows = windows_of(telescope, tmp_path, tmp_path / cache)
        return dict(zip(windows["source"].to_pylist(), windows["label"].to_pylist(), strict=True))

    of_new = {"192.0.2.1": "one", "192.0.2.16": "two", "192.0.2.99": None, "203.0.113.1": None}
    assert labels(["new"], "x") == of_new
    assert labels(["new", "old"], "y") == of_new | {"192.0.2.99": "all"}
    assert labels(["old", "new"], "z") == dict.fromkeys(of_new, "all") | {"203.0.113.1": None}


def test_pair_features_have_the_same_columns_on_every_telescope() -> None:
    records = simulate(60, seed=1, records_per_source=30.0)
    bare = records.drop_columns(["src_port", "ttl"]).set_column(
        records.schema.get_field_index("dst_ip"), "dst_ip", pa.array(["198.18.0.1"] * records.num_rows)
    )
    rich, poor = (WindowSet(cut_windows(table, window=4, min_records=4)) for table in (records, bare))
    pairs = np.arange(5), np.arange(5, 10)
    full, part = (PairFeatures(windows, windows)(*pairs) for windows in (rich, poor))
    assert full.shape == part.shape
    missing = np.isnan(part).all(axis=0)
    assert 0 < missing.sum() < part.shape[1]
    assert not np.isnan(full).any()
    # A classifier trained on one telescope is applied to the other.
    represent = pair_classifier_elsewhere([rich, poor], poor, seed=0)
    assert np.isfinite(represent(poor).similarity).all()
    represent = pair_classifier_elsewhere([poor], rich, seed=0)
    assert np.isfinite(represent(rich).similarity).all()
    # One that learned where source ports are recorded does not rely on them where they are not.
    scores = condensed(pair_classifier_elsewhere([rich], poor, seed=0)(poor).similarity)
    assert len(np.unique(scores)) > 100


def test_pair_features_without_what_tells_hosts_apart() -> None:
    records = simulate(60, seed=1, records_per_source=30.0)
    shuffled = np.random.default_rng(0).permutation(records["src_port"].to_numpy())
    other = records.set_column(records.schema.get_field_index("src_port"), "src_port", pa.array(shuffled))
    windows, changed = (WindowSet(cut_windows(table, window=4, min_records=4)) for table in (records, other))
    pairs = np.arange(5), np.arange(5, 10)
    behaviour = PairFeatures(windows, windows, hosts=False)(*pairs)
    np.testing.assert_array_equal(behaviour, PairFeatures(changed, changed, hosts=False)(*pairs))
    assert not np.array_equal(PairFeatures(windows, windows)(*pairs), PairFeatures(changed, changed)(*pairs))
    assert np.isnan(behaviour[:, -1]).all()
    represent = pair_classifier_elsewhere([windows], windows, seed=0, hosts=False)
    assert np.isfinite(represent(windows).similarity).all()


def test_communities_find_separated_groups(rng: np.random.Generator) -> None:
    groups = np.repeat(np.arange(4), 30)
    vectors = reduced(np.eye(4)[groups] + 0.05 * rng.normal(size=(120, 4)), 0)
    for find in (leiden(vectors, 0), hdbscan(vectors)):
        best = max((len(set(zip(groups.tolist(), labels.tolist(), strict=True))), len(set(labels))) for labels in find)
        assert best >= (4, 4)
    assert all(np.array_equal(one, other) for one, other in zip(leiden(vectors, 7), leiden(vectors, 7), strict=True))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("- 1", "a plan has `telescopes` and `models`"),
        ("{telescopes: {}, models: {m: {}}}", "model m needs either a recipe or a checkpoint"),
        ("{telescopes: {t: {inputs: [x], colour: red}}, models: {}}", "colour"),
        ("{telescopes: {t: 1}, models: {}}", "plan.yaml: t must be a mapping"),
        ("{telescopes: [t], models: {}}", "plan.yaml: telescopes must be a mapping"),
        ("{telescopes: {t: {inputs: /flows.csv}}, models: {}}", "plan.yaml: telescope t: inputs must be a list"),
        ("{telescopes: {t: {inputs: [x], window: eight}}, models: {}}", "window must be a number of records"),
        ("{telescopes: {t: {inputs: [x], windows: 8}}, models: {}}", "telescope t: there is no option 'windows'"),
        ("{telescopes: {t: {window: 8}}, models: {}}", "telescope t: inputs is missing"),
        ("{telescopes: {t: {inputs: []}}, models: {}}", "telescope t: inputs names no file"),
        ("{telescopes: {t: {inputs: [x], learn: 'no'}}, models: {}}", "learn must be true or false, not 'no'"),
        ("{telescopes: {t: {inputs: [x], without: [u]}}, models: {}}", "without names 'u'; the plan has t"),
        ("{telescopes: {t: {inputs: [x]}, t: {inputs: [y]}}, models: {}}", "t occurs twice"),
        ("{telescopes: {2024: {inputs: [x]}}, models: {}}", "telescope 2024: a name must be a text"),
        ("{telescopes: {../t: {inputs: [x]}}, models: {}}", "telescope ../t: a name must be a text without /"),
        ("{telescopes: {t: {inputs: [x], labels: {file: l, list: [a]}}}, models: {}}", "labels: there is no option"),
        ("{telescopes: {}, models: {}}", "a plan needs at least one telescope"),
        ("{telescopes: {t: {inputs: [x]}}, models: {m: {checkpoint: 1}}}", "model m: checkpoint must be a text"),
        ("{telescopes: {t: {inputs: [x], labels: {file: l, lists: one}}}, models: {}}", "lists must be a list"),
        ("{", "cannot be read as YAML"),
    ],
)
def test_wrong_plans_are_refused(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "plan.yaml").write_text(text)
    with pytest.raises(InputError, match=told):
        read_plan(tmp_path / "plan.yaml")


def test_unknown_names_are_refused(data: Path, plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no telescope 'c'; it has a, b"):
        evaluate_across(plan, data, tmp_path, only=["c"])
    with pytest.raises(InputError, match="no method 'magic'"):
        evaluate_across(plan, data, tmp_path, methods=["magic"])


def test_two_methods_cannot_have_one_name(data: Path, tmp_path: Path) -> None:
    plan = Plan([Telescope("a", ["a.parquet"])], [Variant(TFIDF, checkpoint="shipped")])
    with pytest.raises(InputError, match="two methods of the plan have the name"):
        evaluate_across(plan, data, tmp_path)


def test_windows_and_cells_of_other_records_are_not_used_again(data: Path, tmp_path: Path) -> None:
    (tmp_path / "flows.parquet").write_bytes((data / "a.parquet").read_bytes())
    telescope = Telescope("t", ["flows.parquet"], window=4)
    whole = windows_of(telescope, tmp_path, tmp_path / "cache").num_rows
    distinct = Telescope("t", ["flows.parquet"], window=4, distinct=True)
    assert fingerprint(distinct, tmp_path) != fingerprint(telescope, tmp_path)
    # The length of the compared windows does not change the windows that are read.
    assert fingerprint(Telescope("t", ["flows.parquet"]), tmp_path) == fingerprint(telescope, tmp_path)
    first = evaluate_across(Plan([telescope], []), tmp_path, tmp_path / "out", seeds=[0], methods=[TFIDF])
    (tmp_path / "flows.parquet").write_bytes((data / "b.parquet").read_bytes())
    assert windows_of(telescope, tmp_path, tmp_path / "cache").num_rows != whole
    second = evaluate_across(Plan([telescope], []), tmp_path, tmp_path / "out", seeds=[0], methods=[TFIDF])
    assert len(second) == 1
    assert second[0]["figures"] != first[0]["figures"]


def test_what_cannot_be_measured_does_not_stop_the_rest(data: Path, plan: Plan, tmp_path: Path) -> None:
    alone = Plan(plan.telescopes[:1], plan.variants)
    methods = [TFIDF, CLASSIFIER, "small"]
    cells = evaluate_across(alone, data, tmp_path, seeds=[0], methods=methods, cpu=True)
    text = across_tables(cells, method_names(alone), ["a"])
    assert f"| {TFIDF} |" in text
    assert "small, not measured: the plan has no other telescope to learn from." in text
    assert f"{CLASSIFIER}, not measured: the plan has no other telescope to learn from." in text


def test_a_telescope_is_shown_with_the_seeds_that_could_be_measured() -> None:
    figures = {"same_source": {"value": 0.9, "low": 0.8, "high": 0.95}}
    cell = {"telescope": "t", "method": TFIDF, "figures": figures}
    cells = [cell | {"seed": 0, "counts": {"sources": 20}}, cell | {"seed": 2, "counts": {"sources": 23}}]
    cells.append({"telescope": "t", "method": TFIDF, "seed": 1, "figures": {}, "skipped": "too few"})
    facts = {"adapted": False, "reason": "3 sources have 8 records or more; 40 are needed"}
    cells.append(cell | {"method": "m, adapted", "seed": 0, "counts": {"sources": 20}, "facts": facts})
    text = across_tables(cells, [TFIDF, "m, adapted"], ["t"])
    assert "20 to 23 unseen sources; seeds 0, 2." in text
    assert "Not measured with seed 1: too few." in text
    assert "m, adapted, only centred: 3 sources have 8 records or more; 40 are needed." in text


def test_a_model_from_scratch_is_not_replaced_by_the_shipped_one(data: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE.replace("min_records: 4\nmax_records: 8", "min_records: 64\nmax_records: 64"))
    plan = Plan([Telescope("a", ["a.parquet"], window=4)], [Variant("m", str(recipe), checkpoint="shipped")])
    cells = evaluate_across(plan, data, tmp_path, seeds=[0], methods=["m, from scratch"], cpu=True)
    assert cells[0]["figures"] == {}
    assert "have 128 records or more; 40 are needed" in cells[0]["reason"]


def test_labels_of_unknown_lists_are_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"first": [1], "last": [2], "name": ["x"], "list": ["new"]}), tmp_path / "lists.parquet")
    (tmp_path / "flows.csv").write_text("timestamp,src_ip,dst_port,protocol\n1700000000,192.0.2.1,23,6\n")
    for file, lists, told in (("lists.parquet", ["newer"], "no list 'newer'; it has new"), ("none", ["new"], "none")):
        telescope = Telescope("t", ["flows.csv"], labels=LabelFile(file, lists))
        with pytest.raises(InputError, match=told):
            windows_of(telescope, tmp_path, tmp_path / "cache")


def test_cells_of_other_settings_are_computed_again(tmp_path: Path) -> None:
    calls = []

    def measure() -> dict[str, float]:
        calls.append(1)
        return {"value": np.float64(1 / 3), "missing": float("nan")}

    cells = Cells(tmp_path, "s/1")
    assert cells.compute({"name": "x"}, measure, {"a": 1})["value"] == 0.33333
    assert cells.compute({"name": "x"}, measure, {"a": 1})["missing"] is None
    assert len(calls) == 1
    cells.compute({"name": "x"}, measure, {"a": 2})
    assert len(calls) == 2
    assert len(cells.all()) == 1
    assert Cells(tmp_path, "other/1").all() == []
    (tmp_path / "cells" / "x.json").write_text("{")
    with pytest.raises(InputError, match="not a cell"):
        cells.all()


def test_the_shipped_plan_is_read() -> None:
    plan = read_plan(Path(__file__).resolve().parents[2] / "training" / "across.yaml")
    assert {other.name for other in plan.others(plan.telescopes[0])} == {"scanners-2024", "honeypots-2017"}


def test_means_are_told_with_their_range() -> None:
    assert spread([0.5, 0.7]) == ".600 (.500 to .700)"
    assert spread([0.25]) == ".250"
    assert spread([None]) == ""


def test_telescopes_that_share_sources_are_not_used_for_training() -> None:
    plan = read_plan(Path(__file__).resolve().parents[2] / "training" / "across.yaml")
    by_name = {telescope.name: telescope for telescope in plan.telescopes}
    assert {other.name for other in plan.others(by_name["scanners-2023"])} == {"honeypots-2013", "honeypots-2017"}
