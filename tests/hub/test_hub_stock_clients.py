"""Stock clients in their own processes push and load, with and without the package."""

from collections.abc import Callable
from typing import Any

from hub_server import HubServer

Run = Callable[..., dict[str, Any]]

RECORDS = """
records = [
    {"timestamp": 1_000 * i * i, "dst_ip": f"198.51.100.{i}", "dst_port": 22 + i, "protocol": 6} for i in range(9)
]
"""
PUSH = """
import json
import torch
from telescope_transformer import FlowTokenizer, TelescopeConfig, TelescopeForContrastiveLearning
from telescope_transformer.model import FlowEmbeddingPipeline

torch.manual_seed(0)
sizes = {"dst_port": 2}
small = dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, projection_size=8)
model = TelescopeForContrastiveLearning(TelescopeConfig(field_embedding_sizes=sizes, **small)).eval()
tokenizer = FlowTokenizer()
model.push_to_hub("user/a", private=True)
pinned = tokenizer.push_to_hub("user/a").oid
pipeline = FlowEmbeddingPipeline(model=model, tokenizer=tokenizer, device="cpu")
embedding = pipeline(records)
encoded = tokenizer(records, return_tensors="pt")
with torch.no_grad():
    encoder = model.model(**encoded).pooler_output[0].tolist()
    # What the revision that is pinned below must not give.
    model.model.embeddings.fuse.weight.zero_()
model.push_to_hub("user/a")
print(json.dumps({"revision": pinned, "embedding": embedding.tolist(), "encoder": encoder}))
"""
LOAD = """
import json
import torch
from transformers import AutoConfig, AutoModel, AutoTokenizer, pipeline

told = {}
name, pinned = "user/a", dict(revision=%r, **%r)
config = AutoConfig.from_pretrained(name, **pinned)
model = AutoModel.from_pretrained(name, **pinned).eval()
tokenizer = AutoTokenizer.from_pretrained(name, **pinned)
with torch.no_grad():
    told["encoder"] = model(**tokenizer(records, return_tensors="pt")).pooler_output[0].tolist()
    latest = AutoModel.from_pretrained(name, **%r).eval()
    told["latest"] = latest(**tokenizer(records, return_tensors="pt")).pooler_output[0].tolist()
told["classes"] = [type(x).__module__.split(".")[0] for x in (config, model, tokenizer)]
told["decoded"] = tokenizer.decode(tokenizer(records)["input_ids"])[0]
"""
PIPELINE = """
embed = pipeline("flow-embedding", model=name, **pinned)
told["embedding"] = embed(records).tolist()
told["batch"] = embed([records[:2], records]).tolist()[1]
print(json.dumps(told))
"""
WITH_PACKAGE = """
import telescope_transformer.model
from telescope_transformer import FlowTokenizer, TelescopeModel
"""
CLASSES = """
told["own"] = [type(cls.from_pretrained(name, **pinned)).__name__ for cls in (TelescopeModel, FlowTokenizer)]
told["errors"] = {}
for broken in ("bert", "newer", "corrupt", "weightless", "other-shape", "half", "absent"):
    try:
        TelescopeModel.from_pretrained(f"user/{broken}")
    except (OSError, ValueError) as error:
        told["errors"][broken] = str(error).splitlines()[0]
try:
    TelescopeModel.from_pretrained("user/other", token="hf_invalidinvalidinvalidinvalidinvalid")
except OSError as error:
    told["refused"] = str(error)
print(json.dumps(told))
"""
TOLD = {
    "bert": "config.json is of a model of type 'bert', not 'telescope'",
    "newer": "the checkpoint has format 9, and this version of telescope-transformer reads format 4: upgrade",
    "corrupt": "user/corrupt: model.safetensors is damaged",
    "weightless": "user/weightless does not appear to have a file named",
    "other-shape": "has shape [16], and config.json says [32]",
    "half": "user/half: weights lack 12 parameters of the model",
    "absent": "user/absent is not a",
}


def close(one: list[float], other: list[float]) -> bool:
    return len(one) == len(other) and max(abs(a - b) for a, b in zip(one, other, strict=True)) < 1e-6


def plant_broken(hub: HubServer) -> None:
    """Create repositories of `user/a`, each with one fault."""
    files = hub.files("user/a")
    config, weights = files["config.json"].decode(), files["model.safetensors"]
    broken = {
        "bert": {"config.json": config.replace('"model_type": "telescope"', '"model_type": "bert"').encode()},
        "newer": {"config.json": config.replace('format_version": 4', 'format_version": 9').encode()},
        "other-shape": {"config.json": config.replace('"hidden_size": 16', '"hidden_size": 32').encode()},
        "half": {"config.json": config.replace('"num_hidden_layers": 1', '"num_hidden_layers": 2').encode()},
        "corrupt": {"model.safetensors": weights[:-100]},
    }
    for name, change in broken.items():
        hub.plant(f"user/{name}", files | change)
    hub.plant("user/weightless", {"config.json": files["config.json"]})


def test_what_push_to_hub_uploads_loads_with_and_without_the_package(
    hub: HubServer, in_process_of_its_own: Run
) -> None:
    pushed = in_process_of_its_own(RECORDS + PUSH)
    assert hub.store.repositories["model", "user/a"].private
    plant_broken(hub)

    trusted = {"trust_remote_code": True}
    load = LOAD % (pushed["revision"], trusted, trusted)
    remote = in_process_of_its_own(RECORDS + load + PIPELINE, package=False, home="second")
    assert remote["classes"] == ["transformers_modules"] * 3
    for name in ("encoder", "embedding"):
        assert close(remote[name], pushed[name])
    assert close(remote["batch"], pushed["embedding"])
    assert not close(remote["latest"], remote["encoder"]), "the revision pins the weights"
    assert remote["decoded"] == {"dst_ip": "198.51.100.0", "dst_port": 22, "protocol": 6}

    load = LOAD % (pushed["revision"], {}, {})
    local = in_process_of_its_own(RECORDS + WITH_PACKAGE + load + CLASSES, home="third")
    assert local["classes"] == ["telescope_transformer"] * 3
    assert local["own"] == ["TelescopeModel", "FlowTokenizer"]
    assert close(local["encoder"], pushed["encoder"])
    assert "user/other" in local["refused"]
    assert "hf_invalid" not in local["refused"] + local["stderr"]
    for name, told in TOLD.items():
        assert told in local["errors"][name]
