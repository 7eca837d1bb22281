"""CAIDA FlowTuple in Avro, as corsaro3 writes it (versions 3 and 4).

Version 3 has one record per minute, 5-tuple, TTL, flags and packet length. For ICMP, the ports are the type and code.
Version 4 aggregates further. Its destination is a /16 prefix, which is replaced by its first address. The source port
and the TTL are the commonest ones, if there are any. For ICMP, the destination port holds the type and code. Times are
whole minutes.
Schemas: github.com/CAIDA/corsaro3 (libcorsaro/plugins/corsaro_flowtuple.h) and github.com/CAIDA/stardust-tools.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from telescope_transformer.records.avro import AvroFile
from telescope_transformer.records.context import Format, ReadContext
from telescope_transformer.records.damage import NotFlowRecords
from telescope_transformer.records.files import InputFile
from telescope_transformer.records.rejects import escaped
from telescope_transformer.records.schema import ICMP
from telescope_transformer.records.validation import Chunk, Validator

_VERSION_3 = {
    "timestamp": "time",
    "src_ip": "src_ip",
    "dst_ip": "dst_ip",
    "src_port": "src_port",
    "dst_port": "dst_port",
    "protocol": "protocol",
    "ttl": "ttl",
    "tcp_flags": "tcp_flags",
    "packets": "packet_cnt",
}
_VERSION_4 = {
    "timestamp": "time",
    "src_ip": "src_ip",
    "dst_ip": "dst_net",
    "dst_port": "dst_port",
    "protocol": "protocol",
    "packets": "packet_cnt",
}
_COMMONEST = {"src_port": "common_srcports", "ttl": "common_ttls"}
# Records that are validated at a time, to limit the memory of their columns. Our choice.
_LONGEST_BATCH = 1 << 17


def sniff(head: bytes) -> bool:
    """Whether the head belongs to an Avro file whose schema has fields of a FlowTuple."""
    return head.startswith(b"Obj\x01") and b'"packet_cnt"' in head and b'"src_ip"' in head


def _text(value: Any) -> bytes | None:
    """A value as text for validation, because a union may give each row a different type."""
    if value is None or isinstance(value, bytes):
        return value
    return str(value).encode("utf-8", "backslashreplace")


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _column(values: list[Any]) -> pa.Array:
    return pa.array([_text(value) for value in values], pa.binary())


def _columns_3(records: list[dict[str, Any]]) -> dict[str, pa.Array]:
    raw = {field: _column([record[name] for record in records]) for field, name in _VERSION_3.items()}
    sizes = [(_number(record["ip_len"]), _number(record["packet_cnt"])) for record in records]
    raw["bytes"] = _column([length * packets if length and packets else None for length, packets in sizes])
    raw["tool"] = _column(["masscan" if record.get("is_masscan") else None for record in records])
    return raw


def _commonest(value: Any) -> Any:
    """The first of the commonest values. A value that is not a list is left to validation."""
    if isinstance(value, list):
        return value[0] if value else None
    return value


def _columns_4(records: list[dict[str, Any]]) -> dict[str, pa.Array]:
    raw = {field: _column([record[name] for record in records]) for field, name in _VERSION_4.items()}
    for field, name in _COMMONEST.items():
        raw[field] = _column([_commonest(record.get(name)) for record in records])
    raw["src_port"] = raw["src_port"].fill_null(b"0")
    ports = [_number(record["dst_port"]) if record["protocol"] == ICMP else None for record in records]
    raw["icmp_type"] = _column([None if port is None else port >> 8 for port in ports])
    raw["icmp_code"] = _column([None if port is None else port & 0xFF for port in ports])
    return raw


def read(file: InputFile, context: ReadContext) -> Iterator[Chunk]:
    """Flow records of a FlowTuple file; raises NotFlowRecords for other Avro schemas, DamagedInput for damage."""
    avro = AvroFile(file)
    if {*_VERSION_3.values(), "ip_len"} <= set(avro.fields):
        columns_of = _columns_3
    elif set(_VERSION_4.values()) <= set(avro.fields):
        columns_of = _columns_4
        context.note("FlowTuple 4 gives only the /16 of a destination: the first address of the /16 stands for it")
    else:
        fields = escaped(sorted(avro.fields))
        raise NotFlowRecords(file.name, f"Avro, but not FlowTuple version 3 or 4: fields are {fields}")
    first, validator = 1, Validator(file.name, context)
    for records in avro.records():
        for start in range(0, len(records), _LONGEST_BATCH):
            part = records[start : start + _LONGEST_BATCH]
            rows = np.arange(first, first + len(part), dtype=np.int64)
            first += len(part)
            yield validator.chunk(columns_of(part), rows)


FORMAT = Format("flowtuple", sniff, read)
