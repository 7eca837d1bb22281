"""Zeek, Suricata, Argus and nfdump: crafted logs, and real ones if the shared data are there."""

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import crafted
import pytest

from telescope_transformer.errors import InputError
from telescope_transformer.records import read_records
from telescope_transformer.records.formats import nfdump

ZEEK_FIELDS = ["ts", "uid", "id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p", "proto", "orig_pkts", "orig_ip_bytes"]
ZEEK_ROW = ["1700000000.25", "C1", "192.0.2.1", "40000", "198.51.100.1", "80", "tcp", "2", "80"]


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "log"
    path.write_text(text)
    return path


def zeek_text(rows: Sequence[Sequence[str]], fields: Sequence[str] = ZEEK_FIELDS, path: str = "conn") -> str:
    header = [r"#separator \x09", "#set_separator\t,", "#empty_field\t(empty)", "#unset_field\t-", f"#path\t{path}"]
    header += ["#fields\t" + "\t".join(fields), "#types\t" + "\t".join("string" for _ in fields)]
    return "\n".join([*header, *("\t".join(row) for row in rows), "#close\t2024-01-01-00-00-00"]) + "\n"


def test_zeek_text_is_read_with_fields_in_any_order_and_a_stray_tab(tmp_path: Path) -> None:
    text = "\t" + zeek_text([ZEEK_ROW[::-1]], ZEEK_FIELDS[::-1])
    records = read_records([write(tmp_path, text)])
    assert records.sources[0].format == "zeek"
    assert records.counts == (1, 1, 0, 0)
    assert records.table.to_pylist() == [
        {
            "timestamp": 1_700_000_000_250_000,
            "src_ip": "192.0.2.1",
            "dst_ip": "198.51.100.1",
            "protocol": 6,
            "src_port": 40_000,
            "dst_port": 80,
            "packets": 2,
            "bytes": 80,
        }
    ]


def test_zeek_unset_values_are_missing_and_broken_rows_rejected(tmp_path: Path) -> None:
    icmp = ["1", "C", "192.0.2.1", "8", "198.51.100.1", "0", "icmp", "-", "-"]
    unreachable = ["1", "C", "192.0.2.1", "3", "198.51.100.1", "13", "icmp", "-", "-"]
    solicitation = ["1", "C", "2001:db8::1", "135", "2001:db8::2", "136", "icmp", "1", "72"]
    unset = ["-", *ZEEK_ROW[1:]]
    records = read_records([write(tmp_path, zeek_text([icmp, unreachable, solicitation, unset, ["cut", "off"]]))])
    kept = [(row["protocol"], row["src_port"], row["dst_port"], row["packets"]) for row in records.table.to_pylist()]
    assert kept == [(1, 8, 0, None), (1, 3, 13, None), (58, 135, 0, 1)]
    assert records.rejects.select(["row", "field"]).to_pylist() == [
        {"row": 11, "field": "timestamp"},
        {"row": 12, "field": "row"},
    ]


@pytest.mark.parametrize("joint", ["\t", "   "])
def test_zeek_labels_are_read_where_spaces_join_the_last_columns(tmp_path: Path, joint: str) -> None:
    fields = [*ZEEK_FIELDS, joint.join(["tunnel_parents", "label", "detailed-label"])]
    rows = [[*ZEEK_ROW, joint.join(["-", "Malicious", "x"])], [*ZEEK_ROW, joint.join(["-", "-", "-"])]]
    records = read_records([write(tmp_path, zeek_text(rows, fields))])
    assert records.table.column("label").to_pylist() == ["Malicious", None]


def test_a_zeek_log_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="log of 'dns', not of connections"):
        read_records([write(tmp_path, zeek_text([ZEEK_ROW], path="dns"))])
    with pytest.raises(InputError, match="without the field proto"):
        read_records([write(tmp_path, zeek_text([ZEEK_ROW[:6]], ZEEK_FIELDS[:6]))])


@pytest.mark.parametrize("separator", [",", "\t"])
@pytest.mark.parametrize("start", ["", "#fields\t"])
@pytest.mark.parametrize(
    "names", ["id.orig_h id.orig_p id.resp_h id.resp_p", "id_orig_h id_orig_p id_resp_h id_resp_p"]
)
def test_a_table_with_the_columns_of_dns_log_is_not_of_connections(
    tmp_path: Path, names: str, start: str, separator: str
) -> None:
    if start and separator == ",":
        start = "#separator ,\n#fields,"
    columns = ["ts", *names.split(), "proto", "query"]
    row = ["1.5", "192.0.2.1", "4000", "198.51.100.1", "53", "udp", "x"]
    text = start + "\n".join(map(separator.join, [columns, row]))
    with pytest.raises(InputError, match="not of connections"):
        read_records([write(tmp_path, text)])
    enriched = start + "\n".join(map(separator.join, [[*columns, "conn_state"], [*row, "S0"]]))
    assert read_records([write(tmp_path, enriched)]).counts == (1, 1, 0, 0)


