"""The dataset that all tests of training share, and one thread so that they do not fight for the processors."""

from pathlib import Path

import pytest
import torch
from training_dataset import write_dataset


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("prepared") / "dataset")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)
