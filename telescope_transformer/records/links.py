"""A compiled walk over the headers before the IP header of a packet: link layers, tags and labels.

Link types are those of the tcpdump group (www.tcpdump.org/linktypes.html). Positions are memory addresses; each is
compared with the end of the packet before it is read.
"""

from collections.abc import Iterable

from numba import njit

from telescope_transformer.records.memory import big16, big32, byte_at, little16, little32

CUT, NOT_IP_HERE, UNKNOWN = -1, -2, -3
"""Returned instead of a position: the packet ends before its IP header, holds no IP, or has an unknown link type."""

SENT = 0xFFFF
"""Stands for the EtherType (0xFFFF is reserved, RFC 1701) of a packet that the capturing machine sent itself, which
some link layers tell. It is an answer, or a packet that the machine has forwarded and that counts where it came in."""

# Numbers of the link types that can be read, as in the list of tcpdump (tcpdump.org/linktypes.html).
_NULL, _ETHERNET, _PPP, _ATM, _RAW_BSD, _RAW_OPENBSD, _PPP_HDLC, _PPP_ETHER = 0, 1, 9, 11, 12, 14, 50, 51
_RAW, _C_HDLC, _WIFI, _LOOP, _ENC, _LINUX_SLL, _PFLOG, _PRISM = 101, 104, 105, 108, 109, 113, 117, 119
_RADIOTAP, _AVS, _PPP_PPPD, _PPI, _ERF, _PPP_WITH_DIRECTION = 127, 163, 166, 192, 197, 204
_IPV4_ONLY, _IPV6_ONLY, _NFLOG, _LINUX_SLL2 = 228, 229, 239, 276
_FIREWIRE, _PKTAP_DARWIN, _NETANALYZER, _IPOIB, _PKTAP = 138, 149, 240, 242, 258
LINK_TYPES = frozenset(
    (
        *(_NULL, _ETHERNET, _PPP, _ATM, _RAW_BSD, _RAW_OPENBSD, _PPP_HDLC, _PPP_ETHER),
        *(_RAW, _C_HDLC, _WIFI, _LOOP, _ENC, _LINUX_SLL, _PFLOG, _PRISM),
        *(_RADIOTAP, _AVS, _PPP_PPPD, _PPI, _ERF, _PPP_WITH_DIRECTION),
        *(_IPV4_ONLY, _IPV6_ONLY, _NFLOG, _LINUX_SLL2),
        *(_FIREWIRE, _PKTAP_DARWIN, _NETANALYZER, _IPOIB, _PKTAP),
    )
)
"""Link types that can be read."""

# Numbers and names of that list, for messages. Darwin's tcpdump writes PKTAP under the number of USER2.
_LISTED = """
0 NULL 1 ETHERNET 3 AX25 6 IEEE802_5 7 ARCNET_BSD 8 SLIP 9 PPP 10 FDDI 11 ATM_RFC1483 12 RAW 14 RAW 50 PPP_HDLC
51 PPP_ETHER 99 SYMANTEC_FIREWALL 101 RAW 104 C_HDLC 105 IEEE802_11 107 FRELAY 108 LOOP 109 ENC 113 LINUX_SLL
117 PFLOG 118 CISCO_IOS 119 IEEE802_11_PRISM 122 IP_OVER_FC 127 IEEE802_11_RADIOTAP 129 ARCNET_LINUX 130 JUNIPER_MLPPP
138 APPLE_IP_OVER_IEEE1394 143 DOCSIS 147 USER0 148 USER1 149 USER2 163 IEEE802_11_AVS 166 PPP_PPPD 178 JUNIPER_ETHER
187 BLUETOOTH_HCI_H4 189 USB_LINUX 192 PPI 195 IEEE802_15_4_WITHFCS 197 ERF 201 BLUETOOTH_HCI_H4_WITH_PHDR
204 PPP_WITH_DIR 220 USB_LINUX_MMAPPED 226 IPNET 227 CAN_SOCKETCAN 228 IPV4 229 IPV6 231 DBUS 239 NFLOG
240 NETANALYZER 241 NETANALYZER_TRANSPARENT 242 IPOIB 247 INFINIBAND 249 USBPCAP 251 BLUETOOTH_LE_LL
252 WIRESHARK_UPPER_PDU 253 NETLINK 258 PKTAP 266 NORDIC_BLE 274 ETHERNET_MPACKET 276 LINUX_SLL2 281 DSA_TAG_BRCM
283 IEEE802_15_4_TAP
"""
_NAMES = dict(zip(map(int, _LISTED.split()[::2]), _LISTED.split()[1::2], strict=True))


