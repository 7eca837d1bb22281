"""`prepare` turns flow records into a dataset of windows on disk in one atomic step, or appends to a dataset."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from telescope_transformer.errors import DatasetError, InputError, reason
from telescope_transformer.files import check_name, file_digest, lock
from telescope_transformer.labels import add_tools, label_records, read_labels
from telescope_transformer.preparation.engines import sorted_shards
from telescope_transformer.preparation.manifest import (
    MANIFEST,
    Ingest,
    Manifest,
    read_manifest,
    write_manifest,
)
from telescope_transformer.preparation.reader import DESTINATIONS, read_destinations
from telescope_transformer.preparation.settings import PreparationSettings
from telescope_transformer.preparation.staging import Staged, stage
from telescope_transformer.preparation.writer import SOURCES, ShardFile, Tally, add_days, write_shard
from telescope_transformer.progress import Say, say_nothing
from telescope_transformer.words import counted


class Scan(Protocol):
    """What `records.scan_records` returns: batches of records, and afterwards the account of how they were read."""

    def __iter__(self) -> Iterator[pa.RecordBatch]: ...

    @property
    def rejects(self) -> pa.Table: ...

    @property
    def sensors(self) -> dict[str, str]: ...

    @property
    def counts(self) -> Any: ...

    @property
    def sources(self) -> list[Any]: ...

    @property
    def paths(self) -> list[Path]: ...

    def summary(self) -> str: ...


Annotate = Callable[[pa.Table], pa.Table]
# A dataset that is being replaced is kept here until the new one is in its place.
ASIDE = "replaced"
REJECTS = "rejects.parquet"


def prepare(
    scan: Scan,
    output: str | Path,
    settings: PreparationSettings | None = None,
    *,
    append: bool = False,
    overwrite: bool = False,
    say: Say = say_nothing,
) -> Manifest:
    """Prepare the records of `scan` as a dataset at `output`, or append them to the dataset there.

    Nothing at `output` changes before the last step. If a run is interrupted, an earlier dataset is still intact, and
    the next run starts from the beginning. An append only adds files. Windows do not span appends, and the rule "first
    80 % in time" of training sources applies to the appended records alone.

    Args:
        scan: what `records.scan_records` returns.
        output: folder of the dataset.
        settings: settings of the preparation; an append must agree with the windows and shards of the dataset.
        append: add to the dataset at `output`, which must exist.
        overwrite: replace the dataset at `output`.
        say: called with a message about each step.

    Raises:
        DatasetError: if `output` exists and neither `append` nor `overwrite` is given, if it is not a prepared
            dataset, or if another process is writing it; if an append disagrees with it or adds a file that it already
            has; if memory or disk space does not suffice.
        InputError: if an input cannot be read, or no source has enough records for a window.
    """
    output, settings = Path(output), settings or PreparationSettings()
    with _workplace(output) as work:
        before = _dataset_before(output, append, overwrite)
        settings = _agreed(settings, before)
        started = time.monotonic()
        scratch = work / "scratch"
        scratch.mkdir()
        staged = _stage(scan, work / "staged", scratch, settings, before, say)
        inputs = _describe_inputs(scan, before)
        fresh, generation = work / "dataset", len(before.ingests) if before else 0
        files, tally = _write_shards(staged, fresh, generation, settings, scratch)
        if before is None and not files:
            raise InputError(_why_nothing(scan, settings))
        ingest = Ingest(
            generation=generation,
            engine=settings.engine.engine,
            inputs=inputs,
            counts=_counts(scan, files, staged, tally),
            rejects=_write_rejects(fresh, generation, scan.rejects),
            seconds=round(time.monotonic() - started, 3),
        )
        _write_destinations(fresh, staged.destinations, output if before and append else None)
        manifest = _manifest(settings, staged, files, ingest, scan.sensors, tally, before)
        if before is None or overwrite:
            write_manifest(fresh, manifest)
            _replace(output, fresh, work / ASIDE)
        else:
            _add(output, fresh, manifest)
    return manifest


@contextmanager
def _workplace(output: Path) -> Iterator[Path]:
    """Yield an empty folder beside `output`, locked for this process and removed at the end."""
    check_name(output)
    work = output.parent / f".{output.name}.preparing"
    try:
        work.mkdir(parents=True, exist_ok=True)
        if work.is_symlink():
            raise DatasetError(f"{work} is a link to a folder that this package did not create: remove the link")
        # O_NOFOLLOW: fail if the folder has been replaced by a link since.
        handle = os.open(work, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        raise DatasetError(f"{output} cannot be written: {reason(error)}") from error
    try:
        lock(handle)
        # Another process may have removed the folder after it was opened and before it was locked.
        if not work.exists() or not os.path.samestat(os.fstat(handle), os.lstat(work)):
            raise BlockingIOError
    except BlockingIOError as error:
        os.close(handle)
        raise DatasetError(f"{output} is being written by another process") from error
    try:
        _recover(output, work)
        yield work
    except OSError as error:
        raise DatasetError(f"{output} was not written: {reason(error)}") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
        os.close(handle)


def _recover(output: Path, work: Path) -> None:
    """Put back a dataset that an interrupted run had set aside, and remove everything else that the run left."""
    aside = work / ASIDE
    if aside.exists() and not output.exists():
        os.rename(aside, output)
    for left in work.iterdir():
        shutil.rmtree(left)


def _dataset_before(output: Path, append: bool, overwrite: bool) -> Manifest | None:
    """The manifest of the dataset that is appended to or replaced; None if there is none."""
    if append and overwrite:
        raise DatasetError("append and overwrite cannot be combined")
    if append:
        return read_manifest(output)
    if not output.exists() or (output.is_dir() and not any(path.name != REJECTS for path in output.iterdir())):
        return None
    if not (output / MANIFEST).is_file():
        raise DatasetError(f"{output} exists and is not a prepared dataset")
    if not overwrite:
        raise DatasetError(
            f"{output} already holds a prepared dataset: append to it (--append) or replace it (--overwrite)"
        )
    return None


def _why_nothing(scan: Scan, settings: PreparationSettings) -> str:
    """Explain why there is no dataset, with the first rejected row of each kind."""
    least = settings.windows.min_records
    reason = (
        f"no source has {counted(least, 'record')}, the minimum for a window: there is nothing to prepare"
        if scan.counts.kept
        else "no flow record was kept: there is nothing to prepare"
    )
    return f"{reason}\n{scan.summary()}"


def _agreed(settings: PreparationSettings, before: Manifest | None) -> PreparationSettings:
    """The settings, with the number of shards of the dataset that is appended to."""
    if before is None:
        return settings
    if settings.windows != before.settings:
        raise DatasetError(f"the dataset has {before.settings}, the append asks for {settings.windows}")
    if settings.shards not in (None, before.shards):
        raise DatasetError(f"the dataset has {counted(before.shards, 'shard')}, the append asks for {settings.shards}")
    return PreparationSettings(settings.windows, settings.engine, before.shards, settings.labels)


def _stage(
    scan: Scan, directory: Path, scratch: Path, settings: PreparationSettings, before: Manifest | None, say: Say
) -> Staged:
    """Stage the records. An append has the columns of the dataset: missing ones become null, others are dropped."""
    say("reading flow records")
    annotate = _annotation(settings.labels, say)
    if settings.engine.engine == "spark":
        from telescope_transformer.preparation import spark

        staged = spark.stage(scan, directory, scratch, settings, annotate)
    else:
        staged = stage(
            scan,
            directory,
            shards=settings.shards,
            annotate=annotate,
            in_memory=settings.engine.sorts_in_memory,
        )
    if before is not None:
        known = {*before.fields, *before.annotations}
        dropped = [name for name in staged.fields + staged.annotations if name not in known]
        if dropped:
            say(f"dropping {', '.join(dropped)}: the dataset does not have it")
        staged.fields, staged.annotations = before.fields, before.annotations
    say(f"cutting {counted(staged.records, 'flow record')} into windows (shards: {staged.shards})")
    return staged


def _annotation(labels: Path | None, say: Say) -> Annotate:
    """A function that adds the tools recognised by packet headers, and the labels from scanner lists."""
    lists = read_labels(labels) if labels else None
    if lists is not None:
        say(lists.summary())

    def annotate(table: pa.Table) -> pa.Table:
        if not {"ip_id", "tcp_seq"}.isdisjoint(table.schema.names):
            table = add_tools(table)
        return table if lists is None else label_records(table, lists)

    return annotate


def _describe_inputs(scan: Scan, before: Manifest | None) -> list[dict[str, Any]]:
    """Name, size, digest and counts of every input file; a file that the dataset already has is refused."""
    known = before.digests() if before else {}
    inputs = []
    for source in scan.sources:
        path = source.path
        digest = file_digest(path)
        if digest in known:
            raise DatasetError(f"{source.file}: the dataset already has these records, from {known[digest]}")
        described = {
            "file": Path(source.file).name,
            "format": source.format,
            "bytes": path.stat().st_size,
            "digest": digest,
        }
        inputs.append(described | source.counts._asdict())
    return inputs


def _write_shards(
    staged: Staged, directory: Path, generation: int, settings: PreparationSettings, scratch: Path
) -> tuple[list[ShardFile], Tally]:
    directory.mkdir()
    if settings.engine.engine == "spark":
        from telescope_transformer.preparation import spark

        return spark.write_shards(staged, directory, generation, settings, scratch)
    files: list[ShardFile] = []
    tally = Tally()
    counted = settings.windows.splits
    for shard, batches in sorted_shards(staged, settings.engine, scratch, counted=counted):
        written, counts = write_shard(directory, shard, generation, batches, staged, settings.windows)
        files += written
        tally = tally.plus(counts)
    return files, tally


def _counts(scan: Scan, files: list[ShardFile], staged: Staged, tally: Tally) -> dict[str, int]:
    in_windows = sum(file.records for file in files)
    return {
        **scan.counts._asdict(),
        "sources": tally.sources,
        "windows": sum(file.windows for file in files),
        "records_in_windows": in_windows,
        "records_left_out": staged.records - in_windows,
        "windows_left_out": tally.windows_left_out,
        "sources_left_out": tally.sources_left_out,
    }


def _write_rejects(directory: Path, generation: int, rejects: pa.Table) -> str:
    name = f"rejects-{generation:05d}.parquet" if generation else REJECTS
    pq.write_table(rejects, directory / name, compression="zstd")
    return name


def _write_destinations(directory: Path, destinations: dict[int, str], before: Path | None) -> None:
    """Write the texts of IPv6 destinations, including those of the dataset that is appended to."""
    known = (read_destinations(before) if before else {}) | destinations
    if known:
        folds, texts = zip(*sorted(known.items()), strict=True)
        table = pa.table({"fold": pa.array(folds, pa.uint32()), "text": pa.array(texts, pa.string())})
        pq.write_table(table, directory / DESTINATIONS, compression="zstd")


def _manifest(
    settings: PreparationSettings,
    staged: Staged,
    files: list[ShardFile],
    ingest: Ingest,
    sensors: dict[str, str],
    tally: Tally,
    before: Manifest | None,
) -> Manifest:
    """The manifest of the dataset after this ingest."""
    return Manifest(
        window=settings.windows.window,
        min_records=settings.windows.min_records,
        session_gap=settings.windows.session_gap,
        has_splits=settings.windows.splits,
        seed=settings.windows.seed,
        shards=staged.shards,
        fields=staged.fields,
        annotations=staged.annotations,
        files=(before.files if before else []) + files,
        ingests=(before.ingests if before else []) + [ingest],
        sensors=(before.sensors if before else {}) | sensors,
        days=add_days(before.days if before else [], tally.days),
        source_files=(before.source_files if before else []) + tally.source_files,
    )


def _replace(output: Path, fresh: Path, aside: Path) -> None:
    """Move `fresh` to `output`. The old dataset is set aside first, because a rename cannot replace a full folder."""
    if output.exists():
        os.rename(output, aside)
    os.rename(fresh, output)


def _add(output: Path, fresh: Path, manifest: Manifest) -> None:
    """Move new files into the dataset, then write the manifest that names them."""
    named = {*(file.path for file in manifest.files), *manifest.source_files}
    written = [*(f"{split}/*.parquet" for split in manifest.settings.folders), f"{SOURCES}-*.parquet"]
    for left in [path for pattern in written for path in output.glob(pattern)]:
        # Left by an append that was interrupted at this step.
        if left.relative_to(output).as_posix() not in named:
            left.unlink()
    for path in sorted(fresh.rglob("*.parquet")):
        target = output / path.relative_to(fresh)
        target.parent.mkdir(exist_ok=True)
        os.replace(path, target)
    write_manifest(output, manifest)
