"""Small valid files of every format, from which the fuzzer makes broken ones. All use documentation addresses."""

import bz2
import gzip
import io
import json
import lzma
import struct
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.orc
import pyarrow.parquet as pq

ROWS = 30
START = 1_700_000_000


def _rows() -> list[dict[str, Any]]:
    protocols, ports, sources = [6, 17, 1], [22, 443, 0], ["192.0.2.{}", "2001:db8::{:x}", "198.51.100.{}"]
    return [
        {
            "timestamp": START + row + 0.25,
            "src_ip": sources[row % 3].format(row),
            "dst_ip": ["203.0.113.1", "sensor-a", "::ffff:203.0.113.2"][row % 3],
            "protocol": protocols[row % 3],
            "src_port": 8 if row % 3 == 2 else 40_000 + row,
            "dst_port": ports[row % 3],
            "ttl": 64,
            "label": ["", "scän", "a b"][row % 3],
        }
        for row in range(ROWS)
    ]


def _csv(delimiter: str = ",", quote: bool = False) -> bytes:
    rows = _rows()
    mark = '"' if quote else ""
    lines = [list(rows[0]), *(list(map(str, row.values())) for row in rows)]
    return "".join(delimiter.join(f"{mark}{value}{mark}" for value in line) + "\n" for line in lines).encode()


def _frame(row: int) -> bytes:
    transport = struct.pack(">HHIIBBHHH", 40_000 + row, 23, row, 0, 0x50, 2, 1024, 0, 0)
    header = struct.pack(
        ">BBHHHBBH4s4s", 0x45, 0, 40, row, 0, 64, 6, 0, bytes([192, 0, 2, row]), bytes([203, 0, 113, 1])
    )
    tag = b"\x81\x00\x00\x05" if row % 4 == 1 else b"\x88\x47\x00\x01\x01\x40" if row % 4 == 2 else b""
    return bytes(12) + (tag if row % 4 == 2 else tag + b"\x08\x00") + header + transport


def _pcap(order: str = "<", magic: int = 0xA1B2C3D4, extra: int = 0) -> bytes:
    packets = b"".join(
        struct.pack(f"{order}IIII", START + row, row, len(_frame(row)), len(_frame(row))) + bytes(extra) + _frame(row)
        for row in range(ROWS)
    )
    return struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 65_535, 1) + packets


def _block(kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    return struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12)


def _pcapng() -> bytes:
    parts = [_block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)), _block(1, struct.pack("<HHI", 1, 0, 0))]
    for row in range(ROWS):
        ticks, frame = (START + row) * 1_000_000, _frame(row)
        head = struct.pack("<IIIII", 0, ticks >> 32, ticks & 0xFFFFFFFF, len(frame), len(frame))
        parts.append(_block(6, head + frame))
    return b"".join(parts)


