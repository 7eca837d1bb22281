# ruff: noqa: E501 - lines of logs are as long as their programs write them.
"""Inputs that people have: services as protocols, unusual addresses, honeypots, firewalls of BSD, row names."""

import os
from pathlib import Path

import pytest
from variants import PING, SECOND, TCP, UDP, Variant, Variants, json_lines

from telescope_transformer.errors import InputError
from telescope_transformer.records import read_records

VARIANTS = Variants()
add = VARIANTS.add

ISO = "2016-07-21T17:50:56.123Z"
COLUMNS = "timestamp,src_ip,dst_ip,protocol,src_port,dst_port"
ROW = "1469123456,192.0.2.1,198.51.100.7,{},40000,{}\n"

SERVICE = "where the protocol is a service name"
add("a service of TCP as protocol", f"{COLUMNS}\n{ROW.format('ssh', 23)}", [TCP], told=SERVICE)
add("Remote Desktop is no IP protocol", f"{COLUMNS}\n{ROW.format('rdp', 3389)}", [(*TCP[:4], 3389)])
add("the protocol that IANA calls rdp", f"{COLUMNS}\n{ROW.format('rdp', 0)}", [(*TCP[:2], 27, 40000, 0)])
add("a service that several protocols carry", f"{COLUMNS}\n{ROW.format('dns', 53)}", [], rejected=1)

for text in (
    *("/192.0.2.1", "scanner.example/192.0.2.1", "192.0.2.1 (scanner.example)", "192.0.2.1:40000", "0xC0000201"),
    *("3221225985.0", "-1073741311"),
):
    add(f"the address {text}", f"{COLUMNS}\n1469123456,{text},198.51.100.7,tcp,40000,23\n", [TCP])
SIX = str(0x20010DB8 << 96 | 1)
add(
    "an IPv6 address as a number",
    f"{COLUMNS}\n1469123456,{SIX},198.51.100.7,tcp,40000,23\n",
    [("2001:db8::1", *TCP[1:])],
)
add("a number that is no address", f"{COLUMNS}\n1469123456,20160721175056,198.51.100.7,tcp,40000,23\n", [], rejected=1)

