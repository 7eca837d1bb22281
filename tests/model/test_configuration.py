"""A configuration from elsewhere cannot request unlimited memory or time, or a model that cannot be built."""

import json
import shutil

import pytest

from telescope_transformer import load
from telescope_transformer.errors import CheckpointError
from telescope_transformer.hub import SHIPPED_CHECKPOINT
from telescope_transformer.hub.checkpoints import MODEL_TYPE
from telescope_transformer.model import FlowTokenizer, TelescopeConfig


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"num_hidden_layers": 10**9}, "num_hidden_layers must be 0 to"),
        ({"num_hidden_layers": -1}, "num_hidden_layers must be 0 to"),
        ({"hidden_size": 2**40}, "parameters; at most"),
        ({"max_position_embeddings": 2**50}, "parameters; at most"),
        ({"projection_size": 2**40}, "parameters; at most"),
        ({"time_embedding_size": 2**60}, "parameters; at most"),
        ({"field_embedding_sizes": {"dst_port": 2**40}}, "parameters; at most"),
        ({"field_embedding_sizes": {"dst_port": -4}}, "dst_port .* negative"),
        ({"hidden_size": 0}, "hidden_size must be at least 1"),
        ({"num_attention_heads": 0}, "num_attention_heads must be at least 1"),
        ({"layer_norm_eps": float("nan")}, "layer_norm_eps must be a positive number"),
        ({"temperature": float("inf")}, "temperature must be a positive number"),
        ({"hidden_dropout_prob": 1.5}, "hidden_dropout_prob must be"),
    ],
)
def test_impossible_sizes_are_refused_before_anything_is_built(values, message):
    with pytest.raises(Exception, match=message):
        TelescopeConfig(**values)


def test_a_checkpoint_with_a_billion_layers_is_refused_at_once(tmp_path):
    folder = shutil.copytree(SHIPPED_CHECKPOINT, tmp_path / "hostile")
    values = json.loads((folder / "config.json").read_text()) | {"num_hidden_layers": 10**9}
    (folder / "config.json").write_text(json.dumps(values))
    with pytest.raises(CheckpointError, match="num_hidden_layers"):
        load(folder)


def test_values_given_to_from_pretrained_are_checked_too():
    with pytest.raises(Exception, match="temperature must be a positive number, not -1"):
        TelescopeConfig.from_pretrained(SHIPPED_CHECKPOINT, temperature=-1)
    config, unused = TelescopeConfig.from_pretrained(
        SHIPPED_CHECKPOINT, temperature=0.5, fields=["dst_port"], other=3, return_unused_kwargs=True
    )
    assert (config.temperature, config.vocab_size, list(config.field_embedding_sizes)) == (0.5, 65_538, ["dst_port"])
    assert unused == {"other": 3}


def test_the_model_type_is_known_without_importing_the_model():
    assert TelescopeConfig.model_type == MODEL_TYPE


def test_an_empty_name_is_not_the_current_folder():
    with pytest.raises(CheckpointError, match="empty"):
        load("")


@pytest.mark.parametrize("token", [None, "zzz"])
def test_a_tokenizer_keeps_its_special_tokens(token, tmp_path):
    folder = shutil.copytree(SHIPPED_CHECKPOINT, tmp_path / "odd")
    values = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(values | {"unk_token": token, "pad_token": token}))
    tokenizer = FlowTokenizer.from_pretrained(folder)
    assert (tokenizer.pad_token_id, tokenizer.unk_token_id) == (0, 1)
