"""Logs of common programs: each example follows the program's documentation or source."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import crafted
import pytest

from telescope_transformer.records import read_records
from telescope_transformer.records.schema import UNKNOWN_ICMP_TYPE

MICROS = 1_469_123_456_123_456
SECOND = 1_469_123_456
TCP_RECORD = ("192.0.2.1", "198.51.100.7", 6, 40_000, 23)
PING = ("192.0.2.1", "198.51.100.7", 1, 8, 0)


def read(tmp_path: Path, content: str | bytes, name: str = "log") -> Any:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_records([path])


def tuples(records: Any) -> list[tuple[Any, ...]]:
    names = ("src_ip", "dst_ip", "protocol", "src_port", "dst_port")
    return [tuple(row[name] for name in names) for row in records.table.to_pylist()]


def lines(*records: dict[str, Any]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


ECS = {
    "@timestamp": "2016-07-21T17:50:56.123456Z",
    "source": {"ip": "192.0.2.1", "port": 40_000},
    "destination": {"ip": "198.51.100.7", "port": 23},
    "network": {"transport": "tcp"},
}
FLAT = {
    "@timestamp": "Jul 21, 2016 @ 17:50:56.123456",
    "source.ip": ["192.0.2.1"],
    "source.port": [40_000],
    "destination.ip": ["198.51.100.7"],
    "destination.port": [23],
    "network.transport": ["tcp"],
}


@pytest.mark.parametrize(
    "content",
    [
        lines(ECS),
        lines(FLAT),
        json.dumps([ECS], indent=2),
        json.dumps([ECS]),
        json.dumps({"took": 3, "hits": {"total": 1, "hits": [{"_index": "a", "_source": ECS}]}}),
        json.dumps({"took": 3, "hits": {"total": 1, "hits": [{"_index": "a", "_source": ECS}]}}, indent=1),
        lines({"_index": "a", "_id": "1", "_source": ECS}),
        lines({"index": {"_id": "1"}}, ECS),
    ],
    ids=["nested", "flat", "pretty array", "array", "search", "pretty search", "hits", "bulk"],
)
def test_json_is_read_by_names_of_the_elastic_common_schema(tmp_path: Path, content: str) -> None:
    records = read(tmp_path, content)
    assert tuples(records) == [TCP_RECORD]
    assert records.table.column("timestamp").to_pylist() == [MICROS]
    assert records.counts.rejected == 0


def test_json_is_read_by_a_mapping(tmp_path: Path) -> None:
    record = {"when": SECOND, "who": {"addr": "192.0.2.1"}, "what": 6, "door": 23}
    path = tmp_path / "a.json"
    path.write_text(lines(record))
    mapping = {"timestamp": "when", "src_ip": "who.addr", "protocol": "what", "dst_port": "door"}
    (row,) = read_records(path, columns=mapping).table.to_pylist()
    assert (row["src_ip"], row["dst_port"], row["timestamp"]) == ("192.0.2.1", 23, SECOND * 1_000_000)


COWRIE = {
    "eventid": "cowrie.session.connect",
    "src_ip": "192.0.2.1",
    "src_port": 40_000,
    "dst_ip": "198.51.100.7",
    "dst_port": 23,
    "session": "b1",
    "protocol": "telnet",
    "message": "New connection",
    "sensor": "pot",
    "timestamp": "2016-07-21T17:50:56.123456Z",
}
DIONAEA = {
    "connection": {"protocol": "smbd", "transport": "tcp", "type": "accept"},
    "src_ip": "::ffff:192.0.2.1",
    "src_port": 40_000,
    "dst_ip": "::ffff:198.51.100.7",
    "dst_port": 23,
    "timestamp": "2016-07-21T17:50:56.123456",
}
HPFEEDS = {
    "connection_type": "accept",
    "connection_transport": "tcp",
    "connection_protocol": "pcap",
    "remote_host": "192.0.2.1",
    "remote_port": 40_000,
    "local_host": "198.51.100.7",
    "local_port": 23,
    "timestamp": "2016-07-21T17:50:56.123456",
}
HONEYTRAP = {
    "@timestamp": "2016-07-21T17:50:56.123456Z",
    "attack_connection": {
        "local_ip": "198.51.100.7",
        "local_port": 23,
        "payload": {"length": 0},
        "protocol": "tcp",
        "remote_ip": "192.0.2.1",
        "remote_port": 40_000,
    },
    "operation_mode": 1,
}
NETWORK_FIREWALL = {
    "firewall_name": "f",
    "availability_zone": "z",
    "event_timestamp": "1469123500",
    "event": {
        "timestamp": "2016-07-21T17:52:00.000000+0000",
        "event_type": "netflow",
        "src_ip": "192.0.2.1",
        "src_port": 40_000,
        "dest_ip": "198.51.100.7",
        "dest_port": 23,
        "proto": "TCP",
        "netflow": {"pkts": 1, "bytes": 40, "start": "2016-07-21T17:50:56.123456+0000"},
        "tcp": {"tcp_flags": "02", "syn": True},
    },
}
IPFIX = {
    "flows": {
        "flowStartMilliseconds": "2016-07-21 17:50:56.123456Z",
        "sourceIPv4Address": "192.0.2.1",
        "destinationIPv4Address": "198.51.100.7",
        "protocolIdentifier": 6,
        "sourceTransportPort": 40_000,
        "destinationTransportPort": 23,
        "packetTotalCount": 1,
        "octetTotalCount": 40,
        "initialTCPFlags": "S",
    }
}
NPROBE = {"22": 1469123456, "8": "192.0.2.1", "27": "::", "12": "198.51.100.7", "28": "::", "4": 6, "7": 40_000}
NPROBE |= {"11": 23, "2": 1, "1": 40, "6": 2}
PMACCT = {
    "event_type": "purge",
    "ip_src": "192.0.2.1",
    "ip_dst": "198.51.100.7",
    "port_src": 40_000,
    "port_dst": 23,
    "ip_proto": "tcp",
    "tcp_flags": "2",
    "timestamp_start": "2016-07-21 17:50:56.123456",
    "packets": 1,
    "bytes": 40,
}
MASSCAN = {"ip": "192.0.2.1", "timestamp": "1469123456", "ports": [{"port": 23, "proto": "tcp", "ttl": 50}]}


@pytest.mark.parametrize(
    ("record", "other", "name"),
    [
        (COWRIE, COWRIE | {"eventid": "cowrie.login.failed"}, "cowrie"),
        (DIONAEA, DIONAEA | {"connection": {"transport": "tcp", "type": "listen"}}, "dionaea"),
        (HPFEEDS, HPFEEDS | {"connection_type": "connect"}, "dionaea"),
        (HONEYTRAP, {"unrelated": 1}, "honeytrap"),
        (IPFIX, {"stats": {}}, "ipfix-json"),
        (NPROBE, {"1": 2}, "nprobe-json"),
        (PMACCT, {"event_type": "purge_init"}, "pmacct-json"),
        (NETWORK_FIREWALL, {"firewall_name": "f", "event": {"event_type": "alert", "timestamp": "x"}}, "suricata"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_json_of_programs_gives_the_expected_records(
    tmp_path: Path, record: dict[str, Any], other: dict[str, Any], name: str
) -> None:
    records = read(tmp_path, lines(other, record))
    assert records.sources[0].format == name
    assert tuples(records) == [TCP_RECORD]
    assert records.counts == (1, 1, 0, 1)
    assert records.table.column("timestamp").to_pylist()[0] // 1_000_000 == SECOND


def test_pings_of_nprobe_and_yaf_are_read_from_type_and_code_in_one_number(tmp_path: Path) -> None:
    flow = IPFIX["flows"] | {"protocolIdentifier": 1, "icmpTypeCodeIPv4": 2048, "sourceTransportPort": 0}
    assert tuples(read(tmp_path, lines(NPROBE | {"4": 1, "32": 2048, "7": 0, "11": 0}))) == [PING]
    assert tuples(read(tmp_path, lines({"flows": flow}))) == [PING]


def test_both_forms_of_masscan_are_read_with_a_note(tmp_path: Path) -> None:
    as_json = "[\n" + json.dumps(MASSCAN) + "\n,\n" + json.dumps(MASSCAN) + "\n]\n"
    as_list = "#masscan\nopen tcp 23 192.0.2.1 1469123456\nbanner tcp 23 192.0.2.1 1469123456 x y\n# end\n"
    for content, kept in ((as_json, 2), (as_list, 1)):
        records = read(tmp_path, content)
        assert records.counts.kept == kept
        assert set(tuples(records)) == {("192.0.2.1", "240.0.0.0", 6, 0, 23)}
        assert "results of a scan" in records.summary()


VPC = "2 123456789010 eni-0a {} {} {} {} {} 1 40 1469123456 1469123500 REJECT OK\n"
VPC_HEADER = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action "


def test_aws_vpc_flow_logs_are_read_with_and_without_a_header(tmp_path: Path) -> None:
    tcp = VPC.format("192.0.2.1", "198.51.100.7", 40_000, 23, 6)
    ping = VPC.format("192.0.2.1", "198.51.100.7", 0, 0, 1)
    nothing = "2 123456789010 eni-0a - - - - - - - 1469123456 1469123500 - NODATA\n"
    for content in (tcp + ping + nothing, VPC_HEADER + "log-status\n" + tcp + ping + nothing):
        records = read(tmp_path, content)
        assert records.sources[0].format == "aws-vpc"
        # A flow log does not contain the ICMP type of a ping.
        assert tuples(records) == [TCP_RECORD, (*PING[:3], UNKNOWN_ICMP_TYPE, 0)]
        assert records.counts == (2, 2, 0, 1)


KERNEL = (
    "kernel: [9.1] {}IN=eth0 OUT= MAC=00:01 SRC=192.0.2.1 DST=198.51.100.7 LEN=40 TOS=0x00 PREC=0x00 TTL=50 ID=54321 "
)
SYN = KERNEL + "PROTO=TCP SPT=40000 DPT=23 SEQ=7 ACK=0 WINDOW=1024 RES=0x00 SYN URGP=0"
ECHO = KERNEL + "DF PROTO=ICMP TYPE=8 CODE=0 ID=1 SEQ=2"
FILTERLOG = "filterlog[1]: 5,,,1000000103,em0,match,block,in,4,0x0,,50,54321,0,none,{}"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("2016-07-21T17:50:56+00:00 h " + SYN.format(""), TCP_RECORD),
        ("2016-07-21T19:50:56+02:00 h " + SYN.format("[UFW BLOCK] "), TCP_RECORD),
        ("<4>Jul 21 2016 17:50:56 h " + ECHO.format(""), PING),
        ("1469123456 h " + SYN.format("DSHIELDINPUT "), TCP_RECORD),
        (
            "2016-07-21T17:50:56Z h " + FILTERLOG.format("6,tcp,40,192.0.2.1,198.51.100.7,40000,23,0,S,7,,1024,,"),
            TCP_RECORD,
        ),
        ("2016-07-21T17:50:56Z h " + FILTERLOG.format("1,icmp,40,192.0.2.1,198.51.100.7,request,1,2"), PING),
        (
            "Jul 21 2016 17:50:56: %ASA-4-106023: Deny tcp src outside:192.0.2.1/40000 dst dmz:198.51.100.7/23 "
            'by access-group "a" [0x0, 0x0]',
            TCP_RECORD,
        ),
        (
            "Jul 21 2016 17:50:56 h : %ASA-4-106023: Deny icmp src outside:192.0.2.1 dst dmz:198.51.100.7 "
            '(type 8, code 0) by access-group "a"',
            PING,
        ),
        (
            "Jul 21 2016 17:50:56: %ASA-2-106001: Inbound TCP connection denied from 192.0.2.1/40000 to "
            "198.51.100.7/23 flags SYN on interface outside",
            TCP_RECORD,
        ),
        (
            "Jul 21 2016 17:50:56: %ASA-4-106100: access-list a denied tcp outside/192.0.2.1(40000) -> "
            "inside/198.51.100.7(23) hit-cnt 1 first hit",
            TCP_RECORD,
        ),
        (
            "Jul 21 2016 17:50:56: %ASA-3-710003: TCP access denied by ACL from 192.0.2.1/40000 to "
            "outside:198.51.100.7/23",
            TCP_RECORD,
        ),
    ],
)
def test_firewall_logs_give_the_expected_records(tmp_path: Path, line: str, expected: tuple[Any, ...]) -> None:
    records = read(tmp_path, f"2016-07-21T17:00:00Z h sshd[1]: nothing of a firewall\n{line}\n")
    assert records.sources[0].format == "firewall-log"
    assert tuples(records) == [expected]
    assert records.counts == (1, 1, 0, 1)
    assert records.table.column("timestamp").to_pylist() == [SECOND * 1_000_000]


def test_header_fields_that_identify_tools_are_read_from_firewall_logs(tmp_path: Path) -> None:
    (row,) = read(tmp_path, "2016-07-21T17:50:56Z h " + SYN.format("") + "\n").table.to_pylist()
    assert (row["ttl"], row["ip_id"], row["tcp_seq"], row["tcp_flags"], row["bytes"]) == (50, 54321, 7, 2, 40)


def test_the_year_of_syslog_is_the_latest_before_the_last_change_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("Dec 31 23:59:00 h " + SYN.format("") + "\n" + "Jan  2 00:00:01 h " + SYN.format("") + "\n")
    os.utime(path, (1_483_315_200, 1_483_315_200))  # 2017-01-02
    found = read_records(path)
    assert found.table.column("timestamp").to_pylist() == [1_483_228_740_000_000, 1_483_315_201_000_000]
    assert "without a year" in found.summary()
    path.write_text("Feb 29 00:00:00 h " + SYN.format("") + "\n")
    os.utime(path, (1_520_000_000, 1_520_000_000))  # 2018-03-02
    assert read_records(path).table.column("timestamp").to_pylist() == [1_456_704_000_000_000]  # 2016-02-29


@pytest.mark.shared
def test_real_denies_of_cisco_asa_are_all_read(shared: Path) -> None:
    records = read_records(shared / "fixtures/cisco_asa/cisco-test01.log")
    assert records.sources[0].format == "firewall-log"
    assert records.counts.kept > 0
    assert records.counts.rejected == 0


def table(delimiter: str, *rows: str) -> str:
    """Rows given with blanks between values, written with a program's delimiter; `_` is an empty value."""
    values = ([value.replace("_", "") if value == "_" else value for value in row.split()] for row in rows)
    return "".join(delimiter.join(row) + "\n" for row in values)


