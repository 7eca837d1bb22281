"""Small CSV content that the tests of the readers share."""

from pathlib import Path

import pytest

CSV_HEADER = "timestamp,src_ip,dst_ip,protocol,src_port,dst_port\n"


@pytest.fixture
def csv_text() -> str:
    """300 valid flow records as CSV, one per second."""
    rows = (f"{1_700_000_000 + i},192.0.2.{i % 256},198.51.100.{i % 7},tcp,{40_000 + i},{i}\n" for i in range(300))
    return CSV_HEADER + "".join(rows)


@pytest.fixture
def csv_file(tmp_path: Path, csv_text: str) -> Path:
    path = tmp_path / "flows.csv"
    path.write_text(csv_text)
    return path
