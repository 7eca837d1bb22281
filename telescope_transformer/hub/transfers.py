"""Uploads folders to the Hub, and downloads them."""

from pathlib import Path

from huggingface_hub import HfApi

from telescope_transformer.errors import HubError
from telescope_transformer.hub.retries import with_retries


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
    needed: str | None = None,
    token: str | None = None,
) -> Path:
    """Return a local copy of a repository; an existing directory is returned unchanged.

    An interrupted download continues within a file, and complete files are not downloaded again.

    Args:
        name: directory, or repository "user/name".
        kind: "model", "dataset" or "space".
        revision: branch, tag or commit; None means main.
        patterns: patterns of the files to download, such as `["*.json"]`; None downloads all files.
        needed: a file without which nothing is downloaded.
        token: None takes HF_TOKEN or the stored token.

    Raises:
        HubError: if the repository, the revision or the Hub cannot be reached, or access is refused; its cause is a
            RemoteEntryNotFoundError if the repository does not have the needed file.
    """
    if Path(name).is_dir():
        return Path(name)
    api = HfApi(token=token, library_name="telescope-transformer")

    def fetch() -> Path:
        if needed is not None:
            # Otherwise the client prints a message and bars of its own about a download of nothing.
            api.hf_hub_download(name, needed, repo_type=kind, revision=revision, dry_run=True)
        return Path(api.snapshot_download(name, repo_type=kind, revision=revision, allow_patterns=patterns))

    return with_retries(f"download {name}", fetch, token=token)
