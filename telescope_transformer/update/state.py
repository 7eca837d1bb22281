"""The state of a running analysis: everything that reads or writes its DuckDB file.

Every step is one transaction. After a kill at any moment, the file holds either the whole step or nothing of it.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import duckdb
import numpy as np
import pyarrow as pa

from telescope_transformer.calibration import Calibration
from telescope_transformer.errors import StateError, reason
from telescope_transformer.files import check_name, check_regular, is_database
from telescope_transformer.shapes import ShapeError, check_shape
from telescope_transformer.update.consistency import find_fault
from telescope_transformer.update.resolving import ClusterSums
from telescope_transformer.update.schema import (
    ADDED_COLUMN,
    CLOSED_COLUMNS,
    FORMER_VERSION,
    RECORD_COLUMNS,
    SETTINGS,
    TABLES,
    VERSION,
    missing_parts,
)

_FIELDS = ", ".join(f"r.{name}" for name in CLOSED_COLUMNS)
_NAMES = ", ".join(("window_id", *CLOSED_COLUMNS))
# The embedding of a window before it was blended with others of its source.
_UNBLENDED = "coalesce(unblended, embedding)"
# The records of all windows, each with the source of its window.
_RECORDS_OF_WINDOWS = (
    f"SELECT r.window_id, w.source AS src_ip, {_FIELDS} "
    f"FROM (SELECT {_NAMES} FROM closed_records UNION ALL SELECT {_NAMES} FROM open_records) r "
    "JOIN windows w USING (window_id)"
)


class State:
    """An open state file; use as a context manager.

    Raises:
        StateError: if the file is locked by another process, is damaged, has another version, or is not a state.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        _check_kind(self.path)
        try:
            self._connection = _connect(self.path)
            names = {row[0] for row in self._connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
            foreign = self._connection.execute(
                "SELECT view_name FROM duckdb_views() WHERE NOT internal "
                "UNION ALL SELECT function_name FROM duckdb_functions() WHERE NOT internal"
            ).fetchall()
        except duckdb.Error as error:
            raise StateError(f"{self.path}: cannot open the state: {_first_line(error)}") from error
        if foreign:
            raise StateError(f"{self.path}: {foreign[0][0]!r} is a view or macro, which a state never has")
        if not names:
            self._create()
        elif "meta" not in names:
            raise StateError(f"{self.path}: a DuckDB file, but not the state of a running analysis")
        self._check_version()
        self._check_content()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def _create(self) -> None:
        with self.transaction():
            for statement in TABLES:
                self._connection.execute(statement)
            self.set("version", VERSION)

    def _check_version(self) -> None:
        """Bring a state of the former version to the present one, and refuse any other."""
        version = self.setting("version")
        if version not in (VERSION, FORMER_VERSION):
            raise StateError(
                f"{self.path}: a state of version {version}, and this release continues versions {FORMER_VERSION} and "
                f"{VERSION}: continue it with the release that wrote it, or begin a new state"
            )
        missing = missing_parts(self._connection)
        if version == FORMER_VERSION and missing == {ADDED_COLUMN}:
            with self.transaction():
                self.execute("ALTER TABLE windows ADD COLUMN unblended FLOAT[]")
                self.set("version", VERSION)
        elif missing:
            table, part = min(missing)
            raise StateError(f"{self.path}: no {part} in table {table}, which every state has: begin a new state")

    def _check_content(self) -> None:
        """Refuse rows and settings that no release writes: somebody else may have altered them."""
        for row in self.query("SELECT key, value FROM meta").to_pylist():
            if row["key"] in SETTINGS and row["value"]:
                self._parsed(row["key"], row["value"])
        self.settings()
        with self._own_errors():
            fault = find_fault(self._connection, self.next_cluster)
        if fault is not None:
            raise StateError(f"{self.path}: {fault}: the state was altered or damaged: restore it, or begin a new one")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Write everything that happens inside the block, or nothing if the block fails."""
        self._connection.execute("BEGIN")
        try:
            yield
            self._connection.execute("COMMIT")
        except duckdb.Error as error:
            self._roll_back()
            raise StateError(f"{self.path}: the state was left as it was: {_first_line(error)}") from error
        except BaseException:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        # If a commit failed, for example on a full disk, DuckDB has already rolled back, and another rollback fails.
        with suppress(duckdb.Error):
            self._connection.execute("ROLLBACK")

    @contextmanager
    def _own_errors(self) -> Iterator[None]:
        try:
            yield
        except duckdb.Error as error:
            raise StateError(f"{self.path}: the state was left as it was: {_first_line(error)}") from error

    def query(
        self, statement: str, parameters: list[Any] | dict[str, Any] | None = None, **tables: pa.Table
    ) -> pa.Table:
        """The result of a statement, which may refer to the Arrow tables by their keywords."""
        with self._own_errors(), self._registered(tables):
            return self._connection.sql(statement, params=parameters).to_arrow_table()

    def execute(self, statement: str, parameters: list[Any] | None = None, **tables: pa.Table) -> None:
        with self._own_errors(), self._registered(tables):
            self._connection.execute(statement, parameters)

    @contextmanager
    def _registered(self, tables: Mapping[str, pa.Table]) -> Iterator[None]:
        for name, table in tables.items():
            self._connection.register(name, table)
        try:
            yield
        finally:
            # A failed statement aborts its transaction, and then no table can be unregistered. That does no harm,
            # because the names are reused.
            with suppress(duckdb.TransactionException):
                for name in tables:
                    self._connection.unregister(name)

    def append(self, table: str, rows: pa.Table) -> None:
        """Add rows to a table, matching columns by name."""
        self.execute(f"INSERT INTO {table} BY NAME SELECT * FROM added", added=rows)

    def setting(self, key: str) -> str | None:
        found = self.query("SELECT value FROM meta WHERE key = ?", [key])["value"]
        return found[0].as_py() if len(found) else None

    def stored(self, key: str, default: Any) -> Any:
        """A setting that is kept as JSON; the default if there is none.

        Raises:
            StateError: if it does not have its shape (`schema.SETTINGS`): somebody else may have made the state.
        """
        text = self.setting(key)
        return self._parsed(key, text) if text else default

    def _parsed(self, key: str, text: str) -> Any:
        try:
            value = json.loads(text)
            check_shape(value, SETTINGS[key], key)
        except ShapeError as error:
            raise StateError(f"{self.path}: {error}: no release writes this") from error
        except (ValueError, RecursionError) as error:
            raise StateError(f"{self.path}: {key} is {text[:50]!r} and not JSON: no release writes this") from error
        return value

    def set(self, key: str, value: str) -> None:
        self.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", [key, value])

    def number(self, statement: str) -> int:
        """The single value of a statement's result; 0 if there is none or it is null."""
        found = self.query(statement)
        return int(found[0][0].as_py() or 0) if found.num_rows else 0

    def clusters(self, ids: np.ndarray | None = None) -> ClusterSums:
        """All clusters, or those with the given ids, in order of id."""
        chosen, tables = "", {}
        if ids is not None:
            chosen, tables = "WHERE cluster IN (SELECT id FROM wanted)", {"wanted": pa.table({"id": ids})}
        rows = self.query(f"SELECT cluster, size, total FROM clusters {chosen} ORDER BY cluster", **tables)
        return ClusterSums(
            rows["cluster"].to_numpy(), rows["size"].to_numpy().astype(np.float64), vectors_of(rows["total"])
        )

    def replace_clusters(self, former: np.ndarray, clusters: ClusterSums) -> None:
        """Replace the clusters with the given ids by these clusters."""
        self.execute("DELETE FROM clusters WHERE cluster IN (SELECT id FROM gone)", gone=pa.table({"id": former}))
        columns = {
            "cluster": clusters.ids,
            "size": clusters.sizes.astype(np.int64),
            "total": vector_column(clusters.sums),
        }
        self.append("clusters", pa.table(columns))

    def open_windows(self, sources: pa.Table) -> pa.Table:
        """Open windows of the sources (column `source`). Columns of the cluster are null if a window has none."""
        return self.query(
            "SELECT window_id, source, cluster, margin, embedding, embedded_on, unblended FROM windows "
            "SEMI JOIN sources USING (source) "
            "WHERE open ORDER BY window_id",
            sources=sources,
        )

    def open_records(self, sources: pa.Table) -> pa.Table:
        """Records of the open windows of the sources, in the order in which they were added."""
        columns = ", ".join(RECORD_COLUMNS)
        return self.query(
            f"SELECT {columns} FROM open_records WHERE src_ip IN (SELECT source FROM sources) ORDER BY rowid",
            sources=sources,
        )

    def homes(self, sources: pa.Table) -> dict[str, int]:
        """The cluster of each source's latest window."""
        rows = self.query(
            'SELECT source, arg_max(cluster, "end") AS cluster FROM windows SEMI JOIN sources USING (source) '
            "WHERE cluster IS NOT NULL GROUP BY source",
            sources=sources,
        )
        return dict(zip(rows["source"].to_pylist(), rows["cluster"].to_pylist(), strict=True))

    def movable(self, clusters: np.ndarray, around: np.ndarray, number: int, seed: int) -> pa.Table:
        """About `number` windows that may move to another cluster: id, cluster and embedding.

        Args:
            clusters: ids of clusters. Half of the windows are those of these clusters with the smallest margins.
            around: ids of some of these clusters. The other half are windows of these, a random choice if there are
                too many.
            number: about how many windows to return.
            seed: seed of the random choice.
        """
        return self.query(
            "WITH members AS (SELECT window_id, cluster, margin FROM windows "
            "WHERE cluster IN (SELECT id FROM attracted)), "
            "inside AS (SELECT window_id FROM members WHERE cluster IN (SELECT id FROM around) "
            "ORDER BY hash(window_id + $seed::BIGINT * 1000003), window_id LIMIT $half), "
            "loose AS (SELECT window_id FROM members ANTI JOIN inside USING (window_id) "
            "ORDER BY margin, window_id LIMIT $half) "
            "SELECT window_id, cluster, embedding FROM windows SEMI JOIN (FROM inside UNION ALL FROM loose) "
            "USING (window_id) ORDER BY window_id",
            {"half": number // 2, "seed": seed},
            attracted=pa.table({"id": clusters}),
            around=pa.table({"id": around}),
        )

    def settings(self) -> dict[str, Any] | None:
        """The settings that the first step fixed; None before the first step."""
        stored: dict[str, Any] | None = self.stored("settings", None)
        if stored is None:
            return None
        try:
            if stored["scale"] <= 0 or abs(stored["threshold"]) > 1:
                raise ValueError(f"threshold {stored['threshold']} and scale {stored['scale']} are not possible")
            if stored["calibration"] is not None:
                Calibration.from_dict(stored["calibration"])
        except ValueError as error:
            raise StateError(f"{self.path}: settings: {error}") from error
        # Earlier states did not place windows with few records, and had one number for both limits.
        if "core_records" not in stored:
            stored |= {"core_records": stored["min_records"], "min_records": 1}
        return stored

    def has_input(self, digest: str) -> bool:
        """Whether an input with this content was added."""
        return bool(self.query("SELECT 1 FROM inputs WHERE digest = ?", [digest]).num_rows > 0)

    def taken_of(self, path: str) -> dict[str, Any] | None:
        """Digest and size of the largest content added from a path, and the summed counts; None if there is none."""
        rows = self.query(
            "SELECT arg_max(digest, size) AS digest, max(size) AS size, sum(read)::BIGINT AS read, "
            "sum(kept)::BIGINT AS kept, sum(rejected)::BIGINT AS rejected, sum(skipped)::BIGINT AS skipped "
            "FROM inputs WHERE path = ?",
            [path],
        ).to_pylist()[0]
        return None if rows["size"] is None else rows

    def record_input(self, row: list[Any]) -> None:
        """Add a row to `inputs`, with values in the order of its columns in `schema.TABLES`."""
        self.execute(f"INSERT INTO inputs VALUES ({', '.join('?' * len(row))})", row)

    def inputs(self) -> pa.Table:
        """All inputs in the order in which they were added."""
        return self.query("SELECT * FROM inputs ORDER BY rowid")

    @property
    def n_clusters(self) -> int:
        return self.number("SELECT count(*) FROM clusters")

    @property
    def n_clusters_and_alone(self) -> tuple[int, int]:
        """The numbers of clusters of several windows, and of windows that are alone in their cluster."""
        alone = self.number("SELECT count(*) FROM clusters WHERE size = 1")
        return self.n_clusters - alone, alone

    @property
    def next_window(self) -> int:
        """The smallest id above those of all windows and of the deleted windows whose records are kept."""
        ids = "SELECT window_id FROM windows UNION ALL SELECT window_id FROM retired"
        return self.number(f"SELECT max(window_id) + 1 FROM ({ids})")

    @property
    def next_cluster(self) -> int:
        """The smallest cluster id that was never used."""
        return int(self.stored("next_cluster", 0))

    def windows(self, min_records: int) -> pa.Table:
        """The windows that have a cluster or at least so many records, by source and start, with both embeddings."""
        return self.query(
            f"SELECT * REPLACE ({_UNBLENDED} AS unblended) FROM windows "
            "WHERE cluster IS NOT NULL OR n_records >= ? ORDER BY source, start, window_id",
            [min_records],
        )

    @property
    def n_clustered(self) -> int:
        return self.number("SELECT count(*) FROM windows WHERE cluster IS NOT NULL")

    def clustered_embeddings(self, first: int = 0, *, unblended: bool = False) -> pa.Table:
        """Id, source, end, cluster and embedding of the clustered windows with ids from `first` on, in order of id."""
        embedding = _UNBLENDED if unblended else "embedding"
        return self.query(
            f'SELECT window_id, source, "end", cluster, {embedding} AS embedding FROM windows '
            "WHERE cluster IS NOT NULL AND window_id >= ? ORDER BY window_id",
            [first],
        )

    def newest_embeddings(self, number: int) -> pa.Table:
        """Id, source and embedding, before blending, of the newest windows that have a cluster."""
        return self.query(
            f"SELECT window_id, source, {_UNBLENDED} AS embedding FROM windows "
            "WHERE cluster IS NOT NULL ORDER BY window_id DESC LIMIT ?",
            [number],
        )

    def newest_of_sources(self, sources: pa.Table, number: int) -> pa.Table:
        """Source and embedding, before blending, of the newest windows of each source (column `source`)."""
        return self.query(
            f"SELECT source, {_UNBLENDED} AS embedding FROM windows SEMI JOIN sources USING (source) "
            "WHERE cluster IS NOT NULL "
            "QUALIFY row_number() OVER (PARTITION BY source ORDER BY window_id DESC) <= ? ORDER BY window_id",
            [number],
            sources=sources,
        )

    def records_of(self, ids: np.ndarray, fields: Sequence[str]) -> pa.Table:
        """Some fields of the records of windows, each with its `window_id`, in no particular order."""
        names = ", ".join(("window_id", *fields))
        return self.query(
            f"SELECT {names} FROM (SELECT {names} FROM closed_records UNION ALL SELECT {names} FROM open_records) "
            "SEMI JOIN wanted USING (window_id)",
            wanted=pa.table({"window_id": ids}),
        )

    def sources_of(self, ids: np.ndarray) -> dict[int, str]:
        """The sources of windows, by window id."""
        rows = self.query(
            "SELECT window_id, source FROM windows SEMI JOIN wanted USING (window_id)",
            wanted=pa.table({"window_id": ids}),
        )
        return dict(zip(rows["window_id"].to_pylist(), rows["source"].to_pylist(), strict=True))

    def clear(self, table: str) -> None:
        """Delete all rows of a table."""
        self.execute(f"DELETE FROM {table}")

    def unset(self, key: str) -> None:
        self.execute("DELETE FROM meta WHERE key = ?", [key])

    def model_files(self) -> dict[str, bytes]:
        """The files of the checkpoint that was adapted to this telescope, by name; empty if there is none."""
        rows = self.query("SELECT name, content FROM model")
        return dict(zip(rows["name"].to_pylist(), rows["content"].to_pylist(), strict=True))

    @property
    def has_model(self) -> bool:
        return self.number("SELECT count(*) FROM model") > 0

    def set_model(self, files: Mapping[str, bytes]) -> None:
        """Replace the stored checkpoint."""
        self.clear("model")
        self.append("model", pa.table({"name": list(files), "content": pa.array(list(files.values()), pa.binary())}))

    def newest_time(self) -> int | None:
        """The time of the newest record (us); None without windows."""
        newest: int | None = self.query('SELECT max("end") AS newest FROM windows')["newest"][0].as_py()
        return newest

    def windows_before(self, time: int) -> pa.Table:
        """Id, end, cluster and embedding of the windows that ended before a time (us)."""
        return self.query(
            'SELECT window_id, "end", cluster, embedding FROM windows WHERE "end" < ? ORDER BY window_id', [time]
        )

    def close_records(self, ids: np.ndarray) -> None:
        """Copy the records of open windows to the table of closed windows."""
        columns = ", ".join(CLOSED_COLUMNS)
        self.execute(
            f"INSERT INTO closed_records SELECT window_id, {columns} FROM open_records "
            "WHERE window_id IN (SELECT id FROM wanted)",
            wanted=pa.table({"id": ids}),
        )

    def remove_windows(self, windows: pa.Table, tables: Sequence[str]) -> None:
        """Delete the rows of these windows (column `window_id`) from tables."""
        gone = windows.select(["window_id"])
        for table in tables:
            self.execute(f"DELETE FROM {table} WHERE window_id IN (SELECT window_id FROM gone)", gone=gone)

    def keep_clusters(self, windows: pa.Table) -> None:
        """Restore the cluster, margin and embedding of windows whose rows were rewritten.

        Args:
            windows: columns window_id, cluster, margin, embedding, embedded_on and unblended.
        """
        self.execute(
            "UPDATE windows SET cluster = kept.cluster, margin = kept.margin, embedding = kept.embedding, "
            "embedded_on = kept.embedded_on, unblended = kept.unblended "
            "FROM kept WHERE windows.window_id = kept.window_id",
            kept=windows,
        )

    def place_windows(self, placed: pa.Table) -> None:
        """Write the cluster and margin of windows, and their embedding if it is new.

        Args:
            placed: columns id, new_cluster and new_margin; with an embedding also new_day, vector and own_vector.
        """
        embedded = ""
        if "vector" in placed.column_names:
            embedded = ", embedding = vector::FLOAT[], embedded_on = new_day, unblended = own_vector::FLOAT[]"
        self.execute(
            f"UPDATE windows SET cluster = new_cluster, margin = new_margin{embedded} "
            "FROM placed WHERE window_id = id",
            placed=placed,
        )

    def rename_clusters(self, renamed: Mapping[int, int]) -> np.ndarray:
        """Change the ids of clusters (old to new) in their windows. Returns the ids of these windows."""
        names = pa.table({"old": pa.array(renamed, pa.int64()), "new": pa.array(renamed.values(), pa.int64())})
        changed = self.query("SELECT window_id FROM windows JOIN names ON cluster = old", names=names)
        self.execute("UPDATE windows SET cluster = new FROM names WHERE cluster = old", names=names)
        ids: np.ndarray = changed["window_id"].to_numpy()
        return ids

    def retired(self) -> pa.Table:
        """Retired clusters: cluster, mean, last_seen, and the window_id of the most typical window."""
        return self.query("SELECT cluster, mean, last_seen, window_id FROM retired ORDER BY cluster")

    def revive(self, born: int, retired: int) -> None:
        """Give a cluster that was just born the id of a retired cluster."""
        for table in ("clusters", "windows"):
            self.execute(f"UPDATE {table} SET cluster = ? WHERE cluster = ?", [retired, born])
        self.execute("UPDATE events SET cluster = ?, event = 'return' WHERE cluster = ?", [retired, born])
        self.execute(
            "DELETE FROM closed_records WHERE window_id IN (SELECT window_id FROM retired WHERE cluster = ?)",
            [retired],
        )
        self.execute("DELETE FROM retired WHERE cluster = ?", [retired])

    def conflicts(self) -> pa.Table:
        """The packed conflicts: windows a, b and c, the amount, and the row's id."""
        return self.query("SELECT a, b, c, amount, rowid FROM conflicts")

    def remove_conflicts(self, rows: np.ndarray) -> None:
        """Delete packed conflicts by the ids of their rows."""
        self.execute("DELETE FROM conflicts WHERE rowid IN (SELECT id FROM gone)", gone=pa.table({"id": rows}))

    def events(self) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = self.query("SELECT * FROM events ORDER BY day, cluster, event").to_pylist()
        return events

    def rejects(self) -> pa.Table:
        return self.query("SELECT * FROM rejects")

    def records(self) -> pa.Table:
        """The records of all windows, each with its `window_id`."""
        return self.query(_RECORDS_OF_WINDOWS)

    def traffic(self) -> list[list[int]]:
        """For each day since 1970 that has records: the day, its records and its sources."""
        rows = self.query(
            "SELECT timestamp // 86400000000 AS day, count(*) AS records, count(DISTINCT src_ip) AS sources "
            f"FROM ({_RECORDS_OF_WINDOWS}) GROUP BY day ORDER BY day"
        )
        return [list(row.values()) for row in rows.to_pylist()]


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def vectors_of(column: pa.ChunkedArray) -> np.ndarray:
    """Convert a column of lists, all of the same length, to an array (n, dimensions)."""
    if not len(column):
        return np.zeros((0, 0))
    flat = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    vectors: np.ndarray = flat.reshape(len(column), -1)
    return vectors


def vector_column(vectors: np.ndarray) -> pa.ListArray:
    """Convert vectors (n, dimensions) to a column of lists of float64."""
    rows, columns = vectors.shape
    offsets = pa.array(np.arange(rows + 1) * columns, pa.int32())
    return pa.ListArray.from_arrays(offsets, pa.array(vectors.ravel(), pa.float64()))


def _connect(path: Path) -> duckdb.DuckDBPyConnection:
    # Somebody else may have made the state, so nothing in it may read or write other files.
    options: dict[str, Any] = {"enable_external_access": False}
    # DuckDB gives some names a meaning, such as `:memory:` and `md:name`. An absolute path is always a file.
    path = path.absolute()
    try:
        return duckdb.connect(path, config=options)
    except duckdb.IOException as error:
        # If the disk is full from the start, DuckDB leaves an empty file behind, and later refuses to open it. If
        # another process has just created the file, the error is about its lock instead.
        if "not a valid DuckDB" not in str(error) or path.stat().st_size:
            raise
        path.unlink()
        return duckdb.connect(path, config=options)


def _check_kind(path: Path) -> None:
    """Refuse data files: DuckDB opens them as an in-memory database, so everything written to it would be lost."""
    check_name(path)
    if not path.exists():
        return
    try:
        check_regular(path)
        is_other = path.stat().st_size > 0 and not is_database(path)
    except OSError as error:
        raise StateError(f"{path}: cannot open the state: {reason(error)}") from error
    if is_other:
        raise StateError(f"{path}: cannot open the state: it is not a DuckDB file")
