# ruff: noqa: E501 - lines of logs are as long as their programs write them.
"""Text tables and columnar tables: leading lines, delimiters, nesting, types, compression and partitions."""

import bz2
import decimal
import gzip
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather as fe
import pyarrow.orc as orc
import pyarrow.parquet as pq
import pytest
from variants import SECOND, TCP, Tuple, Variant, Variants, json_lines

from telescope_transformer.records import read_records

VARIANTS = Variants()
HEADER = "timestamp,src_ip,dst_ip,protocol,src_port,dst_port\n"
ROW = "1469123456,192.0.2.1,198.51.100.7,6,40000,23\n"
VARIANTS.add("the address of a sensor", "time,sensor,sensor_ip,src_ip,protocol,src_port,dst_port\n" + "1469123456,hp1,198.51.100.7,192.0.2.1,6,40000,23\n", [TCP])  # fmt: skip
WRAPPED = "@timestamp,{0}.@timestamp,{0}.timestamp,{0}.src_ip,{0}.dst_ip.keyword,{0}.protocol,{0}.src_port,{0}.dst_port\n".format("_source")  # fmt: skip
VARIANTS.add(
    "the time within a wrapper",
    WRAPPED + "1469129999,1469129999,1469123456,192.0.2.1,198.51.100.7,6,40000,23\n",
    [TCP],
)
VARIANTS.add("aggregated", HEADER + "1469123456,192.0.2.1,0.0.0.0,0,0,23\n" + ROW, [("192.0.2.1", "0.0.0.0", 0, 0, 23), TCP], told="added up over both")  # fmt: skip
VARIANTS.add("ICMPv6 without a type", HEADER + "1469123456,2001:db8::1,2001:db8::7,58,0,0\n", [("2001:db8::1", "2001:db8::7", 58, 65535, 0)])  # fmt: skip
VARIANTS.add("40 comments", ("# licence\n" * 40) + HEADER + ROW, [TCP])
VARIANTS.add("40 comments with commas", ("# a, b, c\n" * 40) + HEADER + ROW, [TCP])
VARIANTS.add("comments + title + blank", "# x\n\nMy export, of today\n\n" + HEADER + ROW, [TCP])
VARIANTS.add("// comment", "// x\n" + HEADER + ROW, [TCP])
VARIANTS.add("; comment", "; x\n" + HEADER + ROW, [TCP])
VARIANTS.add("-- comment", "-- psql\n" + HEADER + ROW, [TCP])
VARIANTS.add('"sep=;"', '"sep=;"\n' + (HEADER + ROW).replace(",", ";"), [TCP])
VARIANTS.add("sep=tab", "sep=\t\n" + (HEADER + ROW).replace(",", "\t"), [TCP])
VARIANTS.add("SEP=|", "SEP=|\n" + (HEADER + ROW).replace(",", "|"), [TCP])
VARIANTS.add("quoted header", ",".join(f'"{x}"' for x in HEADER.strip().split(",")) + "\n" + ROW, [TCP])
VARIANTS.add(
    "all single quoted",
    ",".join(f"'{x}'" for x in HEADER.strip().split(","))
    + "\n"
    + ",".join(f"'{x}'" for x in ROW.strip().split(","))
    + "\n",
    [TCP],
)
VARIANTS.add("index column unnamed", "," + HEADER + "0," + ROW, [TCP])
VARIANTS.add(
    "psql table",
    "   timestamp    |   src_ip   |    dst_ip     | protocol | src_port | dst_port \n------------+---------+----------+-----+-----+----\n 1469123456 | 192.0.2.1 | 198.51.100.7 | 6 | 40000 | 23\n(1 row)\n",
    [TCP],
)
VARIANTS.add(
    "mysql table",
    "+------------+-----------+\n| timestamp | src_ip | dst_ip | protocol | src_port | dst_port |\n+----+\n| 1469123456 | 192.0.2.1 | 198.51.100.7 | 6 | 40000 | 23 |\n+----+\n",
    [TCP],
)
VARIANTS.add(
    "markdown",
    "| timestamp | src_ip | dst_ip | protocol | src_port | dst_port |\n|---|---|---|---|---|---|\n| 1469123456 | 192.0.2.1 | 198.51.100.7 | 6 | 40000 | 23 |\n",
    [TCP],
)
VARIANTS.add("concat csv repeated header", HEADER + ROW + HEADER + ROW, [TCP, TCP], rejected=0, skipped=1)
VARIANTS.add(
    "semicolon + decimal comma", (HEADER + ROW).replace(",", ";").replace("1469123456", "1469123456,5"), [TCP]
)
VARIANTS.add("colon sep?", (HEADER + ROW).replace(",", ":"), None)
VARIANTS.add("latin1 header", ("zeit é," + HEADER + "x," + ROW).encode("latin-1"), [TCP])
VARIANTS.add("nul padded", (HEADER + ROW * 20).encode() + b"\0" * 512, [TCP] * 20, rejected=0)
VARIANTS.add("spaces in header", HEADER.replace(",", " , ") + ROW.replace(",", " , "), [TCP])
VARIANTS.add(
    "Capital spaces", "Time Stamp,Source IP,Destination IP,IP Protocol,Source Port,Destination Port\n" + ROW, [TCP]
)
VARIANTS.add("cic-like names", "Timestamp,Source_IP,Dest_IP,Proto,SrcPort,DstPort\n" + ROW, [TCP])
VARIANTS.add("short names", "ts,sa,da,pr,sp,dp\n" + ROW, [TCP])
VARIANTS.add("ip/port pairs", "time,source.ip,dest.ip,proto,source.port,dest.port\n" + ROW, [TCP])
VARIANTS.add("paren units", "timestamp (s),src_ip,dst_ip,protocol,src_port,dst_port\n" + ROW, [TCP])
VARIANTS.add("german", "zeit,quelle,ziel,protokoll,quellport,zielport\n" + ROW, None)
VARIANTS.add(
    "no src port",
    HEADER.replace("src_port,", "") + ROW.replace("40000,", ""),
    [("192.0.2.1", "198.51.100.7", 6, 0, 23)],
)
for source, header in (("192.0.2.1:40000", ""), ("192.0.2.1,40000", "src_port,")):
    VARIANTS.add(
        f"ports behind addresses, {source}",
        f"timestamp,src_ip,{header}dst_ip,protocol\n"
        + "".join(f"1469123456,{source},{end},{protocol}\n" for end, protocol in (("198.51.100.7:23", 6), ("::1", 6))),
        [TCP],
        rejected=1,
    )
