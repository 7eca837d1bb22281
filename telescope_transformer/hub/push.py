"""Uploads a checkpoint, a prepared dataset or a metric, with a card generated from recorded facts."""

import re
import tempfile
from pathlib import Path

from telescope_transformer.errors import InputError
from telescope_transformer.hub.staging import STAGES, CardOptions
from telescope_transformer.hub.transfers import push_folder
from telescope_transformer.preparation.manifest import MANIFEST

# What the name of a branch must not be or have (git help check-ref-format).
_NO_BRANCH = re.compile(r"^$|^[/-]|[/.]$|//|\.\.|@\{|(^|/)\.|\.lock(/|$)|[\x00-\x20\x7f~^:?*\[\\]")


def push(
    source: str | Path,
    name: str,
    *,
    what: str = "model",
    private: bool = False,
    revision: str | None = None,
    licence: str | None = None,
    metrics: Path | None = None,
) -> str:
    """Upload a folder with its card to the Hub as one commit, with HF_TOKEN or the stored token.

    Args:
        source: a checkpoint, a prepared dataset, or the name of a metric in `telescope_transformer.metrics`.
        name: repository, "user/name"; created if it does not exist.
        what: "model", "dataset" or "metric".
        private: whether a new repository is private.
        revision: branch; None means main.
        licence: licence of the upload as the Hub spells it; None means apache-2.0 for a model, "other" for a dataset.
        metrics: metrics.json of an evaluation, for a model's card; None takes the file beside the weights, if any.

    Returns:
        The URL of the commit.

    Raises:
        InputError, CheckpointError, DatasetError: if `source` is not a valid checkpoint, dataset or metric, or a name
            is not one that the Hub takes.
        HubError: if the card is not valid, or the Hub refuses or cannot be reached.
    """
    source = Path(source)
    if what != "metric" and not source.is_dir():
        raise InputError(f"{source}: no such folder")
    if what == "model" and (source / MANIFEST).is_file():
        raise InputError(f"{source} is a prepared dataset, not a checkpoint: push it with --dataset")
    if revision is not None and _NO_BRANCH.search(revision):
        raise InputError(f"{revision!r} is not a name that git allows for a branch")
    if name.count("/") != 1 or not all(name.split("/")):
        raise InputError(f"{name!r} is not a repository: name it as user/name")
    with tempfile.TemporaryDirectory() as staging:
        staged = STAGES[what](source, name, Path(staging), CardOptions(licence, metrics))
        kind, replaces = staged.kind, staged.replaces
        return push_folder(Path(staging), name, kind=kind, private=private, revision=revision, replaces=replaces)
