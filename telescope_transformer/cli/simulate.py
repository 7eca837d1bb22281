"""`telescope simulate`."""

from pathlib import Path
from typing import Annotated

import typer

from telescope_transformer.progress import say


def simulate(
    output: Annotated[Path, typer.Option(help="Parquet file to write.")],
    sources: Annotated[int, typer.Option(help="Number of sources.")] = 2000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same records.")] = 0,
    records_per_source: Annotated[float, typer.Option(help="Mean number of records of a source.")] = 100.0,
    days: Annotated[float, typer.Option(help="Duration of the recording.")] = 7.0,
    telescope: Annotated[str, typer.Option(help="The network that is recorded.")] = "198.18.0.0/16",
) -> None:
    """Write flow records of a synthetic telescope with ground truth: `label` is the actor of each source.

    Example: telescope simulate --output flows.parquet --sources 2000 --seed 0
    """
    from telescope_transformer.simulation import SimulationSettings, write_simulation
    from telescope_transformer.words import counted

    settings = SimulationSettings(sources, seed, records_per_source, days, telescope)
    rows = write_simulation(output, settings)
    say(f"{counted(rows, 'flow record')} of {counted(sources, 'source')} in the Parquet file {output}")
