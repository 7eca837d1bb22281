"""`telescope demo`: the whole job on a simulated telescope whose truth is known."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from telescope_transformer.errors import InputError
from telescope_transformer.progress import say

RECIPE = "adapt"
# A batch of more than a quarter of the sources would have nearly the same negatives in each step, and more than those
# of the training split cannot fill it.
SOURCES_PER_PAIR = 4


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for what the demo writes.")] = Path("demo"),
    sources: Annotated[int, typer.Option(help="Sources that the simulated telescope sees.")] = 2000,
    seed: Annotated[int, typer.Option(help="Seed of the simulation, the training and the clustering.")] = 0,
) -> None:
    """Simulate a telescope, train a small model, cluster, compare with the truth, and write the report.

    Takes a minute or two on two cores, without input and without a network.

    Example: telescope demo --output demo
    """
    from telescope_transformer.cli.calibrate import calibrate
    from telescope_transformer.cli.prepare import prepare
    from telescope_transformer.cli.simulate import simulate

    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise InputError(f"{output} exists and is not an empty folder: give another --output")
    output.mkdir(parents=True, exist_ok=True)
    flows, dataset, checkpoint = output / "flows.parquet", output / "dataset", output / "model"
    say("1. simulate a telescope")
    simulate(output=flows, sources=sources, seed=seed)
    say("2. prepare windows")
    prepare([str(flows)], output=dataset, splits=True)
    say("3. train a small model without labels")
    train(dataset, checkpoint, seed, max(2, sources // SOURCES_PER_PAIR))
    say("4. calibrate similarities, on sources that were not trained on")
    calibrate(dataset, model=str(checkpoint), seed=seed)
    say("5. embed, cluster, report")
    agreement = analyse(flows, checkpoint, output, seed)
    say("6. compare with the truth")
    (output / "metrics.json").write_text(json.dumps(dict(agreement), indent=1) + "\n", encoding="utf-8")
    for name, value in agreement.items():
        typer.echo(f"{name:26} {value:8.3f}")
    typer.echo(f"open {output / 'report.html'}")


def train(dataset: Path, checkpoint: Path, seed: int, most_pairs: int) -> None:
    """Train as `telescope train` does, with at most so many pairs a batch.

    On one thread the result is the same on every number of processors, and other programs slow the training down less.
    """
    from telescope_transformer.embedding import one_thread
    from telescope_transformer.learning.arguments import arguments_of
    from telescope_transformer.learning.training import TrainingPaths
    from telescope_transformer.learning.training import train as run_training

    arguments = arguments_of(RECIPE, {"seed": seed})
    arguments = replace(arguments, batch_pairs=min(arguments.batch_pairs, most_pairs))
    with one_thread():
        run_training(TrainingPaths([dataset], checkpoint), arguments)


def analyse(flows: Path, checkpoint: Path, output: Path, seed: int) -> Mapping[str, float]:
    """Analyse as `telescope analyze` does; returns the agreement of clusters of sources with their actors."""
    from telescope_transformer.analysis import AnalysisSettings, analyze
    from telescope_transformer.metrics.clusters import cluster_scores
    from telescope_transformer.records import read_records

    settings = AnalysisSettings(model=str(checkpoint), seed=seed)
    analysis = analyze(read_records([flows]), settings, say=say)
    analysis.write(output)
    placed = analysis.sources.filter(analysis.sources["cluster"].is_valid())
    truth = placed["label"].to_numpy(zero_copy_only=False)
    clusters = placed["cluster"].to_numpy()
    return cluster_scores(truth, clusters)
