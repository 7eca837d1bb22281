"""The windows of a source are blended before they are clustered, and former windows stay as they are."""

from pathlib import Path

import numpy as np
from made_days import SETTINGS, port_shares, read, write_days

from telescope_transformer.similarity import blend_by_source, embedding_matrix
from telescope_transformer.update import State, renewal, update

VECTORS = (
    "SELECT window_id, source, embedding, coalesce(unblended, embedding) AS own FROM windows "
    "WHERE cluster IS NOT NULL ORDER BY window_id"
)


def vectors(state: State) -> dict[int, tuple[str, np.ndarray, np.ndarray]]:
    """Source, blended and own embedding of each window that has a cluster."""
    rows = state.query(VECTORS)
    blended, own = (
        embedding_matrix(rows.select([name]).rename_columns(["embedding"])) for name in ("embedding", "own")
    )
    columns = zip(rows["window_id"].to_pylist(), rows["source"].to_pylist(), blended, own, strict=True)
    return {number: (source, one, other) for number, source, one, other in columns}


def test_new_windows_are_blended_with_all_windows_of_their_source(tmp_path: Path) -> None:
    days = write_days(tmp_path, 2)
    with State(tmp_path / "state.duckdb") as state:
        update(state, days[:1], read, SETTINGS, embedder=port_shares)
        before = vectors(state)
        update(state, days[1:], read, SETTINGS, embedder=port_shares)
        after = vectors(state)
        ids = np.array(list(after))
        own = renewal.embedded(state, ids, port_shares)
    assert np.allclose(own, np.array([found[2] for found in after.values()]), atol=1e-6)
    kept = {number for number in before if np.array_equal(before[number][2], after[number][2])}
    assert all(np.array_equal(before[number][1], after[number][1]) for number in kept)
    sources = [found[0] for found in after.values()]
    expected = own.copy()
    blend_by_source(expected, np.unique(sources, return_inverse=True)[1])
    new = [row for row, number in enumerate(after) if number not in kept]
    changed = [row for row in new if not np.allclose(expected[row], own[row])]
    assert changed
    assert np.allclose([list(after.values())[row][1] for row in new], expected[new], atol=1e-5)


def test_a_state_from_before_blending_is_continued(tmp_path: Path) -> None:
    days = write_days(tmp_path, 2)
    with State(tmp_path / "state.duckdb") as state:
        update(state, days[:1], read, SETTINGS, embedder=port_shares)
        state.execute("UPDATE windows SET embedding = coalesce(unblended, embedding)")
        state.execute("ALTER TABLE windows DROP COLUMN unblended")
        state.set("version", "4")
    with State(tmp_path / "state.duckdb") as state:
        assert all(np.array_equal(one, own) for _, one, own in vectors(state).values())
        (step,) = update(state, days[1:], read, SETTINGS, embedder=port_shares)
        assert step.windows
        assert state.setting("version") == "5"
        assert not all(np.array_equal(one, own) for _, one, own in vectors(state).values())