ENDS = {"src_ip": "192.0.2.1", "src_port": 40000, "dest_ip": "198.51.100.7", "dest_port": 23}
CANARY = {"dst_host": "198.51.100.7", "src_host": "192.0.2.1", "src_port": 40000, "node_id": "n", "utc_time": ISO}
CONPOT = {"timestamp": ISO, "sensorid": "s", "src_ip": "192.0.2.1", "src_port": 40000, "dst_ip": "198.51.100.7"}
add("T-Pot: a honeypot of TCP", json_lines({"@timestamp": ISO, "type": "Adbhoney", **ENDS}), [TCP])
add("T-Pot: a honeypot that is not known", json_lines({"@timestamp": ISO, "type": "Other", **ENDS}), [], rejected=1)
add(
    "T-Pot: the protocol is a service",
    json_lines({"@timestamp": ISO, "type": "Heralding", "protocol": "telnet", **ENDS}),
    [TCP],
)
add(
    "OpenCanary",
    json_lines({**CANARY, "dst_port": 23, "logtype": 6001}, {**CANARY, "dst_port": 53, "logtype": 11001}),
    [TCP, UDP],
)
FLOW = {"src_addr": "192.0.2.1", "dst_addr": "198.51.100.7", "proto": "TCP", "src_port": 40000, "dst_port": 23}
GOFLOW = {**FLOW, "sampler_address": "192.0.2.8", "icmp_name": "", "time_flow_start_ns": 0}
add("GoFlow2: a start of zero is not known", json_lines(GOFLOW | {"time_received_ns": 1469123456123456789}), [TCP])
PMACCT = {"ip_src": "192.0.2.1", "ip_dst": "198.51.100.7", "port_src": 40000, "port_dst": 23, "ip_proto": "tcp"}
PMACCT |= {"stamp_inserted": "2016-07-21 17:50:56"}
add(
    "pmacct: a start of zero is not known",
    json_lines(
        *(PMACCT | {"timestamp_start": zero} for zero in ("0000-00-00 00:00:00", "1970-01-01 00:00:00.0", "0"))
    ),
    [TCP] * 3,
)
UNIONS = {name: {"int" if isinstance(value, int) else "string": value} for name, value in FLOW.items()}
add("JSON of Avro, values with their types", json_lines(UNIONS | {"timestamp": {"long": 1469123456123}}), [TCP])
LOCAL_CANARY = {name: value for name, value in CANARY.items() if name != "utc_time"} | {"local_time": ISO}
add("OpenCanary up to version 0.4", json_lines({**LOCAL_CANARY, "dst_port": 23, "logtype": 6001}), [TCP])
add(
    "OpenCanary: its own start",
    json_lines(
        {**CANARY, "src_host": "", "dst_port": -1, "logtype": 1001}, {**CANARY, "dst_port": 23, "logtype": 4002}
    ),
    [TCP],
    skipped=1,
)
add(
    "Conpot",
    json_lines({**CONPOT, "dst_port": 23, "data_type": "s7comm"}, {**CONPOT, "dst_port": 53, "data_type": "snmp"}),
    [TCP, UDP],
)
SNORT = {
    "timestamp": "16/07/21-17:50:56.123456",
    "proto": "TCP",
    "src_ap": "192.0.2.1:40000",
    "dst_ap": "198.51.100.7:23",
    "rule": "1:1:1",
}
add("Snort 3 as JSON", json_lines(SNORT), [TCP], format="snort-json")
add(
    "Snort 3 as JSON, with seconds",
    json_lines({**SNORT, "timestamp": "07/21-17:50:56.123456", "seconds": SECOND}),
    [TCP],
)
FLOW = {
    "timestamp": ISO,
    "src_ip": "192.0.2.1",
    "dst_ip": "198.51.100.7",
    "protocol": "tcp",
    "src_port": 40000,
    "dst_port": 23,
}
add("Kafka: the value is an object", json_lines({"topic": "flows", "partition": 0, "offset": 1, "value": FLOW}), [TCP])
add(
    "Splunk's common names",
    "_time,src,src_port,dest,dest_port,transport\n2016-07-21T17:50:56.000+0000,192.0.2.1,40000,198.51.100.7,23,tcp\n",
    [TCP],
)
add(
    "Sentinel",
    'TimeGenerated [UTC],SourceIP,SourcePort,DestinationIP,DestinationPort,Protocol\n"7/21/2016, 5:50:56.123 PM",192.0.2.1,40000,198.51.100.7,23,TCP\n',
    [TCP],
)
add(
    "Azure's traffic analytics",
    "FlowStartTime,SrcIp,DestIp,DestPort,L4Protocol\n2016-07-21T17:50:56Z,192.0.2.1,198.51.100.7,23,T\n",
    [(*TCP[:3], 0, 23)],
)
add("names that no field has", json_lines({"when": ISO, "who": "192.0.2.1"}), [], told="the first has when, who")

AWS = "2 123456789010 eni-0a 192.0.2.1 198.51.100.7 40000 23 6 1 40 1469123456 1469123500 REJECT OK"
add("CloudWatch Insights", json_lines({"@timestamp": "2016-07-21 17:51:00.000", "@message": AWS}), [TCP])
add("CloudWatch: group and stream before the record", json_lines({"message": f"group stream {AWS}"}), [TCP])
add(
    "half a surrogate pair in a record of AWS",
    json_lines({"message": AWS}) + json_lines({"message": AWS.replace(" 40 ", " \ud800 ")}),
    [TCP],
    rejected=1,
)

add("a category of Azure that is a list", json_lines({"category": ["FlowLogFlowEvent"]}, FLOW), [TCP], skipped=1)

