"""Preparation: flow records of any size to a dataset of windows on disk, and reading it at training speed."""

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
