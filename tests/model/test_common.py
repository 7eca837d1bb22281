"""The common model tests of transformers that apply, on the paper's preset and the shipped checkpoint."""

import copy
import warnings
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import AutoModelForPreTraining

from telescope_transformer import FlowTokenizer, TelescopeConfig, TelescopeForContrastiveLearning
from telescope_transformer.hub import SHIPPED_CHECKPOINT
from telescope_transformer.model import TelescopeModel, TelescopePreTrainedModel

RECORDS = [
    {
        "timestamp": 1_000_000 * i * i,
        "dst_ip": f"198.51.100.{i}",
        "dst_port": 22 + i % 3,
        "protocol": 6,
        "src_port": 4_000,
    }
    for i in range(11)
]


def build(name: str) -> TelescopeForContrastiveLearning:
    torch.manual_seed(0)
    if name == "shipped":
        return TelescopeForContrastiveLearning.from_pretrained(SHIPPED_CHECKPOINT).eval()
    return TelescopeForContrastiveLearning(TelescopeConfig.paper()).eval()


@pytest.fixture(params=["paper", "shipped"])
def model(request: pytest.FixtureRequest) -> TelescopeForContrastiveLearning:
    torch.set_num_threads(1)
    return build(request.param)


@pytest.fixture
def batch(model: TelescopeForContrastiveLearning) -> dict[str, torch.Tensor]:
    tokenizer = FlowTokenizer(model.config.fields)
    return dict(tokenizer([RECORDS, RECORDS[:4]], padding=True, return_tensors="pt"))


def test_hidden_states_and_attentions_are_returned_on_request(
    model: TelescopeForContrastiveLearning, batch: dict[str, torch.Tensor]
) -> None:
    model.set_attn_implementation("eager")
    plain = model(**batch)
    assert plain.hidden_states is None
    asked = model(**batch, output_hidden_states=True, output_attentions=True)
    layers = model.config.num_hidden_layers
    assert len(asked.hidden_states) == layers + 1
    assert len(asked.attentions) == layers
    assert asked.attentions[0].shape[-2:] == (11, 11)
    torch.testing.assert_close(asked.embeddings, plain.embeddings)
    model.config.output_hidden_states = True
    assert model(**batch).hidden_states is not None
    model.set_attn_implementation("sdpa")
    with pytest.raises(ValueError, match="output_attentions needs the attention 'eager', and 'sdpa' computes no"):
        model(**batch, output_attentions=True)


def test_a_tuple_is_given_on_request(model: TelescopeForContrastiveLearning, batch: dict[str, torch.Tensor]) -> None:
    """Tests `can_return_tuple`, which transformers does not document."""
    found = model(**batch, return_dict=False)
    assert isinstance(found, tuple)
    assert any(torch.equal(part, model(**batch).embeddings) for part in found if isinstance(part, torch.Tensor))
    model.config.return_dict = False
    assert isinstance(model(**batch), tuple)


def test_a_checkpoint_in_shards_is_the_same_model(
    model: TelescopeForContrastiveLearning, batch: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    model.save_pretrained(tmp_path, max_shard_size="200KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    loaded = AutoModelForPreTraining.from_pretrained(tmp_path, device_map="cpu").eval()
    assert torch.equal(loaded(**batch).embeddings, model(**batch).embeddings)


def test_a_seed_gives_the_same_weights() -> None:
    first, second = build("paper").state_dict(), build("paper").state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert all(torch.isfinite(values).all() for values in first.values())


@pytest.mark.parametrize("targets", ["all-linear", "first", "table"])
def test_lora_starts_from_the_model_and_learns(
    model: TelescopeForContrastiveLearning, batch: dict[str, torch.Tensor], targets: str
) -> None:
    plain = model(**batch).embeddings.detach()
    linear = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    # "table" is the name of the embedding tables of the fields.
    chosen = {"all-linear": targets, "first": [linear[0]], "table": ["table"]}[targets]
    adapted = get_peft_model(model, LoraConfig(r=2, target_modules=chosen))
    torch.testing.assert_close(adapted.eval()(**batch).embeddings, plain)
    adapted.train()
    pairs = torch.tensor([[0, 1], [1, 0]])
    adapted(**batch, pairs=pairs).loss.backward()
    gradients = [p.grad for p in adapted.parameters() if p.requires_grad]
    assert gradients
    assert any(gradient is not None and gradient.abs().sum() > 0 for gradient in gradients)


def test_dynamic_quantisation_changes_embeddings_little(
    model: TelescopeForContrastiveLearning, batch: dict[str, torch.Tensor]
) -> None:
    plain = model(**batch).embeddings
    with warnings.catch_warnings():
        # PyTorch warns that this function is moving to another package.
        warnings.simplefilter("ignore")
        quantised = torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)
    assert (quantised(**batch).embeddings * plain).sum(dim=-1).min() > 0.98


def test_another_number_of_tokens_is_refused(model: TelescopeForContrastiveLearning) -> None:
    """Each field has a separate embedding table, so there is no common table of tokens to resize."""
    with pytest.raises(NotImplementedError, match="each field has a table of its own values"):
        model.resize_token_embeddings(10)


def test_the_module_of_embeddings_can_be_replaced(
    model: TelescopeForContrastiveLearning, batch: dict[str, torch.Tensor]
) -> None:
    plain, copied = model(**batch).embeddings, copy.deepcopy(model)
    copied.set_input_embeddings(copied.get_input_embeddings())
    torch.testing.assert_close(copied(**batch).embeddings, plain)
    copied.get_input_embeddings().norm.weight.data.zero_()
    assert not torch.allclose(copied(**batch).embeddings, plain)


class Classifier(TelescopePreTrainedModel):
    """A head of another task on the encoder, as its authors would write it."""

    def __init__(self, config: TelescopeConfig):
        super().__init__(config)
        self.model = TelescopeModel(config)
        self.classifier = nn.Linear(config.pooled_size, 3)
        self.post_init()


def test_a_head_of_another_task_begins_with_random_values_on_request() -> None:
    with pytest.raises(ValueError, match=r"the first 'classifier\.bias'; with new_head=True they begin with random"):
        Classifier.from_pretrained(SHIPPED_CHECKPOINT)
    loaded = Classifier.from_pretrained(SHIPPED_CHECKPOINT, new_head=True)
    shipped = TelescopeForContrastiveLearning.from_pretrained(SHIPPED_CHECKPOINT)
    torch.testing.assert_close(loaded.model.state_dict(), shipped.model.state_dict())


def test_no_parameter_of_the_encoder_may_be_missing(tmp_path: Path) -> None:
    shipped = TelescopeForContrastiveLearning.from_pretrained(SHIPPED_CHECKPOINT)
    weights = {name: values for name, values in shipped.state_dict().items() if not name.startswith("model.pooling")}
    shipped.save_pretrained(tmp_path, state_dict=weights)
    for kind in (TelescopeForContrastiveLearning, TelescopeModel):
        with pytest.raises(ValueError, match=r"weights lack 2 parameters of the model, the first '.*pooling"):
            kind.from_pretrained(tmp_path, new_head=True)
