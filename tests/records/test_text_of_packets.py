# ruff: noqa: E501 - lines of logs are as long as their programs write them.
"""Packets as text: tcpdump, alerts of Suricata and Snort, events of nfdump, Windows Firewall, SonicWall, Check Point."""

import gzip
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.orc as orc
import pyarrow.parquet as pq
import pytest
from variants import PING, PING6, SECOND, TCP, TCP6, UDP, Tuple, Variant, Variants, json_lines

from telescope_transformer.errors import InputError
from telescope_transformer.records import read_records
from telescope_transformer.records.schema import UNKNOWN_ICMP_TYPE

VARIANTS = Variants()
add = VARIANTS.add
NO_TYPE: Tuple = ("192.0.2.1", "198.51.100.7", 1, UNKNOWN_ICMP_TYPE, 0)
NO_TYPE6: Tuple = ("2001:db8::1", "2001:db8::7", 58, UNKNOWN_ICMP_TYPE, 0)

DAY = "2016-07-21 17:50:56.123456 "
ENDS, ENDS6 = "192.0.2.1.40000 > 198.51.100.7.23: ", "2001:db8::1.40000 > 2001:db8::7.23: "
SYN = "Flags [S], seq 7, win 1024, length 0\n"
LINE = DAY + "IP " + ENDS + SYN
HEADER = "(tos 0x0, ttl 64, id 1, offset 0, flags [none], proto TCP (6), length 40"
for name, text, expected, more in (
    ("-tttt", LINE, [TCP], {"told": "taken as UTC"}),
    ("-tt", "1469123456.1 IP " + ENDS + SYN, [TCP], {}),
    ("IPv6", DAY + "IP6 " + ENDS6 + SYN, [TCP6], {}),
    ("UDP whose content is decoded", DAY + "IP 192.0.2.1.40000 > 198.51.100.7.53: 12345+ A? example.com. (29)\n", [UDP], {}),
    ("ping", DAY + "IP 192.0.2.1 > 198.51.100.7: ICMP echo request, id 1, seq 1, length 64\n", [PING], {}),
    ("ping IPv6", DAY + "IP6 2001:db8::1 > 2001:db8::7: ICMP6, echo request, seq 1, length 8\n", [PING6], {}),
    ("ICMP of a kind that is not known", DAY + "IP 192.0.2.1 > 198.51.100.7: ICMP type-77, length 8\n", [NO_TYPE], {}),
    ("-v in two lines", DAY + "IP " + HEADER + ")\n    " + ENDS + SYN, [TCP], {"skipped": 0}),
    ("-v with a wrong checksum", DAY + "IP " + HEADER + ", bad cksum 0 (->dd2b)!)\n    " + ENDS + SYN, [TCP], {}),
    ("-v whose second line is cut off", DAY + "IP " + HEADER + ")\n" + LINE, [TCP], {}),
    ("-v IPv6", DAY + "IP6 (hlim 64, next-header TCP (6) payload length: 20) " + ENDS6 + SYN, [TCP6], {}),
    ("-e", DAY + "00:11:22:33:44:55 > 66:77:88:99:aa:bb, ethertype IPv4 (0x0800), length 60: " + ENDS + SYN, [TCP], {}),
    ("-q -e", DAY + "00:11:22:33:44:55 > 66:77:88:99:aa:bb, IPv4, length 60: " + ENDS + "tcp 0\n", [TCP], {}),
    ("DCCP", DAY + "IP " + ENDS + "DCCP DCCP-Request (service=0) \n", [(*TCP[:2], 33, *TCP[3:])], {}),
    ("a protocol by number", DAY + "IP 192.0.2.1 > 198.51.100.7:  ip-proto-253 4\n", [(*TCP[:2], 253, 0, 0)], {}),
    ("IPv6 in IPv4", DAY + "IP 192.0.2.1 > 198.51.100.7: IP6 " + ENDS6 + SYN, [(*TCP[:2], 41, 0, 0)], {}),
    ("-ttt", " 00:00:00.731009 IP " + ENDS + SYN, [], {"rejected": 1, "told": "-tttt or -tt"}),
    ("-i any", DAY + "eth0  In  IP " + ENDS + SYN, [TCP], {}),
    ("-i any, a packet that the machine sent", LINE.replace(" IP", " eth0  Out IP") + LINE, [TCP], {"skipped": 1}),
    ("-X with its bytes", LINE + "\t0x0000:  4500 0028 0001 0000 4006\n" + LINE, [TCP, TCP], {"skipped": 1}),
    ("other protocols are skipped", LINE + DAY + "ARP, Request who-has 198.51.100.7 tell 198.51.100.1, length 46\n", [TCP], {"skipped": 1}),
    ("no date", "17:50:56.123456 IP " + ENDS + SYN, [], {"rejected": 1, "told": "-tttt or -tt"}),
    ("names of hosts", DAY + "IP scanner.example.40000 > pot.example.telnet: " + SYN, [], {"rejected": 1, "told": "not an address"}),
    ("a TCP fragment without ports", DAY + "IP 192.0.2.1 > 198.51.100.7: tcp\n", [], {"rejected": 1}),
    ("a port too large", LINE.replace("40000", "70000"), [], {"rejected": 1}),
    ("CR LF and a byte order mark", b"\xef\xbb\xbf" + LINE.replace("\n", "\r\n").encode(), [TCP], {}),
    ("UTF-16", LINE.encode("utf-16"), [TCP], {}),
    ("a last line that is cut", LINE + LINE[:40], [TCP], {"skipped": 1}),
    ("a line of a megabyte", LINE + "x" * (1 << 20) + "\n" + LINE, [TCP, TCP], {"skipped": 1}),
    ("NUL bytes of a crash", (LINE * 20).encode() + bytes(300) + b"\n" + LINE.encode(), [TCP] * 21, {}),
    ("two gzip files in one", gzip.compress(LINE.encode()) + gzip.compress(LINE.encode()), [TCP, TCP], {}),
):  # fmt: skip
    add(f"tcpdump {name}", text, expected, format="tcpdump", **more)
