"""Lines of firewalls of BSD and of Linux's connection tracking: ipfw, IP Filter's ipmon, and conntrack.

Sources: ipfw(8) and sbin/ipfw of FreeBSD; ipmon(8); conntrack(8), option -E with -o timestamp.
"""

import re

from telescope_transformer.records.log_lines import Fields

_IPFW = re.compile(
    r"\bipfw: \d+ (?:Deny|Reject|Reset|Unreach|Accept|Count)(?: \S+)? "
    r"(?P<protocol>[A-Z][\w-]*|P:\d+)(?::(?P<icmp>\d+\.\d+))? "
    r"(?P<src>\[[^\]]+\]|[\d.]+)(?::(?P<sport>\d+))? (?P<dst>\[[^\]]+\]|[\d.]+)(?::(?P<dport>\d+))? in via "
)


def ipfw_fields(line: str) -> Fields | None:
    """Fields of a packet that ipfw logged on its way in; ICMP has its type and code."""
    found = _IPFW.search(line)
    if found is None:
        return None
    kind, _, code = (found["icmp"] or "").partition(".")
    fields: Fields = {"src_ip": found["src"].strip("[]"), "dst_ip": found["dst"].strip("[]")}
    fields |= {"src_port": found["sport"], "dst_port": found["dport"], "icmp_type": kind or None}
    return fields | {"protocol": found["protocol"].removeprefix("P:"), "icmp_code": code or None}


_IPMON = re.compile(
    r"\bipmon\[\d+\]: (?:\S+ )?\d\d:\d\d:\d\d\.\d+ (?:\d+x )?\S+ @\S+ [bBpnS] "
    r"(?P<src>[\d.:a-fA-F]+)(?:,(?P<sport>\d+))? -> "
    r"(?P<dst>[\d.:a-fA-F]+)(?:,(?P<dport>\d+))? PR (?P<protocol>\S+) len \d+ \(?(?P<bytes>\d+)\)?"
    r"(?: icmp (?P<icmp>\d+)/(?P<code>\d+))?(?: -(?P<flags>[A-Z]+))?.* IN\b"
)


def ipmon_fields(line: str) -> Fields | None:
    """Fields of a packet that IP Filter logged on its way in."""
    found = _IPMON.search(line)
    if found is None:
        return None
    fields: Fields = {"src_ip": found["src"], "dst_ip": found["dst"], "protocol": found["protocol"]}
    fields |= {"src_port": found["sport"], "dst_port": found["dport"], "bytes": found["bytes"]}
    return fields | {"icmp_type": found["icmp"], "icmp_code": found["code"], "tcp_flags": found["flags"]}


_CONNTRACK = re.compile(
    r"^\[(?P<time>\d{10}(?:\.\d+)?)\s*\]\s+\[NEW\] (?:ipv[46] +\d+ )?\w+ +(?P<protocol>\d+) "
    r".*?src=(?P<src>\S+) dst=(?P<dst>\S+) "
    r"(?:sport=(?P<sport>\d+) dport=(?P<dport>\d+)|type=(?P<icmp>\d+) code=(?P<code>\d+))?"
)


def conntrack_fields(line: str) -> Fields | None:
    """Fields of a new connection as `conntrack -E -o timestamp` prints it; its later events are left out."""
    found = _CONNTRACK.match(line)
    if found is None:
        return None
    fields: Fields = {"timestamp": found["time"], "src_ip": found["src"], "dst_ip": found["dst"]}
    fields |= {"protocol": found["protocol"], "src_port": found["sport"], "dst_port": found["dport"]}
    return fields | {"icmp_type": found["icmp"], "icmp_code": found["code"]}
