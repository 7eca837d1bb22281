"""The model: shapes, masks, attention implementations, saving, and the Auto classes with and without the package."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from huggingface_hub.errors import StrictDataclassClassValidationError
from transformers import AutoConfig, AutoModel, AutoTokenizer

from telescope_transformer import FlowTokenizer, TelescopeConfig, TelescopeForContrastiveLearning, TelescopeModel
from telescope_transformer.learning.arguments import read_recipe
from telescope_transformer.model import FIELD_SIZES
from telescope_transformer.model.configuration_telescope import field_offsets
from telescope_transformer.model.sharing_telescope import bundle_source

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 48, "projection_size": 16}
RECIPE = read_recipe("default")["model"]
VARIANTS = {
    "paper": {},
    "bidirectional": {"is_causal": False},
    "bag of records": {"num_hidden_layers": 0},
    "more fields": {"fields": ["protocol", "ttl", "dst_port", "tcp_flags"]},
    "seconds": {"time_features": ["log_seconds", "log_microseconds"]},
    "moments": {"pooling": "moments", "num_hidden_layers": 0},
    "record features": {"fields": RECIPE["fields"], "field_embedding_sizes": {"src_port": 0}, "record_features": True},
    "record features of ports alone": {
        "fields": ["protocol", "dst_port"],
        "record_features": True,
    },
    "recipe": RECIPE,
}


def make_model(**changes: object) -> TelescopeForContrastiveLearning:
    torch.manual_seed(0)
    return TelescopeForContrastiveLearning(TelescopeConfig(**SMALL | changes)).eval()


def make_batch(config: TelescopeConfig, batch: int = 3, records: int = 7, seed: int = 0) -> dict[str, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    offsets = field_offsets(config.fields)
    ids = [
        torch.randint(0, FIELD_SIZES[name], (batch, records), generator=random) + offsets[name]
        for name in config.fields
    ]
    seconds = torch.rand(batch, records, generator=random) * 1000
    return {"input_ids": torch.stack(ids, dim=-1), "inter_arrival": seconds}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def test_the_paper_preset_is_the_paper_model() -> None:
    model = TelescopeForContrastiveLearning(TelescopeConfig.paper())
    sizes = {
        name: tuple(table.table.weight.shape)
        for name, table in zip(model.config.fields, model.model.embeddings.fields, strict=True)
    }
    assert sizes == {
        "dst_octet_1": (256, 8),
        "dst_octet_2": (256, 8),
        "dst_octet_3": (256, 8),
        "dst_octet_4": (256, 8),
        "dst_port": (65_536, 16),
        "protocol": (256, 4),
    }
    assert len(model.model.layers) == 4
    assert model.model.layers[0].attention.scaling == (128 // 4) ** -0.5
    assert model.model.embeddings.fuse.weight.shape == (128, 4 * 8 + 16 + 4 + 16)
    assert (model.config.temperature, model.config.intermediate_size, model.config.is_causal) == (0.07, 256, True)


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_shapes_and_unit_length(changes: dict[str, object]) -> None:
    model = make_model(**changes)
    output = model(**make_batch(model.config), output_hidden_states=True)
    assert output.embeddings.shape == (3, model.config.projection_size)
    assert output.pooler_output.shape == (3, model.config.pooled_size)
    assert output.last_hidden_state.shape == (3, 7, 32)
    assert output.loss is None
    torch.testing.assert_close(output.embeddings.norm(dim=-1), torch.ones(3))


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_padding_changes_no_embedding(changes: dict[str, object], attention: str) -> None:
    model = make_model(**changes)
    model.set_attn_implementation(attention)
    batch = make_batch(model.config)
    padded = {name: torch.cat([values, torch.zeros_like(values)], dim=1) for name, values in batch.items()}
    mask = torch.cat([torch.ones(3, 7), torch.zeros(3, 7)], dim=1).long()
    # Values at padded positions are ignored, even if they look like a record.
    padded["input_ids"][1, 7:] = batch["input_ids"][0]
    padded["inter_arrival"][1, 7:] = 1e9
    expected = model(**batch).embeddings
    # Padding after the records, before them, and on both sides.
    for shift in (0, 7, 3):
        rolled = {name: values.roll(shift, 1) for name, values in padded.items()}
        torch.testing.assert_close(model(**rolled, attention_mask=mask.roll(shift, 1)).embeddings, expected)


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_a_masked_record_has_no_influence_at_any_position(changes: dict[str, object]) -> None:
    model = make_model(**changes)
    batch = make_batch(model.config)
    mask = torch.ones(3, 7).long()
    mask[:, 3] = 0
    before = model(**batch, attention_mask=mask).embeddings
    batch["input_ids"][:, 3] = batch["input_ids"][:, 0]
    torch.testing.assert_close(model(**batch, attention_mask=mask).embeddings, before)


def test_a_record_of_zeros_is_real() -> None:
    """Protocol 0, port 0 and destination 0.0.0.0 are values, not padding."""
    model, tokenizer = make_model(), FlowTokenizer()
    zeros = {"dst_ip": "0.0.0.0", "dst_port": 0, "protocol": 0}
    other = {"dst_ip": "192.0.2.1", "dst_port": 22, "protocol": 6}
    with_zeros = tokenizer([other | {"timestamp": 0}, zeros | {"timestamp": 0}], return_tensors="pt")
    assert with_zeros["attention_mask"].tolist() == [[1, 1]]
    without = tokenizer([other | {"timestamp": 0}], return_tensors="pt")
    assert not torch.allclose(model(**with_zeros).embeddings, model(**without).embeddings, atol=1e-3)


@pytest.mark.parametrize("is_causal", [True, False])
@pytest.mark.parametrize("mask", [(torch.arange(7) < torch.tensor([[7], [3], [1]])).long(), None])
def test_eager_equals_sdpa(is_causal: bool, mask: torch.Tensor | None) -> None:
    model = make_model(is_causal=is_causal)
    batch = make_batch(model.config)
    model.set_attn_implementation("sdpa")
    fused = model(**batch, attention_mask=mask).embeddings
    model.set_attn_implementation("eager")
    output = model(**batch, attention_mask=mask, output_attentions=True)
    torch.testing.assert_close(output.embeddings, fused, atol=1e-6, rtol=1e-5)
    assert [weights.shape for weights in output.attentions] == [(3, 4, 7, 7)] * 2


def test_a_causal_record_does_not_see_later_ones() -> None:
    model = make_model()
    batch = make_batch(model.config)
    before = model(**batch).last_hidden_state
    batch["inter_arrival"][:, 5] += 100.0
    after = model(**batch).last_hidden_state
    torch.testing.assert_close(after[:, :5], before[:, :5])
    assert not torch.allclose(after[:, 5:], before[:, 5:])


def test_a_bag_of_records_has_no_order() -> None:
    model = make_model(num_hidden_layers=0)
    batch = make_batch(model.config)
    backward = {name: values.flip(1) for name, values in batch.items()}
    torch.testing.assert_close(model(**backward).embeddings, model(**batch).embeddings)


@pytest.mark.parametrize("changes", [{}, RECIPE])
def test_every_parameter_gets_a_gradient(changes: dict[str, object]) -> None:
    model = make_model(**changes).train()
    pairs = torch.tensor([[0, 1], [2, 3]])
    model(**make_batch(model.config, batch=4), pairs=pairs).loss.backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


def test_activation_checkpointing_changes_no_gradient() -> None:
    batch, gradients = make_batch(TelescopeConfig(**SMALL), batch=4), []
    for checkpointing in (False, True):
        model = make_model(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0).train()
        if checkpointing:
            # Older versions of transformers only have the name that newer versions deprecate.
            enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
            enable()
        model(**batch, pairs=torch.tensor([[0, 1], [2, 3]])).loss.backward()
        gradients.append(model.model.embeddings.fuse.weight.grad)
    torch.testing.assert_close(gradients[0], gradients[1])


@pytest.mark.parametrize("changes", [{}, RECIPE])
def test_save_and_load(tmp_path: Path, changes: dict[str, object]) -> None:
    model = make_model(**changes)
    model.save_pretrained(tmp_path)
    loaded = TelescopeForContrastiveLearning.from_pretrained(tmp_path)
    batch = make_batch(model.config)
    assert torch.equal(loaded(**batch).embeddings, model(**batch).embeddings)
    encoder = AutoModel.from_pretrained(tmp_path)
    assert type(encoder) is TelescopeModel
    assert torch.equal(encoder(**batch).pooler_output, model(**batch).pooler_output)
    assert AutoConfig.from_pretrained(tmp_path).to_diff_dict() == model.config.to_diff_dict()


def test_auto_classes_without_the_package(tmp_path: Path) -> None:
    """A process that cannot import the package loads model and tokenizer from the pushed folder alone."""
    model, tokenizer, pushed = make_model(), FlowTokenizer(), tmp_path / "pushed"
    model.model.save_pretrained(pushed)
    tokenizer.save_pretrained(pushed)
    bundle_source(pushed)
    records = [{"timestamp": 0, "dst_ip": "192.0.2.1", "dst_port": 22, "protocol": 6}]
    expected = model(**tokenizer(records, return_tensors="pt")).pooler_output[0].tolist()
    loader = (
        "import json, sys\n"
        "class Hidden:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] == 'telescope_transformer': raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Hidden())\n"
        "from transformers import AutoModel, AutoTokenizer\n"
        "model = AutoModel.from_pretrained(sys.argv[1], trust_remote_code=True)\n"
        "tokenizer = AutoTokenizer.from_pretrained(sys.argv[1], trust_remote_code=True)\n"
        "encoded = tokenizer(json.loads(sys.argv[2]), return_tensors='pt')\n"
        "print(json.dumps(model(**encoded).pooler_output[0].tolist()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", loader, str(pushed), json.dumps(records)],
        env={"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    torch.testing.assert_close(torch.tensor(json.loads(done.stdout.splitlines()[-1])), torch.tensor(expected))


def test_auto_classes_know_the_model_where_the_package_is_installed(tmp_path: Path) -> None:
    make_model().save_pretrained(tmp_path)
    FlowTokenizer(["dst_port", "protocol"]).save_pretrained(tmp_path)
    assert type(AutoModel.from_pretrained(tmp_path)) is TelescopeModel
    assert type(AutoTokenizer.from_pretrained(tmp_path)) is FlowTokenizer
    assert AutoTokenizer.from_pretrained(tmp_path).fields == ["dst_port", "protocol"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"fields": ["dst_port", "colour"]}, "colour"),
        ({"fields": ["dst_port", "dst_port"]}, "distinct"),
        ({"hidden_size": 30, "num_attention_heads": 4}, "30"),
        ({"temperature": 0.0}, "temperature"),
    ],
)
def test_a_wrong_configuration_is_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(StrictDataclassClassValidationError, match=words):
        TelescopeConfig(**changes)


def test_windows_of_wrong_shape_are_refused() -> None:
    model = make_model(max_position_embeddings=8)
    batch = make_batch(model.config, records=9)
    with pytest.raises(ValueError, match="9 records"):
        model(**batch)
    with pytest.raises(ValueError, match="input_ids must be"):
        model(batch["input_ids"][..., :5], batch["inter_arrival"])
    with pytest.raises(ValueError, match=r"input_ids must be integers, not torch\.float32"):
        model(batch["input_ids"].float(), batch["inter_arrival"])
    with pytest.raises(ValueError, match=r"inter_arrival must be \(B, T\)"):
        model(batch["input_ids"], batch["inter_arrival"][:, 1:])
    with pytest.raises(ValueError, match=r"attention_mask must be \(B, T\)"):
        model(**batch | {"attention_mask": torch.ones(1, 3)})


@pytest.mark.parametrize(
    "pairs", [torch.tensor([0, 1]), torch.tensor([[0, 1, 2], [1, 2, 0]]), torch.tensor([[0.0, 1.0], [1.0, 0.0]])]
)
def test_pairs_of_wrong_shape_are_refused(pairs: torch.Tensor) -> None:
    model = make_model()
    with pytest.raises(ValueError, match=r"pairs must be \(N, 2\) rows of the batch"):
        model(**make_batch(model.config), pairs=pairs)


def test_an_unknown_activation_is_refused() -> None:
    with pytest.raises(ValueError, match="hidden_act must be an activation of transformers, not 'swoosh'"):
        make_model(hidden_act="swoosh")
