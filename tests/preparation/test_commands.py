"""`telescope simulate` and `telescope prepare` as a user calls them."""

import pytest
from typer.testing import CliRunner

from telescope_transformer.cli.main import app
from telescope_transformer.errors import DatasetError
from telescope_transformer.preparation import load_split, read_manifest


def invoke(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=True)


def test_simulated_records_are_prepared_and_appended(tmp_path):
    flows, day, output = tmp_path / "flows.parquet", tmp_path / "day.parquet", tmp_path / "dataset"
    for path, seed in ((flows, 0), (day, 1)):
        simulated = invoke("simulate", "--output", path, "--sources", 40, "--seed", seed, "--days", 2)
        assert simulated.exit_code == 0, simulated.output
        assert "40 sources" in simulated.output
    options = ("--telescope", "198.18.0.0/16", "--window", 16, "--seed", 2, "--splits")
    prepared = invoke("prepare", flows, "--output", output, *options)
    assert prepared.exit_code == 0, prepared.output
    assert read_manifest(output).settings.window == 16
    # An append uses the window and the seed of the dataset.
    appended = invoke("prepare", day, "--output", output, "--append")
    assert appended.exit_code == 0, appended.output
    assert [ingest.inputs[0]["file"] for ingest in read_manifest(output).ingests] == ["flows.parquet", "day.parquet"]
    assert load_split(output, "train").num_rows > 0


def test_columns_and_telescope_reach_the_readers(tmp_path):
    rows = ["when,who,whom,what,dst_port,src_port"]
    rows += [
        f"{1_700_000_000 + i},192.0.2.1,{'198.51.100.7' if i % 2 else '203.0.113.9'},tcp,23,1024" for i in range(40)
    ]
    (tmp_path / "flows.csv").write_text("\n".join(rows) + "\n")
    columns = "timestamp=when,src_ip=who,dst_ip=whom,protocol=what"
    options = ("--columns", columns, "--format", "csv", "--telescope", "198.51.100.0/24")
    result = invoke("prepare", tmp_path / "flows.csv", "--output", tmp_path / "dataset", *options)
    assert result.exit_code == 0, result.output
    counts = read_manifest(tmp_path / "dataset").counts()
    assert (counts["kept"], counts["skipped"]) == (20, 20)


def test_an_unknown_engine_is_refused(tmp_path):
    (tmp_path / "flows.csv").write_text("timestamp,src_ip\n")
    result = invoke("prepare", tmp_path / "flows.csv", "--output", tmp_path / "dataset", "--engine", "abacus")
    assert isinstance(result.exception, DatasetError)
    with pytest.raises(DatasetError):
        read_manifest(tmp_path / "dataset")
