"""Make the pictures of the report in this documentation: `python docs/pictures.py`.

They show a simulated telescope of twelve days, in which more actors appear on the last two. Needs Chromium.
"""

import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

HERE = Path(__file__).resolve().parent / "images"
# Name of the picture, the fragment of the page's address, height in pixels.
PICTURES = (("report", "", 1500), ("search", "#?q=tcp/23", 700))
WIDTH = 1280
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
TELESCOPE = [sys.executable, "-m", "telescope_transformer.cli.main"]
# Microseconds.
DAY = 86_400_000_000


def simulate(path: Path, seed: int, sources: int, days: int, *, later: int = 0) -> None:
    """Write simulated records without labels that begin some days later than simulations usually do."""
    options = ["--seed", str(seed), "--sources", str(sources), "--days", str(days), "--records-per-source", "40"]
    subprocess.run([*TELESCOPE, "simulate", "--output", str(path), *options], check=True)
    records = pq.read_table(path)
    times = pc.add(records["timestamp"], pa.scalar(later * DAY, pa.int64()))
    records = records.set_column(records.column_names.index("timestamp"), "timestamp", times)
    pq.write_table(records.drop_columns(["label"]), path)


def make_report(folder: Path) -> Path:
    """Analyze the simulated telescope with the shipped model."""
    simulate(folder / "flows.parquet", 0, 600, 12)
    simulate(folder / "more.parquet", 7, 60, 2, later=10)
    inputs = [str(folder / name) for name in ("flows.parquet", "more.parquet")]
    out = folder / "telescope"
    # Without training, so that the pictures take a minute.
    options = ["--no-adapt", "--time-limit", "5", "--output", str(out)]
    subprocess.run([*TELESCOPE, "analyze", *inputs, *options], check=True)
    return out / "report.html"


def take_picture(browser: str, page: Path, name: str, address: str, height: int) -> None:
    """Write a screenshot of the page as PNG."""
    with TemporaryDirectory() as profile:
        command = [browser, *FLAGS, "--hide-scrollbars", "--virtual-time-budget=8000", f"--user-data-dir={profile}"]
        command += [f"--window-size={WIDTH},{height}", f"--screenshot={HERE / name}.png", page.as_uri() + address]
        subprocess.run(command, check=True, timeout=120, stderr=subprocess.DEVNULL)


def main() -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        raise SystemExit("no Chromium on the path")
    HERE.mkdir(exist_ok=True)
    with TemporaryDirectory() as folder:
        page = make_report(Path(folder))
        for name, address, height in PICTURES:
            take_picture(browser, page, name, address, height)


if __name__ == "__main__":
    main()
