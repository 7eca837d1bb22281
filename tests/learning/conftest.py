"""The dataset that all training tests share; each test uses one thread."""

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
