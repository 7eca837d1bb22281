"""Clusters in the formats of the tools that analysts use."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow.csv as pc_csv
import pyarrow.parquet as pq

from telescope_transformer.errors import ExportError
from telescope_transformer.export.firewall import ipset_list, nftables_list
from telescope_transformer.export.members import Members, load_members
from telescope_transformer.export.misp import misp_event
from telescope_transformer.export.stix import stix_bundle

__all__ = ["FORMATS", "Members", "export_clusters", "load_members"]


def _write_csv(members: Members, path: Path) -> None:
    pc_csv.write_csv(members.sources, path)


def _write_parquet(members: Members, path: Path) -> None:
    pq.write_table(members.sources, path, compression="zstd")


def _text_writer(render: Callable[[Members], str]) -> Callable[[Members, Path], None]:
    def write(members: Members, path: Path) -> None:
        path.write_text(render(members), encoding="utf-8")

    return write


FORMATS: dict[str, Callable[[Members, Path], None]] = {
    "csv": _write_csv,
    "parquet": _write_parquet,
    "stix": _text_writer(stix_bundle),
    "misp": _text_writer(misp_event),
    "ipset": _text_writer(ipset_list),
    "nftables": _text_writer(nftables_list),
}
# A list that blocks must be asked for by cluster: most sources of a telescope are no attackers.
NEED_CLUSTERS = ("ipset", "nftables")


def export_clusters(
    folder: str | os.PathLike[str],
    format: str,
    output: str | os.PathLike[str],
    clusters: Sequence[int] | None = None,
) -> int:
    """Write the sources of clusters in a format of `FORMATS`; returns how many sources were written.

    Args:
        folder: output of `telescope analyze` or `telescope update`.
        format: csv, parquet, stix, misp, ipset or nftables.
        output: the file to write.
        clusters: only these; the firewall formats need at least one.

    Raises:
        ExportError: for an unknown format or cluster, a missing library, or a folder that is no analysis.
    """
    if format not in FORMATS:
        raise ExportError(f"unknown format {format!r}; one of {', '.join(FORMATS)}")
    if format in NEED_CLUSTERS and not clusters:
        raise ExportError(f"{format} needs the clusters to list; choose them with --cluster")
    members = load_members(folder, clusters)
    FORMATS[format](members, Path(output))
    return members.sources.num_rows
