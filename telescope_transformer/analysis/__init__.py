"""The whole way from flow records to clusters of sources: the stages over a work folder, and what they find."""

from telescope_transformer.analysis.clustering_stage import calibration_for, edge_weights, solution
from telescope_transformer.analysis.result import Analysis
from telescope_transformer.analysis.run import analyze, describe, walked, windows_stage
from telescope_transformer.analysis.settings import Settings, counted, say_nothing
from telescope_transformer.analysis.tables import sources_table, windows_table

__all__ = [
    "Analysis",
    "Settings",
    "analyze",
    "calibration_for",
    "counted",
    "describe",
    "edge_weights",
    "say_nothing",
    "solution",
    "sources_table",
    "walked",
    "windows_stage",
    "windows_table",
]
