"""`python -m hub_cards.push FOLDER user/name`: upload a checkpoint, a prepared dataset or a metric, with its card."""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hub_cards.staging import STAGES, Options
from telescope_transformer import metrics as package_metrics
from telescope_transformer.errors import InputError, TelescopeError
from telescope_transformer.hub import push_folder

METRICS = Path(package_metrics.__path__[0])


def push(
    source: Path,
    name: str,
    *,
    what: str = "model",
    private: bool = False,
    revision: str | None = None,
    licence: str | None = None,
    metrics: Path | None = None,
) -> str:
    """Upload a folder with its card to the Hub, as one commit, with HF_TOKEN or the token that is stored.

    Args:
        source: a checkpoint, a prepared dataset, or a metric's folder or its name in `telescope_transformer.metrics`.
        name: repository, "user/name"; created where it does not exist.
        what: "model", "dataset" or "metric".
        revision: branch; None is main.
        licence: of what is pushed, as the Hub names licences; None is Apache-2.0 for a model, "other" for a dataset.
        metrics: of a model's evaluation; None is metrics.json beside the weights, where there is one.

    Returns:
        The URL of the commit.

    Raises:
        InputError, CheckpointError, DatasetError: where the folder is not what it should be.
        HubError: where the card is not valid, or the Hub refuses or cannot be reached.
    """
    if what == "metric" and not source.is_dir():
        source = METRICS / source
    if not source.is_dir():
        raise InputError(f"{source}: no such folder")
    if name.count("/") != 1 or not all(name.split("/")):
        raise InputError(f"{name!r} is not a repository: name it as user/name")
    with tempfile.TemporaryDirectory() as staging:
        staged = STAGES[what](source, name, Path(staging), Options(licence, metrics))
        kind, replaces = staged.kind, staged.replaces
        return push_folder(Path(staging), name, kind=kind, private=private, revision=revision, replaces=replaces)


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and push; prints the commit's URL, or one line of error."""
    parser = argparse.ArgumentParser(prog="telescope push", description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("name")
    parser.add_argument("--what", choices=sorted(STAGES), default="model")
    parser.add_argument("--private", action="store_true")
    parser.add_argument("--revision")
    parser.add_argument("--licence")
    parser.add_argument("--metrics", type=Path)
    try:
        url = push(**vars(parser.parse_args(arguments)))
    except TelescopeError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    sys.stdout.write(f"{url}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
