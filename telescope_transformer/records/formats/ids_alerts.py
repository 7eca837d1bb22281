"""Alerts as lines of text: Suricata's fast.log, the alert_fast of Snort 2 and 3, and what both send to syslog.

Several rules may match one packet. Of consecutive alerts with the same time, protocol, addresses and ports, only the
first becomes a record. Suricata writes the year, and the ICMP type and code as ports. Snort does not write the ICMP
type, and writes the year only with -y.
Sources: src/alert-fastlog.c of Suricata; src/loggers/alert_fast.cc of Snort 3.
"""

import re
from collections.abc import Mapping
from typing import Any

from telescope_transformer.records.json_records import Dialect
from telescope_transformer.records.log_clock import LogClock
from telescope_transformer.records.log_lines import Fields, line_format
from telescope_transformer.records.raw_records import NOTE

_ALERTS = "alerts cover only traffic that matches a rule; flow events of Suricata and captures cover all traffic"
_NO_ZONE = "times of alerts have no zone and are taken as UTC"

_LINE = re.compile(
    r"^(?:(?P<month>\d\d)/(?P<day>\d\d)(?:/(?P<year>\d{4}|\d\d))?-(?P<clock>\d\d:\d\d:\d\d(?:\.\d+)?)\s"
    r"|.*\b(?:snort|suricata)(?:\[\d+\])?: (?:\[Drop\] )?\[\d+:\d+:\d+\] ).*"
    r"\{(?P<protocol>[^{}]+)\} (?P<src>\S+) -> (?P<dst>\S+)\s*$"
)
_END = re.compile(r"^(?P<address>[0-9.]+|[0-9a-fA-F:.]+)(?::(?P<port>\d{1,5}))?$")
_IPV6_WITH_PORT = re.compile(r"^(?P<address>[0-9a-fA-F:.]+):(?P<port>\d{1,5})$")
_NUMBER = re.compile(r"^PROTO:?0*(\d+)$")
_WITH_PORTS = ("TCP", "UDP", "SCTP")


class _Lines:
    """Parses the lines of one file in order and leaves out further alerts of the same packet."""

    def __init__(self, clock: LogClock) -> None:
        self._clock = clock
        self._last: Fields = {}

    def __call__(self, line: str) -> Fields | None:
        """The fields of the first alert of a packet; None for other lines."""
        found = _LINE.match(line)
        if found is None:
            return None
        digits, number = found["year"] or "", _NUMBER.match(found["protocol"])
        if found["month"]:
            month, day = int(found["month"]), int(found["day"])
            year = int(digits) + (2000 if len(digits) == 2 else 0) if digits else self._clock.year(month, day)
            time: str | None = f"{year}-{month:02d}-{day:02d}T{found['clock']}"
        else:
            time = self._clock.read(line)
        fields: Fields = {"timestamp": time}
        if digits:
            fields[NOTE] = _NO_ZONE
        fields["protocol"] = number[1] if number else found["protocol"]
        # Only Suricata writes ports, or numbers in their place, for every protocol; its years have four digits.
        has_numbers = len(digits) == 4 or found["protocol"] in _WITH_PORTS
        for end in ("src", "dst"):
            text = found[end]
            parts = (_IPV6_WITH_PORT if has_numbers and text.count(":") > 1 else _END).match(text)
            fields[f"{end}_ip"] = parts["address"] if parts else text
            fields[f"{end}_port"] = parts["port"] if parts else None
        if fields == self._last:
            return None
        self._last = fields
        return fields


FORMAT = line_format("ids-alerts", _Lines, note=_ALERTS)


def _snort_fields(record: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an alert of Snort 3. Address and port are one value, `address:port`, or separate fields."""
    fields = {"timestamp": record.get("seconds", record.get("timestamp")), "protocol": record.get("proto")}
    for end in ("src", "dst"):
        address, _, port = str(record.get(f"{end}_ap", "")).rpartition(":")
        fields[f"{end}_ip"] = record.get(f"{end}_addr", address)
        fields[f"{end}_port"] = record.get(f"{end}_port", port or None)
    if str(fields["protocol"]).upper() not in _WITH_PORTS:
        fields |= {"src_port": None, "dst_port": None}
    return fields


def _is_of_snort(record: Mapping[str, Any]) -> bool:
    return "proto" in record and ("src_ap" in record or "src_addr" in record) and ("rule" in record or "sid" in record)


SNORT_DIALECT = Dialect("snort-json", _is_of_snort, _snort_fields, note=_ALERTS)
"""Snort 3's alert_json (src/loggers/alert_json.cc). Its times have a year with -y, or the field `seconds`."""
