"""Suricata eve.json: its `flow` events, in the direction of the client; all other events are skipped and counted.

The time is that of the flow's first packet, `flow.start`, not the time at which the event was written. `tcp_flags`
are those of all the client's packets together.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.records.context import Format, ReadContext
from telescope_transformer.records.files import InputFile
from telescope_transformer.records.json_lines import first_record, json_batches
from telescope_transformer.records.validation import Chunk, validate

_FLOW = pa.struct([("start", pa.string()), ("pkts_toserver", pa.int64()), ("bytes_toserver", pa.int64())])
_SCHEMA = pa.schema(
    [
        ("event_type", pa.string()),
        ("src_ip", pa.string()),
        ("src_port", pa.int64()),
        ("dest_ip", pa.string()),
        ("dest_port", pa.int64()),
        ("proto", pa.string()),
        ("icmp_type", pa.int64()),
        ("icmp_code", pa.int64()),
        ("flow", _FLOW),
        ("tcp", pa.struct([("tcp_flags_ts", pa.string())])),
    ]
)


def sniff(head: bytes) -> bool:
    """Whether the head is that of an eve.json."""
    record = first_record(head)
    return record is not None and "event_type" in record and "timestamp" in record


def read(file: InputFile, context: ReadContext) -> Iterator[Chunk]:
    """Flow records of the flow events."""
    for batch in json_batches(file, _SCHEMA):
        kept = pc.equal(batch.columns["event_type"], "flow").fill_null(False)
        columns = {name: column.filter(kept) for name, column in batch.columns.items()}
        flags = pc.struct_field(columns["tcp"], "tcp_flags_ts")
        raw = {
            "timestamp": pc.struct_field(columns["flow"], "start"),
            "src_ip": columns["src_ip"],
            "dst_ip": columns["dest_ip"],
            "protocol": columns["proto"],
            "src_port": columns["src_port"],
            "dst_port": columns["dest_port"],
            "icmp_type": columns["icmp_type"],
            "icmp_code": columns["icmp_code"],
            "packets": pc.struct_field(columns["flow"], "pkts_toserver"),
            "bytes": pc.struct_field(columns["flow"], "bytes_toserver"),
            # Hexadecimal digits without a prefix.
            "tcp_flags": pc.binary_join_element_wise(pa.scalar("0x"), flags, ""),
        }
        mask = np.asarray(kept)
        chunk = validate(raw, batch.rows[mask], str(file.path), context.sensors)
        rejects = pa.concat_tables([chunk.rejects, batch.malformed])
        yield Chunk(chunk.batch, rejects, skipped=int(len(mask) - mask.sum()))


FORMAT = Format("suricata", sniff, read)