for kind, code, text in (
    (3, 0, "ICMP net 203.0.113.9 unreachable, length 36"),
    (3, 1, "ICMP host 203.0.113.9 unreachable, length 36"),
    (3, 4, "ICMP 203.0.113.9 unreachable - need to frag (mtu 1400), length 36"),
    (3, 7, "ICMP host 203.0.113.9 unreachable - unknown, length 36"),
    (3, 9, "ICMP net 203.0.113.9 unreachable - admin prohibited, length 36"),
    (3, 10, "ICMP host 203.0.113.9 unreachable - admin prohibited, length 36"),
    (3, 13, "ICMP host 203.0.113.9 unreachable - admin prohibited filter, length 36"),
    (5, 1, "ICMP redirect 203.0.113.9 to host 192.0.2.9, length 48"),
    (11, 1, "ICMP ip reassembly time exceeded, length 48"),
):
    add(f"tcpdump ICMP {kind}.{code}", f"{DAY}IP {TCP[0]} > {TCP[1]}: {text}\n", [(*TCP[:2], 1, kind, code)])
for kind, code, text in (
    (1, 3, "ICMP6, destination unreachable,  unreachable address 2001:db8::9, length 60"),
    (1, 4, "ICMP6, destination unreachable, unreachable port, 2001:db8::9 udp port 6, length 60"),
    (3, 0, "ICMP6, time exceeded in-transit for 2001:db8::9, length 60"),
    (3, 1, "ICMP6, time exceeded in-transit (reassembly), length 60"),
    (131, 0, "ICMP6, multicast listener reportmax resp delay: 0 addr: ::, length 24"),
    (143, 0, "ICMP6, multicast listener report v2, 1 group record(s), length 28"),
):
    add(f"tcpdump ICMPv6 {kind}.{code}", f"{DAY}IP6 {TCP6[0]} > {TCP6[1]}: {text}\n", [(*TCP6[:2], 58, kind, code)])