VARIANTS.add("a port behind the source alone", HEADER.replace(",dst_port", "") + ROW.replace(",23", ""), None)
VARIANTS.add("extra trailing comma", HEADER + ROW.strip() + ",\n", [TCP])
VARIANTS.add(
    "two timestamp-like columns",
    "start,end,src_ip,dst_ip,protocol,src_port,dst_port\n1469123456,1469123999,192.0.2.1,198.51.100.7,6,40000,23\n",
    [TCP],
)
VARIANTS.add(
    "start_time+timestamp",
    "timestamp,start_time,src_ip,dst_ip,protocol,src_port,dst_port\n1469123999,1469123456,192.0.2.1,198.51.100.7,6,40000,23\n",
    [TCP],
)
VARIANTS.add(
    "first_seen,last_seen",
    "first_seen,last_seen,src_ip,dst_ip,protocol,src_port,dst_port\n1469123456,1469123999,192.0.2.1,198.51.100.7,6,40000,23\n",
    [TCP],
)


def columnar(table: pa.Table, write: Callable[..., Any] = pq.write_table, **options: Any) -> Callable[[Path], Path]:
    """A function that writes a table into a folder and returns the path."""

    def content(folder: Path) -> Path:
        write(table, str(folder / "table"), **options)
        return folder / "table"

    return content


