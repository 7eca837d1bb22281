"""Reads IP protocols and TCP flags by all names that exporters write."""

import re
from functools import lru_cache

from telescope_transformer.records.schema import ICMP, ICMPV6, TCP, UDP

IPV6_EXTENSIONS = ("0", "43", "44", "60")
"""IPv6 extension headers (hop-by-hop, routing, fragment, destination options), which come before the protocol."""

# One line per number: the keyword of IANA's "Assigned Internet Protocol Numbers", then the names of nfdump, of
# /etc/protocols and of Argus, Zeek and Suricata where they differ.
_NAMES = """
0 hopopt ip6-hop hopopts ipv6-hopopts
1 icmp icmp4 icmpv4
2 igmp
3 ggp
4 ipv4 ipip ipencap ip-in-ip ip ipnip
5 st st2
6 tcp tcp4 tcp6 tcpv4 tcpv6
7 cbt
8 egp
9 igp igrp
10 bbn-rcc-mon bbn
11 nvp-ii nvp
12 pup
13 argus
14 emcon encom
15 xnet
16 chaos
17 udp udp4 udp6 udpv4 udpv6
18 mux
19 dcn-meas dcn
20 hmp
21 prm
22 xns-idp xns
23 trunk-1 trnk1
24 trunk-2 trnk2
25 leaf-1 leaf1
26 leaf-2 leaf2
27 rdp
28 irtp
29 iso-tp4 iso-4
30 netblt netbk
31 mfe-nsp mfesp
32 merit-inp meinp
33 dccp sep
34 3pc
35 idpr
36 xtp
37 ddp
38 idpr-cmtp cmtp
39 tp++
40 il
41 ipv6 6in4
42 sdrp
43 ipv6-route rte6
44 ipv6-frag frag6
45 idrp
46 rsvp
47 gre
48 dsr mhrp
49 bna
50 esp ipsec-esp
51 ah ipsec-ah
52 i-nlsp inlsp
53 swipe
54 narp
55 min-ipv4 mobile mobil
56 tlsp
57 skip
58 ipv6-icmp icmpv6 icmp6 icmp-v6
59 ipv6-nonxt ipv6-no nohe6
60 ipv6-opts opts6
61 host any-host-internal
62 cftp
63 any-local-network localnet
64 sat-expak satnt
65 kryptolan klan
66 rvd
67 ippc
68 fs any-distributed-fs
69 sat-mon
70 visa
71 ipcv ipcu
72 cpnx
73 cphb
74 wsn
75 pvp
76 br-sat-mon bsatm
77 sun-nd sunnd
78 wb-mon wbmon
79 wb-expak wbexp
80 iso-ip isoip
81 vmtp
82 secure-vmtp svmtp
83 vines
84 iptm ttp
85 nsfnet-igp nsigp
86 dgp
87 tcf
88 eigrp
89 ospfigp ospf ospfv2
90 sprite-rpc s-rpc
91 larp
92 mtp
93 ax.25
94 os
95 micp
96 scc-sp sccsp
97 etherip ethip
98 encap
99 any-private-encryption
100 gmtp
101 ifmp
102 pnni
103 pim
104 aris
105 scps
106 qnx
107 a/n an
108 ipcomp ipcmp
109 snp
110 compaq-peer cpqpp
111 ipx-in-ip ipxip
112 vrrp carp
113 pgm
114 any-0-hop 0hop
115 l2tp
116 ddx
117 iatp
118 stp
119 srp
120 uti
121 smp
122 sm
123 ptp
124 isis-over-ipv4 isis isis4
125 fire
126 crtp
127 crudp
128 sscopmce
129 iplt
130 sps
131 pipe
132 sctp
133 fc
134 rsvp-e2e-ignore
135 mobility-header mhead mobility mh
136 udplite udpl
137 mpls-in-ip mpls
138 manet
139 hip
140 shim6
141 wesp
142 rohc
143 ethernet
144 aggfrag
145 nsh
"""


def _plain(name: str) -> str:
    return "".join(character for character in name.lower() if character not in "-_ ./")


_NUMBERS = {
    _plain(name): int(number)
    for number, *names in (line.split() for line in _NAMES.strip().splitlines())
    for name in names
}


# `TCP (6)`, `6:tcp`, `6-TCP`, `TCP[6]`, `(6) TCP`
_WITH_NAME = re.compile(r"^\(?([\w.\-]+?)\s*(?:[(\[:/\-]|\)\s)\s*([\w.\-]+)\s*[)\]]?$")

# Honeypots write a service as the protocol. These services run only over TCP (IANA's Service Name and Port Number
# Registry).
_SERVICES = """
adb amqp cassandra elasticsearch ftp ftps git http http-proxy https imap imaps jdwp ldaps microsoft-ds modbus mongodb
mqtt ms-sql-s mssql mssqld mysql mysqld netbios-ssn nntp oracle pop3 pop3s postgres postgresql pptp printer rdpd redis
s7comm samba sftp smb smbd smtp smtps socks4 socks5 ssh submission telnet tls vnc websocket winrm x11
"""
_SERVICES_OF_TCP = frozenset(_SERVICES.split())
# Letters that Azure's traffic analytics writes.
_LETTERS = {"t": TCP, "u": UDP}

_LONGEST_NAME = 100
"""Characters of a protocol name; longer text is not a protocol."""

_WITH_NUMBER = re.compile(r"^(?:ip)?proto(?:col)?([0-9]+)$")


