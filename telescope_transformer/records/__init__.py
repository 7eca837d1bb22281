"""Flow records: one schema, readers for what a telescope produces, and an account of every row."""

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