def _lines(records: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def _zeek() -> list[dict[str, Any]]:
    names = ("ts", "id.orig_h", "id.resp_h", "proto", "id.orig_p", "id.resp_p", "orig_pkts", "label")
    kinds = {6: "tcp", 17: "udp", 1: "icmp"}
    return [
        dict(zip(names, row.values(), strict=True)) | {"proto": kinds[row["protocol"]], "conn_state": "S0"}
        for row in _rows()
    ]


def _zeek_text() -> bytes:
    records = _zeek()
    header = [r"#separator \x09", "#unset_field\t-", "#path\tconn", "#fields\t" + "\t".join(records[0])]
    rows = ("\t".join(str(value) or "-" for value in record.values()) for record in records)
    return "\n".join([*header, *rows, "#close\t2024"]).encode() + b"\n"


def _suricata() -> list[dict[str, Any]]:
    return [
        {
            "timestamp": "2023-11-14T22:20:00.000000+0000",
            "event_type": "flow" if row["protocol"] == 6 else "netflow",
            "src_ip": row["src_ip"],
            "src_port": row["src_port"],
            "dest_ip": "203.0.113.1",
            "dest_port": row["dst_port"],
            "proto": "TCP",
            "flow": {"pkts_toserver": 1, "bytes_toserver": 40, "start": "2023-11-14T22:13:20.250000+0000"},
            "tcp": {"tcp_flags_ts": "02"},
        }
        for row in _rows()
    ]


def _flowtuple(codec: str) -> bytes:
    names = (
        "time",
        "src_ip",
        "dst_ip",
        "src_port",
        "dst_port",
        "protocol",
        "ttl",
        "tcp_flags",
        "ip_len",
        "packet_cnt",
    )
    schema = {"type": "record", "name": "flowtuple", "fields": [{"name": name, "type": "long"} for name in names]}
    records = [
        dict(zip(names, (START, 3221225985 + row, 3405803777, row, 23, 6, 64, 2, 40, 1), strict=True))
        for row in range(ROWS)
    ]
    out = io.BytesIO()
    fastavro.writer(out, schema, records, codec=codec, sync_interval=300)
    return out.getvalue()


def _columnar(kind: str, **options: Any) -> bytes:
    table, out = pa.Table.from_pylist(_rows()), io.BytesIO()
    if kind == "parquet":
        pq.write_table(table, out, row_group_size=7, **options)
    elif kind == "orc":
        pyarrow.orc.write_table(table, out)
    else:
        with pa.ipc.new_file(out, table.schema) as writer:
            writer.write_table(table)
    return out.getvalue()


def _nested() -> bytes:
    rows = [
        {
            "@timestamp": row["timestamp"],
            "source": {"ip": row["src_ip"], "port": row["src_port"]},
            "destination": {"ip": row["dst_ip"], "port": row["dst_port"]},
            "network": {"transport": row["protocol"]},
        }
        for row in _rows()
    ]
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), out, row_group_size=7)
    return out.getvalue()


