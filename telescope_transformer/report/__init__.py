"""Profiles of clusters and the report, one self-contained HTML page."""

from telescope_transformer.report.page_data import ReportData
from telescope_transformer.report.profiles import profile_clusters
from telescope_transformer.report.rendering import certificate_text, render_report, write_report

__all__ = ["ReportData", "certificate_text", "profile_clusters", "render_report", "write_report"]
