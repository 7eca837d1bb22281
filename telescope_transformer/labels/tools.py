"""Recognises the tool that sent a packet by marks in its IP and TCP headers.

A mark of 16 bits occurs by chance in one packet of 65,536. A single match is therefore only a hint; agreement among
the records of a source is evidence. Users of a tool can turn most marks off. Marks that need several packets are
tested over all SYNs of a source in the given table.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.labels.prefixes import annotated
from telescope_transformer.records.addresses import parse_ipv4
from telescope_transformer.records.schema import TCP

# Bits of the TCP flags (RFC 9293, section 3.1).
_SYN, _ACK = 0x02, 0x10
# Two SYNs may agree by chance; three rarely do.
_FEWEST_SYNS = 3


class _Headers(NamedTuple):
    """Columns of n records as NumPy arrays; `syn` marks TCP records with a sequence number that open a connection."""

    dst: np.ndarray
    src_port: np.ndarray
    dst_port: np.ndarray
    ip_id: np.ndarray
    has_ip_id: np.ndarray
    seq: np.ndarray
    syn: np.ndarray
    source: np.ndarray


def _column(table: pa.Table, name: str) -> tuple[np.ndarray, np.ndarray]:
    """A column as int64 with 0 for null, and a mask of its non-null values; all null if the table lacks it."""
    if name not in table.schema.names:
        return np.zeros(table.num_rows, dtype=np.int64), np.zeros(table.num_rows, dtype=bool)
    column = table.column(name)
    return column.cast(pa.int64()).fill_null(0).to_numpy(), column.is_valid().to_numpy()


def _headers(table: pa.Table) -> _Headers:
    dst, is_ipv4 = parse_ipv4(table.column("dst_ip"))
    ip_id, has_ip_id = _column(table, "ip_id")
    seq, has_seq = _column(table, "tcp_seq")
    flags, has_flags = _column(table, "tcp_flags")
    opens = ~has_flags | (flags & (_SYN | _ACK) == _SYN)
    tcp = table.column("protocol").to_numpy() == TCP
    source = pc.index_in(table.column("src_ip"), pc.unique(table.column("src_ip"))).to_numpy()
    return _Headers(
        dst.astype(np.int64),
        _column(table, "src_port")[0],
        _column(table, "dst_port")[0],
        ip_id,
        has_ip_id,
        seq,
        tcp & has_seq & is_ipv4 & opens,
        source,
    )


def is_zmap(headers: _Headers) -> np.ndarray:
    """IP id 54321, which ZMap sent by default until its releases of 2024; any protocol.

    Durumeric, Bailey, Halderman: An Internet-Wide View of Internet-Wide Scanning, USENIX Security 2014, section 3;
    the change of the default: Durumeric et al.: Ten Years of ZMap, IMC 2024.
    """
    marked: np.ndarray = headers.has_ip_id & (headers.ip_id == 54321)
    return marked


def is_masscan(headers: _Headers) -> np.ndarray:
    """IP id equal to the low 16 bits of destination address xor destination port xor sequence number.

    Durumeric, Bailey, Halderman: An Internet-Wide View of Internet-Wide Scanning, USENIX Security 2014, section 3.
    """
    mark = (headers.dst ^ headers.dst_port ^ headers.seq) & 0xFFFF
    marked: np.ndarray = headers.syn & headers.has_ip_id & (headers.ip_id == mark)
    return marked


def is_mirai(headers: _Headers) -> np.ndarray:
    """Sequence number equal to the destination address.

    Antonakakis et al.: Understanding the Mirai Botnet, USENIX Security 2017, section 3.1.
    """
    marked: np.ndarray = headers.syn & (headers.seq == headers.dst)
    return marked


def _spread(values: np.ndarray, headers: _Headers) -> np.ndarray:
    """Largest minus smallest of `values` over the SYNs of each source, for each of its records (-1 without SYNs)."""
    sources = int(headers.source.max(initial=-1)) + 1
    largest = np.full(sources, -1, dtype=np.int64)
    smallest = np.full(sources, np.iinfo(np.int64).max, dtype=np.int64)
    np.maximum.at(largest, headers.source[headers.syn], values[headers.syn])
    np.minimum.at(smallest, headers.source[headers.syn], values[headers.syn])
    spread: np.ndarray = np.where(largest < 0, -1, largest - smallest)[headers.source]
    return spread


def _has_enough_syns(headers: _Headers) -> np.ndarray:
    enough: np.ndarray = np.bincount(headers.source, weights=headers.syn, minlength=1)[headers.source] >= _FEWEST_SYNS
    return enough


def is_unicornscan(headers: _Headers) -> np.ndarray:
    """Sequence number xor destination address xor (destination port, source port) is one secret for all SYNs.

    See the macro TCPHASHTRACK in the source of unicornscan. The address has the byte order of the scanning machine, so
    both orders are tried. Compare Ghiette, Blenn, Doerr: Remote Identification of Port Scan Toolchains, NTMS 2016.
    This needs three SYNs to more than one target.
    """
    swapped = headers.dst.astype(np.uint32).byteswap().astype(np.int64)
    ports = (headers.dst_port << 16) | headers.src_port
    varied = (_spread(headers.dst ^ ports, headers) > 0) & (_spread(headers.seq, headers) > 0)
    same = (_spread(headers.seq ^ headers.dst ^ ports, headers) == 0) | (
        _spread(headers.seq ^ swapped ^ ports, headers) == 0
    )
    marked: np.ndarray = headers.syn & varied & same & _has_enough_syns(headers)
    return marked


def is_nmap(headers: _Headers) -> np.ndarray:
    """The halves of the sequence number differ by one secret in all SYNs, while the numbers themselves differ.

    `seq32_encode` in Nmap's scan_engine_raw.cc writes the number of the try into both halves and hides them with a
    mask that is drawn once per scan. A tool that always sends the same sequence number is not taken for Nmap.
    """
    folded = (headers.seq >> 16) ^ (headers.seq & 0xFFFF)
    same = _spread(folded, headers) == 0
    marked: np.ndarray = headers.syn & same & (_spread(headers.seq, headers) > 0) & _has_enough_syns(headers)
    return marked


# In order of precedence: the mark that is least likely to occur by chance comes first.
MARKS = {"mirai": is_mirai, "unicornscan": is_unicornscan, "masscan": is_masscan, "zmap": is_zmap, "nmap": is_nmap}


def tool_fingerprints(table: pa.Table) -> pa.Array:
    """The tool that the headers of each of n records point to: one of `MARKS` (string, null for none).

    The headers of a flow record are those of its first packet. If the table lacks a column that a mark needs (`ip_id`,
    `tcp_seq`), that mark is left out.
    """
    headers = _headers(table)
    codes = np.full(table.num_rows, -1, dtype=np.int8)
    for code, is_marked in reversed(list(enumerate(MARKS.values()))):
        codes[is_marked(headers)] = code
    indices = pa.array(codes, mask=codes < 0)
    return pa.DictionaryArray.from_arrays(indices, pa.array(list(MARKS))).dictionary_decode()


def add_tools(table: pa.Table) -> pa.Table:
    """`table` with its column `tool` set; the tool that the input gives is kept where no mark is found."""
    return annotated(table, "tool", tool_fingerprints(table))