_VPC = "2 123456789010 eni-0a 192.0.2.{} 203.0.113.1 {} 23 6 1 40 1469123456 1469123500 REJECT OK\n"
_KERNEL = "2023-11-14T22:13:20Z h kernel: IN=e OUT= SRC=192.0.2.{} DST=203.0.113.1 LEN=40 PROTO=TCP SPT={} DPT=23\n"
_COWRIE = "2023-11-14T22:13:20.5Z [cowrie.ssh] New connection: 192.0.2.{}:{} (203.0.113.1:22) [session: 5f2a1b3c]\n"
_VENDORS = {
    "fortigate": "date=2023-11-14 time=22:13:20 type=traffic srcip=192.0.2.{} srcport={} dstip=203.0.113.1 dstport=23 "
    "proto=6\n",
    "juniper": "2023-11-14T22:13:20Z h RT_FLOW: RT_FLOW_SESSION_DENY: session denied 192.0.2.{}/{}->203.0.113.1/23 "
    "0x0 junos-telnet 6(0) deny-all untrust trust\n",
    "mikrotik": "2023-11-14T22:13:20Z h firewall,info input: in:e1 out:(unknown 0), proto TCP (SYN), "
    "192.0.2.{}:{}->203.0.113.1:23, len 40\n",
    "palo-alto": "1,2023/11/14 22:13:20,1,TRAFFIC,drop,1,2023/11/14 22:13:20,192.0.2.{},203.0.113.1,,,r,,,a,v,u,u,"
    "e,,,,0,1,{},23,0,0,0,tcp,deny,60,60,0,1\n",
}
# Messages in other forms than those of `_PROGRAMS`; each exercises the parser of another part of a line.
_FIREWALLS = {
    "asa-access-list": "Nov 14 2023 22:13:20: %FTD-6-106100: access-list a denied tcp o/192.0.2.{}({}) -> "
    "i/203.0.113.1(23) hit-cnt 1 first hit\n",
    "asa-icmp": "<166>Nov 14 2023 22:13:20 h : %ASA-4-106023: Deny icmp src o:192.0.2.{}(u{}) dst i:203.0.113.1 "
    '(type 8, code 0) by access-group "a"\n',
    "pfsense-ipv6": "Nov 14 22:13:20 filterlog[1]: 5,,,1,em0,match,block,in,6,0x00,0x00000,255,ICMPv6,58,40,"
    "2001:db8::{},2001:db8::1,request,{},1,40\n",
    "ufw": "2023-11-14T22:13:20.25+01:00 h kernel: [ 1.0] [UFW BLOCK] IN=e OUT= MAC=aa:bb SRC=192.0.2.{} "
    "DST=203.0.113.1 LEN=84 TTL=50 ID={} PROTO=ICMP TYPE=3 CODE=1 [SRC=203.0.113.1 DST=192.0.2.1 PROTO=UDP ]\n",
    "fortigate-named": '<189>date=2023-11-14 time=22:13:20 tz="+0100" eventtime=1700000000250000000 type="traffic" '
    'srcip=192.0.2.{} srcport={} dstip="203.0.113.1" dstport=23 proto=6 sentbyte=40\n',
    "cef": "CEF:0|Fortinet|Fortigate|v6|13|x|3|FTNTFGTeventtime=1700000000 cat=traffic src=192.0.2.{} spt={} "
    "dst=203.0.113.1 dpt=23 proto=6\n",
    "leef": "2023-11-14T22:13:20Z h LEEF:1.0|a|b|1|c|src=192.0.2.{}#011srcPort={}#011dst=203.0.113.1#011dstPort=23"
    "#011proto=tcp\n",
    "stormshield": 'id=firewall time="2023-11-14 23:13:20" tz=+0100 startime="2023-11-14 23:13:20" ipproto=tcp '
    "proto=ssh src=192.0.2.{} srcport={} dst=203.0.113.1 dstport=22\n",
    "zyxel": '2023-11-14T22:13:20Z h USG: src="192.0.2.{}:{}" dst="203.0.113.1:23" cat="Firewall" proto="6"\n',
    "watchguard": '2023-11-14T22:13:20Z h firewall: msg_id="3000-0148" Deny 0-External Firebox 40 tcp 20 50 '
    "192.0.2.{} 203.0.113.1 {} 23 offset 5 S 1 win 4 (x-00)\n",
    "barracuda": "2023-11-14T22:13:20Z h h/box_Firewall_Activity:  Info     h Block: type=FWD|proto=TCP|srcIF=p1"
    "|srcIP=192.0.2.{}|srcPort={}|srcMAC=aa|dstIP=203.0.113.1|dstPort=23|rule=x|info=y\n",
    "ftd": "2023-11-14T22:13:20Z h : %FTD-6-430003: FirstPacketSecond: 2023-11-14T22:13:20Z, ConnectionID: 7, "
    "SrcIP: 192.0.2.{}, DstIP: 203.0.113.1, SrcPort: {}, DstPort: 23, Protocol: tcp\n",
    "endlessh": "2023-11-14T22:13:20.000Z ACCEPT host=::ffff:192.0.2.{} port={} fd=4 n=1/4096\n",
    "proxmox": "0 3 PVEFW 14/Nov/2023:23:13:20 +0100 policy DROP: IN=v MAC=aa SRC=192.0.2.{} DST=203.0.113.1 LEN=52 "
    "PROTO=UDP SPT={} DPT=53 LEN=32\n",
    "juniper-named": "<14>1 2023-11-14T22:13:20Z h RT_FLOW - RT_FLOW_SESSION_CREATE [junos@2636 source-address="
    '"192.0.2.{}" source-port="{}" destination-address="203.0.113.1" destination-port="23" protocol-id="6"]\n',
}


