"""The preparation expressions against a plain loop, and buckets that nest."""

from collections import defaultdict

import ibis
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telescope_transformer.preparation import WindowSettings
from telescope_transformer.preparation.expressions import tally_of, windows_of
from telescope_transformer.preparation.staging import bucket_of
from telescope_transformer.windows import split_of_source

SPLIT_NAMES = {"test": "unseen_sources", "validation": "validation", "train": "train"}
# Sources of every split, for seed 0.
SOURCES = [f"192.0.2.{last}" for last in range(1, 12)]
RECORDS = st.lists(st.tuples(st.integers(0, 4), st.sampled_from(SOURCES)), min_size=1, max_size=120)


@pytest.fixture(scope="module")
def connection():
    connection = ibis.duckdb.connect(threads=1)
    yield connection
    connection.disconnect()


def naive_windows(records, window, min_records):
    by_source = defaultdict(list)
    for row, (time, source) in enumerate(records):
        by_source[source].append((time, row))
    windows, lost, empty = [], 0, 0
    for source, own in by_source.items():
        own.sort()
        split, head = SPLIT_NAMES[split_of_source(source)], -(-len(own) * 8 // 10)
        if split != "train" or len(own) - head < min_records:
            head = len(own)
        for part, name in ((own[:head], split), (own[head:], "unseen_sequences")):
            pieces = [part[begin : begin + window] for begin in range(0, len(part), window)]
            lost += sum(len(piece) < min_records for piece in pieces)
            kept = [piece for piece in pieces if len(piece) >= min_records]
            windows += [(source, name, number, [row for _, row in piece]) for number, piece in enumerate(kept)]
        empty += len(own) < min_records
    return sorted(windows), {"sources": len(by_source), "windows_left_out": lost, "sources_left_out": empty}


@settings(max_examples=20, deadline=None)
@given(records=RECORDS, window=st.integers(1, 12), min_records=st.integers(1, 6))
def test_expressions_equal_a_plain_loop(connection, records, window, min_records):
    chosen = WindowSettings(window, min(window, min_records))
    times, sources = zip(*records, strict=True)
    rows = pa.array(range(len(records)), pa.int64())
    table = pa.table({"source": sources, "timestamp": pa.array(times, pa.int64()), "row": rows, "bucket": rows})
    staged = ibis.memtable(table)
    found = connection.to_pyarrow(windows_of(staged, ["timestamp", "row"], 1, chosen)).to_pylist()
    expected, tally = naive_windows(records, window, chosen.min_records)
    assert sorted((row["source"], row["split"], row["number"], row["row"]) for row in found) == expected
    assert connection.to_pyarrow(tally_of(staged, chosen)).to_pylist() == [tally]


@settings(max_examples=50, deadline=None)
@given(texts=st.lists(st.ip_addresses().map(str), min_size=1, max_size=40), begin=st.integers(0, 39))
def test_buckets_nest_and_depend_on_the_text_alone(texts, begin):
    column = pa.array(texts, pa.string())
    fine, coarse = bucket_of(column, 256), bucket_of(column, 8)
    assert (fine % 8 == coarse).all()
    assert bucket_of(column.slice(begin), 256).tolist() == fine[begin:].tolist()


def test_buckets_are_even():
    column = pa.array([f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}" for i in range(64_000)])
    counts = pa.array(bucket_of(column, 64)).value_counts().field("counts").to_pylist()
    assert max(counts) < 1.2 * 1000
    assert min(counts) > 0.8 * 1000
