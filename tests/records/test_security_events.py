# ruff: noqa: E501 - lines of logs are as long as their programs write them.
"""Events as CEF, LEEF and `name=value`, their times and zones, and exports that repeat a connection."""

import json
from pathlib import Path
from typing import Any

import pytest
from variants import PING, SECOND, TCP, UDP, Variant, Variants, json_lines

from telescope_transformer.records.schema import UNKNOWN_ICMP_TYPE

VARIANTS = Variants()
ISO = "2016-07-21T17:50:56.123456Z"
ENDS = "src=192.0.2.1 spt=40000 dst=198.51.100.7 dpt=23 proto="


def add(name: str, *lines: str, **more: Any) -> None:
    VARIANTS.add(name, "\n".join(lines) + "\n", more.pop("expected", [TCP]), **{"format": "firewall-log", **more})


CHECK_POINT = "CEF:0|Check Point|VPN-1 & FireWall-1|Check Point|Log|Log|Unknown|act=Drop rt=1469123456000 logid=1 "
add("CEF of Check Point with a logid", CHECK_POINT + ENDS + "6")
FORTINET = "CEF:0|Fortinet|Fortigate|v6.0|00013|x|3|FTNTFGTlogid=0000000013 FTNTFGTeventtime=1469123456 cat="
add(
    "CEF of FortiGate repeats a connection in its other logs",
    FORTINET + "traffic:forward " + ENDS + "6",
    FORTINET + "utm:virus " + ENDS + "6",
    FORTINET.replace("logid=0000000013", "logid=0000000020") + "traffic:forward " + ENDS + "6",
    skipped=2,
)
add(
    "CEF of FortiGate in Berlin", FORTINET + "traffic:forward start=Jul 21 2016 19:50:56 FTNTFGTtz=+0200 " + ENDS + "6"
)
add(
    "CEF of an outgoing connection",
    *(f"{ISO} fw CEF:0|V|P|1|1|n|1|deviceDirection={out} {ENDS}tcp" for out in "01"),
    skipped=1,
)
PAN = "CEF:0|Palo Alto Networks|LF|2.0|{}|1|rt=Jul 21 2016 17:50:59 start=Jul 21 2016 17:50:56 "
add(
    "CEF of Palo Alto: the begin counts, and other logs do not",
    *(PAN.format(kind) + ENDS + "tcp" for kind in ("TRAFFIC|end", "TRAFFIC|start", "THREAT|url")),
    skipped=2,
)
add("CEF of SonicWall names the service", ISO + " fw CEF:0|SonicWall|NSa|7.0|98|Opened|4|" + ENDS + "tcp/telnet")
PACKET = "IN=eth0 OUT= SRC=192.0.2.1 DST=198.51.100.7 LEN=40 TTL=50 ID={} PROTO=TCP SPT=40000 DPT=23 SYN"
add(
    "UFW logs a packet twice",
    *(f"{ISO} gw kernel: [UFW {kind}] {PACKET.format(number)}" for number in (1, 2) for kind in ("AUDIT", "BLOCK")),
    f"{ISO} gw kernel: [UFW AUDIT] {PACKET.format(3)}",
    f"{ISO} gw kernel: [UFW BLOCK] {PACKET.format(4)}",
    f"{ISO} gw kernel: [UFW BLOCK] {PACKET.format(4)}",
    expected=[TCP] * 5,
    skipped=2,
)
add(
    "iptables traces a packet",
    *(
        f"{ISO} gw kernel: TRACE: {rule} {PACKET.format(1)}"
        for rule in ("raw:PREROUTING:policy:2", "filter:INPUT:rule:1")
    ),
    skipped=1,
)
LEEF = "LEEF:1.0|WatchGuard|XTM|12.8|30000148|" + (ENDS + "tcp").replace("spt", "srcPort").replace("dpt", "dstPort")
add("LEEF with escaped tabs", f"{ISO} gw " + LEEF.replace(" ", "#011"))
for delimiter, written in (("^", "^"), ("^", "x5E"), ("~", "0x7e")):
    pairs = LEEF.partition("30000148|")[2].replace(" ", delimiter)
    add(
        f"LEEF 2.0 with {written}",
        f"{ISO} gw LEEF:2.0|V|P|1|4000|{written}|devTime=Jul 21 2016 17:50:56{delimiter}{pairs}",
    )
