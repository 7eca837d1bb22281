"""`telescope compare`: what changed between two analyses."""

from pathlib import Path
from typing import Annotated

import typer

from telescope_transformer.cli.options import check_folder, print_json
from telescope_transformer.progress import printable, say

# The most lines that are printed, which fit on a screen.
MOST_LINES = 20


def compare(
    before: Annotated[
        Path, typer.Argument(help="Output folder of the older analysis, or one of update --daily: its last two days.")
    ],
    after: Annotated[Path | None, typer.Argument(help="Output folder of the newer analysis.")] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", file_okay=False, help="Folder for compare.html, changes.csv and moved.csv."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
) -> None:
    """Compare two analyses: clusters that appeared, disappeared, grew, merged or split, and sources that moved.

    Clusters are matched by their common sources.

    Example: telescope compare out-monday out-tuesday --output changes
    Example: telescope compare out/2026-01-14 out/2026-01-15
    Example: telescope compare out
    """
    import pyarrow.csv as pc_csv

    from telescope_transformer.errors import InputError
    from telescope_transformer.export.tables import without_formulas
    from telescope_transformer.files import replacing_files
    from telescope_transformer.report import analyses_below, read_folder
    from telescope_transformer.report.compare import compare as compare_folders
    from telescope_transformer.report.rendering import render_comparison
    from telescope_transformer.words import counted

    if output is not None:
        check_folder(output)
    if after is None:
        days = analyses_below(before)
        if len(days) < 2:
            raise InputError(f"{before}: give two analyses, or a folder with several days (update --daily)")
        before, after = days[1], days[0]
    found = compare_folders(read_folder(before, embeddings=False), read_folder(after, embeddings=False))
    if json:
        summary = {"names": found.names, "totals": found.totals(), "alone": found.n_alone, "clusters": found.clusters}
        print_json(summary | {"moved": found.moved.to_pylist()})
    else:
        said = found.sentences()
        n_more = len(said) - MOST_LINES
        more = [f"and {counted(n_more, 'more change')}; --output and --json have all"] if n_more > 0 else []
        typer.echo(printable("\n".join([*said[:MOST_LINES], *more])))
    if output is not None:
        with replacing_files(output, last="compare.html") as partial:
            (partial / "compare.html").write_text(render_comparison(found), encoding="utf-8")
            pc_csv.write_csv(without_formulas(found.table()), partial / "changes.csv")
            pc_csv.write_csv(found.moved, partial / "moved.csv")
        say(f"open {output / 'compare.html'}")
