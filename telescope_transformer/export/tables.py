"""The sources as CSV, Parquet and JSON, each with the name of its cluster."""

import json
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.arrays import with_column
from telescope_transformer.export.members import Members
from telescope_transformer.export.options import DEFAULTS, ExportOptions
from telescope_transformer.report.columns import with_timestamps
from telescope_transformer.words import iso_time

TIMES = ("first_seen", "last_seen")
# Spreadsheets treat a cell that begins like this as a formula (OWASP, CSV Injection).
FORMULA = r"^[=+\-@\t\r|%]"
# Control characters but tabs and line ends, which a terminal that shows the file would obey.
_CONTROL = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"


def source_table(members: Members) -> pa.Table:
    """The sources, with the name of each cluster after its number, and times as UTC timestamps."""
    table = members.sources
    names = {cluster: members.name(cluster) for cluster in members.clusters}
    column = pa.array([names[cluster] for cluster in table["cluster"].to_pylist()], pa.string())
    table = table.add_column(table.column_names.index("cluster") + 1, "name", column)
    return with_timestamps(table)


def csv_table(members: Members) -> pa.Table:
    """`source_table` for a spreadsheet: ISO 8601 times, and no text that would run as a formula."""
    table = source_table(members)
    for name in TIMES:
        texts = pa.array([iso_time(time) for time in members.sources[name].to_pylist()], pa.string())
        table = with_column(table, name, texts)
    return without_formulas(table)


def without_formulas(table: pa.Table) -> pa.Table:
    """Change all text that a spreadsheet would run as a formula, or a terminal as a command."""
    for field in table.schema:
        if pa.types.is_string(field.type) or pa.types.is_large_string(field.type):
            table = with_column(table, field.name, _harmless(table[field.name]))
    return table


def _harmless(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Put an apostrophe before text that a spreadsheet would take for a formula, and take control characters out.

    Addresses never look like a formula.
    """
    column = pc.replace_substring_regex(column, _CONTROL, "\N{REPLACEMENT CHARACTER}")
    quoted = pc.binary_join_element_wise(pa.scalar("'", column.type), column, pa.scalar("", column.type))
    return pc.if_else(pc.match_substring_regex(column, FORMULA).fill_null(False), quoted, column)


def json_text(members: Members, options: ExportOptions = DEFAULTS) -> str:
    """All clusters with their profiles and sources, for programs: one object with ISO times."""
    clusters: list[dict[str, Any]] = []
    for cluster in members.clusters:
        rows = [row | {name: iso_time(row[name]) for name in TIMES} for row in members.of(cluster)]
        profile = {k: v for k, v in members.profiles.get(cluster, {}).items() if k != "sources"}
        clusters.append({"cluster": cluster, "name": members.name(cluster), "profile": profile, "sources": rows})
    return json.dumps({"analysis": members.analysis, "tlp": options.tlp, "clusters": clusters}, indent=1) + "\n"