PAIRS = (ENDS + "tcp").replace("spt", "srcPort").replace("dpt", "dstPort").split()
for version in ("1.0", "2.0"):
    header = f"{ISO} gw LEEF:{version}|Palo Alto Networks|PAN-OS Syslog Integration|8.1|allow|"
    add(
        f"LEEF {version} of Palo Alto: bars between pairs, the begin and other logs do not count",
        *(
            header + "x7C|" * (version == "2.0") + "|".join((f"cat={log}", f"Subtype={kind}", *PAIRS))
            for log, kind in (("TRAFFIC", "start"), ("TRAFFIC", "end"), ("THREAT", "url"))
        ),
        skipped=2,
    )
add(
    "the time of an event of F5, not that of syslog, which has no year",
    'Aug 17 00:00:00 b tmm: action="Drop",date_time="Jul 21 2016 17:50:56",dest_ip="198.51.100.7",dest_port="23",'
    'ip_protocol="TCP",source_ip="192.0.2.1",source_port="40000"',
)
add(
    "Check Point calls its product Firewall",
    f"time={SECOND}|hostname=gw|product=Firewall|action=Drop|src=192.0.2.1|dst=198.51.100.7|proto=6|s_port=40000|service=23",
)
add(
    "Zyxel gives the number of a protocol without a name",
    ISO + ' zy src="192.0.2.1:40000" dst="198.51.100.7:23" note="ACCESS BLOCK" protoID=6 proto="others"',
)
FORTI = 'date=2016-07-21,time=17:50:56,logid="0000000013",type="traffic",srcip=192.0.2.1,srcport=40000,dstip=198.51.100.7,dstport=23,proto=6,action="deny"'
add("FortiGate with commas", FORTI)
add(
    "Sophos with a time by name",
    'timestamp="2016-07-21T13:50:56-0400" log_type="Firewall" src_ip="192.0.2.1" dst_ip="198.51.100.7" protocol="TCP" src_port=40000 dst_port=23',
)
STORMSHIELD = 'id=firewall time="2016-07-21 19:50:59" fw="X" tz=+0200 startime="2016-07-21 19:50:56" ipproto={} proto=https src=192.0.2.1 srcport=40000 dst=198.51.100.7 dstport={}'
add("Stormshield has a zone, and the protocol beside the service", STORMSHIELD.format("udp", 53), expected=[UDP])

