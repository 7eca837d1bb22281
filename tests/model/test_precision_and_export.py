"""The paper's preset and the recipe's model in half precision, compiled, exported, and on empty batches."""

import pytest
import torch
from torch.export import Dim

from telescope_transformer import TelescopeConfig, TelescopeForContrastiveLearning
from telescope_transformer.learning.arguments import read_recipe
from telescope_transformer.model import FIELD_SIZES, TelescopeModel
from telescope_transformer.model.configuration_telescope import field_offsets

# PyTorch 2.6 cannot trace the decorators of transformers around `forward`.
traced = pytest.mark.skipif(torch.__version__.startswith("2.6."), reason="PyTorch 2.6 cannot trace transformers")
CONFIGURATIONS = {"paper": {}, "recipe": read_recipe("default")["model"]}


@pytest.fixture(params=CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def model(request: pytest.FixtureRequest) -> TelescopeForContrastiveLearning:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    return TelescopeForContrastiveLearning(TelescopeConfig(**request.param)).eval()


def make_batch(config: TelescopeConfig, batch: int, records: int, *, padded: bool = True) -> dict[str, torch.Tensor]:
    random = torch.Generator().manual_seed(batch + records)
    ids = [
        torch.randint(0, FIELD_SIZES[name], (batch, records), generator=random) + offset
        for name, offset in field_offsets(config.fields).items()
    ]
    inputs = {
        "input_ids": torch.stack(ids, dim=-1),
        "inter_arrival": torch.rand(batch, records, generator=random) * 1000,
    }
    if padded:
        lengths = torch.arange(batch).unsqueeze(1) % records + 1
        inputs["attention_mask"] = (torch.arange(records) < lengths).long()
    return inputs


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_keeps_unit_length(model: TelescopeForContrastiveLearning, dtype: torch.dtype) -> None:
    batch = make_batch(model.config, 5, 9)
    # A gap of twelve days has more microseconds than half precision can represent.
    batch["inter_arrival"][:, 1] = 1e6
    exact = model(**batch).embeddings
    half = model.to(dtype)(**batch).embeddings
    assert half.dtype == dtype
    # A number of unit size is rounded by up to eps / 2.
    torch.testing.assert_close(half.float().norm(dim=-1), torch.ones(5), atol=torch.finfo(dtype).eps, rtol=0)
    assert ((half.float() * exact).sum(dim=-1) > 0.999).all()


@pytest.mark.parametrize("shape", [(0, 4), (0, 0), (2, 0)])
def test_batches_without_records(model: TelescopeForContrastiveLearning, shape: tuple[int, int]) -> None:
    windows, records = shape
    fields = len(model.config.fields)
    inputs = {"input_ids": torch.zeros(*shape, fields, dtype=torch.long), "inter_arrival": torch.zeros(shape)}
    for mask in ({}, {"attention_mask": torch.ones(shape, dtype=torch.long)}):
        output = model(**inputs, **mask)
        assert output.embeddings.shape == (windows, model.config.projection_size)
        assert output.last_hidden_state.shape == (windows, records, model.config.hidden_size)
        assert output.embeddings.isfinite().all()


def test_a_window_of_padding_does_not_change_others(model: TelescopeForContrastiveLearning) -> None:
    batch = make_batch(model.config, 2, 6)
    alone = model(**{name: values[:1] for name, values in batch.items()}).embeddings
    batch["attention_mask"][1] = 0
    embeddings = model(**batch).embeddings
    torch.testing.assert_close(embeddings[:1], alone)
    assert embeddings.isfinite().all()


def test_a_tuple_has_the_values_of_the_output(model: TelescopeForContrastiveLearning) -> None:
    batch = make_batch(model.config, 2, 5)
    pairs = torch.tensor([[0, 1], [1, 0]])
    expected = model(**batch, pairs=pairs)
    loss, embeddings, pooled, hidden = model(**batch, pairs=pairs, return_dict=False)
    found = {"loss": loss, "embeddings": embeddings, "pooler_output": pooled, "last_hidden_state": hidden}
    assert found.keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in found.items())


@traced
def test_it_compiles_as_one_graph(model: TelescopeForContrastiveLearning) -> None:
    # The graph is captured and run eagerly, because generating code needs a compiler and minutes.
    compiled = torch.compile(model, fullgraph=True, backend="eager", dynamic=True)
    for shape in ((2, 5), (3, 9)):
        batch = make_batch(model.config, *shape)
        torch.testing.assert_close(compiled(**batch).embeddings, model(**batch).embeddings)


@traced
def test_layers_can_be_asked_for_in_a_compiled_graph() -> None:
    """Also of a model that was not called before: nothing is set up by the first call."""
    model = TelescopeModel(TelescopeConfig(attn_implementation="eager")).eval()
    batch = make_batch(model.config, 2, 5)
    asked = {"output_hidden_states": True, "output_attentions": True}
    found = torch.compile(model, fullgraph=True, backend="eager")(**batch, **asked)
    expected = model(**batch, **asked)
    assert len(found.hidden_states) == len(found.attentions) + 1 == 5
    torch.testing.assert_close(found.hidden_states, expected.hidden_states)
    torch.testing.assert_close(found.attentions, expected.attentions)


@traced
@pytest.mark.parametrize("padded", [True, False])
def test_it_exports_with_any_number_of_windows_and_records(
    model: TelescopeForContrastiveLearning, padded: bool
) -> None:
    windows, records = Dim("windows", min=2, max=64), Dim("records", min=2, max=512)
    example = make_batch(model.config, 3, 6, padded=padded)
    shapes = {name: {0: windows, 1: records} for name in example}
    program = torch.export.export(model, (), example, dynamic_shapes=shapes)
    for shape in ((2, 4), (5, 33)):
        batch = make_batch(model.config, *shape, padded=padded)
        torch.testing.assert_close(program.module()(**batch).embeddings, model(**batch).embeddings)
