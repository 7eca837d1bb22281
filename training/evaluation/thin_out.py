"""Flow records as a thinner telescope has them: `python -m training.evaluation.thin_out INPUT... --output F`.

Of each record a coin says whether it is kept, as if the telescope had fewer addresses. F is for
`telescope evaluate INPUT --test F`: how a model that was trained on all records does where many are missed.
"""

import argparse
import sys
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from telescope_transformer.errors import InputError
from training.evaluation.selecting import run_selection, selection_parser


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


def write_thinned(records: pa.Table, options: argparse.Namespace) -> str:
    """Write the records that are kept; returns how many they are."""
    chosen = kept(records.num_rows, options.share, options.seed)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(records.filter(pa.array(chosen)), options.output)
    return f"{int(chosen.sum()):,} of {len(chosen):,} flow records kept"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    command = selection_parser(
        "training.evaluation.thin_out",
        __doc__.split("\n")[0],
        output="Parquet file to write",
        seed="of the coins",
    )
    command.add_argument("--share", type=float, default=0.4, help="of the records that is kept (default: 0.4)")
    return run_selection(command, argv, write_thinned)


if __name__ == "__main__":
    sys.exit(main())
