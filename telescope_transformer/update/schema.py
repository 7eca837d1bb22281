"""The tables of a running analysis, in one DuckDB file."""

from typing import Any

import duckdb
import pyarrow as pa

from telescope_transformer.fields import FIELDS
from telescope_transformer.report.summary_check import ADAPTATION
from telescope_transformer.shapes import OrNull

VERSION = "5"
# States of this version have no column `unblended`, and no window was blended.
FORMER_VERSION = "4"
ADDED_COLUMN = ("windows", "column unblended of type FLOAT[]")

_TYPES = {
    pa.int64(): "BIGINT",
    pa.string(): "VARCHAR",
    pa.uint8(): "UTINYINT",
    pa.uint16(): "USMALLINT",
    pa.uint32(): "UINTEGER",
    pa.uint64(): "UBIGINT",
}
# The columns of records, from the one table of fields. With another field, states have another version.
RECORD_COLUMNS = {row.name: _TYPES[row.type] + " NOT NULL" * row.required for row in FIELDS}
_RECORDS = ", ".join(f"{name} {kind}" for name, kind in RECORD_COLUMNS.items())
# The records of closed windows do not repeat the source, because the table `windows` has it.
CLOSED_COLUMNS = tuple(name for name in RECORD_COLUMNS if name != "src_ip")
_CLOSED = ", ".join(f"{name} {RECORD_COLUMNS[name]}" for name in CLOSED_COLUMNS)

# A window is open while records may still be added to it; only the last window of a source can be open. An open window
# with fewer than `core_records` records has no embedding and no cluster; reports place it. A separate table holds the
# records of open windows, so that a step reads only records that it may change. `embedded_on` is the day (since 1970)
# of the last record in the embedding. `unblended` is the embedding before it was blended with those of other windows
# of its source (`similarity.blend_by_source`); null if there were none.
#
# A cluster whose windows have all been deleted is in `retired`, with the mean of its vectors. If similar windows
# appear again, their cluster gets its id. The records of its most typical window stay in `closed_records`, because
# they are embedded again when the model is renewed. `model` holds the files of the checkpoint adapted to this
# telescope, if any.
TABLES = (
    "CREATE TABLE meta (key VARCHAR PRIMARY KEY, value VARCHAR NOT NULL)",
    "CREATE TABLE inputs (digest VARCHAR PRIMARY KEY, path VARCHAR, size BIGINT, day VARCHAR, read BIGINT, "
    "kept BIGINT, rejected BIGINT, skipped BIGINT, windows BIGINT, nodes BIGINT, cost DOUBLE, lower_bound DOUBLE, "
    "seconds DOUBLE)",
    "CREATE TABLE windows (window_id BIGINT NOT NULL, source VARCHAR NOT NULL, start BIGINT NOT NULL, "
    '"end" BIGINT NOT NULL, n_records INTEGER NOT NULL, open BOOLEAN NOT NULL, cluster BIGINT, margin FLOAT, '
    "label VARCHAR, tool VARCHAR, embedding FLOAT[], embedded_on BIGINT, unblended FLOAT[])",
    f"CREATE TABLE open_records (window_id BIGINT NOT NULL, {_RECORDS})",
    f"CREATE TABLE closed_records (window_id BIGINT NOT NULL, {_CLOSED})",
    "CREATE TABLE clusters (cluster BIGINT NOT NULL, size BIGINT NOT NULL, total DOUBLE[] NOT NULL)",
    "CREATE TABLE retired (cluster BIGINT PRIMARY KEY, mean DOUBLE[] NOT NULL, last_seen BIGINT NOT NULL, "
    "window_id BIGINT NOT NULL)",
    "CREATE TABLE model (name VARCHAR PRIMARY KEY, content BLOB NOT NULL)",
    "CREATE TABLE conflicts (a BIGINT NOT NULL, b BIGINT NOT NULL, c BIGINT NOT NULL, amount DOUBLE NOT NULL)",
    "CREATE TABLE events (day VARCHAR, event VARCHAR, cluster BIGINT, others BIGINT[], windows BIGINT)",
    "CREATE TABLE rejects (file VARCHAR, row BIGINT, field VARCHAR, value VARCHAR, reason VARCHAR)",
)

# The settings in the table `meta` that are JSON, and their shapes (`shapes.check_shape`).
SETTINGS: dict[str, Any] = {
    "settings": {
        "model": OrNull("text"),
        "adapt?": "flag",
        "window": "count",
        "min_records": "count",
        "core_records?": "count",
        "seed": "count",
        "checkpoint": OrNull("text"),
        "chosen_threshold": OrNull("number"),
        "threshold": "number",
        "scale": "number",
        "calibration": OrNull({}),
    },
    "adaptation": {"facts": ADAPTATION, "kept_out": ["text"]},
    "certificate": ("number", "number", "count"),
    "certified_from": "count",
    "attraction": "number",
    "checked": {"windows": "count", "day": "number"},
    "next_cluster": "count",
    "names": "texts",
    "sensors": "texts",
    "reported": ["count"],
    "report failed": [{"cluster": "count"}],
}


def missing_parts(connection: duckdb.DuckDBPyConnection) -> set[tuple[str, str]]:
    """Table and description of the columns and constraints that a database lacks to be a state."""
    parts = (
        "SELECT table_name, format('column {} of type {}', column_name, data_type) FROM duckdb_columns() "
        "WHERE NOT internal UNION ALL SELECT table_name, 'constraint ' || constraint_type || ' on column ' || "
        "array_to_string(constraint_column_names, ', ') FROM duckdb_constraints()"
    )
    with duckdb.connect() as empty:
        for statement in TABLES:
            empty.execute(statement)
        return set(empty.execute(parts).fetchall()) - set(connection.execute(parts).fetchall())
