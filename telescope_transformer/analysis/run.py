"""The pipeline from flow records to clusters of sources: run the stages over a work folder in order."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from telescope_transformer.analysis.clustering_stage import cluster_stage, read_clusters
from telescope_transformer.analysis.description import count_records, explain
from telescope_transformer.analysis.embedding_stage import (
    LazyEmbedder,
    adapt_stage,
    adaptation_facts,
    embed_stage,
    open_embeddings,
)
from telescope_transformer.analysis.result import Analysis
from telescope_transformer.analysis.settings import AnalysisSettings
from telescope_transformer.analysis.tables import (
    every_source,
    granularity_table,
    sources_table,
    windows_table,
)
from telescope_transformer.analysis.work import MODEL, check_replaceable, copy_folder, working_in
from telescope_transformer.errors import DatasetError, reason
from telescope_transformer.fields import DAY
from telescope_transformer.files import check_regular, file_digest, text_digest
from telescope_transformer.labels import read_owners
from telescope_transformer.memory import release_memory
from telescope_transformer.model_files import ADAPTATION_FILE
from telescope_transformer.preparation import (
    EngineSettings,
    Manifest,
    PreparationSettings,
    prepare,
    read_heads,
    read_manifest,
    read_sources,
)
from telescope_transformer.preparation.dataset import Scan
from telescope_transformer.preparation.manifest import MANIFEST
from telescope_transformer.progress import Say, say_nothing
from telescope_transformer.records import FlowRecords, RecordScan, scan_records
from telescope_transformer.records.files import paths_of
from telescope_transformer.records.in_memory import read_table
from telescope_transformer.records.rejects import REJECTS_SCHEMA
from telescope_transformer.report import name_clusters
from telescope_transformer.report.days import main_span
from telescope_transformer.report.granularity import walk_thresholds
from telescope_transformer.report.profiles import complete_profiles
from telescope_transformer.report.services import service_texts
from telescope_transformer.words import counted


def analyze(
    records: Any,
    settings: AnalysisSettings | None = None,
    *,
    work: str | Path | None = None,
    engine: EngineSettings | None = None,
    labels: str | Path | None = None,
    keep_model: str | Path | None = None,
    say: Say = say_nothing,
) -> Analysis:
    """Cluster the sources of flow records by their behaviour (arXiv 2606.04733).

    Args:
        records: a path, glob or list of paths; the result of `records.scan_records` or `records.read_records`; or
            records in memory: an Arrow table, a data frame, or dictionaries.
        settings: see `AnalysisSettings`.
        work: folder in which the stages keep their results for the next run; None is a temporary folder.
        engine: cuts, embeds and assigns windows with DuckDB in this process, or on Spark.
        labels: folder of scanner lists that label the sources.
        keep_model: folder to copy the adapted checkpoint to, for use as `model` of later analyses. It replaces the one
            that an earlier analysis kept there.
        say: called with a message about each stage.

    Raises:
        CheckpointError, HubError: if the model of the settings is missing or damaged.
        InputError: if no source has enough records for a window.
        DatasetError: if the work folder has windows of other records or settings, or another process is using it; or
            if the folder for the checkpoint holds something else.
        TypeError: if `settings` or `engine` is of another type.

    Example:
        >>> found = analyze("flows.csv.gz", AnalysisSettings(adapt=False))
        >>> found.write("out")
    """
    settings = settings or AnalysisSettings()
    for given, expected in ((settings, AnalysisSettings), (engine or EngineSettings(), EngineSettings)):
        if not isinstance(given, expected):
            raise TypeError(f"expected {expected.__name__}, not {given!r}")
    named = LazyEmbedder(settings.model)
    named.check()
    if keep_model is not None and settings.model is None:
        check_replaceable(Path(keep_model), ADAPTATION_FILE)
    with _folder(work) as folder:
        preparation = PreparationSettings(
            settings.windows, engine or EngineSettings(), labels=Path(labels) if labels else None
        )
        windows_stage(folder, _as_scan(records), preparation, say)
        with working_in(folder):
            model = adapt_stage(folder, settings, say)
            embed = named if model == settings.model else LazyEmbedder(model)
            embed_stage(folder, embed, say, engine)
            cluster_stage(folder, settings, say, embed, engine)
            found = describe(folder, settings, embed=embed, say=say)
            if keep_model is not None and embed.model == str(folder / MODEL):
                copy_folder(folder / MODEL, Path(keep_model))
                if found.calibration is not None:
                    found.calibration.save(keep_model)
            return found


@contextmanager
def _folder(work: str | Path | None) -> Iterator[Path]:
    if work is not None:
        yield Path(work)
        return
    with TemporaryDirectory(prefix="telescope-") as temporary:
        yield Path(temporary) / "work"


class _InMemory:
    """Flow records in memory, with the interface of a scan."""

    def __init__(self, flow: FlowRecords):
        self.rejects, self.sensors, self.counts = flow.rejects, flow.sensors, flow.counts
        self.sources = [source for source in flow.sources if Path(source.file).is_file()]
        self.paths = [Path(source.file) for source in self.sources]
        self._flow = flow

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        yield from self._flow.table.to_batches()

    def summary(self) -> str:
        return self._flow.summary()


def _as_scan(records: Any) -> Scan:
    """Open paths as a scan, or wrap records in memory as one and validate them like those of a file."""
    if isinstance(records, RecordScan):
        return records
    paths = paths_of(records)
    if paths is not None:
        return scan_records(paths)
    return _InMemory(records if isinstance(records, FlowRecords) else read_table(records))


def windows_stage(folder: Path, scan: Scan, settings: PreparationSettings, say: Say) -> Manifest:
    """Cut the records into windows, or use the windows that are there if inputs and settings are the same.

    Raises:
        DatasetError: if the folder holds windows of other inputs or settings.
    """
    if (folder / MANIFEST).is_file():
        manifest = read_manifest(folder)
        _check_same(folder, manifest, scan, settings)
        say(f"using the existing windows in {folder}")
    else:
        manifest = prepare(scan, folder, settings, say=say)
        release_memory()
        say(scan.summary())
    counts = manifest.counts()
    kept = counted(counts["sources"] - counts["sources_left_out"], "source")
    left_out = ""
    if counts["records_left_out"]:
        left_out = (
            f"; left out for having fewer than {counted(manifest.min_records, 'record')}: "
            f"{counted(counts['records_left_out'], 'record')}, {counted(counts['sources_left_out'], 'whole source')}"
        )
    say(f"{counted(counts['windows'], 'window')} of {kept}{left_out}")
    return manifest


def _check_same(folder: Path, manifest: Manifest, scan: Scan, settings: PreparationSettings) -> None:
    way_out = "take another folder, or prepare it again with telescope prepare --overwrite"
    if manifest.settings != settings.windows:
        given = asdict(settings.windows)
        other = [
            f"{name} {value}, not {given[name]}"
            for name, value in asdict(manifest.settings).items()
            if value != given[name]
        ]
        raise DatasetError(f"{folder} was prepared with {', '.join(other)}: {way_out}")
    paths = scan.paths
    if not paths:
        raise DatasetError(
            f"{folder} already holds windows, and records in memory cannot be compared with theirs: pass "
            "the paths of the files, or take another folder"
        )
    if sorted(file_digest(path) for path in paths) != sorted(manifest.digests()):
        raise DatasetError(f"{folder} holds windows of other inputs: {way_out}")


def describe(folder: Path, settings: AnalysisSettings, *, embed: LazyEmbedder, say: Say) -> Analysis:
    """Compute the tables and profiles of a work folder that has clusters."""
    manifest = read_manifest(folder)
    heads = read_heads(folder)
    vectors = open_embeddings(folder, heads.num_rows)
    clusters = read_clusters(folder)
    table = windows_table(heads, vectors, clusters.labels, clusters.margins, clusters.confidence)
    say("describing the clusters")
    owners = read_owners(settings.networks)
    counted_records = count_records(folder, table, manifest.sensors, owners, _drawn_span(heads, manifest))
    release_memory()
    profiles = counted_records.profiles
    complete_profiles(profiles, table, vectors)
    explain(profiles, table, counted_records, folder, embed, settings)
    name_clusters(profiles)
    table = table.append_column("service", service_texts(counted_records.services))
    solution, levels = clusters.solution, None
    if settings.granularity:
        say("clustering at coarser and finer thresholds")
        levels, solution["granularity"] = threshold_sweep(table, vectors, profiles, solution["threshold"])
    clustered, read = sources_table(table), read_sources(folder)
    unlisted = clustered["source"].filter(pc.invert(pc.is_in(clustered["source"], read["source"].combine_chunks())))
    if len(unlisted):
        raise DatasetError(f"{folder} is damaged: its tables of sources lack {unlisted[0].as_py()}, which has windows")
    sources = every_source(clustered, read)
    if "label" in sources.column_names:
        n_labelled = sources.num_rows - sources["label"].null_count
        say(f"{n_labelled:,} of {counted(sources.num_rows, 'source')} labelled by scanner lists or the input")
    return Analysis(
        windows=table,
        sources=sources,
        clusters=profiles,
        solution=solution,
        counts=manifest.counts(),
        rejects=_rejects(folder, manifest),
        sensors=dict(manifest.sensors),
        calibration=clusters.calibration,
        granularity=levels,
        traffic=manifest.days,
        adaptation=adaptation_facts(folder / MODEL) if (folder / MODEL).is_dir() and settings.model is None else None,
        id=_id(manifest),
    )


def _id(manifest: Manifest) -> str:
    """Identify an analysis by its inputs."""
    return text_digest("".join(sorted(manifest.digests())))


def _drawn_span(heads: pa.Table, manifest: Manifest) -> tuple[int, int]:
    """First and last time of the charts, without outlying days that come from wrong clocks."""
    days, records = np.array(manifest.days)[:, :2].T
    first, last = main_span(days, records)
    starts, ends = heads["start"].to_numpy(), heads["end"].to_numpy()
    begin, end = first * DAY, (last + 1) * DAY - 1
    return max(int(starts.min()), begin), min(int(ends.max()), end)


def _rejects(folder: Path, manifest: Manifest) -> pa.Table:
    tables = [REJECTS_SCHEMA.empty_table()]
    for ingest in manifest.ingests:
        path = folder / ingest.rejects
        try:
            check_regular(path)
            tables.append(pq.read_table(path).select(REJECTS_SCHEMA.names).cast(REJECTS_SCHEMA))
        except (pa.ArrowException, OSError, ValueError, KeyError) as error:
            raise DatasetError(f"{path} is damaged: {reason(error)}") from error
    return pa.concat_tables(tables)


def threshold_sweep(
    windows: pa.Table, vectors: np.ndarray, profiles: list[dict[str, Any]], threshold: float
) -> tuple[pa.Table, list[dict[str, Any]]]:
    """Coarser and finer clusterings: their table, and a row per level. Also adds the stability to the profiles."""
    levels = walk_thresholds(np.asarray(vectors), windows["cluster"].to_numpy(), threshold)
    for profile in profiles:
        profile["stability"] = float(levels.stability[profile["cluster"]])
    return granularity_table(windows, levels.thresholds, levels.labels), levels.levels()