SOPHOS_UTM = '2016:07:21-17:50:56 utm ulogd[1]: id="2001" sub="packetfilter" srcip="192.0.2.1" dstip="198.51.100.7" '
add("Sophos UTM: ping", SOPHOS_UTM + 'proto="1" type="8" code="0"', expected=[PING])
add(
    "Sophos: ping by names",
    'timestamp="2016-07-21T17:50:56+0000" log_type="Firewall" protocol="ICMP" src_ip="192.0.2.1" dst_ip="198.51.100.7" icmp_type=8 icmp_code=0',
    expected=[PING],
)
MERAKI = "1469123456.1 MX84 {} src=192.0.2.1 dst=198.51.100.7 protocol=tcp sport=40000 dport=23"
add("Meraki logs beginning and end", MERAKI.format("ip_flow_start"), MERAKI.format("ip_flow_end"), skipped=1)
add(
    "pairs with a comma and a blank between them",
    ISO + " USG %%01POLICY/6/POLICYDENY(l)[7]:vsys=public, protocol=6, source-ip=192.0.2.1, source-port=40000, "
    "destination-ip=198.51.100.7, destination-port=23, rule-name=default.",
)
add("FortiAnalyzer", FORTI.replace(",", " ").replace("17:50:56", '23:20:56 tz="UTC+5:30"'))
SOPHOS = '<30>device="SFW" date=2016-07-21 time=12:50:56 timezone="{}" log_type="{}" src_ip=192.0.2.1 dst_ip=198.51.100.7 protocol="TCP" src_port=40000 dst_port=23'
add("Sophos in Chicago", SOPHOS.format("CDT", "Firewall"), SOPHOS.format("CDT", "Content Filtering"), skipped=1)
add(
    "Sophos: a connection is read once, be its beginning, its end or both logged",
    *(
        SOPHOS.format("CDT", "Firewall") + f' con_event="{event}" con_id={number}'
        for number, event in ((1, "Start"), (1, "Interim"), (1, "Stop"), (2, "Stop"))
    ),
    expected=[TCP, TCP],
    skipped=2,
)
add("Sophos with an unclear zone", SOPHOS.format("CST", "Firewall"), expected=[], rejected=1)
add(
    "Proxmox",
    "0 3 PVEFW-HOST-IN 21/Jul/2016:19:50:56 +0200 policy DROP: IN=vmbr0 SRC=192.0.2.1 DST=198.51.100.7 LEN=52 PROTO=UDP SPT=40000 DPT=53 LEN=32",
    expected=[UDP],
)
add(
    "Check Point, the source last",
    f'<134>1 {ISO} gw CheckPoint 26203 - [action:"Drop"; time:"1469123456"; dst:"198.51.100.7"; product:"VPN-1 & FireWall-1"; proto:"6"; s_port:"40000"; service:"23"; src:"192.0.2.1"]',
)
add(
    "Check Point as structured data",
    f'<134>1 {ISO} gw CheckPoint 26203 - [sc4s@2620 action="Drop" origin="203.0.113.1" dst="198.51.100.7" product="VPN-1 & FireWall-1" proto="6" s_port="40000" service="23" src="192.0.2.1" time="1469123456"]',
)
add("UniFi", "CEF:0|Ubiquiti|UniFi|9|x|Blocked|5|" + ENDS + f"TCP UNIFIutcTime={ISO}")
ENDS_OF_JUNIPER = (
    'source-address="192.0.2.1" source-port="40000" destination-address="198.51.100.7" destination-port="23" '
)
add(
    "Juniper's intrusion log repeats a connection",
    f"{ISO} srx RT_FLOW - RT_FLOW_SESSION_DENY [junos@1 {ENDS_OF_JUNIPER}" + 'protocol-id="6"]',
    f"{ISO} srx RT_IDP - IDP_ATTACK_LOG_EVENT [junos@1 {ENDS_OF_JUNIPER}" + 'protocol-name="TCP"]',
    skipped=1,
)

