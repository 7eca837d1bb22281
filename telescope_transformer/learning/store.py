"""The records of a prepared split as tokens in memory-mapped files, grouped by source.

Any run of records of a source is then one slice, and a split may be larger than memory.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from telescope_transformer.arrays import create_array, load_array, offsets_of
from telescope_transformer.errors import DatasetError, reason
from telescope_transformer.files import check_regular, file_digest, read_json
from telescope_transformer.model import FlowTokenizer
from telescope_transformer.preparation import read_manifest
from telescope_transformer.preparation.reader import read_shard
from telescope_transformer.preparation.writer import ShardFile
from telescope_transformer.records.addresses import network_of

DONE = "store.json"
# The arrays of a store, a file each.
KINDS = {"input_ids": np.int32, "inter_arrival": np.float32}
# Our choice: a network with more than this share of the sources, and with more than this number, says nothing about
# actors. Without the number, a network of one scanner would be large among few sources.
MOST_IN_NETWORK, FEWEST_IN_LARGE = 0.25, 20


@dataclass(frozen=True)
class RecordStore:
    """N records of S sources.

    Args:
        encoded: `input_ids` int32 (N, fields) and `inter_arrival` float32 (N,), seconds since the previous record of
            the same source.
        offsets: int64 (S + 1,); the records of source s are `offsets[s]:offsets[s + 1]`, in time order.
        sources: (S,) addresses.
    """

    encoded: Mapping[str, np.ndarray]
    offsets: np.ndarray
    sources: pa.Array

    @property
    def counts(self) -> np.ndarray:
        """Records of each source (S,)."""
        return np.diff(self.offsets)

    @cached_property
    def networks(self) -> np.ndarray:
        """Number of each source's network, (S,); see `networks_of`."""
        return networks_of(self.sources)


def store_of_windows(windows: pa.Table, tokenizer: FlowTokenizer) -> RecordStore:
    """The store of a table of windows, in memory.

    Args:
        windows: a row per window, as `windows.cut_windows` returns it.
    """
    places, gaps, index = _arrange(windows.select(["source", "start", "end", "n_records"]))
    total = int(index["n_records"].to_numpy().sum())
    encoded = _empty(total, tokenizer)
    _encode(windows, tokenizer, places, gaps, encoded)
    return RecordStore(encoded, offsets_of(index["n_records"].to_numpy()), index["source"].combine_chunks())


def _empty(total: int, tokenizer: FlowTokenizer) -> dict[str, np.ndarray]:
    return {
        "input_ids": np.empty((total, len(tokenizer.fields)), KINDS["input_ids"]),
        "inter_arrival": np.empty(total, KINDS["inter_arrival"]),
    }


def open_store(cache: Path) -> RecordStore:
    """Open what `build_store` wrote.

    Raises:
        DatasetError: if a file is missing or damaged.
    """
    path = cache / "sources.parquet"
    try:
        check_regular(path)
        index = pq.read_table(path)
        store = RecordStore({}, offsets_of(index["n_records"].to_numpy()), index["source"].combine_chunks())
        encoded = {}
        for name, kind in KINDS.items():
            path = cache / f"{name}.npy"
            encoded[name] = load_array(path, "r")
            if encoded[name].dtype != kind or len(encoded[name]) != store.offsets[-1]:
                raise ValueError(f"{encoded[name].dtype} {encoded[name].shape} is not that of its records")
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise DatasetError(f"{path} is damaged: {reason(error)}; delete {cache}, which is then made again") from error
    return replace(store, encoded=encoded)


def build_store(dataset: Path, split: str, tokenizer: FlowTokenizer, cache: Path) -> None:
    """Write the store of a split to `cache`, unless it is there already, undamaged.

    Args:
        dataset: directory of a prepared dataset.
        split: name of a split; "all" for all of them.
        cache: directory to write to; it is created, and emptied if it holds another store.

    Raises:
        DatasetError: if the dataset or the split is missing, or a shard is damaged.
    """
    shards = find_shards(dataset, split)
    fingerprint = _fingerprint(dataset, tokenizer, split)
    if _is_built(cache, fingerprint):
        return
    shutil.rmtree(cache, ignore_errors=True)
    cache.mkdir(parents=True)
    heads = [read_shard(dataset, shard, ["source", "start", "end", "n_records"]) for shard in shards]
    places, gaps, index = _arrange(pa.concat_tables(heads))
    pq.write_table(index, cache / "sources.parquet")
    total = int(index["n_records"].to_numpy().sum())
    shape = {"input_ids": (total, len(tokenizer.fields)), "inter_arrival": (total,)}
    target = {name: create_array(cache / f"{name}.npy", KINDS[name], shape[name]) for name in shape}
    begin = 0
    for shard, head in zip(shards, heads, strict=True):
        rows = slice(begin, begin + head.num_rows)
        _write_shard(dataset, shard, tokenizer, places[rows], gaps[rows], target)
        begin += head.num_rows
    for array in target.values():
        array.flush()
    (cache / DONE).write_text(json.dumps(fingerprint), encoding="utf-8")


