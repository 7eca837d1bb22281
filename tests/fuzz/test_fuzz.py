"""Every reader on broken inputs, with a new seed each time, which pytest prints; `campaign.py` can repeat it."""

import os
import random
import time
from pathlib import Path

import pytest

from .examination import examine
from .mutation import mutated
from .seeds import seeds, text_seeds

WORKERS = 2
SECONDS = float(os.environ.get("TELESCOPE_FUZZ_SECONDS", "30"))
"""Processor seconds for each worker; continuous integration has two processors and a minute in all for this."""


@pytest.mark.parametrize("name", seeds())
def test_the_seeds_themselves_are_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / "input"
    path.write_bytes(seeds()[name])
    assert examine(path, seeds()[name]) is None


@pytest.mark.parametrize("worker", range(WORKERS))
def test_broken_inputs_lose_only_the_broken_part(tmp_path: Path, worker: int) -> None:
    seed = int(os.environ["TELESCOPE_FUZZ_SEED"]) + worker
    print(f"seed {seed}: python -m tests.fuzz.campaign --seed {seed} repeats it")
    files, text = seeds(), text_seeds()
    path, number, end = tmp_path / "input", 0, time.process_time() + SECONDS
    while time.process_time() < end:
        rng = random.Random(f"{seed}/{number}")
        name = rng.choice(sorted(files))
        content = mutated(rng, files[name], name in text)
        path.write_bytes(content)
        started = time.process_time()
        wrong = examine(path, content, per_packet=rng.random() < 0.5)
        assert wrong is None, f"seed {seed}, input {number} ({name}): {wrong}"
        assert time.process_time() - started < 10, f"seed {seed}, input {number} ({name}): more than 10 s"
        number += 1
    print(f"{number} inputs")
