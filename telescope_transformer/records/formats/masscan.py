"""Results of a scan by masscan: its JSON (`-oJ`, `-oD`) and its list (`-oL`).

These records are what a scanner measured, not what a telescope received. The source is the host that answered, and the
destination port is the scanned port of that host, so that hosts are grouped by the services that they offer.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.records.context import Format, ReadContext
from telescope_transformer.records.delimited import Layout, Table, text_rows
from telescope_transformer.records.files import InputFile
from telescope_transformer.records.json_records import Dialect
from telescope_transformer.records.splitting import BLANKS
from telescope_transformer.records.text_blocks import TextBlocks, as_utf8
from telescope_transformer.records.validation import Chunk, Validator

_NOTE = (
    "results of a scan, not traffic seen by a telescope: sources are the hosts that answered, without a destination"
)


def matches(record: Mapping[str, Any]) -> bool:
    """Whether an object is a host that masscan found (`-oJ` or `-oD`), or the marker at the end of its file."""
    found = "ip" in record and (isinstance(record.get("ports"), list) or "rec_type" in record)
    return found or set(record) == {"finished"}


def fields(record: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """The fields of the open ports of a host. Banners and closed ports are left out."""
    if "rec_type" in record:
        data = record.get("data")
        ports = [{**record, **data}] if record["rec_type"] == "status" and isinstance(data, dict) else []
    else:
        ports = [port for port in record.get("ports") or [] if isinstance(port, dict) and "service" not in port]
    open_ports = [port for port in ports if port.get("status") != "closed"]
    found = [
        {
            "timestamp": record.get("timestamp"),
            "src_ip": record["ip"],
            "dst_ip": None,
            "protocol": port.get("proto"),
            "dst_port": port.get("port"),
            "ttl": port.get("ttl"),
        }
        for port in open_ports
    ]
    return found or None


DIALECT = Dialect("masscan", matches, fields, note=_NOTE)


def _is_of_search_engine(record: Mapping[str, Any]) -> bool:
    """Whether an object is a host or service in an export of Shodan or Censys."""
    return "_shodan" in record or ("ip" in record and isinstance(record.get("services"), list))


OTHERS_DIALECT = Dialect(
    "scan-results",
    _is_of_search_engine,
    lambda record: None,
    absent="services that Shodan or Censys found, not traffic seen by a telescope",
)


def sniff_list(head: bytes) -> bool:
    """Whether the head belongs to a list by masscan."""
    return as_utf8(head).startswith(b"#masscan")


def read_list(file: InputFile, context: ReadContext) -> Iterator[Chunk]:
    """Flow records of a list, whose lines look like `open tcp 80 192.0.2.1 1469123456`."""
    layout = Layout(("state", "protocol", "dst_port", "src_ip", "timestamp"), BLANKS, quoted=False, comment=ord("#"))
    context.note(_NOTE, file.name)
    table, validator = Table(layout, layout.names, file.name), Validator(file.name, context)
    for batch in text_rows(TextBlocks(file.blocks(), file.name), table):
        is_open = np.asarray(pc.equal(batch.columns["state"], pa.scalar(b"open")))
        # A line with a banner has further columns.
        is_banner = pc.starts_with(batch.malformed["value"], "banner ")
        malformed = batch.malformed.filter(pc.invert(is_banner))
        raw = {name: column.filter(pa.array(is_open)) for name, column in batch.columns.items()}
        left_out = (~is_open).sum() + batch.malformed.num_rows - malformed.num_rows
        yield validator.chunk(raw, batch.rows[is_open], malformed, batch.skipped + int(left_out))


LIST_FORMAT = Format("masscan-list", sniff_list, read_list)
