"""FlowTuple files made with fastavro from the schemas that corsaro3 and stardust-tools publish."""

import io
from pathlib import Path
from typing import Any

import fastavro
import pytest

from telescope_transformer.errors import InputError
from telescope_transformer.records import read_records


def schema(name: str, fields: dict[str, Any]) -> dict[str, Any]:
    listed = [{"name": field, "type": kind} for field, kind in fields.items()]
    return {"type": "record", "namespace": "org.caida.corsaro", "name": name, "fields": listed}


PLACES = ("maxmind_continent", "maxmind_country", "netacq_continent", "netacq_country")
VERSION_3 = {"time": "long", "src_ip": "long", "dst_ip": "long", "src_port": "int", "dst_port": "int"}
VERSION_3 |= {"protocol": "int", "ttl": "int", "tcp_flags": "int", "ip_len": "int", "tcp_synlen": "int"}
VERSION_3 |= {"tcp_synwinlen": "int", "packet_cnt": "long", "is_spoofed": "int", "is_masscan": "int"}
VERSION_3 |= {**dict.fromkeys(PLACES, "string"), "prefix2asn": "long"}

NUMBERS = {"type": "array", "items": "long"}
COMMON = ("pktsizes", "pktsize_freqs", "ttls", "ttl_freqs", "srcports", "srcport_freqs", "tcpflags", "tcpflag_freqs")
VERSION_4 = {"time": "long", "src_ip": "long", "dst_net": "long", "dst_port": "int", "protocol": "int"}
VERSION_4 |= {"packet_cnt": "long", "uniq_dst_ips": "int", "uniq_pkt_sizes": "int", "uniq_ttls": "int"}
VERSION_4 |= {"uniq_src_ports": "int", "uniq_tcp_flags": "int", "first_syn_length": "int", "first_tcp_rwin": "int"}
VERSION_4 |= {**{f"common_{name}": NUMBERS for name in COMMON}, **dict.fromkeys(PLACES[2:], "string")}
VERSION_4 |= {"prefix2asn": "long"}

TCP_RECORD = dict.fromkeys(VERSION_3, 0) | dict.fromkeys(PLACES, "??")
TCP_RECORD |= {"time": 1_700_000_040, "src_ip": 0xC0000201, "dst_ip": 0xC6336401, "src_port": 40_000, "dst_port": 80}
TCP_RECORD |= {"protocol": 6, "ttl": 64, "tcp_flags": 2, "ip_len": 40, "packet_cnt": 3, "is_masscan": 1}
PING_RECORD = TCP_RECORD | {"protocol": 1, "src_port": 8, "dst_port": 0, "tcp_flags": 0, "is_masscan": 0}


def avro(name: str, fields: dict[str, Any], records: list[dict[str, Any]], **options: Any) -> bytes:
    out = io.BytesIO()
    fastavro.writer(out, schema(name, fields), records, **options)
    return out.getvalue()


def read(tmp_path: Path, content: bytes) -> Any:
    path = tmp_path / "tuples"
    path.write_bytes(content)
    return read_records([path])


@pytest.mark.parametrize("codec", ["null", "deflate"])
def test_every_field_of_version_3_is_read(tmp_path: Path, codec: str) -> None:
    records = read(tmp_path, avro("flowtuple", VERSION_3, [TCP_RECORD, PING_RECORD], codec=codec))
    assert records.sources[0].format == "flowtuple"
    first, second = records.table.to_pylist()
    assert first == {
        "timestamp": 1_700_000_040_000_000,
        "src_ip": "192.0.2.1",
        "dst_ip": "198.51.100.1",
        "protocol": 6,
        "src_port": 40_000,
        "dst_port": 80,
        "ttl": 64,
        "tcp_flags": 2,
        "packets": 3,
        "bytes": 120,
        "tool": "masscan",
    }
    assert (second["src_port"], second["dst_port"], second["tcp_flags"], second["tool"]) == (8, 0, None, None)


def test_version_4_is_read_by_its_destination_prefixes_and_commonest_values(tmp_path: Path) -> None:
    record = dict.fromkeys(VERSION_4, 0) | {f"common_{name}": [] for name in COMMON} | dict.fromkeys(PLACES[2:], "??")
    record |= {"time": 1_700_000_100, "src_ip": 0xC0000201, "dst_net": 0xC6330000, "dst_port": 80, "protocol": 6}
    record |= {"packet_cnt": 9, "common_srcports": [40_000], "common_ttls": [64, 63]}
    ping = record | {"protocol": 1, "dst_port": 0x0301, "common_srcports": [], "common_ttls": []}
    records = read(tmp_path, avro("flowtuple4", VERSION_4, [record, ping]))
    kept = [(row["dst_ip"], row["src_port"], row["dst_port"], row["ttl"]) for row in records.table.to_pylist()]
    assert kept == [("198.51.0.0", 40_000, 80, 64), ("198.51.0.0", 3, 1, None)]
    assert "only the /16 of a destination" in records.summary()


def test_a_record_out_of_range_is_rejected(tmp_path: Path) -> None:
    records = read(tmp_path, avro("flowtuple", VERSION_3, [TCP_RECORD, TCP_RECORD | {"src_ip": 1 << 40}]))
    assert records.counts == (2, 1, 1, 0)
    assert records.rejects.select(["row", "field"]).to_pylist() == [{"row": 2, "field": "src_ip"}]


def test_of_a_cut_file_the_complete_blocks_are_read(tmp_path: Path) -> None:
    content = avro("flowtuple", VERSION_3, [TCP_RECORD] * 1000, sync_interval=1000)
    records = read(tmp_path, content[: len(content) // 2])
    assert 300 < records.counts.kept < 500
    with pytest.raises(InputError, match=r"tuples: damaged at byte \d+: broken Avro block"):
        records.raise_if_damaged()


def test_avro_of_another_schema_is_refused(tmp_path: Path) -> None:
    content = avro("other", {"packet_cnt": "long", "src_ip": "long"}, [{"packet_cnt": 1, "src_ip": 1}])
    with pytest.raises(InputError, match="not FlowTuple version 3 or 4"):
        read(tmp_path, content)
    with pytest.raises(InputError, match="not a readable Avro file"):
        read(tmp_path, content[:30] + b'"packet_cnt" "src_ip"')
