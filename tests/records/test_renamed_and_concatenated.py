# ruff: noqa: E501 - lines of logs are as long as their programs write them.
"""Inputs whose columns are renamed or change within the file, and lines of devices with unusual names."""

import gzip
import io
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from variants import PING, SECOND, TCP, TCP6, UDP, Variant, Variants, json_lines

from telescope_transformer.errors import InputError
from telescope_transformer.records import read_records
from telescope_transformer.records.delimited import _MOST_CHANGES
from telescope_transformer.records.protocols import protocol_number

VARIANTS = Variants()
HEADER = "timestamp,src_ip,dst_ip,protocol,src_port,dst_port\n"
ROW = "1469123456,192.0.2.1,198.51.100.7,6,40000,23\n"
SWAPPED = "timestamp,dst_ip,src_ip,protocol,dst_port,src_port\n1469123456,198.51.100.7,192.0.2.1,6,23,40000\n"
WIDER = "ttl,timestamp,dst_ip,src_ip,protocol,dst_port,src_port\n64,1469123456,198.51.100.7,192.0.2.1,6,23,40000\n"

# ---- concatenated tables
VARIANTS.add("columns swapped", HEADER + ROW + SWAPPED, [TCP, TCP], rejected=0, skipped=1)
VARIANTS.add("columns added and back", HEADER + ROW + WIDER + HEADER + ROW, [TCP] * 3, rejected=0, skipped=2)
VARIANTS.add("another delimiter", HEADER + ROW + SWAPPED.replace(",", ";"), [TCP, TCP], rejected=0)
VARIANTS.add("quoted headers", HEADER + ROW + '"' + SWAPPED.replace("\n", '"\n', 1).replace(",", '","', 5), [TCP, TCP])
VARIANTS.add("header after a comment", HEADER + ROW + "# next day\n" + SWAPPED, [TCP, TCP], rejected=0, skipped=2)
VARIANTS.add(
    "many blocks",
    HEADER
    + ROW * 60_000
    + SWAPPED
    + ROW.replace("192.0.2.1,198.51.100.7,6,40000,23", "198.51.100.7,192.0.2.1,6,23,40000") * 3,
    [TCP] * 60_004,
)
VARIANTS.add(
    "silk with other fields",
    "sIP|dIP|sPort|dPort|pro|sTime|\n192.0.2.1|198.51.100.7|40000|23|6|2016/07/21T17:50:56|\n"
    "dIP|sIP|dPort|sPort|pro|sTime|\n198.51.100.7|192.0.2.1|23|40000|6|2016/07/21T17:50:56|\n",
    [TCP, TCP],
    format="silk",
    rejected=0,
)
VARIANTS.add(
    "a row of text is no header", HEADER + "time,source,destination,tcp,ssh,telnet\n" + ROW, [TCP], rejected=1
)
VARIANTS.add(
    "firewall of Windows",
    "#Version: 1.5\n#Software: Microsoft Windows Firewall\n#Time Format: Local\n#Fields: date time action protocol src-ip dst-ip src-port dst-port size tcpflags tcpsyn tcpack tcpwin icmptype icmpcode info path\n\n"
    "2016-07-21 17:50:56 DROP TCP 192.0.2.1 198.51.100.7 40000 23 40 S 1 0 1024 - - - RECEIVE\n",
    [TCP],
)
VARIANTS.add(
    "psql",
    " timestamp | src_ip | dst_ip | protocol | src_port | dst_port\n-----+----+----+----+----+----\n 1469123456 | 192.0.2.1 | 198.51.100.7 | 6 | 40000 | 23\n(1 row)\n",
    [TCP],
    rejected=0,
    skipped=2,
)

