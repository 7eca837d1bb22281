"""What must hold for any input: it either raises one of our errors, or every row is accounted for."""

import re
from pathlib import Path

from telescope_transformer.errors import TelescopeError
from telescope_transformer.records import scan_records
from telescope_transformer.records.reading import REJECTS_LISTED, RecordScan

# Formats whose rows are lines, and the number of lines that are not rows: the line that names the columns.
_LINE_FORMATS = {"csv": 1, "zeek": 0, "zeek-json": 0, "suricata": 0, "json": 0, "aws-vpc": 0, "firewall-log": 0}
_LINE_FORMATS |= {"nfdump-csv": 1, "binetflow": 1, "silk": 1, "yaf": 1, "pmacct": 1, "nprobe": 1, "tshark": 1}
_LINE_FORMATS |= {"cicflowmeter": 1, "zmap": 1, "dshield": 0, "yafscii": 0, "nfdump-line": 0, "nfdump-pipe": 0}
_LINE_FORMATS |= {"masscan-list": 0, "cowrie": 0, "dionaea": 0, "honeytrap": 0, "nprobe-json": 0, "pmacct-json": 0}
_LINE_FORMATS |= {"nfdump-json": 0, "ipfix-json": 0, "masscan": 0, "zmap-json": 0, "aws-vpc-json": 0}
_LINE_FORMATS |= {"firewall-json": 0, "cowrie-text": 0, "ids-alerts": 0, "nfdump-events": 0, "gcp-vpc": 0}
_LINE_FORMATS |= {"honeyd": 0, "flowtuple-text": 0, "honeypy": 0, "conpot": 0, "tshark-json": 0}


def examine(path: Path, content: bytes, *, per_packet: bool = False) -> str | None:
    """Reads a file, and returns what went wrong; None if nothing did."""
    scan = None
    try:
        scan = scan_records(path, per_packet=per_packet)
        rows = 0
        for batch in scan:
            batch.validate(full=True)
            rows += batch.num_rows
        scan.rejects.validate(full=True)
        told = scan.summary()
    except TelescopeError as error:
        if "cannot be read as" in str(error) and error.__cause__ is not None:
            return f"only the last boundary caught {error}"
        return None if str(error).replace("\n", "").isprintable() else f"an unprintable message: {error!r}"
    except Exception as error:  # Any other exception is what the fuzzer looks for.
        return f"{type(error).__name__}: {error}"
    if not told.replace("\n", "").isprintable():
        return f"an unprintable summary: {told!r}"
    return _account(scan, rows, content)


def _account(scan: RecordScan, rows: int, content: bytes) -> str | None:
    counts = scan.counts
    if rows != counts.kept or counts.read != counts.kept + counts.rejected:
        return f"{rows} rows came, counted are {counts}"
    if scan.rejects.num_rows != min(counts.rejected, REJECTS_LISTED):
        return f"{scan.rejects.num_rows} rejects are listed of {counts.rejected}"
    name = scan.sources[0].format if scan.sources else None
    if name not in _LINE_FORMATS or scan.damage or b'"' in content or b"\0" in content[:4096]:
        return None
    lines = [line for line in re.split(rb"\r\n|\n|\r", content) if line.strip()]
    if name == "zeek":
        lines = [line for line in lines if not line.lstrip(b"\t ").startswith(b"#")]
    if b"Summary" in content:
        return None
    expected = len(lines) - _LINE_FORMATS[name]
    accounted = counts.read + counts.skipped
    return None if accounted >= expected else f"{name}: {accounted} of {expected} rows are accounted for"
