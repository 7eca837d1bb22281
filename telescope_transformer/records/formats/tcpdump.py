"""Text that `tcpdump -n` prints: one line per packet, or two with -v.

Packets that are not IP are skipped, and those that the capturing machine sent, which only -i any tells.

The lines are parsed as print-ip.c, print-tcp.c, print-udp.c and print-icmp.c of tcpdump 4.99 write them, those of TCP
also as up to version 4.0.
"""

import re

from telescope_transformer.records.log_lines import PART_OF_RECORD, Fields, line_format
from telescope_transformer.records.protocols import IPV6_EXTENSIONS
from telescope_transformer.records.raw_records import NOTE

_LOCAL = "times that tcpdump prints without a zone are taken as UTC; run it with TZ=UTC or -tt"
_UNDATED = "lines of tcpdump without a date cannot be used: print them with -tttt or -tt, or read the capture itself"

_PACKET = re.compile(
    r"^ ?(?: *\d{1,10}  )?(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?|\d{9,10}\.\d+|\d\d:\d\d:\d\d(?:\.\d+)?) "
    # The interface and direction of -i any, the rule of pf, or the link-level header of -e.
    r"(?!\S+ +Out )(?:\S+ +(?:In|B|M|P) +)?"
    r"(?:rule \S+?\(\w+\)(?: \[[^\]]*\])?:? (?:block|pass|match) in on \S+: (?:IP6? )?|"
    r"IP6? |ip6?: |\S.{0,400}?(?:\bethertype IPv[46] \(0x[0-9a-f]{4}\)|, IPv[46])(?:, length \d+)?[:,] )"
    r"(?P<header>\(tos\b.*\)$|\((?:class|flowlabel|hlim)\b.*?\bpayload length: \d+\) )?(?P<rest>.*)$"
)
_ENDS = re.compile(r"^\s*(?P<src>\S+) > (?P<dst>\S+?): (?P<what>.*)$")
_END = re.compile(
    r"^(\d{1,3}(?:\.\d{1,3}){3}|[0-9a-fA-F:]*:[0-9a-fA-F:]*(?:\d{1,3}(?:\.\d{1,3}){3})?)(?:\.(\d{1,5}))?$"
)
_IN_HEADER = {
    "protocol": re.compile(r"\b(?:proto|next-header) [^()]*\((\d+)\)"),
    "ttl": re.compile(r"\b(?:ttl|hlim) (\d+)"),
    "ip_id": re.compile(r"\bid (\d+)"),
    "bytes": re.compile(r", length (\d+)[,)]"),
}
# Checksum notes of -v and IPv6 extension headers, which come before the description of the packet.
_BEFORE = re.compile(r"^ *(?:\[[^\]|]*\] |(?:HBH|DSTOPT|srcrt) ?(?:\([^()]*\) *)*)*")
_FLAGS = re.compile(r"Flags \[([^\]]*)\]")
# Up to tcpdump 4.0: `S 1:1(0) win 512`, `. ack 1 win 512`, where the point stands for no flag.
_OLD_FLAGS = re.compile(
    r"^([SFRPWE]+|\.)(?: \[[^\]]*\])?,?(?: cksum \S+ \([^)]*\),)?(?: (\d+):\d+\(\d+\))?( ack \d+)? win \d"
)
_FLAG_BITS = {"F": 1, "S": 2, "R": 4, "P": 8, ".": 16, "U": 32, "E": 64, "W": 128}
_SEQUENCE = re.compile(r", seq (\d+)")
_CUT = re.compile(r"^\[\|(\w+)\]")
_NAMES = {"DCCP": "dccp", "GREv0": "gre", "GREv1": "gre", "ESP": "esp", "AH": "ah", "IP6": "ipv6", "igmp": "igmp"}
_NAMES |= {"sctp": "sctp", "PIMv2": "pim", "VRRPv2": "vrrp", "VRRPv3": "vrrp"}
_BY_NUMBER = re.compile(r"^ip-proto-(\d+)")
# Type, code and the beginning of the description of each kind of ICMP packet.
_ICMP_TEXTS = r"""
0 0 ICMP echo reply
3 0 ICMP net \S+ unreachable
3 1 ICMP host \S+ unreachable
3 2 ICMP \S+ protocol \S+ unreachable
3 3 ICMP \S+ (?:udp|tcp) port \S+ unreachable
3 4 ICMP \S+ unreachable - need to frag
3 5 ICMP \S+ unreachable - source route failed
3 6 ICMP net \S+ unreachable - unknown
3 7 ICMP host \S+ unreachable - unknown
3 8 ICMP \S+ unreachable - source host isolated
3 9 ICMP net \S+ unreachable - admin prohibited
3 10 ICMP host \S+ unreachable - admin prohibited
3 11 ICMP net \S+ unreachable - tos prohibited
3 12 ICMP host \S+ unreachable - tos prohibited
3 13 ICMP host \S+ unreachable - admin prohibited filter
3 14 ICMP host \S+ unreachable - host precedence violation
3 15 ICMP host \S+ unreachable - precedence cutoff
4 0 ICMP source quench
5 0 ICMP redirect \S+ to net
5 1 ICMP redirect \S+ to host
5 2 ICMP redirect-tos \S+ to net
5 3 ICMP redirect-tos \S+ to host
8 0 ICMP echo request
11 0 ICMP time exceeded in-transit
11 1 ICMP ip reassembly time exceeded
13 0 ICMP time stamp query
14 0 ICMP time stamp reply
17 0 ICMP address mask request
18 0 ICMP address mask is
1 0 ICMP6, destination unreachable, +unreachable route
1 1 ICMP6, destination unreachable, +unreachable prohibited
1 2 ICMP6, destination unreachable, +beyond scope
1 3 ICMP6, destination unreachable, +unreachable address
1 4 ICMP6, destination unreachable, +unreachable port
2 0 ICMP6, packet too big
3 0 ICMP6, time exceeded in-transit
3 1 ICMP6, time exceeded in-transit \(reassembly\)
128 0 ICMP6, echo request
129 0 ICMP6, echo reply
130 0 ICMP6, multicast listener query
131 0 ICMP6, multicast listener report
132 0 ICMP6, multicast listener done
133 0 ICMP6, router solicitation
134 0 ICMP6, router advertisement
135 0 ICMP6, neighbor solicitation
136 0 ICMP6, neighbor advertisement
137 0 ICMP6, redirect
143 0 ICMP6, multicast listener report v2
"""
# A longer text of the list, with another type or code, may follow.
_ICMP_KINDS = [
    (re.compile(text + r"(?! -| filter| \(reassembly| v2)"), kind, code)
    for kind, code, text in (line.split(" ", 2) for line in _ICMP_TEXTS.strip().splitlines())
]
_OPTIONAL = ("icmp_type", "icmp_code", "ttl", "ip_id", "tcp_seq", "tcp_flags", "bytes")


