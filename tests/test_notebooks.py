"""The example notebooks run from top to bottom, and are stored with their outputs."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).resolve().parents[1] / "examples").glob("*.ipynb"))
# What each notebook must print.
PRINTED = {
    "analyze": ("cluster ", "report.html"),
    "embeddings": ("windows have a nearest window of the same actor", "none for dst_port: rename it"),
    "correlation-clustering": ("gap         0.00%", "agreement with the truth: 1.0"),
}


def printed(notebook: nbformat.NotebookNode) -> str:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "".join(output.text for output in outputs if "text" in output)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, tmp_path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        # A short adaptation suffices: tests do not measure its gain.
        cell.source = cell.source.replace("AnalysisSettings(", "AnalysisSettings(adapt_steps=10, ")
    NotebookClient(notebook, timeout=500, resources={"metadata": {"path": str(tmp_path)}}).execute()
    for text in PRINTED[path.stem]:
        assert text in printed(notebook)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_with_its_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    assert all(text in printed(notebook) for text in PRINTED[path.stem]), "run python examples/run.py"
    assert not any(
        output.get("output_type") == "error" for cell in notebook.cells for output in cell.get("outputs", [])
    )