def _azure(category: str) -> bytes:
    """Flow logs of network security groups or of virtual networks, which nest their flows differently."""
    of_groups = category == "NetworkSecurityGroupFlowEvent"
    entries = []
    for row in range(ROWS):
        flow = f"{START + row},192.0.2.{row},203.0.113.1,{40_000 + row},23,"
        flow += "T,I,D,B,,,," if of_groups else "6,I,B,NX,1,60,0,0"
        groups = [{"flowTuples": [flow, flow.replace(",I,", ",O,")]}]
        inner = {"flows": groups} if of_groups else {"flowGroups": groups}
        flows = [{"rule": "DefaultRule_DenyAllInBound"} | inner]
        held = {"properties": {"Version": 2, "flows": flows}} if of_groups else {"flowRecords": {"flows": flows}}
        entries.append({"time": "2023-11-14T22:13:20Z", "category": category} | held)
    return _lines(entries) if of_groups else json.dumps({"records": entries}, indent=1).encode()


_NFDUMP = "2023-11-14 22:13:20,2023-11-14 22:13:21,0.1,192.0.2.{},203.0.113.1,{},23,TCP,....S.,0,0,1,40\n"
_ARGUS = "2023/11/14 22:13:20.250000,1.0,tcp,192.0.2.{},{},   ->,203.0.113.1,23,S0,0,0,1,60,60,x\n"
_ARGUS_HEADER = "StartTime,Dur,Proto,SrcAddr,Sport,Dir,DstAddr,Dport,State,a,b,TotPkts,c,SrcBytes,Label\n"
_SILK = "192.0.2.{}|203.0.113.1|{}|23|6|1|40|S|2023/11/14T22:13:20.250|\n"