def _tcp(what: str) -> tuple[str, str | None] | None:
    """The letters of the flags, a point for ACK, and the sequence number; None if a packet is not of TCP."""
    found = _FLAGS.match(what)
    if found:
        sequence = _SEQUENCE.search(what)
        return "" if found[1] == "none" else found[1], sequence[1] if sequence else None
    old = _OLD_FLAGS.match(what)
    return (old[1].strip(".") + ("." if old[3] else ""), old[2]) if old else None


def _protocol(what: str, has_ports: bool) -> str:
    """The protocol, from the description of a packet. Only UDP packets have ports but no name of the protocol."""
    cut = _CUT.match(what)
    if cut:
        return cut[1]
    if _tcp(what) or re.match(r"tcp \d", what):
        return "tcp"
    if what.startswith("ICMP"):
        return "icmp6" if what.startswith("ICMP6") else "icmp"
    number, word = _BY_NUMBER.match(what), re.split(r"[\s,:(]", what, maxsplit=1)[0]
    if number:
        return number[1]
    return _NAMES.get(word, "udp" if has_ports else word)


def _fields(time: str, header: str, ends: "re.Match[str]") -> Fields:
    """The fields of a packet from its time, its IP header as -v prints it, and the match of `_ENDS`."""
    found = {name: pattern.search(header) for name, pattern in _IN_HEADER.items()}
    fields: Fields = {name: match[1] if match else None for name, match in found.items()}
    src, dst = _END.match(ends["src"]), _END.match(ends["dst"])
    what = _BEFORE.sub("", ends["what"])
    if fields["protocol"] is None or fields["protocol"] in IPV6_EXTENSIONS:
        fields["protocol"] = _protocol(what, bool(src and src[2] and dst and dst[2]))
    fields |= {"timestamp": time, "src_ip": src[1] if src else ends["src"], "src_port": src[2] if src else None}
    fields |= {"dst_ip": dst[1] if dst else ends["dst"], "dst_port": dst[2] if dst else None}
    tcp = _tcp(what)
    if tcp:
        letters, sequence = tcp
        fields["tcp_flags"] = str(sum(_FLAG_BITS.get(letter, 0) for letter in set(letters)))
        # After the first packet of a connection, tcpdump prints sequence numbers relative to that packet.
        fields["tcp_seq"] = sequence if "S" in letters else None
    # Most lines are of other protocols, and need none of these patterns.
    kinds = _ICMP_KINDS if what.startswith("ICMP") else []
    kind = next(((kind, code) for pattern, kind, code in kinds if pattern.match(what)), (None, None))
    fields |= {"icmp_type": kind[0], "icmp_code": kind[1]}
    note = _LOCAL if "-" in time else _UNDATED if time[2] == ":" else None
    return fields | ({NOTE: note} if note else {})


class _Lines:
    """Parses the lines of one file in order, because with -v the second line of a packet needs the first."""

    def __init__(self) -> None:
        self._first: re.Match[str] | None = None

    def __call__(self, line: str) -> Fields | None:
        """The fields of the packet that a line completes; None for other lines."""
        packet = _PACKET.match(line)
        if packet is not None:
            self._first = packet if packet["header"] and not packet["rest"] else None
            if self._first is not None:
                return PART_OF_RECORD
        elif self._first is None or line[:1] != " ":
            self._first = None
            return None
        else:
            packet, self._first = self._first, None
        ends = _ENDS.match(line if packet.string != line else packet["rest"])
        if ends is None:
            return None
        return _fields(packet["time"], packet["header"] or "", ends)


FORMAT = line_format("tcpdump", lambda clock: _Lines(), _OPTIONAL)
