"""Finds the folder of a checkpoint, and loads what is in it.

Finding it imports neither torch nor transformers, so a command can refuse a wrong checkpoint at once.
"""

from pathlib import Path
from typing import Any, TypeVar

from huggingface_hub.errors import RemoteEntryNotFoundError
from safetensors import SafetensorError, safe_open

from telescope_transformer.errors import CheckpointError, HubError, reason
from telescope_transformer.files import read_json
from telescope_transformer.hub.transfers import download

SHIPPED = "shipped"
SHIPPED_CHECKPOINT = Path(__file__).parents[1] / "checkpoint"
# The files of a checkpoint; a repository may also hold other formats and training states.
CHECKPOINT_PATTERNS = ["*.json", "*.safetensors", "*.py"]
# The `model_type` of `model.TelescopeConfig`, which takes seconds to import.
MODEL_TYPE = "telescope"
# The tokenizer as `save_pretrained` writes it, and the weights: one file, or shards and an index that names them.
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")
WEIGHTS, WEIGHTS_INDEX = "model.safetensors", "model.safetensors.index.json"

Model = TypeVar("Model")


def checkpoint_folder(
    name: str | Path | None = None, *, revision: str | None = None, token: str | None = None
) -> Path:
    """Return the local folder of a checkpoint, downloaded if `name` is a Hub id.

    Args:
        name: directory, or Hub id "user/name"; None or "shipped" is the checkpoint in this package.
        revision: branch, tag or commit of a Hub id.
        token: None takes HF_TOKEN or the stored token.

    Raises:
        CheckpointError: if there is no such directory, or it has no configuration of a telescope model.
        HubError: if the repository cannot be downloaded.
    """
    if name is None or name == SHIPPED:
        if revision is not None:
            raise CheckpointError(f"the shipped checkpoint has no revision {revision!r}: give a Hub id as the model")
        folder = SHIPPED_CHECKPOINT
    else:
        folder = _local_folder(str(name), revision, token)
    read_configuration(folder, None if name is None else _named(name, revision))
    return folder


def check_checkpoint(name: str | Path | None = None, *, revision: str | None = None) -> None:
    """Find faults of a checkpoint before records are read, and without importing torch, which takes seconds.

    Args:
        name: as for `checkpoint_folder`.
        revision: as for `checkpoint_folder`.

    Raises:
        CheckpointError: as for `checkpoint_folder`, or if the weights are missing or damaged.
        HubError: if the repository cannot be downloaded.
    """
    for path in weight_files(checkpoint_folder(name, revision=revision), name):
        weight_shapes(path)


def weight_files(folder: Path, name: str | Path | None = None) -> list[Path]:
    """The files of a checkpoint's weights: one, or the shards that its index names.

    Args:
        folder: the local folder.
        name: the checkpoint as the user knows it, for the message; None is the folder.

    Raises:
        CheckpointError: if there are no weights, or the index or one of its shards is missing or damaged.
    """
    name = folder if name is None else name
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    index = folder / WEIGHTS_INDEX
    if not index.is_file():
        raise CheckpointError(f"{name} is not a checkpoint: it has no weights ({WEIGHTS})")
    try:
        shards = sorted(set(read_json(index)["weight_map"].values()))
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{index} is damaged: it does not say in which file each weight is") from error
    for shard in shards:
        # The index is untrusted: it must not name a file outside of the folder.
        if not isinstance(shard, str) or Path(shard).name != shard or not (folder / shard).is_file():
            raise CheckpointError(f"{index} names {shard!r}, which is not a file of {name}")
    return [folder / shard for shard in shards]


def weight_shapes(path: Path) -> dict[str, list[int]]:
    """Shapes of the tensors of a safetensors file by their names, from its header.

    Raises:
        CheckpointError: if the file is damaged or shorter than its header says.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118  # no dictionary
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is damaged: {reason(error)}") from error


def read_configuration(folder: Path, name: str | Path | None = None) -> dict[str, Any]:
    """The configuration of a checkpoint.

    Args:
        folder: the local folder.
        name: the checkpoint as the user knows it, for the message; None is the folder.

    Raises:
        CheckpointError: if there is no configuration, or it belongs to another kind of model.
    """
    name = folder if name is None else name
    try:
        config = read_json(folder / "config.json")
    except FileNotFoundError as error:
        raise CheckpointError(f"{name} is not a checkpoint: it has no config.json") from error
    except ValueError as error:
        raise CheckpointError(f"{name} is not a checkpoint: config.json is not a valid JSON file: {error}") from error
    except OSError as error:
        raise CheckpointError(f"{name}: cannot read config.json: {error.strerror or error}") from error
    kind = config.get("model_type") if isinstance(config, dict) else None
    if kind != MODEL_TYPE:
        raise CheckpointError(
            f"{name} is not a checkpoint: config.json is of a model of type {kind!r}, not {MODEL_TYPE!r}"
        )
    return dict(config)


def _named(name: str | Path, revision: str | None) -> str:
    return str(name) if revision is None else f"{name}@{revision}"


def _local_folder(name: str, revision: str | None, token: str | None) -> Path:
    """The folder of this name, or a copy of the Hub's repository."""
    # An empty name would mean the current folder. It usually comes from a shell variable that is not set.
    if not name.strip():
        raise CheckpointError("the name of the checkpoint is empty")
    if Path(name).is_dir():
        return Path(name)
    if Path(name).exists():
        raise CheckpointError(f"{name} is a file: give the folder of a checkpoint, or a Hub id such as user/name")
    if not _is_hub_id(name):
        raise CheckpointError(
            f"{name}: no such folder; give the folder of a checkpoint, or a Hub id such as user/name"
        )
    try:
        return download(name, revision=revision, patterns=CHECKPOINT_PATTERNS, needed="config.json", token=token)
    except HubError as error:
        if isinstance(error.__cause__, RemoteEntryNotFoundError):
            raise CheckpointError(f"{_named(name, revision)} is not a checkpoint: it has no config.json") from error
        raise HubError(f"{name} is not a folder here, and as a Hub id: {error}") from error


def _is_hub_id(text: str) -> bool:
    """Whether a name has the form user/name, and does not look like a path."""
    owner, slash, name = text.partition("/")
    plain = all(part and part[0] not in ".~" and "\\" not in part and ":" not in part for part in (owner, name))
    return bool(slash) and plain and "/" not in name


def load_pretrained(
    model_class: type[Model],
    name: str | Path,
    *,
    revision: str | None = None,
    token: str | None = None,
    **options: Any,
) -> Model:
    """Call `model_class.from_pretrained` on a directory or a Hub repository, with a clear error for every fault.

    Args:
        model_class: a model, configuration or tokenizer class of `telescope_transformer`, or an Auto class.
        name: directory, or Hub id "user/name".
        revision: branch, tag or commit.
        token: None takes HF_TOKEN or the stored token.
        options: passed on to `from_pretrained`.

    Raises:
        HubError: if the repository cannot be downloaded.
        CheckpointError: if a file is missing or damaged, or belongs to another architecture or a newer version.
    """
    folder = checkpoint_folder(name, revision=revision, token=token)
    try:
        loaded: Model = model_class.from_pretrained(folder, **options)  # type: ignore[attr-defined]
        return loaded
    # The libraries' errors for damaged files have no common base class.
    except Exception as error:
        reason = " ".join(str(error).replace(f"{folder}: ", "").split()) or type(error).__name__
        raise CheckpointError(f"cannot load {_named(name, revision)}: {reason}") from error
