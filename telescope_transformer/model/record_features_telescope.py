"""What a record shows beside its own fields: several scales of time, its ports, and its place among its neighbours.

Everything is computed from the tokens and the inter-arrival times, so the tokenizer stays the same. Destinations and
source ports enter relative to the other records of the window: their values tell one host of an actor from another,
how they change from record to record tells one tool from another. A source port below 1,024 is a service, and stays.
B is windows, T records of a window.
"""

import math
from typing import NamedTuple

import torch
from torch import nn

from .configuration_telescope import FIELD_SIZES

# log1p of seconds: from none to the six weeks that few inter-arrival times of a telescope exceed.
LOG_SECONDS = 15.0
# log1p of the largest port and of the largest difference of two destinations.
LOG_PORTS, LOG_ADDRESSES = 11.1, 22.2
# Width of the embedding of each byte of a destination port.
BYTE_WIDTH = 8
# System ports (RFC 6335, section 6). As a source port, one is the service of a host that answers spoofed packets.
SYSTEM_PORTS = 1024


class FieldColumn(NamedTuple):
    """Values of one field, integers (B, T), 0 where unknown, and a mask of the known ones, bool (B, T)."""

    values: torch.Tensor
    known: torch.Tensor


def radial_basis(values: torch.Tensor, low: float, high: float, count: int) -> torch.Tensor:
    """Gaussian bumps at `count` centres from `low` to `high`, as wide as the centres are apart: (..., count)."""
    centres = torch.linspace(low, high, count, device=values.device)
    return torch.exp(-(((values.unsqueeze(-1) - centres) * ((count - 1) / (high - low))) ** 2))


def signed_log(values: torch.Tensor) -> torch.Tensor:
    """log1p of the magnitude, with the sign of the value."""
    return torch.sign(values) * torch.log1p(values.abs())


def shifted(values: torch.Tensor) -> torch.Tensor:
    """The value of the record before, (B, T); the first record gets the last one's, which means nothing."""
    return values.roll(1, dims=1)


def has_predecessor(real: torch.Tensor) -> torch.Tensor:
    """Which real records follow another real one, bool (B, T)."""
    return real & shifted(real) & (torch.arange(real.shape[1], device=real.device) > 0)


class TelescopeTimeScales(nn.Module):
    """Seconds since the record before, until the one after and since the window began, each on a radial basis.

    Ties, and the two ends of the window where there is no such time, have flags of their own.
    """

    gap_centres, elapsed_centres = 20, 12
    width = 2 * (gap_centres + 2) + elapsed_centres

    def forward(self, inter_arrival: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
        follows = has_predecessor(real)
        # Whether and how long after a record the next one comes is what that one says of this one. The first record
        # follows none, so what the last one gets from it is nothing.
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
    """The destination port by its two bytes, which rare ports share; the source port if it is a service's."""

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
    """Ports and destination against the record before, and how often the window repeats them.

    For each: the signed difference on a logarithmic radial basis (the stride of a sweep), whether it is the same, the
    share of the window's records with this value, and whether this record is the first with it.
    """

    # Largest logarithm of a difference, and centres of the radial basis.
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
    """All features of a record side by side, float32 (B, T, width).

    Args:
        offsets: first id of each field that records are spelt with, in order.
    """

    def __init__(self, offsets: dict[str, int]):
        super().__init__()
        self.offsets = offsets
        self.times, self.ports, self.relations = TelescopeTimeScales(), TelescopePortFeatures(), TelescopeRelations()
        self.width = self.times.width + self.ports.width + self.relations.width

    def columns(self, input_ids: torch.Tensor) -> dict[str, FieldColumn]:
        """Ids (B, T, F) to values, with the four octets as one `destination`; fields not spelt are unknown."""
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