LINE = "IN=eth0 OUT= SRC=192.0.2.1 DST=198.51.100.7 LEN=40 TTL=240 ID=1 PROTO=TCP SPT=40000 DPT=23 SYN \n"
PF = "192.0.2.1.40000 > 198.51.100.7.23: Flags [S], seq 1, win 1024, length 0\n"
for name, text, expected in (
    ("the year before the month", f"2016 Jul 21 17:50:56 fw kernel: {LINE}", [TCP]),
    ("within Docker's JSON", json_lines({"log": f"fw kernel: {LINE}", "stream": "stdout", "time": ISO}), [TCP]),
    ("of Sophos UTM", '2016:07:21-17:50:56 fw ulogd[1]: id="2001" action="drop" srcip="192.0.2.1" dstip="198.51.100.7" proto="6" srcport="40000" dstport="23"\n', [TCP]),
    ("of pf", f"2016-07-21 17:50:56.123456 rule 5/0(match): block in on em0: {PF}", [TCP]),
    ("of ipfw", "Jul 21 17:50:56 fw kernel: ipfw: 65000 Deny TCP 192.0.2.1:40000 198.51.100.7:23 in via em0\n", [TCP]),
    ("of ipfw, a ping", "Jul 21 17:50:56 fw kernel: ipfw: 65000 Deny ICMP:8.0 192.0.2.1 198.51.100.7 in via em0\n", [PING]),
    ("of ipmon", "Jul 21 17:50:56 fw ipmon[123]: 17:50:56.123456 em0 @0:1 b 192.0.2.1,40000 -> 198.51.100.7,23 PR tcp len 20 40 -S IN\n", [TCP]),
    ("of conntrack", "[1469123456.123456]\t    [NEW] tcp      6 120 SYN_SENT src=192.0.2.1 dst=198.51.100.7 sport=40000 dport=23 [UNREPLIED] src=198.51.100.7 dst=192.0.2.1 sport=23 dport=40000\n", [TCP]),
    ("of conntrack, a ping", "[1469123456.1]\t    [NEW] icmp     1 30 src=192.0.2.1 dst=198.51.100.7 type=8 code=0 id=1 [UNREPLIED] src=198.51.100.7 dst=192.0.2.1 type=0 code=0 id=1\n", [PING]),
):  # fmt: skip

    def write(folder: Path, text: str = text) -> Path:
        (folder / "log").write_text(text)
        os.utime(folder / "log", (SECOND + 60, SECOND + 60))
        return folder / "log"

    add(f"a firewall's line {name}", write, expected)

add(
    "flow-tools: times of the router's clock",
    "#:unix_secs,unix_nsecs,sysuptime,exaddr,dpkts,doctets,first,last,srcaddr,dstaddr,srcport,dstport,prot,tos,tcp_flags\n"
    "1469123457,500000000,61000,10.0.0.1,1,40,60000,60500,192.0.2.1,198.51.100.7,40000,23,6,0,2\n"
    "x,0,0,10.0.0.1,1,40,0,0,192.0.2.1,198.51.100.7,40000,23,6,0,2\n",
    [TCP],
    format="flow-tools",
    rejected=1,
)
BLANKS = COLUMNS.replace(",", " ")
add(
    "numbers of rows without a name, as R writes them",
    f'{BLANKS}\n"1" 1469123456 "192.0.2.1" "198.51.100.7" "tcp" 40000 23\n',
    [TCP],
)
add(
    "numbers of rows without a name, as pandas prints them",
    f"  {BLANKS}\n0 1469123456 192.0.2.1 198.51.100.7 tcp 40000 23\n",
    [TCP],
)
add(
    "numbers of rows before dates with a blank, as R writes them",
    f'{BLANKS}\n"1" 2016-07-21 17:50:56 "192.0.2.1" "198.51.100.7" "tcp" 40000 23\n',
    [TCP],
)
BARS = f"| {COLUMNS} |".replace(",", " | ")
add(
    "a table of Markdown",
    f"{BARS}\n| --- | --- | --- | --- | --- | --- |\n| 1469123456 | 192.0.2.1 | 198.51.100.7 | tcp | 40000 | 23 |\n",
    [TCP],
    rejected=0,
)
add(
    "a line below the header, as sqlite3 draws it",
    f"{BLANKS}\n---- ------ ------ -------- -------- --------\n1469123456 192.0.2.1 198.51.100.7 tcp 40000 23\n",
    [TCP],
    rejected=0,
)
add(
    "times of Excel with a decimal comma",
    f"{COLUMNS}\n42572!7437037037,192.0.2.1,198.51.100.7,tcp,40000,23\n".replace(",", ";").replace("!", ","),
    [TCP],
    told="days since 1899-12-30",
)


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_the_input_is_read(variant: Variant, tmp_path: Path) -> None:
    variant.check(tmp_path)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n", "git lfs pull"),
        (b"<!DOCTYPE html><title>404, not found</title>", "an HTML or XML page"),
        (bytes(8) + b"DUCK" + bytes(100), "a DuckDB database"),
        (b"\xde\xad\xbe\xef\x01\x0c" + bytes(100), "rwcut"),
        (b"PARE" + bytes(100), "an encrypted Parquet file"),
    ],
)
def test_a_file_of_another_program_is_called_what_it_is(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "flows.csv").write_bytes(content)
    with pytest.raises(InputError, match=told):
        read_records(tmp_path / "flows.csv")
