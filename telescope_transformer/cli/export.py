"""`telescope export`: clusters for other tools."""

from pathlib import Path
from typing import Annotated

import typer

from telescope_transformer.progress import say


def export(
    folder: Annotated[Path, typer.Argument(help="Output folder of analyze or update.")],
    format: Annotated[
        str, typer.Option("--format", "-f", help="csv, parquet, json, stix, misp, ipset, nftables or list.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write; - is standard output.")],
    cluster: Annotated[
        list[int] | None,
        typer.Option(help="Only this cluster (repeatable); default: all. ipset, nftables and list need it."),
    ] = None,
    tlp: Annotated[
        str, typer.Option(help="Traffic Light Protocol: clear, green, amber, amber+strict or red.")
    ] = "amber",
    author: Annotated[
        str, typer.Option(help="Your organisation in STIX and MISP; object ids are derived from it.")
    ] = "telescope",
    valid_days: Annotated[int, typer.Option(help="Days after the last record for which an indicator is valid.")] = 30,
    unlabelled: Annotated[
        bool, typer.Option("--unlabelled", help="Leave out known scanners; members of botnets stay in.")
    ] = False,
    min_confidence: Annotated[int, typer.Option(help="Leave out sources below this confidence, in percent.")] = 0,
    aggregate: Annotated[
        bool, typer.Option("--aggregate", help="In lists, combine the addresses into as few prefixes as possible.")
    ] = False,
    observed: Annotated[
        bool, typer.Option("--observed", help="In STIX, leave out the indicators: only what was seen.")
    ] = False,
) -> None:
    """Export sources and clusters to CSV, Parquet, JSON, STIX 2.1, MISP, ipset, nftables or a plain list.

    Repeating an export, even on the next day of a running analysis, updates objects in MISP and STIX without creating
    duplicates. If a cluster has gone meanwhile, its export has no sources: its sets in a firewall are emptied.

    Example: telescope export out --format stix --output clusters.json --author "Example CERT" --tlp green
    Example: telescope export out -f nftables -o block.nft --cluster 3 --unlabelled --min-confidence 80 --aggregate
    """
    from telescope_transformer.export import ExportOptions, export_clusters
    from telescope_transformer.words import counted

    options = ExportOptions(
        tlp=tlp,
        author=author,
        valid_days=valid_days,
        unlabelled=unlabelled,
        min_confidence=min_confidence,
        aggregate=aggregate,
        observed=observed,
    )
    output = Path("/dev/stdout") if str(output) == "-" else output
    n_sources = export_clusters(folder, format, output, cluster or None, options, say=say)
    say(f"wrote {output}: {counted(n_sources, 'source')}")
