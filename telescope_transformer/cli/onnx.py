"""`telescope onnx`: export a model to ONNX."""

from pathlib import Path
from typing import Annotated

import typer

from telescope_transformer.cli.options import Model
from telescope_transformer.progress import say


def onnx(
    output: Annotated[Path, typer.Option("--output", "-o", dir_okay=False, help="ONNX file to write.")],
    model: Model = None,
) -> None:
    """Export a model as one ONNX graph for windows of any length, checked against PyTorch.

    The inputs are what the tokenizer returns: input_ids, inter_arrival and attention_mask. The file is written only if
    embeddings agree to 1e-5 on windows of 1 record up to the longest that the model accepts.

    Example: telescope onnx --output telescope.onnx
    """
    from telescope_transformer.hub import check_checkpoint

    check_checkpoint(model)
    from telescope_transformer.onnx_export import export_onnx

    difference = export_onnx(model, output)
    say(f"wrote {output}; embeddings differ from PyTorch by {difference:.1g} at most")