nest = pa.Table.from_pylist(
    [
        {
            "@timestamp": "2016-07-21T17:50:56Z",
            "source": {"ip": "192.0.2.1", "port": 40000},
            "destination": {"ip": "198.51.100.7", "port": 23},
            "network": {"transport": "tcp"},
        }
    ]
)
of_ports = [{"timestamp": SECOND, "src_ip": "192.0.2.1:40000", "dst_ip": "198.51.100.7:23", "protocol": 6}]
of_lists = [{**of_ports[0], "tool": ["zmap"]}]
for kind, write in (("parquet", pq.write_table), ("orc", orc.write_table), ("arrow", fe.write_feather)):
    VARIANTS.add(f"ports behind addresses, {kind}", columnar(pa.Table.from_pylist(of_ports), write), [TCP])
    VARIANTS.add(
        f"a list for an optional field, {kind}",
        columnar(pa.Table.from_pylist(of_lists), write),
        [TCP],
        told="'tool' for the field tool has the type list",
    )
VARIANTS.add("nested ecs parquet", columnar(nest), [TCP])
VARIANTS.add("nested ecs orc", columnar(nest, orc.write_table), [TCP])
VARIANTS.add("nested ecs arrow", columnar(nest, fe.write_feather), [TCP])
VARIANTS.add(
    "ocsf",
    columnar(
        pa.Table.from_pylist(
            [
                {
                    "time": SECOND * 1000,
                    "src_endpoint": {"ip": "192.0.2.1", "port": 40000},
                    "dst_endpoint": {"ip": "198.51.100.7", "port": 23},
                    "connection_info": {"protocol_num": 6, "direction": "Inbound"},
                    "traffic": {"packets": 1, "bytes": 40},
                }
            ]
        )
    ),
    [TCP],
)
VARIANTS.add(
    "zeek parquet dots",
    columnar(
        pa.Table.from_pylist(
            [
                {
                    "ts": float(SECOND),
                    "id.orig_h": "192.0.2.1",
                    "id.orig_p": 40000,
                    "id.resp_h": "198.51.100.7",
                    "id.resp_p": 23,
                    "proto": "tcp",
                }
            ]
        )
    ),
    [TCP],
)
base = {
    "timestamp": [SECOND],
    "src_ip": ["192.0.2.1"],
    "dst_ip": ["198.51.100.7"],
    "protocol": [6],
    "src_port": [40000],
    "dst_port": [23],
}


def with_column(expected: Sequence[Tuple] | None = (TCP,), **column: pa.Array) -> None:
    """Adds a Parquet file in which one column is replaced."""
    ((name, values),) = column.items()
    wanted = None if expected is None else list(expected)
    VARIANTS.add(f"parquet {name} {values.type} {wanted is None}", columnar(pa.table({**base, **column})), wanted)