DENY = "%ASA-4-106023: Deny tcp src outside:192.0.2.1/40000 dst inside:198.51.100.7/23 by access-group"
add("ASA in Sydney", "Jul 22 2016 03:50:56 AEST: " + DENY)
add("ASA with a zone that stands for several", "Jul 21 2016 17:50:56 CST: " + DENY, expected=[], rejected=1)
add("a zone that stands for several behind an ISO time", f"2016-07-21 17:50:56 IST {DENY}", expected=[], rejected=1)
add("a router's name before its time", "gw1: Jul 21 2016 17:50:56.123 UTC: " + DENY)
BUILT = "%ASA-6-302013: Built {} TCP connection 18 for outside:192.0.2.1/40000 (192.0.2.1/40000) to inside:198.51.100.7/23 (203.0.113.7/23)"
add(
    "ASA lets a connection in, and another out",
    f"{ISO} gw {BUILT.format('inbound')}",
    f"{ISO} gw {BUILT.format('outbound')}",
    skipped=1,
)
add(
    "ASA permits what it then tells as a connection",
    f"{ISO} gw %ASA-4-106100: access-list o permitted tcp outside/192.0.2.1(40000) -> inside/198.51.100.7(23) hit-cnt 1",
    f"{ISO} gw {BUILT.format('inbound')}",
    skipped=1,
)
add(
    "Zyxel",
    f'{ISO} usg USG: src="192.0.2.1:40000" dst="198.51.100.7:23" msg="from WAN, TCP, DROP" note="ACCESS BLOCK" cat="Firewall" proto="6"',
)
ZYXEL = f'{ISO} usg USG: src="192.0.2.1:40000" dst="198.51.100.7:23" spt="" dpt="-" cat="Firewall" proto="6"'
add("empty ports beside addresses with ports", ZYXEL)
VARIANTS.add(
    "the ports of ICMP are not types",
    ZYXEL.replace('"6"', '"1"') + "\n",
    [("192.0.2.1", "198.51.100.7", 1, UNKNOWN_ICMP_TYPE, 0)],
)
VARIANTS.add(
    "the ports of ICMPv6 are not types",
    ZYXEL.replace('"6"', '"58"').replace("192.0.2.1", "[2001:db8::1]").replace("198.51.100.7", "[2001:db8::7]") + "\n",
    [("2001:db8::1", "2001:db8::7", 58, UNKNOWN_ICMP_TYPE, 0)],
)
add("Splunk's export of a line", json_lines({"preview": False, "result": {"_raw": DENY, "_time": ISO}}), format=None)

EVE = {"timestamp": ISO, "src_ip": "192.0.2.1", "src_port": "40000", "dest_ip": "198.51.100.7", "dest_port": "23"}
EVE |= {"proto": "TCP", "flow": {"start": ISO}}
WAZUH = {"timestamp": "2016-07-21T17:55:00Z", "agent": {"ip": "10.0.0.1"}, "manager": {}, "decoder": {"name": "json"}}
VARIANTS.add(
    "Wazuh around Suricata and a firewall",
    json_lines(
        *(WAZUH | {"data": EVE | {"event_type": kind}} for kind in ("alert", "flow")),
        WAZUH
        | {
            "timestamp": ISO,
            "data": {
                "srcip": "192.0.2.1",
                "srcport": "40000",
                "dstip": "198.51.100.7",
                "dstport": "23",
                "protocol": "TCP",
            },
        },
    ),
    [TCP, TCP],
    skipped=1,
)
VARIANTS.add(
    "Filebeat with the line under json",
    json_lines(
        *({"@timestamp": "2016-07-21T17:55:00Z", "json": EVE | {"event_type": kind}} for kind in ("alert", "flow"))
    ),
    [TCP],
    format="suricata",
    skipped=1,
)
for name, wrapper in (
    ("Google's Cloud Logging", {"timestamp": "2016-07-21T17:55:00Z", "jsonPayload": None}),
    ("Google's Cloud Logging as text", {"timestamp": "2016-07-21T17:55:00Z", "textPayload": ""}),
    ("Kafka Connect", {"schema": {}, "payload": None}),
):
    inner = next(name for name, value in wrapper.items() if not value and name != "schema")
    events = [EVE | {"event_type": kind} for kind in ("alert", "flow")]
    wrapped = [wrapper | {inner: json.dumps(event) if wrapper[inner] == "" else event} for event in events]
    VARIANTS.add(f"{name} around Suricata", json_lines(*wrapped), [TCP], format="suricata", skipped=1)
FLOW = {"src_ip": "192.0.2.1", "src_port": 40000, "dst_ip": "198.51.100.7", "dst_port": 23, "protocol": "tcp"}
COLLECTOR = {"time": SECOND, "host": "h", "source": "SSH_LOGIN", "sourcetype": "_json"}
VARIANTS.add("Splunk's collector", json_lines({**COLLECTOR, "event": FLOW}), [TCP])
VARIANTS.add("Splunk's collector, a line", json_lines({**COLLECTOR, "event": DENY}), [TCP], format="firewall-json")


