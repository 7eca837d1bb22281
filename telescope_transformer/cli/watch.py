"""`telescope watch`: a running analysis that takes files as they appear."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from telescope_transformer.cli.options import Columns, Format, Inactivity, Keep, Labels, Networks, PerPacket, Prefixes

# A bound is proved anew for each file, while the next one may be waiting.
SECONDS_FOR_BOUND = 5.0


def watch(
    folder: Annotated[Path, typer.Argument(help="Folder to which new files come.", exists=True, file_okay=False)],
    state: Annotated[Path, typer.Option(help="State file of the running analysis.")] = Path("state.duckdb"),
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", file_okay=False, writable=True, help="Write the report and tables anew after each file."
        ),
    ] = None,
    columns: Columns = None,
    format: Format = "auto",
    per_packet: PerPacket = False,
    inactivity: Inactivity = 60.0,
    telescope: Prefixes = None,
    labels: Labels = None,
    networks: Networks = None,
    model: Annotated[str | None, typer.Option(help="Checkpoint; the first file fixes it.")] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Cosine at which a pair weighs 0; the first fixes it.")
    ] = None,
    on_new: Annotated[
        str | None,
        typer.Option(
            help="Command that is run, not by a shell, when clusters are new; it gets them as JSON on its input."
        ),
    ] = None,
    window: Annotated[
        int | None, typer.Option(min=1, help="Most records in a window; the first file fixes it, or 128.")
    ] = None,
    min_records: Annotated[
        int | None, typer.Option(min=1, help="Fewest records in a window; the first file fixes it, or 8.")
    ] = None,
    keep: Keep = None,
    interval: Annotated[float, typer.Option(help="Seconds between two looks.")] = 10.0,
    once: Annotated[bool, typer.Option("--once", help="End when all files that are there have been taken.")] = False,
) -> None:
    """Take files into a running analysis as they appear; Ctrl-C ends it, and the next run goes on where it was.

    A file is taken when its size has not changed between two looks; one that cannot be read is named and left.

    Example: telescope watch captures/ --state state.duckdb --output out --on-new "notify --channel soc"
    """
    from telescope_transformer.analysis import Settings
    from telescope_transformer.cli.options import check_model, days_of, file_reader, tell
    from telescope_transformer.errors import InputError
    from telescope_transformer.update import State, update
    from telescope_transformer.update.news import NewsTeller
    from telescope_transformer.update.running import settings_of
    from telescope_transformer.update.summary import summarise
    from telescope_transformer.update.watching import new_files

    check_model(model)
    # Checks the threshold before a state is made.
    Settings(threshold=threshold)
    read = file_reader(
        labels, columns=columns, format=format, per_packet=per_packet, inactivity=inactivity, telescope=telescope
    )
    looks = iter([False, True])
    teller = None if on_new is None else NewsTeller(on_new, say=tell)
    with State(state) as opened:
        settings = partial(
            settings_of, opened, model=model, threshold=threshold, window=window, min_records=min_records
        )
        for path in new_files(folder, interval=interval, stop=lambda: once and next(looks, True)):
            try:
                done = update(opened, [path], read, settings(), keep_days=days_of(keep), say=tell)
            except (InputError, OSError) as error:
                tell(f"error: {error}")
                continue
            if done and (output is not None or teller is not None):
                whole = summarise(opened, time_limit=SECONDS_FOR_BOUND, networks=networks or ())
                if output is not None:
                    tell(f"open {whole.write(output)}")
                if teller is not None:
                    teller.tell(whole.report_data().first_screen()["new"])
