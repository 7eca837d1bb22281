"""Make the pictures of the report in this documentation, from a simulated telescope: `python docs/pictures.py`.

Needs Chromium. The addresses in the pictures are simulated.
"""

import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).resolve().parent / "pictures"
# Name of the picture, what the page's address says, height in pixels.
PICTURES = (("first-screen", "", 1100), ("search", "#?q=tcp/23", 700))
WIDTH = 1300
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")


def make_report(folder: Path) -> Path:
    """Simulate a telescope for twelve days and analyze it with the shipped model."""
    telescope = [sys.executable, "-m", "telescope_transformer.cli.main"]
    flows = folder / "flows.parquet"
    simulated = ["--sources", "600", "--records-per-source", "40", "--days", "12"]
    subprocess.run([*telescope, "simulate", "--output", str(flows), *simulated], check=True)
    out = folder / "out"
    subprocess.run([*telescope, "analyze", str(flows), "--time-limit", "5", "--output", str(out)], check=True)
    return out / "report.html"


def take_picture(browser: str, page: Path, name: str, address: str, height: int) -> None:
    """Write what a browser shows of the page as PNG."""
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
