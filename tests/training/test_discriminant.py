"""Directions that tell sources apart: which windows they are fitted to, and that they are the discriminant ones."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BatchEncoding

from telescope_transformer import FlowTokenizer, TelescopeConfig, TelescopeForContrastiveLearning
from telescope_transformer.embedding import load_model
from training import discriminant as discriminant_module
from training.data import PairBatches
from training.discriminant import centres, discriminant, fit_discriminant, windows_of
from training.sampling import PairOptions, PairSampler
from training.store import build_store, open_store
from training.train import main


def test_windows_come_evenly_from_sources_that_have_two() -> None:
    starts, sources = windows_of(np.array([15, 16, 8 * 30 + 3, 0]), 8)
    assert sources.tolist() == [1] * 2 + [2] * 12
    assert starts[:2].tolist() == [0, 8]
    assert (starts[2:] % 8 == 0).all()
    assert (np.diff(starts[2:]) >= 16).all()
    assert starts.max() <= 8 * 29


def test_sources_vary_by_one_inside_and_most_along_the_first_direction(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discriminant_module, "RIDGE", 0.0)
    random = np.random.default_rng(0)
    sources = np.repeat(np.arange(200), 4)
    spread = np.array([3.0, 1.0, 0.2, 2.0])
    vectors = random.normal(size=(200, 4))[sources] * spread + random.normal(size=(800, 4)) * [5.0, 0.1, 1.0, 1.0]
    mean, directions = discriminant(vectors, sources, 2)
    assert np.allclose(mean, vectors.mean(axis=0))
    # Spread between sources over that inside is 0.6, 10, 0.2 and 2.
    assert np.abs(directions[0]).argmax() == 1
    inside = vectors - np.array([vectors[sources == source].mean(axis=0) for source in range(200)])[sources]
    assert np.allclose(directions @ (inside.T @ inside / 800) @ directions.T, np.eye(2))


def test_centres_are_where_vectors_gather() -> None:
    random = np.random.default_rng(0)
    axes = np.repeat(np.eye(3), [60, 30, 10], axis=0)
    # Lengths do not count, directions do.
    vectors = (axes + random.normal(size=axes.shape) * 0.01) * random.uniform(1, 9, (100, 1))
    found, shares = centres(vectors, 3)
    order = np.argsort(-shares)
    assert np.allclose(found[order], np.eye(3), atol=0.01)
    assert np.allclose(shares[order], [0.6, 0.3, 0.1])
    assert np.array_equal(centres(vectors, 3)[0], found)


@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
def test_fewer_distinct_vectors_than_centres_leave_none_without_a_share() -> None:
    shares = centres(np.repeat(np.eye(2), 10, axis=0), 4)[1]
    assert (shares > 0).all()
    assert np.isclose(shares.sum(), 1)


def test_training_ends_with_the_fit(dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = "hidden_size: 64, num_hidden_layers: 0, num_towers: 2, projection_size: 8"
    rest = "steps: 2\nbatch_pairs: 8\nmax_records: 12\ncpu: true\ntracker: none\n"
    for name, size, number, status in (("fits", 3, 2, 0), ("directions", 60, 0, 1), ("centres", 3, 9_999, 1)):
        recipe = tmp_path / f"{name}.yaml"
        parts = f"discriminant_size: {size}, discriminant_centres: {number}"
        recipe.write_text(f"model: {{{model}, {parts}}}\n{rest}")
        run = ["--dataset", str(dataset), "--output", str(tmp_path / name), "--config", str(recipe)]
        assert main(run) == status
    head = load_model(tmp_path / "fits")[0].head
    assert head.directions.any()
    assert head.centres.any(dim=1).all()
    assert head.centre_shares.sum().item() == pytest.approx(1)
    assert not any((tmp_path / name / "checkpoints").exists() for name in ("directions", "centres")), "told before"
    told = capsys.readouterr().err
    assert "60 discriminant directions need more sources than" in told
    assert "9999 centres need more windows than" in told


def test_fine_tuning_on_few_sources_keeps_the_directions(dataset: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = TelescopeConfig(hidden_size=64, num_hidden_layers=0, projection_size=8, discriminant_size=60)
    model = TelescopeForContrastiveLearning(config)
    model.head.directions.normal_()
    model.save_pretrained(tmp_path / "base")
    FlowTokenizer(config.fields).save_pretrained(tmp_path / "base")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("steps: 2\nbatch_pairs: 8\nmax_records: 12\ncpu: true\ntracker: none\n")
    run = ["--dataset", str(dataset), "--output", str(tmp_path / "tuned"), "--config", str(recipe)]
    with pytest.warns(UserWarning, match=r"60 discriminant directions .*: those of .* are kept"):
        assert main([*run, "--model", str(tmp_path / "base")]) == 0
    tuned = load_model(tmp_path / "tuned")[0]
    assert torch.equal(tuned.head.directions, model.head.directions)
    assert not torch.equal(tuned.head.hidden.weight, model.head.hidden.weight)


@pytest.mark.parametrize("thinning", [0.0, 0.2])
def test_directions_see_thinned_windows_where_training_did(
    dataset: Path, tmp_path: Path, thinning: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = FlowTokenizer()
    build_store(dataset, "train", tokenizer, tmp_path)
    store = open_store(tmp_path)
    sampler = PairSampler(store.offsets, PairOptions(batch_pairs=8, min_records=4, max_records=6, thinning=thinning))
    part = PairBatches(store, sampler, tokenizer)
    config = TelescopeConfig(hidden_size=32, num_hidden_layers=0, projection_size=8, discriminant_size=3)
    model = TelescopeForContrastiveLearning(config)
    spans: dict[int, float] = {}

    def watched(encoded: Mapping[str, np.ndarray], starts: np.ndarray, lengths: np.ndarray) -> BatchEncoding:
        assert set(lengths) == {4}
        batch = FlowTokenizer.collate(tokenizer, encoded, starts, lengths)
        spans[len(starts)] = float(batch["inter_arrival"][:, 1:].sum(dim=1).median())
        return batch

    monkeypatch.setattr(tokenizer, "collate", watched)
    fit_discriminant(model, [part])
    found = {times: len(windows_of(store.counts, 4 * times)[0]) for times in (1, 2, 4)}
    assert set(spans) == (set(found.values()) if thinning else {found[1]})
    first = model.head.directions.clone()
    assert first.any()
    fit_discriminant(model, [part])
    assert torch.equal(model.head.directions, first), "the same seed draws the same windows"
    if thinning:
        assert spans[found[1]] < spans[found[2]] < spans[found[4]]
