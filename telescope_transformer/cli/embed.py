"""`telescope embed`: windows to embeddings."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from telescope_transformer.cli.options import (
    Adapt,
    AdaptSteps,
    Computing,
    check_adaptation,
)
from telescope_transformer.progress import say

if TYPE_CHECKING:
    from telescope_transformer.preparation import EngineSettings


def embed(
    context: typer.Context,
    windows: Annotated[Path, typer.Argument(help="Prepared dataset, or a Parquet file with a row per window.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Parquet file of the embeddings; default: in the dataset's folder."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Directory or Hub id; default: the shipped checkpoint.")] = None,
    adapt: Adapt = True,
    adapt_steps: AdaptSteps = None,
    split: Annotated[list[str] | None, typer.Option(help="With --output: split (repeatable); default: all.")] = None,
    device: Annotated[str | None, typer.Option(help="With --output: cpu, cuda, ...; default: a GPU if any.")] = None,
    bf16: Annotated[
        bool, typer.Option("--bf16", help="With --output: compute in bfloat16; embeddings differ by about 2e-3.")
    ] = False,
    computing: Computing = Computing(),
) -> None:
    """Embed windows as vectors of unit length.

    Without --output, the model is first adapted to the windows, and the embeddings are stored in the folder of the
    dataset, where `telescope cluster` finds them. With --output, the model is used without adaptation. With
    --engine spark, executors embed the windows of a dataset.

    Example: telescope embed dataset --model user/telescope-base --output embeddings.parquet
    """
    from telescope_transformer.hub import check_checkpoint

    if output is None and (split or device is not None or bf16):
        raise typer.BadParameter("--split, --device and --bf16 need --output")
    check_adaptation(context, model, adapt, used=output is None)
    check_checkpoint(model)
    if output is None or windows.is_dir():
        from telescope_transformer.preparation import read_manifest

        # Before the imports that take seconds, so that a misspelt name is told at once.
        read_manifest(windows)
    import time

    import torch

    from telescope_transformer.embedding_files import embed_files
    from telescope_transformer.model_files import load_network
    from telescope_transformer.words import counted

    if output is None:
        _into_folder(windows, model, adapt, adapt_steps, computing.settings())
        return
    loaded, encoder = load_network(model)
    begun = time.perf_counter()
    count = embed_files(
        loaded,
        encoder,
        windows,
        output,
        splits=split or (),
        device=device,
        dtype=torch.bfloat16 if bf16 else torch.float32,
    )
    seconds = time.perf_counter() - begun
    say(f"{counted(count, 'window')} embedded in {seconds:.1f} s ({count / seconds:,.0f} a second): {output}")


def _into_folder(
    work: Path, model: str | None, adapt: bool, adapt_steps: int | None, engine: "EngineSettings"
) -> None:
    """Run the adaptation and embedding stages of `telescope analyze`."""
    from telescope_transformer.analysis import AnalysisSettings, LazyEmbedder, adapt_stage, embed_stage, working_in

    settings = AnalysisSettings(model=model, adapt=adapt, adapt_steps=adapt_steps)
    with working_in(work):
        embed_stage(work, LazyEmbedder(adapt_stage(work, settings, say)), say, engine)
