"""Keep whole organisations or /24s out of training: `python -m training.evaluation.hold_out INPUT... --output DIR`.

DIR/train.parquet is for `telescope prepare` and training, DIR/test.parquet for
`telescope evaluate DIR/train.parquet --test DIR/test.parquet`: how a model does on operators that it knows nothing of.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from telescope_transformer.errors import DatasetError, TelescopeError
from telescope_transformer.records import parse_mapping, read_records
from telescope_transformer.sequences import split_of_source
from training.evaluation.protocol import HOLD_OUTS, units_of


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


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    command = argparse.ArgumentParser(prog="training.evaluation.hold_out", description=__doc__.split("\n")[0])
    command.add_argument("inputs", nargs="+", help="flow-record files")
    command.add_argument("--output", type=Path, required=True, help="directory for train.parquet and test.parquet")
    command.add_argument("--columns", help="field=column pairs, comma-separated, for CSV and Parquet")
    command.add_argument("--by", choices=HOLD_OUTS, default="organisation", help="what is kept whole on one side")
    command.add_argument("--seed", type=int, default=0, help="of the hash that chooses")
    options = command.parse_args(argv)
    try:
        columns = parse_mapping(options.columns) if options.columns else None
        records = read_records(options.inputs, columns=columns).table
        test = held_out(records, options.by, options.seed)
        options.output.mkdir(parents=True, exist_ok=True)
        for name, rows in (("train", ~test), ("test", test)):
            pq.write_table(records.filter(pa.array(rows)), options.output / f"{name}.parquet")
    except TelescopeError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    sys.stdout.write(f"{int((~test).sum()):,} flow records to train on, {int(test.sum()):,} held out\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