with_column(src_ip=pa.array([3221225985], pa.uint32()))
with_column(src_ip=pa.array([3221225985], pa.int64()))
with_column(src_ip=pa.array([bytes([192, 0, 2, 1])], pa.binary(4)))
with_column(dst_ip=pa.array([bytes([198, 51, 100, 7])], pa.binary()))
with_column(src_ip=pa.array(["192.0.2.1"]).dictionary_encode())
with_column(src_ip=pa.array(["192.0.2.1"], pa.string_view()))
with_column(dst_port=pa.array([23], pa.uint16()))
with_column(dst_port=pa.array([23.0], pa.float32()))
with_column(dst_port=pa.array([23], pa.int8()))
with_column(dst_port=pa.array(["23"]))
with_column(dst_port=pa.array([b"23"]))
with_column(dst_port=pa.array([decimal.Decimal("23")], pa.decimal256(50, 0)))
with_column(protocol=pa.array(["tcp"]).dictionary_encode())
with_column(protocol=pa.array([6.0]))
with_column([], dst_port=pa.array([None], pa.int32()))
with_column([], dst_ip=pa.array([None], pa.string()))
with_column([], dst_ip=pa.array(["NULL"]))
with_column([], dst_ip=pa.array([None], pa.null()))
with_column(None, dst_ip=pa.array([True]))
with_column(None, timestamp=pa.array([5], pa.duration("s")))
with_column(None, dst_port=pa.array([[23]]))
with_column(None, src_ip=pa.array([1.5]))
with_column(None, dst_port=pa.array([{"a": 1}]))
with_column(src_ip=pa.array([bytes.fromhex("00000000000000000000ffffc0000201")], pa.binary(16)))
with_column(timestamp=pa.array(["1469123456"]))
with_column(timestamp=pa.array([SECOND * 10**6]))
VARIANTS.add(
    "pq as text label timestamps", columnar(pa.table({**base, "label": pa.array([5], pa.timestamp("s"))})), [TCP]
)
VARIANTS.add("pq empty rowgroups", columnar(pa.table(base).slice(0, 0)), None)
for codec in ("snappy", "gzip", "zstd", "brotli", "lz4"):
    VARIANTS.add("pq " + codec, columnar(pa.table(base), compression=codec), [TCP])
VARIANTS.add("arrow lz4", columnar(pa.table(base), fe.write_feather, compression="lz4"), [TCP])
VARIANTS.add("arrow zstd", columnar(pa.table(base), fe.write_feather, compression="zstd"), [TCP])
# compression
c = (HEADER + ROW).encode()
VARIANTS.add("bz2 zeros", bz2.compress(c) + b"\0" * 1000, [TCP])
VARIANTS.add("gz garbage", gzip.compress(c) + b"garbage", [TCP])
VARIANTS.add(
    "tar",
    b"flows.csv" + b"\0" * 91 + b"0000644\0" + b"\0" * 149 + b"ustar\x0000" + b"\0" * 247 + c + b"\0" * 2000,
    None,
)
VARIANTS.add("snappy framed", b"\xff\x06\x00\x00sNaPpY" + c, None)
VARIANTS.add("legacy lz4", b"\x02\x21\x4c\x18" + c, None)
VARIANTS.add("Z", b"\x1f\x9d\x90" + c, None)
VARIANTS.add(
    "zst multi frame",
    pa.Codec("zstd").compress(HEADER.encode(), asbytes=True) + pa.Codec("zstd").compress(ROW.encode(), asbytes=True),
    [TCP],
)
VARIANTS.add(
    "zst trailing skippable", pa.Codec("zstd").compress(c, asbytes=True) + b"\x50\x2a\x4d\x18\x04\0\0\0abcd", [TCP]
)
# avro/parquet/orc compressed
b = io.BytesIO()
pq.write_table(pa.table(base), b)
VARIANTS.add("parquet.zst", pa.Codec("zstd").compress(b.getvalue(), asbytes=True), [TCP])
VARIANTS.add("parquet.bz2", bz2.compress(b.getvalue()), [TCP])


# partitions
def partitioned(kind: str, path: str, row: dict[str, Any], glob: str | None = None) -> Callable[[Path], Any]:
    """A function that writes a file of one row into folders that are hive partitions."""

    def content(folder: Path) -> Any:
        file = folder / path
        file.parent.mkdir(parents=True)
        if kind == "csv":
            file.write_text(",".join(row) + "\n" + ",".join(map(str, row.values())) + "\n")
        elif kind == "json":
            file.write_text(json_lines(row))
        else:
            pq.write_table(pa.Table.from_pylist([row]), file)
        return str(folder / glob) if glob else folder

    return content


