"""Train the shipped checkpoint: `python -m training.ship DATA --output telescope_transformer/checkpoint`.

DATA is the folder of the real data: `aws-honeypot-2013/marx.csv.gz` and `scanner-orgs-2024/flows.parquet`. The model
learns from all of their sources and from simulated ones, so it is never evaluated on them: its figures are those of
the same recipe, trained on the splits (training/RESULTS.md). The weights are stored in half precision, beside nothing
that was read from the data.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow.parquet as pq
import torch

from telescope_transformer.errors import TelescopeError
from telescope_transformer.evaluation.inputs import distinct_records
from telescope_transformer.learning.arguments import arguments_of
from telescope_transformer.learning.training import TrainingPaths, train
from telescope_transformer.model import FlowTokenizer, TelescopeForContrastiveLearning
from telescope_transformer.preparation import PreparationSettings, WindowSettings, prepare
from telescope_transformer.records import read_records, scan_records
from telescope_transformer.simulation import SimulationSettings, write_simulation

AWS_COLUMNS = {
    "timestamp": "datetime",
    "src_ip": "src",
    "dst_ip": "host",
    "protocol": "proto",
    "src_port": "spt",
    "dst_port": "dpt",
}
# How often each of the datasets comes, real ones first; more steps than for one dataset, as they share them.
MIX = [2.0, 2.0, 1.0]
STEPS = 3500
SIMULATED = SimulationSettings(sources=2000, seed=0, records_per_source=60.0, days=30.0)


def make_datasets(data: Path, work: Path) -> list[Path]:
    """Prepare the real and the simulated records; returns the datasets' folders.

    Raises:
        TelescopeError: where a file cannot be read.
    """
    packets = work / "packets.parquet"
    # The honeypots logged some packets twice.
    pq.write_table(
        distinct_records(read_records([data / "aws-honeypot-2013" / "marx.csv.gz"], columns=AWS_COLUMNS).table),
        packets,
    )
    simulated = work / "simulated.parquet"
    write_simulation(simulated, SIMULATED)
    inputs = {
        "honeypots": packets,
        "organisations": data / "scanner-orgs-2024" / "flows.parquet",
        "simulated": simulated,
    }
    for name, path in inputs.items():
        prepare(scan_records([path]), work / name, PreparationSettings(WindowSettings(splits=True)), overwrite=True)
    return [work / name for name in inputs]


def halve(model: Path, output: Path) -> None:
    """Copy a trained model with its weights in half precision; loading brings them back to single precision."""
    trained = TelescopeForContrastiveLearning.from_pretrained(str(model))
    halves: Mapping[str, torch.Tensor] = {name: value.half() for name, value in trained.state_dict().items()}
    trained.save_pretrained(output, state_dict=dict(halves))
    FlowTokenizer.from_pretrained(str(model)).save_pretrained(output)
    shutil.copy(model / "training.json", output)
    # The vocabulary is a third smaller without its indentation.
    vocabulary = output / "tokenizer.json"
    vocabulary.write_text(json.dumps(json.loads(vocabulary.read_text()), separators=(",", ":")))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser(prog="training.ship", description=__doc__)
    command.add_argument("data", type=Path, help="folder of the real data")
    command.add_argument("--output", type=Path, required=True, help="folder of the checkpoint")
    command.add_argument("--config", default="default", help="recipe, a YAML file or the name of a shipped one")
    command.add_argument("--work", type=Path, help="folder of the datasets and the run; temporary if not given")
    return command


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    options = parser().parse_args(argv)
    work = options.work or Path(tempfile.mkdtemp(prefix="telescope-ship-"))
    try:
        work.mkdir(parents=True, exist_ok=True)
        paths = TrainingPaths(make_datasets(options.data, work), work / "run", split="all")
        train(paths, arguments_of(options.config, {"steps": STEPS, "mix": MIX, "cpu": True, "tracker": "none"}))
        halve(work / "run", options.output)
    except TelescopeError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    finally:
        if options.work is None:
            shutil.rmtree(work, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
