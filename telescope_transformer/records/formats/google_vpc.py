"""Flow logs of a network in Google Cloud, as JSON, and as tables that Logs Explorer and BigQuery export.

A flow between two machines of the cloud is reported by both. The reports of destinations are read; in JSON, the others
are read if a file has nothing else. Format: docs.cloud.google.com/vpc/docs/about-flow-logs-records. Calico's flow logs
in JSON (docs.tigera.io, "Flow log data types") are read by the same rule.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.records.formats.any_json import by_alias
from telescope_transformer.records.json_records import Dialect
from telescope_transformer.records.known_tables import KnownTable, Raw, table_format


def _reporter(record: Mapping[str, Any]) -> Any:
    """The end of the connection that reported a flow: `S` or `D`. None for other records."""
    payload = record.get("jsonPayload", record)
    is_flow = isinstance(payload, dict) and ("connection" in payload or "num_flows" in payload)
    return str(payload.get("reporter"))[:1].upper() if is_flow else None


DIALECT = Dialect(
    "gcp-vpc",
    lambda record: _reporter(record) in ("S", "D"),
    lambda record: by_alias(record) if _reporter(record) == "D" else None,
    fallback=by_alias,
)


def _by_destination(raw: Raw) -> np.ndarray:
    return ~np.asarray(pc.equal(raw["reporter"], pa.scalar(b"SRC")).fill_null(False))


_CONNECTION = "jsonPayload.connection."
TABLE = KnownTable(
    "gcp-vpc-csv",
    {
        "timestamp": ["jsonPayload.start_time", "timestamp"],
        "src_ip": [f"{_CONNECTION}src_ip"],
        "dst_ip": [f"{_CONNECTION}dest_ip"],
        "protocol": [f"{_CONNECTION}protocol"],
        "src_port": [f"{_CONNECTION}src_port"],
        "dst_port": [f"{_CONNECTION}dest_port"],
        "packets": ["jsonPayload.packets_sent"],
        "bytes": ["jsonPayload.bytes_sent"],
        "reporter": ["jsonPayload.reporter"],
    },
    marks=(f"{_CONNECTION}src_ip", "jsonPayload.reporter"),
    keep=_by_destination,
    note="flows that their source reported are skipped, because the destination reports them too",
)
FORMAT = table_format(TABLE)