def _describe_link(link_type: int) -> str:
    name = _NAMES.get(link_type)
    return f"{link_type} (LINKTYPE_{name})" if name else str(link_type)


def unsupported(link_types: Iterable[int]) -> str:
    """A message about link types that cannot be read."""
    named = ", ".join(map(_describe_link, sorted(set(link_types))))
    return f"packets of link type {named} cannot be read; capture with `tcpdump -y EN10MB`, or on another interface"


# Smaller numbers are lengths (IEEE 802.3, section 3.2.6).
_FIRST_ETHERTYPE = 0x0600
# The most common entries of the IEEE's registry.
_ETHERTYPE_NAMES = {
    0x0806: "ARP",
    0x8035: "RARP",
    0x809B: "AppleTalk",
    0x80F3: "AppleTalk ARP",
    0x8137: "IPX",
    0x6002: "DEC MOP",
    0x8809: "slow protocols",
    0x8863: "PPPoE discovery",
    0x8864: "PPPoE, not IP",
    0x888E: "EAPOL",
    0x88CC: "LLDP",
    0x88E5: "MACsec",
    0x88F7: "PTP",
    0x8902: "CFM",
    0x9000: "loopback",
}


def describe_ethertype(ethertype: int) -> str:
    """The name of an EtherType for messages."""
    if not ethertype:
        return "no EtherType"
    if ethertype < _FIRST_ETHERTYPE:
        return "IEEE 802.2 (spanning tree and others)"
    name = _ETHERTYPE_NAMES.get(ethertype)
    return f"EtherType 0x{ethertype:04x}" + (f" ({name})" if name else "")


# Our choices, so that a hostile packet ends soon. Networks use a few tags, and stacks of a dozen labels at most.
_DEEPEST_TAGS = 16
_DEEPEST_LABELS = 32


@njit(cache=True, nogil=True)
def _after_labels(at: int, stop: int) -> tuple[int, int, int]:
    """Skips a stack of MPLS labels (RFC 3032); returns where the payload begins, its EtherType, and a status.

    The EtherType is 0 for an Ethernet frame of a pseudowire, which follows a control word (RFC 4385).
    """
    for _ in range(_DEEPEST_LABELS):
        if at + 4 > stop:
            return at, 0, CUT
        last = byte_at(at + 2) & 1
        at += 4
        if last:
            if at >= stop:
                return at, 0, CUT
            version = byte_at(at) >> 4
            if version == 4:
                return at, 0x0800, 0
            if version == 6:
                return at, 0x86DD, 0
            return (at + 4, 0, 0) if version == 0 else (at, 0, NOT_IP_HERE)
    return at, 0, NOT_IP_HERE


@njit(cache=True, nogil=True)
def _ppp_payload(at: int, stop: int) -> tuple[int, int]:
    """Where a PPP payload begins, and its EtherType (RFC 1661, with the short form of the protocol); 0 if not IP."""
    if at + 2 > stop:
        return CUT, 0
    protocol = big16(at)
    at += 2
    if protocol >> 8 == 0x21 or protocol >> 8 == 0x57:
        protocol >>= 8
        at -= 1
    if protocol == 0x0021:
        return at, 0x0800
    if protocol == 0x0057:
        return at, 0x86DD
    if protocol == 0x0281:
        return at, 0x8847
    return NOT_IP_HERE, 0


