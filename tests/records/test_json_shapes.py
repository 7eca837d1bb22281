# ruff: noqa: E501 - lines of logs are as long as their programs write them.
"""JSON of no particular program, in its common shapes and wrappers."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from variants import PING, PING6, SECOND, TCP, TCP6, Variant, Variants, json_lines

from telescope_transformer.records import read_records

VARIANTS = Variants()
ISO = "2016-07-21T17:50:56.123456Z"
# ---- generic JSON
base = {
    "timestamp": ISO,
    "src_ip": "192.0.2.1",
    "dst_ip": "198.51.100.7",
    "protocol": 6,
    "src_port": 40000,
    "dst_port": 23,
}
VARIANTS.add("flat", json_lines(base), [TCP])
ecs = {
    "@timestamp": ISO,
    "source": {"ip": "192.0.2.1", "port": 40000},
    "destination": {"ip": "198.51.100.7", "port": 23},
    "network": {"transport": "tcp"},
}
VARIANTS.add(
    "ecs bytes/packets",
    json_lines(
        {
            **ecs,
            "network": {"transport": "tcp", "bytes": 40, "packets": 1},
            "source": {"ip": "192.0.2.1", "port": 40000, "bytes": 40, "packets": 1},
        }
    ),
    [TCP],
)
VARIANTS.add(
    "ecs address",
    json_lines(
        {
            "@timestamp": ISO,
            "source": {"address": "192.0.2.1", "port": 40000},
            "destination": {"address": "198.51.100.7", "port": 23},
            "network": {"iana_number": "6"},
        }
    ),
    [TCP],
)
VARIANTS.add(
    "ecs both",
    json_lines({**ecs, "network": {"transport": "tcp", "iana_number": "6", "protocol": "http", "type": "ipv4"}}),
    [TCP],
)
VARIANTS.add(
    "ecs protocol=app only", json_lines({**ecs, "network": {"protocol": "telnet", "transport": "tcp"}}), [TCP]
)
VARIANTS.add(
    "packetbeat flow",
    json_lines(
        {
            "@timestamp": "2016-07-21T17:51:00.000Z",
            "type": "flow",
            "event": {"start": ISO, "end": "2016-07-21T17:50:59.000Z", "dataset": "flow", "duration": 1},
            "source": {"ip": "192.0.2.1", "port": 40000, "packets": 1, "bytes": 60},
            "destination": {"ip": "198.51.100.7", "port": 23},
            "network": {"type": "ipv4", "transport": "tcp", "bytes": 60, "packets": 1},
            "flow": {"id": "x", "final": True},
        }
    ),
    [TCP],
)
VARIANTS.add(
    "filebeat netflow",
    json_lines(
        {
            "@timestamp": "2016-07-21T17:51:00.000Z",
            "netflow": {
                "type": "netflow_flow",
                "source_ipv4_address": "192.0.2.1",
                "destination_ipv4_address": "198.51.100.7",
                "source_transport_port": 40000,
                "destination_transport_port": 23,
                "protocol_identifier": 6,
                "packet_delta_count": 1,
                "octet_delta_count": 40,
                "tcp_control_bits": 2,
                "flow_start_sys_up_time": 1,
            },
            "event": {"start": ISO, "end": ISO, "created": ISO},
            "source": {"ip": "192.0.2.1", "port": 40000, "packets": 1, "bytes": 40},
            "destination": {"ip": "198.51.100.7", "port": 23},
            "network": {"transport": "tcp", "iana_number": 6, "direction": "inbound"},
        }
    ),
    [TCP],
)
VARIANTS.add(
    "logstash netflow codec",
    json_lines(
        {
            "@timestamp": ISO,
            "netflow": {
                "version": 9,
                "ipv4_src_addr": "192.0.2.1",
                "ipv4_dst_addr": "198.51.100.7",
                "l4_src_port": 40000,
                "l4_dst_port": 23,
                "protocol": 6,
                "in_pkts": 1,
                "in_bytes": 40,
                "tcp_flags": 2,
                "first_switched": "2016-07-21T17:50:56.999Z",
                "last_switched": "2016-07-21T17:51:56.999Z",
            },
            "host": "10.0.0.1",
        }
    ),
    [TCP],
)
VARIANTS.add(
    "elastiflow",
    json_lines(
        {
            "@timestamp": ISO,
            "flow.src.ip.addr": "192.0.2.1",
            "flow.dst.ip.addr": "198.51.100.7",
            "flow.src.l4.port.id": 40000,
            "flow.dst.l4.port.id": 23,
            "l4.proto.name": "TCP",
        }
    ),
    [TCP],
)
VARIANTS.add(
    "goflow2",
    json_lines(
        {
            "type": "NETFLOW_V9",
            "time_received_ns": 1469123456123456789,
            "sequence_num": 1,
            "sampling_rate": 0,
            "sampler_address": "10.0.0.1",
            "time_flow_start_ns": 1469123456123456789,
            "time_flow_end_ns": 1469123457123456789,
            "bytes": 40,
            "packets": 1,
            "src_addr": "192.0.2.1",
            "dst_addr": "198.51.100.7",
            "etype": "IPv4",
            "proto": "TCP",
            "src_port": 40000,
            "dst_port": 23,
            "in_if": 0,
            "out_if": 0,
            "tcp_flags": 2,
            "icmp_type": 0,
            "icmp_code": 0,
        }
    ),
    [TCP],
)
VARIANTS.add(
    "goflow2 icmp",
    json_lines(
        {
            "type": "NETFLOW_V9",
            "time_flow_start_ns": 1469123456123456789,
            "bytes": 40,
            "packets": 1,
            "src_addr": "192.0.2.1",
            "dst_addr": "198.51.100.7",
            "proto": "ICMP",
            "src_port": 0,
            "dst_port": 2048,
            "icmp_type": 8,
            "icmp_code": 0,
        }
    ),
    [PING],
)
VARIANTS.add(
    "vflow ipfix",
    json_lines(
        {
            "AgentID": "10.0.0.1",
            "Header": {"Version": 10},
            "DataSets": [[{"I": 8, "V": "192.0.2.1"}, {"I": 12, "V": "198.51.100.7"}]],
        }
    ),
    [],
    second=None,
)
VARIANTS.add(
    "aws vpc json",
    json_lines(
        {
            "version": 2,
            "account_id": "1",
            "interface_id": "eni",
            "srcaddr": "192.0.2.1",
            "dstaddr": "198.51.100.7",
            "srcport": 40000,
            "dstport": 23,
            "protocol": 6,
            "packets": 1,
            "bytes": 40,
            "start": SECOND,
            "end": SECOND + 60,
            "action": "REJECT",
            "log_status": "OK",
        }
    ),
    [TCP],
)
VARIANTS.add(
    "aws cloudwatch export",
    json_lines(
        {
            "events": [
                {
                    "timestamp": 1469123500000,
                    "message": "2 123456789010 eni-0a 192.0.2.1 198.51.100.7 40000 23 6 1 40 1469123456 1469123500 REJECT OK",
                    "ingestionTime": 1469123510000,
                }
            ]
        }
    ),
    [TCP],
)
VARIANTS.add(
    "azure nsg / gcp vpc",
    json_lines(
        {
            "jsonPayload": {
                "connection": {
                    "src_ip": "192.0.2.1",
                    "src_port": 40000,
                    "dest_ip": "198.51.100.7",
                    "dest_port": 23,
                    "protocol": 6,
                },
                "start_time": ISO,
                "end_time": ISO,
                "bytes_sent": "40",
                "packets_sent": "1",
                "reporter": "DEST",
            },
            "timestamp": "2016-07-21T17:51:00Z",
            "logName": "x",
        }
    ),
    [TCP],
)
VARIANTS.add("single object pretty", json.dumps(base, indent=2), [TCP])
VARIANTS.add("two pretty objects", json.dumps(base, indent=2) + "\n" + json.dumps(base, indent=2) + "\n", [TCP, TCP])
VARIANTS.add("concatenated no newline", json.dumps(base) + json.dumps(base), [TCP, TCP])
VARIANTS.add("array one line w/ newline", json.dumps([base, base]) + "\n", [TCP, TCP])
VARIANTS.add(
    "array objects per line leading comma", "[\n" + json.dumps(base) + "\n," + json.dumps(base) + "\n]\n", [TCP, TCP]
)
VARIANTS.add("RS 7464", "\x1e" + json.dumps(base) + "\n\x1e" + json.dumps(base) + "\n", [TCP, TCP])
VARIANTS.add("CRLF", json_lines(base, base).replace("\n", "\r\n"), [TCP, TCP])
VARIANTS.add("utf16", json_lines(base, base).encode("utf-16"), [TCP, TCP])
VARIANTS.add("blank lines", "\n\n" + json_lines(base) + "\n\n" + json_lines(base), [TCP, TCP])
VARIANTS.add("comment lines", "# export\n" + json_lines(base), [TCP])
VARIANTS.add("// comment", "// export\n" + json_lines(base), [TCP])
VARIANTS.add("syslog prefix", "Jul 21 17:50:56 host suricata[1]: " + json_lines(base), [TCP])
VARIANTS.add("epoch_ms", json_lines({**base, "timestamp": 1469123456123}), [TCP])
VARIANTS.add("epoch str", json_lines({**base, "timestamp": "1469123456.123"}), [TCP])
VARIANTS.add("mongo date", json_lines({**base, "timestamp": {"$date": ISO}}), [TCP])
VARIANTS.add(
    "mongo date long",
    json_lines(
        {**base, "timestamp": {"$date": {"$numberLong": "1469123456123"}}, "src_port": {"$numberInt": "40000"}}
    ),
    [TCP],
)
VARIANTS.add(
    "mhn hpfeed",
    json_lines(
        {
            "_id": {"$oid": "57910b40"},
            "protocol": "tcp",
            "hpfeed_id": {"$oid": "x"},
            "timestamp": {"$date": ISO},
            "source_ip": "192.0.2.1",
            "session_http": None,
            "honeypot": "dionaea",
            "source_port": 40000,
            "destination_ip": "198.51.100.7",
            "destination_port": 23,
            "identifier": "uuid",
        }
    ),
    [TCP],
)
VARIANTS.add(
    "mhn pcap proto",
    json_lines(
        {
            "protocol": "pcap",
            "timestamp": {"$date": ISO},
            "source_ip": "192.0.2.1",
            "honeypot": "dionaea",
            "source_port": 40000,
            "destination_port": 23,
            "identifier": "uuid",
        }
    ),
    [],
    second=None,
)
VARIANTS.add("epoch arr", json_lines({**base, "timestamp": [1469123456]}), [TCP])
VARIANTS.add("bool port", json_lines({**base, "dst_port": True}), [], rejected=1)
VARIANTS.add("float port", json_lines({**base, "dst_port": 23.0, "protocol": 6.0}), [TCP])
VARIANTS.add("null dst", json_lines({**base, "dst_ip": None}), [], rejected=1)
VARIANTS.add("dst 'NULL'", json_lines({**base, "dst_ip": "NULL"}), [], rejected=1)
VARIANTS.add(
    "missing dst in one", json_lines(base, {k: v for k, v in base.items() if k != "dst_ip"}), [TCP], rejected=1
)
VARIANTS.add(
    "no dst at all", json_lines({k: v for k, v in base.items() if k != "dst_ip"}), [(*TCP[:1], "240.0.0.0", *TCP[2:])]
)
VARIANTS.add(
    "NaN port",
    '{"timestamp":1469123456,"src_ip":"192.0.2.1","dst_ip":"198.51.100.7","protocol":6,"src_port":NaN,"dst_port":23}\n',
    [],
    rejected=1,
)
VARIANTS.add(
    "dup keys",
    '{"timestamp":1469123456,"src_ip":"1.1.1.1","src_ip":"192.0.2.1","dst_ip":"198.51.100.7","protocol":6,"src_port":40000,"dst_port":23}\n',
    [TCP],
)
VARIANTS.add("cut last", json_lines(base) + json.dumps(base)[:60], [TCP], rejected=1)
VARIANTS.add("cut first", json.dumps(base)[40:] + "\n" + json_lines(base), [TCP], rejected=1)
VARIANTS.add("cut first deep", json.dumps(base)[90:] + "\n" + json_lines(base), [TCP], rejected=1)
VARIANTS.add("long first line", json_lines({"stats": {"x": ["y" * 300000]}}) + json_lines(base), [TCP], skipped=1)
VARIANTS.add("long first line array", json_lines({"stats": ["y" * 1000] * 300}) + json_lines(base), [TCP], skipped=1)
VARIANTS.add(
    "first line very long, event",
    json_lines({"timestamp": ISO, "event_type": "stats", "stats": {"a": "z" * 400000}})
    + json_lines(
        {
            "timestamp": ISO,
            "event_type": "flow",
            "src_ip": "192.0.2.1",
            "src_port": 40000,
            "dest_ip": "198.51.100.7",
            "dest_port": 23,
            "proto": "TCP",
            "flow": {"start": ISO},
        }
    ),
    [TCP],
    skipped=1,
)
VARIANTS.add("gz empty lines", gzip.compress(json_lines(base).encode()), [TCP])
VARIANTS.add("trailing comma", json_lines(base).strip() + ",\n" + json_lines(base).strip() + ",\n", [TCP, TCP])
VARIANTS.add(
    "json mixed case",
    json_lines(
        {
            "Timestamp": ISO,
            "SrcIP": "192.0.2.1",
            "DstIP": "198.51.100.7",
            "Protocol": "TCP",
            "SrcPort": 40000,
            "DstPort": 23,
        }
    ),
    [TCP],
)
VARIANTS.add(
    "splunk export",
    json_lines(
        {
            "preview": False,
            "offset": 0,
            "result": {
                "_time": "2016-07-21T17:50:56.000+00:00",
                "src_ip": "192.0.2.1",
                "dest_ip": "198.51.100.7",
                "transport": "tcp",
                "src_port": "40000",
                "dest_port": "23",
            },
        }
    ),
    [TCP],
)
VARIANTS.add(
    "graylog",
    json_lines(
        {
            "timestamp": "2016-07-21 17:50:56.000",
            "source": "host1",
            "src_ip": "192.0.2.1",
            "dst_ip": "198.51.100.7",
            "proto": "TCP",
            "src_port": "40000",
            "dst_port": "23",
        }
    ),
    [TCP],
)
VARIANTS.add(
    "ts + src as host string",
    json_lines(
        {
            "timestamp": ISO,
            "source": "host1",
            "source_ip": "192.0.2.1",
            "destination_ip": "198.51.100.7",
            "protocol": "tcp",
            "source_port": 40000,
            "destination_port": 23,
        }
    ),
    [TCP],
)

LATER = "2016-07-21T18:00:00Z"
VARIANTS.add("logstash has two times", json_lines({"@timestamp": LATER, **base}), [TCP])
for _name, _prefix in (
    ("fluentd", f"{LATER}\ttelescope.flows\t"),
    ("kubernetes", f"{LATER} stdout F "),
    ("docker logs -t", f"{LATER} "),
    ("kafka's consumer with times", "CreateTime:1469129999123\t"),
    ("kafka's consumer with times and keys", "CreateTime:1469129999123\tkey\t"),
):
    VARIANTS.add(_name, _prefix + json_lines(base), [TCP])
VARIANTS.add(
    "IBM Cloud", json_lines({"version": "1", "capture_start_time": LATER, "flow_logs": [base, base]}), [TCP] * 2
)
VARIANTS.add("loki", json_lines({"line": json.dumps(base), "labels": {"job": "x"}, "timestamp": ISO}), [TCP])
VARIANTS.add(
    "no protocol",
    json_lines({name: value for name, value in base.items() if name != "protocol"}),
    [],
    rejected=1,
    told="the records give no protocol: if all records are of one protocol, put the file into a folder named after it",
)


def azure(category: str, **flows: object) -> str:
    return json.dumps({"records": [{"time": LATER, "category": category, **flows}]})


DENIED = "1469123456,192.0.2.1,198.51.100.7,40000,23,T,I,D"
GROUPS = ["{},B,,,,", "{},C,1,60,0,0", "{},E,1,60,0,0"]
OUTGOING = "1469123456,198.51.100.7,192.0.2.9,1,443,T,O,A,B,,,,"
VARIANTS.add(
    "azure, security groups",
    azure(
        "NetworkSecurityGroupFlowEvent",
        properties={"flows": [{"flows": [{"flowTuples": [*(form.format(DENIED) for form in GROUPS), OUTGOING]}]}]},
    ),
    [TCP],
    format="azure-flow-log",
)
VARIANTS.add(
    "azure, version 1",
    azure("NetworkSecurityGroupFlowEvent", properties={"flows": [{"flows": [{"flowTuples": [DENIED]}]}]}),
    [TCP],
)
VIRTUAL = "1469123456000,192.0.2.1,198.51.100.7,40000,23,6,I,{},NX,0,0,0,0"
VARIANTS.add(
    "azure, virtual networks",
    azure(
        "FlowLogFlowEvent",
        flowRecords={"flows": [{"flowGroups": [{"flowTuples": [VIRTUAL.format("D"), VIRTUAL.format("C")]}]}]},
    ),
    [TCP],
)
LAYERS6 = {
    "ipv6": {"ipv6.src": "2001:db8::1", "ipv6.dst": "2001:db8::7", "ipv6.nxt": "58"},
    "icmpv6": {"icmpv6.type": "128", "icmpv6.code": "0"},
}
VARIANTS.add(
    "tshark, ICMPv6",
    json.dumps([{"_source": {"layers": {"frame": {"frame.time_epoch": str(SECOND)}, **LAYERS6}}}]),
    [PING6],
)
BEHIND = {"ipv6.src": "2001:db8::1", "ipv6.dst": "2001:db8::7", "ipv6.nxt": "60"}
BEHIND_TCP = {"ipv6": BEHIND, "tcp": {"tcp.srcport": "40000", "tcp.dstport": "23"}}
FRAGMENT = {"ipv6": BEHIND | {"ipv6.nxt": "44"}, "data": {"data.len": "8"}}
VARIANTS.add(
    "tshark, IPv6 extension headers",
    json_lines(
        *({"_source": {"layers": {"frame": {"frame.time_epoch": SECOND}, **rest}}} for rest in (BEHIND_TCP, FRAGMENT))
    ),
    [TCP6],
    rejected=1,
)
INSIDE = {"ip_src": ["192.0.2.1", "10.0.0.1"], "ip_dst": ["198.51.100.7", "10.0.0.2"], "ip_proto": ["47", "6"]}
INSIDE |= {"tcp_srcport": ["7"], "tcp_dstport": ["8"]}
CHOSEN6 = {"ipv6_src": ["2001:db8::1"], "ipv6_dst": ["2001:db8::7"], "ipv6_nxt": ["6"]}
CHOSEN6 |= {"tcp_srcport": ["40000"], "tcp_dstport": ["23"]}
VARIANTS.add(
    "tshark ek, chosen fields of a packet inside another, and of IPv6",
    json_lines(*({"timestamp": f"{SECOND}123", "layers": layers} for layers in (INSIDE, CHOSEN6))),
    [(*TCP[:2], 47, 0, 0), TCP6],
)
OUTER = '"ip": {"ip.src": "192.0.2.1", "ip.dst": "198.51.100.7", "ip.proto": "47"}'
INNER = '"ip": {"ip.src": "10.0.0.1", "ip.dst": "10.0.0.2", "ip.proto": "50"}'
VARIANTS.add(
    "tshark, a packet in a tunnel, whose layers have the same names",
    f'[\n{{"_source": {{"layers": {{"frame": {{"frame.time_epoch": "{SECOND}"}},\n{OUTER},\n{INNER}}}}}}}\n]\n',
    [(*TCP[:2], 47, 0, 0)],
)
LAYERS = {
    "ip": {"ip_ip_src": "192.0.2.1", "ip_ip_dst": "198.51.100.7", "ip_ip_proto": "1"},
    "icmp": {"icmp_icmp_type": "8", "icmp_icmp_code": "0"},
}
VARIANTS.add("tshark ek, ICMP", json_lines({"timestamp": f"{SECOND}123", "layers": LAYERS}), [PING])
CHOSEN = {"ip_src": ["192.0.2.1"], "ip_dst": ["198.51.100.7"], "ip_proto": ["6"]}
CHOSEN |= {"tcp_srcport": ["40000"], "tcp_dstport": ["23"]}
VARIANTS.add("tshark ek, chosen fields", json_lines({"timestamp": f"{SECOND}123", "layers": CHOSEN}), [TCP])
VARIANTS.add(
    "azure, ICMP has no type",
    azure("FlowLogFlowEvent", flows=[{"flowTuples": ["1469123456000,192.0.2.1,198.51.100.7,0,0,1,I,D,NX,0,0,0,0"]}]),
    [(*TCP[:2], 1, 65535, 0)],
)
VARIANTS.add(
    "a missing value in one place, the value in another",
    json_lines(
        {
            "source": "-",
            "data": {"source_ip": "192.0.2.1"},
            "dst_ip": "198.51.100.7",
            "ts": SECOND,
            "proto": 6,
            "sport": 40000,
            "dport": 23,
        }
    ),
    [TCP],
)
UFW = "[UFW BLOCK] IN=eth0 OUT= SRC=192.0.2.1 DST=198.51.100.7 PROTO=TCP SPT=40000 DPT=23"
VARIANTS.add("firewall lines in Loki", json_lines({"labels": {}, "line": UFW, "timestamp": ISO}), [TCP])
VARIANTS.add("firewall lines in GELF", json_lines({"short_message": UFW, "timestamp": SECOND, "host": "fw"}), [TCP])
STREAMS = {"resultType": "streams", "result": [{"stream": {}, "values": [[str(SECOND * 10**9), UFW]]}]}
VARIANTS.add("answer of Loki", json_lines({"status": "success", "data": STREAMS}), [TCP])
VARIANTS.add(
    "azure, cut tuple",
    azure("FlowLogFlowEvent", flowRecords={"flows": [{"flowGroups": [{"flowTuples": ["1469123456000,192.0.2.1"]}]}]}),
    [],
    rejected=1,
)


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_json_of_every_shape_gives_the_expected_records(tmp_path: Path, variant: Variant) -> None:
    variant.check(tmp_path)


def test_the_protocol_may_come_from_the_name_of_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "protocol=tcp"
    folder.mkdir()
    (folder / "a.json").write_text(json_lines({name: value for name, value in base.items() if name != "protocol"}))
    records = read_records(tmp_path)
    assert records.table["protocol"].to_pylist() == [6]
    assert "give no protocol" not in records.summary()


@pytest.mark.parametrize(
    ("record", "column"),
    [
        ({"type": "Heralding", "dest_port": 23, "from": "192.0.2.1"}, "from"),
        ({"layers": {"ip_proto": ["6"], "tcp_dstport": ["23"], "from": ["192.0.2.1", "10.0.0.1"]}}, "layers.from"),
    ],
)
def test_a_mapping_completes_what_the_reader_of_a_program_finds(
    tmp_path: Path, record: dict[str, object], column: str
) -> None:
    (tmp_path / "a").write_text(json_lines({"timestamp": SECOND, "src_ip": "192.0.2.9", **record}))
    table = read_records(tmp_path / "a", columns={"src_ip": column}).table
    assert table.select(["src_ip", "protocol"]).to_pylist() == [{"src_ip": "192.0.2.1", "protocol": 6}]


def test_a_record_whose_time_is_under_no_known_name_is_rejected_beside_a_mapping(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(json_lines({"when": 1, "to": "198.51.100.7"}))
    records = read_records(tmp_path / "a", columns={"dst_ip": "to"})
    assert [(reject["field"], reject["reason"]) for reject in records.rejects.to_pylist()] == [
        ("timestamp", "missing")
    ]


def test_sequence_numbers_of_tshark_are_not_those_relative_to_the_connection(tmp_path: Path) -> None:
    tcp = {"tcp.srcport": "40000", "tcp.dstport": "23", "tcp.seq": "0", "tcp.seq_raw": "7"}
    ip = {"ip.src": "192.0.2.1", "ip.dst": "198.51.100.7", "ip.proto": "6"}
    path = tmp_path / "packets.json"
    path.write_text(json.dumps([{"_source": {"layers": {"frame.time_epoch": str(SECOND), "ip": ip, "tcp": tcp}}}]))
    assert read_records(path).table["tcp_seq"].to_pylist() == [7]


CONNECT = {
    "eventid": "cowrie.session.connect",
    "src_ip": "192.0.2.1",
    "src_port": 40000,
    "dst_ip": "198.51.100.7",
    "dst_port": 23,
    "protocol": "telnet",
}
LOGIN = {"eventid": "cowrie.login.failed", "src_ip": "192.0.2.1", "timestamp": ISO}
LATER = "2026-03-01T11:30:00.000Z"
SHIPPED: dict[str, Callable[[dict[str, object]], object]] = {
    "target of Logstash": lambda event: {"@timestamp": LATER, "host": "10.0.0.9", "port": 514, "parsed": event},
    "original event": lambda event: {"@timestamp": LATER, "event": {"original": json.dumps(event)}},
    "module of Filebeat": lambda event: {"@timestamp": LATER, "suricata": {"eve": event}},
    "collector of Splunk": lambda event: {"time": 1772364600, "host": "h", "event": event},
    "CloudEvents": lambda event: {"source": "/pot", "time": LATER, "data": event},
    "Azure": lambda event: {"records": [{"time": LATER, "category": "c", "properties": event}]},
    "syslog of Vector": lambda event: {"source_ip": "10.0.0.9", "timestamp": LATER, "message": json.dumps(event)},
    "CouchDB": lambda event: {"id": "1", "key": "1", "value": {"rev": "1"}, "doc": event},
    "batches of CloudWatch": lambda event: [
        {"logGroup": "g", "logEvents": [{"timestamp": 1772364600000, "message": json.dumps(event)}]}
    ],
    "OpenTelemetry": lambda event: {
        "resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": {"stringValue": json.dumps(event)}}]}]}]
    },
}


@pytest.mark.parametrize("name", SHIPPED)
def test_an_event_within_another_object_is_read_as_outside(tmp_path: Path, name: str) -> None:
    (tmp_path / "a").write_text(json_lines(*map(SHIPPED[name], ({**CONNECT, "timestamp": ISO}, LOGIN))))
    records = read_records(tmp_path / "a")
    assert records.table["timestamp"].to_pylist() == [1_469_123_456_123_456]
    assert (records.counts.kept, records.counts.rejected, records.counts.skipped) == (1, 0, 1)


@pytest.mark.parametrize("name", ["payload", "message", "value", "event"])
def test_what_an_attacker_sends_does_not_stand_for_the_record(tmp_path: Path, name: str) -> None:
    sent = {**base, "src_ip": "203.0.113.9", "timestamp": "2020-01-01T00:00:00Z"}
    (tmp_path / "a").write_text(json_lines({**base, name: json.dumps(sent)}, {**base, name: '{"id": 1}'}))
    assert read_records(tmp_path / "a").table["src_ip"].to_pylist() == ["192.0.2.1", "192.0.2.1"]


def test_a_mapping_may_be_about_the_wrapper(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(json_lines({"shipper": "pot-1", "parsed": base}))
    records = read_records(tmp_path / "a", columns={"timestamp": "parsed.timestamp", "dst_ip": "shipper"})
    assert list(records.sensors) == ["pot-1"]


def test_a_flow_that_both_its_ends_report_counts_once(tmp_path: Path) -> None:
    flow = {"start_time": SECOND, "source_ip": "192.0.2.1", "dest_ip": "198.51.100.7", "dest_port": 23, "proto": "tcp"}
    calico = [{**flow, "source_port": 40000, "num_flows": 1, "reporter": reporter} for reporter in ("src", "dst")]
    (tmp_path / "a").write_text(json_lines(*calico))
    counts = read_records(tmp_path / "a").counts
    assert (counts.kept, counts.skipped) == (1, 1)


@pytest.mark.parametrize("direction", ["outbound", "outgoing", "egress"])
@pytest.mark.parametrize("document", [ecs, {**ecs, "event": {"dataset": "pfsense.log"}}])
def test_flows_that_say_that_they_went_out_count_only_if_a_file_has_no_others(
    tmp_path: Path, document: dict[str, dict[str, object]], direction: str
) -> None:
    out = {**document, "network": {"transport": "tcp", "direction": direction}}
    (tmp_path / "a").write_text(json_lines(document, out))
    (tmp_path / "b").write_text(json_lines(out, out))
    both, only = (read_records(tmp_path / name).counts for name in "ab")
    assert ((both.kept, both.skipped), (only.kept, only.skipped)) == ((1, 1), (2, 0))


def test_a_record_may_be_divided_into_objects(tmp_path: Path) -> None:
    ends = {"start": ISO, "src_ip": "192.0.2.1", "dst_ip": "198.51.100.7"}
    divided = {"time": ISO, "connection": ends, "transport": {"protocol": "tcp", "dst_port": 23}}
    (tmp_path / "a").write_text(json_lines(divided))
    assert read_records(tmp_path / "a").table["protocol"].to_pylist() == [6]


def test_what_a_document_keeps_of_its_message_does_not_stand_for_it(tmp_path: Path) -> None:
    message = {"sourceAddress": "192.0.2.1", "destinationPort": 23, "startTime": ISO, "transportProtocol": "TCP"}
    document = {**ecs, "cef": {"extensions": message}}
    events = [{**document, "event": {"dataset": "cef.log", "type": [kind]}} for kind in ("start", "end")]
    (tmp_path / "a").write_text(json_lines(*events))
    counts = read_records(tmp_path / "a").counts
    assert (counts.kept, counts.skipped) == (1, 1)


@pytest.mark.parametrize("other", [{"level": "info", "msg": "started"}, {**base, "src_ip": "192.0.2.9"}])
def test_objects_in_a_log_of_all_programs_leave_its_other_lines(tmp_path: Path, other: dict[str, object]) -> None:
    begin = "2016-07-21T17:50:56Z host "
    packet = "kernel: DROP IN=eth0 OUT= SRC=192.0.2.1 DST=198.51.100.7 LEN=40 PROTO=TCP SPT=40000 DPT=23 SYN"
    lines = [packet, f"app[1]: {json.dumps(other)}", "sshd[2]: Connection closed", 'app[1]: {"cut": ', packet]
    (tmp_path / "syslog").write_text("".join(f"{begin}{line}\n" for line in lines))
    records = read_records(tmp_path / "syslog")
    found = ["192.0.2.9"] * ("src_ip" in other)
    assert sorted(records.table["src_ip"].to_pylist()) == ["192.0.2.1", "192.0.2.1", *found]
    assert (records.counts.rejected, records.counts.skipped) == (1, 2 - len(found))


def test_of_two_missing_values_the_better_place_counts(tmp_path: Path) -> None:
    record = {
        "timestamp": "2016-07-21T17:50:56Z",
        "src_ip": "-",
        "source": {"ip": "N/A"},
        "proto": "tcp",
        "dst_port": 1,
    }
    (tmp_path / "a.json").write_text(json_lines(record))
    records = read_records(tmp_path / "a.json")
    assert [(reject["field"], reject["value"]) for reject in records.rejects.to_pylist()] == [("src_ip", "-")]