def _is_built(cache: Path, fingerprint: Mapping[str, Any]) -> bool:
    try:
        if read_json(cache / DONE) != fingerprint:
            return False
        open_store(cache)
    except (OSError, ValueError, DatasetError):
        return False
    return True


def find_shards(dataset: Path, split: str) -> list[ShardFile]:
    """Files of a split that the dataset's manifest names.

    Raises:
        DatasetError: if the dataset is missing or incomplete, or the split has no windows.
    """
    manifest = read_manifest(dataset)
    shards = manifest.files_of(None if split == "all" else split)
    if not shards:
        raise DatasetError(
            f"{dataset} has no windows of split {split!r}: prepare it with --splits, or take all with --split all"
        )
    return shards


def _fingerprint(dataset: Path, tokenizer: FlowTokenizer, split: str) -> dict[str, Any]:
    manifest = file_digest(dataset / "manifest.json")
    return {"manifest": manifest, "split": split, "fields": tokenizer.fields}


def _arrange(windows: pa.Table) -> tuple[np.ndarray, np.ndarray, pa.Table]:
    """Compute the place of each window's records, such that sources are contiguous and in time order.

    Returns:
        Place of each window's first record (W,), seconds between that record and the previous one of its source (W,),
        and the sources with their numbers of records, in the order of the store.
    """
    encoded = windows["source"].combine_chunks().dictionary_encode()
    codes = encoded.indices.to_numpy()
    start, end = windows["start"].to_numpy(), windows["end"].to_numpy()
    records = windows["n_records"].to_numpy().astype(np.int64)
    order = np.lexsort((start, codes))
    gap = start[order] - np.concatenate([[0], end[order][:-1]])
    gap[np.flatnonzero(np.diff(codes[order], prepend=-1))] = 0
    # Windows of two appends may overlap in time if two sensors recorded at the same time.
    gap = np.maximum(gap, 0)
    places, gaps = np.empty_like(records), np.empty(len(records), dtype=np.float32)
    places[order] = offsets_of(records[order])[:-1]
    gaps[order] = gap / 1e6
    counts = np.bincount(codes, weights=records, minlength=len(encoded.dictionary)).astype(np.int64)
    return places, gaps, pa.table({"source": encoded.dictionary, "n_records": counts})


def _write_shard(
    dataset: Path,
    shard: ShardFile,
    tokenizer: FlowTokenizer,
    places: np.ndarray,
    gaps: np.ndarray,
    target: Mapping[str, np.ndarray],
) -> None:
    windows = read_shard(dataset, shard, tokenizer.columns)
    try:
        _encode(windows, tokenizer, places, gaps, target)
    except (ValueError, KeyError) as error:
        raise DatasetError(f"{dataset / shard.path}: {error}") from error


def _encode(
    windows: pa.Table, tokenizer: FlowTokenizer, places: np.ndarray, gaps: np.ndarray, target: Mapping[str, np.ndarray]
) -> None:
    """Encode the records of windows and write them to their places in `target`."""
    encoded = tokenizer.encode_windows(windows)
    offsets = encoded["offsets"]
    encoded["inter_arrival"][offsets[:-1]] = gaps
    rows = np.repeat(places - offsets[:-1], np.diff(offsets)) + np.arange(offsets[-1])
    for name, array in target.items():
        array[rows] = encoded[name]


def networks_of(sources: pa.Array) -> np.ndarray:
    """The number of each source's network (S,); see `addresses.network_of`.

    Sources of one network often have one actor. That is not so if a large part of all sources is in one network, as
    with addresses that were anonymised. Each source of such a network counts as a network of its own.
    """
    networks = pa.array(map(network_of, sources.to_pylist())).dictionary_encode().indices.to_numpy().astype(np.int64)
    sizes = np.bincount(networks)
    too_large = (sizes > max(MOST_IN_NETWORK * len(networks), FEWEST_IN_LARGE))[networks]
    networks[too_large] = len(sizes) + np.arange(int(too_large.sum()))
    return np.unique(networks, return_inverse=True)[1]
