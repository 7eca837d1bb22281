"""`telescope cluster`: correlation clustering of embeddings alone."""

from pathlib import Path
from typing import Annotated

import typer


def cluster(
    embeddings: Annotated[Path, typer.Argument(help="Parquet file with a column `embedding`.")],
    output: Annotated[Path, typer.Option(help="Folder for clusters.json and labels.parquet.")],
    threshold: Annotated[float, typer.Option(help="Similarity above which a pair attracts.")] = 0.5,
    method: Annotated[str, typer.Option(help="auto, lp, local_search or greedy.")] = "auto",
    time_limit: Annotated[float | None, typer.Option(help="Seconds that the solver may take.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the search.")] = 0,
) -> None:
    """Cluster embeddings so that similar ones are together, with a proved bound of how far from optimal that is.

    Writes OUTPUT/clusters.json (threshold, cost, lower bound, gap, what ran) and OUTPUT/labels.parquet (the input's
    columns without the embedding, and `cluster`).

    Example: telescope cluster embeddings.parquet --output clusters/ --threshold 0.5 --time-limit 60
    """
    import json
    import time

    from telescope_transformer.analysis.settings import counted
    from telescope_transformer.correlation_clustering import CorrelationClustering

    table, vectors = _read(embeddings)
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
    output.mkdir(parents=True, exist_ok=True)
    (output / "clusters.json").write_text(json.dumps({"solution": solution}, indent=2) + "\n")
    _write_labels(table, solver.labels_, output / "labels.parquet")
    bound = "no bound" if solution["gap"] is None else f"gap {100 * solution['gap']:.3g} %"
    found = f"{counted(len(vectors), 'embedding')} in {counted(solver.n_clusters_, 'cluster')}"
    summary = f"{found}, cost {solver.cost_:.6g}, {bound}"
    typer.echo(f"{summary} ({solver.solver_})")


def _read(path: Path):  # type: ignore[no-untyped-def]
    """The table without its embeddings, and these as a float32 array (n, d)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from telescope_transformer.errors import InputError
    from telescope_transformer.similarity import embedding_matrix

    try:
        table = pq.read_table(path)
        vectors = embedding_matrix(table)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path} is not a readable Parquet file: {error}") from error
    return table.drop_columns(["embedding"]), vectors


def _write_labels(table, labels, path: Path) -> None:  # type: ignore[no-untyped-def]
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(table.append_column("cluster", pa.array(labels, type=pa.int32())), path, compression="zstd")
