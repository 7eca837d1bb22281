"""Run the notebooks from top to bottom and keep their outputs: `python examples/run.py [NOTEBOOK...]`."""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent
# Outputs that differ from run to run or from machine to machine say nothing.
VOLATILE = ("execution", "widgets")


def run(path: Path) -> None:
    """Execute a notebook in an empty folder and write it back with its outputs."""
    notebook = nbformat.read(path, as_version=4)
    with TemporaryDirectory() as folder:
        NotebookClient(notebook, timeout=600, resources={"metadata": {"path": folder}}).execute()
    for name in VOLATILE:
        notebook.metadata.pop(name, None)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            # Messages on stderr are progress, not results.
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    nbformat.write(notebook, path)


if __name__ == "__main__":
    for name in sys.argv[1:] or sorted(str(path) for path in HERE.glob("*.ipynb")):
        run(Path(name))