# ---- names of columns
for names in (
    "Date first seen,Src IP Addr,Dst IP Addr,Proto,Src Pt,Dst Pt",
    "time_start,ip_src,ip_dst,ip_proto,port_src,port_dst",
    "start_time,client_ip,server_ip,transport,client_port,server_port",
    "Timestamp,Source IP Address,Destination IP Address,IP Protocol,Source Port Number,Destination Port Number",
    "event_time,src_addr,dst_addr,protocol_number,src_port,dst_port",
    "epoch_time,orig_h,resp_h,proto,orig_p,resp_p",
    "attack_time,attacker_ip,honeypot_ip,protocol,attacker_port,honeypot_port",
    "flow_start,saddr,daddr,l4_protocol,sport,dport",
    "_source.@timestamp,_source.src_ip,_source.dest_ip,_source.proto,_source.src_port,_source.dest_port",
    "jsonPayload.start_time,jsonPayload.connection.src_ip,jsonPayload.connection.dest_ip,jsonPayload.connection.protocol,jsonPayload.connection.src_port,jsonPayload.connection.dest_port",
):
    VARIANTS.add(names.split(",")[1], names + "\n" + ROW, [TCP])
VARIANTS.add(
    "two paths that end alike",
    "ts,a.src_ip,b.src_ip,dst_ip,proto,src_port,dst_port\n" + "1469123456,192.0.2.9," + ROW.split(",", 1)[1],
    None,
)

# ---- encodings
for encoding in ("utf-16-le", "utf-16-be"):
    VARIANTS.add(f"{encoding} without a mark", (HEADER + ROW).encode(encoding), [TCP])
    VARIANTS.add(
        f"{encoding} JSON",
        json_lines(
            {
                "timestamp": SECOND,
                "src_ip": "192.0.2.1",
                "dst_ip": "198.51.100.7",
                "protocol": 6,
                "src_port": 40000,
                "dst_port": 23,
            }
        ).encode(encoding),
        [TCP],
    )

# ---- logs that were truncated while they were written (logrotate's copytruncate)
for size in (16, 4_096, 300_000):
    VARIANTS.add(f"{size} zeros before a table", bytes(size) + (HEADER + ROW).encode(), [TCP])
    FLOW = {"timestamp": SECOND, "src_ip": "192.0.2.1", "dst_ip": "198.51.100.7", "protocol": 6, "src_port": 40_000}
    VARIANTS.add(f"{size} zeros before JSON", bytes(size) + json_lines(FLOW | {"dst_port": 23}).encode(), [TCP])
VARIANTS.add("zeros alone", bytes(300_000), None)

# ---- Zeek
ZEEK = ["ts", "uid", "id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p", "proto", "conn_state"]
ZEEK_ROW = ["1469123456.0", "C1", "192.0.2.1", "40000", "198.51.100.7", "23", "tcp", "S0"]
ECS = ["ts", "uid", "source.ip", "source.port", "destination.ip", "destination.port", "proto", "conn_state"]
for name, fields in {"id_": [field.replace(".", "_") for field in ZEEK], "ECS": ECS}.items():
    VARIANTS.add(
        f"zeek with {name}",
        "#separator \\x09\n#path\tconn\n#fields\t" + "\t".join(fields) + "\n" + "\t".join(ZEEK_ROW) + "\n",
        [TCP],
        format="zeek",
    )
ZEEK_PING = ["1469123456.0", "C2", "192.0.2.1", "8", "198.51.100.7", "0", "icmp", "OTH"]
ZEEK_SOLICITATION = ["1469123456.0", "C3", "2001:db8::1", "135", "2001:db8::7", "136", "icmp", "OTH"]
VARIANTS.add(
    "zeek as CSV",
    "\n".join(",".join(row) for row in (ZEEK, ZEEK_ROW, ZEEK_PING, ZEEK_SOLICITATION)),
    [TCP, PING, (*TCP6[:2], 58, 135, 0)],
    format="zeek-csv",
)
VARIANTS.add("zeek's DNS log as CSV", ",".join([*ZEEK[:-1], "query"]) + "\n" + ",".join(ZEEK_ROW) + "\n", None)
CONNECTION = dict(zip(ZEEK, ZEEK_ROW, strict=True))
DNS = {name: value for name, value in CONNECTION.items() if name != "conn_state"} | {"query": "a.example"}
ENDS = {"orig_h": "192.0.2.1", "orig_p": 40000, "resp_h": "198.51.100.7", "resp_p": 23}


