"""What a record shows beside its own fields: several scales of time and of ports, and its place among its neighbours.

All of it is computed from the tokens and the inter-arrival times, so that the tokenizer stays the same. Destinations
and ports enter relative to the record before and to the window, which carries over to telescopes never trained on.
B is windows, T records of a window.
"""

import math
from typing import NamedTuple

import torch
from torch import nn

from .configuration_telescope import FIELD_SIZES

# log1p of seconds: from a second to the six weeks that no inter-arrival time of a telescope exceeds by much.
LOG_SECONDS = 15.0
# Frequencies of the sines of a source port: halves of the range down to stretches of 1,024 ports.
PORT_OCTAVES = 7


class TelescopeColumn(NamedTuple):
    """Values of one field: integers (B, T), 0 where unknown, and which of them are known, bool (B, T)."""

    values: torch.Tensor
    known: torch.Tensor


def radial_basis(values: torch.Tensor, low: float, high: float, count: int) -> torch.Tensor:
    """Gaussian bumps at `count` centres from `low` to `high`, as wide as the centres are apart: (..., count)."""
    centres = torch.linspace(low, high, count, device=values.device)
    return torch.exp(-(((values.unsqueeze(-1) - centres) * ((count - 1) / (high - low))) ** 2))


def signed_log(values: torch.Tensor) -> torch.Tensor:
    """log1p of the size, with the sign of the value."""
    return torch.sign(values) * torch.log1p(values.abs())


def before(values: torch.Tensor) -> torch.Tensor:
    """The value of the record before, (B, T); of the first record its own."""
    return torch.cat([values[:, :1], values[:, :-1]], dim=1)


class TelescopeFeatures(nn.Module):
    """Columns, inter-arrival times (B, T) and which records are real (B, T) to features (B, T, width)."""

    width: int


class TelescopeTimeScales(TelescopeFeatures):
    """Seconds since the record before, to the one after and since the window began, each on a radial basis.

    Ties and the window's two ends, where there is no such time, have flags of their own.
    """

    width = 20 + 2 + 20 + 2 + 12

    def forward(
        self, columns: dict[str, TelescopeColumn], inter_arrival: torch.Tensor, real: torch.Tensor
    ) -> torch.Tensor:
        seconds = inter_arrival.float().clamp(min=0) * real
        nothing = torch.zeros_like(seconds[:, :1])
        follows = torch.cat([torch.zeros_like(real[:, :1]), real[:, 1:]], dim=1)
        followed = torch.cat([follows[:, 1:], torch.zeros_like(real[:, :1])], dim=1)
        since = torch.cat([nothing, seconds[:, 1:]], dim=1)
        until = torch.cat([since[:, 1:], nothing], dim=1)
        parts = []
        for gap, exists in ((since, follows), (until, followed)):
            parts.append(radial_basis(torch.log1p(gap), 0, LOG_SECONDS, 20) * exists.unsqueeze(-1))
            parts.append(torch.stack([(gap == 0) & exists, ~exists], dim=-1).float())
        parts.append(radial_basis(torch.log1p(since.cumsum(dim=1)), 0, LOG_SECONDS + 1, 12))
        return torch.cat(parts, dim=-1)  # (B, T, width)


class TelescopePortScales(TelescopeFeatures):
    """Ports by their two bytes, which ports too rare for a row of their own share; source ports also by sines."""

    bytes_width = 8
    width = 4 * bytes_width + 1 + 2 * PORT_OCTAVES + 2

    def __init__(self) -> None:
        super().__init__()
        self.bytes = nn.ModuleDict(
            {
                f"{field}_{part}": nn.Embedding(256, self.bytes_width)
                for field in ("dst_port", "src_port")
                for part in ("high", "low")
            }
        )

    def forward(
        self, columns: dict[str, TelescopeColumn], inter_arrival: torch.Tensor, real: torch.Tensor
    ) -> torch.Tensor:
        parts = []
        for field in ("dst_port", "src_port"):
            ports, known = columns[field]
            shown = known.unsqueeze(-1)
            parts.append(self.bytes[f"{field}_high"](ports >> 8) * shown)
            parts.append(self.bytes[f"{field}_low"](ports & 255) * shown)
        destination, source = columns["dst_port"], columns["src_port"]
        parts.append(torch.log1p(destination.values.float()).unsqueeze(-1) / math.log(65_536))
        octaves = 2.0 ** torch.arange(PORT_OCTAVES, device=inter_arrival.device)
        angles = source.values.float().unsqueeze(-1) * (2 * math.pi / 65_536) * octaves  # (B, T, octaves)
        parts.append(torch.cat([angles.sin(), angles.cos()], dim=-1) * source.known.unsqueeze(-1))
        both = source.known & destination.known
        parts.append(torch.stack([source.known, both & (source.values == destination.values)], dim=-1).float())
        return torch.cat(parts, dim=-1)  # (B, T, width)


