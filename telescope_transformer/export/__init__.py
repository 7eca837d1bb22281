"""Exports clusters in the formats of the tools that analysts use."""

import os
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import pyarrow.csv as pc_csv
import pyarrow.parquet as pq

from telescope_transformer.errors import ExportError
from telescope_transformer.export.firewall import ipset_list, nftables_list, plain_list
from telescope_transformer.export.members import Members, load_members
from telescope_transformer.export.misp import misp_event
from telescope_transformer.export.options import DEFAULTS, TLP, ExportOptions
from telescope_transformer.export.stix import stix_bundle
from telescope_transformer.export.tables import csv_table, json_text, source_table
from telescope_transformer.files import replacing
from telescope_transformer.plugins import load_plugins
from telescope_transformer.progress import Say, say_nothing
from telescope_transformer.report.folder import FILES

__all__ = ["FORMATS", "TLP", "ExportOptions", "Members", "export_clusters", "formats", "load_members"]

Writer = Callable[[Members, ExportOptions, Path], None]


def _text(render: Callable[[Members, ExportOptions], str]) -> Writer:
    def write(members: Members, options: ExportOptions, path: Path) -> None:
        path.write_text(render(members, options), encoding="utf-8")

    return write


FORMATS: dict[str, Writer] = {
    "csv": lambda members, _, path: pc_csv.write_csv(csv_table(members), path),
    "parquet": lambda members, _, path: pq.write_table(source_table(members), path, compression="zstd"),
    "json": _text(json_text),
    "stix": _text(stix_bundle),
    "misp": _text(misp_event),
    "ipset": _text(ipset_list),
    "nftables": _text(nftables_list),
    "list": _text(plain_list),
}
# Other packages add formats through entry points of this group. Each entry point is a `Writer`.
ENTRY_POINTS = "telescope_transformer.exporters"
# Lists for firewalls are written only for named clusters, since most sources of a telescope are not attackers.
NEED_CLUSTERS = ("ipset", "nftables", "list")


@cache
def formats() -> dict[str, Writer]:
    """All formats by name: formats of other packages, and our own, which other packages cannot replace.

    Raises:
        ExportError: if an exporter of another package cannot be loaded.
    """
    others: dict[str, Writer] = load_plugins(ENTRY_POINTS, "exporter", callable, ExportError)
    return others | FORMATS


def export_clusters(
    folder: str | os.PathLike[str],
    format: str,
    output: str | os.PathLike[str],
    clusters: Sequence[int] | None = None,
    options: ExportOptions = DEFAULTS,
    say: Say = say_nothing,
) -> int:
    """Write the sources of clusters in one of the `formats`. Returns the number of sources written.

    The file is written under a temporary name and then renamed, so a full disk leaves an existing file unchanged. A
    cluster of a running analysis that has ended is exported without sources, which empties its sets in a firewall.

    Args:
        folder: output of `telescope analyze` or `telescope update`.
        format: the name of a format.
        output: the file to write.
        clusters: export only these clusters; None exports all. Firewall lists need at least one.
        options: which sources are left out, the author of the export, and how far it may be shared.
        say: prints what became of clusters that have ended.

    Raises:
        ExportError: if the format or a cluster is unknown, or the folder is not the output of an analysis.
        InputError: if the disk is full.
        MissingExtraError: if the library of the format is not installed.
    """
    if format not in formats():
        raise ExportError(f"unknown format {format!r}; formats are {', '.join(formats())}")
    if format in NEED_CLUSTERS and not clusters:
        raise ExportError(f"{format} needs the clusters to list; choose them with --cluster")
    target = Path(output).resolve()
    if target.parent == Path(folder).resolve() and target.name in FILES:
        raise ExportError(f"{output} is a file of the analysis, which an export would replace: choose another name")
    members = load_members(folder, clusters, options)
    for cluster, fate in members.gone.items():
        say(f"cluster {cluster} has no sources any more: {fate}")
    if not members.sources.num_rows and not members.gone:
        limits = {"--unlabelled": options.unlabelled, "--min-confidence": options.min_confidence}
        left_out = " and ".join(name for name, given in limits.items() if given)
        say(f"no source is exported: {left_out} left out all of them" if left_out else "no source is in a cluster")
    with replacing(Path(output)) as partial:
        formats()[format](members, options, partial)
    return int(members.sources.num_rows)
