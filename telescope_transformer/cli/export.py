"""`telescope export`: clusters for other tools."""

from pathlib import Path
from typing import Annotated

import typer


def export(
    folder: Annotated[Path, typer.Argument(help="Output folder of analyze or update.")],
    format: Annotated[str, typer.Option("--format", "-f", help="csv, parquet, stix, misp, ipset or nftables.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")],
    cluster: Annotated[list[int] | None, typer.Option(help="Only this cluster (repeatable); default: all.")] = None,
) -> None:
    """Write sources and their clusters as CSV, Parquet, STIX 2.1, MISP event, ipset or nftables list.

    Example: telescope export out --format stix --output clusters.json --cluster 3 --cluster 7
    """
    from telescope_transformer.cli.options import tell
    from telescope_transformer.export import export_clusters

    n_sources = export_clusters(folder, format, output, cluster or None)
    tell(f"wrote {output}: {n_sources:,} sources")
