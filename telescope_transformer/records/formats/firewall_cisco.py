"""Log lines of Cisco's firewalls and routers: denied packets and new connections.

Sources: "Cisco Secure Firewall ASA Series Syslog Messages"; "Cisco Secure Firewall Threat Defense Syslog Messages"
(430002, 430003); "Cisco IOS System Message Guide" and the one of IOS XR (IPACCESSLOG).
"""

import re

from telescope_transformer.records.log_lines import Fields
from telescope_transformer.records.raw_records import CONNECTION, EVENT, first_values

_END = r"(?P<{0}>[0-9a-fA-F.:]+?)"
_ASA_FORMS = [
    re.compile(form.replace("SRC", _END.format("src_ip")).replace("DST", _END.format("dst_ip")))
    for form in (
        # 106023, 106010, 106011, 106014
        r"Deny (?:inbound )?(?:\(No xlate\) )?(?:protocol )?(?P<protocol>\S+) "
        r"src \S+?:SRC(?:/(?P<src_port>\d+))?(?:\(.*?\))? "
        r"dst \S+?:DST(?:/(?P<dst_port>\d+))?(?:\(.*?\))?"
        r"(?: \(type (?P<icmp_type>\d+), code (?P<icmp_code>\d+)\)|\s|$)",
        # 106001
        r"Inbound (?P<protocol>\w+) connection denied from SRC/(?P<src_port>\d+) to DST/(?P<dst_port>\d+)"
        r"(?: flags (?P<tcp_flags>[A-Z ]+?) on)?",
        # 106006, 106007, 106015
        r"Deny (?:inbound )?(?P<protocol>\w+)(?: \(no connection\))? from SRC/(?P<src_port>\d+) "
        r"to DST/(?P<dst_port>\d+)"
        r"(?: flags (?P<tcp_flags>[A-Z ]+?) on)?",
        # 106100, 106102
        r"access-list \S+ denied (?P<protocol>\S+) (?:for user \S+ )?\S+/SRC\((?P<src_port>\d+)\)(?:\(.*?\))? -> "
        r"\S+/DST\((?P<dst_port>\d+)\)",
        # 710003, 710005, 710006
        r"(?P<protocol>\b[\w-]{1,20}) (?:access denied by ACL|request discarded) from SRC(?:/(?P<src_port>\d+))? to "
        r"\S+?:DST(?:/(?P<dst_port>\d+)|\s|$)",
        # 313001, 313008: the destination is the interface itself.
        r"Denied (?:IPv6-)?ICMP(?:v6)? type=(?P<icmp_type>\d+), code=(?P<icmp_code>\d+) from SRC on interface "
        r"(?P<dst_ip>\S+)",
        # 302013, 302015: the translated address follows in brackets.
        r"Built inbound (?P<protocol>TCP|UDP) connection \d+ for \S+?:SRC/(?P<src_port>\d+) ?"
        r"\([^()]*\)(?:\([^()]*\))? to \S+?:DST/(?P<dst_port>\d+) ?\(",
        # 302020: the foreign address, the translated and the local one, each with a number that is not a port.
        r"Built inbound (?P<protocol>ICMP) connection \d* ?for faddr SRC/\d+(?:\([^()]*\))? gaddr \S+ laddr DST/\d+"
        r"(?:\([^()]*\))?(?: type (?P<icmp_type>\d+) code (?P<icmp_code>\d+))?",
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
            fields: Fields = match.groupdict()
            protocol = fields.get("protocol") or "icmp"
            # An access list gives the ICMP type and code instead of the ports (message 106100).
            return fields | {"protocol": "icmp" if protocol.startswith("icmp") else protocol}
    return {}


# The management center (FMC) forwards them as SFIMS.
_FTD_CONNECTION = re.compile(r"(?:FTD|NGIPS)-(?:\w+-)?\d-43000(?P<kind>[23]):|\bSFIMS: (?=Protocol: )")
_FTD_VALUE = re.compile(r"(\w+): ([^,]*)")
_FTD_NAMES = {
    "src_ip": ["SrcIP"],
    "dst_ip": ["DstIP"],
    "protocol": ["Protocol"],
    "src_port": ["SrcPort"],
    "dst_port": ["DstPort"],
    "icmp_type": ["ICMPType"],
    "icmp_code": ["ICMPCode"],
}


def ftd_fields(line: str) -> Fields | None:
    """Fields of a connection that Firepower logs when it begins, when it ends, or both; blocked ones never end."""
    found = _FTD_CONNECTION.search(line)
    if found is None:
        return None
    values = dict(_FTD_VALUE.findall(line, found.end()))
    fields: Fields = first_values(values, _FTD_NAMES)
    begin = values.get("FirstPacketSecond")
    connection = ",".join(map(str, (*fields.values(), begin, values.get("ConnectionID"))))
    kind = found["kind"] or values.get("ConnectType", "")
    return fields | ({"timestamp": begin} if begin else {}) | {CONNECTION: connection, EVENT: kind}


_IOS = re.compile(
    # IOS XR writes the number of the entry, and `deny`.
    r"(?:SEC|IPV[46]_ACL)-6-(?:IP)?ACCESSLOG\w* ?: (?:access-)?list \S+ (?:\(\d+\) deny|denied) (?P<protocol>\S+) "
    r"(?P<src_ip>[0-9a-fA-F.:]+)(?:\((?P<src_port>\d+)\))?(?: \([^()]*\))? -> "
    r"(?P<dst_ip>[0-9a-fA-F.:]+)(?:\((?P<dst_port>\d+)\))?(?: \((?P<icmp_type>\d+)/(?P<icmp_code>\d+)\))?,"
)


def ios_fields(line: str) -> Fields | None:
    """Fields of a packet that an access list of a router denied."""
    found = _IOS.search(line)
    return None if found is None else {name: value for name, value in found.groupdict().items() if value is not None}
