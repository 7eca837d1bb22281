"""The folders follow the data flow: a module imports only from those before it."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "telescope_transformer"

ORDER = (
    "errors",
    "files",
    "arrays",
    "extras",
    "plugins",
    "memory",
    "progress",
    "words",
    "numba_cache",
    "metrics",
    "fields",
    "shapes",
    "records",
    "codes",
    "labels",
    "splits",
    "record_order",
    "windows",
    "simulation",
    "preparation",
    "sequences",
    "model",
    "hub",
    "model_files",
    "embedding",
    "embedding_files",
    "onnx_export",
    "correlation_clustering",
    "similarity",
    "threshold",
    "calibration",
    "placement",
    "model_calibration",
    "learning",
    "embedder",
    "report",
    "analysis",
    "update",
    "export",
    "serve",
    "evaluation",
    "cli",
)
MODEL_MAY_IMPORT = {"torch", "transformers", "tokenizers", "numpy", "pyarrow", "huggingface_hub", "safetensors"}
CLUSTERING_MAY_NOT_IMPORT = {"torch", "transformers", "datasets", "accelerate", "pyarrow"}


def modules(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def imported_modules(path: Path) -> set[str]:
    """Absolute names of all modules that the file imports anywhere; relative ones begin with a dot."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add("." * node.level + (node.module or ""))
    return names


def stage(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def own_stages(names: set[str]) -> set[str]:
    return {name.split(".")[1] for name in names if name.startswith("telescope_transformer.")}


def test_every_module_has_a_place_in_the_order() -> None:
    known = {*ORDER, "__init__", "__main__"}
    assert {stage(path) for path in modules(PACKAGE)} <= known


@pytest.mark.parametrize("path", modules(PACKAGE), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_from_those_before_it(path: Path) -> None:
    names = imported_modules(path)
    assert not {name.split(".")[0] for name in names} & {"training", "hub_cards", "tests"}
    # `python -m` of a stage starts its command.
    if stage(path) == "__init__" or path.name == "__main__.py":
        return
    place = ORDER.index(stage(path))
    late = {name for name in own_stages(names) if name in ORDER and ORDER.index(name) > place}
    assert not late, f"{path.name} of stage {stage(path)} imports later stages {sorted(late)}"


def test_every_progress_bar_obeys_quiet_and_needs_a_terminal() -> None:
    users = {path.name for path in modules(PACKAGE) if "tqdm" in {n.split(".")[0] for n in imported_modules(path)}}
    assert users == {"progress.py"}


@pytest.mark.parametrize("path", modules(PACKAGE / "model"), ids=lambda path: path.name)
def test_the_hub_folder_is_flat_and_imports_only_siblings(path: Path) -> None:
    assert path.parent == PACKAGE / "model", "the Hub copies a flat folder"
    names = imported_modules(path)
    relative = {name for name in names if name.startswith(".")}
    assert all(name.count(".") == 1 and len(name) > 1 for name in relative), relative
    assert not own_stages(names)
    tops = {name.split(".")[0] for name in names - relative}
    allowed = MODEL_MAY_IMPORT | set(__import__("sys").stdlib_module_names)
    assert tops <= allowed, tops - allowed


@pytest.mark.parametrize("path", modules(PACKAGE / "correlation_clustering"), ids=lambda path: path.name)
def test_correlation_clustering_knows_nothing_of_torch_or_networks(path: Path) -> None:
    names = imported_modules(path)
    assert not {name.split(".")[0] for name in names} & CLUSTERING_MAY_NOT_IMPORT
    assert own_stages(names) <= {"arrays", "errors", "correlation_clustering"}


@pytest.mark.parametrize("path", [*modules(PACKAGE), *modules(ROOT / "training")], ids=lambda path: path.name)
def test_text_is_read_and_written_with_an_encoding(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            given = {keyword.arg for keyword in node.keywords}
            # `files.write_text(path, text)` has more arguments, and sets the encoding itself.
            text = (node.func.attr, len(node.args)) in {("read_text", 0), ("write_text", 1)}
            assert not text or "encoding" in given, f"line {node.lineno}: {ast.unparse(node)}"
