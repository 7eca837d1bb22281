"""Fit a model to a telescope without training: centre and scale the directions of its embeddings.

On a telescope that a model was not trained on, its embeddings lie in a narrow cone: all pairs are similar, and no
threshold separates actors. The mean and covariance of the embeddings, before they get unit length, describe the cone.
Both are folded into the last layer of the head, so the checkpoint keeps its form (whitening: Su et al. 2021, Whitening
Sentence Representations for Better Semantics and Faster Retrieval, arXiv 2103.15316).
"""

import copy

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from sklearn.covariance import ledoit_wolf

from telescope_transformer.embedding import embed_windows
from telescope_transformer.model import TelescopeForContrastiveLearning, WindowEncoder

# The embeddings of windows with fewer records depend more on their length than on their source.
SHORTEST = 4
# One window per source: the covariance of 128 dimensions changes little with more.
MOST_WINDOWS = 4_000
# With fewer windows, the estimate is mostly the target that `ledoit_wolf` shrinks to.
FEWEST_WINDOWS = 10
# Full whitening has the exponent .5. Half of it amplifies less noise in directions of little variance; clusters of
# simulated actors then reach an ARI of .67 (.20 to .29 without centring).
EXPONENT = 0.25
# A variance below this share of the largest variance is rounding error.
SMALLEST_VARIANCE = 1e-6


def centred(
    model: TelescopeForContrastiveLearning, encoder: WindowEncoder, windows: pa.Table
) -> TelescopeForContrastiveLearning | None:
    """A copy of the model whose embeddings of the windows are centred and scaled; None if there are too few windows.

    Args:
        windows: windows of any length; one window of each source is used.
    """
    long = windows.filter(pc.greater_equal(windows["n_records"], SHORTEST))
    first = np.unique(long["source"].to_numpy(zero_copy_only=False), return_index=True)[1]
    if len(first) < FEWEST_WINDOWS:
        return None
    outputs: list[torch.Tensor] = []
    adjusted = copy.deepcopy(model)
    layer = adjusted.head.output
    hook = layer.register_forward_hook(lambda module, inputs, output: outputs.append(output.detach().float().cpu()))
    some = long.take(pa.array(np.sort(first)[:MOST_WINDOWS]))
    # The matrices below are on the CPU, and so must be the layer that they change.
    embed_windows(adjusted, encoder, some, device="cpu", progress=False)
    hook.remove()
    vectors = torch.cat(outputs).double().numpy()
    # Batches are computed side by side and end in any order, but sums depend on the order in their last bits.
    vectors = vectors[np.lexsort(vectors.T)]
    mean, covariance = vectors.mean(axis=0), ledoit_wolf(vectors)[0]
    variances, directions = np.linalg.eigh(covariance)
    variances = np.maximum(variances, SMALLEST_VARIANCE * variances[-1])
    scaling = torch.from_numpy(directions * variances**-EXPONENT @ directions.T)
    with torch.no_grad():
        layer.weight.copy_(scaling @ layer.weight.double())
        layer.bias.copy_(scaling @ (layer.bias.double() - torch.from_numpy(mean)))
    return adjusted
