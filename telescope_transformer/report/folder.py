"""Read the folder that an analysis wrote. Somebody else may have made it, so everything in it is checked."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from telescope_transformer.errors import InputError, reason
from telescope_transformer.files import check_regular
from telescope_transformer.records.addresses import EMPTY, MALFORMED, format_addresses, parse_addresses
from telescope_transformer.records.rejects import REJECTS_SCHEMA
from telescope_transformer.report import columns
from telescope_transformer.report.columns import checked_columns
from telescope_transformer.report.counting import numbers_of
from telescope_transformer.report.page_data import ReportData
from telescope_transformer.report.summary_check import check_summary
from telescope_transformer.similarity import embedding_matrix

# Ten times the size of a summary of 100,000 windows. A larger file cannot be the summary of an analysis.
LONGEST_SUMMARY = 1 << 30
# What an analysis writes, besides its report.
FILES = ("windows.parquet", "sources.parquet", "clusters.json", "rejects.parquet", "sensors.json")


class Folder(NamedTuple):
    """The output of an analysis: its summary (`clusters.json`) and tables, checked to agree with each other."""

    path: Path
    summary: dict[str, Any]
    windows: pa.Table
    sources: pa.Table

    @property
    def profiles(self) -> list[dict[str, Any]]:
        """The profiles of the clusters that have one."""
        profiles: list[dict[str, Any]] = self.summary["clusters"]
        return profiles

    def report_data(self) -> ReportData:
        """The data that the report of this folder shows.

        Raises:
            InputError: if the table of rejects cannot be read.
        """
        path = self.path / "rejects.parquet"
        rejects = _read_rejects(path) if path.is_file() else None
        title = f"Telescope report: {self.path.resolve().name}"
        return ReportData.of(self.summary, self.windows, self.sources, rejects, title)


def read_folder(path: str | os.PathLike[str], *, embeddings: bool = True) -> Folder:
    """Read the output folder of `telescope analyze` or `telescope update`.

    Args:
        path: folder with `windows.parquet`, `sources.parquet` and `clusters.json`.
        embeddings: whether to read the embeddings of the windows.

    Raises:
        InputError: if a file is missing or damaged, an analysis cannot have written a value, or the files come from
            different analyses.
    """
    root = Path(path)
    refuse_several(root)
    summary = read_summary(root / "clusters.json")
    with _named(root / "windows.parquet") as file:
        windows = checked_columns(_read_table(file, embeddings=embeddings), columns.WINDOWS)
        _check_addresses(windows["source"])
        if embeddings:
            # Raises an error if they are not what an analysis writes.
            embedding_matrix(windows)
    with _named(root / "sources.parquet") as file:
        sources = checked_columns(_read_table(file), columns.SOURCES)
        _check_addresses(sources["source"])
        if "cluster" not in sources.column_names:
            raise InputError("no column cluster")
    _check_set(root, summary, windows, sources)
    return Folder(root, summary, windows, sources)


def analyses_below(folder: Path) -> list[Path]:
    """The folder itself if it holds an analysis, otherwise its subfolders that do, in descending order of name."""
    if (folder / "clusters.json").exists() or not folder.is_dir():
        return [folder]
    found = sorted((one for one in folder.iterdir() if (one / "clusters.json").is_file()), reverse=True)
    return found or [folder]


def refuse_several(folder: Path) -> None:
    """Raise an InputError for a folder that only has analyses in its subfolders, such as those that --daily makes."""
    found = analyses_below(folder)
    if found != [folder]:
        raise InputError(
            f"{folder}: holds no analysis itself, but {len(found):,} in its subfolders; name one of them, "
            f"such as {found[0]}, or give the folder to telescope compare or telescope serve"
        )


@contextmanager
def _named(path: Path) -> Iterator[Path]:
    """Say of any error inside the block that this file cannot be read, or is not the output of an analysis."""
    try:
        yield path
    except RecursionError as error:
        raise InputError(f"{path}: not the output of an analysis: nested too deep") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {reason(error).splitlines()[0]}") from error
    except (InputError, ValueError, KeyError, pa.ArrowException) as error:
        raise InputError(f"{path}: not the output of an analysis: {reason(error).splitlines()[0]}") from error


def _read_table(path: Path, *, embeddings: bool = True) -> pa.Table:
    check_regular(path)
    names = [name for name in pq.read_schema(path).names if embeddings or name != "embedding"]
    return pq.read_table(path, columns=names)


def _read_rejects(path: Path) -> pa.Table:
    with _named(path):
        return _read_table(path).select(REJECTS_SCHEMA.names).cast(REJECTS_SCHEMA)


def read_summary(path: Path) -> dict[str, Any]:
    """Read and check a `clusters.json`.

    Raises:
        InputError: if it is missing or damaged.
    """
    if not path.exists():
        folder = path.parent
        found = "it has no clusters.json" if folder.is_dir() else "it is a file"
        found = found if folder.exists() else "there is no such folder"
        raise InputError(f"{folder}: not the output of an analysis: {found}")
    with _named(path):
        check_regular(path)
        if path.stat().st_size > LONGEST_SUMMARY:
            raise InputError(f"longer than {LONGEST_SUMMARY >> 20} MiB")
        return check_summary(json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_constant))


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is not a JSON number")


def _check_addresses(column: pa.ChunkedArray) -> None:
    """Check that every source is a canonical address, because exports put it into firewall lists and patterns."""
    names = pc.unique(column).cast(pa.string())
    parsed = parse_addresses(names)
    wrong = (parsed.kind == EMPTY) | (parsed.kind == MALFORMED)
    spelt = pc.equal(format_addresses(parsed), names).fill_null(False).to_numpy(zero_copy_only=False)
    if (wrong | ~spelt).any():
        found = names[int(np.argmax(wrong | ~spelt))].as_py()
        raise InputError(f"source {found[:100]!r} is not an address")


def _check_set(root: Path, summary: Mapping[str, Any], windows: pa.Table, sources: pa.Table) -> None:
    """Check that all files come from one analysis: sources and profiles must agree with the windows."""
    clustered = sources.filter(pc.is_valid(sources["cluster"]))
    names = pc.unique(windows["source"])
    unlisted = names.filter(pc.invert(pc.is_in(names, sources["source"].cast(names.type).combine_chunks())))
    if len(unlisted):
        raise InputError(
            f"{root}: the files come from different analyses: sources.parquet lacks {unlisted[0].as_py()}, which has "
            "windows"
        )
    mine, theirs = (_pairs(table, names) for table in (clustered, windows))
    missing = ~np.isin(mine, theirs)
    if missing.any():
        row = int(np.argmax(missing))
        source, cluster = clustered["source"][row].as_py(), clustered["cluster"][row].as_py()
        raise InputError(
            f"{root}: the files come from different analyses: {source} has no window in cluster {cluster}"
        )
    sizes = numbers_of(windows["cluster"])
    profiled: set[int] = set()
    for profile in summary["clusters"]:
        if profile["cluster"] in profiled:
            raise InputError(
                f"{root / 'clusters.json'}: not the output of an analysis: it has cluster {profile['cluster']} twice"
            )
        profiled.add(profile["cluster"])
        found = sizes.get(profile["cluster"], 0)
        if found != profile["n_windows"]:
            raise InputError(
                f"{root}: the files come from different analyses: cluster {profile['cluster']} has {found} windows in "
                f"windows.parquet and {profile['n_windows']} in clusters.json"
            )


def _pairs(table: pa.Table, names: pa.Array) -> np.ndarray:
    """The (source, cluster) pair of each row as one number, int64 (n,); -1 if the source is not in `names`."""
    source = pc.index_in(table["source"].cast(names.type), names).fill_null(-1).to_numpy().astype(np.int64)
    cluster = table["cluster"].to_numpy().astype(np.int64)
    return np.where(source < 0, -1, source << 32 | cluster & 0xFFFFFFFF)
