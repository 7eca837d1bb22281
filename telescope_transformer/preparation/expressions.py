"""Preparation as Ibis expressions: the same for every engine.

`collect` with an order is not in every engine; a struct that begins with the sort keys, collected and then sorted, is.
"""

from collections.abc import Callable, Sequence

import ibis
import ibis.expr.types as ir
from ibis import _

from telescope_transformer.preparation.settings import WindowSettings
from telescope_transformer.windows import TRAIN_PART, split_thresholds

SPLITS = ("train", "unseen_sequences", "validation", "unseen_sources")
# The first part of a training source, as a fraction of whole numbers: the same in every engine's arithmetic.
_TRAIN_TENTHS = round(TRAIN_PART * 10)


def valid_records(records: ir.Table) -> ir.Table:
    """Records that have a source and a time; readers reject others, but staged files may come from elsewhere."""
    return records.filter(records.source.length() > 0, records.timestamp.notnull())


def sources_of(records: ir.Table, shards: int, settings: WindowSettings) -> ir.Table:
    """A row per source: its shard, its number of records `n`, its split, and how many records are its `first_part`.

    The first part of a training source is its first 80 % in time, or all of it where the rest is too short for a
    window; the first part of any other source is all of it.
    """
    counted = valid_records(records).group_by("source").agg(n=_.count(), bucket=_.bucket.min())
    text = ibis.literal(f"{settings.seed}:") + counted.source
    digest = text.hexdigest("md5").substr(0, 8)
    test, validation = split_thresholds()
    split = ibis.cases((digest < test, "unseen_sources"), (digest < validation, "validation"), else_="train")
    head = (counted.n * _TRAIN_TENTHS + 9) // 10
    divided = (split == "train") & (counted.n - head >= settings.min_records)
    return counted.select(
        "source",
        "n",
        shard=(counted.bucket % shards).cast("int32"),
        split=split,
        first_part=ibis.ifelse(divided, head, counted.n).cast("int64"),
    )


def windows_of(records: ir.Table, columns: Sequence[str], shards: int, settings: WindowSettings) -> ir.Table:
    """A row per window: shard, source, split, number, n_records, and a list for each of the columns.

    The number counts the windows of a source and split in time order.
    """
    sources = sources_of(records, shards, settings)
    joined = valid_records(records).drop("bucket").inner_join(sources.filter(_.n >= settings.min_records), "source")
    in_time = joined.mutate(position=ibis.row_number().over(group_by="source", order_by=["timestamp", "row"]))
    late = in_time.position >= in_time.first_part
    placed = in_time.mutate(
        split=ibis.ifelse(late, "unseen_sequences", in_time.split),
        number=(ibis.ifelse(late, in_time.position - in_time.first_part, in_time.position) // settings.window),
    )
    sort_keys = ("timestamp", "row")
    carried = [*sort_keys, *(name for name in columns if name not in sort_keys)]
    record = ibis.struct({name: placed[name] for name in carried})
    collected = placed.group_by(["shard", "source", "split", "number"]).agg(
        n_records=_.count(), records=record.collect()
    )
    kept = collected.filter(_.n_records >= settings.min_records).mutate(records=_.records.sort())
    lists = {name: kept.records.map(_field_of(name)) for name in columns}
    return kept.select("shard", "source", "split", "number", "n_records", **lists)


def tally_of(records: ir.Table, settings: WindowSettings) -> ir.Table:
    """One row: sources, and the windows and sources that are left out for being too short."""
    sources = sources_of(records, 1, settings)
    first, rest = sources.first_part % settings.window, (sources.n - sources.first_part) % settings.window
    short_first = (first > 0) & (first < settings.min_records)
    short_rest = (rest > 0) & (rest < settings.min_records)
    return sources.agg(
        sources=_.count(),
        windows_left_out=(short_first.cast("int64") + short_rest.cast("int64")).sum(),
        sources_left_out=(sources.n < settings.min_records).cast("int64").sum(),
    )


def _field_of(name: str) -> Callable[[ir.StructValue], ir.Value]:
    return lambda record: record[name]
