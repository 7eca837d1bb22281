"""Reads ports, and their counterparts in ICMP: the type as source port and the code as destination port.

Files write the ICMP type and code in several ways, which are distinguished row by row:

- in separate columns;
- as source and destination port (Zeek, Suricata, packets);
- as one number, type * 256 + code, in the destination port if the source port is 0 or absent (NetFlow and IPFIX
  exporters, nfdump up to 1.7.1, SiLK, pmacct), or in the source port if the destination port is 0, or in both;
- as `type.code` or `type/code` in one of the ports (nfdump);
- as one number in a separate column (ICMP_TYPE of NetFlow version 9, icmpTypeCodeIPv4 of IPFIX).

If a type or code is still above 255 after that, the row is rejected. A type that the file does not give becomes
`UNKNOWN_ICMP_TYPE`, because type 0 is an echo reply. Tunnels have 0 in both.
"""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.records.nulls import is_null
from telescope_transformer.records.parsing import Parsed, distinct_texts, is_text_type, parse_numbers
from telescope_transformer.records.protocols import is_icmp
from telescope_transformer.records.schema import ICMP, ICMPV6, PORT_PROTOCOLS, UNKNOWN_ICMP_TYPE
from telescope_transformer.records.text_columns import INVALID, MISSING, VALID

# Of 16 and of 8 bits.
_LARGEST_PORT, _LARGEST_BYTE = 65_535, 255
# IP, IPv6, GRE, ESP, AH, IPIP, EtherIP, L2TP and MPLS: what programs write as their ports are the ports of the packet
# inside, or no ports, such as an SPI.
_TUNNELS = (4, 41, 47, 50, 51, 94, 97, 115, 137)


def parse_ports(raw: Mapping[str, pa.Array], protocols: np.ndarray) -> tuple[Parsed, Parsed]:
    """Source and destination ports of n rows whose `protocols` (n,) are known, from the raw columns of the fields."""
    rows = len(protocols)
    src, dst = _column(raw, "src_port", rows), _column(raw, "dst_port", rows)
    icmp = (protocols == ICMP) | (protocols == ICMPV6)
    has_ports = np.isin(protocols, PORT_PROTOCOLS)
    tunnel = np.isin(protocols, _TUNNELS)
    # In a file without source ports, none counts as missing.
    src_needed = has_ports if "src_port" in raw else np.zeros(rows, dtype=bool)
    ports = [
        (
            np.where(tunnel, 0, parsed.values),
            np.where(tunnel | (~needed & (parsed.status == MISSING)), VALID, parsed.status),
        )
        for parsed, needed in ((src, src_needed), (dst, has_ports))
    ]
    places = np.flatnonzero(icmp)
    if len(places):
        found = _icmp({field: column.take(pa.array(places)) for field, column in raw.items()}, src, dst, places)
        for (numbers, status), (values, how) in zip(ports, found, strict=True):
            numbers[places], status[places] = values, how
        # Type 0 of ICMPv6 is reserved (RFC 4443), so an exporter that writes it gives no type.
        ports[0][0][(protocols == ICMPV6) & (ports[0][0] == 0)] = UNKNOWN_ICMP_TYPE
    return Parsed(*ports[0]), Parsed(*ports[1])


_ADDRESS_WITH_PORT = r"^\s*(?:[\d.]+|\[[0-9a-fA-F:.]+\]):(?P<port>\d{0,5})\s*$"


def with_ports_of_addresses(raw: dict[str, pa.Array]) -> dict[str, pa.Array]:
    """Takes ports from addresses such as `192.0.2.1:40000` if there is no other port."""
    found = dict(raw)
    for end in ("src", "dst"):
        addresses, ports = raw.get(f"{end}_ip"), raw.get(f"{end}_port")
        if addresses is None or not is_text_type(addresses.type):
            continue
        if not pc.any(pc.match_substring(_text(addresses), ":")).as_py():
            continue
        behind = pc.struct_field(pc.extract_regex(_text(addresses), _ADDRESS_WITH_PORT), "port").cast(pa.binary())
        if behind.null_count < len(behind):
            found[f"{end}_port"] = behind if ports is None else pc.coalesce(_without_nulls(ports), behind)
    return found