def underscored(row: dict[str, str]) -> dict[str, str]:
    return {name.replace("id.", "id_"): value for name, value in row.items()}


def nested(row: dict[str, str]) -> dict[str, object]:
    return {**{name: value for name, value in row.items() if not name.startswith("id.")}, "id": ENDS}


for name, rows in {
    "id_": (underscored(CONNECTION), underscored(DNS)),
    "nested": (nested(CONNECTION), nested(DNS)),
    "below the log's name": ({"conn": CONNECTION}, {"dns": DNS}),
}.items():
    VARIANTS.add(f"zeek JSON {name}, DNS is skipped", json_lines(*rows), [TCP], skipped=1, format="zeek-json")

# ---- exports
LINE = "2016-07-21 17:50:56.000    0.000 TCP        192.0.2.1:40000 ->    198.51.100.7:23           1.2 M    1.2 G     1\n"
VARIANTS.add("nfdump with rounded numbers", LINE, [TCP], format="nfdump-line")
VARIANTS.add(
    "silk in lower case",
    "sIP|dIP|sPort|dPort|protocol|stime|\n192.0.2.1|198.51.100.7|40000|23|6|2016/07/21T17:50:56|\n",
    [TCP],
)
ALERT = {
    "timestamp": "2016-07-21T17:50:56+0000",
    "event_type": "alert",
    "src_ip": "192.0.2.1",
    "dest_ip": "198.51.100.7",
    "proto": "TCP",
}
VARIANTS.add("suricata without flows", json_lines(ALERT), [], skipped=1, told="turn on `flow`")

# ---- lines of devices
ISO = "2016-07-21T17:50:56+00:00 gateway "
IPT = "IN=eth0 OUT= SRC=192.0.2.1 DST=198.51.100.7 LEN=40 TTL=50 ID=1 PROTO=TCP SPT=40000 DPT=23 SYN\n"
OUT = "IN= OUT=eth0 SRC=198.51.100.7 DST=192.0.2.1 LEN=40 TTL=50 ID=1 PROTO=TCP SPT=23 DPT=40000 SYN\n"
for name, line, expected in (
    ("journald short-full", "Thu 2016-07-21 17:50:56 UTC host kernel: " + IPT, [TCP]),
    ("netfilter's outgoing line", ISO + OUT + ISO + IPT, [TCP]),
    (
        "CEF",
        ISO
        + "CEF:0|X|Y|1|deny|deny|5|rt=1469123456000 src=192.0.2.1 dst=198.51.100.7 spt=40000 dpt=23 proto=TCP act=deny\n",
        [TCP],
    ),
    (
        "LEEF",
        ISO + "LEEF:1.0|X|Y|1|deny|src=192.0.2.1\tdst=198.51.100.7\tsrcPort=40000\tdstPort=23\tproto=TCP\n",
        [TCP],
    ),
    (
        "Sophos",
        'device="SFW" date=2016-07-21 time=17:50:56 log_type="Firewall" src_ip=192.0.2.1 dst_ip=198.51.100.7 protocol="UDP" src_port=40000 dst_port=53\n',
        [UDP],
    ),
    (
        "FWSM",
        ISO + '%FWSM-4-106023: Deny tcp src outside:192.0.2.1/40000 dst inside:198.51.100.7/23 by access-group "x"\n',
        [TCP],
    ),
    (
        "ASA without its sign",
        ISO + 'ASA-4-106023: Deny tcp src outside:192.0.2.1/40000 dst inside:198.51.100.7/23 by access-group "x"\n',
        [TCP],
    ),
    (
        "Firepower",
        ISO
        + "%FTD-1-430002: EventPriority: Low, AccessControlRuleAction: Block, SrcIP: 192.0.2.1, DstIP: 198.51.100.7, SrcPort: 40000, DstPort: 23, Protocol: tcp, IngressInterface: o\n",
        [TCP],
    ),
    (
        "IOS",
        "000123: *Jul 21 2016 17:50:56.123 UTC: %SEC-6-IPACCESSLOGP: list 100 denied tcp 192.0.2.1(40000) -> 198.51.100.7(23), 1 packet\n",
        [TCP],
    ),
    (
        "Cisco IOS XR",
        ISO
        + "%ACL-IPV4_ACL-6-IPACCESSLOGP : access-list X (10) deny tcp 192.0.2.1(40000) -> 198.51.100.7(23), 1 packet\n",
        [TCP],
    ),
    (
        "IOS ICMP",
        ISO + "%SEC-6-IPACCESSLOGDP: list 100 denied icmp 192.0.2.1 -> 198.51.100.7 (8/0), 1 packet\n",
        [PING],
    ),
    (
        "IOS IPv6",
        ISO + "%IPV6_ACL-6-ACCESSLOGP: list x/10 denied tcp 2001:db8::1(40000) -> 2001:db8::7(23), 1 packet\n",
        [TCP6],
    ),
):
    VARIANTS.add(name, line, expected, format="firewall-log")
