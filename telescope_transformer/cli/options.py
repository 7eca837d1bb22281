"""Options and helpers that several commands share."""

import json as json_module
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from telescope_transformer.progress import say

if TYPE_CHECKING:
    from telescope_transformer.preparation import EngineSettings
    from telescope_transformer.records import FlowRecords, RecordScan
    from telescope_transformer.records.files import InputFile
    from telescope_transformer.update import State

Columns = Annotated[
    str | None,
    typer.Option(help="Field=column pairs, comma-separated, for tables and JSON: timestamp=ts,src_ip=source,..."),
]
Format = Annotated[str, typer.Option(help="Input format; auto tells by content.")]
PerPacket = Annotated[bool, typer.Option("--per-packet", help="Make a record of each packet instead of each flow.")]
Inactivity = Annotated[
    float, typer.Option(min=0.0, help="Seconds of silence that end a flow record of packets.", show_default=True)
]
Prefixes = Annotated[
    list[str] | None,
    typer.Option(help="Prefix of the telescope (repeatable); only traffic to it is read."),
]
KeepGoing = Annotated[bool, typer.Option("--keep-going", help="Continue after damaged files, and exit with success.")]
Daily = Annotated[
    bool,
    typer.Option("--daily", help="Write to a folder for each day below --output, named by its date."),
]
StateFile = Annotated[Path, typer.Option("--state", dir_okay=False, help="State file of the running analysis.")]
STATE = Path("state.duckdb")
ReportFolder = Annotated[
    Path | None,
    typer.Option("--output", "-o", file_okay=False, writable=True, help="Folder for the report and the tables."),
]
Networks = Annotated[
    list[Path] | None,
    typer.Option(
        "--networks",
        "--mmdb",
        exists=True,
        dir_okay=False,
        help="Who announces each address (repeatable): MMDB file, iptoasn TSV, or CSV of prefix,name.",
    ),
]
TimeLimit = Annotated[
    float,
    typer.Option(min=0.0, help="Most seconds for the proof of the lower bound, which ends early at a gap of 1 %."),
]
Model = Annotated[str | None, typer.Option(help="Checkpoint: a folder or a Hub name; default: the shipped one.")]
Threshold = Annotated[float | None, typer.Option(help="Cosine at which a pair neither attracts nor repels.")]
Window = Annotated[int, typer.Option(min=1, help="Most records in a window.")]
Adapt = Annotated[
    bool,
    typer.Option(help="Without --model: first train the shipped model on these records; --no-adapt only centres it."),
]
AdaptSteps = Annotated[
    int | None,
    typer.Option(min=1, help="Training steps of the adaptation; default: 200."),
]
MinRecords = Annotated[int, typer.Option(min=1, help="Fewest records in a window.")]
SessionGap = Annotated[
    float | None,
    typer.Option(help="Seconds of silence after which a window may end; default: by count alone."),
]
Seed = Annotated[int, typer.Option(help="Seed of the clustering.")]
Granularity = Annotated[bool, typer.Option(help="Cluster at several thresholds, to show which clusters are stable.")]
Json = Annotated[bool, typer.Option("--json", help="Print a summary as JSON on stdout; messages stay on stderr.")]
Keep = Annotated[
    str | None,
    typer.Option(help="Drop windows and records this long after the newest one, such as 30d or 12h; default: never."),
]
Labels = Annotated[Path | None, typer.Option(help="Folder of scanner lists, one file per organisation.")]


def print_json(summary: Any) -> None:
    """Print the result of a command as one JSON document on stdout.

    Raises:
        InputError: if it cannot be written.
    """
    from telescope_transformer.files import written_in

    with written_in(Path("stdout")):
        typer.echo(json_module.dumps(summary, indent=1, default=str))


def check_folder(output: Path) -> None:
    """Check that the folder of the results can be created and written, before a command works for long.

    A folder that does not exist is not left behind: a command that fails leaves none.

    Raises:
        InputError: if it cannot be created or written, or its name is not UTF-8.
    """
    from tempfile import TemporaryFile

    from telescope_transformer.errors import InputError
    from telescope_transformer.files import check_name

    check_name(output)
    try:
        new = [folder for folder in (output, *output.parents) if not folder.exists()]
        output.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=output):
            pass
        for folder in new:
            folder.rmdir()
    except OSError as error:
        raise InputError(f"{output}: cannot write to this folder: {error.strerror or error}") from error


