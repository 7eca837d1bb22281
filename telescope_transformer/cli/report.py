"""`telescope report`: the report of a work folder that has clusters."""

from pathlib import Path
from typing import Annotated

import typer

from telescope_transformer.cli.options import Granularity, Networks, Seed


def report(
    work: Annotated[
        Path, typer.Argument(file_okay=False, exists=True, help="Folder that prepare, embed and cluster worked in.")
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", file_okay=False, writable=True, help="Folder for the report and the tables."),
    ] = Path("out"),
    networks: Networks = None,
    granularity: Granularity = False,
    seed: Seed = 0,
) -> None:
    """Describe the clusters of a work folder: the last stage of `telescope analyze`.

    Writes report.html, windows.parquet, sources.parquet, clusters.json, rejects.parquet and sensors.json.

    Example: telescope report dataset --output out
    """
    from telescope_transformer.analysis import Embedder, Settings, describe, model_of, working_in
    from telescope_transformer.cli.options import tell

    settings = Settings(granularity=granularity, networks=networks or (), seed=seed)
    with working_in(work):
        found = describe(work, settings, embed=Embedder(model_of(work)), say=tell)
    tell(f"open {found.write(output)}")
