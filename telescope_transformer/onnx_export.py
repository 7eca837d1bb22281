"""Export a model to ONNX: one graph for any number of windows and records, checked against PyTorch."""

import logging
import warnings
from pathlib import Path

import torch
from torch import nn
from torch.export import Dim

from telescope_transformer.errors import ExportError
from telescope_transformer.extras import require
from telescope_transformer.files import replacing
from telescope_transformer.model import FIELD_SIZES, TelescopeConfig, TelescopeForContrastiveLearning
from telescope_transformer.model.configuration_telescope import field_offsets
from telescope_transformer.model_files import load_model

# Embeddings in float32 differ by about 2e-7 between PyTorch and ONNX Runtime.
TOLERANCE = 1e-5
# The first opset in which every operator of the exporter's default translation exists.
OPSET = 18
INPUTS = ("input_ids", "inter_arrival", "attention_mask")


class _Embeddings(nn.Module):
    """The model with its embeddings as the only output."""

    def __init__(self, model: TelescopeForContrastiveLearning):
        super().__init__()
        self.model = model

    def forward(
        self, input_ids: torch.Tensor, inter_arrival: torch.Tensor, attention_mask: torch.Tensor
    ) -> torch.Tensor:
        batch = {"input_ids": input_ids, "inter_arrival": inter_arrival, "attention_mask": attention_mask}
        embeddings: torch.Tensor = self.model(**batch, return_dict=True).embeddings
        return embeddings


def export_onnx(model: str | Path | None, output: Path) -> float:
    """Write a model as ONNX, and compare it with PyTorch on windows of several lengths, with and without padding.

    Inputs of the graph are `input_ids` int64 (windows, records, fields), `inter_arrival` float32 (windows, records) in
    seconds, and `attention_mask` int64 (windows, records), as `FlowTokenizer` returns them; the output is `embeddings`
    float32 (windows, dimensions) of unit length.

    Args:
        model: a directory or a Hub id; None is the shipped checkpoint.
        output: file to write; an existing file is replaced only if the check succeeds.

    Returns:
        The largest difference between coordinates of the embeddings.

    Raises:
        CheckpointError, HubError: if there is no such checkpoint.
        ExportError: if the model cannot be exported, or the graph differs from PyTorch by more than 1e-5.
        MissingExtraError: if the extra `onnx` is not installed.
    """
    for module in ("onnx", "onnxscript", "onnxruntime"):
        require(module)
    loaded, _ = load_model(model)
    network = _Embeddings(loaded).eval()
    with replacing(output) as partial:
        _write(network, loaded.config, partial)
        difference = _difference(network, loaded.config, partial)
        if not difference <= TOLERANCE:
            raise ExportError(f"{output}: the exported graph differs from PyTorch by {difference:.2g}; not written")
    return difference


def _write(network: _Embeddings, config: TelescopeConfig, path: Path) -> None:
    example = _windows(config, 3, min(6, config.max_position_embeddings))
    windows, records = Dim("windows"), Dim("records", max=config.max_position_embeddings)
    # The exporter logs operators of packages that are not installed.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # PyTorch's exporter calls deprecated functions of PyTorch.
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                network,
                (),
                kwargs=example,
                dynamo=True,
                dynamic_shapes={name: {0: windows, 1: records} for name in INPUTS},
                input_names=list(INPUTS),
                output_names=["embeddings"],
                opset_version=OPSET,
                verbose=False,
            )
        if program is None:
            raise ExportError("the exporter returned no graph")
        program.save(path)
    except RuntimeError as error:
        raise ExportError(f"the model cannot be exported to ONNX: {str(error).splitlines()[0]}") from error


def _difference(network: _Embeddings, config: TelescopeConfig, path: Path) -> float:
    """Largest difference between the graph and PyTorch, over short and long windows."""
    session = require("onnxruntime").InferenceSession(str(path), providers=["CPUExecutionProvider"])
    longest = config.max_position_embeddings
    worst = 0.0
    for windows, records in [(1, 1), (3, 2), (1, 7), (4, 33), (2, 128), (1, longest)]:
        batch = _windows(config, windows, min(records, longest))
        with torch.inference_mode():
            expected = network(**batch)
        (found,) = session.run(None, {name: values.numpy() for name, values in batch.items()})
        worst = max(worst, float((torch.from_numpy(found) - expected).abs().max()))
    return worst


def _windows(config: TelescopeConfig, windows: int, records: int) -> dict[str, torch.Tensor]:
    """Random windows. The first has all `records`; the others are padded."""
    random = torch.Generator().manual_seed(windows * 1_000 + records)
    ids = [
        torch.randint(0, FIELD_SIZES[name], (windows, records), generator=random) + offset
        for name, offset in field_offsets(config.fields).items()
    ]
    lengths = torch.randint(1, records + 1, (windows, 1), generator=random)
    lengths[0] = records
    return {
        "input_ids": torch.stack(ids, dim=-1),
        "inter_arrival": torch.rand(windows, records, generator=random) * 1_000,
        "attention_mask": (torch.arange(records) < lengths).long(),
    }
