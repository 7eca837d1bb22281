"""`telescope push`: a checkpoint, a prepared dataset or a metric to the Hub, with its card."""

from pathlib import Path
from typing import Annotated

import typer


def push(
    source: Annotated[
        Path, typer.Argument(help="Folder of a checkpoint or, with --dataset, of a dataset; or the name of a metric.")
    ],
    name: Annotated[str, typer.Argument(help="Repository as user/name; created if it does not exist.")],
    dataset: Annotated[bool, typer.Option("--dataset", help="SOURCE is a prepared dataset.")] = False,
    metric: Annotated[
        bool, typer.Option("--metric", help="SOURCE is the name of a metric; it becomes a Space.")
    ] = False,
    metrics: Annotated[Path | None, typer.Option(help="metrics.json of an evaluation, for a model's card.")] = None,
    private: Annotated[bool, typer.Option("--private", help="Make a new repository private.")] = False,
    revision: Annotated[str | None, typer.Option(help="Branch to push to, instead of main.")] = None,
    licence: Annotated[str | None, typer.Option(help="Licence of the upload, as the Hub names it.")] = None,
) -> None:
    """Upload a checkpoint, a prepared dataset or a metric to the Hub, with a card generated from recorded facts.

    The token comes from HF_TOKEN or from `hf auth login`.

    Example: telescope push runs/base user/telescope-base --private
    """
    from telescope_transformer.hub.push import push as push_to_hub

    if dataset and metric:
        raise typer.BadParameter("give --dataset or --metric, not both")
    if metrics is not None and (dataset or metric):
        raise typer.BadParameter("--metrics is for a model: it cannot be combined with --dataset or --metric")
    if licence is not None and metric:
        raise typer.BadParameter("--licence is for a model or a dataset: it cannot be combined with --metric")
    what = "dataset" if dataset else "metric" if metric else "model"
    url = push_to_hub(source, name, what=what, private=private, revision=revision, licence=licence, metrics=metrics)
    typer.echo(url)
