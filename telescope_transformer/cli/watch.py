"""`telescope watch`: add files to a running analysis as they appear."""

from pathlib import Path
from typing import Annotated

import typer

from telescope_transformer.cli.options import (
    STATE,
    Daily,
    Labels,
    Networks,
    Reading,
    ReportFolder,
    Running,
    StateFile,
    check_adaptation,
    check_folder,
    days_of,
)
from telescope_transformer.progress import say, say_error

# Short, because the bound is proved again for each file while the next one may be waiting.
SECONDS_FOR_BOUND = 5.0


def watch(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Folder to which new files come.", exists=True, file_okay=False)],
    state: StateFile = STATE,
    output: ReportFolder = None,
    daily: Daily = False,
    reading: Reading = Reading(),
    labels: Labels = None,
    networks: Networks = None,
    running: Running = Running(),
    on_new: Annotated[
        str | None,
        typer.Option(
            help="Command to run (without a shell) when there are new clusters; it gets them as JSON on its stdin."
        ),
    ] = None,
    interval: Annotated[float, typer.Option(min=0.0, max=86_400.0, help="Seconds between two checks.")] = 10.0,
    once: Annotated[bool, typer.Option("--once", help="End when all present files have been added.")] = False,
) -> None:
    """Add files to a running analysis as they appear; Ctrl-C ends it, and the next run continues.

    A file is added when it has not changed between two checks; what it gains later is added too. A file that
    cannot be read is reported and skipped.

    Example: telescope watch captures/ --state state.duckdb --output out --on-new "notify --channel soc"
    """
    from telescope_transformer.hub import check_checkpoint

    check_adaptation(context, running.model, running.adapt)
    check_checkpoint(running.model)
    from telescope_transformer.analysis import LazyEmbedder
    from telescope_transformer.errors import InputError
    from telescope_transformer.labels import read_owners
    from telescope_transformer.update import State, update
    from telescope_transformer.update.notifier import Notifier
    from telescope_transformer.update.summary import folder_of, is_shown, summarise
    from telescope_transformer.update.watching import new_files

    running.check()
    # Otherwise a damaged one would be found when the first file has come.
    LazyEmbedder(running.model).check()
    if output is not None:
        check_folder(output)
    # A table that cannot be read is found now. It is read again with each file, since it may have been renewed.
    read_owners(networks or ())
    keep_days = days_of(running.keep)
    read = reading.file_reader(labels)
    looks = iter([False, True])
    notifier = None if on_new is None else Notifier(on_new, say_error=say_error)

    def report(opened: State) -> None:
        if output is None and notifier is None:
            return
        whole = summarise(opened, time_limit=SECONDS_FOR_BOUND, networks=networks or (), say=say)
        if output is not None:
            say(f"open {whole.write(folder_of(whole, output, daily=daily))}")
        if notifier is not None:
            notifier.notify(whole.report_data().new_clusters(), opened)

    with State(state) as opened:
        # The last run may have been killed between adding a file and reporting it.
        if opened.inputs().num_rows and (output is None or not is_shown(opened, output)):
            report(opened)
        for path in new_files(folder, interval=interval, stop=lambda: once and next(looks, True)):
            try:
                done = update(opened, [path], read, running.settings(opened), keep_days=keep_days, say=say)
            except (InputError, OSError) as error:
                say_error(error)
                continue
            if done:
                report(opened)