add("tcpdump before 1970", LINE.replace("2016", "1931"), [], rejected=1)

FAST = "07/21/2016-17:50:56.123456  [**] [1:2001219:20] ET SCAN {x} -> y [**] [Classification: Attempted Information Leak] [Priority: 2] "
SNORT = "07/21/16-17:50:56.123456  [**] [1:384:5] ICMP PING [**] [Priority: 3] "
for name, text, expected, more in (
    ("suricata", FAST + "{TCP} 192.0.2.1:40000 -> 198.51.100.7:23\n", [TCP], {"told": "only traffic that matches a rule"}),
    ("suricata IPv6", FAST + "{TCP} 2001:0db8:0000:0000:0000:0000:0000:0001:40000 -> 2001:0db8:0000:0000:0000:0000:0000:0007:23\n", [TCP6], {}),
    ("suricata ping", FAST + "{ICMP} 192.0.2.1:8 -> 198.51.100.7:0\n", [PING], {}),
    ("suricata ping IPv6", FAST + "{IPv6-ICMP} 2001:db8::1:128 -> 2001:db8::7:0\n", [PING6], {}),
    ("suricata drop", FAST.replace(" [**]", " [Drop] [**]", 1) + "{UDP} 192.0.2.1:40000 -> 198.51.100.7:53\n", [UDP], {}),
    ("snort", SNORT + "{TCP} 192.0.2.1:40000 -> 198.51.100.7:23\n", [TCP], {}),
    ("snort ping", SNORT + "{ICMP} 192.0.2.1 -> 198.51.100.7\n", [NO_TYPE], {}),
    ("snort ping IPv6", SNORT + "{IPV6-ICMP} 2001:db8::1 -> 2001:db8::7\n", [NO_TYPE6], {}),
    ("several rules for one packet", (FAST + "{TCP} 192.0.2.1:40000 -> 198.51.100.7:23\n") * 3, [TCP], {"skipped": 2}),
    ("a protocol by number", FAST + "{PROTO:006} 192.0.2.1:40000 -> 198.51.100.7:23\n", [TCP], {}),
    ("no port", SNORT + "{TCP} 192.0.2.1 -> 198.51.100.7\n", [], {"rejected": 1}),
    ("a day that no month has", (FAST + "{TCP} 192.0.2.1:40000 -> 198.51.100.7:23\n").replace("07/21", "02/31"), [], {"rejected": 1}),
    ("a negative port", FAST + "{TCP} 192.0.2.1:-1 -> 198.51.100.7:23\n", [], {"rejected": 1}),
):  # fmt: skip
    add(f"alert {name}", text, expected, format="ids-alerts", **more)
add(
    "alert without a year",
    SNORT.replace("/16-", "-") + "{TCP} 192.0.2.1:40000 -> 198.51.100.7:23\n",
    [TCP],
    second=None,
    told="without a year",
)
SYSLOG = "2016-07-21T17:50:56.1Z gw {}: {}[1:2:3] x [Priority: 2]: {{TCP}} 192.0.2.1:40000 -> 198.51.100.7:23\n"
for program, dropped in (("snort[7]", ""), ("suricata", "[Drop] ")):
    add(f"alerts of {program} in syslog", SYSLOG.format(program, dropped) * 2, [TCP], format="ids-alerts", skipped=1)
add(
    "alert_full is refused",
    "[**] [1:384:5] ICMP PING [**]\n[Priority: 3]\n07/21-17:50:56.1 192.0.2.1 -> 198.51.100.7\n",
    None,
)


