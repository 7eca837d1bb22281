"""The whole way from flow records to clusters of sources, as one function."""

import pyarrow as pa

from telescope_transformer.analysis.result import Analysis
from telescope_transformer.analysis.settings import Say, Settings, say_nothing
from telescope_transformer.analysis.stages import (
    as_flow_records,
    calibration_for,
    cut,
    edge_weights,
    embedder,
    profile,
    solve,
    walked,
)
from telescope_transformer.analysis.tables import sources_table, windows_table
from telescope_transformer.records import FlowRecords
from telescope_transformer.report import all_sources, name_clusters, traffic_by_day
from telescope_transformer.report.services import with_services
from telescope_transformer.similarity import window_margins
from telescope_transformer.windows import Windows


def analyze(records: FlowRecords | pa.Table, settings: Settings | None = None, *, say: Say = say_nothing) -> Analysis:
    """Cluster the sources of flow records by how they behave (arXiv 2606.04733).

    Args:
        records: what `records.read_records` gives, or a table of its schema.
        settings: see `Settings`.
        say: told about each stage, in a sentence.

    Raises:
        InputError: if no source has enough records for a window.
    """
    settings = settings or Settings()
    flow = records if isinstance(records, FlowRecords) else as_flow_records(records)
    cut_out = cut(flow.table, settings, say)
    windows = cut_out.to_table()
    embed = embedder(settings)
    embeddings = embed(windows)
    calibration = calibration_for(embeddings, windows, settings)
    threshold, scale = edge_weights(calibration, settings.threshold)
    labels, solution = solve(embeddings, threshold, scale, settings, say)

    table = windows_table(windows, embeddings, labels, window_margins(embeddings, labels, threshold, scale))
    table = with_services(table, flow.table)
    clusters = profile(flow, table, embed, settings, say)
    name_clusters(clusters)
    levels = None
    if settings.granularity:
        say("walking the thresholds")
        levels, solution["granularity"] = walked(table, clusters, threshold)
    return Analysis(
        windows=table,
        sources=all_sources(sources_table(table), flow.table),
        clusters=clusters,
        solution=solution,
        counts=counts_of(flow, cut_out),
        rejects=flow.rejects,
        sensors=dict(flow.sensors),
        records=flow.table,
        calibration=calibration,
        granularity=levels,
        traffic=traffic_by_day(flow.table),
    )


def counts_of(flow: FlowRecords, windows: Windows) -> dict[str, int]:
    """Where every record went: read = kept + rejected, kept = in windows + left out."""
    lost = windows.left_out
    return flow.counts._asdict() | {
        "windows": len(windows),
        "records_in_windows": int(windows.offsets[-1]),
        "records_left_out": lost.records,
        "sources_left_out": lost.sources,
    }