@njit(cache=True, nogil=True)
def by_ethertype(ethertype: int, at: int, stop: int) -> tuple[int, int]:
    """Where IP begins in the payload at `at`, after any tags, and the EtherType at which the search ended."""
    for _ in range(_DEEPEST_TAGS):
        if ethertype == 0x0800 or ethertype == 0x86DD:
            return at, ethertype
        if ethertype < _FIRST_ETHERTYPE:
            # This is a length, not a type, and IEEE 802.2 follows. With SNAP it has an EtherType; SAP 6 is IP itself.
            if at + 3 > stop:
                return CUT, ethertype
            if byte_at(at) == 6 and byte_at(at + 1) == 6:
                return at + 3, 0x0800
            if byte_at(at) != 0xAA or byte_at(at + 1) != 0xAA:
                return NOT_IP_HERE, ethertype
            at += 6
        elif ethertype in (0x8100, 0x88A8, 0x9100, 0x9200, 0x9300):
            at += 2  # VLAN tags (IEEE 802.1Q, 802.1ad and its forerunners)
        elif ethertype == 0x8926:
            at += 4  # VN-tag
        elif ethertype == 0x893F or ethertype == 0x8909:
            at += 6  # E-tag (IEEE 802.1BR), Cisco metadata
        elif ethertype == 0x6558:
            at += 12  # an Ethernet frame within a tunnel (RFC 1701)
        elif ethertype == 0x88E7:
            at += 16  # provider backbone bridge (IEEE 802.1ah): a service tag, then the inner addresses
        elif ethertype == 0x8864:
            if at + 8 > stop:
                return CUT, ethertype
            at, ethertype = _ppp_payload(at + 6, stop)
            if at < 0:
                return at, 0x8864
            continue
        elif ethertype == 0x8847 or ethertype == 0x8848:
            at, inner, status = _after_labels(at, stop)
            if status < 0:
                return status, ethertype
            if inner:
                return at, inner
            at += 12
        elif ethertype == 0x894F:
            # Network service header (RFC 8300) with its length in words and the protocol of its payload.
            if at + 4 > stop:
                return CUT, ethertype
            following = byte_at(at + 3)
            at += (byte_at(at + 1) & 0x3F) * 4
            if following == 1:
                return at, 0x0800
            if following == 2:
                return at, 0x86DD
            if following == 4 or following == 5:
                ethertype = 0x894F if following == 4 else 0x8847
                continue
            if following != 3:
                return NOT_IP_HERE, ethertype
            at += 12
        else:
            return NOT_IP_HERE, ethertype
        if at + 2 > stop:
            return CUT, ethertype
        ethertype = big16(at)
        at += 2
    return NOT_IP_HERE, ethertype


@njit(cache=True, nogil=True)
def copied_frame(at: int, stop: int, protocol: int, port: int) -> tuple[int, int]:
    """Where the packet begins that a switch or a cloud has copied into a payload of UDP or GRE, and its EtherType.

    Reads VXLAN (RFC 7348), GENEVE (RFC 8926), TZSP, GRE (RFC 2890) and ERSPAN types I to III
    (draft-foschiano-erspan). CUT if the payload holds no copy. 0x6558 stands for an Ethernet frame.
    """
    if protocol == 17 and at + 16 <= stop:
        at += 8
        if port == 4789 and byte_at(at) == 8:
            return at + 8, 0x6558
        if port == 6081 and byte_at(at) >> 6 == 0 and big16(at + 2) >= _FIRST_ETHERTYPE:
            return at + 8 + (byte_at(at) & 0x3F) * 4, big16(at + 2)
        if port == 37008 and byte_at(at) == 1 and byte_at(at + 1) < 2 and big16(at + 2) == 1:
            at += 4
            while at + 1 < stop and byte_at(at) != 1:
                at += 2 + byte_at(at + 1) if byte_at(at) else 1
            return at + 1, 0x6558
    elif protocol == 47 and at + 4 <= stop:
        flags, kind = big16(at), big16(at + 2)
        at += 4 + 4 * ((flags >> 15) + (flags >> 13 & 1) + (flags >> 12 & 1))
        if flags & 0x4FFF:
            return CUT, 0  # with routing, or of PPTP
        if kind == 0x88BE:
            return at + (8 if flags & 0x1000 else 0), 0x6558
        if kind == 0x22EB:
            return (at + 12 + 8 * (byte_at(at + 11) & 1), 0x6558) if at + 12 <= stop else (CUT, 0)
        if kind >= _FIRST_ETHERTYPE:
            return at, kind
    return CUT, 0


