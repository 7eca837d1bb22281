"""What the commands have in common that write some of the flow records of a telescope: `hold_out` and `thin_out`."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa

from telescope_transformer.errors import TelescopeError
from telescope_transformer.records import parse_mapping, read_records


def selection_parser(program: str, description: str, *, output: str, seed: str) -> argparse.ArgumentParser:
    """Inputs with their columns, an output and a seed; the last two with these words of help."""
    command = argparse.ArgumentParser(prog=program, description=description)
    command.add_argument("inputs", nargs="+", help="flow-record files")
    command.add_argument("--output", type=Path, required=True, help=output)
    command.add_argument("--columns", help="field=column pairs, comma-separated, for CSV and Parquet")
    command.add_argument("--seed", type=int, default=0, help=seed)
    return command


def run_selection(
    command: argparse.ArgumentParser,
    argv: Sequence[str] | None,
    write: Callable[[pa.Table, argparse.Namespace], str],
) -> int:
    """Read the flow records, let `write` select and write some, and print what it returns; returns the exit status."""
    options = command.parse_args(argv)
    try:
        columns = parse_mapping(options.columns) if options.columns else None
        told = write(read_records(options.inputs, columns=columns).table, options)
    except (TelescopeError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    sys.stdout.write(f"{told}\n")
    return 0
