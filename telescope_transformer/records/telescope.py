"""Selects the records that were sent to the telescope's prefixes, or all records if no prefix is given."""

import ipaddress
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from telescope_transformer.errors import FlowRecordError
from telescope_transformer.records.addresses import IPV4, IPV6, Addresses, parse_addresses


class Telescope:
    """The prefixes of a telescope, IPv4 or IPv6; raises FlowRecordError for text that is not a prefix."""

    def __init__(self, prefixes: Sequence[str] = ()) -> None:
        self._networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
        for prefix in prefixes:
            try:
                self._networks.append(ipaddress.ip_network(str(prefix).strip(), strict=False))
            except ValueError as error:
                raise FlowRecordError(f"telescope prefix {prefix!r}: {error}") from error

    def note(self) -> str:
        """What the summary says about the selection."""
        if not self._networks:
            return "no telescope prefix is given: replies and local traffic, if there are any, count as well"
        return f"only records sent to {', '.join(map(str, self._networks))} count"

    def contains(self, addresses: Addresses) -> np.ndarray:
        """Whether each of n addresses lies in a prefix (bool, n)."""
        inside = np.zeros(len(addresses.kind), dtype=bool)
        for network in self._networks:
            first, length = int(network.network_address), network.prefixlen
            if network.version == 4:
                mask = np.uint64(0xFFFFFFFF ^ (0xFFFFFFFF >> length))
                inside |= (addresses.kind == IPV4) & (addresses.low & mask == np.uint64(first))
            else:
                bits = ((1 << 128) - 1) ^ (((1 << 128) - 1) >> length)
                upper, lower = np.uint64(bits >> 64), np.uint64(bits & 0xFFFFFFFFFFFFFFFF)
                same_upper = addresses.high & upper == np.uint64(first >> 64)
                same_lower = addresses.low & lower == np.uint64(first & 0xFFFFFFFFFFFFFFFF)
                inside |= (addresses.kind == IPV6) & same_upper & same_lower
        return inside

    def select(self, batch: pa.RecordBatch) -> tuple[pa.RecordBatch, int]:
        """The records of `batch` that are sent to the telescope, and how many are not."""
        if not self._networks or not batch.num_rows:
            return batch, 0
        inside = self.contains(parse_addresses(batch.column("dst_ip")))
        return batch.filter(pa.array(inside)), int(len(inside) - inside.sum())
