"""`telescope analyze`: from the files of a telescope to a report."""

from json import loads
from pathlib import Path
from typing import Annotated

import typer

from telescope_transformer.cli.options import (
    Adapt,
    AdaptSteps,
    Computing,
    Cutting,
    Granularity,
    Json,
    KeepGoing,
    Labels,
    Model,
    Networks,
    Reading,
    Seed,
    Threshold,
    TimeLimit,
    check_adaptation,
    check_folder,
    keeping_rejects,
    print_json,
)
from telescope_transformer.progress import say


def analyze(
    context: typer.Context,
    inputs: Annotated[list[str], typer.Argument(help="Files, folders or globs of flow records or packets.")],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", file_okay=False, writable=True, help="Folder for the report and the tables."),
    ] = Path("out"),
    reading: Reading = Reading(),
    keep_going: KeepGoing = False,
    labels: Labels = None,
    networks: Networks = None,
    model: Model = None,
    adapt: Adapt = True,
    adapt_steps: AdaptSteps = None,
    threshold: Threshold = None,
    cutting: Cutting = Cutting(),
    granularity: Granularity = False,
    time_limit: TimeLimit = 60.0,
    seed: Seed = 0,
    work: Annotated[
        Path | None,
        typer.Option(
            file_okay=False,
            help="Folder to keep windows, embeddings and clusters in, so that a later run reuses them.",
        ),
    ] = None,
    computing: Computing = Computing(),
    json: Json = False,
) -> None:
    """Cluster the sources of flow records by their behaviour, and write a report.

    Writes report.html, windows.parquet, sources.parquet, clusters.json, rejects.parquet and sensors.json. If there are
    enough sources, the model is first adapted to the records, without labels. The adapted checkpoint is in model/; use
    it with --model in later analyses.

    Example: telescope analyze flows.csv.gz --columns timestamp=ts,src_ip=source,dst_ip=destination --output out
    """
    from telescope_transformer.hub import check_checkpoint

    check_adaptation(context, model, adapt)
    check_checkpoint(model)
    files = reading.find(inputs, keep_going=keep_going)
    from telescope_transformer.analysis import AnalysisSettings
    from telescope_transformer.analysis import analyze as analyze_records
    from telescope_transformer.labels import read_owners
    from telescope_transformer.records import scan_records

    settings = AnalysisSettings(
        model=model,
        adapt=adapt,
        adapt_steps=adapt_steps,
        threshold=threshold,
        granularity=granularity,
        time_limit=time_limit,
        seed=seed,
        # A table that cannot be read is found before the work.
        networks=read_owners(networks or ()),
        **vars(cutting),
    )
    scan = scan_records(files, **reading.arguments(keep_going=keep_going))
    check_folder(output)
    with keeping_rejects(scan, output):
        found = analyze_records(
            scan,
            settings,
            work=work,
            engine=computing.settings(),
            labels=labels,
            keep_model=output / "model",
            say=say,
        )
    report = found.write(output)
    say(f"open {report}")
    if json:
        summary = loads((output / "clusters.json").read_text(encoding="utf-8"))
        print_json({"report": report} | {name: value for name, value in summary.items() if name != "clusters"})
    if not keep_going:
        scan.raise_if_damaged()
