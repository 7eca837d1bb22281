"""Directions that tell sources apart: which windows they are fitted to, and that they are the discriminant ones."""

from pathlib import Path

import numpy as np
import pytest

from telescope_transformer.embedding import load
from training import discriminant as discriminant_module
from training.discriminant import discriminant, windows_of
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


def test_training_ends_with_the_fit(dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = "{hidden_size: 64, num_hidden_layers: 0, num_towers: 2, projection_size: 8, discriminant_size: SIZE}"
    rest = "steps: 2\nbatch_pairs: 8\nmax_records: 12\ncpu: true\ntracker: none\n"
    for size, status in ((3, 0), (60, 1)):
        recipe = tmp_path / f"{size}.yaml"
        recipe.write_text(f"model: {model.replace('SIZE', str(size))}\n{rest}")
        run = ["--dataset", str(dataset), "--output", str(tmp_path / str(size)), "--config", str(recipe)]
        assert main(run) == status
    assert load(tmp_path / "3")[0].head.directions.any()
    assert "60 discriminant directions need more sources than" in capsys.readouterr().err
