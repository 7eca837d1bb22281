"""Prepare a dataset of windows on disk from flow records of any size, and read it.

A prepared dataset is a folder:

    manifest.json                      schema version, window settings, counts, files, inputs with digests
    windows/shard-00000.parquet        windows of the sources whose hash falls into the shard, in hash order
    windows/shard-00000-00001.parquet  windows that the first append added to the shard
    sources-shard-00000.parquet        every source of the shard, including those without a window
    rejects.parquet                    rows that are not valid flow records: file, row, field, value, reason
    destinations.parquet               the text of IPv6 destinations, which windows store folded to 32 bits

A dataset for training (`WindowSettings.splits`) has other folders instead of `windows`: `train` and `unseen_sequences`
(the first 80 % in time of each training source, and the rest), `validation` and `unseen_sources`. The columns are
those of `windows.cut_windows`. Files that the manifest does not name do not belong to the dataset.
"""

from telescope_transformer.preparation.dataset import prepare
from telescope_transformer.preparation.manifest import SCHEMA_VERSION, Manifest, read_manifest
from telescope_transformer.preparation.reader import (
    load_datasets,
    load_split,
    read_blocks,
    read_destinations,
    read_heads,
    read_sources,
)
from telescope_transformer.preparation.settings import (
    SPLITS,
    EngineSettings,
    PreparationSettings,
    WindowSettings,
)
from telescope_transformer.preparation.writer import window_schema

__all__ = [
    "SCHEMA_VERSION",
    "SPLITS",
    "EngineSettings",
    "Manifest",
    "PreparationSettings",
    "WindowSettings",
    "load_datasets",
    "load_split",
    "prepare",
    "read_blocks",
    "read_destinations",
    "read_heads",
    "read_manifest",
    "read_sources",
    "window_schema",
]
