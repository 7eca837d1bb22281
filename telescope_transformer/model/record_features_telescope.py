"""Features of a record besides its field embeddings: time scales, bytes of ports, and relations to other records.

Everything is computed from the tokens and the inter-arrival times, so the tokenizer is unchanged. Destinations and
source ports are compared with those of the other records of the window, because their values identify a single host of
an actor, but their changes from record to record identify a tool. Source ports below 1,024 are services, and their
values are used.
B is windows, T records of a window.
"""

import math
from typing import NamedTuple

import torch
from torch import nn

from .configuration_telescope import FIELD_SIZES

# Range of log1p(seconds): from 0 to six weeks, which few inter-arrival times exceed.
LOG_SECONDS = 15.0
# log1p of the largest port, and of the largest difference between two destinations.
LOG_PORTS, LOG_ADDRESSES = 11.1, 22.2
# Width of the embedding of each byte of a destination port.
BYTE_WIDTH = 8
# System ports (RFC 6335, section 6). As a source port, such a port is a service that answers spoofed packets.
SYSTEM_PORTS = 1024


class FieldColumn(NamedTuple):
    """Values of one field, integers (B, T), 0 where unknown, and a mask of the known values, bool (B, T)."""

    values: torch.Tensor
    known: torch.Tensor


def radial_basis(values: torch.Tensor, low: float, high: float, count: int) -> torch.Tensor:
    """Gaussian radial basis with `count` centres from `low` to `high`, as wide as their spacing: (..., count)."""
    centres = torch.linspace(low, high, count, device=values.device)
    return torch.exp(-(((values.unsqueeze(-1) - centres) * ((count - 1) / (high - low))) ** 2))


def signed_log(values: torch.Tensor) -> torch.Tensor:
    """log1p of the magnitude, with the sign of the value."""
    return torch.sign(values) * torch.log1p(values.abs())


def shifted(values: torch.Tensor) -> torch.Tensor:
    """The value of the previous record, (B, T). The first record gets the last one's value, which has no meaning."""
    return values.roll(1, dims=1)


def has_predecessor(real: torch.Tensor) -> torch.Tensor:
    """Which real records have a real predecessor, bool (B, T)."""
    return real & shifted(real) & (torch.arange(real.shape[1], device=real.device) > 0)


