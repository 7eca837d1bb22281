# ruff: noqa: E501 - lines of logs are as long as their programs write them.
"""Lines of FortiGate, Juniper SRX, MikroTik and Palo Alto, and of Cowrie's text log, after their documentation."""

from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from variants import PING, PING6, TCP, TCP6, UDP, Tuple, Variant, Variants, json_lines

from telescope_transformer.records.schema import UNKNOWN_ICMP_TYPE
from telescope_transformer.records.sensors import SensorNames

VARIANTS = Variants()
ISO = "2016-07-21T17:50:56+00:00 gateway "
NO_TYPE: Tuple = ("192.0.2.1", "198.51.100.7", 1, UNKNOWN_ICMP_TYPE, 0)


def add(name: str, line: str, expected: list[Tuple], **more: Any) -> None:
    VARIANTS.add(name, line + "\n", expected, **{"format": "firewall-log", **more})


FORTI = 'devname="FGT" devid="FG1" logid="0001000014" type="traffic" subtype="local" level="notice" vd="root" srcip=192.0.2.1 srcport=40000 srcintf="wan1" dstip=198.51.100.7 dstport=23 dstintf="root" sessionid=1 proto=6 action="deny" policyid=0 service="TELNET" sentbyte=0 rcvdbyte=0'
add("forti syslog", "<189>date=2016-07-21 time=17:50:56 " + FORTI, [TCP])
add("forti eventtime", "date=2016-07-21 time=19:50:56 eventtime=1469123456000000000 " + FORTI, [TCP])
add("forti zone", 'date=2016-07-21 time=19:50:56 tz="+0200" ' + FORTI, [TCP])
add("forti stamp alone", ISO + FORTI, [TCP])
add(
    "forti ping",
    "date=2016-07-21 time=17:50:56 "
    + FORTI.replace("proto=6", "proto=1").replace("port=40000", "port=1").replace("dstport=23", "dstport=9"),
    [NO_TYPE],
)
for _service, _number, _expected in (("icmp/8/0", 1, PING), ("PING", 1, PING)):
    add(
        f"forti, the service {_service}",
        "date=2016-07-21 time=17:50:56 " + FORTI.replace("proto=6", f"proto={_number}").replace("TELNET", _service),
        [_expected],
    )
add(
    "forti other types are skipped",
    "date=2016-07-21 time=17:50:56 " + FORTI + "\n" + FORTI.replace("traffic", "utm"),
    [TCP],
    skipped=1,
)
add(
    "forti a session is read once: not its start, and not while it lasts",
    "\n".join(
        "date=2016-07-21 time=17:50:56 " + FORTI.replace("01000014", f"000000{kind}") for kind in (15, 20, 20, 13)
    ),
    [TCP],
    skipped=3,
)

JUNIPER = "RT_FLOW - RT_FLOW_SESSION_DENY [junos@2636.1.1.1.2.129 "
ENDS = 'source-address="192.0.2.1" source-port="40000" destination-address="198.51.100.7" destination-port="23" '
add(
    "srx structured",
    "<14>1 2016-07-21T17:50:56.000Z srx " + JUNIPER + ENDS + 'service-name="x" protocol-id="6" icmp-type="0"]',
    [TCP],
)
add(
    "srx structured ping",
    "<14>1 2016-07-21T17:50:56.000Z srx " + JUNIPER + ENDS + 'service-name="icmp" protocol-id="1" icmp-type="8"]',
    [PING],
)
DENIED = "RT_FLOW: RT_FLOW_SESSION_DENY: session denied 192.0.2.1/40000->198.51.100.7/23 "
add("srx text", ISO + DENIED + "0x0 junos-telnet 6(0) deny-all untrust trust UNKNOWN UNKNOWN", [TCP])
add("srx older text", ISO + DENIED + "junos-telnet 6(0) deny-all untrust trust", [TCP])
add("srx text ping", ISO + DENIED + "icmp 1(8) deny-all untrust trust", [PING])
add(
    "srx created, and closed once more",
    ISO
    + "RT_FLOW: RT_FLOW_SESSION_CREATE: session created 192.0.2.1/40000->198.51.100.7/23 0x0 junos-telnet 192.0.2.1/40000->10.0.0.5/23 0x0 N/A N/A dst rule 6 all untrust trust 1\n"
    + ISO
    + "RT_FLOW: RT_FLOW_SESSION_CLOSE: session closed TCP FIN: 192.0.2.1/40000->198.51.100.7/23 junos-telnet 6 all",
    [TCP],
    skipped=1,
)
add("srx of an unknown form", ISO + DENIED.rpartition(" 192")[0], [], rejected=1)

