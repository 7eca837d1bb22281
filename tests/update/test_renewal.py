"""Threshold and model of a running analysis: chosen at its start, and renewed when they no longer fit."""

import copy
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from made_days import day_records, port_shares, read, write_days

from telescope_transformer import model_files
from telescope_transformer.analysis import AnalysisSettings
from telescope_transformer.calibration import Calibration
from telescope_transformer.correlation_clustering.graph import DenseGraph
from telescope_transformer.embedding import embed_windows
from telescope_transformer.errors import StateError
from telescope_transformer.hub import SHIPPED_CHECKPOINT
from telescope_transformer.learning import adapt as learning
from telescope_transformer.model import TelescopeForContrastiveLearning, WindowEncoder
from telescope_transformer.similarity import embedding_matrix
from telescope_transformer.update import State, certificate, model, renewal, update
from telescope_transformer.update.summary import summarise
from telescope_transformer.windows import cut_windows

SETTINGS = AnalysisSettings(window=16, min_records=8)
KNOTS = [(-1.0, 0.0), (1.0, 1.0)]


@pytest.fixture
def days(tmp_path: Path) -> list[Path]:
    return write_days(tmp_path, 6)


def thresholds(state: State) -> float:
    return (state.settings() or {})["threshold"]


def members(state: State) -> dict[int, int]:
    rows = state.query("SELECT window_id, cluster FROM windows WHERE cluster IS NOT NULL")
    return dict(zip(rows["window_id"].to_pylist(), rows["cluster"].to_pylist(), strict=True))


