"""A disk that is full in the middle of an update: a clear error, and a state that is whole."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from made_days import day_records, run, write_days

from telescope_transformer.update import State

HERE = Path(__file__).parent
# A limit on the size of files stands for the full disk: it needs no rights. The error is that of the operating system.
PROGRAM = """
import resource, sys
from pathlib import Path
import made_days
from telescope_transformer.errors import StateError
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
try:
    made_days.run(Path(sys.argv[2]), [Path(sys.argv[3])])
except StateError as error:
    sys.exit(f"error: {error}")
"""


@pytest.fixture(scope="module")
def large_day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("large") / "large.parquet"
    pq.write_table(day_records(3, np.random.default_rng(3), n_sources=250), path)
    return path


@pytest.mark.parametrize("room", [0, 60_000])
def test_a_full_disk_is_told_and_the_same_command_goes_on_later(room: int, large_day: Path, tmp_path: Path) -> None:
    state = tmp_path / "state.duckdb"
    run(state, write_days(tmp_path, 2))
    before = inputs(state)
    limit = room if room else state.stat().st_size
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(limit), str(state), str(large_day)],
        capture_output=True,
        text=True,
        check=False,
        cwd=HERE,
    )
    assert found.returncode == 1, found.stderr
    assert "the state was left as it was" in found.stderr
    assert "Traceback" not in found.stderr
    assert inputs(state) == before
    run(state, [large_day])
    assert len(inputs(state)) == 3


def inputs(path: Path) -> list[dict]:
    with State(path) as state:
        return state.query("SELECT path, kept, windows FROM inputs ORDER BY path").to_pylist()
