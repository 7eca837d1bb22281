"""The pipeline from flow records to clusters of sources: its stages over a work folder, and its result."""

from telescope_transformer.analysis.clustering_stage import (
    calibration_for,
    cluster,
    cluster_stage,
    edge_weights,
    solution,
)
from telescope_transformer.analysis.embedding_stage import LazyEmbedder, adapt_stage, embed_stage, model_of
from telescope_transformer.analysis.result import Analysis
from telescope_transformer.analysis.run import analyze, describe, threshold_sweep
from telescope_transformer.analysis.settings import AnalysisSettings
from telescope_transformer.analysis.short_windows import place_short_windows
from telescope_transformer.analysis.tables import every_source, sources_table, windows_table
from telescope_transformer.analysis.work import working_in

__all__ = [
    "Analysis",
    "AnalysisSettings",
    "LazyEmbedder",
    "adapt_stage",
    "analyze",
    "calibration_for",
    "cluster",
    "cluster_stage",
    "describe",
    "edge_weights",
    "embed_stage",
    "every_source",
    "model_of",
    "place_short_windows",
    "solution",
    "sources_table",
    "threshold_sweep",
    "windows_table",
    "working_in",
]