def test_flags_and_numbers_of_old_tcpdump_are_read(tmp_path: Path) -> None:
    lines = {
        "S 7:7(0) win 512 <mss 1460>": (2, 7),
        "S, cksum 0x1234 (correct), 7:7(0) ack 1 win 512": (18, 7),
        ". ack 1 win 512": (16, None),
        "P [tcp sum ok] 1:9(8) ack 1 win 512": (24, None),
    }
    (tmp_path / "log").write_text("".join(f"{DAY}IP {ENDS}{line}\n" for line in lines))
    rows = read_records(tmp_path / "log").table.to_pylist()
    assert [(row["protocol"], row["tcp_flags"], row["tcp_seq"]) for row in rows] == [
        (6, *told) for told in lines.values()
    ]


EVENT = "2016-07-21 17:50:56.000  CREATE  Ignore TCP       192.0.2.1:40000 ->    198.51.100.7:23       0.0.0.0:0 -> 0.0.0.0:0  0  0\n"
add(
    "nfdump events: ends and updates of connections are skipped",
    EVENT + EVENT.replace("CREATE", "DELETE") + EVENT.replace("CREATE", "UNKNOW") + EVENT.replace("CREATE", "DENIED").replace("Ignore", "I-ACL"),
    [TCP, TCP],
    format="nfdump-events",
    skipped=2,
)  # fmt: skip
add("nfdump events that are flows have no time", "1970-01-01 00:00:00.000" + EVENT[23:], [], rejected=1)
add("nfdump events of a translator", EVENT.replace("CREATE  Ignore", "ADD"), [TCP], format="nfdump-events")
add("nfdump raw is refused", "\nFlow Record: \n  Flags        =              0x06 NETFLOW v9\n  proto = 6\n", None)
add(
    "nfdump lines of events have no time",
    "1970-01-01 00:00:00.000     00:00:00.000 TCP          192.0.2.1:40000 ->     198.51.100.7:23           0        0     1\n",
    [],
    format="nfdump-line",
    rejected=1,
)
add(
    "nfdump lines with a duration of hours",
    "2016-07-21 17:50:56.000     01:00:00.000 TCP          192.0.2.1:40000 ->     198.51.100.7:23           1       40     1\n",
    [TCP],
    format="nfdump-line",
)

WINDOWS = """#Version: 1.5
#Software: Microsoft Windows Firewall
#Time Format: Local
#Fields: date time action protocol src-ip dst-ip src-port dst-port size tcpflags tcpsyn tcpack tcpwin icmptype icmpcode info path

"""
DROPPED = "2016-07-21 17:50:56 DROP TCP 192.0.2.1 198.51.100.7 40000 23 40 S 1234 0 1024 - - - RECEIVE\n"
for name, text, expected, more in (
    ("dropped", WINDOWS + DROPPED, [TCP], {"told": "local time"}),
    ("IPv6", WINDOWS + DROPPED.replace("192.0.2.1 198.51.100.7", "2001:db8::1 2001:db8::7"), [TCP6], {}),
    ("ping", WINDOWS + "2016-07-21 17:50:56 DROP ICMP 192.0.2.1 198.51.100.7 - - 60 - - - - 8 0 - RECEIVE\n", [PING], {}),
    ("sent and lost are skipped", WINDOWS + DROPPED + DROPPED.replace("RECEIVE", "SEND") + "2016-07-21 17:50:56 INFO-EVENTS-LOST - - - - - - - - - - - - 12 -\n", [TCP], {}),
    (
        "before Vista: outgoing connections and ends are skipped",
        WINDOWS + "".join(f"2016-07-21 17:50:56 {action} TCP 192.0.2.1 198.51.100.7 40000 23 - - - - - - - - -\n" for action in ("OPEN-INBOUND", "CLOSE", "OPEN")),
        [TCP],
        {},
    ),
    ("two logs in one", WINDOWS + DROPPED + WINDOWS + DROPPED, [TCP, TCP], {}),
    ("with a process", WINDOWS.replace(" path", " path pid") + DROPPED.replace("RECEIVE", "RECEIVE 4"), [TCP], {}),
    ("a cut row", WINDOWS + DROPPED + DROPPED[:30], [TCP], {"rejected": 1}),
):  # fmt: skip
    add(f"windows firewall {name}", text, expected, format="windows-firewall", **more)

