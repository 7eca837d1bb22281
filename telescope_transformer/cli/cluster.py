"""`telescope cluster`: correlation clustering of the windows of a work folder, or of any embeddings."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from telescope_transformer.cli.options import Computing, Json, print_json
from telescope_transformer.progress import say

if TYPE_CHECKING:
    from telescope_transformer.preparation import EngineSettings


def cluster(
    embeddings: Annotated[Path, typer.Argument(help="Dataset with embeddings, or a Parquet file with `embedding`.")],
    output: Annotated[
        Path | None, typer.Option(help="Folder for clusters.json and labels.parquet, for a file.")
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(help="Similarity above which a pair attracts; default: calibrated, or 0.5 for a file."),
    ] = None,
    method: Annotated[str, typer.Option(help="Solver, for a file: auto, lp, local_search or greedy.")] = "auto",
    time_limit: Annotated[
        float | None,
        typer.Option(help="Seconds for the proof (default: 60); for a file, seconds in all (default: no limit)."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the search.")] = 0,
    computing: Computing = Computing(),
    json: Json = False,
) -> None:
    """Cluster embeddings by correlation clustering, with a proved bound on the distance to the optimum.

    For a dataset, the clusters are stored in its folder, where `telescope report` finds them; with --engine spark,
    executors assign the windows beyond those that are solved. For a file, OUTPUT/clusters.json has the threshold,
    cost, lower bound and gap, and OUTPUT/labels.parquet the columns of the input and `cluster`.

    Example: telescope cluster embeddings.parquet --output clusters/ --threshold 0.5 --time-limit 60
    """
    if embeddings.is_dir():
        if output is not None or method != "auto":
            raise typer.BadParameter("--output and --method are for a file: a dataset stores its clusters itself")
        limit = 60.0 if time_limit is None else time_limit
        solution = _in_folder(embeddings, threshold, limit, seed, computing.settings())
        if json:
            print_json({"solution": solution})
        return
    if output is None:
        raise typer.BadParameter("the clusters of a file need --output")
    from telescope_transformer.analysis.embeddings_file import cluster_file

    at = 0.5 if threshold is None else threshold
    solution, summary = cluster_file(embeddings, output, at, method, time_limit, seed, say=say)
    if json:
        print_json({"solution": solution})
    else:
        typer.echo(summary)


def _in_folder(
    work: Path, threshold: float | None, time_limit: float, seed: int, engine: "EngineSettings"
) -> dict[str, Any]:
    """Run the clustering stage of `telescope analyze`; returns facts about the clustering."""
    from telescope_transformer.analysis import AnalysisSettings, cluster_stage, working_in

    settings = AnalysisSettings(threshold=threshold, time_limit=time_limit, seed=seed)
    with working_in(work):
        return cluster_stage(work, settings, say, engine=engine)
