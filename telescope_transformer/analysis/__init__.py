"""The whole way from flow records to clusters of sources: `analyze`, its settings, its stages and its tables."""

from telescope_transformer.analysis.result import Analysis
from telescope_transformer.analysis.run import analyze
from telescope_transformer.analysis.settings import Settings, counted, say_nothing
from telescope_transformer.analysis.stages import (
    as_flow_records,
    calibration_for,
    edge_weights,
    embed,
    profile,
    solution,
    walked,
)
from telescope_transformer.analysis.tables import sources_table, windows_table

__all__ = [
    "Analysis",
    "Settings",
    "analyze",
    "as_flow_records",
    "calibration_for",
    "counted",
    "edge_weights",
    "embed",
    "profile",
    "say_nothing",
    "solution",
    "sources_table",
    "walked",
    "windows_table",
]
