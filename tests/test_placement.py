"""Short windows find the cluster that they were cut from, and the confidence is the share that do."""

import numpy as np
import pyarrow as pa
import pytest

from telescope_transformer.arrays import unit_rows
from telescope_transformer.placement import Centres, fit_placement, rows_to_try
from telescope_transformer.windows import Windows

PORTS = 8
# All actors use port 0, which alone does not identify any of them.
ACTORS = ((0, 1), (0, 2), (0, 3))


def made_windows(rng: np.random.Generator, sources: int, length: int) -> tuple[Windows, np.ndarray]:
    """A window for each source, with records to the two ports of its actor, and the actors (n,)."""
    actor = np.arange(sources) % len(ACTORS)
    ports = np.array(ACTORS)[actor][np.arange(sources)[:, None], rng.integers(0, 2, (sources, length))]
    times = np.arange(sources * length, dtype=np.int64)
    table = pa.table(
        {
            "source": [f"192.0.2.{row}" for row in range(sources)],
            "start": times[::length],
            "end": times[length - 1 :: length],
            "n_records": pa.array(np.full(sources, length), pa.int32()),
        }
    )
    records = pa.table({"timestamp": times, "dst_port": pa.array(ports.ravel(), pa.uint16())})
    return Windows(table, records, np.arange(sources + 1, dtype=np.int64) * length), actor


def port_shares(table: pa.Table) -> np.ndarray:
    shares = [np.bincount(ports, minlength=PORTS) for ports in table["dst_port"].to_pylist()]
    return unit_rows(np.array(shares, dtype=np.float32))


def test_confidence_is_how_often_short_windows_find_their_cluster(rng: np.random.Generator) -> None:
    windows, actor = made_windows(rng, 240, 16)
    vectors = port_shares(windows.to_table())
    centres = Centres.of(vectors, actor)
    placement = fit_placement(windows, vectors, actor, centres, port_shares, longest=4)
    for length in (1, 2, 4):
        short, truth = made_windows(rng, 240, length)
        found, similarities = centres.nearest(port_shares(short.to_table()))
        confidence = placement.confidence(similarities, np.full(240, length))
        right = found == truth
        # Every second record goes to the shared port, which fits three clusters equally well.
        assert confidence.mean() == pytest.approx(right.mean(), abs=0.1)
        assert confidence[right].mean() > confidence[~right].mean()
    assert right.mean() > 0.9


def test_more_records_than_tried_count_as_the_most_tried(rng: np.random.Generator) -> None:
    windows, actor = made_windows(rng, 60, 8)
    vectors = port_shares(windows.to_table())
    placement = fit_placement(windows, vectors, actor, Centres.of(vectors, actor), port_shares, longest=2)
    assert len(placement.knots) == 2
    as_tried, more = placement.confidence(np.array([0.9, 0.9]), np.array([2, 7]))
    assert as_tried == more


def test_the_cut_window_is_left_out_of_its_cluster() -> None:
    vectors = np.eye(3, dtype=np.float32)
    centres = Centres.of(vectors, np.array([0, 0, 1]))
    label, similarity = centres.nearest(vectors[:1])
    assert (label.tolist(), similarity.tolist()) == ([0], [0.5])
    label, similarity = centres.nearest(vectors[:1], vectors[:1], np.array([0]))
    assert similarity.tolist() == [0.0]


def test_windows_of_clusters_of_one_source_are_not_tried() -> None:
    labels = np.repeat([0, 1, 2], [40, 40, 40])
    sources = np.concatenate([np.arange(40), np.full(40, 40), np.arange(41, 81)])
    tried = rows_to_try(sources, labels)
    assert set(labels[tried]) == {0, 2}
    assert len(tried) == 80
    assert not len(rows_to_try(np.arange(60), np.arange(60)))