@njit(cache=True, nogil=True)
def _ethernet(at: int, stop: int) -> tuple[int, int]:
    if at + 14 > stop:
        return CUT, 0
    return by_ethertype(big16(at + 12), at + 14, stop)


@njit(cache=True, nogil=True)
def _ppp(at: int, stop: int) -> tuple[int, int]:
    """PPP with or without address and control bytes, or Cisco's HDLC, whose address and control bytes precede an
    EtherType."""
    if at + 4 > stop:
        return CUT, 0
    first = byte_at(at)
    if first == 0x0F or first == 0x8F:
        return by_ethertype(big16(at + 2), at + 4, stop)
    if first == 0xFF and byte_at(at + 1) == 0x03:
        at += 2
    at, ethertype = _ppp_payload(at, stop)
    return (at, 0) if at < 0 else by_ethertype(ethertype, at, stop)


@njit(cache=True, nogil=True)
def _wifi(at: int, stop: int) -> tuple[int, int]:
    """IEEE 802.11: data frames that are not encrypted."""
    if at + 24 > stop:
        return CUT, 0
    control, flags = byte_at(at), byte_at(at + 1)
    # Type 2 means data, but subtypes with bit 2 carry none. Flag 0x40 means encryption.
    if (control >> 2) & 3 != 2 or control & 0x40 or flags & 0x40:
        return NOT_IP_HERE, 0
    header = 24
    if flags & 3 == 3:
        header += 6
    if control & 0x80:
        header += 2
        if flags & 0x80:
            header += 4
    return by_ethertype(0, at + header, stop)


@njit(cache=True, nogil=True)
def _nflog(at: int, stop: int) -> tuple[int, int]:
    """Linux NFLOG: attributes in the byte order of the host, the packet among them."""
    end = at + 4
    while end + 4 <= stop:
        length, kind = little16(end), little16(end + 2)
        if length < 4 or end + length > stop or kind > 255:
            length, kind = big16(end), big16(end + 2)
        if length < 4 or end + length > stop:
            return CUT, 0
        if kind & 0x7FFF == 9:
            return end + 4, 0x0800
        end += (length + 3) // 4 * 4
    return NOT_IP_HERE, 0


@njit(cache=True, nogil=True)
def _erf(at: int, stop: int) -> tuple[int, int]:
    """Endace extensible record format: a header of 16 bytes and extensions of 8 before the frame."""
    if at + 16 > stop:
        return CUT, 0
    kind = byte_at(at + 8)
    more = kind & 0x80
    kind &= 0x7F
    at += 16
    while more:
        if at + 8 > stop:
            return CUT, 0
        more = byte_at(at) & 0x80
        at += 8
    if kind == 2 or kind == 11 or kind == 16 or kind == 20:
        return _ethernet(at + 2, stop)
    if kind == 1:
        return _ppp(at, stop)
    if kind == 22 or kind == 23:
        return at, 0x0800
    return NOT_IP_HERE, 0


@njit(cache=True, nogil=True)
def _is_ip_family(family: int) -> bool:
    """Address families: 2 is IPv4 everywhere; 10, 24, 28 and 30 are IPv6 on Linux, NetBSD, FreeBSD and Darwin."""
    return family == 2 or family == 10 or family == 24 or family == 28 or family == 30