TABLES = {
    "silk": """
            sIP|            dIP|sPort|dPort|pro|packets|bytes|flags|                  sTime|
      192.0.2.1|   198.51.100.7|40000|   23|  6|      1|   40| S      |2016/07/21T17:50:56.123|
      192.0.2.1|   198.51.100.7|    0| 2048|  1|      1|   40|        |2016/07/21T17:50:56.123|
""",
    "yaf": table(
        "|",
        "start-time end-time duration rtt proto sip sp dip dp iflags uflags isn pkt oct",
        "2016-07-21T17:50:56.123 2016-07-21T17:50:57 1.0 0.0 6 192.0.2.1 40000 198.51.100.7 23 S 0 7 1 40",
        "2016-07-21T17:50:56.123 2016-07-21T17:50:57 1.0 0.0 1 192.0.2.1 0 198.51.100.7 2048 0 0 0 1 40",
    ),
    "pmacct": table(
        ",",
        "SRC_IP DST_IP SRC_PORT DST_PORT TCP_FLAGS PROTOCOL TIMESTAMP_START PACKETS BYTES",
        "192.0.2.1 198.51.100.7 40000 23 2 tcp 2016-07-21T17:50:56.123 1 40",
        "192.0.2.1 198.51.100.7 0 2048 0 icmp 2016-07-21T17:50:56.123 1 40",
    ),
    "nprobe": table(
        "|",
        "FLOW_START_MILLISECONDS IPV4_SRC_ADDR IPV4_DST_ADDR PROTOCOL L4_SRC_PORT L4_DST_PORT ICMP_TYPE IN_PKTS",
        "1469123456123 192.0.2.1 198.51.100.7 6 40000 23 0 1",
        "1469123456123 192.0.2.1 198.51.100.7 1 0 0 2048 1",
    ),
    "tshark": table(
        "\t",
        "frame.time_epoch ip.src ip.dst ip.proto tcp.srcport tcp.dstport udp.srcport icmp.type icmp.code ip.ttl ip.id",
        "1469123456.123000000 192.0.2.1 198.51.100.7 6 40000 23 _ _ _ 50 0x0000d431",
        "1469123456.123000000 192.0.2.1,10.0.0.1 198.51.100.7,10.0.0.2 1,17 _ _ _ 8 0 50,64 0x0001",
    ),
    "cicflowmeter": """
Flow ID,Src IP,Src Port,Dst IP,Dst Port,Protocol,Timestamp,Flow Duration,Label
x,192.0.2.1,40000,198.51.100.7,23,6,21/07/2016 05:50:56 PM,1,Benign
x,192.0.2.1,8,198.51.100.7,0,1,21/07/2016 05:50:56 PM,1,Benign
""",
}


