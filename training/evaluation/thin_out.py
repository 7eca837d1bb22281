"""Flow records as a thinner telescope has them: `python -m training.evaluation.thin_out INPUT... --output F`.

Of each record a coin says whether it is kept, as if the telescope had fewer addresses. F is for
`telescope evaluate INPUT --test F`: how a model that was trained on all records does where many are missed.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from telescope_transformer.errors import InputError, TelescopeError
from telescope_transformer.records import parse_mapping, read_records


def kept(records: int, share: float, seed: int) -> np.ndarray:
    """Which of so many records are kept, (records,) bool.

    Raises:
        InputError: where the share is not between 0 and 1, or no record is left.
    """
    if not 0 < share < 1:
        raise InputError(f"the share of the records to keep must be between 0 and 1, not {share}")
    chosen = np.random.default_rng(seed).random(records) < share
    if not chosen.any():
        raise InputError(f"a share of {share} leaves none of {records} flow records")
    return chosen


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    command = argparse.ArgumentParser(prog="training.evaluation.thin_out", description=__doc__.split("\n")[0])
    command.add_argument("inputs", nargs="+", help="flow-record files")
    command.add_argument("--output", type=Path, required=True, help="Parquet file to write")
    command.add_argument("--columns", help="field=column pairs, comma-separated, for CSV and Parquet")
    command.add_argument("--share", type=float, default=0.4, help="of the records that is kept (default: 0.4)")
    command.add_argument("--seed", type=int, default=0, help="of the coins")
    options = command.parse_args(argv)
    try:
        columns = parse_mapping(options.columns) if options.columns else None
        records = read_records(options.inputs, columns=columns).table
        chosen = kept(records.num_rows, options.share, options.seed)
        options.output.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(records.filter(pa.array(chosen)), options.output)
    except (TelescopeError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    sys.stdout.write(f"{int(chosen.sum()):,} of {len(chosen):,} flow records kept\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
