"""Which fields hold a cluster together, and clusterings nested in each other."""

import made_telescope
import numpy as np
import pyarrow as pa

from telescope_transformer.arrays import unit_rows
from telescope_transformer.correlation_clustering import CorrelationClustering
from telescope_transformer.embedding import embedding_column
from telescope_transformer.report.attribution import explain_clusters
from telescope_transformer.report.granularity import walk_thresholds
from telescope_transformer.windows import cut_windows


def by_services_alone(windows: pa.Table) -> np.ndarray:
    """An embedder that sees nothing but the first port and protocol."""
    answer = np.zeros((windows.num_rows, 3), dtype=np.float32)
    for row, (port, protocol) in enumerate(
        zip(windows["dst_port"].to_pylist(), windows["protocol"].to_pylist(), strict=True)
    ):
        answer[row] = {(22, 6): (1, 0, 0), (53, 17): (0, 1, 0), (0, 1): (0, 0, 1)}[port[0], protocol[0]]
    return answer


def clustered(windows: pa.Table, embeddings: np.ndarray, clusters: np.ndarray) -> pa.Table:
    table = windows.select(["source", "start", "end", "n_records"])
    return table.append_column("embedding", embedding_column(embeddings)).append_column("cluster", pa.array(clusters))


def test_the_field_that_the_model_sees_carries_all(rng: np.random.Generator) -> None:
    records = made_telescope.build_telescope(30, rng).records
    windows = cut_windows(records, window=8, min_records=8)
    embeddings = by_services_alone(windows)
    shuffled = clustered(windows, embeddings, embeddings.argmax(axis=1)).take(rng.permutation(windows.num_rows))
    for rows in explain_clusters(by_services_alone, records, shuffled).values():
        assert rows[0] == {"field": "services", "share": 1.0}
        assert {row["field"] for row in rows} == {"services", "destinations", "source ports", "timing"}


def test_timing_can_be_masked_without_leaving_the_window(rng: np.random.Generator) -> None:
    records = made_telescope.build_telescope(30, rng).records
    windows = cut_windows(records, window=8, min_records=8)
    seen = []

    def embed(masked: pa.Table) -> np.ndarray:
        seen.append(masked)
        return np.ones((masked.num_rows, 1), dtype=np.float32)

    one = np.ones((windows.num_rows, 1), dtype=np.float32)
    assert explain_clusters(embed, records, clustered(windows, one, np.arange(windows.num_rows) % 3)) == {}
    assert all(np.diff(times).min() >= 0 for times in seen[0]["timestamp"].to_pylist())
    assert explain_clusters(embed, records, clustered(windows, one, 0 * np.arange(windows.num_rows))) == {}


def test_levels_are_nested_and_clear_clusters_are_stable(rng: np.random.Generator) -> None:
    groups = np.repeat(np.arange(6), 12)
    vectors = unit_rows(np.eye(6, 12)[groups] + 0.18 * rng.normal(size=(72, 12)))
    labels = CorrelationClustering(method="local_search", random_state=0).fit_embeddings(vectors, 0.5).labels_
    walked = walk_thresholds(vectors, np.asarray(labels), 0.5)
    assert np.all(np.diff(walked.thresholds) > 0)
    for coarse, fine in zip(walked.labels, walked.labels[1:], strict=False):
        assert len(np.unique(np.stack([coarse, fine]), axis=1).T) == fine.max() + 1
    assert [level["n_clusters"] for level in walked.levels()] == sorted(
        level["n_clusters"] for level in walked.levels()
    )
    assert ((walked.stability > 0) & (walked.stability <= 1)).all()
    assert np.array_equal(walked.labels[walked.thresholds.index(0.5)], labels)


def test_every_window_alone_or_all_together(rng: np.random.Generator) -> None:
    vectors = unit_rows(rng.normal(size=(10, 4)))
    assert walk_thresholds(vectors, np.arange(10), 0.99).labels.shape == (5, 10)
    same = np.ones((10, 1), dtype=np.float32)
    assert walk_thresholds(same, np.zeros(10, dtype=np.int64), 0.5).stability.tolist() == [1.0]
