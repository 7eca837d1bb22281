"""Tables that are one JSON value, values that are formulas, and rare delimiters and encodings."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from variants import TCP, TCP6, UDP, Variant, Variants

VARIANTS = Variants()
HEADER = "timestamp,src_ip,dst_ip,protocol,src_port,dst_port\n"
ROW = "2016-07-21T17:50:56Z,192.0.2.1,198.51.100.7,tcp,40000,23\n"
NAMES = HEADER.strip().split(",")
ROWS = [ROW.strip().split(","), ROW.strip().replace("tcp", "udp").replace(",23", ",53").split(",")]
RECORDS = [dict(zip(NAMES, row, strict=True)) for row in ROWS]


def add(name: str, value: Any) -> None:
    VARIANTS.add(name, json.dumps(value) + "\n", [TCP, UDP], format="json")
    VARIANTS.add(f"{name}, over lines", json.dumps(value, indent=1), [TCP, UDP], format="json")


add("pandas by columns", {name: {str(n): record[name] for n, record in enumerate(RECORDS)} for name in NAMES})
add("pandas by rows", {str(n): record for n, record in enumerate(RECORDS)})
add("pandas split", {"columns": NAMES, "index": [0, 1], "data": ROWS})
add("a list for each column", {name: [record[name] for record in RECORDS] for name in NAMES})
add("ClickHouse", {"meta": [{"name": name, "type": "String"} for name in NAMES], "data": ROWS, "rows": 2})
add("Elasticsearch's SQL", {"columns": [{"name": name, "type": "keyword"} for name in NAMES], "rows": ROWS})
add("Splunk's rows", {"preview": False, "fields": NAMES, "rows": ROWS})

FORMULAS = ",".join(f'="{value}"' for value in ROWS[0]) + "\n"
QUOTED = ",".join(f'"=""{value}"""' for value in ROWS[0]) + "\n"
VARIANTS.add("formulas", HEADER + FORMULAS, [TCP])
VARIANTS.add("quoted formulas", HEADER + QUOTED, [TCP])
VARIANTS.add(
    "a header of formulas", ",".join(f'="{name}"' for name in NAMES) + "\r\n" + FORMULAS.strip() + "\r\n", [TCP]
)
for delimiter in "\x01\x1f^":
    VARIANTS.add(f"delimiter {delimiter!r}", (HEADER + ROW).replace(",", delimiter), [TCP])
for encoding in ("utf-32", "utf-16"):
    VARIANTS.add(encoding, (HEADER + ROW).encode(encoding), [TCP])
VARIANTS.add("utf-32, big-endian", ("\ufeff" + HEADER + ROW).encode("utf-32-be"), [TCP])

for hidden in ("198.51.x.x", "198.51.100.xxx", "198.51.100.*"):
    VARIANTS.add(f"hidden {hidden}", HEADER + ROW + ROW.replace("198.51.100.7", hidden), [TCP], rejected=1)

WITH_PORTS = {"time": "2016-07-21T17:50:56Z", "remote_addr": "192.0.2.1:40000", "proto": "tcp"}
VARIANTS.add("ports behind addresses", json.dumps(WITH_PORTS | {"local_addr": "198.51.100.7:23"}), [TCP])
VARIANTS.add(
    "ports behind addresses of IPv6",
    json.dumps(WITH_PORTS | {"remote_addr": "[2001:db8::1]:40000", "local_addr": "[2001:db8::7]:23"}),
    [TCP6],
)
SOURCES = (HEADER + ROW).replace(",src_port", "").replace(",40000", "").replace("192.0.2.1", "192.0.2.1:40000")
VARIANTS.add("a port behind a source", SOURCES, [TCP])
for absent in ("", "-", "NULL"):
    VARIANTS.add(
        f"a port behind an address, and {absent!r} as its own port",
        HEADER + ROW.replace("192.0.2.1", "192.0.2.1:40000").replace(",40000,", f",{absent},"),
        [TCP],
    )
VARIANTS.add(
    "no number behind an address",
    HEADER + ROW.replace("192.0.2.1", "192.0.2.1:"),
    [TCP],
)

for source, destination, address, port in (
    ("client", "server", "address", "port"),
    ("attacker", "target", "host", "port"),
    ("initiator", "responder", "ip_address", "port_number"),
    ("peer", "local", "addr", "port"),
    ("src", "dest", "ipv4", "portno"),
):
    ends: dict[str, Any] = {"observed_at": "2016-07-21T17:50:56Z", "transport_protocol": "tcp"}
    nested = ends | {source: {address: "192.0.2.1", port: 40000}, destination: {address: "198.51.100.7", port: 23}}
    VARIANTS.add(f"{source}.{address}", json.dumps(nested), [TCP])
    flat = ends | {f"{source}_{address}": "192.0.2.1", f"{source}_{port}": 40000}
    flat |= {f"{destination}_{address}": "198.51.100.7", f"{destination}_{port}": 23}
    VARIANTS.add(f"{source}_{address}", json.dumps(flat), [TCP])
VARIANTS.add("an endless protocol", HEADER + ROW + ROW.replace("tcp", "a-" * 8000), [TCP], rejected=1)
for encoding in ("utf-8-sig", "utf-16"):
    VARIANTS.add(f"put together, each with a mark, {encoding}", 2 * (HEADER + ROW).encode(encoding), [TCP, TCP])
TURNED = {"timestamp": "2016-07-21T17:50:56Z", "ip_src": "192.0.2.1", "ip_dst": "198.51.100.7", "protocol": 6}
VARIANTS.add("ip_src, not of pmacct", json.dumps(TURNED | {"port_src": 40000, "port_dst": 23}), [TCP])


DENIED = "gw kernel: DROP IN=eth0 OUT= SRC=192.0.2.1 DST=198.51.100.7 LEN=40 PROTO=TCP SPT=40000 DPT=23 SYN"
CONNECT = {"eventid": "cowrie.session.connect", "timestamp": ROWS[0][0], "protocol": "ssh", "src_port": 40000}
CONNECT |= {"src_ip": "192.0.2.1", "dst_ip": "198.51.100.7", "dst_port": 23}
AWS = "2 123456789012 eni-1 192.0.2.1 198.51.100.7 40000 23 6 1 40 1469123456 1469123466 REJECT OK"


def log_table(name: str, *rows: list[str], **more: Any) -> None:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows(rows)
    VARIANTS.add(f"log lines of {name}", text.getvalue(), [TCP], **{"format": "log-table", **more})


log_table("Splunk", ["_time", "_raw"], ["2016-07-21T19:50:56+02:00", DENIED], ["1469123456", "sshd: x"], skipped=1)
log_table("Splunk, a single column", ["_raw"], [json.dumps(CONNECT)])
log_table("Splunk, over two lines", ["_time", "_raw"], ["1469123456", DENIED.replace(": ", ":\n")])
log_table("Graylog", ["timestamp", "source", "message"], ["2016-07-21T17:50:56.000Z", "gw", DENIED])
log_table("Grafana", ["Time", "Line"], ["2016-07-21 17:50:56", json.dumps(RECORDS[0])])
log_table("CloudWatch", ["@timestamp", "@message"], ["2016-07-21 17:50:59", AWS])
log_table(
    "Splunk with a quote that is not closed",
    ["_time", "_raw"],
    ["1469123456", DENIED],
    ["1469123456", "x" * (csv.field_size_limit() + 1)],
    rejected=1,
)
VARIANTS.add("other lines in a table", "time,message\n2016-07-21,hello\n", None)


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_whole_tables_give_the_expected_records(tmp_path: Path, variant: Variant) -> None:
    variant.check(tmp_path)
