"""Flow records: one schema, readers for what a telescope produces, and an account of every row.

`reading` scans the inputs that `files` finds; `registry` chooses a reader of `formats/` by their content. Most readers
are of one of four kinds: tables of known programs (`known_tables`), columnar files (`columnar`), logs in lines
(`log_lines`) and JSON (`json_records`); `formats/csv.py` reads all other tables, whose columns `columns` finds.
Captures go through `capture`, `links`, `packets` and `flows`. What a reader finds goes to `validation`, which alone
decides what a valid record is, with `times`, `zones`, `addresses`, `ports`, `protocols` and `sensors`.
"""

from telescope_transformer.records.columns import parse_mapping
from telescope_transformer.records.reading import Counts, FlowRecords, RecordScan, Source, read_records, scan_records
from telescope_transformer.records.registry import format_names
from telescope_transformer.records.schema import FLOW_SCHEMA, OPTIONAL_FIELDS, REQUIRED_FIELDS, align, flow_schema

__all__ = [
    "FLOW_SCHEMA",
    "OPTIONAL_FIELDS",
    "REQUIRED_FIELDS",
    "Counts",
    "FlowRecords",
    "RecordScan",
    "Source",
    "align",
    "flow_schema",
    "format_names",
    "parse_mapping",
    "read_records",
    "scan_records",
]
