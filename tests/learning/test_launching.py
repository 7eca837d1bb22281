"""Accelerate: the shipped configurations, and a command that starts two processes."""

import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from accelerate import DistributedType
from accelerate.commands.config.config_args import load_config_from_file

from telescope_transformer.errors import TrainingError
from telescope_transformer.files import data_folder
from telescope_transformer.learning.arguments import read_recipe
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
        check=False,
    )
    assert done.returncode == 0, done.stderr
    states = (tmp_path / "run" / "checkpoints" / "checkpoint-00000002").glob("random-*.safetensors")
    assert len(list(states)) == 2, "each process keeps its random numbers"


_LAUNCHER = """
import subprocess, sys
worker = "import time; from telescope_transformer.cli import train; train.end_with_launcher(); print(1, flush=True)"
worker += "; time.sleep(60)"
print(subprocess.Popen([sys.executable, "-c", worker], start_new_session=True).pid, flush=True)
sys.stdin.read()
"""


def test_workers_end_with_a_launcher_that_is_killed() -> None:
    launcher = subprocess.Popen(
        [sys.executable, "-c", _LAUNCHER],
        cwd=ROOT,
        env=os.environ | {"LOCAL_RANK": "0"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert launcher.stdout is not None
    worker = int(launcher.stdout.readline())
    assert launcher.stdout.readline() == "1\n", "the worker is ready"
    launcher.kill()
    launcher.wait()
    state = Path(f"/proc/{worker}/stat")
    end = time.monotonic() + 10
    while state.exists() and state.read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z":
        assert time.monotonic() < end, "the worker goes on"
        time.sleep(0.05)


def test_an_unknown_recipe_is_refused_with_the_shipped_ones() -> None:
    with pytest.raises(TrainingError, match=r"tiny: no such recipe: .* one of adapt, default, fine-tune, paper"):
        read_recipe("tiny")
    assert read_recipe("default")