VARIANTS.add(
    "journald's own time",
    json_lines(
        {"_SOURCE_REALTIME_TIMESTAMP": "1469123456000000", "__REALTIME_TIMESTAMP": "1469129999000000", "MESSAGE": IPT}
    ),
    [TCP],
)

# ---- times, ports and addresses
for time in (
    *("2016-07-21 17:50:56 +0000 UTC", "Thu Jul 21 2016 17:50:56 GMT+0000 (Coordinated Universal Time)"),
    *("Thu 2016-07-21 17:50:56 UTC", "Jul 21 17:50:56 2016 GMT", "@1469123456", "'2016-07-21 17:50:56"),
):
    VARIANTS.add(time, HEADER + ROW.replace("1469123456", time), [TCP])
VARIANTS.add("ports of NumPy", HEADER + ROW.replace("40000", "4.000000000000000000e+04"), [TCP])
for missing in ("#VALUE!", "#REF!", "3.325256711E+09"):
    VARIANTS.add(
        f"the destination {missing}", HEADER + ROW.replace("198.51.100.7", missing), [], second=None, rejected=1
    )


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_renamed_and_concatenated_files_give_the_expected_records(tmp_path: Path, variant: Variant) -> None:
    variant.check(tmp_path)


@pytest.mark.parametrize("text", ["6:tcp", "6-TCP", "TCP[6]", "(6) TCP", "tcp / 6", "TCPv4", "tcp (6)"])
def test_a_protocol_may_be_given_by_name_and_number(text: str) -> None:
    assert protocol_number(text) == 6


@pytest.mark.parametrize("text", ["6:udp", "17-TCP", "6-7", "tcp-udp"])
def test_a_protocol_whose_name_and_number_differ_is_rejected(text: str) -> None:
    assert protocol_number(text) is None


def test_negative_integers_of_java_are_ipv4_addresses(tmp_path: Path) -> None:
    columns = {"timestamp": pa.array([SECOND]), "src_ip": pa.array([0xC0000201 - 2**32], pa.int32())}
    columns |= {"dst_ip": pa.array(["198.51.100.7"]), "protocol": pa.array([6])}
    columns |= {"src_port": pa.array([40_000]), "dst_port": pa.array([23])}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    assert read_records(tmp_path / "a.parquet").table["src_ip"].to_pylist() == ["192.0.2.1"]


def test_archives_and_double_compression_are_named(tmp_path: Path) -> None:
    content = (HEADER + ROW).encode()
    (tmp_path / "twice.gz").write_bytes(gzip.compress(gzip.compress(content)))
    with pytest.raises(InputError, match="compressed twice"):
        read_records(tmp_path / "twice.gz")
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        entry = tarfile.TarInfo("a.csv")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    (tmp_path / "a.tgz").write_bytes(archive.getvalue())
    with pytest.raises(InputError, match="a tar archive"):
        read_records(tmp_path / "a.tgz")


def test_columns_that_change_at_every_row_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text((HEADER + SWAPPED.split("\n")[0] + "\n") * (_MOST_CHANGES // 2 + 2))
    with pytest.raises(InputError, match="the columns change more than"):
        read_records(tmp_path / "a.csv")