@pytest.mark.parametrize(("slope", "is_renewed"), [(4.0, False), (50.0, False), (2.0, True)])
def test_a_model_that_tells_sources_apart_worse_is_renewed(
    slope: float, is_renewed: bool, days: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = {"slope": 5.0}
    monkeypatch.setattr(renewal, "calibration_for", lambda *_: Calibration(KNOTS, now["slope"], 0.6))
    said: list[str] = []
    with State(tmp_path / "state.duckdb") as state:
        update(state, days[:1], read, SETTINGS, embedder=port_shares)
        now["slope"] = slope
        update(state, days[1:], read, SETTINGS, embedder=port_shares, say=said.append)
        settings, proved = state.settings(), certificate.current(state)
        rows = state.query("SELECT cluster, embedding FROM windows WHERE cluster IS NOT NULL ORDER BY window_id")
    assert any("clustering all windows anew" in line for line in said) == is_renewed
    # Either way, the new calibration holds.
    assert settings["scale"] == settings["calibration"]["slope"] == slope
    vectors = embedding_matrix(rows).astype(np.float64)
    labels = np.unique(rows["cluster"].to_numpy(), return_inverse=True)[1]
    assert proved.cost == pytest.approx(slope * DenseGraph(vectors @ vectors.T, 0.6).cost(labels), rel=1e-3)


def test_a_threshold_that_drifted_is_renewed_and_clusters_keep_their_ids(
    days: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = {"threshold": 0.9}
    monkeypatch.setattr(renewal, "calibration_for", lambda *_: Calibration(KNOTS, 5.0, now["threshold"]))
    said: list[str] = []
    with State(tmp_path / "state.duckdb") as state:
        update(state, days[:1], read, SETTINGS, embedder=port_shares)
        now["threshold"] = 0.85
        update(state, days[1:3], read, SETTINGS, embedder=port_shares, say=said.append)
        assert thresholds(state) == 0.9
        assert json.loads(state.setting("checked"))["windows"] > 0
        before = members(state)
        now["threshold"] = 0.6
        update(state, days[3:], read, SETTINGS, embedder=port_shares, say=said.append)
        assert thresholds(state) == 0.6
        assert sum("clustering all windows anew" in line for line in said) == 1
        after = members(state)
        common = before.keys() & after.keys()
        assert sum(before[one] == after[one] for one in common) > 0.5 * len(common)
        # Sums, cost and bound follow the new threshold.
        rows = state.query("SELECT window_id, cluster, embedding FROM windows WHERE cluster IS NOT NULL")
        vectors, labels = embedding_matrix(rows).astype(np.float64), rows["cluster"].to_numpy()
        groups = state.clusters()
        for place, one in enumerate(groups.ids):
            assert np.allclose(groups.sums[place], vectors[labels == one].sum(axis=0), atol=1e-5)
        cost = 5.0 * DenseGraph(vectors @ vectors.T, 0.6).cost(np.unique(labels, return_inverse=True)[1])
        proved = certificate.current(state)
        assert proved.cost == pytest.approx(cost, rel=1e-5, abs=1e-4)
        assert 0 <= proved.lower_bound <= proved.cost + 1e-9
        assert proved.windows == len(vectors)


def test_a_threshold_of_the_users_own_stays(days: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = {"threshold": 0.9}
    monkeypatch.setattr(renewal, "calibration_for", lambda *_: Calibration(KNOTS, 5.0, now["threshold"]))
    settings = AnalysisSettings(window=16, min_records=8, threshold=0.7)
    with State(tmp_path / "state.duckdb") as state:
        update(state, days[:1], read, settings, embedder=port_shares)
        now["threshold"] = 0.5
        update(state, days[1:], read, settings, embedder=port_shares)
        assert thresholds(state) == 0.7


def check_embedded_with(state: State, network: TelescopeForContrastiveLearning, encoder: WindowEncoder) -> None:
    """Assert that the closed windows of a state have the embeddings of this model."""
    rows = state.query(
        "SELECT window_id, coalesce(unblended, embedding) AS embedding FROM windows "
        "WHERE cluster IS NOT NULL AND NOT open ORDER BY window_id"
    )
    windows = renewal.windows_of(state, rows["window_id"].to_numpy())
    expected = embed_windows(network, encoder, windows.to_table(), progress=False)
    assert np.allclose(embedding_matrix(rows), expected, atol=1e-5)


def other_model() -> tuple:
    """The shipped model with other weights, and its tokenizer."""
    loaded, tokenizer = model_files.load_model(None)
    other = copy.deepcopy(loaded)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weights in other.parameters():
            weights += 0.1 * torch.randn(weights.shape, generator=generator)
    return other, tokenizer


def test_with_few_windows_the_calibration_is_that_of_the_adapted_model(
    days: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not that of the shipped model, whose cosines mean something else."""
    other, _ = other_model()
    own = Calibration(KNOTS, 3.0, 0.65)

    def adapt(windows, *, settings, calibrated, say):
        facts = {"adapted": False, "centred": True, "hold_out": 0.1, "seed": 0}
        assert not calibrated
        return learning.Adaptation(other, SHIPPED_CHECKPOINT, facts, pa.array([], pa.string()))

    monkeypatch.setattr(learning, "adapt", adapt)
    monkeypatch.setattr(model, "calibrate_telescope", lambda *_, **options: own)
    with State(tmp_path / "state.duckdb") as state:
        update(state, days[:1], read, SETTINGS)
        assert (state.settings()["threshold"], state.settings()["scale"]) == (0.65, 3.0)


def test_a_model_that_can_only_be_centred_is_centred_again_when_the_windows_have_doubled(
    days: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small first day would otherwise fix the model, the threshold and the scale for ever."""
    first, encoder = other_model()
    second = copy.deepcopy(first)
    with torch.no_grad():
        second.head.output.weight *= -1
    told = []

    def adapt(windows, *, settings, calibrated, say):
        told.append(len(windows))
        # The same facts, as with further windows of the same sources.
        facts = {"adapted": False, "centred": True, "hold_out": 0.1, "seed": 0}
        return learning.Adaptation(
            (first, second)[len(told) > 1], SHIPPED_CHECKPOINT, facts, pa.array([], pa.string())
        )

    monkeypatch.setattr(learning, "adapt", adapt)
    monkeypatch.setattr(renewal, "calibration_for", lambda *_: Calibration(KNOTS, 5.0, 0.6))
    settings = AnalysisSettings(window=16, min_records=8, adapt=False)
    with State(tmp_path / "state.duckdb") as state:
        update(state, days[:1], read, settings)
        assert len(told) == 1
        update(state, days[1:4], read, settings)
        assert len(told) == 2
        assert told[1] > told[0]
        check_embedded_with(state, second, encoder)


def test_an_adapted_model_is_stored_in_the_state_and_embeds_later_windows(
    days: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, tokenizer = other_model()
    told = []

    def adapt(windows, *, settings, calibrated, say):
        told.append(len(windows))
        # There are too few sources at first, and enough later.
        facts = {"adapted": len(told) > 1, "reason": "too few", "hold_out": 0.1, "seed": 0}
        return learning.Adaptation(other, SHIPPED_CHECKPOINT, facts, pa.array(["192.0.2.1", "192.0.2.2"]))

    monkeypatch.setattr(learning, "adapt", adapt)
    # There is no drift, so the renewal is due to the model.
    monkeypatch.setattr(renewal, "calibration_for", lambda *_: Calibration(KNOTS, 5.0, 0.6))
    path = tmp_path / "state.duckdb"
    with State(path) as state:
        update(state, days[:1], read, SETTINGS)
        assert len(told) == 1
        assert not model.StateModel(state, SETTINGS).is_own
        before = members(state)
        update(state, days[1:4], read, SETTINGS)
        assert len(told) == 2
        assert members(state).keys() & before.keys()
    with State(path) as state:
        update(state, days[4:], read, SETTINGS)
        assert len(told) == 2
        check_embedded_with(state, other, tokenizer)
        assert summarise(state, time_limit=1.0).adaptation["adapted"]
        more = tmp_path / "more"
        more.mkdir()
        state.execute("UPDATE model SET name = '../' || name")
        with pytest.raises(StateError, match="not a plain name"):
            update(state, write_days(more, 7)[6:], read, SETTINGS)


def test_windows_of_a_state_are_those_that_were_cut(days: list[Path], tmp_path: Path) -> None:
    with State(tmp_path / "state.duckdb") as state:
        update(state, days, read, SETTINGS, embedder=port_shares)
        ids = state.query("SELECT window_id FROM windows ORDER BY window_id")["window_id"].to_numpy()
        found = renewal.windows_of(state, ids).to_table()
    rng = np.random.default_rng(0)
    records = pa.concat_tables([day_records(day, rng) for day in range(len(days))])
    whole = cut_windows(records, window=16, min_records=1)
    keys = [("source", "ascending"), ("start", "ascending"), ("n_records", "ascending")]
    names = ["source", "start", "end", "n_records", "timestamp", "dst_ip", "dst_port", "src_port"]
    assert found.sort_by(keys).select(names).equals(whole.sort_by(keys).select(names))


def test_the_certificate_is_about_the_newest_windows(
    days: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificate, "MOST_CERTIFIED", 40)
    settings = AnalysisSettings(window=16, min_records=8, threshold=0.6)
    with State(tmp_path / "state.duckdb") as state:
        for day in days:
            update(state, [day], read, settings, embedder=port_shares)
            proved = certificate.current(state)
            rows = state.query(
                "SELECT window_id, cluster, embedding FROM windows WHERE cluster IS NOT NULL AND window_id >= ? "
                "ORDER BY window_id",
                [int(state.setting("certified_from") or 0)],
            )
            assert proved.windows == rows.num_rows <= 40
            vectors = embedding_matrix(rows).astype(np.float64)
            labels = np.unique(rows["cluster"].to_numpy(), return_inverse=True)[1]
            graph = DenseGraph(vectors @ vectors.T, 0.6)
            scale = (state.settings() or {})["scale"]
            assert proved.cost == pytest.approx(scale * graph.cost(labels), rel=1e-4, abs=1e-3)
            assert proved.lower_bound <= proved.cost + 1e-9
        assert state.number("SELECT count(*) FROM windows WHERE cluster IS NOT NULL") > 40
        found = summarise(state, time_limit=1.0, embedder=port_shares).solution
    assert found["n_solved"] <= 40
    assert 0 < found["assigned_share"] < 1
