"""The command line for a user: help with an example, errors with a message and an exit status."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from telescope_transformer.calibration import Calibration
from telescope_transformer.cli import main
from telescope_transformer.cli.main import COMMANDS, app
from telescope_transformer.cli.update import _is_state
from telescope_transformer.embedding import embedding_column
from telescope_transformer.errors import InputError
from telescope_transformer.hub import checkpoints
from telescope_transformer.progress import error_line
from telescope_transformer.records import scan_records
from telescope_transformer.simulation import simulate

HONEYPOT_COLUMNS = "timestamp=datetime,src_ip=src,dst_ip=host,protocol=proto,src_port=spt,dst_port=dpt"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "60"})
    assert result.exit_code == 0
    lines = [line.strip() for line in (main.RUN[command].__doc__ or "").splitlines()]
    examples = [line for line in lines if line.startswith("Example: ")]
    assert examples
    assert all(example.startswith(f"Example: telescope {command}") for example in examples)
    # Each example is on a separate line, however narrow the terminal is, so that it can be copied.
    assert set(examples) <= {line.strip() for line in result.output.splitlines()}


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "empty"), (gzip.compress(b"a,b\n1,2\n")[:-4], "flows"), (b"\x00\x01\x02 no flow records", "flows")],
    ids=["empty", "truncated", "not what it claims"],
)
def test_a_bad_file_is_named_and_gives_a_failure_status(
    content: bytes, message: str, tmp_path, monkeypatch, capsys
) -> None:
    file = tmp_path / "flows.csv.gz"
    file.write_bytes(content)
    monkeypatch.setattr("sys.argv", ["telescope", "analyze", str(file), "--output", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as stop:
        main.main()
    assert stop.value.code == 1
    errors = capsys.readouterr().err
    assert "error: " in errors
    assert str(file) in errors
    assert message in errors
    assert not (tmp_path / "out").exists()


def ended(monkeypatch, capsys, *arguments: str) -> str:
    """The stderr of a command that exits with status 1."""
    monkeypatch.setattr("sys.argv", ["telescope", *arguments])
    with pytest.raises(SystemExit) as stop:
        main.main()
    assert stop.value.code == 1
    return capsys.readouterr().err


def test_simulated_records_can_be_written_to_standard_output(tmp_path) -> None:
    arguments = [
        "simulate",
        "--sources",
        "5",
        "--records-per-source",
        "4",
        "--output",
        str(tmp_path / "flows.parquet"),
    ]
    done = CliRunner().invoke(app, arguments)
    assert done.stdout == ""
    assert "of 5 sources in" in done.stderr


def test_a_lack_of_memory_is_one_line(monkeypatch, capsys) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(main, "app", fail)
    assert ended(monkeypatch, capsys, "analyze", "x") == "error: there is not enough memory\n"


def test_a_name_with_a_line_end_cannot_forge_a_message(monkeypatch, capsys) -> None:
    message = ended(monkeypatch, capsys, "compare", "missing\nopen out/report.html\r\x1b[2J", "out")
    assert message.startswith("error: missing; open out/report.html; \\x1b[2J")
    assert message.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (FileNotFoundError(2, "No such file or directory", "/proc/x"), "/proc/x: No such file or directory"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (InputError("no flow record was kept\nread 1 flow record"), "no flow record was kept; read 1 flow record"),
        (InputError("two reasons:\nthis.\n that"), "two reasons: this. that"),
    ],
)
def test_an_error_is_one_line_without_its_number(error: Exception, told: str) -> None:
    assert error_line(error) == f"error: {told}\n"


def test_file_system_errors_name_the_path(tmp_path, monkeypatch, capsys) -> None:
    (tmp_path / "file").touch()
    message = ended(monkeypatch, capsys, "simulate", "--sources", "5", "--output", str(tmp_path / "file" / "flows"))
    assert message.startswith("error: ")
    assert str(tmp_path / "file") in message


@pytest.mark.parametrize(
    ("first", "is_state"),
    [
        ("new.duckdb", True),
        ("misspelt-folder", False),
        ("-", False),
        ("old-state", True),
        ("new.csv", False),
        ("there.csv", False),
        ("*", False),
        (".", False),
    ],
)
def test_a_first_argument_of_update_may_be_the_state(tmp_path: Path, first: str, is_state: bool) -> None:
    duckdb.connect(tmp_path / "old-state").close()
    (tmp_path / "there.csv").write_text("timestamp,src_ip\n")
    assert _is_state(tmp_path / first) == is_state


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["update", "--state", "STATE"], "give files to add"),
        (["update", "STATE"], "give files to add"),
        (["analyze", "flows.csv", "--output", "FILE"], "is a file"),
        (["embed", "dataset", "--device", "cpu"], "--split, --device and --bf16 need --output"),
        (["cluster", ".", "--method", "lp"], "--output and --method are for a file"),
    ],
    ids=[
        "nothing to do",
        "nothing to do, as 0.1.0 spelt it",
        "a file where the folder should be",
        "a device without effect",
        "a method without effect",
    ],
)
def test_impossible_requests_fail_at_once(arguments: list[str], message: str, tmp_path) -> None:
    places = {"STATE": tmp_path / "state.duckdb", "FILE": tmp_path / "file"}
    places["FILE"].touch()
    result = CliRunner().invoke(app, [str(places.get(word, word)) for word in arguments], env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert message in result.output
    assert not places["STATE"].exists()


def test_one_misspelt_input_of_update_is_no_state(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["update", str(tmp_path / "captures")])
    assert result.exit_code == 1
    assert "captures: no such file" in str(result.exception)


def test_the_shipped_calibration_is_not_overwritten_unasked(tmp_path, monkeypatch) -> None:
    """If the command began, it would fail with another error, because the dataset does not exist."""
    monkeypatch.setattr(checkpoints, "SHIPPED_CHECKPOINT", tmp_path)
    result = CliRunner().invoke(app, ["calibrate", str(tmp_path / "dataset")], env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert "--output" in result.output
    assert "--model" in result.output
    assert not list(tmp_path.iterdir())


def test_a_calibration_gets_the_folder_that_is_asked_for(tmp_path, monkeypatch) -> None:
    found = Calibration([(0.0, 0.1), (1.0, 0.9)], 5.0, expected_calibration_error=0.1)
    monkeypatch.setattr("telescope_transformer.model_calibration.calibrate_dataset", lambda *_, **__: found)
    result = CliRunner().invoke(app, ["calibrate", "dataset", "--output", str(tmp_path / "new" / "folder")])
    assert result.exit_code == 0
    assert (tmp_path / "new" / "folder" / "calibration.json").is_file()


@pytest.mark.parametrize("command", ["analyze", "update", "watch"])
def test_a_threshold_that_is_no_cosine_is_refused_before_reading(command: str, tmp_path, monkeypatch, capsys) -> None:
    (tmp_path / "flows.csv").write_text("timestamp,src_ip,dst_ip,dst_port,protocol\nwrong,,,,\n")
    state = tmp_path / "state.duckdb"
    arguments = {
        "analyze": [str(tmp_path / "flows.csv")],
        "update": [str(tmp_path / "flows.csv"), "--state", str(state)],
        "watch": [str(tmp_path), "--state", str(state), "--once", "--interval", "0"],
    }
    message = ended(monkeypatch, capsys, command, *arguments[command], "--threshold", "50")
    assert message == "error: the threshold is a cosine and must be from -1 to 1, not 50.0\n"
    assert not state.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems only have names in Unicode")
def test_a_name_that_is_not_utf8_is_read_and_refused_for_results(tmp_path: Path) -> None:
    flows = tmp_path / os.fsdecode(b"flows-\xff.parquet")
    pq.write_table(simulate(5, seed=1, records_per_source=9.0), tmp_path / "flows.parquet")
    os.rename(tmp_path / "flows.parquet", flows)
    assert len(scan_records([flows]).paths) == 1
    assert sum(batch.num_rows for batch in scan_records([flows])) > 9
    wrong = str(tmp_path / os.fsdecode(b"\xff"))
    for arguments in (
        ["analyze", str(flows), "--output", wrong],
        ["update", str(flows), "--state", wrong + ".duckdb"],
    ):
        error = CliRunner().invoke(app, arguments).exception
        assert isinstance(error, InputError)
        assert "the name is not UTF-8" in str(error)


def test_a_report_does_not_create_a_missing_state(tmp_path, monkeypatch, capsys) -> None:
    state = tmp_path / "state.duckdb"
    assert "no such state" in ended(
        monkeypatch, capsys, "update", "--state", str(state), "--output", str(tmp_path / "out")
    )
    assert not state.exists()


def test_a_count_of_one_is_singular(tmp_path) -> None:
    vectors = np.array([[1.0, 0.0], [0.8, 0.6]], dtype=np.float32)
    file = tmp_path / "embeddings.parquet"
    pq.write_table(pa.table({"embedding": embedding_column(vectors)}), file)
    for threshold, said in (("0.5", "2 embeddings in 1 cluster,"), ("0.9", "2 embeddings in 2 clusters,")):
        arguments = ["cluster", str(file), "--output", str(tmp_path / "out"), "--threshold", threshold]
        assert said in CliRunner().invoke(app, arguments).output


def test_clusters_of_a_file_do_not_replace_those_of_an_analysis(tmp_path, monkeypatch, capsys) -> None:
    (tmp_path / "sources.parquet").touch()
    message = ended(monkeypatch, capsys, "cluster", str(tmp_path / "embeddings.parquet"), "--output", str(tmp_path))
    assert "holds an analysis, whose clusters.json would be replaced" in message


def head(path: Path, rows: int, target: Path) -> None:
    with gzip.open(path, "rt") as lines:
        target.write_text("".join(islice(lines, rows + 1)), encoding="utf-8")


@pytest.mark.shared
def test_the_main_job_on_real_records(shared: Path, tmp_path: Path) -> None:
    flows, out = tmp_path / "flows.csv", tmp_path / "out"
    head(shared / "data" / "aws-honeypot-2013" / "marx.csv.gz", 2_000, flows)
    with flows.open("a") as lines:
        lines.write("yesterday,groucho-oregon,1032051418,TCP,,6000,1433\n")
        lines.write("2013-03-03 21:53:59,groucho-oregon,,TCP,,6000,1433\n")
        lines.write("2013-03-03 21:53:59,groucho-oregon,1032051418,TCP,,6000,143300\n")
    result = CliRunner().invoke(app, ["analyze", str(flows), "--columns", HONEYPOT_COLUMNS, "--output", str(out)])
    assert result.exit_code == 0, result.output
    assert "read 2,003 flow records = kept 2,000 + rejected 3" in result.output
    rejects = pq.read_table(out / "rejects.parquet").to_pylist()
    assert [(row["row"], row["field"]) for row in rejects] == [
        (2001, "timestamp"),
        (2002, "src_ip"),
        (2003, "dst_port"),
    ]
    summary = json.loads((out / "clusters.json").read_text())
    assert summary["counts"]["kept"] == 2_000
    assert {"cost", "lower_bound", "gap"} <= summary["solution"].keys()
    windows, sources = pq.read_table(out / "windows.parquet"), pq.read_table(out / "sources.parquet")
    assert windows.num_rows == summary["counts"]["windows"] > 0
    sizes = np.bincount(windows["cluster"].to_numpy())
    assert len(sizes) == summary["solution"]["n_clusters"]
    assert [profile["cluster"] for profile in summary["clusters"]] == np.flatnonzero(sizes > 1).tolist()
    assert set(sources["source"].to_pylist()) == set(windows["source"].to_pylist())
    assert "groucho-oregon" in json.loads((out / "sensors.json").read_text())
    assert (out / "report.html").read_text().startswith("<!doctype html>")


@pytest.mark.parametrize("command", ["analyze", "update", "watch", "adapt"])
def test_a_folder_that_cannot_be_written_is_found_before_the_work(command: str, tmp_path, monkeypatch, capsys) -> None:
    flows = tmp_path / "flows.csv"
    flows.write_text("time,src,dst,proto,sport,dport\n2026-01-01,192.0.2.1,198.51.100.1,tcp,1,2\n")
    (tmp_path / "out").symlink_to("nowhere/at/all")
    state = tmp_path / "state.duckdb"
    inputs = {"update": [str(state), str(flows)], "watch": [str(tmp_path), "--state", str(state), "--once"]}
    arguments = [*inputs.get(command, [str(flows)]), "--output", str(tmp_path / "out")]
    message = ended(monkeypatch, capsys, command, *arguments)
    assert (
        message.endswith("out: cannot write to this folder: No such file or directory\n") or "File exists" in message
    )
    assert "reading flow records" not in message
    assert not state.exists()


def test_a_table_of_networks_that_cannot_be_read_is_found_before_the_work(tmp_path, monkeypatch, capsys) -> None:
    flows, networks = tmp_path / "flows.csv", tmp_path / "asn.csv"
    flows.write_text("time,src,dst,proto,sport,dport\n2026-01-01,192.0.2.1,198.51.100.1,tcp,1,2\n")
    networks.write_text("prefix,name\nbad,Example\n")
    out = str(tmp_path / "out")
    message = ended(monkeypatch, capsys, "analyze", str(flows), "--networks", str(networks), "--output", out)
    assert message == f"error: {networks}, row 2: 'bad' is not a prefix\n"


def test_options_that_a_finished_analysis_cannot_follow_are_refused(tmp_path) -> None:
    for name in ("clusters.json", "windows.parquet", "asn.csv"):
        (tmp_path / name).touch()
    arguments = ["report", str(tmp_path), "--networks", str(tmp_path / "asn.csv")]
    told = CliRunner().invoke(app, arguments)
    assert told.exit_code == 2
    assert "are for a work folder" in " ".join(told.output.split())


@pytest.mark.parametrize(("name", "status"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_signal_removes_temporary_files(tmp_path: Path, name: str, status: int) -> None:
    """A container's first process does not end at all without a handler; others would leave gigabytes behind.

    The library that is interrupted raises an error of its own, as DuckDB does during a query.
    """
    program = (
        "import os, signal, sys, tempfile, time\n"
        "from telescope_transformer.cli.main import ending_in_order\n"
        "number = getattr(signal, sys.argv[1])\n"
        # A test run in the background, or by nohup, ignores some signals, and so would this process.
        "signal.signal(number, signal.SIG_DFL)\n"
        "with ending_in_order(), tempfile.TemporaryDirectory():\n"
        "    try:\n"
        "        os.kill(os.getpid(), number)\n"
        "        time.sleep(10)\n"
        "    except BaseException:\n"
        "        raise RuntimeError('Query interrupted') from None\n"
    )
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    given = [sys.executable, "-c", program, name]
    ended = subprocess.run(given, env=environment, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (status, "")
    assert not list(tmp_path.iterdir())


def test_a_signal_within_a_callback_that_cannot_raise_is_not_lost(capsys) -> None:
    class Signalling:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGTERM)

    def work() -> None:
        with main.ending_in_order():
            Signalling()
            time.sleep(5)

    former = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with pytest.raises(SystemExit) as stop:
            work()
    finally:
        signal.signal(signal.SIGTERM, former)
    assert stop.value.code == 143
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("closed", [True, False])
def test_closed_standard_streams_and_an_old_terminal_are_no_fault(tmp_path: Path, closed: bool) -> None:
    """As with `2>&-` in a cron job, and names that the terminal's alphabet lacks."""
    closing = "os.close(2)\nsys.stdin = sys.stderr = None\n"
    program = (
        f"import os, sys\n{closing if closed else ''}"
        "from telescope_transformer.cli.main import main\n"
        "main(['simulate', '--sources', '5', '--output', sys.argv[1]])\n"
    )
    output = tmp_path / "\N{GREEK SMALL LETTER OMEGA}.parquet"
    given = [sys.executable, "-c", program, str(output)]
    environment = os.environ | {"PYTHONIOENCODING": "latin-1"}
    ended = subprocess.run(given, env=environment, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (0, "")
    assert ("\\u03c9.parquet" in ended.stderr) is not closed
    assert output.exists()


def test_a_deleted_working_folder_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def gone() -> str:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(os, "getcwd", gone)
    with pytest.raises(SystemExit) as ended:
        main.main(["export", "out"])
    monkeypatch.undo()
    assert ended.value.code == 1
    assert "the current folder was deleted" in capsys.readouterr().err
