"""If every row is rejected, the output folder lists the rows and reasons."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from telescope_transformer.cli.options import keeping_rejects
from telescope_transformer.errors import InputError
from telescope_transformer.preparation import prepare
from telescope_transformer.records import scan_records


def test_rejects_are_written_if_nothing_was_kept(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("timestamp,src_ip,protocol,dst_port\nnoon,192.0.2.1,tcp,1\n")
    scan, output = scan_records(tmp_path / "a.csv"), tmp_path / "out"
    with (
        pytest.raises(InputError, match=r"1 rejected: timestamp, not a time \(first: .*a\.csv, row 1, value 'noon'\)"),
        keeping_rejects(scan, output),
    ):
        prepare(scan, output)
    assert pq.read_table(output / "rejects.parquet").column("value").to_pylist() == ["noon"]
    # The folder does not prevent the next attempt.
    (tmp_path / "a.csv").write_text("timestamp,src_ip,protocol,dst_port\n" + "1700000000,192.0.2.1,tcp,1\n" * 9)
    prepare(scan_records(tmp_path / "a.csv"), output)
    assert (output / "manifest.json").is_file()
