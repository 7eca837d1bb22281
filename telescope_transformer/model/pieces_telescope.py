"""Long windows in pieces: a model that learned from short windows embeds a long one as the mean of its pieces.

B is windows, T records of a window, P pieces of all windows, L records of the longest piece.
"""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Pieces:
    """Where the pieces of a batch of windows lie.

    Args:
        windows: (P,) row of each piece's window, ascending.
        per_window: (B,) pieces of each window, at least 1.
        places: (P, L) which of its window's records a piece has, in time order; any place where it has fewer than L.
        attention_mask: (P, L), 1 for the records of a piece, 0 after them.
        length: T.
    """

    windows: torch.Tensor
    per_window: torch.Tensor
    places: torch.Tensor
    attention_mask: torch.Tensor
    length: int

    def of(self, values: torch.Tensor) -> torch.Tensor:
        """What each record of a window has, (B, T, ...), as what each record of a piece has, (P, L, ...).

        Places after a piece's records get zeros, which is the id of padding.
        """
        taken = values[self.windows.unsqueeze(1), self.places]
        real = self.attention_mask.bool().reshape(self.places.shape + (1,) * (taken.dim() - 2))
        return torch.where(real, taken, torch.zeros((), dtype=taken.dtype, device=taken.device))

    def gaps(self, inter_arrival: torch.Tensor) -> torch.Tensor:
        """Inter-arrival times (B, T) within the pieces (P, L): that of a piece's first record is 0, as a window's."""
        taken = self.of(inter_arrival)
        return torch.cat([torch.zeros_like(taken[:, :1]), taken[:, 1:]], dim=1)

    def back(self, values: torch.Tensor) -> torch.Tensor:
        """What each record of a piece has, (P, L, ...), put where it is in its window, (B, T, ...); else zeros."""
        whole = values.new_zeros(len(self.per_window), self.length, *values.shape[2:])
        piece, record = self.attention_mask.nonzero(as_tuple=True)
        return whole.index_put((self.windows[piece], self.places[piece, record]), values[piece, record])

    def mean(self, values: torch.Tensor) -> torch.Tensor:
        """Mean over the pieces of each window: (P, D) to (B, D)."""
        means = torch.segment_reduce(values.float(), "mean", lengths=self.per_window, axis=0)
        return means.to(values.dtype)


def cut_pieces(attention_mask: torch.Tensor, records: int) -> Pieces | None:
    """Cut windows into consecutive pieces, those of a window of equal length give or take one record.

    Args:
        attention_mask: (B, T), 1 for real records.
        records: fewest records of a piece; a window of less than twice as many stays whole.

    Returns:
        None where all windows stay whole.
    """
    # Whole windows as a rule: the masks are looked at only where one could be long enough.
    if not records or attention_mask.shape[1] < 2 * records or not len(attention_mask):
        return None
    counts = attention_mask.sum(dim=1).long()
    if int(counts.max()) < 2 * records:
        return None
    per_window = (counts // records).clamp(min=1)
    windows = torch.arange(len(counts), device=counts.device).repeat_interleave(per_window)
    number = torch.arange(len(windows), device=counts.device) - (per_window.cumsum(0) - per_window)[windows]
    begin = number * counts[windows] // per_window[windows]
    end = (number + 1) * counts[windows] // per_window[windows]
    place = torch.arange(int((end - begin).max()), device=counts.device)
    real = place < (end - begin).unsqueeze(1)
    # Padding stands after the records, as a rule; wherever it is, it comes last here.
    order = attention_mask.bool().logical_not().long().argsort(dim=1, stable=True)
    nth = torch.where(real, begin.unsqueeze(1) + place, 0)
    places = order[windows.unsqueeze(1), nth]
    return Pieces(windows, per_window, places, real.to(attention_mask.dtype), attention_mask.shape[1])
