"""Checks that the rows of a state agree with each other, because somebody else may have altered or damaged it.

The checks run when a state is opened, so that all other code can rely on them. They take 0.4 s of processor time for
25 million records.
"""

from typing import NamedTuple

import duckdb

from telescope_transformer.records.time_kernels import LAST

# The largest number of a cluster, which tables of analyses store in 32 bits.
_LAST_CLUSTER = 2**31 - 1
# A sum is finite only if all of its terms are, and each term is counted.
_NO_VECTOR = "len({0}) <> list_count({0}) OR NOT isfinite(list_sum({0}))"


class _Rule(NamedTuple):
    """A fault that a row may have. The query `wrong` returns the value that the message shows, for each faulty row."""

    table: str
    meaning: str
    wrong: str


def _rule(table: str, column: str, meaning: str, condition: str) -> _Rule:
    return _Rule(table, f"{column} {meaning}", f"SELECT {column} FROM {table} WHERE {condition}")


def _vector(table: str, column: str) -> _Rule:
    return _rule(table, column, "holds a value that is missing or not finite", _NO_VECTOR.format(column))


def _time(table: str, column: str) -> _Rule:
    return _rule(table, column, "is not a time from 1970 to 9999", f"{column} NOT BETWEEN 0 AND {LAST}")


def _cluster_numbers(table: str) -> tuple[_Rule, _Rule]:
    return (
        _rule(table, "cluster", "is not the number of a cluster", f"cluster NOT BETWEEN 0 AND {_LAST_CLUSTER}"),
        _rule(table, "cluster", "was never given", "cluster >= $next_cluster"),
    )


_WINDOWS = "SELECT window_id FROM windows"
_COUNTS = ("size", "read", "kept", "rejected", "skipped")
# Every window began with a record of its own, so no id can reach their number. Work grows with the largest id.
_RULES = (
    *(
        _rule("inputs", name, "is not a count", f"{name} IS NULL OR {name} NOT BETWEEN 0 AND 2**53")
        for name in _COUNTS
    ),
    _rule("inputs", "path", "is missing", "path IS NULL"),
    _rule("windows", "window_id", "occurs twice", "true GROUP BY window_id HAVING count(*) > 1"),
    _rule(
        "windows",
        "window_id",
        "is not below the number of all records",
        "window_id NOT BETWEEN 0 AND (SELECT sum(kept) - 1 FROM inputs)",
    ),
    _rule("windows", "source", "has two open windows", "open GROUP BY source HAVING count(*) > 1"),
    _time("windows", "start"),
    _time("windows", '"end"'),
    _rule("windows", "start", "is after the end", 'start > "end"'),
    _rule(
        "windows",
        "cluster",
        "has no embedding, day or margin",
        "cluster IS NOT NULL AND (embedding IS NULL OR embedded_on IS NULL OR margin IS NULL)",
    ),
    _vector("windows", "embedding"),
    _vector("windows", "unblended"),
    _rule(
        "windows",
        "cluster",
        "is not a cluster",
        "cluster IS NOT NULL AND cluster NOT IN (SELECT cluster FROM clusters)",
    ),
    _Rule(
        "open_records",
        "window_id is not that of an open window of the record's source",
        "SELECT r.window_id FROM open_records r LEFT JOIN windows w USING (window_id) "
        "WHERE NOT coalesce(w.open AND w.source = r.src_ip, false)",
    ),
    _time("open_records", "timestamp"),
    _time("closed_records", "timestamp"),
    *_cluster_numbers("clusters"),
    _rule("clusters", "cluster", "occurs twice", "true GROUP BY cluster HAVING count(*) > 1"),
    _Rule(
        "clusters",
        "size is not the number of the cluster's windows",
        "SELECT size FROM clusters LEFT JOIN (SELECT cluster, count(*) AS found FROM windows GROUP BY cluster) "
        "USING (cluster) WHERE size IS DISTINCT FROM found",
    ),
    _vector("clusters", "total"),
    *_cluster_numbers("retired"),
    _rule("retired", "cluster", "still has windows", "cluster IN (SELECT cluster FROM clusters)"),
    _vector("retired", "mean"),
    _time("retired", "last_seen"),
    _rule(
        "retired",
        "window_id",
        "is not that of a deleted window with records",
        f"window_id IN ({_WINDOWS}) OR window_id NOT IN (SELECT window_id FROM closed_records)",
    ),
    _Rule(
        "windows, clusters or retired",
        "the lengths of vectors differ",
        "SELECT list(DISTINCT length) FROM (SELECT len(embedding) AS length FROM windows UNION ALL "
        "SELECT len(unblended) FROM windows UNION ALL SELECT len(total) FROM clusters UNION ALL "
        "SELECT len(mean) FROM retired) HAVING count(DISTINCT length) > 1",
    ),
    *(_rule("conflicts", name, "is not the id of a window", f"{name} NOT IN ({_WINDOWS})") for name in "abc"),
    _rule("conflicts", "a", "is not a window other than b and c", "a = b OR a = c OR b = c"),
    _rule("conflicts", "amount", "is not a positive number", "NOT (isfinite(amount) AND amount > 0)"),
    _rule(
        "events",
        "event",
        "is not an event of a cluster on a day",
        "event IS NULL OR event NOT IN ('birth', 'death', 'merge', 'split', 'return') OR cluster IS NULL OR "
        "day IS NULL OR try_strptime(day, '%Y-%m-%d') IS NULL OR windows IS NULL OR windows < 0 OR "
        "list_count(others) <> len(others) OR list_min(others) < 0 OR "
        f"list_max(others) > {_LAST_CLUSTER} OR cluster NOT BETWEEN 0 AND {_LAST_CLUSTER} OR windows > 2**53",
    ),
    # The counts come last, because other faults change them too.
    _Rule(
        "closed_records",
        "window_id is not that of a closed window",
        "SELECT r.window_id FROM closed_records r ANTI JOIN (SELECT window_id FROM windows WHERE NOT open "
        "UNION ALL SELECT window_id FROM retired) w USING (window_id)",
    ),
    _Rule(
        "windows",
        "n_records is not the number of the window's records",
        "SELECT any_value(n_records) FROM windows LEFT JOIN (SELECT window_id AS id, count(*) AS found FROM "
        "(SELECT window_id FROM open_records UNION ALL SELECT window_id FROM closed_records) GROUP BY id) "
        "ON window_id = id GROUP BY window_id HAVING any_value(n_records) IS DISTINCT FROM any_value(found)",
    ),
)


def find_fault(connection: duckdb.DuckDBPyConnection, next_cluster: int) -> str | None:
    """Description of the first row that no release writes, or None.

    Args:
        connection: a state of the present version.
        next_cluster: the smallest number of a cluster that was never given.
    """
    for table, meaning, wrong in _RULES:
        given = {"next_cluster": next_cluster} if "$next_cluster" in wrong else None
        row = connection.execute(f"{wrong} LIMIT 1", given).fetchone()
        if row is not None:
            return f"table {table}: {meaning} ({str(row[0])[:50]!r})"
    return None
