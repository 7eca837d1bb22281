"""Long windows in pieces: the mean of their embeddings, whatever else is in the batch."""

from itertools import pairwise

import pytest
import torch
from test_modeling import make_batch, make_model
from torch.nn import functional as F

from telescope_transformer import TelescopeForContrastiveLearning
from telescope_transformer.model.pieces_telescope import cut_pieces

PARTS = {"pooling": "moments", "discriminant_size": 5, "discriminant_centres": 3, "time_of_day_weight": 0.25}


def make_cutting(records: int, **changes: object) -> TelescopeForContrastiveLearning:
    model = make_model(piece_records=records, **changes)
    if model.config.discriminant_size:
        torch.nn.init.normal_(model.head.directions, generator=torch.Generator().manual_seed(1))
        torch.nn.init.normal_(model.head.centres, generator=torch.Generator().manual_seed(2))
    return model


def make_windows(model: TelescopeForContrastiveLearning, lengths: list[int]) -> dict[str, torch.Tensor]:
    batch = make_batch(model.config, len(lengths), max(lengths))
    batch["time_of_day"] = (
        torch.rand(batch["inter_arrival"].shape, generator=torch.Generator().manual_seed(3)) * 86_400
    )
    batch["inter_arrival"][:, 0] = 0
    batch["attention_mask"] = (torch.arange(max(lengths)) < torch.tensor(lengths).unsqueeze(1)).long()
    return batch


def part(batch: dict[str, torch.Tensor], row: int, begin: int, end: int) -> dict[str, torch.Tensor]:
    taken = {name: values[row : row + 1, begin:end].clone() for name, values in batch.items()}
    taken["inter_arrival"][:, 0] = 0
    return taken


@pytest.mark.parametrize("changes", [{}, {"is_causal": False}, PARTS, {"num_hidden_layers": 0} | PARTS])
@torch.no_grad()
def test_a_long_window_is_the_mean_of_its_pieces(changes: dict[str, object]) -> None:
    model = make_cutting(5, **changes)
    batch = make_windows(model, [23, 9, 10, 1, 14])
    found = model(**batch)
    for row, bounds in enumerate([[0, 5, 11, 17, 23], [0, 9], [0, 5, 10], [0, 1], [0, 7, 14]]):
        pieces = [model(**part(batch, row, *piece)) for piece in pairwise(bounds)]
        mean = torch.cat([piece.embeddings for piece in pieces]).mean(dim=0)
        torch.testing.assert_close(found.embeddings[row], F.normalize(mean, dim=0))
        pooled = torch.cat([piece.pooler_output for piece in pieces]).mean(dim=0)
        torch.testing.assert_close(found.pooler_output[row], pooled)
        states = torch.cat([piece.last_hidden_state[0] for piece in pieces])
        torch.testing.assert_close(found.last_hidden_state[row, : bounds[-1]], states)
        assert not found.last_hidden_state[row, bounds[-1] :].any()


@torch.no_grad()
def test_short_windows_stay_whole() -> None:
    whole, cutting = make_cutting(0, **PARTS), make_cutting(5, **PARTS)
    batch = make_windows(whole, [9, 3, 6])
    assert torch.equal(whole(**batch).embeddings, cutting(**batch).embeddings)
    assert cut_pieces(batch["attention_mask"], 5) is None
    # Padding does not make them long.
    padded = {name: torch.cat([values, torch.zeros_like(values)], dim=1) for name, values in batch.items()}
    assert cut_pieces(padded["attention_mask"], 5) is None
    torch.testing.assert_close(cutting(**padded).embeddings, whole(**batch).embeddings)


@torch.no_grad()
def test_padding_counts_nowhere() -> None:
    model = make_cutting(4, is_causal=False, **PARTS)
    batch = make_windows(model, [12, 9])
    before = model(**batch)
    flipped = {name: values.clone() for name, values in batch.items()}
    for name, values in batch.items():
        # The window of nine has its padding first.
        flipped[name][1] = torch.cat([values[1, 9:], values[1, :9]])
        flipped[name][1, :3] = 0
    after = model(**flipped)
    torch.testing.assert_close(after.embeddings, before.embeddings)
    torch.testing.assert_close(after.last_hidden_state[1, 3:], before.last_hidden_state[1, :9])
    empty = {name: values[:1] * (0 if name == "attention_mask" else 1) for name, values in batch.items()}
    assert torch.isfinite(model(**empty).embeddings).all()


def test_pieces_learn() -> None:
    model = make_cutting(3).train()
    loss = model(**make_windows(model, [7, 8, 9, 5]), pairs=torch.tensor([[0, 1], [2, 3]])).loss
    loss.backward()
    assert model.head.output.weight.grad.abs().sum() > 0
    assert all(torch.isfinite(values.grad).all() for values in model.parameters() if values.grad is not None)