def protocol_number(text: str) -> int | None:
    """The number of a protocol given by number (`6`, `6.0`, `0x06`), name or both (`TCP (6)`); None for other text."""
    if len(text) > _LONGEST_NAME:
        return None
    # Spreadsheets that use a decimal comma write `6,0`.
    whole, _, fraction = text.replace(",", ".").partition(".")
    if whole.isascii() and whole.isdigit() and not fraction.strip("0"):
        return int(whole) if len(whole) <= 9 and int(whole) <= 255 else None
    if text[:2].lower() == "0x":
        number = _hexadecimal(text)
        return number if number is not None and number <= 255 else None
    plain = _plain(text)
    named = _NUMBERS.get(plain.removeprefix("ipproto"), _LETTERS.get(plain))
    if named is not None:
        return named
    numbered, both = _WITH_NUMBER.match(plain), _WITH_NAME.match(text)
    if numbered:
        return protocol_number(numbered[1])
    if both:
        names = [part for part in both.groups() if _plain(part) in _NUMBERS]
        if both[1].lower() == "ip" and both[2].isdecimal():
            # `ip/47` gives the number of the protocol above IP.
            return protocol_number(both[2])
        if "/" in text and len(names) == 1:
            # `tcp/telnet`, `tcp/23` and `23/tcp` have a service or a port besides the protocol.
            return _NUMBERS[_plain(names[0])]
        one, other = protocol_number(both[1]), protocol_number(both[2])
        return one if one == other else None
    return None


@lru_cache(maxsize=1024)
def _is_icmp(text: str) -> bool:
    return protocol_number(text) in (ICMP, ICMPV6)


def is_icmp(protocol: object) -> bool:
    """Whether a protocol as `protocol_number` reads it is ICMP or ICMPv6."""
    return _is_icmp(str(protocol).strip())


def transport_of_service(text: str) -> int | None:
    """The number of the protocol that carries a service (`ssh`); None if it is ambiguous or not known."""
    return TCP if text.lower() in _SERVICES_OF_TCP else None


def _hexadecimal(text: str) -> int | None:
    try:
        return int(text, 16)
    except ValueError:
        return None


# Letters of Argus, nfdump, SiLK, tcpdump and Zeek: E and C (tcpdump: W) are the bits of RFC 3168.
_FLAG_LETTERS = {"F": 0x01, "S": 0x02, "R": 0x04, "P": 0x08, "A": 0x10, "U": 0x20, "E": 0x40, "C": 0x80, "W": 0x80}
_FLAG_WORDS = {
    "FIN": 0x01,
    "SYN": 0x02,
    "RST": 0x04,
    "RESET": 0x04,
    "PSH": 0x08,
    "PUSH": 0x08,
    "ACK": 0x10,
    "URG": 0x20,
    "ECE": 0x40,
    "ECN": 0x40,
    "CWR": 0x80,
    "NS": 0x100,
    "AE": 0x100,
    "NONE": 0,
    "NULL": 0,
}
_JOINED_WORDS = re.compile(f"(?:{'|'.join(_FLAG_WORDS)})+")
_WORD = re.compile("|".join(_FLAG_WORDS))
_HEXADECIMAL = re.compile(r"\b0x[0-9a-f]{1,8}\b", re.IGNORECASE)
_AROUND = "<>[](){}'\" "
_BETWEEN_WORDS = str.maketrans(",|+/;&'\"-", " " * 9)
_NO_FLAG = str.maketrans("", "", ".-_*·, |+;&'\"")
# Number of digits of binary flags: six flags, eight flags, with the nonce sum, with the reserved bits.
_BINARY_DIGITS = (6, 8, 9, 12)
_LARGEST_FLAGS = 0xFFF


def flags_number(text: str) -> int | None:
    """TCP flags from a number (`2`, `0x12`), letters (`S`, `.AP.SF`) or words (`SYN,ACK`); None for other text."""
    whole, _, fraction = text.partition(".")
    if whole.isascii() and whole.isdigit() and not fraction.strip("0"):
        if len(whole) in _BINARY_DIGITS and set(text) <= {"0", "1"}:
            return int(text, 2)
        number = int(whole) if len(whole) <= 9 else -1
        return number if 0 <= number <= _LARGEST_FLAGS else None
    written = _HEXADECIMAL.search(text)
    if written:
        number = int(written[0], 16)
        return number if number <= _LARGEST_FLAGS else None
    inner = text.strip(_AROUND).upper()
    words = inner.translate(_BETWEEN_WORDS).split()
    if words and all(_JOINED_WORDS.fullmatch(word) for word in words):
        return sum({_FLAG_WORDS[found] for word in words for found in _WORD.findall(word)})
    return _flags_of_letters(inner)


def _flags_of_letters(text: str) -> int | None:
    if "*" in text:
        # Snort writes the bits of RFC 3168 as 1 and 2.
        text = text.replace("1", "C").replace("2", "E")
    if text.endswith(".") and text.count(".") == 1 and len(text) <= 5:
        # tcpdump's dot means an acknowledgement; nfdump's dots each stand for a flag that is not set.
        text = text[:-1] + "A"
    flags, _, mask = text.partition("/")
    if set(flags) <= set(mask):
        # "S/SA", as in a packet filter, means that SYN is set among SYN and ACK.
        text = flags
    letters = text.replace("/", "").translate(_NO_FLAG)
    if not set(letters) <= set(_FLAG_LETTERS):
        return None
    found = 0
    for letter in letters:
        found |= _FLAG_LETTERS[letter]
    return found