# A header line and a row for each table; the row's placeholders are the last octet of the source and the source port.
_PROGRAMS = {
    "honeyd": ("", "2023-11-14-22:13:20.2500 tcp(6) - 192.0.2.{} {} 203.0.113.1 23: 60 S [Linux 2.6]\n"),
    "formulas": (
        "timestamp,src_ip,dst_ip,protocol,src_port,dst_port\n",
        '="1700000000.25",="192.0.2.{}",="203.0.113.1",="6",="{}",="23"\n',
    ),
    "ends-with-ports": ("time,src,dst,proto,dport\n", "1700000000.25,192.0.2.{}:{},203.0.113.1,6,23\n"),
    "argus-counts": (
        "StartTime,Proto,SrcAddr,Sport,Dir,DstAddr,Dport,SrcPkts,DstPkts\n",
        "1700000000.25,tcp,203.0.113.1,23,   <-,192.0.2.{},{},0,1\n",
    ),
    "yaf": (
        "start-time|sip|sp|dip|dp|proto|iflags|isn|pkt|oct\n",
        "2023-11-14 22:13:20.250|192.0.2.{}|{}|203.0.113.1|23|  6|S|0000abcd|1|40\n",
    ),
    "yafscii": ("", "2023-11-14 22:13:20.250 tcp 192.0.2.{}:{} => 203.0.113.1:23 0000abcd S/0 (1/40 ->)\n"),
    "pmacct": (
        "SRC_IP,DST_IP,SRC_PORT,DST_PORT,PROTOCOL,TIMESTAMP_START,PACKETS,BYTES\n",
        "192.0.2.{},203.0.113.1,{},23,tcp,2023-11-14 22:13:20.250,1,40\n",
    ),
    "nprobe": (
        "FIRST_SWITCHED|IPV4_SRC_ADDR|IPV6_SRC_ADDR|IPV4_DST_ADDR|PROTOCOL|L4_SRC_PORT|L4_DST_PORT|ICMP_TYPE\n",
        "1700000000|192.0.2.{}|::|203.0.113.1|6|{}|23|0\n",
    ),
    "tshark": (
        "frame.time_epoch\tip.src\tipv6.src\tip.dst\tip.proto\ttcp.srcport\ttcp.dstport\tip.ttl\n",
        "1700000000.25\t192.0.2.{}\t\t203.0.113.1\t6\t{}\t23\t50,64\n",
    ),
    "cicflowmeter": (
        "Flow ID,Src IP,Src Port,Dst IP,Dst Port,Protocol,Timestamp,Label\n",
        "x,192.0.2.{},{},203.0.113.1,23,6,14/11/2023 10:13:20 PM,Benign\n",
    ),
    "zmap": (
        "saddr,sport,daddr,dport,classification,timestamp_ts\n",
        "192.0.2.{},{},203.0.113.1,23,synack,1700000000\n",
    ),
    "dshield": ("", "2023-11-14 22:13:20 +00:00\t1\t1\t192.0.2.{}\t{}\t203.0.113.1\t23\tTCP\tS\n"),
    "nfdump-line": ("", "2023-11-14 22:13:20.250  0.000 TCP  192.0.2.{}:{} ->  203.0.113.1:23  1  60  1\n"),
    "nfdump-pipe": ("", "2|1700000000250|1700000001000|6|0|0|0|3221225{}|{}|0|0|0|3405803777|23|0|0|1|2|2|0|1|60\n"),
    "nfdump-events": (
        "",
        "2023-11-14 22:13:20.250  CREATE  Ignore TCP 192.0.2.{}:{} -> 203.0.113.1:23  0.0.0.0:0 0\n",
    ),
    "tcpdump": (
        "",
        "2023-11-14 22:13:20.25 IP (tos 0x0, ttl 64, id 1, offset 0, flags [none], proto TCP (6), length 40)\n"
        "    192.0.2.{}.{} > 203.0.113.1.23: Flags [S], cksum 0x1 (correct), seq 7, win 1, length 0\n",
    ),
    "ids-alerts": (
        "",
        "11/14/2023-22:13:20.25  [**] [1:2:3] SCAN [**] [Priority: 2] {{TCP}} 192.0.2.{}:{} -> 203.0.113.1:23\n",
    ),
    "sonicwall": (
        "",
        'id=firewall sn=1 time="2023-11-14 22:13:20" m=36 src=192.0.2.{}:{}:X1 dst=203.0.113.1:23:X0 proto=tcp/23\n',
    ),
    "check-point": (
        "",
        '[action:"Drop"; time:"1700000000"; dst:"203.0.113.1"; proto:"6"; '
        'src:"192.0.2.{}"; s_port:"{}"; service:"23"; ]\n',
    ),
    "windows-firewall": (
        "#Fields: date time action protocol src-ip dst-ip src-port dst-port size tcpflags tcpsyn icmptype icmpcode "
        "path\n",
        "2023-11-14 22:13:20 DROP TCP 192.0.2.{} 203.0.113.1 {} 23 40 S 7 - - RECEIVE\n",
    ),
    "gcp-vpc": (
        "",
        '{{"jsonPayload": {{"connection": {{"src_ip": "192.0.2.{}", "src_port": {}, "dest_ip": "203.0.113.1", '
        '"dest_port": 23, "protocol": 6}}, "reporter": "DEST", "start_time": "2023-11-14T22:13:20Z"}}}}\n',
    ),
    "ipfw": ("", "2023-11-14T22:13:20Z fw kernel: ipfw: 9 Deny TCP 192.0.2.{}:{} 203.0.113.1:23 in via em0\n"),
    "conntrack": (
        "",
        "[1700000000.5]\t [NEW] tcp 6 120 SYN_SENT src=192.0.2.{0} dst=203.0.113.1 sport={1} dport=23 [UNREPLIED] "
        "src=203.0.113.1 dst=192.0.2.{0} sport=23 dport={1}\n",
    ),
    "flow-tools": (
        "#:unix_secs,unix_nsecs,sysuptime,dpkts,doctets,first,srcaddr,dstaddr,srcport,dstport,prot,tcp_flags\n",
        "1700000000,5000,61000,1,40,60000,192.0.2.{},203.0.113.1,{},23,6,2\n",
    ),
    "snort-json": (
        "",
        '{{"seconds": 1700000000, "proto": "TCP", "src_ap": "192.0.2.{}:{}", "dst_ap": "203.0.113.1:23", '
        '"rule": "1:1:1"}}\n',
    ),
    "honeypot-service": (
        "timestamp,source_ip,source_port,destination_ip,destination_port,protocol\n",
        "1700000000,host/192.0.2.{},{},203.0.113.1,23,telnet\n",
    ),
    "masscan-list": ("#masscan\n", "open tcp 23 192.0.2.{} 17000{}\n"),
    "pfsense": (
        "",
        "<134>1 2023-11-14T22:13:20Z pf filterlog 1 - - 5,,,1,em0,match,block,in,4,0x0,,50,1,0,none,6,tcp,40,"
        "192.0.2.{},203.0.113.1,{},23,0,S,7,,1,,\n",
    ),
    "asa": ("", 'Nov 14 2023 22:13:20: %ASA-4-106023: Deny tcp src o:192.0.2.{}/{} dst i:203.0.113.1/23 by "a"\n'),
    "cowrie": (
        "",
        '{{"eventid": "cowrie.session.connect", "timestamp": "2023-11-14T22:13:20Z", "src_ip": "192.0.2.{}", '
        '"src_port": {}, "dst_ip": "203.0.113.1", "dst_port": 23, "protocol": "ssh"}}\n',
    ),
    "dionaea": (
        "",
        '{{"connection": {{"transport": "tcp", "type": "accept"}}, "timestamp": "2023-11-14T22:13:20", '
        '"src_ip": "192.0.2.{}", "src_port": {}, "dst_ip": "203.0.113.1", "dst_port": 23}}\n',
    ),
    "honeytrap": (
        "",
        '{{"@timestamp": "2023-11-14T22:13:20Z", "attack_connection": {{"protocol": "tcp", "remote_ip": "192.0.2.{}", '
        '"remote_port": {}, "local_ip": "203.0.113.1", "local_port": 23}}}}\n',
    ),
    "nprobe-json": ("", '{{"22": 1700000000, "4": 6, "7": {1}, "8": "192.0.2.{0}", "11": 23, "12": "203.0.113.1"}}\n'),
    "pmacct-json": (
        "",
        '{{"ip_src": "192.0.2.{}", "port_src": {}, "ip_dst": "203.0.113.1", "port_dst": 23, "ip_proto": "tcp", '
        '"timestamp_start": "2023-11-14 22:13:20.25"}}\n',
    ),
    "nfdump-json": (
        "",
        '{{"first": "2023-11-14T22:13:20.250", "proto": 6, "src4_addr": "192.0.2.{}", "src_port": {}, '
        '"dst4_addr": "203.0.113.1", "dst_port": 23}}\n',
    ),
    "ipfix-json": (
        "",
        '{{"flows": {{"flowStartMilliseconds": "2023-11-14 22:13:20.250", "sourceIPv4Address": "192.0.2.{}", '
        '"sourceTransportPort": {}, "destinationIPv4Address": "203.0.113.1", "protocolIdentifier": 6, '
        '"destinationTransportPort": 23}}}}\n',
    ),
    "masscan": (
        "",
        '{{"ip": "192.0.2.{}", "timestamp": "17000{}", "ports": [{{"port": 23, "proto": "tcp", "ttl": 50}}]}}\n',
    ),
    "zmap-json": (
        "",
        '{{"saddr": "192.0.2.{}", "sport": {}, "daddr": "203.0.113.1", "dport": 23, "classification": "synack", '
        '"timestamp_ts": 1700000000}}\n',
    ),
    "oracle-vcn": (
        "",
        '{{"type": "com.oraclecloud.vcn.flowlogs.DataEvent", "data": {{"startTime": 1700000000, "protocol": 6, '
        '"sourceAddress": "192.0.2.{}", "sourcePort": {}, "destinationAddress": "203.0.113.1", '
        '"destinationPort": 23, "status": "OK"}}}}\n',
    ),
    "goflow2": (
        "",
        '{{"time_flow_start_ns": 1700000000250000000, "sampler_address": "203.0.113.9", "src_addr": "192.0.2.{}", '
        '"src_port": {}, "dst_addr": "203.0.113.1", "proto": "ICMP", "dst_port": 0, "icmp_name": "Echo"}}\n',
    ),
    "vflow": (
        "",
        '{{"AgentID": "203.0.113.9", "Header": {{"UNIXSecs": 1700000000, "SysUpTime": 5000}}, "DataSets": [[{{"I": 8, '
        '"V": "192.0.2.{}"}}, {{"I": 7, "V": {}}}, {{"I": 12, "V": "203.0.113.1"}}, {{"I": 11, "V": 23}}, '
        '{{"I": 4, "V": 6}}, {{"I": 22, "V": 5000}}]]}}\n',
    ),
    "honeypy": ("", "2023-11-14 22:13:20,250000,+0000 [-] 1a TCP CONNECT 203.0.113.1 23 Telnet 192.0.2.{} {} \n"),
    "conpot": (
        "",
        '{{"timestamp": "2023-11-14T22:13:20.25", "sensorid": "s", "id": "a{0}", "src_ip": "192.0.2.{0}", '
        '"src_port": {1}, "dst_ip": "203.0.113.1", "dst_port": 502, "data_type": "modbus", "request": null}}\n',
    ),
    "tshark-json": (
        "",
        '{{"timestamp": "1700000000250", "layers": {{"ip_src": ["192.0.2.{}", "10.0.0.1"], "tcp_srcport": ["{}"], '
        '"ip_dst": ["203.0.113.1"], "ip_proto": ["6"], "tcp_dstport": ["23"]}}}}\n',
    ),
    "wazuh": (
        "",
        '{{"timestamp": "2023-11-14T22:13:20.25Z", "agent": {{"id": "1"}}, "manager": {{}}, "decoder": {{}}, "data": '
        '{{"srcip": "192.0.2.{}", "srcport": "{}", "dstip": "203.0.113.1", "dstport": "23", "protocol": "tcp"}}}}\n',
    ),
    "zeek-csv": (
        "ts,id.orig_h,id.orig_p,id.resp_h,id.resp_p,proto,ip_proto\n",
        "1700000000.25,192.0.2.{},{},203.0.113.1,23,tcp,6\n",
    ),
    "loki": (
        "",
        '{{"data": {{"resultType": "streams", "result": [{{"values": [["1700000000250000000", '
        '"IN=e OUT= SRC=192.0.2.{} DST=203.0.113.1 LEN=40 PROTO=TCP SPT={} DPT=23"]]}}]}}}}\n',
    ),
    "gcp-vpc-csv": (
        "jsonPayload.connection.src_ip,jsonPayload.connection.src_port,jsonPayload.connection.dest_ip,"
        "jsonPayload.connection.dest_port,jsonPayload.connection.protocol,jsonPayload.reporter,timestamp\n",
        "192.0.2.{},{},203.0.113.1,23,6,DEST,2023-11-14T22:13:20.250Z\n",
    ),
    "aws-vpc-fields": (
        "",
        '{{"srcaddr": "192.0.2.{}", "srcport": {}, "dstaddr": "203.0.113.1", "dstport": 23, "protocol": 6, '
        '"start": 1700000000, "log_status": "OK"}}\n',
    ),
    "aws-vpc-json": ("", json.dumps({"message": _VPC.strip()}).replace("{", "{{", 1)[:-1] + "}}\n"),
    "firewall-json": (
        "",
        '{{"__REALTIME_TIMESTAMP": "1700000000250000", '
        '"MESSAGE": "IN=e OUT= SRC=192.0.2.{} DST=203.0.113.1 LEN=40 PROTO=TCP SPT={} DPT=23"}}\n',
    ),
}


