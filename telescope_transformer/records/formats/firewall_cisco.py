"""Log lines of Cisco's firewalls and routers: denied packets and new connections.

Sources: "Cisco Secure Firewall ASA Series Syslog Messages"; "Cisco Secure Firewall Threat Defense Syslog Messages"
(430002, 430003); "Cisco IOS System Message Guide" (IPACCESSLOG).
"""

import re

from telescope_transformer.records.context import CONNECTION, EVENT
from telescope_transformer.records.log_lines import Fields

_END = r"(?P<{0}>[0-9a-fA-F.:]+?)"
_ASA_FORMS = [
    re.compile(form.replace("SRC", _END.format("src")).replace("DST", _END.format("dst")))
    for form in (
        # 106023, 106010, 106011, 106014
        r"Deny (?:inbound )?(?:\(No xlate\) )?(?:protocol )?(?P<proto>\S+) "
        r"src \S+?:SRC(?:/(?P<sport>\d+))?(?:\(.*?\))? "
        r"dst \S+?:DST(?:/(?P<dport>\d+))?(?:\(.*?\))?(?: \(type (?P<type>\d+), code (?P<code>\d+)\)|\s|$)",
        # 106001
        r"Inbound (?P<proto>\w+) connection denied from SRC/(?P<sport>\d+) to DST/(?P<dport>\d+)"
        r"(?: flags (?P<flags>[A-Z ]+?) on)?",
        # 106006, 106007, 106015
        r"Deny (?:inbound )?(?P<proto>\w+)(?: \(no connection\))? from SRC/(?P<sport>\d+) to DST/(?P<dport>\d+)"
        r"(?: flags (?P<flags>[A-Z ]+?) on)?",
        # 106100, 106102
        r"access-list \S+ denied (?P<proto>\S+) (?:for user \S+ )?\S+/SRC\((?P<sport>\d+)\)(?:\(.*?\))? -> "
        r"\S+/DST\((?P<dport>\d+)\)",
        # 710003, 710005, 710006
        r"(?P<proto>\b[\w-]{1,20}) (?:access denied by ACL|request discarded) from SRC(?:/(?P<sport>\d+))? to "
        r"\S+?:DST(?:/(?P<dport>\d+)|\s|$)",
        # 313001, 313008: the destination is the interface itself.
        r"Denied (?:IPv6-)?ICMP(?:v6)? type=(?P<type>\d+), code=(?P<code>\d+) from SRC on interface "
        r"(?P<name>\S+)",
        # 302013, 302015: the translated address follows in brackets.
        r"Built inbound (?P<proto>TCP|UDP) connection \d+ for \S+?:SRC/(?P<sport>\d+) ?\([^()]*\)(?:\([^()]*\))? "
        r"to \S+?:DST/(?P<dport>\d+) ?\(",
        # 302020: the foreign address, the translated and the local one, each with a number that is not a port.
        r"Built inbound (?P<proto>ICMP) connection \d* ?for faddr SRC/\d+(?:\([^()]*\))? gaddr \S+ laddr DST/\d+"
        r"(?:\([^()]*\))?(?: type (?P<type>\d+) code (?P<code>\d+))?",
    )
]
_ASA_BEGINS = re.compile(r"%?\b(?:ASA|FTD|PIX|FWSM)-(?:\w+-)?\d-(106\d{3}|71000[356]|31300[18]|30201[35]|302020):")


def asa_fields(line: str) -> Fields | None:
    """Fields of a message of Cisco ASA that reports a denied packet or a new incoming connection.

    Packets that an access list permits are left out, because ASA reports their connection as well.
    """
    found = _ASA_BEGINS.search(line)
    if found is None or "Built outbound" in line or " permitted " in line:
        return None
    for form in _ASA_FORMS:
        match = form.search(line, found.end())
        if match:
            parts = match.groupdict()
            icmp = parts.get("proto") in (None, "icmp") or str(parts["proto"]).startswith("icmp")
            ports = {"src_port": parts.get("sport"), "dst_port": parts.get("dport")}
            # An access list gives the ICMP type and code instead of the ports (message 106100).
            return ports | {
                "src_ip": parts["src"],
                "dst_ip": parts.get("dst") or parts.get("name"),
                "protocol": "icmp" if icmp else parts["proto"],
                "icmp_type": parts.get("type"),
                "icmp_code": parts.get("code"),
                "tcp_flags": (parts.get("flags") or "").strip() or None,
            }
    return {}


_FTD_CONNECTION = re.compile(r"(?:FTD|NGIPS)-(?:\w+-)?\d-43000(?P<kind>[23]):")
_FTD_VALUE = re.compile(r"(\w+): ([^,]*)")
_FTD_NAMES = {
    "src_ip": "SrcIP",
    "dst_ip": "DstIP",
    "protocol": "Protocol",
    "src_port": "SrcPort",
    "dst_port": "DstPort",
    "icmp_type": "ICMPType",
    "icmp_code": "ICMPCode",
}


def ftd_fields(line: str) -> Fields | None:
    """Fields of a connection that Firepower logs when it begins, when it ends, or both; blocked ones never end."""
    found = _FTD_CONNECTION.search(line)
    if found is None:
        return None
    values = dict(_FTD_VALUE.findall(line, found.end()))
    fields: Fields = {field: values.get(name) for field, name in _FTD_NAMES.items()}
    begin = values.get("FirstPacketSecond")
    connection = ",".join(map(str, (*fields.values(), begin, values.get("ConnectionID"))))
    return fields | ({"timestamp": begin} if begin else {}) | {CONNECTION: connection, EVENT: found["kind"]}


_IOS = re.compile(
    r"(?:SEC|IPV6_ACL)-6-(?:IP)?ACCESSLOG\w*: (?:access-)?list \S+ denied (?P<protocol>\S+) "
    r"(?P<src_ip>[0-9a-fA-F.:]+)(?:\((?P<src_port>\d+)\))?(?: \([^()]*\))? -> "
    r"(?P<dst_ip>[0-9a-fA-F.:]+)(?:\((?P<dst_port>\d+)\))?(?: \((?P<icmp_type>\d+)/(?P<icmp_code>\d+)\))?,"
)


def ios_fields(line: str) -> Fields | None:
    """Fields of a packet that an access list of a router denied."""
    found = _IOS.search(line)
    return None if found is None else {name: value for name, value in found.groupdict().items() if value is not None}
