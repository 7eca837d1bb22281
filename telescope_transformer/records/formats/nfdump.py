"""NetFlow and IPFIX as nfdump keeps them: its CSV export, and its binary files where nfdump itself is installed.

The export writes local time; it is read as UTC, so export with `TZ=UTC`. Both layouts of the export are known, that
of nfdump up to 1.7.2 and the short one since. `tcp_flags` are those of all packets of a flow together.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.errors import InputError
from telescope_transformer.records.context import Format, ReadContext
from telescope_transformer.records.delimited import Layout, column_names, header_line, raw_batches
from telescope_transformer.records.files import DamagedInput, InputFile, LineStream
from telescope_transformer.records.validation import Chunk, validate

_LONG_LAYOUT = {
    "timestamp": "ts",
    "src_ip": "sa",
    "dst_ip": "da",
    "src_port": "sp",
    "dst_port": "dp",
    "protocol": "pr",
    "tcp_flags": "flg",
    "packets": "ipkt",
    "bytes": "ibyt",
}
_SHORT_LAYOUT = {
    "timestamp": "firstSeen",
    "src_ip": "srcAddr",
    "dst_ip": "dstAddr",
    "src_port": "srcPort",
    "dst_port": "dstPort",
    "protocol": "proto",
    "tcp_flags": "flags",
    "packets": "packets",
    "bytes": "bytes",
}
_OPTIONAL = {"tcp_flags", "packets", "bytes"}
_TRAILERS = ("Summary", "No matching flows")

# Raw times and unscaled numbers, so that nothing depends on the zone or on rounding.
_BINARY_FIELDS = {
    "timestamp": "%tsr",
    "protocol": "%pr",
    "src_ip": "%sa",
    "src_port": "%sp",
    "dst_ip": "%da",
    "dst_port": "%dp",
    "tcp_flags": "%flg",
    "packets": "%ipkt",
    "bytes": "%ibyt",
    "icmp_type": "%it",
    "icmp_code": "%ic",
}
_ICMP = pa.array(["ICMP", "ICMP6", "ICMPV6", "IPV6-ICMP", "1", "58"])


def sniff_csv(head: bytes) -> bool:
    """Whether the first line names the columns of nfdump's CSV export."""
    line = header_line(head)
    return line.startswith(b"ts,te,td,sa,da,sp,dp,pr") or line.startswith(b"firstSeen,duration,proto,srcAddr,srcPort")


def sniff_binary(head: bytes) -> bool:
    """Whether the head is that of an nfdump file of layout 1 or 2."""
    return len(head) >= 4 and head[:2] == b"\x0c\xa5" and head[2:4] in (b"\x01\0", b"\x02\0")


def _is_icmp(protocol: pa.Array) -> pa.Array:
    names = pc.utf8_upper(pc.utf8_trim_whitespace(protocol.cast(pa.string())))
    return pc.is_in(names, value_set=_ICMP)


def _split_icmp(ports: pa.Array, icmp: pa.Array) -> dict[str, pa.Array]:
    """Type and code of the ICMP rows, which the export writes as the destination port `type.code`."""
    nothing = pa.scalar(None, pa.string())
    text = pc.if_else(icmp, pc.utf8_trim_whitespace(ports.cast(pa.string())), nothing)
    parts = pc.extract_regex(text, r"^(?P<kind>\d{1,3})\.(?P<code>\d{1,3})$")
    return {"icmp_type": pc.struct_field(parts, "kind"), "icmp_code": pc.struct_field(parts, "code")}


def _without_icmp_ports(raw: dict[str, pa.Array], icmp: pa.Array) -> dict[str, pa.Array]:
    blank = pa.scalar(b"", pa.binary())
    return raw | {field: pc.if_else(icmp, blank, raw[field]) for field in ("src_port", "dst_port")}


def read_csv(file: InputFile, context: ReadContext) -> Iterator[Chunk]:
    """Flow records of nfdump's CSV export; the summary behind them is passed over."""
    names = column_names(file.head, ",")
    known = _LONG_LAYOUT if "sa" in names else _SHORT_LAYOUT
    missing = [column for field, column in known.items() if column not in names and field not in _OPTIONAL]
    if missing:
        raise InputError(f"{file.path}: an nfdump export without the column {', '.join(missing)}")
    columns = {field: column for field, column in known.items() if column in names}
    context.note("times of an nfdump CSV export are taken as UTC")
    stream, layout = LineStream(file.blocks(), str(file.path)), Layout(trailers=_TRAILERS)
    for batch, rows, malformed in raw_batches(stream, layout, list(columns.values()), str(file.path)):
        raw = {field: batch.column(column) for field, column in columns.items()}
        icmp = _is_icmp(raw["protocol"])
        raw = _without_icmp_ports(raw | _split_icmp(raw["dst_port"], icmp), icmp)
        chunk = validate(raw, rows, str(file.path), context.sensors)
        yield chunk._replace(rejects=pa.concat_tables([chunk.rejects, malformed]))


def _exported(file: InputFile, program: str) -> Iterator[bytes]:
    """What nfdump prints of a binary file; raises DamagedInput if it complains."""
    command = [program, "-r", os.path.abspath(file.path), "-q", "-N", "-6"]
    command += ["-o", "fmt:" + ",".join(_BINARY_FIELDS.values())]
    # Complaints go to a file: a full pipe that nobody reads would stop nfdump.
    with (
        tempfile.TemporaryFile() as complaints,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=complaints) as process,
    ):
        while process.stdout is not None and (block := process.stdout.read(1 << 20)):
            yield block
        status = process.wait()
        complaints.seek(0)
        complaint = " ".join(complaints.read(500).decode("utf-8", "replace").split())
        if status or complaint:
            raise DamagedInput(file.path, None, f"nfdump says: {complaint or f'exit status {status}'}")


def read_binary(file: InputFile, context: ReadContext) -> Iterator[Chunk]:
    """Flow records of a binary file, through nfdump; raises InputError with what to do where it is not installed."""
    program = shutil.which("nfdump")
    if program is None:
        raise InputError(
            f"{file.path}: a binary nfdump file; install nfdump to read it, or export it where nfdump is: "
            f"TZ=UTC nfdump -r {file.path.name} -o csv > {file.path.stem}.csv"
        )
    layout = Layout(names=tuple(_BINARY_FIELDS), quoted=False, trailers=_TRAILERS)
    stream = LineStream(_exported(file, program), str(file.path))
    for batch, rows, malformed in raw_batches(stream, layout, list(_BINARY_FIELDS), str(file.path)):
        raw = {field: batch.column(field) for field in _BINARY_FIELDS}
        icmp = _is_icmp(raw["protocol"])
        chunk = validate(_without_icmp_ports(raw, icmp), rows, str(file.path), context.sensors)
        yield chunk._replace(rejects=pa.concat_tables([chunk.rejects, malformed]))


CSV_FORMAT = Format("nfdump-csv", sniff_csv, read_csv)
BINARY_FORMAT = Format("nfdump", sniff_binary, read_binary)
