"""`telescope demo`: the whole job on a simulated telescope whose truth is known."""

from pathlib import Path

import typer


def demo(
    output: Path = typer.Option(Path("demo"), "--output", "-o", help="Folder for everything that the demo writes."),
    sources: int = typer.Option(2000, help="Sources that the simulated telescope sees."),
    seed: int = typer.Option(0, help="Seed of the simulation, the training and the clustering."),
) -> None:
    """Simulate a telescope, train a small model, cluster, compare with the truth, write the report.

    Takes about three minutes on two cores and needs no input and no network.

    Example: telescope demo --output demo
    """
    from telescope_transformer.cli.demo_steps import run

    run(output, sources, seed)
