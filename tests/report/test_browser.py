"""The page in a real browser: everything is drawn, and hostile strings stay text."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from made_telescope import HOSTILE

from telescope_transformer.report import ReportData, write_report

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--virtual-time-budget=10000",
    "--window-size=1400,2400",
)

pytestmark = [pytest.mark.browser, pytest.mark.skipif(BROWSER is None, reason="no Chromium on the path")]


def browse(page: str, folder: Path, *arguments: str) -> str:
    """What the browser prints for a page, with a profile of its own."""
    command = [BROWSER, *FLAGS, f"--user-data-dir={folder / 'profile'}", *arguments, page]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


@pytest.fixture
def page(report_data: ReportData, tmp_path: Path) -> str:
    write_report(tmp_path / "report.html", report_data)
    return (tmp_path / "report.html").as_uri()


def test_everything_is_drawn_and_hostile_strings_stay_text(page: str, tmp_path: Path) -> None:
    document = browse(f"{page}#cluster-1", tmp_path, "--dump-dom")
    assert 'data-ready="yes"' in document
    escaped = HOSTILE.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert f"<title>{escaped}</title>" in document
    assert not re.search(r"<img|onerror=alert\(1\)>(?!&|<)", document.replace(escaped, ""))
    detail = document.split('id="detail"')[1].split("</aside>")[0]
    assert "Cluster 1" in detail
    assert escaped in detail
    assert "udp/53 dns" in detail
    assert document.count("data-cluster=") == 3
    assert len(re.findall(r'class="spark"', document)) >= 3
    assert "3 clusters of 3" in document


def test_the_page_has_a_picture(page: str, tmp_path: Path) -> None:
    target = tmp_path / "report.png"
    browse(page, tmp_path, f"--screenshot={target}")
    # An empty page of this size is far smaller.
    assert target.stat().st_size > 40_000
