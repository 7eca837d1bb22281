"""Fixtures for all tests: the folder of shared data, and seeds."""

import os
import random

# Tests run in several processes, so each uses one thread. Libraries read these variables when they are imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# The processes inherit the seed of the fuzz test from the one that prints it.
os.environ.setdefault("TELESCOPE_FUZZ_SEED", str(random.SystemRandom().randrange(1 << 32)))

from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from telescope_transformer.learning import arguments

# An example may take long when other programs use the processor.
settings.register_profile("telescope", deadline=None)
settings.load_profile("telescope")

SHARED = Path(os.environ.get("TELESCOPE_SHARED", Path(__file__).resolve().parents[2] / "shared"))


def pytest_report_header() -> str:
    """The seed of the fuzz test, at the beginning of every run."""
    return f"fuzz: TELESCOPE_FUZZ_SEED={os.environ['TELESCOPE_FUZZ_SEED']}"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared real data beside the checkout; skips the test if it is absent."""
    if not SHARED.is_dir():
        pytest.skip(f"no shared data at {SHARED}; set TELESCOPE_SHARED to its folder")
    return SHARED


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(autouse=True)
def short_adaptations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let whole analyses adapt for only a few steps: tests do not measure the gain of adaptation."""
    read = arguments.read_recipe

    def shortened(recipe: str | Path) -> dict[str, object]:
        return read(recipe) | ({"steps": 10, "warmup_steps": 2} if recipe == "adapt" else {})

    monkeypatch.setattr(arguments, "read_recipe", shortened)
