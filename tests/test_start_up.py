"""Imports are lazy: a command must not wait for libraries that it does not use."""

import json
import subprocess
import sys

import pytest

# Libraries that take at least a tenth of a second or tens of megabytes to import.
HEAVY = ("torch", "transformers", "datasets", "pyspark", "sklearn", "scipy", "numba", "pandas", "duckdb", "faiss")


def loaded_by(statement: str) -> set[str]:
    program = f"import sys, json\n{statement}\nprint(json.dumps(sorted(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    return set(json.loads(answer.stdout.splitlines()[-1]))


def test_the_commands_are_listed_without_a_heavy_library() -> None:
    found = loaded_by("import telescope_transformer.cli.main")
    assert [name for name in HEAVY if name in found] == []


@pytest.mark.parametrize("module", ["telescope_transformer.analysis", "telescope_transformer.update.summary"])
def test_an_analysis_imports_what_it_uses(module: str) -> None:
    """Training, Spark, the nearest-neighbour index and `datasets` are imported only where they are needed."""
    found = loaded_by(f"import {module}")
    unused = (
        "datasets",
        "pyspark",
        "faiss",
        "igraph",
        "evaluate",
        "matplotlib",
        "sklearn.manifold",
        "telescope_transformer.learning.adapt",
    )
    assert [name for name in unused if name in found] == []
