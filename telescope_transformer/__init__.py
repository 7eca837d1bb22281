"""Find which sources in network-telescope traffic belong together, and how certain that is.

An implementation of *Contrastive Learning and Correlation Clustering for Sequences of Network Telescope Data*
(arXiv 2606.04733) for the Hugging Face ecosystem. Data flow through the folders in this order: records, windows,
tokens and embeddings (model), similarities, clusters, report.
"""

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

from telescope_transformer.numba_cache import ensure_cache

if TYPE_CHECKING:
    from telescope_transformer.analysis import Analysis, AnalysisSettings, analyze
    from telescope_transformer.correlation_clustering import CorrelationClustering
    from telescope_transformer.embedder import Embedder, load
    from telescope_transformer.model import (
        FlowTokenizer,
        TelescopeConfig,
        TelescopeForContrastiveLearning,
        TelescopeModel,
    )

__version__ = "0.1.0"

# The application decides where warnings go; the commands print them in their summaries.
logging.getLogger(__name__).addHandler(logging.NullHandler())

ensure_cache()

# Public names are imported on first use, so that `telescope --help` does not wait for torch.
_HOME = {
    "Analysis": "telescope_transformer.analysis",
    "AnalysisSettings": "telescope_transformer.analysis",
    "CorrelationClustering": "telescope_transformer.correlation_clustering",
    "Embedder": "telescope_transformer.embedder",
    "FlowTokenizer": "telescope_transformer.model",
    "TelescopeConfig": "telescope_transformer.model",
    "TelescopeForContrastiveLearning": "telescope_transformer.model",
    "TelescopeModel": "telescope_transformer.model",
    "analyze": "telescope_transformer.analysis",
    "load": "telescope_transformer.embedder",
}

__all__ = [
    "Analysis",
    "AnalysisSettings",
    "CorrelationClustering",
    "Embedder",
    "FlowTokenizer",
    "TelescopeConfig",
    "TelescopeForContrastiveLearning",
    "TelescopeModel",
    "analyze",
    "load",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
