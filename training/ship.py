"""Train the shipped checkpoint: `python -m training.ship DATA --output telescope_transformer/checkpoint`.

DATA is a folder with `aws-honeypot-2013/marx.csv.gz`, `scanner-orgs-2024/flows.parquet` and
`honeypots-mhn/mhn_1718.parquet`. The model learns from their training sources. The calibration is fitted on the
validation sources of the first dataset, and its error is measured on sources that neither training nor calibration has
seen. The weights are stored in half precision, without any address. If they are worse than those in the output folder
(`training.gate`), nothing is overwritten.
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
from telescope_transformer.learning.training import TrainingPaths, fastest_precision, train
from telescope_transformer.model import FlowTokenizer, TelescopeForContrastiveLearning
from telescope_transformer.model_calibration import calibrate_dataset
from telescope_transformer.preparation import PreparationSettings, WindowSettings, prepare
from telescope_transformer.progress import say
from telescope_transformer.records import read_records, scan_records
from training.gate import refuse_worse

# The file of each dataset, and its column names if they are not the usual ones. The folder gives the dataset's name.
INPUTS: dict[str, dict[str, str] | None] = {
    "aws-honeypot-2013/marx.csv.gz": {
        "timestamp": "datetime",
        "src_ip": "src",
        "dst_ip": "host",
        "protocol": "proto",
        "src_port": "spt",
        "dst_port": "dpt",
    },
    "scanner-orgs-2024/flows.parquet": None,
    "honeypots-mhn/mhn_1718.parquet": {"dst_ip": "sensor"},
}
CALIBRATED_ON = "aws-honeypot-2013"


def make_datasets(data: Path, work: Path) -> list[Path]:
    """Prepare each input, without its duplicate records; returns the datasets' folders.

    Raises:
        TelescopeError: if a file cannot be read.
    """
    folders = []
    for name, columns in INPUTS.items():
        folder = work / Path(name).parent
        records = folder.with_suffix(".parquet")
        pq.write_table(distinct_records(read_records([data / name], columns=columns).table), records)
        settings = PreparationSettings(WindowSettings(splits=True))
        prepare(scan_records([records]), folder, settings, overwrite=True)
        folders.append(folder)
    return folders


def halve(model: Path, output: Path) -> None:
    """Copy a trained model with its weights in half precision; loading brings them back to single precision."""
    trained = TelescopeForContrastiveLearning.from_pretrained(str(model))
    halves: Mapping[str, torch.Tensor] = {name: value.half() for name, value in trained.state_dict().items()}
    trained.save_pretrained(output, state_dict=dict(halves))
    FlowTokenizer.from_pretrained(str(model)).save_pretrained(output)
    shutil.copy(model / "training.json", output)
    # The vocabulary is a third smaller without its indentation.
    vocabulary = output / "tokenizer.json"
    vocabulary.write_text(
        json.dumps(json.loads(vocabulary.read_text(encoding="utf-8")), separators=(",", ":")), encoding="utf-8"
    )


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser(prog="training.ship", description=__doc__)
    command.add_argument("data", type=Path, help="folder of the real data")
    command.add_argument("--output", type=Path, required=True, help="folder of the checkpoint")
    command.add_argument("--config", default="default", help="recipe, a YAML file or the name of a shipped one")
    command.add_argument("--steps", type=int, help="training steps; those of the recipe if not given")
    command.add_argument("--work", type=Path, help="folder of the datasets and the run; temporary if not given")
    return command


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    options = parser().parse_args(argv)
    work = options.work or Path(tempfile.mkdtemp(prefix="telescope-ship-"))
    given = {"cpu": True, "tracker": "none"} | ({} if options.steps is None else {"steps": options.steps})
    try:
        work.mkdir(parents=True, exist_ok=True)
        datasets = make_datasets(options.data, work)
        train(TrainingPaths(datasets, work / "run"), fastest_precision(arguments_of(options.config, given)))
        new = work / "checkpoint"
        halve(work / "run", new)
        calibrate_dataset(work / CALIBRATED_ON, new).save(new)
        if (options.output / "config.json").is_file():
            refuse_worse(options.output, new, options.data, INPUTS.keys(), work, say)
        shutil.copytree(new, options.output, dirs_exist_ok=True)
    except TelescopeError as error:
        # The work folder is kept, so that the training is not lost.
        sys.stderr.write(f"error: {error}; {options.output} is as it was, and the run is in {work}\n")
        return 1
    if options.work is None:
        shutil.rmtree(work, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