TIK = "firewall,info drop input: in:ether1 out:(unknown 0), src-mac 00:11:22:33:44:55, proto "
add("mikrotik", ISO + TIK + "TCP (SYN), 192.0.2.1:40000->198.51.100.7:23, len 40", [TCP])
add(
    "mikrotik 7",
    ISO
    + TIK.replace("src-mac", "connection-state:new src-mac")
    + "UDP, 192.0.2.1:40000->198.51.100.7:53, NAT 192.0.2.1:40000->(198.51.100.7:53->10.0.0.5:53), len 60",
    [UDP],
)
add("mikrotik ping", ISO + TIK + "ICMP (type 8, code 0), 192.0.2.1->198.51.100.7, len 84", [PING])
add("mikrotik IPv6", ISO + TIK + "TCP (SYN), [2001:db8::1]:40000->[2001:db8::7]:23, len 60", [TCP6])
add("mikrotik ping IPv6", ISO + TIK + "ICMPv6 (type 128, code 0), 2001:db8::1->2001:db8::7, len 64", [PING6])
add("mikrotik file", "jul/21/2016 17:50:56 " + TIK + "TCP (SYN), 192.0.2.1:40000->198.51.100.7:23, len 40", [TCP])
add(
    "mikrotik outgoing",
    ISO
    + TIK
    + "TCP (SYN), 192.0.2.1:40000->198.51.100.7:23, len 40\n"
    + ISO
    + "firewall,info output: in:(unknown 0) out:ether1, proto UDP, 198.51.100.7:1->192.0.2.9:53, len 60\n"
    + ISO
    + "firewall,info output: in:(none) out:ether1, proto TCP (SYN,ACK), 198.51.100.7:23->192.0.2.9:1, len 60",
    [TCP],
    skipped=2,
)

PALO = "1,2016/07/21 17:51:00,0011,TRAFFIC,drop,2049,2016/07/21 17:50:56,192.0.2.1,198.51.100.7,0.0.0.0,0.0.0.0,{},,,not-applicable,vsys1,untrust,untrust,eth1,,,2016/07/21 17:50:57,0,1,40000,23,0,0,0x0,tcp,deny,60,60,0,1,2016/07/21 17:50:55,0,any"
add("palo alto", ISO + PALO.format("deny-all"), [TCP])
add("palo alto export", PALO.format('"deny, all"'), [TCP])
add(
    "palo alto start",
    PALO.format("r") + "\n" + PALO.format("r").replace("TRAFFIC,drop", "TRAFFIC,start"),
    [TCP],
    skipped=1,
)
add("palo alto ping", PALO.format("r").replace(",tcp,", ",icmp,"), [NO_TYPE])
add("palo alto cut", PALO.format("r") + "\n" + PALO.format("r")[:120], [TCP], rejected=1)

GUARD = 'firewall: msg_id="3000-0148" {} WAN - Aruba Firebox {} (Unhandled External Packet-00)'
SYN = '40 tcp 20 239 192.0.2.1 198.51.100.7 40000 23 offset 5 S 1497867397 win 4  geo_src="BGR" duration="0"'
add("watchguard", ISO + "FVE1 " + GUARD.format("Deny", SYN), [TCP])
add("watchguard udp", ISO + GUARD.format("Allow", "73 udp 20 64 192.0.2.1 198.51.100.7 40000 53"), [UDP])
add("watchguard ping", ISO + GUARD.format("Deny", "60 icmp 20 128 192.0.2.1 198.51.100.7 8 0 id=1 seq=2"), [PING])
add(
    "watchguard IPv6",
    ISO + GUARD.format("Deny", "60 tcp 40 55 2001:db8::1 2001:db8::7 40000 23 offset 5 S 1 win 4"),
    [TCP6],
)
add(
    "watchguard, other messages",
    ISO + GUARD.format("Deny", SYN) + "\n" + ISO + 'sessiond: msg_id="3E00-0004" user admin from 192.0.2.9 logged in',
    [TCP],
    skipped=1,
)
BAR = "box BAR/box_Firewall_Activity:  Info     BAR {}: "
PAIRS = "type=FWD|proto={}|srcIF=eth1|srcIP=192.0.2.1|srcPort=40000|srcMAC=00:11:22:33:44:55|dstIP=198.51.100.7|dstPort={}|dstService=x|dstIF=eth0|rule=a/<App>:b|info=Normal Operation|protocol=|application=|"
BARE = "FWD|TCP|eth1|192.0.2.1|40000|00:11:22:33:44:55|198.51.100.7|23|telnet|eth0|BLOCKALL|Block by Rule|0.0.0.0|0.0.0.0|0|1"
add("barracuda", ISO + BAR.format("Block") + PAIRS.format("TCP", 23), [TCP])
add("barracuda udp", ISO + BAR.format("Allow") + PAIRS.format("UDP", 53), [UDP])
add("barracuda without names", ISO + BAR.format("LocalBlock") + BARE, [TCP])
add("barracuda ping", ISO + BAR.format("Block") + PAIRS.format("ICMP", 8), [NO_TYPE])
add(
    "barracuda, the end of a connection",
    ISO + BAR.format("Allow") + PAIRS.format("TCP", 23) + "\n" + ISO + BAR.format("Remove") + PAIRS.format("TCP", 23),
    [TCP],
    skipped=1,
)

