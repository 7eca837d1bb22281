"""The parts of an embedding that no gradient makes: directions seen from their centres, and the time of day."""

import math

import pytest
import torch
from torch.nn import functional as F

from telescope_transformer import TelescopeConfig, TelescopeForContrastiveLearning
from telescope_transformer.model.layers_telescope import mean_time_of_day
from telescope_transformer.model.modeling_telescope import TelescopeProjectionHead

HOUR = 3_600.0


def make_model(**changes: object) -> TelescopeForContrastiveLearning:
    torch.manual_seed(0)
    small = {"hidden_size": 16, "num_hidden_layers": 0, "projection_size": 8, "hidden_dropout_prob": 0.0}
    return TelescopeForContrastiveLearning(TelescopeConfig(**small | changes)).eval()


def make_batch(model: TelescopeForContrastiveLearning) -> dict[str, torch.Tensor]:
    ids = torch.randint(2, 200, (3, 4, len(model.config.fields)), generator=torch.Generator().manual_seed(0))
    return {"input_ids": ids, "inter_arrival": torch.ones(3, 4)}


def test_the_mean_time_of_day_knows_midnight_padding_and_what_is_unknown() -> None:
    hours = torch.tensor([[23.0, 1.0, 5.0], [0.0, 12.0, 5.0], [6.0, 6.0, 6.0], [6.0, -1.0, 6.0], [-1.0, -1.0, -1.0]])
    mask = torch.tensor([[1, 1, 0], [1, 1, 0], [1, 1, 1], [1, 1, 0], [1, 1, 1]])
    mean = mean_time_of_day(torch.where(hours < 0, -1.0, hours * HOUR), mask)
    expected = [[math.cos(math.pi / 12), 0], [0, 0], [0, 1], [0, 0.5], [0, 0]]
    torch.testing.assert_close(mean, torch.tensor(expected), atol=1e-6, rtol=0)


def test_windows_of_one_time_of_day_are_nearer_and_unknown_times_change_nothing() -> None:
    plain, model = make_model(), make_model(time_of_day_weight=0.5)
    batch = make_batch(model)
    hours = torch.tensor([3.0, 3.0, 15.0]).unsqueeze(1).expand(3, 4)
    base = plain(**batch, time_of_day=hours * HOUR).embeddings
    timed = model(**batch, time_of_day=hours * HOUR).embeddings
    assert timed.shape == (3, 10)
    torch.testing.assert_close(timed.norm(dim=-1), torch.ones(3))
    # The third part has length 0.5 beside 1: cosines c become (c + 0.25 cos(hours apart)) / 1.25.
    cosines, before = timed @ timed.T, base @ base.T
    torch.testing.assert_close(cosines[0, 1], (before[0, 1] + 0.25) / 1.25)
    torch.testing.assert_close(cosines[0, 2], (before[0, 2] - 0.25) / 1.25)
    for unknown in ({}, {"time_of_day": torch.full((3, 4), -1.0)}):
        found = model(**batch, **unknown).embeddings
        torch.testing.assert_close(found, F.pad(base, (0, 2)))
    assert torch.equal(model.train()(**batch, time_of_day=hours * HOUR).embeddings, model(**batch).embeddings)


def test_directions_are_seen_from_the_centres_around_them() -> None:
    config = TelescopeConfig(hidden_size=4, projection_size=4, discriminant_size=4, discriminant_centres=2)
    head = TelescopeProjectionHead(config).eval()
    # Many windows gather near the first axis, few near the second, and none near the third.
    head.centres.copy_(torch.tensor([[0.98, 0.1, 0, 0], [0.1, 0.5, 0, 0]]))
    head.centre_shares.copy_(torch.tensor([0.99, 0.01]))
    angle = torch.tensor(0.2)
    near, turned = torch.cos(angle), torch.sin(angle)
    pairs = {axis: torch.zeros(2, 4) for axis in (0, 2)}
    for axis, pair in pairs.items():
        pair[0, axis] = 1
        pair[1, axis], pair[1, 3] = near, turned
    seen = {axis: head.centred(pair) for axis, pair in pairs.items()}
    for vectors in seen.values():
        torch.testing.assert_close(vectors.norm(dim=-1), torch.ones(2))
    cosine = {axis: float(vectors[0] @ vectors[1]) for axis, vectors in seen.items()}
    assert cosine[0] < 0.6 < 0.9 < cosine[2], "as near as each other, but only one pair is so where all are"


@pytest.mark.parametrize("centres", [0, 3])
def test_an_embedding_has_the_size_that_the_configuration_says(centres: int) -> None:
    model = make_model(discriminant_size=4, discriminant_centres=centres, time_of_day_weight=0.25)
    assert model(**make_batch(model)).embeddings.shape == (3, model.config.embedding_size)
    assert model.config.embedding_size == (14 if not centres else 18)
