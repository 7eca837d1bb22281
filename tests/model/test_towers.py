"""Towers side by side, and the directions that are fitted after training."""

import pytest
import torch
from huggingface_hub.errors import StrictDataclassClassValidationError

from telescope_transformer import TelescopeConfig, TelescopeForContrastiveLearning
from telescope_transformer.model import nt_xent_loss

BAG = {
    "hidden_dropout_prob": 0.0,
    "num_hidden_layers": 0,
    "record_layers": 1,
    "pooling": "moments",
    "hidden_act": "gelu",
}


def make_model(config: TelescopeConfig, seed: int = 0) -> TelescopeForContrastiveLearning:
    torch.manual_seed(seed)
    return TelescopeForContrastiveLearning(config).eval()


def make_batch() -> dict[str, torch.Tensor]:
    random = torch.Generator().manual_seed(1)
    first_ids = torch.tensor([2, 258, 514, 770, 1026, 66562])
    ids = first_ids + torch.randint(0, 256, (6, 5, 6), generator=random)
    return {"input_ids": ids, "inter_arrival": torch.rand(6, 5, generator=random) * 100}


def joined_weights(towers: list[TelescopeForContrastiveLearning]) -> dict[str, torch.Tensor]:
    """Weights of one model with the towers of several; what they share is the first one's."""
    states = [tower.state_dict() for tower in towers]
    shared = ("model.embeddings.fields", "model.embeddings.time")
    parts = {name: [state[name] for state in states if name in state] for name in states[-1]}
    return {name: values[0] if name.startswith(shared) else torch.cat(values) for name, values in parts.items()}


def with_layers(towers: int, layers: int, causal: bool, bags: int = 0) -> TelescopeConfig:
    """A configuration of so many towers of width 8."""
    return TelescopeConfig(
        **BAG | {"num_hidden_layers": layers},
        num_towers=towers,
        num_bag_towers=bags,
        hidden_size=8 * towers,
        num_attention_heads=2,
        intermediate_size=10 * (towers - bags),
        projection_hidden_size=12 * towers,
        projection_size=4 * towers,
        is_causal=causal,
    )


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("layers", [(0, 0), (2, 2), (0, 2)])
def test_towers_are_models_side_by_side(layers: tuple[int, int], causal: bool) -> None:
    bags = sum(number == 0 for number in layers) if any(layers) else 0
    both = make_model(with_layers(2, max(layers), causal, bags))
    towers = [make_model(with_layers(1, number, causal), seed) for seed, number in enumerate(layers)]
    shared = ("model.embeddings.fields", "model.embeddings.time")
    common = {name: value for name, value in towers[0].state_dict().items() if name.startswith(shared)}
    towers[1].load_state_dict(common, strict=False)
    both.load_state_dict(joined_weights(towers))
    batch, pairs = make_batch(), torch.tensor([[0, 1], [2, 3], [4, 5]])
    expected = [tower(**batch, pairs=pairs) for tower in towers]
    found = both(**batch, pairs=pairs)
    side_by_side = torch.cat([output.embeddings for output in expected], dim=1) / 2**0.5
    torch.testing.assert_close(found.embeddings, side_by_side)
    torch.testing.assert_close(found.loss, torch.stack([output.loss for output in expected]).mean())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_towers": 3, "num_hidden_layers": 0}, "does not divide"),
        ({"num_towers": 0}, "does not divide"),
        ({"num_towers": 2, "num_bag_towers": 2}, "fewer than num_towers"),
        ({"num_bag_towers": -1}, "from 0 to 0"),
        ({"num_towers": 2, "intermediate_size": 7}, "does not divide among 2"),
        ({"num_towers": 64}, "not a multiple"),
        ({"hidden_size": 32, "discriminant_size": 33}, "exceeds"),
    ],
)
def test_towers_that_cannot_be_are_refused(changes: dict[str, int], message: str) -> None:
    with pytest.raises(StrictDataclassClassValidationError, match=message):
        TelescopeConfig(**changes)


def test_directions_join_the_embedding_and_leave_training_alone() -> None:
    config = TelescopeConfig(**BAG, hidden_size=8, projection_size=4, discriminant_size=3, discriminant_weight=0.5)
    model, batch = make_model(config), make_batch()
    unfitted = model(**batch).embeddings
    assert unfitted.shape == (6, config.embedding_size)
    assert not unfitted[:, 4:].any()
    torch.nn.init.normal_(model.head.directions, generator=torch.Generator().manual_seed(2))
    fitted = model(**batch).embeddings
    torch.testing.assert_close(fitted.norm(dim=1), torch.ones(6))
    torch.testing.assert_close(fitted[:, 4:].norm(dim=1) / fitted[:, :4].norm(dim=1), torch.full((6,), 0.5))
    torch.testing.assert_close(model.of_towers(fitted)[0], unfitted[:, :4])
    torch.testing.assert_close(model.train()(**batch).embeddings, unfitted[:, :4])
    pairs = torch.tensor([[0, 1], [2, 3], [4, 5]])
    views = unfitted[[0, 2, 4], :4], unfitted[[1, 3, 5], :4]
    torch.testing.assert_close(model.eval()(**batch, pairs=pairs).loss, nt_xent_loss(*views, config.temperature))