SONIC = '<134>id=firewall sn=0017C5000000 time="2016-07-21 17:50:56 UTC" fw=203.0.113.1 pri=6 c=1024 m=36 msg="TCP connection dropped" n=1 src=192.0.2.1:40000:X1:a.example dst=198.51.100.7:23:X0 proto=tcp/telnet rcvd=40\n'
for name, text, expected, more in (
    ("dropped", SONIC, [TCP], {}),
    ("closed is skipped", SONIC + SONIC.replace("m=36", "m=537"), [TCP], {"skipped": 1}),
    ("ping", SONIC.replace("proto=tcp/telnet", "type=8 icmpCode=0 proto=icmp").replace(":40000:", ":1:").replace(":23:", ":9:"), [PING], {}),
    ("ping without a type", SONIC.replace("tcp/telnet", "icmp"), [NO_TYPE], {}),
    ("IPv6", SONIC.replace("src=192.0.2.1:", "srcV6=2001:db8::1 src=:").replace("dst=198.51.100.7:", "dstV6=2001:db8::7 dst=:"), [TCP6], {}),
    ("no port", SONIC.replace(":23:", "::"), [], {"rejected": 1}),
    ("an address that is cut", SONIC.replace("192.0.2.1:", "192.0:"), [], {"rejected": 1}),
):  # fmt: skip
    add(f"sonicwall {name}", text, expected, format="firewall-log", **more)

CEF = "Jul 21 18:00:00 gw CEF:0|Check Point|VPN-1 & FireWall-1|Check Point|Log|telnet|Unknown|act=Drop rt=1469123456000 spt=40000 dpt=23 cs2=Cleanup origin=203.0.113.1 dst=198.51.100.7 proto=6 src=192.0.2.1\n"
RFC5424 = '<134>1 2016-07-21T18:00:00Z gw CheckPoint 1234 - [action:"Drop"; ifname:"eth0"; origin:"203.0.113.1"; time:"1469123456"; dst:"198.51.100.7"; proto:"6"; product:"VPN-1 & FireWall-1"; s_port:"40000"; service:"23"; src:"192.0.2.1"; ]\n'
GENERIC = "time=1469123456|hostname=gw|product=VPN-1 & FireWall-1|action=Drop|ifname=eth0|dst=198.51.100.7|proto=6|s_port=40000|service=23|src=192.0.2.1|\n"
FW_LOG = "21Jul2016 17:50:56 drop   gw >eth0 rule: 5; src: 192.0.2.1; dst: 198.51.100.7; proto: tcp; product: VPN-1 & FireWall-1; service: 23; s_port: 40000;\n"
for name, text, expected, more in (
    ("CEF: the event's own time counts", CEF, [TCP], {}),
    ("CEF with a date in words", CEF.replace("1469123456000", "Jul 21 2016 17:50:56"), [TCP], {}),
    ("CEF IPv6", CEF.replace("dst=198.51.100.7", "c6a3=2001:db8::7").replace("src=192.0.2.1", "c6a2=2001:db8::1"), [TCP6], {}),
    ("LEEF", "LEEF:2.0|Check Point|VPN-1|1.0|Drop|devTime=1469123456\tsrcPort=40000\tdst=198.51.100.7\tdstPort=23\tproto=6\tsrc=192.0.2.1\n", [TCP], {}),
    ("syslog", RFC5424, [TCP], {}),
    ("syslog IPv6", RFC5424.replace("192.0.2.1", "2001:db8::1").replace("198.51.100.7", "2001:db8::7"), [TCP6], {}),
    ("syslog ping", RFC5424.replace('proto:"6"', 'proto:"1"; ICMP Type:"8"; ICMP Code:"0"'), [PING], {}),
    ("other products log it again", RFC5424 + RFC5424.replace("VPN-1 & FireWall-1", "Application Control"), [TCP], {"skipped": 1}),
    ("generic", GENERIC, [TCP], {}),
    ("fw log", FW_LOG, [TCP], {}),
    ("fw log with a service's name", FW_LOG.replace("service: 23", "service: telnet"), [], {"rejected": 1, "told": "not a port"}),
):  # fmt: skip
    add(f"check point {name}", text, expected, format="firewall-log", **more)

