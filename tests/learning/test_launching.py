"""Accelerate: the shipped configurations, and a command that starts two processes."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from accelerate import DistributedType
from accelerate.commands.config.config_args import load_config_from_file

from telescope_transformer.errors import TrainingError
from telescope_transformer.files import data_folder
from telescope_transformer.learning.loop import check_shardable
from telescope_transformer.model import TelescopeConfig, TelescopeForContrastiveLearning

ROOT = Path(__file__).resolve().parents[2]
CONFIGURATIONS = sorted(data_folder("training/accelerate").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: path.stem)
def test_shipped_configurations_load(path: Path) -> None:
    config: Any = load_config_from_file(str(path))
    several = config.distributed_type in (DistributedType.MULTI_GPU, DistributedType.FSDP)
    assert several == (config.num_processes > 1)
    assert path.name in (ROOT / "training" / "README.md").read_text()
    if config.distributed_type == DistributedType.FSDP:
        names = {type(module).__name__ for module in TelescopeForContrastiveLearning(TelescopeConfig()).modules()}
        assert config.fsdp_config["fsdp_transformer_layer_cls_to_wrap"] in names


def test_a_model_that_fsdp_cannot_shard_is_refused() -> None:
    accelerator: Any = SimpleNamespace(distributed_type=DistributedType.FSDP)
    check_shardable(accelerator, TelescopeConfig())
    with pytest.raises(TrainingError, match="no encoder layers"):
        check_shardable(accelerator, TelescopeConfig(num_hidden_layers=0))


def test_the_command_for_two_processes_starts_two(dataset: Path, tmp_path: Path) -> None:
    readme = (ROOT / "training" / "README.md").read_text()
    found = re.search(r"^accelerate launch .*cpu_two_processes.yaml.*$", readme, re.MULTILINE)
    assert found is not None
    command = found.group().replace("--dataset dataset", f"--dataset {dataset}")
    command = command.replace("--output run", f"--output {tmp_path / 'run'}")
    done = subprocess.run(
        shlex.split(f"{command} --steps 2 --batch-pairs 8 --max-records 8 --save-every 2"),
        cwd=ROOT,
        env=os.environ
        | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    states = (tmp_path / "run" / "checkpoints" / "checkpoint-00000002").glob("random-*.safetensors")
    assert len(list(states)) == 2, "each process keeps its random numbers"
