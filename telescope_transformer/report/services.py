"""Names of services: the protocol, the port, and the name that operators use."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.codes import service_codes
from telescope_transformer.records.schema import ICMP, ICMPV6, TCP, UDP, UNKNOWN_ICMP_TYPE
from telescope_transformer.report.counting import pair_counts
from telescope_transformer.report.ports import PORTS
from telescope_transformer.report.window_records import join_records

# Numbers assigned by IANA (Assigned Internet Protocol Numbers).
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


def protocol_name(protocol: int) -> str:
    return PROTOCOL_NAMES.get(protocol, f"proto{protocol}")


def service_name(code: int) -> str:
    """A service code as text: `tcp/22 ssh`, `udp/40000`, `icmp/8`, `icmp` if the type is unknown, `gre`."""
    protocol, port = code >> 16, code & 0xFFFF
    name = protocol_name(protocol)
    if protocol in (ICMP, ICMPV6) and port == UNKNOWN_ICMP_TYPE:
        return name
    if protocol not in (TCP, UDP, ICMP, ICMPV6) and port == 0:
        return name
    known = PORTS.get(protocol, {}).get(port)
    return f"{name}/{port} {known.name}" if known else f"{name}/{port}"


def service_texts(codes: np.ndarray) -> pa.Array:
    """The names of service codes (n,), which come from `codes.service_codes`."""
    distinct, place = np.unique(codes, return_inverse=True)
    return pa.array([service_name(int(code)) for code in distinct], pa.string()).take(pa.array(place))


def service_columns(services: pa.ListArray) -> dict[str, pa.Array]:
    """Turn lists of service codes, main service first, into the text columns `service` and `services`."""
    texts = service_texts(services.values.to_numpy())
    lists = pa.ListArray.from_arrays(services.offsets, texts)
    return {"service": pc.list_element(lists, 0), "services": lists}


# What usually listens on the services of the table of ports.
HINTS = {
    service_name(protocol << 16 | port): str(known)
    for protocol, ports in PORTS.items()
    for port, known in ports.items()
}


def with_services(windows: pa.Table, records: pa.Table) -> pa.Table:
    """Add a column `service` to the windows: the name of the service that most of their records have.

    Args:
        windows, records: as for `window_records.join_records`.
    """
    joined = join_records(records, windows)
    window, service, _ = pair_counts(joined.window, service_codes(joined.table))
    _, first = np.unique(window, return_index=True)
    return windows.append_column("service", service_texts(service[first]))