PAIRS = "2016-07-21T17:50:56Z fw {} dst=198.51.100.7 proto=tcp spt=40000 dpt=23\n"
for name, pairs in (("the same spelling", "src=192.0.2.1 src=203.0.113.9"), ("two spellings", "src=192.0.2.1 SRC=203.0.113.9"), ("three", "src=192.0.2.1 Src=203.0.113.8 src=203.0.113.9")):  # fmt: skip
    add(f"of a name given twice in {name} the first value counts", PAIRS.format(pairs), [TCP])


def gcp(reporter: str, second: str = "56") -> dict[str, object]:
    """A flow log of Google Cloud."""
    ends = {"src_ip": "192.0.2.1", "src_port": 40000, "dest_ip": "198.51.100.7", "dest_port": 23, "protocol": 6}
    payload = {"connection": ends, "reporter": reporter, "start_time": f"2016-07-21T17:50:{second}.5Z"}
    return {"jsonPayload": payload, "timestamp": "2016-07-21T17:51:00Z"}


add("google cloud: a flow that both ends report counts once", json_lines(gcp("SRC"), gcp("DEST")), [TCP], format="gcp-vpc", skipped=1)  # fmt: skip
add("google cloud: the source's report counts where there is no other", json_lines(gcp("SRC"), gcp("SRC")), [TCP, TCP])

_COLUMNS = ",".join(
    f"jsonPayload.connection.{name}" for name in ("src_ip", "src_port", "dest_ip", "dest_port", "protocol")
)
_ROW = "2016-07-21T17:51:00Z,192.0.2.1,40000,198.51.100.7,23,6,{},2016-07-21T17:50:56.5Z\n"
add(
    "google cloud as CSV: a flow that both ends report counts once",
    f"timestamp,{_COLUMNS},jsonPayload.reporter,jsonPayload.start_time\n" + _ROW.format("SRC") + _ROW.format("DEST"),
    [TCP],
    format="gcp-vpc-csv",
    skipped=1,
    told="the destination reports them too",
)


def gcp_table() -> pa.Table:
    """Flow logs of Google Cloud as BigQuery exports them: nested, with numbers as floats."""
    reports = [gcp("SRC"), gcp("DEST"), gcp("SRC"), gcp("DEST")]
    for report in reports:
        ends = report["jsonPayload"]["connection"]
        ends |= {name: float(ends[name]) for name in ("src_port", "dest_port", "protocol")}
    return pa.Table.from_pylist(reports)


def test_rows_that_are_skipped_count_as_read(tmp_path: Path) -> None:
    orc.write_table(gcp_table(), tmp_path / "flows")
    assert not read_records(tmp_path / "flows").damage


def vpc_table() -> pa.Table:
    """A flow log of AWS in a columnar file: a TCP flow behind a load balancer, a ping, and a row without data."""
    columns = {
        "version": [5, 5, 5],
        "srcaddr": ["10.0.0.9", "192.0.2.1", None],
        "dstaddr": ["10.0.0.7", "198.51.100.7", None],
        "srcport": [40000, 0, None],
        "dstport": [23, 0, None],
        "protocol": [6, 1, None],
        "start": [SECOND, SECOND, SECOND],
        "log_status": ["OK", "OK", "NODATA"],
        "tcp_flags": [2, 0, None],
        "pkt_srcaddr": ["192.0.2.1", None, None],
        "pkt_dstaddr": ["198.51.100.7", None, None],
    }
    return pa.table(columns)


