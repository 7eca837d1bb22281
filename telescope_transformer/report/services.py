"""What a service is called: the protocol with its port, and the name that operators know it by."""

import numpy as np
import pyarrow as pa

from telescope_transformer.records.schema import UNKNOWN_ICMP_TYPE
from telescope_transformer.report.counting import pair_counts
from telescope_transformer.report.window_records import join_records
from telescope_transformer.windows import service_codes

ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58

PROTOCOL_NAMES = {
    ICMP: "icmp",
    2: "igmp",
    4: "ipip",
    TCP: "tcp",
    UDP: "udp",
    41: "ipv6",
    47: "gre",
    50: "esp",
    51: "ah",
    ICMPV6: "icmpv6",
    89: "ospf",
    132: "sctp",
}

_BOTH = {53: "dns", 123: "ntp", 161: "snmp", 389: "ldap", 443: "https", 500: "ike", 5060: "sip", 11211: "memcached"}
_TCP = {
    20: "ftp-data",
    21: "ftp",
    22: "ssh",
    23: "telnet",
    25: "smtp",
    80: "http",
    110: "pop3",
    111: "rpcbind",
    135: "msrpc",
    139: "netbios",
    143: "imap",
    445: "smb",
    465: "smtps",
    502: "modbus",
    554: "rtsp",
    587: "submission",
    873: "rsync",
    993: "imaps",
    995: "pop3s",
    1080: "socks",
    1433: "mssql",
    1521: "oracle",
    1723: "pptp",
    1883: "mqtt",
    2222: "ssh-alt",
    2323: "telnet-alt",
    2375: "docker",
    3128: "squid",
    3306: "mysql",
    3389: "rdp",
    4899: "radmin",
    5432: "postgresql",
    5555: "adb",
    5900: "vnc",
    5985: "winrm",
    6379: "redis",
    7547: "cwmp",
    8080: "http-alt",
    8443: "https-alt",
    8728: "mikrotik",
    9200: "elasticsearch",
    27017: "mongodb",
    37215: "huawei-hg",
    52869: "realtek-upnp",
}
_UDP = {
    19: "chargen",
    67: "dhcp",
    69: "tftp",
    137: "netbios-ns",
    1434: "mssql-monitor",
    1900: "ssdp",
    3702: "ws-discovery",
    5353: "mdns",
    5683: "coap",
    53413: "netis",
}
SERVICE_NAMES = {TCP: _BOTH | _TCP, UDP: _BOTH | _UDP}


def protocol_name(protocol: int) -> str:
    return PROTOCOL_NAMES.get(protocol, f"proto{protocol}")


def service_name(code: int) -> str:
    """A service code as text: `tcp/22 ssh`, `udp/40000`, `icmp/8`, `icmp` where the type is not known, `gre`."""
    protocol, port = code >> 16, code & 0xFFFF
    name = protocol_name(protocol)
    if protocol in (ICMP, ICMPV6) and port == UNKNOWN_ICMP_TYPE:
        return name
    if protocol not in (TCP, UDP, ICMP, ICMPV6) and port == 0:
        return name
    known = SERVICE_NAMES.get(protocol, {}).get(port)
    return f"{name}/{port} {known}" if known else f"{name}/{port}"


def with_services(windows: pa.Table, records: pa.Table) -> pa.Table:
    """The windows with a column `service`: that of most of their records, as text.

    Args:
        windows, records: as `window_records.join_records` takes them.
    """
    joined = join_records(records, windows)
    services = service_codes(*(joined.table[name].to_numpy() for name in ("protocol", "src_port", "dst_port")))
    window, service, _ = pair_counts(joined.window, services)
    _, first = np.unique(window, return_index=True)
    main, codes = np.unique(service[first], return_inverse=True)
    names = pa.array([service_name(int(code)) for code in main], pa.string())
    return windows.append_column("service", names.take(pa.array(codes)))