class TelescopeRelations(TelescopeFeatures):
    """Ports and destination against the record before, and how often the window has the same, in any order.

    Of each: the signed difference on a logarithmic radial basis (the stride of a sweep), whether it is the same, the
    share of the window's records with this value, and whether this record is the first to have it.
    """

    spans = {"dst_port": (11.1, 12), "src_port": (11.1, 23), "destination": (22.2, 16)}  # noqa: RUF012
    width = sum(count + 3 for _, count in spans.values())

    def forward(
        self, columns: dict[str, TelescopeColumn], inter_arrival: torch.Tensor, real: torch.Tensor
    ) -> torch.Tensor:
        parts = []
        follows = torch.cat([torch.zeros_like(real[:, :1]), real[:, 1:]], dim=1)
        records = real.sum(dim=1, keepdim=True).clamp(min=1)
        for name, (span, count) in self.spans.items():
            values, known = columns[name]
            known = known & real
            steps = (values - before(values)).float()
            comparable = follows & known & before(known)
            parts.append(radial_basis(signed_log(steps), -span, span, count) * comparable.unsqueeze(-1))
            equal = values.unsqueeze(2) == values.unsqueeze(1)
            equal = equal & known.unsqueeze(2) & known.unsqueeze(1)  # (B, T, T)
            first = known & ~equal.tril(-1).any(dim=2)
            same = comparable & (steps == 0)
            parts.append(torch.stack([same.float(), equal.sum(dim=2) / records, first.float()], dim=-1))
        return torch.cat(parts, dim=-1)  # (B, T, width)


FEATURES: dict[str, type[TelescopeFeatures]] = {
    "time_scales": TelescopeTimeScales,
    "port_scales": TelescopePortScales,
    "relations": TelescopeRelations,
}


class TelescopeRecordFeatures(nn.Module):
    """The features that the configuration names, side by side.

    Args:
        names: of `FEATURES`.
        offsets: first id of each field that records are spelt with, in order.
    """

    def __init__(self, names: list[str], offsets: dict[str, int]):
        super().__init__()
        self.offsets = offsets
        self.parts = nn.ModuleList(FEATURES[name]() for name in names)
        self.width = sum(FEATURES[name].width for name in names)

    def columns(self, input_ids: torch.Tensor) -> dict[str, TelescopeColumn]:
        """Ids (B, T, F) to values, with the four octets as one `destination`; fields not spelt are unknown."""
        nothing = torch.zeros(input_ids.shape[:2], dtype=torch.long, device=input_ids.device)
        columns = {name: TelescopeColumn(nothing, nothing.bool()) for name in ("dst_port", "src_port")}
        for index, (name, offset) in enumerate(self.offsets.items()):
            values = input_ids[..., index] - offset
            known = (values >= 0) & (values < FIELD_SIZES[name])
            columns[name] = TelescopeColumn(torch.where(known, values, 0), known)
        octets = [columns[name] for name in self.offsets if name.startswith("dst_octet_")]
        destination, known = nothing, nothing.bool() if not octets else octets[0].known
        for octet in octets:
            destination, known = destination * 256 + octet.values, known & octet.known
        columns["destination"] = TelescopeColumn(torch.where(known, destination, 0), known)
        return columns

    def forward(
        self, input_ids: torch.Tensor, inter_arrival: torch.Tensor, attention_mask: torch.Tensor
    ) -> torch.Tensor:
        columns, real = self.columns(input_ids), attention_mask.bool()
        return torch.cat([part(columns, inter_arrival, real) for part in self.parts], dim=-1)  # (B, T, width)