def columnar(table: pa.Table, write: Callable[[pa.Table, Path], object]) -> Callable[[Path], Path]:
    def written(folder: Path) -> Path:
        write(table, folder / "flows")
        return folder / "flows"

    return written


for _format, _write in (("parquet", pq.write_table), ("orc", orc.write_table), ("arrow", feather.write_feather)):
    add(f"google cloud as {_format}: a flow that both ends report counts once", columnar(gcp_table(), _write), [TCP, TCP], skipped=2, format=_format, told="the destination reports them too")  # fmt: skip
    add(f"AWS as {_format}", columnar(vpc_table(), _write), [TCP, NO_TYPE], rejected=0, skipped=1, format=_format)


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_packets_as_text_are_read_as_their_programs_mean_them(tmp_path: Path, variant: Variant) -> None:
    variant.check(tmp_path)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\nFlow Record: \n  Flags = 0x06\n", "nfdump -r FILE -o csv"),
        (b"[**] [1:384:5] ICMP PING [**]\n", "alert_fast"),
        (b"   StartTime   Flgs  Proto   SrcAddr  Sport   Dir   DstAddr  Dport  TotPkts \n", "ra -u -n -c ,"),
        (b"FLOW,192.0.2.1,2,3,00005e005301,00005e005302,0x0800,0,0,192.0.2.1,198.51.100.7,6", "sflowtool -t"),
        (b"[12345.678901] DROP IN=eth0 OUT= SRC=192.0.2.1 DST=198.51.100.7 PROTO=TCP SPT=40000 DPT=23\n", "dmesg"),
        (b"SQLite format 3\0" + bytes(84), "export its table as CSV"),
        (b"ElfFile\0" + bytes(4088), "pfirewall.log"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504), "save it as CSV"),
    ],
)
def test_files_that_another_program_must_export_say_which(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "log").write_bytes(content)
    with pytest.raises(InputError, match=told):
        read_records(tmp_path / "log")


def test_a_mapping_that_is_not_used_is_reported_and_used_with_the_format_csv(tmp_path: Path) -> None:
    path, columns = tmp_path / "log", {"label": "action"}
    path.write_text(WINDOWS + DROPPED)
    assert "not used for a table of windows-firewall" in read_records(path, columns=columns).summary()
    mapped = read_records(path, columns=columns | {"date": "date"}, format="csv")
    assert mapped.table["label"].to_pylist() == ["DROP"]


@pytest.mark.skipif(shutil.which("tcpdump") is None, reason="tcpdump is not installed")
@pytest.mark.parametrize("options", [["-tt"], ["-tttt", "-v"], ["-tttt", "-e"], ["-tt", "-e", "-vvv"], ["-tt", "-q"]])
def test_text_of_tcpdump_gives_the_records_of_its_capture(shared: Path, tmp_path: Path, options: list[str]) -> None:
    fields = ("timestamp", "src_ip", "dst_ip", "protocol", "src_port", "dst_port")
    for name in ("masscan_2021", "zmap_2021_1000", "nmap_80_vanilla", "slips_icmp_portscan", "angryip_2021"):
        (capture,) = shared.glob(f"fixtures/pcap/**/{name}.pcap")
        command = ["tcpdump", "-nn", *options, "-r", str(capture)]
        text = subprocess.run(command, capture_output=True, env={"TZ": "UTC"}, check=True).stdout
        (tmp_path / name).write_bytes(text)
        printed = read_records(tmp_path / name, format="tcpdump").table.to_pylist()
        captured = read_records(capture, per_packet=True).table.to_pylist()
        # The text does not name a few ICMP types, so they remain unknown.
        known = [
            Counter(
                tuple(row[field] for field in fields)
                for row in rows
                if row["protocol"] != 1 or row["src_port"] in (0, 8)
            )
            for rows in (printed, captured)
        ]
        assert known[0] == known[1]
        assert len(printed) == len(captured)
