# ruff: noqa: E501 - lines of logs are as long as their programs write them.
"""Logs of honeypots, by themselves and as T-Pot, hpfeeds, Elasticsearch and Kibana hand them on."""

import json
from pathlib import Path

import pytest
from variants import TCP, UDP, Variant, Variants, json_lines

VARIANTS = Variants()
HONEYPY = {"local_host": "198.51.100.7", "local_port": 23, "remote_host": "192.0.2.1", "remote_port": 40000}
ISO = "2016-07-21T17:50:56.123456Z"
# Cowrie, close to a real log
cow = {
    "eventid": "cowrie.session.connect",
    "src_ip": "192.0.2.1",
    "src_port": 40000,
    "dst_ip": "198.51.100.7",
    "dst_port": 23,
    "session": "a",
    "protocol": "ssh",
    "message": "New connection: 192.0.2.1:40000 (198.51.100.7:23) [session: a]",
    "sensor": "pot",
    "timestamp": ISO,
}
log = {
    "eventid": "cowrie.login.failed",
    "username": "root",
    "password": "x",
    "message": "login attempt",
    "sensor": "pot",
    "timestamp": ISO,
    "src_ip": "192.0.2.1",
    "session": "a",
}
VARIANTS.add("cowrie", json_lines(cow, log), [TCP], skipped=1)
VARIANTS.add("cowrie uuid/ttylog", json_lines({**cow, "uuid": "u", "protocol": "telnet"}), [TCP])
VARIANTS.add(
    "cowrie docker",
    json_lines({"log": json.dumps(cow) + "\n", "stream": "stdout", "time": ISO}),
    [TCP],
    format="cowrie",
)
VARIANTS.add(
    "cowrie t-pot ES",
    json_lines(
        {
            "_index": "logstash-2016.07.21",
            "_type": "doc",
            "_id": "x",
            "_version": 1,
            "_score": None,
            "_source": {
                **{k: v for k, v in cow.items() if k not in ("dst_ip", "dst_port")},
                "dest_ip": "198.51.100.7",
                "dest_port": 23,
                "type": "Cowrie",
                "@timestamp": ISO,
                "@version": "1",
                "path": "/data/cowrie/log/cowrie.json",
                "host": "tpot",
                "geoip": {"ip": "192.0.2.1", "country": "x"},
                "t-pot_ip_ext": "203.0.113.9",
                "t-pot_hostname": "a",
            },
            "fields": {"timestamp": [ISO]},
        }
    ),
    [TCP],
    format="cowrie",
)
VARIANTS.add("cowrie message list", json_lines({**cow, "message": ["a", "b"]}), [TCP])
VARIANTS.add(
    "cowrie dst 0.0.0.0?", json_lines({**cow, "dst_ip": "::ffff:198.51.100.7", "src_ip": "::ffff:192.0.2.1"}), [TCP]
)
VARIANTS.add(
    "cowrie closed w/ src",
    json_lines({"eventid": "cowrie.session.closed", "duration": 1.2, "src_ip": "192.0.2.1", "timestamp": ISO}, cow),
    [TCP],
    skipped=1,
)
VARIANTS.add(
    "cowrie old isError", json_lines({**cow, "isError": 0, "system": "cowrie.ssh.factory.CowrieSSHFactory"}), [TCP]
)
VARIANTS.add("cowrie local ts", json_lines({**cow, "timestamp": "2016-07-21T19:50:56.123456+0200"}), [TCP])
VARIANTS.add(
    "cowrie direct-tcpip",
    json_lines(
        {
            "eventid": "cowrie.direct-tcpip.request",
            "dst_ip": "1.2.3.4",
            "dst_port": 25,
            "src_ip": "192.0.2.1",
            "src_port": 1,
            "timestamp": ISO,
        },
        cow,
    ),
    [TCP],
    skipped=1,
)
VARIANTS.add("cowrie via syslog", "<14>Jul 21 17:50:56 pot cowrie: " + json.dumps(cow) + "\n", [TCP], format="cowrie")
# Kippo/ cowrie hpfeeds: {"startTime","endTime","peerIP","hostIP","peerPort","hostPort"}
VARIANTS.add(
    "cowrie hpfeeds",
    json_lines(
        {
            "peerIP": "192.0.2.1",
            "peerPort": 40000,
            "hostIP": "198.51.100.7",
            "hostPort": 23,
            "startTime": ISO,
            "endTime": ISO,
            "session": "x",
            "loggedin": None,
            "credentials": [],
            "commands": [],
            "version": "SSH-2.0",
            "protocol": "ssh",
        }
    ),
    [TCP],
)
# Dionaea
d = {
    "connection": {"protocol": "smbd", "transport": "tcp", "type": "accept"},
    "dst_ip": "198.51.100.7",
    "dst_port": 23,
    "src_hostname": "",
    "src_ip": "192.0.2.1",
    "src_port": 40000,
    "timestamp": "2016-07-21T17:50:56.123456",
}
VARIANTS.add("dionaea", json_lines(d), [TCP], format="dionaea")
VARIANTS.add(
    "dionaea udp",
    json_lines({**d, "connection": {"protocol": "SipSession", "transport": "udp", "type": "accept"}, "dst_port": 53}),
    [UDP],
)
VARIANTS.add(
    "dionaea tls", json_lines({**d, "connection": {"protocol": "httpd", "transport": "tls", "type": "accept"}}), [TCP]
)
VARIANTS.add(
    "dionaea: SIP reports a client as a connection that goes out",
    json_lines({**d, "connection": {"protocol": "SipSession", "transport": "udp", "type": "connect"}, "dst_port": 53}),
    [UDP],
)
VARIANTS.add(
    "dionaea connect skipped",
    json_lines({**d, "connection": {"protocol": "x", "transport": "tcp", "type": "connect"}}, d),
    [TCP],
    skipped=1,
)
VARIANTS.add(
    "dionaea tpot",
    json_lines(
        {
            "_index": "logstash",
            "_source": {
                **{k: v for k, v in d.items() if k not in ("dst_ip", "dst_port")},
                "dest_ip": "198.51.100.7",
                "dest_port": 23,
                "type": "Dionaea",
                "@timestamp": ISO,
            },
        }
    ),
    [TCP],
)
CONNECTION = {
    "connection_type": "accept",
    "connection_transport": "tcp",
    "connection_protocol": "smbd",
    "remote_host": "192.0.2.1",
    "remote_port": 40000,
    "local_host": "198.51.100.7",
    "local_port": 23,
}
VARIANTS.add(
    "dionaea hpfeeds remote_hostname", json_lines({**CONNECTION, "remote_hostname": "", "timestamp": ISO}), [TCP]
)
VARIANTS.add(
    "dionaea mhn",
    json_lines(
        {
            "payload": CONNECTION,
            "channel": "dionaea.connections",
            "timestamp": {"$date": ISO},
            "ident": "x",
            "normalized": True,
        }
    ),
    [TCP],
)
VARIANTS.add(
    "mhn hpfeed payload str",
    json_lines(
        {
            "payload": json.dumps(CONNECTION),
            "channel": "dionaea.connections",
            "timestamp": {"$date": ISO},
            "ident": "x",
        }
    ),
    [TCP],
)
# Honeytrap (armedpot), honeytrap (honeytrap.io)
ht = {
    "timestamp": "2016-07-21T17:50:56.123",
    "attack_connection": {
        "local_ip": "198.51.100.7",
        "local_port": 23,
        "protocol": "tcp",
        "remote_ip": "192.0.2.1",
        "remote_port": 40000,
        "payload": {"md5_hash": "", "length": 0, "data_hex": ""},
    },
    "download_count": 0,
    "operation_mode": 2,
    "proxy_connection": None,
    "start_time": "2016-07-21T17:50:55.000",
    "end_time": "2016-07-21T17:50:56.123",
    "is_virtual": 0,
    "downloads": [],
}
VARIANTS.add("honeytrap attackers.json", json_lines(ht), [TCP], second=None)
VARIANTS.add(
    "honeypy JSON: a connection, not each of its events",
    json_lines(
        *(
            {"date_time": "2016-07-21T17:50:56", "protocol": protocol, "event": event, "service": "x", **HONEYPY}
            for protocol, event in (("TCP", "CONNECT"), ("TCP", "RX"), ("UDP", "RX"), ("UDP", "TX"))
        )
    ),
    [TCP, (*TCP[:2], 17, *TCP[3:])],
    skipped=2,
)
VARIANTS.add(
    "honeypy",
    "".join(
        f"2016-07-21 19:50:56,123456,+0200 [{plugin}] 5a1b {event} 198.51.100.7 23 Telnet 192.0.2.1 40000 {data}\n"
        for plugin, event, data in (
            ("-", "TCP CONNECT", ""),
            ("Telnet,1", "TCP RX", "6162"),
            ("Echo (UDP)", "UDP RX", "61"),
            ("Echo (UDP)", "UDP TX", "61"),
        )
    ),
    [TCP, (*TCP[:2], 17, *TCP[3:])],
    format="honeypy",
    skipped=2,
)
VARIANTS.add(
    "honeytrap tpot",
    json_lines(
        {
            "_source": {
                "@timestamp": "2016-07-21T17:50:56.123Z",
                "type": "Honeytrap",
                "src_ip": "192.0.2.1",
                "src_port": 40000,
                "dest_ip": "198.51.100.7",
                "dest_port": 23,
                "attack_connection": {"protocol": "tcp", "payload": {}},
            }
        }
    ),
    [TCP],
)
VARIANTS.add(
    "honeytrap tpot flat",
    json_lines(
        {
            "_source": {
                "@timestamp": "2016-07-21T17:50:56.123Z",
                "type": "Honeytrap",
                "src_ip": "192.0.2.1",
                "src_port": 40000,
                "dest_ip": "198.51.100.7",
                "dest_port": 23,
                "attack_connection.protocol": "tcp",
            }
        }
    ),
    [TCP],
)
VARIANTS.add(
    "honeytrap.io",
    json_lines(
        {
            "category": "telnet",
            "date": "2016-07-21T17:50:56.123456Z",
            "destination-ip": "198.51.100.7",
            "destination-port": 23,
            "sensor": "services",
            "source-ip": "192.0.2.1",
            "source-port": 40000,
            "token": "x",
            "type": "connect",
            "protocol": "tcp",
        }
    ),
    [TCP],
)
VARIANTS.add(
    "tpot adbhoney no proto",
    json_lines(
        {
            "_source": {
                "@timestamp": ISO,
                "type": "Adbhoney",
                "src_ip": "192.0.2.1",
                "src_port": 40000,
                "dest_ip": "198.51.100.7",
                "dest_port": 5555,
            }
        }
    ),
    [(*TCP[:4], 5555)],
)
VARIANTS.add(
    "tpot p0f/fatt",
    json_lines(
        {
            "_source": {
                "@timestamp": ISO,
                "type": "P0f",
                "src_ip": "192.0.2.1",
                "src_port": 40000,
                "dest_ip": "198.51.100.7",
                "dest_port": 23,
                "mod": "syn",
                "os": "Linux",
                "dist": "8",
                "raw_sig": "x",
            }
        }
    ),
    [],
    rejected=0,
    skipped=1,
)
VARIANTS.add(
    "tpot ConPot",
    json_lines(
        {
            "_source": {
                "@timestamp": ISO,
                "type": "ConPot",
                "src_ip": "192.0.2.1",
                "src_port": 40000,
                "dest_ip": "198.51.100.7",
                "dest_port": 502,
                "data_type": "modbus",
                "event_type": "NEW_CONNECTION",
                "timestamp": "2016-07-21T17:50:56.000",
            }
        }
    ),
    [(*TCP[:4], 502)],
)
VARIANTS.add(
    "tpot Heralding",
    json_lines(
        {
            "_source": {
                "@timestamp": ISO,
                "type": "Heralding",
                "src_ip": "192.0.2.1",
                "src_port": 40000,
                "dest_ip": "198.51.100.7",
                "dest_port": 5900,
                "proto": "vnc",
            }
        }
    ),
    [(*TCP[:4], 5900)],
)
VARIANTS.add(
    "tpot Sentrypeer",
    json_lines(
        {
            "_source": {
                "@timestamp": ISO,
                "type": "Sentrypeer",
                "src_ip": "192.0.2.1",
                "src_port": 40000,
                "dest_ip": "198.51.100.7",
                "dest_port": 53,
                "transport_type": "UDP",
                "protocol": "UDP",
                "sip_method": "OPTIONS",
            }
        }
    ),
    [UDP],
)
VARIANTS.add(
    "tpot CiscoASA honeypot",
    json_lines(
        {
            "_source": {
                "@timestamp": ISO,
                "type": "Ciscoasa",
                "src_ip": "192.0.2.1",
                "src_port": 40000,
                "dest_port": 8443,
            }
        }
    ),
    [],
    second=None,
)
# Kibana CSV export (Discover)
K = '"@timestamp","_id","_index","_score","_type","dest_ip","dest_port","src_ip","src_port",proto\n"Jul 21, 2016 @ 17:50:56.123","x","logstash","-","_doc","198.51.100.7","23","192.0.2.1","40,000",TCP\n'
VARIANTS.add("kibana csv, thousands", K, [TCP])
VARIANTS.add(
    "kibana csv iso",
    K.replace("Jul 21, 2016 @ 17:50:56.123", "2016-07-21T17:50:56.123Z").replace("40,000", "40000"),
    [TCP],
)
VARIANTS.add(
    "kibana csv old date",
    K.replace("Jul 21, 2016 @ 17:50:56.123", "July 21st 2016, 17:50:56.123").replace("40,000", "40000"),
    [TCP],
)
VARIANTS.add(
    "kibana ecs csv",
    '"@timestamp","source.ip","source.port","destination.ip","destination.port","network.transport"\n"Jul 21, 2016 @ 17:50:56.123","192.0.2.1","40,000","198.51.100.7",23,tcp\n',
    [TCP],
)
VARIANTS.add(
    "kibana fields",
    json_lines(
        {
            "_index": "x",
            "_id": "1",
            "_version": 1,
            "_score": 0,
            "fields": {
                "@timestamp": [ISO],
                "src_ip": ["192.0.2.1"],
                "src_port": [40000],
                "dest_ip": ["198.51.100.7"],
                "dest_port": [23],
                "proto": ["TCP"],
                "type.keyword": ["Suricata"],
            },
        }
    ),
    [TCP],
)
VARIANTS.add(
    "ES scroll several pages",
    json.dumps({"_scroll_id": "x", "hits": {"total": {"value": 2}, "hits": [{"_index": "a", "_source": cow}]}})
    + "\n"
    + json.dumps({"_scroll_id": "x", "hits": {"hits": [{"_index": "a", "_source": cow}]}})
    + "\n",
    [TCP, TCP],
)
VARIANTS.add(
    "ES sql", json.dumps({"columns": [{"name": "@timestamp", "type": "datetime"}], "rows": [[ISO]]}), [], second=None
)
VARIANTS.add(
    "elasticdump w/ mapping line",
    json_lines(
        {"_index": "x", "_type": "doc", "_id": "1", "_score": 1, "_source": cow},
        {"_index": "x", "_type": "doc", "_id": "2", "_score": 1, "_source": log},
    ),
    [TCP],
    skipped=1,
)
VARIANTS.add(
    "multi type file T-Pot",
    json_lines(*({"_source": x} for x in (cow, log, d, ht, {"@timestamp": ISO, "type": "P0f"}))),
    [TCP, TCP, TCP],
    second=None,
    skipped=2,
)


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_logs_of_honeypots_give_the_expected_records(tmp_path: Path, variant: Variant) -> None:
    variant.check(tmp_path)
