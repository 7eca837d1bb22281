"""Keep whole organisations or /24s out of training: `python -m training.evaluation.hold_out INPUT... --output DIR`.

DIR/train.parquet is for `telescope prepare` and training, DIR/test.parquet for
`telescope evaluate DIR/train.parquet --test DIR/test.parquet`: how a model does on operators that it knows nothing of.
"""

import argparse
import sys
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from telescope_transformer.errors import DatasetError
from telescope_transformer.windows import split_of_source
from training.evaluation.protocol import HOLD_OUTS, units_of
from training.evaluation.selecting import run_selection, selection_parser


def held_out(records: pa.Table, by: str, seed: int) -> NDArray[np.bool_]:
    """Which flow records are of units whose hash makes them test units, (records,).

    Raises:
        DatasetError: where `by` is no unit, or no record is left on one of the sides.
    """
    encoded = records["src_ip"].combine_chunks().dictionary_encode()
    sources = encoded.dictionary.to_pylist()
    labels = records["label"].to_pylist() if "label" in records.column_names else [None] * records.num_rows
    codes = encoded.indices.to_numpy()
    # A source's label is that of its last labelled record; a source has one operator.
    label_of = {sources[code]: label for code, label in zip(codes, labels, strict=True) if label}
    units = units_of(sources, label_of, by)
    test = np.array([split_of_source(units[source], seed) == "test" for source in sources])[codes]
    if test.all() or not test.any():
        raise DatasetError(f"holding out by {by} leaves one side empty: {len(set(units.values()))} units")
    return test


def write_sides(records: pa.Table, options: argparse.Namespace) -> str:
    """Write both sides; returns how many records they have."""
    test = held_out(records, options.by, options.seed)
    options.output.mkdir(parents=True, exist_ok=True)
    for name, rows in (("train", ~test), ("test", test)):
        pq.write_table(records.filter(pa.array(rows)), options.output / f"{name}.parquet")
    return f"{int((~test).sum()):,} flow records to train on, {int(test.sum()):,} held out"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    command = selection_parser(
        "training.evaluation.hold_out",
        __doc__.split("\n")[0],
        output="directory for train.parquet and test.parquet",
        seed="of the hash that chooses",
    )
    command.add_argument("--by", choices=HOLD_OUTS, default="organisation", help="what is kept whole on one side")
    return run_selection(command, argv, write_sides)


if __name__ == "__main__":
    sys.exit(main())