FTD = "EventPriority: Low, FirstPacketSecond: 2016-07-21T17:50:56Z, ConnectionID: {}, AccessControlRuleAction: Allow, SrcIP: 192.0.2.1, DstIP: 198.51.100.7, SrcPort: 40000, DstPort: {}, Protocol: {}, UserAgent: a, b"
BEGIN, END = (f"2016-07-21T17:55:00Z ftd : %FTD-1-43000{kind}: {FTD}\n" for kind in (2, 3))
add("ftd, only the end", END.format(7, 23, "tcp"), [TCP])
add("ftd, beginning and end", BEGIN.format(7, 23, "tcp") + END.format(7, 23, "tcp"), [TCP], skipped=1)
FMC = "SFIMS: Protocol: TCP, SrcIP: 192.0.2.1, OriginalClientIP: ::, DstIP: 198.51.100.7, SrcPort: 40000, DstPort: 23, TCPFlags: 0x0, ConnectType: "
add("ftd, forwarded by FMC", ISO + FMC + "Start\n" + ISO + FMC + "End\n", [TCP], skipped=1)
add("ftd, another connection", BEGIN.format(7, 23, "tcp") + END.format(8, 53, "udp"), [TCP, UDP])
for _name, _lines, _expected in (
    ("only ends", (END.format(7, 23, "tcp"), END.format(8, 53, "udp")), [TCP, UDP]),
    ("beginning and end", (BEGIN.format(7, 23, "tcp"), END.format(7, 23, "tcp")), [TCP]),
):
    VARIANTS.add(f"ftd in JSON, {_name}", json_lines(*({"message": line} for line in _lines)), _expected)


def folder_of(*logs: str) -> Callable[[Path], Path]:
    """A function that writes logs into a folder."""

    def write(folder: Path) -> Path:
        for place, log in enumerate(logs):
            (folder / f"log.{place}").write_text(log)
        return folder

    return write


for _name, _order in (("newest last", (BEGIN, END)), ("newest first", (END, BEGIN))):
    for _kind, _written in (("text", str), ("JSON", lambda line: json_lines({"message": line}))):
        VARIANTS.add(
            f"ftd, rotated as {_kind}, {_name}",
            folder_of(*(_written(line.format(7, 23, "tcp")) for line in _order)),
            [TCP],
            skipped=1,
        )
add("ftd, the same end twice", BEGIN.format(7, 23, "tcp") + END.format(7, 23, "tcp") * 2, [TCP], skipped=2)

TARPIT = [("192.0.2.1", str(IPv4Address(SensorNames().number("endlessh"))), 6, 40_000, 22)]
ACCEPT, CLOSE = (
    "ACCEPT host={} port=40000 fd=4 n=1/4096",
    "CLOSE host=::ffff:192.0.2.1 port=40000 fd=4 time=20.015 bytes=9",
)
for _name, _line in {
    "endlessh": "2016-07-21T17:50:56.123Z " + ACCEPT.format("::ffff:192.0.2.1"),
    "endlessh by syslog": "Jul 21 2016 17:50:56 host endlessh[1]: " + ACCEPT.format("::ffff:192.0.2.1"),
    "endlessh-go": "I0721 17:50:56.059194       1 client.go:58] ACCEPT host=192.0.2.1 port=40000 n=1/4096",
}.items():
    add(
        _name,
        _line + "\n" + _line[: _line.index("ACCEPT")] + CLOSE,
        TARPIT,
        skipped=1,
        second=None,
        told="is taken as 22",
    )
VARIANTS.add(
    "endlessh in JSON",
    json_lines({"time": "2016-07-21T17:50:56Z", "log": ACCEPT.format("192.0.2.1")}),
    TARPIT,
    told="is taken as 22",
)
add(
    "endlessh in the log of systemd",
    "Jul 22 03:00:00 host endlessh[1]: 2016-07-21T17:50:56.123Z " + ACCEPT.format("::ffff:192.0.2.1"),
    TARPIT,
)

CONNECTION = " [cowrie.telnet.factory.HoneyPotTelnetFactory] New connection: 192.0.2.1:40000 (198.51.100.7:23) [session: 5f2a1b3c4d5e]"
add("cowrie text", "2016-07-21T17:50:56.000000Z" + CONNECTION, [TCP], format="cowrie-text")
add(
    "cowrie text, other lines",
    "2016-07-21T17:50:50.000000Z [-] Cowrie Version 2.5.0\n2016-07-21T17:50:56.000000Z"
    + CONNECTION
    + "\n2016-07-21T17:50:57.000000Z [HoneyPotTelnetTransport,0,192.0.2.1] login attempt [root/1234] failed",
    [TCP],
    format="cowrie-text",
    skipped=2,
)
add(
    "kippo text",
    "2016-07-21 17:50:56+0000 [kippo.core.honeypot.HoneyPotSSHFactory] New connection: 192.0.2.1:40000 (198.51.100.7:23) [session: 0]",
    [TCP],
    format="cowrie-text",
)
add(
    "cowrie text IPv6",
    "2016-07-21T17:50:56.000000Z"
    + CONNECTION.replace("192.0.2.1", "2001:db8::1").replace("198.51.100.7", "2001:db8::7"),
    [TCP6],
    format="cowrie-text",
)


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_lines_of_vendors_and_cowrie_give_the_expected_records(tmp_path: Path, variant: Variant) -> None:
    variant.check(tmp_path)
