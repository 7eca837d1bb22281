"""Uploads folders to the Hub, and downloads them."""

from pathlib import Path
from typing import Any, TypeVar

from huggingface_hub import HfApi

from telescope_transformer.errors import CheckpointError, HubError
from telescope_transformer.hub.retries import with_retries

# The files of a checkpoint; a repository may also hold other formats and training states.
CHECKPOINT_PATTERNS = ["*.json", "*.safetensors", "*.py"]

Model = TypeVar("Model")


def push_folder(
    folder: Path,
    name: str,
    *,
    kind: str = "model",
    private: bool = False,
    revision: str | None = None,
    replaces: list[str] | None = None,
    token: str | None = None,
) -> str:
    """Upload a folder as one commit. Files that an interrupted upload has already sent are not sent again.

    Args:
        folder: folder to upload; paths in the repository are relative to it.
        name: repository, "user/name"; created if it does not exist.
        kind: "model", "dataset" or "space".
        private: whether a new repository is private.
        revision: branch, created from main if it does not exist; None means main.
        replaces: patterns of files in the repository that are deleted unless the folder has them.
        token: None takes HF_TOKEN or the stored token.

    Returns:
        The URL of the commit.

    Raises:
        HubError: if the Hub refuses or cannot be reached, or the repository is public and `private` was asked for.
    """
    api = HfApi(token=token, library_name="telescope-transformer")
    what = f"push to {name}"
    with_retries(what, lambda: _create(api, name, kind, private, revision), token=token)

    def upload() -> str:
        commit = api.upload_folder(
            repo_id=name,
            repo_type=kind,
            folder_path=folder,
            revision=revision,
            delete_patterns=replaces,
            commit_message=f"Upload {kind} with telescope-transformer",
        )
        return str(commit.commit_url)

    return with_retries(what, upload, token=token)


def _create(api: HfApi, name: str, kind: str, private: bool, revision: str | None) -> None:
    """Create the repository and the branch if they do not exist."""
    sdk = "gradio" if kind == "space" else None
    # `private=None` leaves the visibility of a new repository to the owner's default setting.
    api.create_repo(name, repo_type=kind, private=private or None, exist_ok=True, space_sdk=sdk)
    if private and not api.repo_info(name, repo_type=kind).private:
        raise HubError(f"cannot push to {name}: the repository is public, and --private was asked for")
    if revision is not None:
        api.create_branch(name, repo_type=kind, branch=revision, exist_ok=True)


def download(
    name: str,
    *,
    kind: str = "model",
    revision: str | None = None,
    patterns: list[str] | None = None,
    token: str | None = None,
) -> Path:
    """Return a local copy of a repository; an existing directory is returned unchanged.

    An interrupted download continues within a file, and complete files are not downloaded again.

    Args:
        name: directory, or repository "user/name".
        kind: "model", "dataset" or "space".
        revision: branch, tag or commit; None means main.
        patterns: patterns of the files to download, such as `["*.json"]`; None downloads all files.
        token: None takes HF_TOKEN or the stored token.

    Raises:
        HubError: if the repository, the revision or the Hub cannot be reached, or access is refused.
    """
    if Path(name).is_dir():
        return Path(name)
    api = HfApi(token=token, library_name="telescope-transformer")

    def fetch() -> Path:
        return Path(api.snapshot_download(name, repo_type=kind, revision=revision, allow_patterns=patterns))

    return with_retries(f"download {name}", fetch, token=token)


def checkpoint_folder(name: str | Path, *, revision: str | None = None, token: str | None = None) -> Path:
    """Return the local folder of a checkpoint, downloaded if `name` is a Hub id.

    Args:
        name: directory, or Hub id "user/name".
        revision: branch, tag or commit of a Hub id.
        token: None takes HF_TOKEN or the stored token.

    Raises:
        CheckpointError: if the name is not a Hub id, and there is no such directory.
        HubError: if the repository cannot be downloaded.
    """
    text = str(name)
    # An empty name would mean the current folder. It usually comes from a shell variable that is not set.
    if not text.strip():
        raise CheckpointError("the name of the checkpoint is empty")
    if Path(text).is_dir():
        return Path(text)
    if Path(text).exists():
        raise CheckpointError(f"{text} is a file: give the folder of a checkpoint, or a Hub id such as user/name")
    if not _is_hub_id(text):
        raise CheckpointError(
            f"{text}: no such folder; give the folder of a checkpoint, or a Hub id such as user/name"
        )
    try:
        return download(text, revision=revision, patterns=CHECKPOINT_PATTERNS, token=token)
    except HubError as error:
        raise HubError(f"{text} is not a folder here, and as a Hub id: {error}") from error


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
        return model_class.from_pretrained(folder, **options)  # type: ignore[attr-defined]
    # The libraries' errors for damaged files have no common base class.
    except Exception as error:
        where = str(name) if revision is None else f"{name}@{revision}"
        if not (folder / "config.json").is_file():
            raise CheckpointError(f"{where} is not a checkpoint: it has no config.json") from error
        reason = " ".join(str(error).replace(f"{folder}: ", "").split()) or type(error).__name__
        raise CheckpointError(f"cannot load {where}: {reason}") from error