def origin(context: typer.Context, name: str) -> str:
    """Where the value of a parameter is from: COMMANDLINE, ENVIRONMENT, DEFAULT_MAP (`telescope.toml`) or DEFAULT.

    It is a name, because the enumeration belongs to click or to typer's copy of it, depending on the version of typer.
    """
    return getattr(context.get_parameter_source(name), "name", "")


def refuse_unused(context: typer.Context, names: Collection[str], when: str) -> None:
    """Refuse options of the command line that have no effect.

    Variables and `telescope.toml` may hold them for other uses of the command.

    Args:
        context: the context of the command.
        names: names of the parameters that have no effect.
        when: end of the message, such as "with --model".

    Raises:
        typer.BadParameter: names the option; the command ends with status 2.
    """
    for parameter in context.command.params:
        if parameter.name in names and origin(context, parameter.name) == "COMMANDLINE":
            raise typer.BadParameter(f"{parameter.opts[0]} has no effect {when}")


def check_adaptation(context: typer.Context, model: str | None, adapt: bool | None, *, used: bool = True) -> None:
    """Refuse options of an adaptation that is not done.

    Args:
        context: the context of the command.
        model: value of --model; a given model is not adapted.
        adapt: value of --adapt.
        used: whether the command adapts a model at all; `embed --output` does not.

    Raises:
        typer.BadParameter: names the option.
    """
    # --no-adapt asks for what happens anyway.
    without_effect = {"adapt", "adapt_steps"} if adapt else {"adapt_steps"}
    if not used:
        refuse_unused(context, without_effect, "with --output")
    if model is not None:
        refuse_unused(context, without_effect, "with --model")
    if adapt is False:
        refuse_unused(context, {"adapt_steps"}, "with --no-adapt")


@dataclass(frozen=True)
class Reading:
    """Options for reading flow records."""

    columns: Columns = None
    format: Format = "auto"
    per_packet: PerPacket = False
    inactivity: Inactivity = 60.0
    telescope: Prefixes = None

    def arguments(self, *, keep_going: bool = False) -> dict[str, Any]:
        """The options as arguments of `records.read_records` and `records.scan_records`."""
        from telescope_transformer.records import parse_mapping

        return {
            "columns": parse_mapping(self.columns) if self.columns else None,
            "format": self.format,
            "per_packet": self.per_packet,
            "inactivity_seconds": self.inactivity,
            "telescope": self.telescope or (),
            "keep_going": keep_going,
        }

    def find(self, inputs: Sequence[str], *, keep_going: bool = False) -> "list[InputFile]":
        """Find the files of the inputs, and recognise the format of the first.

        A command calls this before it imports libraries that take seconds, so that a misspelt name is told at once.

        Raises:
            InputError: if an input does not exist, or the first is empty or not of flow records.
        """
        from telescope_transformer.records.files import find_inputs
        from telescope_transformer.records.registry import find_format

        files = find_inputs(inputs)
        # In folders, files of other kinds are skipped.
        if files[0].given and not keep_going:
            find_format(files[0], self.format)
        return files

    def reader(
        self, labels: Path | None = None, *, keep_going: bool = False
    ) -> Callable[[Sequence["str | Path | InputFile"]], "FlowRecords"]:
        """Create a function that reads inputs, prints a summary, and adds labels and tools.

        Args:
            labels: folder of scanner lists, read once; None adds no labels.
            keep_going: whether to continue after damage in a file.
        """
        from dataclasses import replace

        from telescope_transformer.labels import add_tools, label_records, read_labels
        from telescope_transformer.records import read_records

        arguments = self.arguments(keep_going=keep_going)
        lists = None if labels is None else read_labels(labels)
        if lists is not None:
            say(lists.summary())

        def read(inputs: Sequence["str | Path | InputFile"]) -> "FlowRecords":
            flow = read_records(inputs, **arguments)
            say(flow.summary())
            # Tools are recognised by these header fields alone.
            known = not {"ip_id", "tcp_seq"}.isdisjoint(flow.table.column_names)
            table = add_tools(flow.table) if known else flow.table
            return replace(flow, table=table if lists is None else label_records(table, lists))

        return read

    def file_reader(self, labels: Path | None) -> Callable[[Path], "FlowRecords"]:
        """Create a function that reads one file, and rejects it as a whole if it is damaged."""
        read = self.reader(labels)

        def read_file(path: Path) -> "FlowRecords":
            flow = read([path])
            flow.raise_if_damaged()
            return flow

        return read_file


