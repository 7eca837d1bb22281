"""A model that is centred on a telescope without training."""

import numpy as np
import pyarrow as pa
import pytest

from telescope_transformer.embedding import embed_windows
from telescope_transformer.learning import centring
from telescope_transformer.learning.adapt import AdaptSettings, adapt
from telescope_transformer.learning.centring import FEWEST_WINDOWS, centred
from telescope_transformer.model_files import load_model
from telescope_transformer.simulation import simulate
from telescope_transformer.windows import cut


@pytest.fixture(scope="module")
def windows() -> pa.Table:
    return cut(simulate(200, 1, records_per_source=30).drop_columns(["label"]), min_records=1).to_table()


def spread(embeddings: np.ndarray) -> float:
    """Mean cosine of all pairs: 1 in a narrow cone, near 0 if embeddings point everywhere."""
    return float((embeddings @ embeddings.T).mean())


def test_embeddings_of_another_telescope_leave_their_cone(windows: pa.Table) -> None:
    model, tokenizer = load_model()
    before = embed_windows(model, tokenizer, windows, progress=False)
    better = centred(model, tokenizer, windows)
    assert better is not None
    after = embed_windows(better, tokenizer, windows, progress=False)
    np.testing.assert_allclose(np.linalg.norm(after, axis=1), 1, rtol=1e-5)
    assert spread(after) < 0.1 < spread(before)
    # The given model is unchanged.
    np.testing.assert_array_equal(embed_windows(model, tokenizer, windows, progress=False), before)


def test_the_layer_that_is_changed_stays_on_the_cpu(windows: pa.Table, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a GPU, `embed_windows` would otherwise move it there, away from the matrices that it is multiplied with."""
    model, tokenizer = load_model()
    devices = []

    def embed(*arguments: object, device: str | None = None, **options: object) -> np.ndarray:
        devices.append(device)
        return embed_windows(*arguments, device=device, **options)

    monkeypatch.setattr(centring, "embed_windows", embed)
    assert centred(model, tokenizer, windows.slice(0, 20)) is not None
    assert devices == ["cpu"]


def test_too_few_windows_are_not_centred(windows: pa.Table) -> None:
    model, tokenizer = load_model()
    few = windows.slice(0, FEWEST_WINDOWS - 1)
    assert centred(model, tokenizer, few) is None
    found = adapt(few, settings=AdaptSettings(hold_out=0.0))
    assert not found.changed
    assert "are needed" in found.facts["reason"]


def test_without_training_the_model_is_only_centred(windows: pa.Table) -> None:
    said: list[str] = []
    found = adapt(windows, settings=AdaptSettings(steps=0), say=said.append)
    assert found.changed
    assert not found.adapted
    assert said == ["the model is only centred on the telescope: training is turned off"]