@njit(cache=True, nogil=True)
def _behind_header(at: int, stop: int, link_type: int) -> tuple[int, int]:
    """Link types whose header states its own length and is followed by another link layer or IP."""
    if at + 12 > stop:
        return CUT, 0
    if link_type == _PFLOG:
        # OpenBSD's if_pflog.h: the length, which is rounded up to a word, then the address family; PF_OUT is 2.
        if at + 61 <= stop and byte_at(at + 60) == 2:
            return NOT_IP_HERE, SENT
        return (at + (byte_at(at) + 3) // 4 * 4, 0x0800) if _is_ip_family(byte_at(at + 1)) else (NOT_IP_HERE, 0)
    if link_type == _ENC:
        family = max(little32(at), big32(at)) >> 24
        return (at + 12, 0x0800) if _is_ip_family(family) else (NOT_IP_HERE, 0)
    if link_type == _RADIOTAP:
        return _wifi(at + little16(at + 2), stop)
    if link_type == _PRISM:
        # Some drivers write AVS headers under this type.
        return _wifi(at + (big32(at + 4) if big32(at) >> 8 == 0x802110 else little32(at + 4)), stop)
    if link_type == _AVS:
        return _wifi(at + big32(at + 4), stop)
    if link_type in (_PKTAP, _PKTAP_DARWIN):
        inner, at = little32(at + 8), at + little32(at)
        return (at, 0x0800) if inner == _RAW_BSD else (_ethernet(at, stop) if inner == _ETHERNET else (NOT_IP_HERE, 0))
    inner, at = little32(at + 4), at + little16(at + 2)
    if inner == _WIFI:
        return _wifi(at, stop)
    return _ethernet(at, stop) if inner == _ETHERNET else (NOT_IP_HERE, 0)


@njit(cache=True, nogil=True)
def find_ip(start: int, stop: int, link_type: int) -> tuple[int, int]:
    """Where the IP header of a packet begins, or CUT, NOT_IP_HERE or UNKNOWN; and the last EtherType, 0 if none."""
    if link_type == _ETHERNET:
        return _ethernet(start, stop)
    if link_type in (_RAW, _RAW_BSD, _RAW_OPENBSD, _IPV4_ONLY, _IPV6_ONLY):
        return start, 0x0800
    if link_type in (_LINUX_SLL, _LINUX_SLL2):
        # Type 4 is PACKET_OUTGOING of Linux.
        header, kind, protocol = (16, 1, 14) if link_type == _LINUX_SLL else (20, 10, 0)
        if start + header > stop:
            return CUT, 0
        if byte_at(start + kind) == 4:
            return NOT_IP_HERE, SENT
        return by_ethertype(big16(start + protocol), start + header, stop)
    if link_type in (_NULL, _LOOP):
        if start + 4 > stop:
            return CUT, 0
        family = max(little32(start), big32(start)) >> 24
        return (start + 4, 0x0800) if _is_ip_family(family) else (NOT_IP_HERE, 0)
    if link_type in (_PPP, _PPP_HDLC, _C_HDLC):
        return _ppp(start, stop)
    if link_type in (_PPP_WITH_DIRECTION, _PPP_PPPD):
        # A byte for the direction comes first; pppd writes it in place of the address.
        return _ppp(start + (2 if link_type == _PPP_PPPD else 1), stop)
    if link_type == _PPP_ETHER:
        return by_ethertype(0x8864, start, stop)
    if link_type == _ATM:
        return by_ethertype(0, start, stop)
    if link_type == _WIFI:
        return _wifi(start, stop)
    if link_type == _NFLOG:
        return _nflog(start, stop)
    if link_type == _ERF:
        return _erf(start, stop)
    if link_type == _NETANALYZER:
        return _ethernet(start + 4, stop)
    if link_type in (_FIREWIRE, _IPOIB):
        # Two addresses of 8 bytes, or a global routing header of 40. An EtherType follows, which InfiniBand pads.
        at = start + (16 if link_type == _FIREWIRE else 40)
        return (CUT, 0) if at + 4 > stop else by_ethertype(big16(at), at + (2 if link_type == _FIREWIRE else 4), stop)
    if link_type in (_PFLOG, _ENC, _RADIOTAP, _PRISM, _AVS, _PPI, _PKTAP, _PKTAP_DARWIN):
        return _behind_header(start, stop, link_type)
    return UNKNOWN, 0
