"""Firewall logs in syslog: iptables and nftables (LOG), UFW, DShield sensors, pfSense and OPNsense (filterlog), and
those of `firewall_bsd`, `firewall_cisco` and `firewall_vendors`. The tarpit Endlessh logs in the same way.

Other lines of the same file are skipped. Times of traditional syslog have no year and no zone: they are taken as UTC,
in the latest year that does not put them after the file's last change. The same messages are also read from JSON of
journald (`journalctl -o json`) or of a log collector.
"""

import re
from collections.abc import Mapping
from typing import Any

from telescope_transformer.records.formats.endlessh import endlessh_fields
from telescope_transformer.records.formats.firewall_bsd import conntrack_fields, ipfw_fields, ipmon_fields
from telescope_transformer.records.formats.firewall_cisco import asa_fields, ftd_fields, ios_fields
from telescope_transformer.records.formats.firewall_vendors import (
    barracuda_fields,
    check_point_fields,
    fortigate_fields,
    juniper_fields,
    mikrotik_fields,
    named_fields,
    named_values,
    palo_alto_fields,
    sonicwall_fields,
    watchguard_fields,
)
from telescope_transformer.records.json_items import message_of
from telescope_transformer.records.json_records import Dialect
from telescope_transformer.records.log_clock import LogClock, begins_with_time
from telescope_transformer.records.log_lines import Fields, LineParser, line_format
from telescope_transformer.records.raw_records import CONNECTION, EVENT

# TCP flags, which the kernel prints as separate words (net/netfilter/nf_log_syslog.c).
_FLAG = re.compile(r" (CWR|ECE|URG|ACK|PSH|RST|SYN|FIN)(?= |$)")


# Proxmox writes two numbers and the name of a chain before the time.
_PROXMOX_TIME = re.compile(r"^\d+ \d+ \S+ (\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}) ")


# UFW logs a packet as AUDIT and again as BLOCK or ALLOW (from the level `medium` on); TRACE logs it at every rule.
_REPEATED = re.compile(r"\[UFW ([A-Z]+)|\bTRACE: (\S+)")


def netfilter_fields(line: str) -> Fields | None:
    """Fields of a line of the LOG target. Outgoing packets (`IN=` empty) are left out."""
    if "SRC=" not in line or "DST=" not in line or "PROTO=" not in line:
        return None
    # An ICMP error quotes the packet that it answers in brackets.
    outer = line.split(" [SRC=", 1)[0]
    pairs = named_values(outer)
    if pairs.get("IN") == "" and pairs.get("OUT"):
        return None
    own, repeated = _PROXMOX_TIME.match(line), _REPEATED.search(line)
    fields: Fields = {"timestamp": own[1]} if own else {}
    if repeated:
        fields |= {CONNECTION: outer.partition("SRC=")[2].strip(), EVENT: repeated[1] or repeated[2]}
    return fields | {
        "src_ip": pairs.get("SRC"),
        "dst_ip": pairs.get("DST"),
        "protocol": pairs.get("PROTO"),
        "src_port": pairs.get("SPT"),
        "dst_port": pairs.get("DPT"),
        "icmp_type": pairs.get("TYPE"),
        "icmp_code": pairs.get("CODE"),
        "ttl": pairs.get("TTL", pairs.get("HOPLIMIT")),
        "ip_id": pairs.get("ID") if "TTL" in pairs else None,
        "tcp_seq": pairs.get("SEQ"),
        "tcp_flags": ",".join(_FLAG.findall(outer)) or None,
        "bytes": pairs.get("LEN"),
    }


# Names of ICMP types in filterlog (docs.netgate.com/pfsense/en/latest/monitoring/logs/raw-filter-format.html).
_ICMP_NAMES = {
    "request": (8, 0),
    "reply": (0, 0),
    "unreach": (3, 0),
    "unreachproto": (3, 2),
    "unreachport": (3, 3),
    "needfrag": (3, 4),
    "redirect": (5, 0),
    "timexceed": (11, 0),
    "paramprob": (12, 0),
    "tstamp": (13, 0),
    "tstampreply": (14, 0),
    "maskreply": (18, 0),
}
_FILTERLOG = re.compile(r"filterlog(?:\[\d+\])?(?:: | \S+ \S+ (?:-|\[.*?\]) \ufeff?)(.*)$")


