"""`telescope demo`: the whole job on a simulated telescope whose truth is known."""

from pathlib import Path
from typing import Annotated

import typer


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for what the demo writes.")] = Path("demo"),
    sources: Annotated[int, typer.Option(help="Sources that the simulated telescope sees.")] = 2000,
    seed: Annotated[int, typer.Option(help="Seed of the simulation, the training and the clustering.")] = 0,
) -> None:
    """Simulate a telescope, train a small model, cluster, compare with the truth, and write the report.

    Takes a minute or two on two cores, without input and without a network.

    Example: telescope demo --output demo
    """
    from telescope_transformer.cli.demo_steps import run

    run(output, sources, seed)
