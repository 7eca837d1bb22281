"""Optional dependencies: imported on use, with a message that says how to install them."""

from importlib import import_module
from types import ModuleType

from telescope_transformer.errors import MissingExtraError

# Optional packages and the extra that installs each.
EXTRAS = {
    "datasets": "hub",
    "evaluate": "hub",
    "fastavro": "flowtuple",
    "fsspec": "remote",
    "s3fs": "remote",
    "gensim": "baselines",
    "igraph": "baselines",
    "matplotlib": "train",
    "maxminddb": "mmdb",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "onnxscript": "onnx",
    "pandas": "hub",
    "pymisp": "export",
    "pyspark": "spark",
    "tensorboard": "train",
}


def missing_extra(error: ModuleNotFoundError) -> MissingExtraError | None:
    """An error that says which extra to install; None if the missing module is not an optional package."""
    package = (error.name or "").partition(".")[0]
    if package not in EXTRAS:
        return None
    return MissingExtraError(
        f"the package {package!r} is not installed: run pip install 'telescope-transformer[{EXTRAS[package]}]'"
    )


def require(module: str) -> ModuleType:
    """Import an optional module.

    Args:
        module: name such as "pymisp" or "fastavro.schema"; its package is a key of `EXTRAS`.

    Raises:
        MissingExtraError: if it is not installed; the message names the extra that installs it.

    Example:
        >>> fastavro = require("fastavro")
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        found = missing_extra(error)
        if found is None:
            raise
        raise found from None