r0 = {"timestamp": SECOND, "src_ip": "192.0.2.1", "protocol": 6, "src_port": 40000, "dst_port": 23}
for kind in ("csv", "json", "parquet"):
    VARIANTS.add(kind + " dst_ip part", partitioned(kind, "lake/dst_ip=198.51.100.7/x", r0), [TCP])
    VARIANTS.add(
        kind + " nested part",
        partitioned(
            kind, "lake/year=2016/dst_ip=198.51.100.7/proto=6/x", {k: v for k, v in r0.items() if k != "protocol"}
        ),
        [TCP],
    )
    VARIANTS.add(
        kind + " null part", partitioned(kind, "lake/dst_ip=__HIVE_DEFAULT_PARTITION__/x", r0), [], rejected=1
    )
    VARIANTS.add(kind + " recursive glob", partitioned(kind, "lake/a/dst_ip=198.51.100.7/x", r0, "lake/**/x"), [TCP])
    VARIANTS.add(
        kind + " date part + clock",
        partitioned(kind, "lake/date=2016-07-21/x", {**r0, "timestamp": "17:50:56", "dst_ip": "198.51.100.7"}),
        [TCP],
    )
    VARIANTS.add(
        kind + " port part",
        partitioned(kind, "lake/dst_port=23/dst_ip=198.51.100.7/x", {k: v for k, v in r0.items() if k != "dst_port"}),
        [TCP],
    )

VARIANTS.add(
    "decimal commas", (HEADER + "1469123456;192.0.2.1;198.51.100.7;6,0;40000,0;23,00\n").replace(",", ";", 5), [TCP]
)
VARIANTS.add("two times", "@timestamp," + HEADER + "1469124000," + ROW, [TCP])
for _ends in ("scanner_ip,darknet_ip", "foreign_address,local_address", "cli_ip,srv_ip", "src,telescope_ip"):
    VARIANTS.add(f"names {_ends}", HEADER.replace("src_ip,dst_ip", _ends) + ROW, [TCP])
VARIANTS.add("network protocol", HEADER.replace("protocol", "NetworkProtocol") + ROW, [TCP])
VARIANTS.add("proto-6", HEADER + ROW.replace(",6,", ",proto-6,"), [TCP])
VARIANTS.add("n.a.", HEADER + ROW + ROW.replace("198.51.100.7", "n.a."), [TCP], rejected=1)


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_tables_of_every_shape_give_the_expected_records(tmp_path: Path, variant: Variant) -> None:
    variant.check(tmp_path)


@pytest.mark.parametrize(
    ("field", "others"), [("seq", "pkSeqID,ltime"), ("Flags", "Repeat Count,NAT Source Port"), ("label", "rulenr")]
)
def test_names_that_mean_something_else_beside_others_are_not_read(tmp_path: Path, field: str, others: str) -> None:
    """Argus numbers its records in `seq` (Bot-IoT), PAN-OS writes the flags of a session, OPNsense a rule's name."""
    for names, expected in ((field, 1), (f"{field},{others}", 0)):
        (tmp_path / "a").write_text(f"{HEADER.strip()},{names}\n{ROW.strip()},7{',1' * names.count(',')}\n")
        values = f"{ROW.strip()},7{',1' * names.count(',')}".split(",")
        record = dict(zip(f"{HEADER.strip()},{names}".split(","), values, strict=True))
        (tmp_path / "b").write_text(json_lines(record))
        for file in (tmp_path / "a", tmp_path / "b"):
            table = read_records(file).table
            assert len({"tcp_seq", "tcp_flags", "label"} & set(table.column_names)) == expected


def test_the_translated_port_of_fortigate_is_no_protocol(tmp_path: Path) -> None:
    record = {"eventtime": SECOND, "srcip": "192.0.2.1", "srcport": 40000, "dstip": "198.51.100.7", "dstport": 23}
    record |= {"transip": "203.0.113.1", "transport": 40772, "proto": 6}
    (tmp_path / "a").write_text(json_lines(record, {"data": record}))
    (tmp_path / "b").write_text(",".join(record) + "\n" + ",".join(map(str, record.values())) + "\n")
    assert read_records([tmp_path / "a", tmp_path / "b"]).table["protocol"].to_pylist() == [6, 6, 6]
