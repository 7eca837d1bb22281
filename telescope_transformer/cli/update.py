"""`telescope update`: add new files to a running analysis."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from telescope_transformer.cli.options import (
    STATE,
    Daily,
    Granularity,
    Json,
    Labels,
    Networks,
    Reading,
    ReportFolder,
    Running,
    StateFile,
    TimeLimit,
    check_adaptation,
    check_folder,
    days_of,
    print_json,
)
from telescope_transformer.progress import say, say_error


def update(
    context: typer.Context,
    inputs: Annotated[list[str] | None, typer.Argument(help="New files, folders or globs, oldest first.")] = None,
    state: StateFile = STATE,
    output: ReportFolder = None,
    daily: Daily = False,
    reading: Reading = Reading(),
    labels: Labels = None,
    networks: Networks = None,
    running: Running = Running(),
    granularity: Granularity = False,
    time_limit: TimeLimit = 60.0,
    json: Json = False,
) -> None:
    """Add new files to a running analysis. Clusters keep their numbers, and known files are skipped.

    The first call creates the state file. Each file is one transaction: after a kill at any moment, run the same
    command again. If a known file has grown, only the new part is added. A file that cannot be read does not stop the
    others.

    Example: telescope update monday.csv.gz tuesday.csv.gz --state state.duckdb --output out
    """
    from telescope_transformer.hub import check_checkpoint

    check_adaptation(context, running.model, running.adapt)
    check_checkpoint(running.model)
    from telescope_transformer.records.files import find_inputs

    # Before the imports that take seconds, so that a misspelt name is told at once.
    wants_more = output is not None or running.keep is not None
    state, inputs = _state_and_inputs(state, inputs or [], wants_more)
    files = find_inputs(inputs) if inputs else []
    from telescope_transformer.errors import InputError
    from telescope_transformer.labels import read_owners
    from telescope_transformer.update import State
    from telescope_transformer.update import update as take
    from telescope_transformer.update.summary import folder_of, summarise

    running.check()
    if output is not None:
        check_folder(output)
    owners = read_owners(networks or ())
    read = reading.file_reader(labels)
    keep_days = days_of(running.keep)
    report: Path | None = None
    refused: list[InputError] = []

    def refuse(error: InputError) -> None:
        refused.append(error)
        say_error(error)

    with State(state) as opened:
        steps = take(opened, files, read, running.settings(opened), keep_days=keep_days, refuse=refuse, say=say)
        if output is not None:
            whole = summarise(opened, time_limit=time_limit, networks=owners, granularity=granularity, say=say)
            report = whole.write(folder_of(whole, output, daily=daily))
            say(f"open {report}")
    if json:
        print_json({"report": report, "files": [asdict(step) for step in steps]})
    if refused:
        raise typer.Exit(1)


def _state_and_inputs(state: Path, inputs: list[str], wants_more: bool) -> tuple[Path, list[str]]:
    """The state file, which may be the first argument, and the other inputs.

    Args:
        state: value of --state.
        inputs: the arguments.
        wants_more: whether an option asks for something besides adding inputs.
    """
    from telescope_transformer.errors import StateError

    if inputs and _is_state(Path(inputs[0])):
        state, inputs = Path(inputs[0]), inputs[1:]
    if not inputs and not wants_more:
        raise typer.BadParameter("give files to add, --output for the report, or --keep to delete what is older")
    if not inputs and not state.exists():
        raise StateError(f"{state}: no such state; it begins with the first files")
    return state, inputs


def _is_state(first: Path) -> bool:
    """Whether the first argument is the state, as in version 0.1.0: a DuckDB file, even a new one."""
    from telescope_transformer.files import is_database

    if first.is_file():
        return is_database(first)
    # A new file of any other name is a misspelt input, which must not become a state.
    return not first.exists() and first.suffix in (".duckdb", ".db")
