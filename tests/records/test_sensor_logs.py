# ruff: noqa: E501 - lines of logs are as long as their programs write them.
"""Zeek and Suricata, whole, concatenated, mixed and wrapped."""

import gzip
import json
from pathlib import Path

import pytest
from variants import PING, PING6, SECOND, TCP, Variant, Variants, json_lines

from telescope_transformer.records import read_records

VARIANTS = Variants()
ISO = "2016-07-21T17:50:56.123456Z"


def zeek_log(fields: str, *rows: str, path: str = "conn", hdr: bool = True, close: bool = True) -> str:
    h = [
        "#separator \\x09",
        "#set_separator\t,",
        "#empty_field\t(empty)",
        "#unset_field\t-",
        f"#path\t{path}",
        "#open\t2016-07-21-17-00-00",
        "#fields\t" + "\t".join(fields.split()),
        "#types\t" + "\t".join("string" for _ in fields.split()),
    ]
    return (
        "\n".join((h if hdr else []) + ["\t".join(r.split()) for r in rows] + (["#close\t2016"] if close else []))
        + "\n"
    )


CF = "ts uid id.orig_h id.orig_p id.resp_h id.resp_p proto service duration orig_bytes resp_bytes conn_state local_orig local_resp missed_bytes history orig_pkts orig_ip_bytes resp_pkts resp_ip_bytes tunnel_parents"
CR = "1469123456.123456 CaB 192.0.2.1 40000 198.51.100.7 23 tcp - - - - S0 F F 0 S 1 40 0 0 -"
VARIANTS.add("zeek", zeek_log(CF, CR), [TCP], format="zeek")
VARIANTS.add("zeek 8", zeek_log(CF + " ip_proto", CR + " 6"), [TCP])
VARIANTS.add(
    "zeek 8 unknown_transport",
    zeek_log(CF + " ip_proto", CR.replace("40000", "0").replace(" 23 tcp", " 0 unknown_transport") + " 47"),
    [(*TCP[:2], 47, 0, 0)],
)
VARIANTS.add(
    "zeek 8 json gre",
    json_lines(
        {
            "ts": SECOND,
            "uid": "C",
            "id.orig_h": "192.0.2.1",
            "id.orig_p": 0,
            "id.resp_h": "198.51.100.7",
            "id.resp_p": 0,
            "proto": "unknown_transport",
            "conn_state": "OTH",
            "ip_proto": 47,
        }
    ),
    [(*TCP[:2], 47, 0, 0)],
)
VARIANTS.add(
    "zeek 8 ip_proto icmp",
    zeek_log(CF + " ip_proto", CR.replace("40000", "8").replace(" 23 tcp", " 0 icmp") + " 1"),
    [PING],
)
VARIANTS.add(
    "zeek unknown_transport no ip_proto", zeek_log(CF, CR.replace(" tcp ", " unknown_transport ")), [], rejected=1
)
VARIANTS.add("zeek ISO ts", zeek_log(CF, CR.replace("1469123456.123456", ISO)), [TCP])
VARIANTS.add("zeek concat plain", zeek_log(CF, CR) + zeek_log(CF, CR), [TCP, TCP])
VARIANTS.add(
    "zeek concat fewer cols",
    zeek_log(CF, CR) + zeek_log(" ".join(CF.split()[:7]), " ".join(CR.split()[:7])),
    [TCP, TCP],
)
VARIANTS.add(
    "zeek concat dns then conn",
    zeek_log(
        "ts uid id.orig_h id.orig_p id.resp_h id.resp_p proto query",
        "1469123456 C 192.0.2.1 5 198.51.100.7 53 udp x",
        path="dns",
    )
    + zeek_log(CF, CR),
    [TCP],
    skipped=1,
)
VARIANTS.add("zeek concat no close", zeek_log(CF, CR, close=False) + zeek_log(CF, CR, close=False), [TCP, TCP])
VARIANTS.add(
    "zeek concat gz members",
    gzip.compress(zeek_log(CF, CR).encode()) + gzip.compress(zeek_log(CF, CR).encode()),
    [TCP, TCP],
)
VARIANTS.add("zeek, a comment before the header", "# sensor 7\n" + zeek_log(CF, CR), [TCP])
VARIANTS.add("zeek header w/o separator line", "\n".join(zeek_log(CF, CR).split("\n")[1:]), [TCP])
VARIANTS.add("zeek only #fields", "#fields\t" + "\t".join(CF.split()) + "\n" + "\t".join(CR.split()) + "\n", [TCP])
VARIANTS.add("zeek no header rows only", "\t".join(CR.split()) + "\n", None)
VARIANTS.add(
    "zeek zeek-cut output w/ header",
    "\t".join(["ts", "id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p", "proto"])
    + "\n"
    + "\t".join(["1469123456.12", "192.0.2.1", "40000", "198.51.100.7", "23", "tcp"])
    + "\n",
    [TCP],
)
VARIANTS.add(
    "zeek comma sep",
    zeek_log(CF, CR).replace("\t", ",").replace("\\x09", "\\x2c").replace("#set_separator,,", "#set_separator,;"),
    [TCP],
    format="zeek",
)
VARIANTS.add("zeek CRLF", zeek_log(CF, CR).replace("\n", "\r\n"), [TCP])
VARIANTS.add("zeek cut last row", zeek_log(CF, CR, close=False) + "1469123456.1\tCx\t192.0", [TCP], rejected=1)
VARIANTS.add("zeek conn-summary text", ">== Total === 2016-07-21-17-00-00\n - Connections 1.0 -\n", None)
VARIANTS.add("zeek icmp", zeek_log(CF, CR.replace("40000", "8").replace(" 23 tcp", " 0 icmp")), [PING])
VARIANTS.add(
    "zeek icmp v6",
    zeek_log(
        CF,
        CR.replace("192.0.2.1", "2001:db8::1")
        .replace("198.51.100.7", "2001:db8::7")
        .replace("40000", "128")
        .replace(" 23 tcp", " 129 icmp"),
    ),
    [PING6],
)
ZJ = {
    "ts": 1469123456.123456,
    "uid": "C",
    "id.orig_h": "192.0.2.1",
    "id.orig_p": 40000,
    "id.resp_h": "198.51.100.7",
    "id.resp_p": 23,
    "proto": "tcp",
    "conn_state": "S0",
    "orig_pkts": 1,
    "orig_ip_bytes": 40,
}
# Zeek calls the receiver of a SYN-ACK, or of packets from a server's port, the originator, which has sent nothing.
BACKSCATTER = ("198.51.100.7", "192.0.2.1", 6, 23, 40_000)
ANSWER = CR.replace("S0 F F 0 S 1 40 0 0", "SHR F F 0 ^h 0 0 2 88")
VARIANTS.add("zeek: backscatter", zeek_log(CF, ANSWER, ANSWER.replace(" 2 88", " 0 0")), [BACKSCATTER, TCP])
VARIANTS.add(
    "zeek as JSON: backscatter",
    json_lines({**ZJ, "orig_pkts": 0, "resp_pkts": 2, "resp_ip_bytes": 88}, {**ZJ, "resp_pkts": 2}),
    [BACKSCATTER, TCP],
)
ECS = {"@timestamp": ISO, "network": {"transport": "tcp"}, "event": {"module": "zeek", "dataset": "conn"}}
ECS |= {"source": {"ip": "192.0.2.1", "port": 40000, "packets": 0}}
VARIANTS.add(
    "zeek in the Elastic Common Schema: backscatter",
    json_lines(ECS | {"destination": {"ip": "198.51.100.7", "port": 23, "packets": 2, "bytes": 88}}),
    [BACKSCATTER],
)
FLOW = {"src_ip": "192.0.2.1", "dest_ip": "198.51.100.7", "proto": "TCP", "src_port": 40000, "dest_port": 23}
FLOW |= {"timestamp": ISO, "event_type": "flow", "tcp": {"tcp_flags_ts": "00", "tcp_flags_tc": "12"}}
VARIANTS.add(
    "suricata with midstream: backscatter",
    json_lines(FLOW | {"flow": {"start": ISO, "pkts_toserver": 0, "pkts_toclient": 1}}),
    [BACKSCATTER],
)
VARIANTS.add("zj", json_lines(ZJ), [TCP], format="zeek-json")
VARIANTS.add("zj iso", json_lines({**ZJ, "ts": ISO}), [TCP])
VARIANTS.add("zj ts ms", json_lines({**ZJ, "ts": 1469123456123}), [TCP])
VARIANTS.add("zj _path", json_lines({**ZJ, "_path": "conn", "_system_name": "z", "_write_ts": ISO}), [TCP])
VARIANTS.add(
    "zj mixed paths",
    json_lines(
        {**ZJ, "_path": "conn"},
        {
            "_path": "dns",
            "ts": SECOND,
            "id.orig_h": "192.0.2.1",
            "id.orig_p": 1,
            "id.resp_h": "1.1.1.1",
            "id.resp_p": 53,
            "proto": "udp",
            "query": "x",
        },
        {"_path": "weird", "ts": SECOND, "id.orig_h": "192.0.2.1", "name": "x"},
        {"_path": "stats", "ts": SECOND},
    ),
    [TCP],
    skipped=3,
)
for nm, o in {
    "dns": {"proto": "udp", "trans_id": 1, "query": "x", "qclass": 1, "rejected": False},
    "notice": {
        "proto": "tcp",
        "note": "Scan::Port",
        "msg": "x",
        "src": "192.0.2.1",
        "p": 23,
        "actions": ["Notice::ACTION_LOG"],
    },
    "weird": {"name": "bad_TCP", "notice": False, "peer": "zeek"},
    "ssh": {"version": 2, "auth_attempts": 0, "client": "x"},
    "http": {"trans_depth": 1, "method": "GET", "host": "x"},
    "known_services": {},
    "intel": {"seen.indicator": "192.0.2.1"},
    "dpd": {"proto": "tcp", "analyzer": "HTTP", "failure_reason": "x"},
    "rdp": {"cookie": "x"},
    "snmp": {"duration": 0.0, "version": "2c"},
    "sip": {"method": "INVITE"},
    "tunnel": {"tunnel_type": "Tunnel::GRE", "action": "x"},
    "signatures": {
        "src_addr": "192.0.2.1",
        "src_port": 1,
        "dst_addr": "198.51.100.7",
        "dst_port": 2,
        "note": "x",
        "proto": "tcp",
    },
    "ntp": {"version": 4, "mode": 3},
    "dhcp": {"client_addr": "1.1.1.1"},
    "analyzer": {"proto": "tcp", "cause": "violation"},
    "modbus": {"func": "x"},
    "radius": {"result": "x"},
    "x509": {"fingerprint": "x"},
    "files": {"fuid": "F", "source": "HTTP"},
    "software": {"host": "192.0.2.1", "host_p": 1},
    "conn_long?": {"proto": "tcp", "history": "S"},
}.items():
    base = {k: ZJ[k] for k in ("ts", "uid", "id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p")}
    want = [TCP] if nm == "conn_long?" else []
    VARIANTS.add("zj other " + nm, json_lines({**base, **o}, {**base, **o}), want * 2, second=None)