def filterlog_fields(line: str) -> Fields | None:
    """Fields of a line of pfSense or OPNsense. Outgoing packets are left out."""
    found = _FILTERLOG.search(line)
    if found is None:
        return None
    values = found[1].split(",")
    if len(values) < 16 or values[7] != "in":
        return None
    if values[8] == "4":
        ttl, ip_id, number, length, rest = values[11], values[12], values[15], values[17:18], values[18:]
    else:
        ttl, ip_id, number, length, rest = values[11], None, values[13], values[14:15], values[15:]
    # Truncated lines lack fields at the end: two addresses, and up to five fields of the transport protocol.
    rest += [""] * 7
    src, dst, *transport = rest
    fields: Fields = {"src_ip": src, "dst_ip": dst, "protocol": number, "ttl": ttl, "ip_id": ip_id}
    fields |= {"bytes": length[0] if length else None, "src_port": None, "dst_port": None}
    if number in ("6", "17"):
        fields |= {"src_port": transport[0], "dst_port": transport[1]}
    if number == "6":
        fields |= {"tcp_flags": transport[3], "tcp_seq": transport[4].split(":")[0]}
    if number in ("1", "58"):
        kind, code = _ICMP_NAMES.get(transport[0], (None, None))
        fields |= {"icmp_type": kind, "icmp_code": code}
    return fields


_OPTIONAL = ("icmp_type", "icmp_code", "ttl", "ip_id", "tcp_seq", "tcp_flags", "bytes")
_KINDS: tuple[LineParser, ...] = (
    netfilter_fields,
    filterlog_fields,
    ipfw_fields,
    ipmon_fields,
    conntrack_fields,
    asa_fields,
    ftd_fields,
    ios_fields,
    fortigate_fields,
    juniper_fields,
    mikrotik_fields,
    palo_alto_fields,
    sonicwall_fields,
    check_point_fields,
    watchguard_fields,
    barracuda_fields,
    endlessh_fields,
    named_fields,
)


# The header of LEEF 2.0 may end with the delimiter of the pairs, as a character or in hexadecimal (`x5E`); else they
# are delimited by tabs, or as PAN-OS does by bars.
_LEEF = re.compile(
    r"LEEF:[12]\.0\|(?:[^|]*\|){4}(?:(?:(?P<plain>\S)|0?x(?P<hex>[0-9A-Fa-f]{2}))\||(?=[\w-]+=[^|\t]*(?P<bar>\|)[\w-]+=))"
)


def _fields(line: str) -> Fields | None:
    # rsyslog escapes the tabs of LEEF as #011 (EscapeControlCharactersOnReceive).
    line = line.replace("#011", "\t")
    leef = _LEEF.search(line)
    if leef:
        delimiter = leef["plain"] or leef["bar"] or chr(int(leef["hex"], 16))
        line = line[: leef.end()] + line[leef.end() :].replace(delimiter, "\t")
    return next((fields for fields in (kind(line) for kind in _KINDS) if fields is not None), None)


def _parser(clock: LogClock) -> LineParser:
    def parse(line: str) -> Fields | None:
        fields = _fields(line)
        return {"timestamp": clock.read(line), **fields} if fields and "timestamp" not in fields else fields

    return parse


def _timed_fields(line: str) -> Fields | None:
    """The fields of a line that begins with a syslog time or contains a time in another place."""
    fields = _fields(line)
    return fields if fields is None or "timestamp" in fields or begins_with_time(line) else None


FORMAT = line_format("firewall-log", _parser, _OPTIONAL, marks=_timed_fields)


# Names of the time in journald, Elasticsearch, other collectors and Splunk.
_TIMES = ("_SOURCE_REALTIME_TIMESTAMP", "__REALTIME_TIMESTAMP", "@timestamp", "timestamp", "time", "_time")


def matches_message(record: Mapping[str, Any]) -> bool:
    """Whether an object is an entry of journald, Docker or a log collector with a message of a firewall."""
    message = message_of(record)
    return bool(message and _fields(message))


def message_fields(record: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of the message of an entry. The time is that of the message or else that of the entry."""
    fields = _fields(message_of(record)) or {}
    times = [fields.get("timestamp"), *(record.get(name) for name in _TIMES)]
    return {**fields, "timestamp": next((time for time in times if time), None)}


MESSAGE_DIALECT = Dialect("firewall-json", matches_message, message_fields)
