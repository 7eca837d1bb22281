"""CAIDA FlowTuple in Avro, as corsaro3 writes it (versions 3 and 4).

Version 3 has one record per minute, 5-tuple, TTL, flags and packet length; of ICMP, the ports are type and code.
Version 4 aggregates further: its destination is a /16, which becomes that prefix's first address, and the source port
and TTL are the commonest ones, if any; of ICMP, the destination port holds type and code. Times are whole minutes.
Schemas: github.com/CAIDA/corsaro3 (libcorsaro/plugins/corsaro_flowtuple.h) and github.com/CAIDA/stardust-tools.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from telescope_transformer.errors import InputError
from telescope_transformer.extras import require
from telescope_transformer.records.context import Format, ReadContext
from telescope_transformer.records.files import DamagedInput, InputFile
from telescope_transformer.records.validation import Chunk, validate

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
_LONGEST_BATCH = 1 << 17


def sniff(head: bytes) -> bool:
    """Whether the head is that of an Avro file whose schema names the fields of a FlowTuple."""
    return head.startswith(b"Obj\x01") and b'"packet_cnt"' in head and b'"src_ip"' in head


def _columns_3(records: list[dict[str, Any]]) -> dict[str, pa.Array]:
    raw = {field: pa.array([record[name] for record in records]) for field, name in _VERSION_3.items()}
    lengths = np.array([record["ip_len"] for record in records], dtype=np.int64)
    raw["bytes"] = pa.array(lengths * raw["packets"].to_numpy())
    # Flags of other protocols than TCP are written as 0.
    raw["tcp_flags"] = pa.array([record["tcp_flags"] if record["protocol"] == 6 else None for record in records])
    raw["tool"] = pa.array(["masscan" if record.get("is_masscan") else None for record in records], pa.string())
    return raw


def _columns_4(records: list[dict[str, Any]]) -> dict[str, pa.Array]:
    raw = {field: pa.array([record[name] for record in records]) for field, name in _VERSION_4.items()}
    for field, name in (("src_port", "common_srcports"), ("ttl", "common_ttls")):
        firsts = [record[name][0] if record.get(name) else None for record in records]
        raw[field] = pa.array(firsts, pa.int64())
    raw["src_port"] = raw["src_port"].fill_null(0)
    ports = raw["dst_port"].to_numpy()
    not_icmp = raw["protocol"].to_numpy() != 1
    raw["icmp_type"] = pa.array(ports >> 8, pa.int64(), mask=not_icmp)
    raw["icmp_code"] = pa.array(ports & 0xFF, pa.int64(), mask=not_icmp)
    return raw


def _blocks(file: InputFile) -> Iterator[tuple[list[dict[str, Any]], Mapping[str, Any]]]:
    """The records of each block, and the schema; raises DamagedInput where a block cannot be read."""
    fastavro = require("fastavro")
    with open(file.path, "rb") as stream:
        try:
            blocks = fastavro.block_reader(stream)
        except (ValueError, EOFError, IndexError, KeyError, fastavro.schema.SchemaParseException) as error:
            raise InputError(f"{file.path}: not a readable Avro file: {error}") from error
        schema = blocks.writer_schema
        while True:
            position = stream.tell()
            try:
                block = next(blocks, None)
                records = list(block) if block is not None else None
            except Exception as error:  # fastavro lets the errors of its codecs through, of many classes.
                raise DamagedInput(file.path, position, f"broken Avro block ({error})") from error
            if records is None:
                return
            yield records, schema  # type: ignore[misc]


def read(file: InputFile, context: ReadContext) -> Iterator[Chunk]:
    """Flow records of a FlowTuple file; raises InputError for Avro of another schema, DamagedInput at damage."""
    first = 1
    for records, schema in _blocks(file):
        names = {field["name"] for field in schema.get("fields", [])}
        if set(_VERSION_3.values()) <= names and "ip_len" in names:
            columns_of = _columns_3
        elif set(_VERSION_4.values()) <= names:
            columns_of = _columns_4
            context.note("FlowTuple 4 gives a destination only by its /16: the first address stands for it")
        else:
            raise InputError(f"{file.path}: Avro, but no FlowTuple of version 3 or 4: fields are {sorted(names)}")
        for start in range(0, len(records), _LONGEST_BATCH):
            part = records[start : start + _LONGEST_BATCH]
            rows = np.arange(first, first + len(part), dtype=np.int64)
            first += len(part)
            yield validate(columns_of(part), rows, str(file.path), context.sensors)


FORMAT = Format("flowtuple", sniff, read)