@dataclass(frozen=True)
class Cutting:
    """Options for cutting records into windows."""

    window: Window = 128
    min_records: MinRecords = 1
    session_gap: SessionGap = None


@dataclass(frozen=True)
class Computing:
    """Options of the engine that sorts the records, or embeds and assigns windows."""

    engine: Annotated[str, typer.Option(help="duckdb (in this process, spills to disk) or spark (on a cluster).")] = (
        "duckdb"
    )
    master: Annotated[str, typer.Option(help="Spark's master: local[2], spark://host:7077, ...")] = "local[*]"
    memory_limit: Annotated[str, typer.Option(help="Memory limit of DuckDB, or of Spark's driver and executors.")] = (
        "4GB"
    )

    def settings(self) -> "EngineSettings":
        """The options as settings of `preparation`."""
        from telescope_transformer.preparation import EngineSettings

        return EngineSettings(**vars(self))


@dataclass(frozen=True)
class Running:
    """Options that the first step of a running analysis fixes, and the retention time."""

    model: Annotated[str | None, typer.Option(help="Checkpoint; the first file fixes it.")] = None
    threshold: Annotated[
        float | None,
        typer.Option(help="Cosine at which a pair neither attracts nor repels; default: calibrated."),
    ] = None
    window: Annotated[
        int | None, typer.Option(min=1, help="Most records in a window; the first file fixes it, or 128.")
    ] = None
    min_records: Annotated[
        int | None,
        typer.Option(
            min=1, help="Fewest records in a window; default: as before, or 1. More than 8: fixed by the first file."
        ),
    ] = None
    adapt: Annotated[
        bool | None,
        typer.Option(
            "--adapt/--no-adapt",
            help="Without --model: let the shipped model learn from the records, without labels; "
            "default: as before, or --adapt.",
        ),
    ] = None
    keep: Keep = None

    def check(self) -> None:
        """Check the threshold before a state is created."""
        from telescope_transformer.analysis import AnalysisSettings

        AnalysisSettings(threshold=self.threshold)

    def settings(self, state: "State") -> Any:
        """The settings of a step; options that are not given come from the state."""
        from telescope_transformer.update.running import settings_of

        return settings_of(
            state,
            model=self.model,
            threshold=self.threshold,
            window=self.window,
            min_records=self.min_records,
            adapt=self.adapt,
        )


def days_of(keep: str | None) -> float | None:
    """Convert a time such as "30d", "12h" or "4w" to days; other text is a usage error."""
    if keep is None:
        return None
    number, unit = keep[:-1], {"h": 1 / 24, "d": 1.0, "w": 7.0}.get(keep[-1:])
    try:
        days = float(number) * unit if unit else 0.0
    except ValueError:
        days = 0.0
    if not 0 < days < 1e6:
        raise typer.BadParameter(f"{keep!r} is not a time such as 30d, 12h or 4w")
    return days


@contextmanager
def keeping_rejects(scan: "RecordScan", output: Path) -> Iterator[None]:
    """Write the rejected rows to the output folder even if the block fails because no row was kept."""
    from telescope_transformer.errors import InputError

    try:
        yield
    except InputError:
        if scan.rejects.num_rows and not scan.counts.kept:
            import pyarrow.parquet as pq

            output.mkdir(parents=True, exist_ok=True)
            pq.write_table(scan.rejects, output / "rejects.parquet", compression="zstd")
            say(f"{output / 'rejects.parquet'} lists the rejected rows")
        raise
