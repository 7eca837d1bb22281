"""Log lines of firewalls that write values by name or in a fixed order: FortiGate, Juniper SRX, SonicWall, Check
Point, MikroTik, Palo Alto, WatchGuard and Barracuda, and other devices that write common names as `name=value`, such
as those that log in ArcSight's CEF or IBM's LEEF. Also the traffic logs of Palo Alto and FortiGate as JSON.

A denied or new session is a record. If a device also logs the end of a session, that line is left out.
Sources: FortiOS Log Message Reference (Traffic); Junos System Log Explorer (RT_FLOW_SESSION_DENY and _CREATE);
SonicOS Log Event Reference Guide; Check Point sk122323 (Log Exporter) and sk144192 (its fields);
help.mikrotik.com/docs (Log, Filter); docs.paloaltonetworks.com (Traffic Log Fields); Fireware Log Catalog (3000-0148);
campus.barracuda.com (Available Log Files and Structure).
"""

import csv
import re
from collections.abc import Iterable, Mapping
from typing import Any

from telescope_transformer.records.columns import plain_name, value_by_alias
from telescope_transformer.records.formats.any_json import by_alias
from telescope_transformer.records.json_records import Dialect
from telescope_transformer.records.log_lines import Fields
from telescope_transformer.records.protocols import is_icmp
from telescope_transformer.records.raw_records import CONNECTION, EVENT, first_values

# Pairs are separated by blanks or commas (FortiGate with `set format csv`, Huawei).
_NAMED = re.compile(r'(?<![\w-])([\w-]+)=("[^"]*"|(?:[^\s",\]]|,(?!\s|[\w-]+=|$))*)')


def named_values(line: str) -> dict[str, str]:
    """The `name=value` pairs of a line, in order. The first value of a repeated name counts."""
    return _first_of_each((name, value.strip('"')) for name, value in _NAMED.findall(line))


