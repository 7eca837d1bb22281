"""The manifest of a prepared dataset: its contents, how it was made, and which files belong to it.

Files that the manifest does not name do not belong to the dataset. The manifest is written last and replaced in one
step, so an interrupted preparation or append leaves the earlier dataset.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from telescope_transformer.errors import DatasetError
from telescope_transformer.files import read_json, write_text
from telescope_transformer.preparation.settings import SPLITS, WHOLE, WindowSettings
from telescope_transformer.preparation.writer import ShardFile
from telescope_transformer.shapes import OrNull, check_shape
from telescope_transformer.words import counted

# Increased when older releases would misread the dataset. Version 3 lists all services of each source.
SCHEMA_VERSION = 3
MANIFEST = "manifest.json"
# What each ingest counts.
COUNTS = (
    *("read", "kept", "rejected", "skipped", "sources", "windows", "records_in_windows"),
    *("records_left_out", "windows_left_out", "sources_left_out"),
)
# The shape of the manifest, whose numbers and lists are used without further checks.
SHAPE: dict[str, Any] = {
    **dict.fromkeys(("window", "min_records", "shards"), "count"),
    "seed": "number",
    "session_gap?": OrNull("number"),
    "has_splits?": "flag",
    **{name: ["text"] for name in ("fields", "annotations")},
    "files": [
        {"path": "text", "split": "text", **dict.fromkeys(("shard", "windows", "records", "sources"), "count")}
        | {"generation?": "count"}
    ],
    "ingests": [
        {"generation": "count", "engine": "text", "rejects": "text", "seconds": "number"}
        | {"inputs": [{"file": "text", "digest": "text"}]}
        | {"counts": dict.fromkeys(COUNTS, "count")}
    ],
    "sensors?": "texts",
    "days": "days",
    "source_files": ["text"],
}
README = "README.md"


@dataclass(frozen=True)
class Ingest:
    """One preparation or append: its inputs, its counts of records, and its duration.

    `inputs` have `file`, `format`, `bytes`, `digest` (BLAKE2b) and the counts of their records; `counts` have `read`,
    `kept`, `rejected`, `skipped`, `sources` and what was left out; `rejects` names the file of rejected rows.
    """

    generation: int
    engine: str
    inputs: list[dict[str, Any]]
    counts: dict[str, int]
    rejects: str
    seconds: float


@dataclass(frozen=True)
class Manifest:
    """The manifest of a prepared dataset.

    `days` is the traffic that was read: day since 1970, records, and sources (a source in two ingests of one day
    counts twice); `source_files` are the paths of tables of sources.
    """

    window: int
    min_records: int
    seed: int
    shards: int
    fields: list[str]
    annotations: list[str]
    files: list[ShardFile]
    ingests: list[Ingest]
    sensors: dict[str, str] = field(default_factory=dict)
    session_gap: float | None = None
    has_splits: bool = False
    days: list[list[int]] = field(default_factory=list)
    source_files: list[str] = field(default_factory=list)
    schema_version: int = SCHEMA_VERSION

    @property
    def settings(self) -> WindowSettings:
        return WindowSettings(self.window, self.min_records, self.session_gap, self.has_splits, self.seed)

    def files_of(self, split: str | None = None) -> list[ShardFile]:
        """The files of a split, or all files, by shard and then by ingest."""
        chosen = [file for file in self.files if split in (None, file.split)]
        return sorted(chosen, key=lambda file: (file.shard, file.generation, file.split))

    def split_counts(self) -> dict[str, dict[str, int]]:
        """Number of windows, records and files of each split."""
        counts: dict[str, dict[str, int]] = {}
        for file in self.files:
            split = counts.setdefault(file.split, {"windows": 0, "records": 0, "files": 0})
            split["windows"] += file.windows
            split["records"] += file.records
            split["files"] += 1
        return counts

    def counts(self) -> dict[str, int]:
        """Counts of records, summed over all ingests."""
        total: dict[str, int] = {}
        for ingest in self.ingests:
            for name, count in ingest.counts.items():
                total[name] = total.get(name, 0) + count
        return total

    def digests(self) -> dict[str, str]:
        """Digest of every input file, with its name."""
        return {entry["digest"]: entry["file"] for ingest in self.ingests for entry in ingest.inputs}


def read_manifest(directory: str | Path) -> Manifest:
    """Read the manifest of a prepared dataset.

    Raises:
        DatasetError: if there is no manifest, if it is damaged or of another schema version, or if a file that it
            names is missing.
    """
    directory = Path(directory)
    path = directory / MANIFEST
    if not path.is_file():
        raise DatasetError(f"{directory} is not a prepared dataset: it has no {MANIFEST}")
    try:
        content = read_json(path)
        version = content["schema_version"]
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{path} is damaged: {error}") from error
    if version != SCHEMA_VERSION:
        raise DatasetError(f"{path} has schema version {version}; this release reads version {SCHEMA_VERSION}")
    manifest = _from_json(path, content)
    named = [*(file.path for file in manifest.files), *manifest.source_files]
    missing = [path for path in named if not (directory / path).is_file()]
    if missing:
        raise DatasetError(f"{directory} is incomplete: {counted(len(missing), 'file')} missing, such as {missing[0]}")
    return manifest


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Write README.md, which tells `datasets.load_dataset` the splits, and then the manifest."""
    write_text(directory / README, _readme(manifest))
    content = asdict(manifest) | {"splits": manifest.split_counts(), "counts": manifest.counts()}
    write_text(directory / MANIFEST, json.dumps(content, indent=1) + "\n")


def _readme(manifest: Manifest) -> str:
    """Metadata as on the Hub. Without it, `datasets` finds only splits with the three usual names."""
    splits = [split for split in (*SPLITS, WHOLE) if manifest.files_of(split)]
    files = "".join(f"  - split: {split}\n    path: {split}/*.parquet\n" for split in splits)
    return (
        f"---\nconfigs:\n- config_name: default\n  data_files:\n{files}---\n\n"
        "# Windows of network-telescope traffic\n\n"
        "Written by `telescope prepare`. `datasets.load_dataset` of this folder gives all splits, and\n"
        "`telescope push FOLDER user/name --dataset` uploads it with a full card.\n"
    )


def _from_json(path: Path, content: Mapping[str, Any]) -> Manifest:
    known = {name: content[name] for name in Manifest.__dataclass_fields__ if name in content}
    try:
        check_shape(known, SHAPE)
        known["files"] = [ShardFile(**entry) for entry in content["files"]]
        known["ingests"] = [Ingest(**entry) for entry in content["ingests"]]
        return Manifest(**known)
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{path} is damaged: {error}") from error