def _table(header: str, row: str) -> bytes:
    return (header + "".join(row.format(number, 40_000 + number) for number in range(ROWS))).encode()


def text_seeds() -> dict[str, bytes]:
    """The text of each format whose rows are lines."""
    return {
        "csv": _csv(),
        "csv-quoted": _csv(";", quote=True),
        "csv-tabs": _csv("\t"),
        "zeek": _zeek_text(),
        "zeek-json": _lines(_zeek()),
        "suricata": _lines(_suricata()),
        "json": _lines(_rows()),
        "aws-vpc": _table("", _VPC),
        "firewall-log": _table("", _KERNEL),
        **{f"firewall-{name}": _table("", line) for name, line in _VENDORS.items()},
        **{f"firewall-{name}": _table("", line) for name, line in _FIREWALLS.items()},
        "cowrie-text": _table("", _COWRIE),
        "nfdump-csv": _table("ts,te,td,sa,da,sp,dp,pr,flg,fwd,stos,ipkt,ibyt\n", _NFDUMP),
        "binetflow": _table(
            "StartTime,Dur,Proto,SrcAddr,Sport,Dir,DstAddr,Dport,State,a,b,TotPkts,c,SrcBytes,Label\n", _ARGUS
        ),
        "azure-groups": _azure("NetworkSecurityGroupFlowEvent"),
        "azure-networks": _azure("FlowLogFlowEvent"),
        "silk": _table("sIP|dIP|sPort|dPort|pro|packets|bytes|flags|sTime|\n", _SILK),
        **{name: _table(header, row) for name, (header, row) in _PROGRAMS.items()},
    }