def zeek_json(**changes: Any) -> dict[str, Any]:
    values: list[Any] = [1_700_000_000.25, "C1", "192.0.2.1", 40_000, "198.51.100.1", 80, "tcp", 2, 80]
    return dict(zip(ZEEK_FIELDS, values, strict=True)) | changes


@pytest.mark.parametrize("time", [1_700_000_000.25, "2023-11-14T22:13:20.250000Z"])
def test_zeek_json_is_read_around_broken_lines(tmp_path: Path, time: Any) -> None:
    good = json.dumps(zeek_json(ts=time))
    lines = [good, '{"ts": 1', good, '["a list"]', json.dumps(zeek_json(ts=time, proto=["tcp"])), good]
    records = read_records([write(tmp_path, "\n".join(lines) + "\n")])
    assert records.sources[0].format == "zeek-json"
    assert records.counts == (6, 3, 3, 0)
    assert records.rejects.column("row").to_pylist() == [2, 4, 5]
    assert set(records.table.column("timestamp").to_pylist()) == {1_700_000_000_250_000}
    assert "label" not in records.table.schema.names


def suricata_flow(**changes: Any) -> str:
    event = {
        "timestamp": "2023-11-14T22:20:00.000000+0000",
        "event_type": "flow",
        "src_ip": "192.0.2.1",
        "src_port": 40_000,
        "dest_ip": "198.51.100.1",
        "dest_port": 80,
        "proto": "TCP",
        "flow": {"pkts_toserver": 2, "bytes_toserver": 80, "start": "2023-11-14T23:13:20.250000+0100"},
        "tcp": {"tcp_flags_ts": "02"},
    }
    return json.dumps(event | changes)


def test_suricata_flows_begin_at_their_start_and_other_events_are_skipped(tmp_path: Path) -> None:
    ping = suricata_flow(proto="IPv6-ICMP", src_ip="2001:DB8::1", icmp_type=128, icmp_code=0, tcp=None, src_port=None)
    lines = [suricata_flow(event_type="alert"), suricata_flow(), ping, suricata_flow(proto="nothing"), "{broken"]
    records = read_records([write(tmp_path, "\n".join(lines))])
    assert records.counts == (4, 2, 2, 1)
    first, second = records.table.to_pylist()
    assert (first["timestamp"], first["tcp_flags"], first["packets"], first["bytes"]) == (
        1_700_000_000_250_000,
        2,
        2,
        80,
    )
    assert (second["src_ip"], second["protocol"], second["src_port"], second["dst_port"]) == (
        "2001:db8::1",
        58,
        128,
        0,
    )
    assert sorted(records.rejects.column("row").to_pylist()) == [4, 5]


BINETFLOW = "StartTime,Dur,Proto,SrcAddr,Sport,Dir,DstAddr,Dport,State,sTos,dTos,TotPkts,TotBytes,SrcBytes,Label\n"


def test_binetflow_gives_what_the_source_sent(tmp_path: Path) -> None:
    rows = [
        "2023/11/14 22:13:20.250000,1.0,tcp,192.0.2.1,40000,   ->,198.51.100.1,80,S0,0,0,3,120,80,flow=Background",
        "2023/11/14 22:13:20.250000,1.0,icmp,192.0.2.1,0x0103,   ->,198.51.100.1,0x7208,URP,0,,1,60,60,",
        "2023/11/14 22:13:20.250000,1.0,rtp,192.0.2.1,4000,   ->,198.51.100.1,0x0035,INT,0,,1,60,60,",
        "2023/11/14 22:13:20.250000,1.0,arp,192.0.2.1,,  who,198.51.100.1,,CON,,,1,60,60,",
    ]
    records = read_records([write(tmp_path, BINETFLOW + "\n".join(rows))])
    assert records.counts == (3, 3, 0, 1)
    table = records.table.to_pylist()
    assert [(row["protocol"], row["src_port"], row["dst_port"]) for row in table] == [
        (6, 40_000, 80),
        (1, 3, 1),
        (17, 4000, 53),
    ]
    assert table[0]["timestamp"] == 1_700_000_000_250_000
    assert [row["label"] for row in table] == ["flow=Background", None, None]


LONG_EXPORT = """ts,te,td,sa,da,sp,dp,pr,flg,fwd,stos,ipkt,ibyt
2023-11-14 22:13:20.250,2023-11-14 22:13:21,0.000,192.0.2.1,198.51.100.1,40000,80,TCP,......S.,0,0,1,60
2023-11-14 22:13:20.250,2023-11-14 22:13:21,0.000,192.0.2.1,198.51.100.1,0,3.13,ICMP,........,0,0,1,60
Summary
flows,bytes,packets,avg_bps,avg_pps,avg_bpp
2,120,2,160000,375,60
"""
SHORT_EXPORT = """firstSeen,duration,proto,srcAddr,srcPort,dstAddr,dstPort,packets,bytes,bps,pps,bpp,flows
2023-11-14 22:13:20.250,0.000,TCP,192.0.2.1,40000,198.51.100.1,80,1,60,0,0,60,1
2023-11-14 22:13:20.250,0.000,ICMP,192.0.2.1,0,198.51.100.1,3.13,1,60,0,0,60,1
"""