class TelescopeTimeScales(nn.Module):
    """Seconds since the previous record, until the next record, and since the start of the window, on a radial basis.

    Flags mark equal times, and the two ends of the window, where there is no previous or next record.
    """

    # Our choice: centres every 0.8 and 1.4 units of log1p(seconds).
    gap_centres, elapsed_centres = 20, 12
    width = 2 * (gap_centres + 2) + elapsed_centres

    def forward(self, inter_arrival: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
        follows = has_predecessor(real)
        # The time until the next record is the next record's inter-arrival time, shifted back by one. The last record
        # gets the value of the first, which is marked as having no predecessor.
        followed = follows.roll(-1, dims=1)
        since = torch.where(follows, inter_arrival.float().clamp(min=0), 0)
        until = since.roll(-1, dims=1)
        parts = []
        for gap, exists in ((since, follows), (until, followed)):
            parts.append(radial_basis(torch.log1p(gap), 0, LOG_SECONDS, self.gap_centres) * exists.unsqueeze(-1))
            parts.append(torch.stack([(gap == 0) & exists, ~exists], dim=-1).float())
        elapsed = torch.log1p(since.cumsum(dim=1))
        parts.append(radial_basis(elapsed, 0, LOG_SECONDS + 1, self.elapsed_centres))
        return torch.cat(parts, dim=-1)  # (B, T, width)


class TelescopePortFeatures(nn.Module):
    """The destination port as two bytes, which rare ports share, and the source port if it is a system port."""

    width = 3 * BYTE_WIDTH + 1 + 3

    def __init__(self) -> None:
        super().__init__()
        self.high, self.low = nn.Embedding(256, BYTE_WIDTH), nn.Embedding(256, BYTE_WIDTH)
        self.service = nn.Embedding(SYSTEM_PORTS, BYTE_WIDTH)

    def forward(self, destination: FieldColumn, source: FieldColumn) -> torch.Tensor:
        ports, shown = destination.values, destination.known.unsqueeze(-1)
        size = torch.log1p(ports.float()).unsqueeze(-1) / math.log(65_536)
        equal = source.known & destination.known & (source.values == ports)
        answers = source.known & (source.values < SYSTEM_PORTS)
        flags = torch.stack([source.known, equal, answers], dim=-1).float()
        service = self.service(torch.where(answers, source.values, 0)).float() * answers.unsqueeze(-1)
        bytes_of_port = torch.cat([self.high(ports >> 8), self.low(ports & 255)], dim=-1).float()
        return torch.cat([bytes_of_port * shown, size, service, flags], dim=-1)  # (B, T, width)


class TelescopeRelations(nn.Module):
    """Ports and destination compared with the previous record and with the whole window.

    For each: the signed difference to the previous record on a logarithmic radial basis (the stride of a sweep),
    whether the values are equal, the share of the window's records with this value, and whether this record is the
    first with it.
    """

    # Largest logarithm of a difference, and number of centres of the radial basis.
    scales = {"dst_port": (LOG_PORTS, 12), "src_port": (LOG_PORTS, 23), "destination": (LOG_ADDRESSES, 16)}  # noqa: RUF012
    width = sum(count + 3 for _, count in scales.values())

    def forward(self, columns: dict[str, FieldColumn], real: torch.Tensor) -> torch.Tensor:
        parts = []
        follows = has_predecessor(real)
        records = real.sum(dim=1, keepdim=True).clamp(min=1)
        for name, (span, count) in self.scales.items():
            values, known = columns[name]
            known = known & real
            steps = (values - shifted(values)).float()
            comparable = follows & known & shifted(known)
            parts.append(radial_basis(signed_log(steps), -span, span, count) * comparable.unsqueeze(-1))
            equal = values.unsqueeze(2) == values.unsqueeze(1)
            equal = equal & known.unsqueeze(2) & known.unsqueeze(1)  # (B, T, T)
            first = known & ~equal.tril(-1).any(dim=2)
            same = comparable & (steps == 0)
            parts.append(torch.stack([same.float(), equal.sum(dim=2) / records, first.float()], dim=-1))
        return torch.cat(parts, dim=-1)  # (B, T, width)


class TelescopeRecordFeatures(nn.Module):
    """All features of a record, concatenated, float32 (B, T, width).

    Args:
        offsets: first id of each field of the tokens, in order.
    """

    def __init__(self, offsets: dict[str, int]):
        super().__init__()
        self.offsets = offsets
        self.times, self.ports, self.relations = TelescopeTimeScales(), TelescopePortFeatures(), TelescopeRelations()
        self.width = self.times.width + self.ports.width + self.relations.width

    def columns(self, input_ids: torch.Tensor) -> dict[str, FieldColumn]:
        """Convert ids (B, T, F) to values, with the four octets as one `destination`; missing fields are unknown."""
        nothing = torch.zeros(input_ids.shape[:2], dtype=torch.long, device=input_ids.device)
        columns = {name: FieldColumn(nothing, nothing.bool()) for name in ("dst_port", "src_port")}
        for index, (name, offset) in enumerate(self.offsets.items()):
            values = input_ids[..., index] - offset
            known = (values >= 0) & (values < FIELD_SIZES[name])
            columns[name] = FieldColumn(torch.where(known, values, 0), known)
        octets = [columns[name] for name in self.offsets if name.startswith("dst_octet_")]
        destination, known = nothing, nothing.bool() if not octets else octets[0].known
        for octet in octets:
            destination, known = destination * 256 + octet.values, known & octet.known
        columns["destination"] = FieldColumn(torch.where(known, destination, 0), known)
        return columns

    def forward(
        self, input_ids: torch.Tensor, inter_arrival: torch.Tensor, attention_mask: torch.Tensor
    ) -> torch.Tensor:
        columns, real = self.columns(input_ids), attention_mask.bool()
        parts = [
            self.times(inter_arrival, real),
            self.ports(columns["dst_port"], columns["src_port"]),
            self.relations(columns, real),
        ]
        return torch.cat(parts, dim=-1)