def document(dataset: str, **event: Any) -> dict[str, Any]:
    return {
        "@timestamp": ISO,
        "event": {"dataset": dataset, **event},
        "source": {"ip": "192.0.2.1", "port": 40000},
        "destination": {"ip": "198.51.100.7", "port": 53},
        "network": {"transport": "udp", "protocol": "dns"},
    }


VARIANTS.add(
    "Malcolm",
    json_lines(
        document("conn", provider="zeek"), document("dns", provider="zeek"), document("alert", provider="suricata")
    ),
    [UDP],
    skipped=2,
)
PACKETBEAT = document("network_traffic.flow") | {"agent": {"type": "packetbeat"}}
VARIANTS.add(
    "Packetbeat repeats a flow while it lasts",
    json_lines(PACKETBEAT | {"flow": {"final": False}}, PACKETBEAT | {"flow": {"final": True}}),
    [UDP],
    skipped=1,
)
VARIANTS.add(
    "a firewall's start and end of a connection",
    json_lines(
        document("panw.panos", type=["connection", "start"]),
        document("panw.panos", type=["connection", "end"]),
        document("panw.panos", type=["connection", "denied"]),
    ),
    [UDP, UDP],
    skipped=1,
)
VARIANTS.add(
    "Packetbeat in any wrapper",
    json_lines(document("flow") | {"flow": {"final": False}}, document("flow") | {"flow": {"final": True}}),
    [UDP],
    skipped=1,
)
ARKIME = {"firstPacket": SECOND * 1000, "@timestamp": (SECOND + 60) * 1000, "ipProtocol": 6}
VARIANTS.add(
    "Arkime: the first packet, not the time of writing",
    json_lines(
        ARKIME | {"source": {"ip": "192.0.2.1", "port": 40000}, "destination": {"ip": "198.51.100.7", "port": 23}}
    ),
    [TCP],
)
TRAFFIC = {
    "TimeReceived": "2016-07-21T17:55:00Z",
    "TimeGenerated": ISO,
    "DeviceSN": "1",
    "SourceAddress": "192.0.2.1",
    "DestinationAddress": "198.51.100.7",
    "SourcePort": 40000,
    "DestinationPort": 23,
    "Protocol": "tcp",
}
VARIANTS.add(
    "PAN-OS as JSON",
    json_lines(
        *(TRAFFIC | {"LogType": log, "Subtype": kind} for log, kind in (("TRAFFIC", "end"), ("THREAT", "url"))),
        TRAFFIC | {"LogType": "TRAFFIC", "Subtype": "end", "Protocol": "icmp", "SourcePort": 0, "DestinationPort": 0},
    ),
    [TCP, (*TCP[:2], 1, UNKNOWN_ICMP_TYPE, 0)],
    skipped=1,
)
FORTIGATE = {
    "date": "2016-07-21",
    "time": "17:50:56",
    "logid": "0000000013",
    "devid": "FG1",
    "vd": "root",
    "srcip": "192.0.2.1",
}
FORTIGATE |= {"dstip": "198.51.100.7", "srcport": 40000, "dstport": 23, "proto": 6}
VARIANTS.add(
    "FortiGate as JSON repeats a connection in its other logs",
    json_lines(
        FORTIGATE | {"type": "traffic"},
        FORTIGATE | {"type": "utm"},
        FORTIGATE | {"type": "traffic", "logid": "0000000020"},
        FORTIGATE | {"type": "traffic", "proto": 1, "service": "PING", "srcport": 0, "dstport": 0},
    ),
    [TCP, PING],
    skipped=2,
)
VARIANTS.add(
    "Sysmon has UTC beside local time",
    json_lines({"EventTime": "2016-07-21 19:50:56", "UtcTime": "2016-07-21 17:50:56.123", **FLOW}),
    [TCP],
)
ALERT = {"@timestamp": ISO, "event_type": "alert", "flow_id": 1, **FLOW, "proto": "TCP"}
VARIANTS.add("Suricata without its own time", json_lines(ALERT), [], skipped=1, told="no flow events")
ADBHONEY = {"timestamp": ISO, **FLOW, "eventid": "adbhoney.session.connect"}
VARIANTS.add(
    "ADBHoney writes each command",
    json_lines(ADBHONEY, ADBHONEY | {"eventid": "adbhoney.command.input"}),
    [TCP],
    skipped=1,
)
CONPOT = {"timestamp": ISO, **FLOW, "protocol": None, "data_type": "modbus", "sensorid": "s"}
VARIANTS.add(
    "Conpot writes the end of a connection",
    json_lines(CONPOT | {"event_type": "NEW_CONNECTION"}, CONPOT | {"event_type": "CONNECTION_LOST"}),
    [TCP],
    skipped=1,
)
VARIANTS.add(
    "Conpot writes each request of a session",
    json_lines(
        *(CONPOT | {"id": session, "request": request} for session, request in (("a", None), ("a", "00"), ("b", "00")))
    ),
    [TCP, TCP],
    skipped=1,
)
TPOT = {"@timestamp": ISO, "src_ip": "192.0.2.1", "src_port": 40000, "t-pot_ip_ext": "198.51.100.7", "host": "x"}
VARIANTS.add(
    "T-Pot: its own address, honeypots without source ports, and what it sees beside them",
    json_lines(
        TPOT | {"type": "Beelzebub", "dest_port": 23, "protocol": "telnet"},
        {name: value for name, value in TPOT.items() if name != "src_port"} | {"type": "Hellpot", "dest_port": 80},
        TPOT | {"type": "Fatt", "dest_port": 22, "protocol": "ssh"},
        TPOT | {"type": "P0f", "dest_port": 22, "mod": "syn"},
    ),
    [TCP, (*TCP[:3], 0, 80)],
    skipped=2,
)
SHODAN = {"_shodan": {"module": "http"}, "ip_str": "192.0.2.1", "port": 80, "transport": "tcp", "timestamp": ISO}
VARIANTS.add("Shodan", json_lines(SHODAN), [], told="services that Shodan or Censys found")
HONEYD = """2016-07-21-17:50:56.1234 honeyd log started ------
2016-07-21-17:50:56.1234 tcp(6) - 192.0.2.1 40000 198.51.100.7 23: 60 S [Windows XP]
2016-07-21-17:50:56.1234 udp(17) S 192.0.2.1 40000 198.51.100.7 53
2016-07-21-17:50:56.1234 icmp(1) - 192.0.2.1 198.51.100.7: 8(0): 84
2016-07-21-17:50:56.1234 tcp(6) E 192.0.2.1 40000 198.51.100.7 23: 17 0
"""
VARIANTS.add("Honeyd", HONEYD, [TCP, UDP, PING], format="honeyd", skipped=2, told="local time")
CORSARO = "# CORSARO_INTERVAL_START 0 1469123456\nSTART flowtuple_other 2\n{}END flowtuple_other\n# CORSARO_INTERVAL_END 0 1469123515\n"
VARIANTS.add(
    "FlowTuple as text",
    CORSARO.format("192.0.2.1|198.51.100.7|40000|23|6|54|0x02|40,3\n192.0.2.1|198.51.100.7|8|0|1|54|0x00|40\n1|2\n"),
    [TCP, ("192.0.2.1", "198.51.100.7", 1, 8, 0)],
    format="flowtuple-text",
    rejected=1,
)


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_events_give_each_connection_once(tmp_path: Path, variant: Variant) -> None:
    variant.check(tmp_path)
