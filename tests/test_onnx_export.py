"""The ONNX graph gives the same embeddings as PyTorch, also at lengths that the export did not use."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from telescope_transformer import FlowTokenizer, TelescopeConfig, TelescopeForContrastiveLearning, onnx_export
from telescope_transformer.errors import ExportError

RECORDS = [
    {"timestamp": 10**6 * i * i, "dst_ip": f"198.51.100.{i}", "dst_port": 22 + i % 3, "protocol": 6} for i in range(40)
]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint")
    torch.manual_seed(0)
    config = TelescopeConfig(hidden_size=16, intermediate_size=16, projection_size=8, num_hidden_layers=1)
    TelescopeForContrastiveLearning(config).save_pretrained(folder)
    FlowTokenizer(config.fields).save_pretrained(folder)
    return folder


@pytest.mark.skipif(torch.__version__.startswith("2.6."), reason="PyTorch 2.6 cannot trace transformers")
def test_the_graph_gives_the_same_embeddings(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "model.onnx"
    assert onnx_export.export_onnx(checkpoint, output) <= onnx_export.TOLERANCE
    session = onnxruntime.InferenceSession(str(output))
    model = TelescopeForContrastiveLearning.from_pretrained(checkpoint).eval()
    tokenizer = FlowTokenizer.from_pretrained(checkpoint)
    for windows in ([RECORDS[:1]], [RECORDS, RECORDS[:3]], [RECORDS[5:20]] * 5):
        batch = tokenizer(windows, padding=True, return_tensors="pt")
        (found,) = session.run(None, {name: batch[name].numpy() for name in onnx_export.INPUTS})
        np.testing.assert_allclose(found, model(**batch).embeddings.detach().numpy(), atol=1e-5)

    monkeypatch.setattr(onnx_export, "_difference", lambda *_: 1e-3)
    monkeypatch.setattr(onnx_export, "_write", lambda network, config, path: path.write_bytes(b"wrong"))
    before = output.read_bytes()
    with pytest.raises(ExportError, match=r"differs from PyTorch by 0\.001"):
        onnx_export.export_onnx(checkpoint, output)
    assert output.read_bytes() == before
