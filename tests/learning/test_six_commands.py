"""The six commands of training/README.md, on a small capture and against a Hub on loopback."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dpkt
import numpy as np
import pytest
import torch

from telescope_transformer.model import FlowTokenizer, TelescopeConfig, TelescopeForContrastiveLearning

ROOT = Path(__file__).resolve().parents[2]
HUB_SERVER = ROOT / "tests" / "hub" / "hub_server.py"
# Options that keep the test small; the commands are otherwise those of the README.
SMALLER = {"accelerate": " --steps 4 --batch-pairs 8 --max-records 8 --save-every 4", "evaluate": " --no-plots"}


def write_capture(path: Path) -> None:
    """SYN packets of 120 sources to 198.18.0.0/16, each source with its own port and pace."""
    random = np.random.default_rng(0)
    packets = []
    for source in range(120):
        times = np.cumsum(random.exponential(10.0 ** (source % 4), 96))
        for time in times:
            segment = dpkt.tcp.TCP(sport=40_000, dport=1000 + source % 10, flags=dpkt.tcp.TH_SYN, seq=1)
            packet = dpkt.ip.IP(
                src=bytes([192, 0, 2, source]),
                dst=bytes([198, 18, 0, int(random.integers(256))]),
                p=dpkt.ip.IP_PROTO_TCP,
                ttl=64,
                data=segment,
            )
            packet.len = len(packet)
            packets.append((float(time), dpkt.ethernet.Ethernet(data=packet, type=dpkt.ethernet.ETH_TYPE_IP)))
    with path.open("wb") as file:
        writer = dpkt.pcap.Writer(file)
        for time, frame in sorted(packets, key=lambda entry: entry[0]):
            writer.writepkt(bytes(frame), ts=1_700_000_000 + time)


def commands() -> list[str]:
    text = (ROOT / "training" / "README.md").read_text()
    block = re.search(r"<!-- six commands -->\n```\n(.*?)```", text, re.DOTALL)
    assert block is not None
    return block.group(1).strip().splitlines()


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Environment of a user whose Hub is on loopback, for other processes."""
    with subprocess.Popen(
        [sys.executable, str(HUB_SERVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as served:
        assert served.stdout is not None
        hub = json.loads(served.stdout.readline())
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        yield os.environ | hub | {"HF_HOME": str(tmp_path / "home"), "PATH": path, "OMP_NUM_THREADS": "1"}
        served.terminate()


def run(command: str, folder: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(
        shlex.split(command), cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


def test_the_six_commands(tmp_path: Path, environment: dict[str, str]) -> None:
    folder = tmp_path / "work"
    (folder / "captures").mkdir(parents=True)
    (folder / "training").symlink_to(ROOT / "training")
    write_capture(folder / "captures" / "monday.pcap")
    torch.manual_seed(0)
    base = folder / "base"
    TelescopeForContrastiveLearning(TelescopeConfig(hidden_size=16, num_hidden_layers=1)).save_pretrained(base)
    FlowTokenizer().save_pretrained(base)
    run("telescope push base user/telescope-base", folder, environment)

    lines = commands()
    assert len(lines) == 6
    for line in lines:
        run(line + next((more for name, more in SMALLER.items() if name in line), ""), folder, environment)
    facts = json.loads((folder / "tuned" / "training.json").read_text())
    assert facts["start_from"] == "user/telescope-base"
    assert {path.name for path in (folder / "evaluation").iterdir()} >= {"metrics.json", "metrics.md"}