def _first_of_each(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The pairs as a dictionary. The first value of a repeated name counts."""
    found: dict[str, str] = {}
    for name, value in pairs:
        found.setdefault(name, value)
    return found


_ADDRESS_AND_PORT = re.compile(r"(?P<address>[\d.]*|\[[0-9a-fA-F:.]+\]):(?P<port>\d*)(?::|$)")


def _address_and_port(text: str) -> tuple[str, str | None]:
    """The parts of `address:port` or `address:port:interface`; the port of other text is None."""
    found = _ADDRESS_AND_PORT.match(text)
    return (found["address"].strip("[]"), found["port"]) if found else (text, None)


def _flow(values: Mapping[str, Any], time: str | None = None) -> Fields:
    """The fields of a line, with the time of the line if it has its own.

    The ports of ICMP are identifiers in these logs and are left out. The validator takes a port that is written behind
    an address, as Zyxel does.
    """
    kind = values.get("icmp_type") or None
    fields: Fields = {**values, "icmp_type": None, "icmp_code": None}
    if is_icmp(values["protocol"]):
        addresses = {end: _address_and_port(str(values[end]))[0] for end in ("src_ip", "dst_ip") if values[end]}
        fields |= {**addresses, "src_port": None, "dst_port": None, "icmp_type": kind}
        fields["icmp_code"] = values.get("icmp_code") if kind else None
    return {**fields, "timestamp": time} if time else fields


_FORTIGATE = {
    "src_ip": ["srcip"],
    "dst_ip": ["dstip"],
    "protocol": ["proto"],
    "src_port": ["srcport"],
    "dst_port": ["dstport"],
}

# For ICMP, the service is the type and code, or the name of a request.
_FORTIGATE_ICMP = re.compile(r"icmp6?/(?P<icmp_type>\d+)/(?P<icmp_code>\d+)")
_FORTIGATE_PINGS = {"PING": {"icmp_type": "8", "icmp_code": "0"}, "PING6": {"icmp_type": "128", "icmp_code": "0"}}


# Numbers of messages about the start of a session (15, 16) and about one that lasts (20, 21), behind two digits each
# for the type and the subtype of the log. The end of the session has a message of its own.
_UNFINISHED = re.compile(r"\d{4}0000(?:15|16|20|21)")


def _is_of_fortigate(values: Mapping[str, Any]) -> bool:
    """Whether FortiGate reports a finished or denied session, not one that another message reports as well."""
    return str(values.get("type")) == "traffic" and _UNFINISHED.fullmatch(str(values.get("logid"))) is None


def _icmp_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """The ICMP type and code that FortiGate gives in the name of the service."""
    service = str(values.get("service"))
    found = _FORTIGATE_ICMP.fullmatch(service)
    return found.groupdict() if found else _FORTIGATE_PINGS.get(service, {})


def fortigate_fields(line: str) -> Fields | None:
    """Fields of a traffic log of FortiGate."""
    if "srcip=" not in line or "dstip=" not in line or "type=" not in line:
        return None
    values = named_values(line)
    if not _is_of_fortigate(values):
        return None
    date, clock = values.get("date"), values.get("time")
    local = f"{date} {clock}{values.get('tz', '')}" if date and clock else None
    fields = _flow(first_values(values, _FORTIGATE) | _icmp_of(values), values.get("eventtime") or local)
    if values.get("sentbyte", "0") != "0":
        fields["bytes"] = values["sentbyte"]
    return fields


# Lines with these marks belong to another function, which has already decided that they are not flows.
_OF_OTHERS = ("PROTO=", "logid=", "RT_", "filterlog")
_GENERAL = ("src_ip", "dst_ip", "protocol", "src_port", "dst_port", "icmp_type", "icmp_code")
# Of ICMP, Sophos UTM and Meraki write these; for other protocols `type` is the kind of a log.
_ICMP_NAMES = {"icmp_type": "type", "icmp_code": "code"}
_REQUIRED_PAIRS = 4
# Names of IPv6 addresses in CEF (Implementing ArcSight Common Event Format, Predefined Keys).
_CEF_IPV6 = {"src_ip": "c6a2", "dst_ip": "c6a3"}
# Times of an event in CEF and LEEF, best first. They are preferred to the time at which the line was sent. The start
# of the event is best, except for FortiGate, whose start is in local time without a zone.
_EVENT_TIMES = [
    re.compile(
        rf"[|\s]{name}=(\d{{10}}(?:\d{{3}}|\d{{9}})?(?!\S)"
        r"|[A-Z][a-z]{2} \d{1,2} \d{4} \d\d:\d\d:\d\d(?:\.\d+)?(?: [A-Z]{3,4}\b)?"
        r"|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?(?!\S))"
    )
    for name in ("(?:FTNTFGT|FortinetFortiGate)eventtime", "start", "UNIFIutcTime", "devTime", "rt")
]
# Some devices log the addresses of a connection again in other logs. For each device: the marks of the events to read,
# and those of events to leave out. Connections are read when they start, those of PAN-OS when they end.
_LOGS_OF = {
    "|Palo Alto Networks|": (re.compile(r"\|TRAFFIC\||\bcat=TRAFFIC\b"), re.compile(r"\|start\||\bSubtype=start\b")),
    "|Fortinet|": (re.compile("cat=traffic"), re.compile(rf"cat=utm|logid={_UNFINISHED.pattern}\b")),
    "|SonicWall|": (re.compile(""), re.compile(r"\|537\|")),
}
_FULL_TIME = re.compile(r"(?:\d{4}[-/]\d\d[-/]\d\d[ T]|[A-Z][a-z]{2} \d\d? \d{4} )\d\d:\d\d:\d\d")
_OFFSET = re.compile(r"[+-]\d\d:?\d\d")


def _event_time(line: str) -> str | None:
    """The time of a CEF or LEEF event; None if it has none."""
    found = next(filter(None, (form.search(line) for form in _EVENT_TIMES)), None)
    return found[1] if found else None


def _own_time(values: Mapping[str, str]) -> str | None:
    """The named time of a line: the start of the connection (`startime` of Stormshield), or when it was logged."""
    times = [values.get(name, "") for name in ("startime", "start_time", "timestamp", "time", "date_time")]
    if "date" in values and "time" in values:
        times.append(f"{values['date']} {values['time']}")
    found = next(filter(None, map(_FULL_TIME.match, times)), None)
    if found is None:
        return None
    # An unknown or ambiguous zone makes the time invalid.
    zone = values.get("tz") or values.get("timezone") or ""
    return (
        found.string
        if found.string[found.end() :]
        else f"{found[0]}{'' if _OFFSET.match(zone) else ' '}{zone}".strip()
    )


def _is_of_another_log(line: str) -> bool:
    """Whether a CEF or LEEF event repeats or ends a connection that another event reports."""
    known = next((marks for device, marks in _LOGS_OF.items() if device in line), None)
    return known is not None and (known[0].search(line) is None or known[1].search(line) is not None)


def named_fields(line: str) -> Fields | None:
    """Fields of a line of `name=value` pairs of any device, found by the common column names."""
    if line.count("=") < _REQUIRED_PAIRS or " ip_flow_end " in line or "deviceDirection=1" in line:
        # Meraki logs the beginning of a connection, too. In CEF, 1 stands for outgoing.
        return None
    is_event = "CEF:" in line or "LEEF:" in line
    if _is_of_another_log(line) if is_event else _is_sonicwall(line) or any(mark in line for mark in _OF_OTHERS):
        return None
    values = named_values(line)
    plain = _first_of_each((plain_name(name), value) for name, value in values.items())
    if values.get("log_type", "Firewall") != "Firewall":
        # Other modules of Sophos log the same connection again.
        return None
    found = {field: value_by_alias(field, plain) for field in _GENERAL}
    if is_event:
        found |= {field: found[field] or plain.get(name) for field, name in _CEF_IPV6.items()}
    elif (plain.get("type") or "").isdecimal():
        found |= {field: found[field] or plain.get(name) for field, name in _ICMP_NAMES.items()}
    if not (found["src_ip"] and found["dst_ip"] and found["protocol"]):
        return None
    fields = _flow(found, _event_time(line) if is_event else _own_time(values))
    event = values.get("con_event", values.get("connevent"))
    if event == "Interim":
        return None
    if event:
        # Sophos logs the beginning of a connection, its end, or both.
        connection = ",".join(map(str, (*found.values(), values.get("con_id", values.get("connid")))))
        fields |= {CONNECTION: connection, EVENT: event}
    return fields


_CONNECTION_CLOSED = "537"


def _is_sonicwall(line: str) -> bool:
    """Whether a line comes from SonicWall. Lines of Stormshield begin in the same way."""
    return "id=firewall " in line and " startime=" not in line


def sonicwall_fields(line: str) -> Fields | None:
    """Fields of a packet or connection of SonicWall; `src` and `dst` are `address:port:interface`."""
    if not _is_sonicwall(line) or " src=" not in line or " proto=" not in line:
        return None
    values = named_values(line)
    if values.get("m") == _CONNECTION_CLOSED:
        return None
    code = values.get("icmpCode", values.get("code"))
    fields: Fields = {"protocol": values.get("proto", "").partition("/")[0]}
    fields |= {"icmp_type": values.get("type"), "icmp_code": code}
    for name in ("src", "dst"):
        address, fields[f"{name}_port"] = _address_and_port(values.get(name, ""))
        fields[f"{name}_ip"] = values.get(f"{name}V6") or address
    return _flow(fields, values.get("time"))


# Log Exporter writes `name:"value"; ` in syslog and `name=value|` otherwise; `fw log` writes `name: value; `.
_CHECK_POINT_MARK = re.compile(r"CheckPoint \d+ - |\bproduct(?:: |=|:\")VPN-1|\bs_port[:=]")
_CHECK_POINT_VALUE = re.compile(r'(?<![\w ])([\w ]{1,40}?)(?:: ?|=)(?:"([^"]*)"|([^;|"]*))(?:[;|\]]|\s*$)')
_CHECK_POINT = {
    "src_ip": ["src"],
    "dst_ip": ["dst"],
    "protocol": ["proto"],
    "src_port": ["s_port"],
    "dst_port": ["service"],
    "icmp_type": ["icmp_type"],
    "icmp_code": ["icmp_code"],
}
_CHECK_POINT_TIME = re.compile(r"^(\d{1,2})([A-Z][a-z]{2})(\d{4}) +(\d{1,2}:\d\d:\d\d) ")


def check_point_fields(line: str) -> Fields | None:
    """Fields of a connection of Check Point's firewall; its other products log the same connections again."""
    if "CEF:" in line or "LEEF:" in line or _CHECK_POINT_MARK.search(line) is None:
        return None
    pairs = _CHECK_POINT_VALUE.findall(line)
    values = _first_of_each((name.strip().lower().replace(" ", "_"), quoted or bare) for name, quoted, bare in pairs)
    if "src" not in values:
        # Structured data of RFC 5424, with blanks between the pairs.
        values = named_values(line)
    is_firewall = "VPN-1" in values.get("product", "VPN-1") or values["product"] == "Firewall"
    if not is_firewall or not ("src" in values and "dst" in values):
        return None
    own = _CHECK_POINT_TIME.match(line)
    time = f"{own[1]} {own[2]} {own[3]} {own[4]}" if own else values.get("time")
    return _flow(first_values(values, _CHECK_POINT), time)


_JUNIPER_TEXT = re.compile(
    r"session (?:denied|created) (?P<src_ip>\S+?)/(?P<src_port>\d+)->(?P<dst_ip>\S+?)/(?P<dst_port>\d+) "
    # For a created session, the translated addresses and the names of their rules follow.
    r"(?:0x\S+ )?\S+ (?:\S+?/\d+->\S+?/\d+ (?:0x\S+ )?(?:\S+ ){2,4}?)?"
    r"(?P<protocol>\d{1,3})(?:\((?P<icmp_type>\d+)\))? "
)
_JUNIPER = {
    "src_ip": ["source-address"],
    "dst_ip": ["destination-address"],
    "protocol": ["protocol-id"],
    "src_port": ["source-port"],
    "dst_port": ["destination-port"],
    "icmp_type": ["icmp-type"],
}


def juniper_fields(line: str) -> Fields | None:
    """Fields of a denied or a new session of Juniper SRX, as structured syslog or as text."""
    if "RT_FLOW_SESSION_DENY" not in line and "RT_FLOW_SESSION_CREATE" not in line:
        return None
    values = named_values(line)
    if "source-address" not in values:
        found = _JUNIPER_TEXT.search(line)
        if found is None:
            return {}
        return _flow(found.groupdict())
    return _flow(first_values(values, _JUNIPER))


_END = r"(?P<{0}>\[[0-9a-fA-F:.]+\]|[\d.]+|[0-9a-fA-F:.]+)(?::(?P<{1}>\d+))?"
_MIKROTIK = re.compile(
    r"(?<!\S)\S+: in:(?P<inside>\(unknown \d+\)|\S+) out:.*?\bproto (?P<protocol>[\w-]+)(?: \((?P<detail>[^)]*)\))?, "
    + _END.format("src_ip", "src_port")
    + "->"
    + _END.format("dst_ip", "dst_port")
    + r"(?=[,\s]|$)"
)
_MIKROTIK_ICMP = re.compile(r"type (\d+), code (\d+)")
_MIKROTIK_TIME = re.compile(r"^([a-z]{3})/(\d\d)/(\d{4}) (\d\d:\d\d:\d\d)")
_LENGTH = re.compile(r", len (\d+)")


def mikrotik_fields(line: str) -> Fields | None:
    """Fields of a line of the RouterOS firewall. Packets that the router itself sends are left out."""
    found = _MIKROTIK.search(line)
    if found is None or found["inside"].startswith("("):
        return None
    fields: Fields = found.groupdict()
    length = _LENGTH.search(line, found.end())
    fields["bytes"] = length[1] if length else None
    icmp = _MIKROTIK_ICMP.match(found["detail"] or "")
    if icmp:
        fields |= {"icmp_type": icmp[1], "icmp_code": icmp[2]}
    elif found["protocol"] == "TCP":
        fields["tcp_flags"] = found["detail"]
    # Log files of RouterOS have times such as jul/21/2016.
    own = _MIKROTIK_TIME.match(line)
    return {**fields, "timestamp": f"{own[2]} {own[1]} {own[3]} {own[4]}"} if own else fields


# Positions in a traffic log of PAN-OS, counted from the field TRAFFIC.
_PALO_ALTO = {"src_ip": 4, "dst_ip": 5, "src_port": 21, "dst_port": 22, "protocol": 26, "timestamp": 3}
_EXACT_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+(?:Z|[+-]\d\d:\d\d)")
_PALO_ALTO_BEGIN = re.compile(r"(?:^|[\s,])\d+,\d{4}/\d\d/\d\d \d\d:\d\d:\d\d,[^,]*,TRAFFIC,")


def palo_alto_fields(line: str) -> Fields | None:
    """Fields of a traffic log of PAN-OS. If both start and end of a connection are logged, the end counts."""
    found = _PALO_ALTO_BEGIN.search(line)
    if found is None:
        return None
    values = next(csv.reader([line[found.end() - len("TRAFFIC,") :]]))
    if len(values) <= max(_PALO_ALTO.values()):
        return {}
    if values[1] == "start":
        return None
    # From PAN-OS 10 on there is a time of high resolution with a zone. The other times are local, without a zone.
    exact = next(filter(_EXACT_TIME.fullmatch, values[max(_PALO_ALTO.values()) :]), None)
    return _flow({field: values[place] for field, place in _PALO_ALTO.items()}, exact)


# The names of the two interfaces, which may hold blanks, come before the length; ICMP has type and code as ports.
_WATCHGUARD = re.compile(
    r'\bfirewall: msg_id="3000-0148" (?:Allow|Deny) .+? (?P<bytes>\d+) (?P<protocol>[a-z][\w-]*|\d+) \d+ (?P<ttl>\d+) '
    r"(?P<src_ip>[0-9a-fA-F.:]+) (?P<dst_ip>[0-9a-fA-F.:]+) (?P<src_port>\d+) (?P<dst_port>\d+)\b"
    r"(?: offset \d+ (?P<tcp_flags>[A-Z]+) (?P<tcp_seq>\d+))?"
)


def watchguard_fields(line: str) -> Fields | None:
    """Fields of a packet or connection that a Firebox allowed or denied."""
    found = _WATCHGUARD.search(line)
    return None if found is None else found.groupdict()


# Activity log of Barracuda: with names, or the same values in the same order without them.
_BARRACUDA = re.compile(r"\bbox_Firewall_Activity: .*?\b(?P<action>[A-Za-z]+): (?P<values>\S+?\|.*)")
_BARRACUDA_NAMES = ("type", "proto", "srcIF", "srcIP", "srcPort", "srcMAC", "dstIP", "dstPort")
_BARRACUDA_COLUMNS = {
    "src_ip": ["srcIP"],
    "dst_ip": ["dstIP"],
    "protocol": ["proto"],
    "src_port": ["srcPort"],
    "dst_port": ["dstPort"],
}
_BARRACUDA_ENDS = ("Remove", "LocalRemove", "Terminate", "LocalTerminate")


def barracuda_fields(line: str) -> Fields | None:
    """Fields of a connection that Barracuda's firewall allowed or blocked; its end is left out."""
    found = _BARRACUDA.search(line)
    if found is None or found["action"] in _BARRACUDA_ENDS:
        return None
    parts = found["values"].split("|")
    named = parts[0].startswith("type=")
    pairs = (part.partition("=")[::2] for part in parts) if named else zip(_BARRACUDA_NAMES, parts, strict=False)
    values = _first_of_each(pairs)
    return _flow(first_values(values, _BARRACUDA_COLUMNS))


def pan_os_json_fields(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """Fields of a traffic log of PAN-OS as JSON. If both start and end of a connection are logged, the end counts."""
    is_start = record.get("Subtype", record.get("SubType")) == "start"
    found = by_alias(record) if record["LogType"] == "TRAFFIC" and not is_start else None
    return None if found is None else _flow(found)


def fortigate_json_fields(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """Fields of a traffic log of FortiGate as JSON; the logs of its other modules repeat the session."""
    found = by_alias(record) if _is_of_fortigate(record) else None
    return None if found is None else _flow(found | _icmp_of(record))


PAN_OS_JSON = Dialect("pan-os-json", lambda record: {"LogType", "DeviceSN"} <= record.keys(), pan_os_json_fields)
FORTIGATE_JSON = Dialect(
    "fortigate-json", lambda record: {"logid", "devid", "vd"} <= record.keys(), fortigate_json_fields
)
