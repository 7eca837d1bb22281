"""Correlation clustering of a Parquet file of embeddings, from this package or elsewhere."""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from telescope_transformer.correlation_clustering import CorrelationClustering
from telescope_transformer.errors import InputError, reason
from telescope_transformer.files import check_regular, replacing_files, write_text
from telescope_transformer.progress import Say, say_nothing
from telescope_transformer.similarity import UNIT_TOLERANCE, embedding_matrix
from telescope_transformer.words import counted


def cluster_file(
    embeddings: Path,
    output: Path,
    threshold: float,
    method: str,
    time_limit: float | None,
    seed: int,
    *,
    say: Say = say_nothing,
) -> tuple[dict[str, Any], str]:
    """Cluster a file of embeddings, and write `clusters.json` and `labels.parquet`.

    Args:
        embeddings: Parquet file with a column `embedding`; other columns are copied to `labels.parquet`, except
            `cluster`, which is replaced.
        output: output folder, created if it does not exist.
        threshold: inner product at which a pair neither attracts nor repels.
        method: "auto", "lp", "local_search" or "greedy".
        time_limit: total time in seconds; None is no limit.
        seed: seed of the search.
        say: called with a message if the embeddings are not of length 1.

    Returns:
        Facts about the clustering, and a summary in one line.

    Raises:
        InputError: if the file is not Parquet or its embeddings are damaged, or the output folder holds an analysis,
            whose `clusters.json` would be replaced; the message names the file or folder.
    """
    if (output / "sources.parquet").exists():
        raise InputError(f"{output} holds an analysis, whose clusters.json would be replaced: choose another folder")
    table, vectors = _read(embeddings)
    lengths = np.linalg.norm(vectors, axis=1)
    if len(vectors) and np.abs(lengths - 1).max() > UNIT_TOLERANCE:
        say(
            f"the embeddings have lengths from {lengths.min():.3g} to {lengths.max():.3g}: their similarities are "
            "inner products, not cosines; scale them to length 1 to compare cosines with the threshold"
        )
    started = time.monotonic()
    solver = CorrelationClustering(method=method, time_limit=time_limit, random_state=seed)
    solver.fit_embeddings(vectors, threshold)
    solution = {
        **solver.solution_.summary(),
        "solver": solver.solver_,
        "outside_pairs": solver.outside_pairs_,
        "threshold": threshold,
        "seconds": round(time.monotonic() - started, 3),
    }
    labels = table.append_column("cluster", pa.array(solver.labels_, type=pa.int32()))
    with replacing_files(output, last="clusters.json") as partial:
        write_text(partial / "clusters.json", json.dumps({"solution": solution}, indent=2) + "\n")
        pq.write_table(labels, partial / "labels.parquet", compression="zstd")
    bound = "no bound" if solution["gap"] is None else f"gap {100 * solution['gap']:.3g} %"
    found = f"{counted(len(vectors), 'embedding')} in {counted(solver.n_clusters_, 'cluster')}"
    return solution, f"{found}, cost {solver.cost_:.6g}, {bound} ({solver.solver_})"


def _read(path: Path) -> tuple[pa.Table, np.ndarray]:
    """The table without its embeddings and clusters, and the embeddings as float32 (n, d)."""
    if not path.exists():
        raise InputError(f"{path}: no such file")
    try:
        check_regular(path)
        table = pq.read_table(path)
        vectors = embedding_matrix(table)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path} is not a readable Parquet file: {reason(error)}") from error
    return table.drop_columns([name for name in ("embedding", "cluster") if name in table.column_names]), vectors
