"""`telescope report`: the report of a work folder with clusters, or of an existing analysis."""

from pathlib import Path
from typing import Annotated

import typer

from telescope_transformer.cli.options import Granularity, Networks, Seed, check_folder, print_json
from telescope_transformer.progress import say


def report(
    folder: Annotated[
        Path,
        typer.Argument(
            file_okay=False,
            exists=True,
            help="Folder that prepare, embed and cluster worked in, or output folder of analyze or update.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            file_okay=False,
            writable=True,
            help="Folder for the report and the tables; default: out, or the folder of the analysis itself.",
        ),
    ] = None,
    networks: Networks = None,
    granularity: Granularity = False,
    seed: Seed = 0,
    json: Annotated[
        bool, typer.Option("--json", help="Print the content of the first screen as JSON on stdout.")
    ] = False,
) -> None:
    """Describe the clusters of a work folder (the last stage of `telescope analyze`), or rewrite a report.

    For a work folder, writes report.html, windows.parquet, sources.parquet, clusters.json, rejects.parquet and
    sensors.json. For the output of an analysis, rewrites report.html, or nothing with --json.

    Example: telescope report dataset --output out
    Example: telescope report out --json
    """
    from telescope_transformer.report import read_folder, refuse_several, write_report

    # A work folder has neither.
    if (folder / "clusters.json").exists() or (folder / "windows.parquet").exists():
        if networks or granularity:
            raise typer.BadParameter(
                f"--networks and --granularity are for a work folder; {folder} is the output of an analysis"
            )
        data = read_folder(folder).report_data()
        if not json:
            target = (output or folder) / "report.html"
            target.parent.mkdir(parents=True, exist_ok=True)
            write_report(target, data)
            say(f"open {target}")
    else:
        refuse_several(folder)
        from telescope_transformer.analysis import AnalysisSettings, LazyEmbedder, describe, model_of, working_in
        from telescope_transformer.labels import read_owners

        settings = AnalysisSettings(granularity=granularity, networks=read_owners(networks or ()), seed=seed)
        check_folder(output or Path("out"))
        with working_in(folder):
            found = describe(folder, settings, embed=LazyEmbedder(model_of(folder)), say=say)
        say(f"open {found.write(output or Path('out'))}")
        data = found.report_data()
    if json:
        print_json(data.first_screen())
