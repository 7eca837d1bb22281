"""Preparation: flow records of any size to a dataset of windows on disk, and reading it at training speed.

A prepared dataset is a folder:

    manifest.json                    schema version, window settings, counts, splits, files, inputs with digests
    <split>/shard-00000.parquet      windows of the sources whose hash falls into the shard, by source and start
    <split>/shard-00000-00001.parquet  what the first append added to the shard
    rejects.parquet                  rows that are no flow records: file, row, field, value, reason

The splits are `train` and `unseen_sequences` (the first 80 % in time of each training source, and the rest),
`validation` and `unseen_sources`.  Columns are those of `windows.cut_windows`.  A file that the manifest does not
name does not belong to the dataset.
"""

from telescope_transformer.preparation.dataset import prepare
from telescope_transformer.preparation.expressions import SPLITS
from telescope_transformer.preparation.loader import SourceIndex, WindowReader, load, load_datasets, stream_shards
from telescope_transformer.preparation.manifest import SCHEMA_VERSION, Manifest, read_manifest
from telescope_transformer.preparation.settings import EngineSettings, PreparationSettings, WindowSettings
from telescope_transformer.preparation.writer import window_features, window_schema

__all__ = [
    "SCHEMA_VERSION",
    "SPLITS",
    "EngineSettings",
    "Manifest",
    "PreparationSettings",
    "SourceIndex",
    "WindowReader",
    "WindowSettings",
    "load",
    "load_datasets",
    "prepare",
    "read_manifest",
    "stream_shards",
    "window_features",
    "window_schema",
]