def _without_nulls(ports: pa.Array) -> pa.Array:
    """Ports as text, with a null for each text that means a missing value."""
    texts, codes = distinct_texts(ports)
    return pa.array([None if is_null(text) else text.encode() for text in texts], pa.binary()).take(pa.array(codes))


def are_icmp(protocols: pa.Array) -> pa.Array:
    """Whether the protocol of each of n rows, a number or a name as text, is ICMP or ICMPv6 (bool, n)."""
    texts, codes = distinct_texts(protocols)
    return pa.array(np.array([is_icmp(text) for text in texts], dtype=bool)[codes])


def without_ports(raw: Mapping[str, pa.Array], rows: pa.Array) -> dict[str, pa.Array]:
    """The columns without the ports of those rows where `rows` is true: what stands there is not a port."""
    nothing, rows = pa.scalar(None, pa.binary()), rows.fill_null(False)
    return {**raw, **{name: pc.if_else(rows, nothing, raw[name]) for name in ("src_port", "dst_port") if name in raw}}


def without_icmp_ports(raw: Mapping[str, pa.Array]) -> dict[str, pa.Array]:
    """The columns of a program that gives no ICMP type: what it writes as ports of ICMP is left out."""
    return without_ports(raw, are_icmp(raw["protocol"]))


_EXCHANGED = {"src_ip": "dst_ip", "src_port": "dst_port"} | {
    name: f"dst_{name}" for name in ("packets", "bytes", "tcp_flags")
}


def with_ends_exchanged(raw: Mapping[str, pa.Array], rows: pa.Array) -> dict[str, pa.Array]:
    """The columns with source and destination exchanged where `rows` is true.

    `dst_packets`, `dst_bytes` and `dst_tcp_flags` hold what the destination sent. An ICMP type is left out there, for
    it belongs to a packet that the source did not send.
    """
    rows, exchanged = rows.fill_null(False), dict(raw)
    if not pc.any(rows).as_py():
        return exchanged
    nothing = pa.nulls(len(rows), pa.binary())
    for one, other in _EXCHANGED.items():
        if one in raw:
            exchanged[one] = pc.if_else(rows, raw.get(other, nothing), raw[one])
            exchanged[other] = pc.if_else(rows, raw[one], raw.get(other, nothing))
    return without_ports(exchanged, pc.and_(rows, are_icmp(raw["protocol"])))


def from_sender(raw: Mapping[str, pa.Array]) -> dict[str, pa.Array]:
    """The columns with source and destination exchanged where only the destination has sent packets.

    Programs that find out who began a connection take the source of backscatter, such as SYN-ACK, for its destination.
    """
    if not {"packets", "dst_packets"} <= raw.keys():
        return dict(raw)
    answers = pc.match_substring_regex(raw["dst_packets"].cast(pa.string()), r"^\s*0*[1-9]")
    return with_ends_exchanged(raw, pc.and_(pc.equal(raw["packets"], pa.scalar(b"0")), answers))


def _column(raw: Mapping[str, pa.Array], field: str, rows: int) -> Parsed:
    if field in raw:
        return parse_numbers(raw[field], _LARGEST_PORT)
    return Parsed(np.zeros(rows, dtype=np.int64), np.full(rows, MISSING, dtype=np.uint8))


