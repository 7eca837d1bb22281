"""Calibration with known actors: sources of one actor are similar, and the fit does not know the actors."""

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from telescope_transformer.arrays import unit_rows
from telescope_transformer.calibration import (
    Calibration,
    calibrate,
    calibration_error,
    cosines,
    fit_calibration,
    measured,
    random_pairs,
    reliability,
    same_source_pairs,
)
from telescope_transformer.correlation_clustering import sweep
from telescope_transformer.errors import CheckpointError, DatasetError
from telescope_transformer.threshold import DEFAULT_THRESHOLD


def actors(
    rng: np.random.Generator, n_actors: int, sources_each: int = 4, windows_each: int = 4, noise: float = 0.25
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Embedding, source and actor of each window; actors share two of four services and thus resemble each other."""
    centres = unit_rows(rng.normal(size=(4, 16)))
    of_actor = unit_rows(centres[rng.integers(0, 4, n_actors)] + 0.35 * rng.normal(size=(n_actors, 16)))
    sources = np.repeat(np.arange(n_actors * sources_each), windows_each)
    actor = sources // sources_each
    return unit_rows(of_actor[actor] + noise * rng.normal(size=(len(actor), 16))), sources, actor


def test_probabilities_are_calibrated_on_held_out_sources(rng: np.random.Generator) -> None:
    embeddings, sources, actor = actors(rng, 60)
    seen = actor % 2 == 0
    calibration = fit_calibration(embeddings[seen], sources[seen])
    calibration = measured(calibration, embeddings[~seen], sources[~seen])
    assert calibration.expected_calibration_error < 0.05
    assert sum(row["pairs"] for row in calibration.reliability) > 1000


def test_the_threshold_finds_actors_again(rng: np.random.Generator) -> None:
    """Actors with few services are closer than random vectors, and sources scatter around their actor."""
    embeddings, sources, actor = actors(rng, 30, noise=0.12)
    calibration = calibrate(embeddings, sources)
    labels = sweep(embeddings, [calibration.threshold])[0].labels
    assert adjusted_rand_score(actor, labels) > 0.9
    chosen = {row["threshold"]: row["agreement"] for row in calibration.agreement}
    assert chosen[calibration.threshold] >= max(chosen.values()) - 0.1


@pytest.mark.parametrize("seed", [0, 1])
def test_a_large_campaign_does_not_move_the_threshold(seed: int) -> None:
    random = np.random.default_rng(seed)
    embeddings, sources, _ = actors(random, 30, noise=0.15)
    copies = unit_rows(embeddings[0] + 0.02 * random.normal(size=(1_000, 16)))
    joined = calibrate(np.concatenate([embeddings, copies]), np.concatenate([sources, 1_000 + np.arange(1_000) // 2]))
    assert joined.threshold == pytest.approx(calibrate(embeddings, sources).threshold, abs=0.1)


def test_one_cluster_of_everything_is_no_evidence(rng: np.random.Generator) -> None:
    """An unadapted model puts all windows into one cone, where low thresholds join everything."""
    embeddings, sources, _ = actors(rng, 30, noise=0.12)
    cone = unit_rows(unit_rows(embeddings - embeddings.mean(axis=0)) + 1.5 * np.eye(16)[0])
    calibration = calibrate(cone, sources)
    assert calibration.agreement[0]["agreement"] == pytest.approx(1.0)
    labels = sweep(cone, [calibration.threshold])[0].labels
    assert np.bincount(labels).max() <= 0.6 * len(labels)


def test_few_sources_keep_the_default_threshold(rng: np.random.Generator) -> None:
    embeddings, sources, _ = actors(rng, 10)
    calibration = calibrate(embeddings, sources)
    assert (calibration.threshold, calibration.agreement) == (DEFAULT_THRESHOLD, ())


def test_probabilities_come_from_sources_that_the_model_has_not_seen(rng: np.random.Generator) -> None:
    """Windows that a model was trained on are nearly copies of one another; others are not."""
    embeddings, sources, actor = actors(rng, 60)
    learned = actor < 30
    embeddings[learned] = embeddings[np.searchsorted(sources, sources[learned])]
    honest = calibrate(embeddings, sources, unseen=~learned)
    assert honest.pairs < calibrate(embeddings, sources).pairs
    assert honest.knots == fit_calibration(embeddings[~learned], sources[~learned]).knots
    assert honest.expected_calibration_error < 0.05
    assert honest.unseen
    # With too few unseen sources all are used, and the calibration says so.
    assert not calibrate(embeddings, sources, unseen=actor == 0).unseen


KNOTS = [(-1.0, 0.0001), (0.5, 0.5), (1.0, 0.9999)]


def made(**changes: float) -> Calibration:
    return Calibration(**{"knots": KNOTS, "slope": 8.0} | changes)


def test_probabilities_rise_with_similarity() -> None:
    cosine = np.linspace(-1, 1, 50)
    probability = made().probability(cosine)
    assert (np.diff(probability) > 0).all()
    assert 0 <= probability.min() <= probability.max() <= 1


def test_pairs_of_one_source_are_different_windows_and_few_of_each(rng: np.random.Generator) -> None:
    sources = np.repeat([0, 1, 2], [1, 2, 100])
    pairs = same_source_pairs(sources, rng)
    assert (pairs[:, 0] != pairs[:, 1]).all()
    assert (sources[pairs[:, 0]] == sources[pairs[:, 1]]).all()
    assert np.bincount(sources[pairs[:, 0]]).tolist() == [0, 1, 8]
    unlike = random_pairs(sources, 1000, rng)
    assert (sources[unlike[:, 0]] != sources[unlike[:, 1]]).all()


def test_the_error_of_a_known_diagram() -> None:
    rows = reliability(np.array([0.05, 0.05, 0.95, 0.95]), np.array([0.0, 1.0, 1.0, 1.0]))
    assert [row["pairs"] for row in rows] == [2, 2]
    assert calibration_error(rows) == pytest.approx((0.45 + 0.05) / 2)


def test_a_probability_of_one_is_in_the_last_bin() -> None:
    rows = reliability(np.array([0.95, 1.0]), np.array([1.0, 1.0]))
    assert [row["pairs"] for row in rows] == [2]


def test_a_calibration_survives_the_file(tmp_path: Path) -> None:
    calibration = made(expected_calibration_error=0.02, pairs=99)
    calibration.save(tmp_path)
    assert Calibration.load(tmp_path).to_dict() == calibration.to_dict()
    assert Calibration.load(tmp_path / "elsewhere") is None


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{",
        '{"slope": 1}',
        '{"knots": [], "slope": 1}',
        '{"knots": [[0, 0.5]], "slope": -1.0}',
        '{"knots": [[0, NaN]], "slope": 1.0}',
        '{"knots": [[0, 0.5], [-1, 0.6]], "slope": 1.0}',
        '{"knots": [[0, 0.5]], "slope": 1.0, "threshold": Infinity}',
        '{"knots": [[0, 0.5]], "slope": 1.0, "pairs": "many"}',
        '{"knots": [[0, 0.5]], "slope": 1.0, "agreement": 5}',
        '{"knots": [[0, 0.5]], "slope": 1.0, "reliability": [{"predicted": "x"}]}',
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "calibration.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"calibration\.json"):
        Calibration.load(tmp_path)


def test_too_few_sources_or_useless_embeddings_are_refused(rng: np.random.Generator) -> None:
    with pytest.raises(DatasetError, match="at least 20 sources"):
        fit_calibration(unit_rows(rng.normal(size=(30, 4))), np.repeat(np.arange(10), 3))
    noise = unit_rows(rng.normal(size=(400, 4)))
    opposite = np.where(np.arange(400) % 2 == 0, 1, -1)[:, None] * np.array([[1.0, 0, 0, 0]]) + 0.01 * noise
    with pytest.raises(DatasetError, match="no more similar"):
        fit_calibration(unit_rows(opposite), np.repeat(np.arange(200), 2))


def test_the_same_seed_gives_the_same_calibration(rng: np.random.Generator) -> None:
    embeddings, sources, _ = actors(rng, 20)
    first, second = (fit_calibration(embeddings, sources, seed=3).to_dict() for _ in range(2))
    assert json.dumps(first) == json.dumps(second)
    assert np.isfinite(cosines(embeddings, np.array([[0, 1]]))).all()