@pytest.mark.parametrize("name", TABLES)
def test_text_tables_of_programs_give_the_expected_records(tmp_path: Path, name: str) -> None:
    records = read(tmp_path, TABLES[name])
    assert records.sources[0].format == name
    assert tuples(records) == [TCP_RECORD, PING]
    assert {time // 1_000_000 for time in records.table.column("timestamp").to_pylist()} == {SECOND}


def test_zmap_and_dshield_give_the_expected_records(tmp_path: Path) -> None:
    zmap = "saddr,daddr,sport,dport,classification,timestamp_ts\n192.0.2.1,198.51.100.7,80,40000,synack,1469123456\n"
    assert tuples(read(tmp_path, zmap)) == [("192.0.2.1", "198.51.100.7", 6, 80, 40_000)]
    report = "2016-07-21 19:50:56 +02:00\t1234\t1\t192.0.2.1\t40000\t198.51.100.7\t23\tTCP\tS\n"
    records = read(tmp_path, report)
    assert (records.sources[0].format, tuples(records)) == ("dshield", [TCP_RECORD])
    assert records.table.column("timestamp").to_pylist() == [SECOND * 1_000_000]


@pytest.mark.skipif(not (shutil.which("nfpcapd") and shutil.which("nfdump")), reason="nfdump is not installed")
def test_exports_of_nfdump_agree_with_its_binary_file(tmp_path: Path) -> None:
    packets = [crafted.ethernet(crafted.ipv4(crafted.tcp())), crafted.ethernet(crafted.ipv4(crafted.icmp(8, 0), 1))]
    capture, folder = tmp_path / "in.pcap", tmp_path / "out"
    capture.write_bytes(crafted.pcap([*packets, crafted.ethernet(crafted.ipv6(crafted.udp(1, 2), 17))]))
    folder.mkdir()
    command = ["nfpcapd", "-r", str(capture), "-l", str(folder)]
    if subprocess.run(command, capture_output=True, timeout=60, check=False).returncode:
        pytest.skip("this nfpcapd cannot convert the capture")
    (binary,) = [path for path in folder.iterdir() if path.name.startswith("nfcapd.2")]
    expected = sorted(tuples(read_records(binary)))
    assert len(expected) == 3
    for kind in ("json", "pipe", "csv"):
        # Without a header the columns of the CSV have no names.
        export = ["nfdump", *([] if kind == "csv" else ["-q"]), "-r", str(binary), "-o", kind]
        done = subprocess.run(export, capture_output=True, env={"TZ": "UTC"}, check=True, timeout=60)
        records = read(tmp_path, done.stdout, f"export.{kind}")
        assert records.sources[0].format == f"nfdump-{kind}"
        assert sorted(tuples(records)) == expected
    old = "2|1469123456|7|1469123457|0|6|0|0|0|3221225985|40000|0|0|0|3325256711|23|0|0|0|0|2|0|1|40\n"
    records = read(tmp_path, old)
    assert (records.sources[0].format, tuples(records)) == ("nfdump-pipe", [TCP_RECORD])
    assert records.table.column("timestamp").to_pylist() == [SECOND * 1_000_000 + 7_000]
