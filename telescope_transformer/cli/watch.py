"""`telescope watch`: a running analysis that takes files as they appear."""

from pathlib import Path
from typing import Annotated

import typer

from telescope_transformer.cli.options import Labels, Networks, Reading, Running

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
    reading: Reading = Reading(),
    labels: Labels = None,
    networks: Networks = None,
    running: Running = Running(),
    on_new: Annotated[
        str | None,
        typer.Option(
            help="Command that is run, not by a shell, when clusters are new; it gets them as JSON on its input."
        ),
    ] = None,
    interval: Annotated[float, typer.Option(help="Seconds between two looks.")] = 10.0,
    once: Annotated[bool, typer.Option("--once", help="End when all files that are there have been taken.")] = False,
) -> None:
    """Take files into a running analysis as they appear; Ctrl-C ends it, and the next run goes on where it was.

    A file is taken when its size has not changed between two looks; one that cannot be read is named and left.

    Example: telescope watch captures/ --state state.duckdb --output out --on-new "notify --channel soc"
    """
    from telescope_transformer.cli.options import days_of, tell
    from telescope_transformer.errors import InputError
    from telescope_transformer.update import State, update
    from telescope_transformer.update.news import NewsTeller
    from telescope_transformer.update.summary import summarise
    from telescope_transformer.update.watching import new_files

    running.check()
    read = reading.file_reader(labels)
    looks = iter([False, True])
    teller = None if on_new is None else NewsTeller(on_new, say=tell)
    with State(state) as opened:
        for path in new_files(folder, interval=interval, stop=lambda: once and next(looks, True)):
            try:
                done = update(
                    opened, [path], read, running.settings(opened), keep_days=days_of(running.keep), say=tell
                )
            except (InputError, OSError) as error:
                tell(f"error: {error}")
                continue
            if done and (output is not None or teller is not None):
                whole = summarise(opened, time_limit=SECONDS_FOR_BOUND, networks=networks or ())
                if output is not None:
                    tell(f"open {whole.write(output)}")
                if teller is not None:
                    teller.tell(whole.report_data().first_screen()["new"])
