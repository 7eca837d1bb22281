"""Lists the readable formats, and finds the format of a file by its content, never by its name.

A reader of another package registers itself by an entry point of the group `telescope_transformer.readers` that names
a `records.context.Format`; it is asked before the readers of this package.
"""

import re
from difflib import get_close_matches
from functools import cache, partial

from telescope_transformer.errors import InputError
from telescope_transformer.plugins import load_plugins
from telescope_transformer.records.columns import NUMBERED
from telescope_transformer.records.context import Format
from telescope_transformer.records.damage import NotFlowRecords
from telescope_transformer.records.files import InputFile
from telescope_transformer.records.formats import (
    any_json,
    aws_vpc,
    azure,
    binetflow,
    cicflowmeter,
    cowrie,
    csv,
    dionaea,
    dshield,
    elastic,
    firewall_logs,
    firewall_vendors,
    flow_tools,
    flowtuple,
    flowtuple_text,
    goflow2,
    google_vpc,
    honeyd,
    honeypots,
    honeypy,
    honeytrap,
    ids_alerts,
    ipfix_json,
    masscan,
    nfdump,
    nprobe,
    oracle,
    parquet_orc_arrow,
    pcap,
    pcapng,
    pmacct,
    silk,
    suricata,
    tcpdump,
    tshark,
    windows_firewall,
    yaf,
    zeek,
    zmap,
)
from telescope_transformer.records.formats.log_tables import log_table_format
from telescope_transformer.records.json_records import json_formats

ENTRY_POINTS = "telescope_transformer.readers"

# Programs whose fields have common names, except for what their dialects know.
_COMMON_NAMES = (
    tshark.JSON_DIALECT,
    firewall_vendors.PAN_OS_JSON,
    firewall_vendors.FORTIGATE_JSON,
    honeypots.T_POT,
    honeypots.OPENCANARY,
    honeypots.CONPOT,
    honeypy.DIALECT,
    elastic.DIALECT,
)
_JSON_DIALECTS = (
    zeek.JSON_DIALECT,
    suricata.DIALECT,
    cowrie.DIALECT,
    dionaea.DIALECT,
    honeytrap.DIALECT,
    ipfix_json.DIALECT,
    nprobe.DIALECT,
    nprobe.VFLOW_DIALECT,
    pmacct.DIALECT,
    nfdump.JSON_DIALECT,
    masscan.DIALECT,
    masscan.OTHERS_DIALECT,
    zmap.DIALECT,
    aws_vpc.JSON_DIALECT,
    azure.DIALECT,
    oracle.DIALECT,
    goflow2.DIALECT,
    google_vpc.DIALECT,
    firewall_logs.MESSAGE_DIALECT,
    ids_alerts.SNORT_DIALECT,
    *_COMMON_NAMES,
)
_any_json = partial(any_json.json_dialect, programs=_COMMON_NAMES)

# Binary formats come first, then text with distinctive marks. CSV comes last, because nearly any text passes for it.
_BUILT_IN = (
    parquet_orc_arrow.PARQUET,
    parquet_orc_arrow.ARROW,
    parquet_orc_arrow.ORC,
    pcap.FORMAT,
    pcapng.FORMAT,
    flowtuple.FORMAT,
    flowtuple_text.FORMAT,
    nfdump.BINARY_FORMAT,
    zeek.TEXT_FORMAT,
    *json_formats(_JSON_DIALECTS, _any_json),
    binetflow.FORMAT,
    nfdump.CSV_FORMAT,
    nfdump.PIPE_FORMAT,
    masscan.LIST_FORMAT,
    silk.FORMAT,
    yaf.TABLE_FORMAT,
    pmacct.FORMAT,
    nprobe.FORMAT,
    cicflowmeter.FORMAT,
    windows_firewall.FORMAT,
    flow_tools.FORMAT,
    google_vpc.FORMAT,
    tshark.FORMAT,
    zeek.CSV_FORMAT,
    zmap.FORMAT,
    dshield.FORMAT,
    nfdump.LINE_FORMAT,
    nfdump.EVENT_FORMAT,
    tcpdump.FORMAT,
    ids_alerts.FORMAT,
    aws_vpc.FORMAT,
    firewall_logs.FORMAT,
    cowrie.TEXT_FORMAT,
    honeyd.FORMAT,
    honeypy.FORMAT,
    yaf.LINE_FORMAT,
    log_table_format(_JSON_DIALECTS, _any_json),
    csv.FORMAT,
)

# Text that holds flow records in a form that is not supported, and what to do about it.
_REFUSED = (
    (zeek.OTHER_LOG, "a log of Zeek as CSV, but not of connections"),
    (re.compile(rb"\s*Flow Record:\s*\n"), "nfdump's raw text; export it with TZ=UTC nfdump -r FILE -o csv"),
    (
        re.compile(rb"\s*\[\*\*\] \[\d+:\d+:\d+\]"),
        "alerts of Snort over several lines (alert_full); write alert_fast, one line each",
    ),
    (
        re.compile(rb" *StartTime +(?:\w+ +)*SrcAddr +Sport\b"),
        "columns of Argus between blanks; write commas and complete times with ra -u -n -c ,",
    ),
    (
        re.compile(rb"(?:startDatagram =|(?:FLOW|CNTR),[\da-f.:]+,)"),
        "text of sflowtool without times of flows; write a capture with sflowtool -t",
    ),
    (
        re.compile(rb"(?:<\d+>)?\[ *\d{1,8}\.\d{6}\] "),
        "kernel messages with times since the start of the machine; write dates with dmesg --time-format iso",
    ),
)


@cache
def formats() -> dict[str, Format]:
    """All formats by name; those of other packages are asked first.

    Raises:
        InputError: if a reader of another package cannot be loaded.
    """
    others = load_plugins(ENTRY_POINTS, "reader", lambda found: isinstance(found, Format), InputError)
    found: dict[str, Format] = {reader.name: reader for reader in others.values()}
    return found | {reader.name: reader for reader in _BUILT_IN if reader.name not in found}


def format_names() -> list[str]:
    """The names that `format` takes, `auto` first."""
    return ["auto", *formats()]


def find_format(file: InputFile, name: str = "auto") -> Format:
    """The format called `name`, or with `auto` the format that the file's first bytes show.

    Raises InputError if the file is empty or its format unknown, or if there is no format of this name.
    """
    if name != "auto":
        if name not in formats():
            near = get_close_matches(str(name), format_names()) or format_names()
            raise InputError(
                f"unknown format {name!r}; {'the nearest' if len(near) < 4 else 'formats'} are {', '.join(near)}"
            )
        return formats()[name]
    refused = next((told for mark, told in _REFUSED if mark.match(file.head)), None)
    if refused is not None:
        raise NotFlowRecords(file.name, refused)
    found = next((candidate for candidate in formats().values() if candidate.sniff(file.head)), None)
    if found is None:
        raise NotFlowRecords(
            file.name,
            "not in a format that can be read; docs/how-to/formats.md lists the captures, logs and tables that can, "
            "and any text table with a line that names its columns can, too (see --columns); for a table without such "
            f"a line, give the numbers of its columns, as in --format csv {NUMBERED}",
        )
    return found
