"""Ports, and what stands for them in ICMP: the type as source port and the code as destination port.

Files write the ICMP type and code in several ways. They are told apart row by row:

- in columns of their own;
- as source and destination port (Zeek, Suricata, packets);
- as one number, type * 256 + code, in the destination port, the source port being 0 or absent (NetFlow and IPFIX
  exporters, nfdump up to 1.7.1, SiLK, pmacct), or in the source port, the destination port being 0;
- as `type.code` in the destination port (nfdump).

A type or code above 255 after that is no ICMP, and the row is rejected. A type that the file does not give is
`UNKNOWN_ICMP_TYPE`: type 0 is an echo reply.
"""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.records.parsing import Parsed, is_text, parse_numbers
from telescope_transformer.records.schema import ICMP, ICMPV6, PORT_PROTOCOLS, UNKNOWN_ICMP_TYPE
from telescope_transformer.records.text import INVALID, MISSING, VALID

_LARGEST_PORT, _LARGEST_BYTE = 65_535, 255


def parse_ports(raw: Mapping[str, pa.Array], protocols: np.ndarray) -> tuple[Parsed, Parsed]:
    """Source and destination ports of n rows whose `protocols` (n,) are known, from the raw columns of the fields."""
    rows = len(protocols)
    src, dst = _column(raw, "src_port", rows), _column(raw, "dst_port", rows)
    icmp = (protocols == ICMP) | (protocols == ICMPV6)
    has_ports = np.isin(protocols, PORT_PROTOCOLS)
    # A file without source ports has none to miss.
    src_needed = has_ports if "src_port" in raw else np.zeros(rows, dtype=bool)
    ports = [
        (parsed.values.copy(), np.where(~needed & (parsed.status == MISSING), VALID, parsed.status))
        for parsed, needed in ((src, src_needed), (dst, has_ports))
    ]
    places = np.flatnonzero(icmp)
    if len(places):
        found = _icmp({field: column.take(pa.array(places)) for field, column in raw.items()}, src, dst, places)
        for (numbers, status), (values, how) in zip(ports, found, strict=True):
            numbers[places], status[places] = values, how
    return Parsed(*ports[0]), Parsed(*ports[1])


def _column(raw: Mapping[str, pa.Array], field: str, rows: int) -> Parsed:
    if field in raw:
        return parse_numbers(raw[field], _LARGEST_PORT)
    return Parsed(np.zeros(rows, dtype=np.int64), np.full(rows, MISSING, dtype=np.uint8))


def _icmp(raw: Mapping[str, pa.Array], src: Parsed, dst: Parsed, places: np.ndarray) -> tuple[Parsed, Parsed]:
    """Types and codes of the ICMP rows at `places`; `raw` holds these rows alone."""
    rows = len(places)
    kinds, kind_status = np.array(src.values)[places], src.status[places]
    codes, code_status = np.array(dst.values)[places], dst.status[places]
    if "dst_port" in raw and is_text(raw["dst_port"].type):
        _split_dotted(raw, kinds, kind_status, codes, code_status)
    no_kind = (kind_status == MISSING) | ((kind_status == VALID) & (kinds == 0))
    no_code = (code_status == MISSING) | ((code_status == VALID) & (codes == 0))
    in_dst = no_kind & (code_status == VALID) & (codes > _LARGEST_BYTE)
    in_src = no_code & (kind_status == VALID) & (kinds > _LARGEST_BYTE) & (kinds != UNKNOWN_ICMP_TYPE)
    # Some exporters give the type and, again with it, the code.
    in_both = (kind_status == VALID) & (code_status == VALID) & (codes > _LARGEST_BYTE) & (codes >> 8 == kinds)
    joint = np.where(in_src, kinds, codes)
    split = in_dst | in_src | in_both
    kinds, codes = np.where(split, joint >> 8, kinds), np.where(split, joint & 0xFF, codes)
    kind_status, code_status = np.where(split, VALID, kind_status), np.where(split, VALID, code_status)
    own_kind, own_code = _own(raw, "icmp_type", rows), _own(raw, "icmp_code", rows)
    if own_kind is not None:
        use = own_kind.status != MISSING
        # A type without a code: the port may hold the identifier of an echo request, which is no code.
        codes = np.where(use & (codes > _LARGEST_BYTE), 0, codes)
        kinds, kind_status = np.where(use, own_kind.values, kinds), np.where(use, own_kind.status, kind_status)
    if own_code is not None:
        use = own_code.status != MISSING
        codes, code_status = np.where(use, own_code.values, codes), np.where(use, own_code.status, code_status)
    kinds = np.where(kind_status == MISSING, UNKNOWN_ICMP_TYPE, kinds)
    good_kind = (kind_status != INVALID) & ((kinds <= _LARGEST_BYTE) | (kinds == UNKNOWN_ICMP_TYPE))
    good_code = (code_status != INVALID) & (codes <= _LARGEST_BYTE)
    return (
        Parsed(kinds, np.where(good_kind, VALID, INVALID).astype(np.uint8)),
        Parsed(codes, np.where(good_code, VALID, INVALID).astype(np.uint8)),
    )


def _own(raw: Mapping[str, pa.Array], field: str, rows: int) -> Parsed | None:
    return parse_numbers(raw[field], _LARGEST_BYTE) if field in raw else None


def _split_dotted(
    raw: Mapping[str, pa.Array],
    kinds: np.ndarray,
    kind_status: np.ndarray,
    codes: np.ndarray,
    code_status: np.ndarray,
) -> None:
    """Reads `type.code` in the destination port, in place.

    `8.0` is also how 8 is written where a table of numbers went through floats; but then the source port has a point
    too.
    """
    parts = pc.extract_regex(_text(raw["dst_port"]), r"^\s*(?P<kind>\d{1,3})\.(?P<code>\d{1,3})\s*$")
    dotted = np.asarray(parts.is_valid())
    if "src_port" in raw and is_text(raw["src_port"].type):
        pointed = pc.match_substring(_text(raw["src_port"]), ".").fill_null(False)
        dotted &= ~np.asarray(pointed)
    dotted &= (kind_status == MISSING) | (kinds == 0)
    kind = parse_numbers(pc.struct_field(parts, "kind"), _LARGEST_PORT).values
    code = parse_numbers(pc.struct_field(parts, "code"), _LARGEST_PORT).values
    kinds[dotted], codes[dotted] = np.asarray(kind)[dotted], np.asarray(code)[dotted]
    kind_status[dotted], code_status[dotted] = VALID, VALID


def _text(values: pa.Array) -> pa.Array:
    """Text whose bytes are ASCII; other bytes make it empty, as no number has any."""
    try:
        return values.cast(pa.string())
    except pa.ArrowInvalid:
        found = values.cast(pa.binary()).to_pylist()
        plain = [value if value is not None and value.isascii() else b"" for value in found]
        return pa.array(plain, pa.binary()).cast(pa.string())