def _icmp(raw: Mapping[str, pa.Array], src: Parsed, dst: Parsed, places: np.ndarray) -> tuple[Parsed, Parsed]:
    """Types and codes of the ICMP rows at `places`; `raw` holds only these rows."""
    kinds, kind_status = np.array(src.values)[places], src.status[places]
    codes, code_status = np.array(dst.values)[places], dst.status[places]
    _split_dotted(raw, kinds, kind_status, codes, code_status)
    no_kind = (kind_status == MISSING) | ((kind_status == VALID) & (kinds == 0))
    no_code = (code_status == MISSING) | ((code_status == VALID) & (codes == 0))
    in_dst = no_kind & (code_status == VALID) & (codes > _LARGEST_BYTE)
    in_src = no_code & (kind_status == VALID) & (kinds > _LARGEST_BYTE) & (kinds != UNKNOWN_ICMP_TYPE)
    # Some exporters write the joint number as destination port, and the type or the same number as source port.
    repeated = (codes >> 8 == kinds) | (codes == kinds)
    in_both = (kind_status == VALID) & (code_status == VALID) & (codes > _LARGEST_BYTE) & repeated
    joint = np.where(in_src, kinds, codes)
    split = in_dst | in_src | in_both
    kinds, codes = np.where(split, joint >> 8, kinds), np.where(split, joint & 0xFF, codes)
    kind_status, code_status = np.where(split, VALID, kind_status), np.where(split, VALID, code_status)
    if "icmp_type" in raw:
        own = parse_numbers(raw["icmp_type"], _LARGEST_PORT)
        use, joint = own.status != MISSING, np.asarray(own.values)
        # A type without a code: the port may hold the identifier of an echo request instead of a code.
        codes = np.where(use & (codes > _LARGEST_BYTE), 0, codes)
        joined = use & (own.status == VALID) & (joint > _LARGEST_BYTE)
        codes, code_status = np.where(joined, joint & 0xFF, codes), np.where(joined, VALID, code_status)
        kinds = np.where(use, np.where(joined, joint >> 8, joint), kinds)
        kind_status = np.where(use, own.status, kind_status)
    if "icmp_code" in raw:
        own = parse_numbers(raw["icmp_code"], _LARGEST_BYTE)
        use = own.status != MISSING
        codes, code_status = np.where(use, own.values, codes), np.where(use, own.status, code_status)
    kinds = np.where(kind_status == MISSING, UNKNOWN_ICMP_TYPE, kinds)
    good_kind = (kind_status != INVALID) & ((kinds <= _LARGEST_BYTE) | (kinds == UNKNOWN_ICMP_TYPE))
    good_code = (code_status != INVALID) & (codes <= _LARGEST_BYTE)
    return (
        Parsed(kinds, np.where(good_kind, VALID, INVALID).astype(np.uint8)),
        Parsed(codes, np.where(good_code, VALID, INVALID).astype(np.uint8)),
    )


def _split_dotted(
    raw: Mapping[str, pa.Array],
    kinds: np.ndarray,
    kind_status: np.ndarray,
    codes: np.ndarray,
    code_status: np.ndarray,
) -> None:
    """Reads `type.code` or `type/code` in one port, in place, if the other port is 0 or missing.

    A table that went through floats also writes 8 as `8.0`, but then both ports have a point.
    """
    found = {}
    for field in ("src_port", "dst_port"):
        if field not in raw or not is_text_type(raw[field].type):
            continue
        parts = pc.extract_regex(_text(raw[field]), r"^\s*(?P<kind>\d{1,3})[./](?P<code>\d{1,3})\s*$")
        kind = np.asarray(parse_numbers(pc.struct_field(parts, "kind"), _LARGEST_PORT).values)
        code = np.asarray(parse_numbers(pc.struct_field(parts, "code"), _LARGEST_PORT).values)
        found[field] = np.asarray(parts.is_valid()), kind, code
    for field, other, numbers, status in (
        ("dst_port", "src_port", kinds, kind_status),
        ("src_port", "dst_port", codes, code_status),
    ):
        if field in found:
            dotted, kind, code = found[field]
            if other in found:
                dotted = dotted & ~found[other][0]
            dotted = dotted & ((status == MISSING) | ((status == VALID) & (numbers == 0)))
            kinds[dotted], codes[dotted] = kind[dotted], code[dotted]
            kind_status[dotted], code_status[dotted] = VALID, VALID


def _text(values: pa.Array) -> pa.Array:
    """ASCII text; text with other bytes becomes empty, because no number contains them."""
    try:
        return values.cast(pa.string())
    except pa.ArrowInvalid:
        found = values.cast(pa.binary()).to_pylist()
        plain = [value if value is not None and value.isascii() else b"" for value in found]
        return pa.array(plain, pa.binary()).cast(pa.string())
