"""`telescope cluster`: correlation clustering of the windows of a work folder, or of any embeddings."""

from pathlib import Path
from typing import Annotated, Any

import typer

from telescope_transformer.cli.options import Json, print_json


def cluster(
    embeddings: Annotated[Path, typer.Argument(help="Dataset with embeddings, or a Parquet file with `embedding`.")],
    output: Annotated[
        Path | None, typer.Option(help="Of a file: folder for clusters.json and labels.parquet.")
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(help="Similarity above which a pair attracts; default: calibrated, or 0.5 for a file."),
    ] = None,
    method: Annotated[str, typer.Option(help="Of a file: auto, lp, local_search or greedy.")] = "auto",
    time_limit: Annotated[
        float | None, typer.Option(help="Seconds for the proof, or of a file for all; default: 60, or no limit.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the search.")] = 0,
    json: Json = False,
) -> None:
    """Cluster embeddings so that similar ones are together, with a proved bound of how far from optimal that is.

    Of a dataset, the clusters stay in its folder, where `telescope report` finds them. Of a file, OUTPUT/clusters.json
    has the threshold, cost, lower bound and gap, and OUTPUT/labels.parquet the input's columns and `cluster`.

    Example: telescope cluster embeddings.parquet --output clusters/ --threshold 0.5 --time-limit 60
    """
    if embeddings.is_dir():
        solution = _in_folder(embeddings, threshold, 60.0 if time_limit is None else time_limit, seed)
        if json:
            print_json(solution)
        return
    if output is None:
        raise typer.BadParameter("the clusters of a file need --output")
    solution, summary = _of_file(embeddings, output, 0.5 if threshold is None else threshold, method, time_limit, seed)
    if json:
        print_json({"solution": solution})
    else:
        typer.echo(summary)


def _in_folder(work: Path, threshold: float | None, time_limit: float, seed: int) -> dict[str, Any]:
    """Run the stage of `telescope analyze` that clusters; returns what is known of the clustering."""
    from telescope_transformer.analysis import Settings, cluster_stage, working_in
    from telescope_transformer.cli.options import tell

    settings = Settings(threshold=threshold, time_limit=time_limit, seed=seed)
    with working_in(work):
        return cluster_stage(work, settings, tell)


def _of_file(
    embeddings: Path, output: Path, threshold: float, method: str, time_limit: float | None, seed: int
) -> tuple[dict[str, Any], str]:
    """Cluster a file of embeddings; returns what is known of the clustering, and the same in a line."""
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
    return solution, f"{summary} ({solver.solver_})"


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
