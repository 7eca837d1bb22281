"""Profiles and names of clusters, their news, and the report, which is a single self-contained HTML page."""

from telescope_transformer.report.days import Days
from telescope_transformer.report.folder import analyses_below, read_folder, refuse_several
from telescope_transformer.report.names import name_clusters
from telescope_transformer.report.page_data import ReportData
from telescope_transformer.report.profiles import profile_clusters
from telescope_transformer.report.rendering import certificate_text, render_report, write_report
from telescope_transformer.report.sources import all_sources

__all__ = [
    "Days",
    "ReportData",
    "all_sources",
    "analyses_below",
    "certificate_text",
    "name_clusters",
    "profile_clusters",
    "read_folder",
    "refuse_several",
    "render_report",
    "write_report",
]