@pytest.mark.parametrize("export", [LONG_EXPORT, SHORT_EXPORT])
def test_both_layouts_of_nfdump_csv_give_the_same_records(tmp_path: Path, export: str) -> None:
    records = read_records([write(tmp_path, export)])
    assert records.sources[0].format == "nfdump-csv"
    assert records.counts == (2, 2, 0, 0)
    kept = [(row["timestamp"], row["protocol"], row["src_port"], row["dst_port"]) for row in records.table.to_pylist()]
    assert kept == [(1_700_000_000_250_000, 6, 40_000, 80), (1_700_000_000_250_000, 1, 3, 13)]


def test_a_binary_nfdump_file_without_nfdump_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "flows.nfdump"
    path.write_bytes(b"\x0c\xa5\x01\x00" + bytes(300))
    monkeypatch.setattr(nfdump.shutil, "which", lambda name: None)
    with pytest.raises(InputError, match=r"flows\.nfdump.* nfdump -r flows\.nfdump -o csv > flows\.csv"):
        read_records([path])


@pytest.mark.skipif(not (shutil.which("nfpcapd") and shutil.which("nfdump")), reason="nfdump is not installed")
def test_a_binary_nfdump_file_is_read_through_nfdump(tmp_path: Path) -> None:
    packets = [
        crafted.ethernet(crafted.ipv4(crafted.tcp())),
        crafted.ethernet(crafted.ipv4(crafted.icmp(3, 13), 1)),
        crafted.ethernet(crafted.ipv6(crafted.udp(1, 2), 17)),
    ]
    capture, folder = tmp_path / "in.pcap", tmp_path / "out"
    capture.write_bytes(crafted.pcap(packets))
    folder.mkdir()
    command = ["nfpcapd", "-r", str(capture), "-l", str(folder)]
    if subprocess.run(command, capture_output=True, timeout=60, check=False).returncode:
        pytest.skip("this nfpcapd cannot convert the capture")
    (converted,) = [path for path in folder.iterdir() if path.name.startswith("nfcapd.2")]
    table = read_records([converted]).table.to_pylist()
    found = {(row["timestamp"], row["src_ip"], row["protocol"], row["src_port"], row["dst_port"]) for row in table}
    start = crafted.SECOND * 1_000_000
    assert found == {
        (start, "192.0.2.1", 6, 40_000, 80),
        (start + 1_000_000, "192.0.2.1", 1, 3, 13),
        (start + 2_000_000, "2001:db8::1", 17, 1, 2),
    }
    converted.write_bytes(converted.read_bytes()[:-20])
    assert "nfdump says" in read_records([converted]).summary()


REAL = [
    ("binetflow/slips_portscan.binetflow", "binetflow", (66, 66, 0, 0)),
    ("binetflow/slips_test2.binetflow", "binetflow", (6751, 6751, 0, 0)),
    ("suricata/slips_test6_eve.json", "suricata", (3512, 3512, 0, 1488)),
    ("zeek/slips_ctu_sme11_conn.log.labeled", "zeek", (766, 766, 0, 0)),
    ("zeek/slips_horizontal_scan_conn.log", "zeek", (41, 41, 0, 0)),
    ("zeek/slips_test10_conn.log", "zeek", (141, 141, 0, 0)),
    ("zeek/slips_test9_conn.log", "zeek-json", (576, 576, 0, 0)),
    ("zeek/slips_vertical_scan_conn.log", "zeek-json", (50, 50, 0, 0)),
]


@pytest.mark.shared
@pytest.mark.parametrize(("name", "format_name", "counts"), REAL)
def test_real_logs_are_read_completely(shared: Path, name: str, format_name: str, counts: tuple[int, ...]) -> None:
    records = read_records([shared / "fixtures" / name])
    assert records.sources[0].format == format_name
    assert records.counts == counts


@pytest.mark.shared
@pytest.mark.skipif(shutil.which("nfdump") is None, reason="nfdump is not installed")
def test_a_real_nfdump_file_and_its_export_give_the_same_records(shared: Path, tmp_path: Path) -> None:
    binary = shared / "fixtures/nfdump/slips_test1.nfdump"
    command = ["nfdump", "-r", str(binary), "-o", "csv"]
    export = subprocess.run(command, capture_output=True, env={"TZ": "UTC"}, check=True, timeout=60)
    (tmp_path / "export").write_bytes(export.stdout)
    from_binary, from_export = read_records([binary]).table, read_records([tmp_path / "export"]).table
    assert from_binary.num_rows == 4593
    assert from_binary.drop_columns("timestamp") == from_export.drop_columns("timestamp")