def seeds() -> dict[str, bytes]:
    """Files of every format and compression."""
    text = text_seeds()
    return text | {
        "json-array": json.dumps(_rows(), indent=1).encode(),
        "json-search": json.dumps({"hits": {"hits": [{"_index": "a", "_source": row} for row in _rows()]}}).encode(),
        "json-columns": json.dumps({name: [row[name] for row in _rows()] for name in _rows()[0]}).encode(),
        "json-numbered": json.dumps(
            {name: {str(number): row[name] for number, row in enumerate(_rows())} for name in _rows()[0]}
        ).encode(),
        "json-split": json.dumps(
            {"columns": list(_rows()[0]), "data": [list(row.values()) for row in _rows()]}, indent=1
        ).encode(),
        "flowtuple-text": b"# CORSARO_INTERVAL_START 0 1700000000\nSTART flowtuple_other 30\n"
        + _table("", "192.0.2.{}|203.0.113.1|{}|23|6|64|0x02|40,1\n"),
        "utf-32": _csv().decode().encode("utf-32"),
        "json-wrapped": _lines([{"log": json.dumps(row)} for row in _rows()]),
        "parquet-nested": _nested(),
        "pcap": _pcap(),
        "pcap-big-endian": _pcap(">", 0xA1B23C4D),
        "pcap-modified": _pcap("<", 0xA1B2CD34, 8),
        "pcapng": _pcapng(),
        "flowtuple": _flowtuple("null"),
        "flowtuple-deflate": _flowtuple("deflate"),
        "parquet": _columnar("parquet", compression="none"),
        "parquet-zstd": _columnar("parquet", compression="zstd", use_dictionary=False),
        "orc": _columnar("orc"),
        "arrow": _columnar("arrow"),
        "gzip": gzip.compress(text["csv"], 1),
        "zstd": pa.Codec("zstd").compress(text["csv"], asbytes=True),
        "lz4": pa.Codec("lz4").compress(_pcap(), asbytes=True),
        "bzip2": bz2.compress(text["json"]),
        "xz": lzma.compress(text["zeek"], preset=0),
    }
