"""An analysis in Python and notebooks: data frames with timestamps, a one-line summary, and the first screen."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from telescope_transformer.extras import require
from telescope_transformer.report.columns import with_timestamps
from telescope_transformer.report.news import KINDS
from telescope_transformer.report.page_data import ReportData
from telescope_transformer.report.rendering import template
from telescope_transformer.words import counted

if TYPE_CHECKING:
    import pandas as pd

# The parts of a profile that the data frame of clusters holds.
CLUSTER_COLUMNS = ("cluster", "name", "sentence", "n_sources", "n_windows", "n_records", "n_networks", "n_services")


def frame(table: pa.Table) -> "pd.DataFrame":
    """Convert a table to a data frame. Times become UTC timestamps with microseconds."""
    require("pandas")
    return with_timestamps(table).to_pandas()


def cluster_frame(profiles: Sequence[Mapping[str, Any]]) -> "pd.DataFrame":
    """A row per cluster: its name, sizes, when it was seen, and its main service and label."""
    pd = require("pandas")
    rows = []
    for profile in profiles:
        row = {name: profile.get(name) for name in CLUSTER_COLUMNS}
        for column, field, key in (("service", "services", "service"), ("label", "labels", "label")):
            found = profile.get(field) or []
            row[column] = found[0][key] if found else None
        for name in ("first_seen", "last_seen"):
            row[name] = pd.Timestamp(profile[name]) if profile.get(name) else None
        rows.append(row)
    columns = [*CLUSTER_COLUMNS, "service", "label", "first_seen", "last_seen"]
    return pd.DataFrame(rows, columns=columns)


def one_line(data: ReportData) -> str:
    """Summarise an analysis in one line."""
    several = sum(profile["n_windows"] > 1 for profile in data.profiles)
    sources = data.every_source().num_rows
    return (
        f"Analysis({counted(sources, 'source')}, {counted(data.windows.num_rows, 'window')}, "
        f"{counted(several, 'cluster')} of several windows)"
    )


def first_screen_html(data: ReportData) -> str:
    """The first screen as an HTML fragment, in which everything from the data is escaped."""
    return template("first_screen.html.j2").render(screen=data.first_screen(), kinds=KINDS)