VARIANTS.add(
    "zj nested id",
    json_lines(
        {
            "ts": SECOND,
            "id": {"orig_h": "192.0.2.1", "orig_p": 40000, "resp_h": "198.51.100.7", "resp_p": 23},
            "proto": "tcp",
            "conn_state": "S0",
        }
    ),
    [TCP],
)
VARIANTS.add(
    "zj underscore (elastic)",
    json_lines(
        {
            "ts": SECOND,
            "id_orig_h": "192.0.2.1",
            "id_orig_p": 40000,
            "id_resp_h": "198.51.100.7",
            "id_resp_p": 23,
            "proto": "tcp",
            "conn_state": "S0",
        }
    ),
    [TCP],
)
VARIANTS.add(
    "zj filebeat zeek module",
    json_lines(
        {
            "@timestamp": ISO,
            "source": {"address": "192.0.2.1", "ip": "192.0.2.1", "port": 40000, "bytes": 40, "packets": 1},
            "destination": {"address": "198.51.100.7", "ip": "198.51.100.7", "port": 23},
            "network": {"transport": "tcp"},
            "zeek": {"connection": {"state": "S0"}, "session_id": "C"},
            "event": {"dataset": "zeek.connection", "created": "2016-07-21T18:00:00Z"},
        }
    ),
    [TCP],
)
VARIANTS.add(
    "zj filebeat ecs dns doc",
    json_lines(
        {
            "@timestamp": ISO,
            "source": {"ip": "192.0.2.1", "port": 40000},
            "destination": {"ip": "198.51.100.7", "port": 53},
            "network": {"transport": "udp", "protocol": "dns"},
            "event": {"dataset": "zeek.dns"},
        }
    ),
    [],
)
VARIANTS.add(
    "zj securityonion message",
    json_lines({"@timestamp": ISO, "message": json.dumps(ZJ), "event.dataset": "conn"}),
    [TCP],
)
VARIANTS.add("corelight streaming in array", json.dumps([{**ZJ, "_path": "conn"}]), [TCP])
# Suricata
E = {
    "timestamp": "2016-07-21T17:51:26.000000+0000",
    "flow_id": 1,
    "event_type": "flow",
    "src_ip": "192.0.2.1",
    "src_port": 40000,
    "dest_ip": "198.51.100.7",
    "dest_port": 23,
    "proto": "TCP",
    "flow": {
        "pkts_toserver": 1,
        "pkts_toclient": 0,
        "bytes_toserver": 60,
        "bytes_toclient": 0,
        "start": "2016-07-21T17:50:56.123456+0000",
        "end": "2016-07-21T17:50:56.123456+0000",
        "age": 0,
        "state": "new",
        "reason": "timeout",
        "alerted": False,
    },
    "tcp": {"tcp_flags": "02", "tcp_flags_ts": "02", "tcp_flags_tc": "00", "syn": True},
}
VARIANTS.add("eve flow", json_lines(E), [TCP], format="suricata")
N = {
    **{k: E[k] for k in ("timestamp", "flow_id", "src_ip", "src_port", "dest_ip", "dest_port", "proto")},
    "event_type": "netflow",
    "netflow": {
        "pkts": 1,
        "bytes": 60,
        "start": "2016-07-21T17:50:56.123456+0000",
        "end": "x",
        "age": 0,
        "min_ttl": 50,
        "max_ttl": 51,
    },
    "tcp": {"tcp_flags": "02", "syn": True},
}
VARIANTS.add("eve netflow", json_lines(N), [TCP], format="suricata")
VARIANTS.add("eve netflow + flow", json_lines(N, E), [TCP], skipped=1)
A = {
    **{k: E[k] for k in ("timestamp", "flow_id", "src_ip", "src_port", "dest_ip", "dest_port", "proto")},
    "event_type": "alert",
    "alert": {"action": "allowed", "signature": "x"},
}
VARIANTS.add("eve alert only", json_lines(A), [], skipped=1)
VARIANTS.add(
    "eve alert with flow obj only",
    json_lines({**A, "flow": {"start": "2016-07-21T17:50:56.1+0000", "pkts_toserver": 1}}),
    [],
    skipped=1,
)
VARIANTS.add(
    "eve icmp",
    json_lines(
        {
            **E,
            "proto": "ICMP",
            "icmp_type": 8,
            "icmp_code": 0,
            "src_port": None,
            "dest_port": None,
            "response_icmp_type": 0,
        }
    ),
    [PING],
)
VARIANTS.add(
    "eve icmp no ports",
    json_lines(
        {
            k: v
            for k, v in {**E, "proto": "ICMP", "icmp_type": 8, "icmp_code": 0}.items()
            if k not in ("src_port", "dest_port")
        }
    ),
    [PING],
)
VARIANTS.add(
    "eve v6 icmp",
    json_lines(
        {
            k: v
            for k, v in {
                **E,
                "proto": "IPv6-ICMP",
                "src_ip": "2001:0db8:0000:0000:0000:0000:0000:0001",
                "dest_ip": "2001:0db8:0000:0000:0000:0000:0000:0007",
                "icmp_type": 128,
                "icmp_code": 0,
            }.items()
            if k not in ("src_port", "dest_port")
        }
    ),
    [PING6],
)
VARIANTS.add(
    "eve proto 047?",
    json_lines({k: v for k, v in {**E, "proto": "047"}.items() if k not in ("src_port", "dest_port")}),
    [(*TCP[:2], 47, 0, 0)],
)
VARIANTS.add(
    "eve GRE",
    json_lines({k: v for k, v in {**E, "proto": "GRE"}.items() if k not in ("src_port", "dest_port")}),
    [(*TCP[:2], 47, 0, 0)],
)
VARIANTS.add("eve in_iface vlan", json_lines({**E, "vlan": [10], "in_iface": "eth0", "community_id": "1:x"}), [TCP])
VARIANTS.add("eve syslog", "<142>Jul 21 17:51:26 s suricata: @cee: " + json.dumps(E) + "\n", [TCP], format="suricata")
VARIANTS.add(
    "eve logstash doc",
    json_lines(
        {
            **E,
            "@timestamp": "2016-07-21T17:51:26.000Z",
            "host": "x",
            "type": "Suricata",
            "path": "/data/suricata/log/eve.json",
        }
    ),
    [TCP],
)
VARIANTS.add(
    "eve filebeat suricata module",
    json_lines(
        {
            "@timestamp": "2016-07-21T17:51:26.000Z",
            "event": {"start": "2016-07-21T17:50:56.123Z", "dataset": "suricata.eve"},
            "suricata": {"eve": {"event_type": "flow", "flow_id": "1"}},
            "source": {"ip": "192.0.2.1", "port": 40000, "packets": 1, "bytes": 60},
            "destination": {"ip": "198.51.100.7", "port": 23},
            "network": {"transport": "tcp"},
        }
    ),
    [TCP],
)
VARIANTS.add("eve uppercase proto number", json_lines({**E, "proto": "6"}), [TCP])
VARIANTS.add(
    "aws nfw",
    json_lines({"firewall_name": "f", "availability_zone": "a", "event_timestamp": "1469123486", "event": E}),
    [TCP],
)
VARIANTS.add(
    "aws nfw netflow",
    json_lines({"firewall_name": "f", "availability_zone": "a", "event_timestamp": "1469123486", "event": N}),
    [TCP],
)
VARIANTS.add(
    "aws nfw alert",
    json_lines(
        {"firewall_name": "f", "availability_zone": "a", "event_timestamp": "1469123486", "event": A},
        {"firewall_name": "f", "event": N},
    ),
    [TCP],
    skipped=1,
)


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_logs_of_sensors_give_the_expected_records(tmp_path: Path, variant: Variant) -> None:
    variant.check(tmp_path)


def test_of_backscatter_what_its_source_sent_is_read(tmp_path: Path) -> None:
    (tmp_path / "conn.log").write_text(zeek_log(CF, ANSWER))
    (row,) = read_records(tmp_path / "conn.log").table.to_pylist()
    assert (row["packets"], row["bytes"]) == (2, 88)
    flow = FLOW | {"flow": {"start": ISO, "pkts_toserver": 0, "pkts_toclient": 1, "bytes_toclient": 44}}
    (tmp_path / "eve.json").write_text(json_lines(flow))
    (row,) = read_records(tmp_path / "eve.json").table.to_pylist()
    assert (row["packets"], row["bytes"], row["tcp_flags"]) == (1, 44, 0x12)
