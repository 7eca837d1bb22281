"""`telescope adapt`: adapt a model to a telescope."""

from pathlib import Path
from typing import Annotated

import typer

from telescope_transformer.cli.options import KeepGoing, Reading, check_folder
from telescope_transformer.progress import say


def adapt(
    inputs: Annotated[list[str], typer.Argument(help="Files, folders or globs of flow records or packets.")],
    output: Annotated[Path, typer.Option("--output", "-o", file_okay=False, help="Directory of the checkpoint.")],
    reading: Reading = Reading(),
    keep_going: KeepGoing = False,
    base: Annotated[
        str | None, typer.Option(help="Checkpoint to start from: a folder or Hub name; default: the shipped one.")
    ] = None,
    from_scratch: Annotated[
        bool, typer.Option("--from-scratch", help="Start from random weights; the base only serves as a comparison.")
    ] = False,
    recipe: Annotated[str, typer.Option(help="Recipe: a YAML file, or the name of a shipped recipe.")] = "adapt",
    steps: Annotated[
        int | None,
        typer.Option(min=0, help="Training steps; 0 only centres the model; default: the recipe's."),
    ] = None,
    seconds: Annotated[float | None, typer.Option(help="Time budget in seconds, which limits the steps.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the weights, the batches and the held-out sources.")] = 0,
    cpu: Annotated[bool, typer.Option("--cpu", help="Use the CPU even if there is a GPU.")] = False,
) -> None:
    """Adapt a model to a telescope by learning from its own records, without labels.

    A tenth of the sources is held out, or more if there are few, and the base is centred on the others. The checkpoint
    has the adapted weights unless they recognise the held-out sources worse than the centred base does, by more than
    the 95 % interval. adaptation.json says which weights it has, and how both compare. Use the checkpoint with
    `telescope analyze --model`. The same command continues an interrupted adaptation.

    Example: telescope adapt flows.csv.gz --telescope 198.51.100.0/24 --output adapted
    """
    from telescope_transformer.hub import check_checkpoint

    check_checkpoint(base)
    files = reading.find(inputs, keep_going=keep_going)
    import shutil

    from telescope_transformer.analysis import LazyEmbedder
    from telescope_transformer.learning.adapt import AdaptSettings
    from telescope_transformer.learning.adapt import adapt as adapt_model
    from telescope_transformer.learning.arguments import arguments_of
    from telescope_transformer.windows import cut

    settings = AdaptSettings(
        recipe=recipe, from_scratch=from_scratch, steps=steps, seconds=seconds, seed=seed, device_cpu=cpu
    )
    # A recipe that cannot be read is found before the work.
    arguments_of(recipe, {})
    LazyEmbedder(base).check()
    check_folder(output)
    flow = reading.reader(keep_going=keep_going)(files)
    # The folder is deleted at the end, so its name must not be one that a user's own folder could have.
    work = output / ".adapting"
    adaptation = adapt_model(cut(flow.table, min_records=1), base, settings, folder=work, say=say)
    adaptation.save(output)
    shutil.rmtree(work, ignore_errors=True)
    say(f"checkpoint in {output}")
    if not keep_going:
        flow.raise_if_damaged()
