"""Log lines of BSD firewalls (ipfw and IP Filter's ipmon) and of Linux's connection tracking (conntrack).

Sources: ipfw(8) and sbin/ipfw of FreeBSD; ipmon(8); conntrack(8), option -E with -o timestamp.
"""

import re

from telescope_transformer.records.log_lines import Fields

_IPFW = re.compile(
    r"\bipfw: \d+ (?:Deny|Reject|Reset|Unreach|Accept|Count)(?: \S+)? "
    r"(?P<protocol>[A-Z][\w-]*|P:\d+)(?::(?P<icmp_type>\d+)\.(?P<icmp_code>\d+))? "
    r"(?P<src_ip>\[[^\]]+\]|[\d.]+)(?::(?P<src_port>\d+))? "
    r"(?P<dst_ip>\[[^\]]+\]|[\d.]+)(?::(?P<dst_port>\d+))? in via "
)


def ipfw_fields(line: str) -> Fields | None:
    """Fields of an incoming packet that ipfw logged, including the ICMP type and code."""
    found = _IPFW.search(line)
    if found is None:
        return None
    fields: Fields = found.groupdict()
    fields |= {end: found[end].strip("[]") for end in ("src_ip", "dst_ip")}
    return fields | {"protocol": found["protocol"].removeprefix("P:")}


_IPMON = re.compile(
    r"\bipmon\[\d+\]: (?:\S+ )?\d\d:\d\d:\d\d\.\d+ (?:\d+x )?\S+ @\S+ [bBpnS] "
    r"(?P<src_ip>[\d.:a-fA-F]+)(?:,(?P<src_port>\d+))? -> "
    r"(?P<dst_ip>[\d.:a-fA-F]+)(?:,(?P<dst_port>\d+))? PR (?P<protocol>\S+) len \d+ \(?(?P<bytes>\d+)\)?"
    r"(?: icmp (?P<icmp_type>\d+)/(?P<icmp_code>\d+))?(?: -(?P<tcp_flags>[A-Z]+))?.* IN\b"
)


def ipmon_fields(line: str) -> Fields | None:
    """Fields of an incoming packet that IP Filter logged."""
    found = _IPMON.search(line)
    return None if found is None else found.groupdict()


_CONNTRACK = re.compile(
    r"^\[(?P<timestamp>\d{10}(?:\.\d+)?)\s*\]\s+\[NEW\] (?:ipv[46] +\d+ )?\w+ +(?P<protocol>\d+) "
    r".*?src=(?P<src_ip>\S+) dst=(?P<dst_ip>\S+) "
    r"(?:sport=(?P<src_port>\d+) dport=(?P<dst_port>\d+)|type=(?P<icmp_type>\d+) code=(?P<icmp_code>\d+))?"
)


def conntrack_fields(line: str) -> Fields | None:
    """Fields of a new connection as `conntrack -E -o timestamp` prints it; later events are left out."""
    found = _CONNTRACK.match(line)
    return None if found is None else found.groupdict()
