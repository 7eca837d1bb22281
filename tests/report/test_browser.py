"""The page in a real browser: everything is drawn, in light and in dark."""

from pathlib import Path

import pytest
from devtools import BROWSER, Page
from made_telescope import HOSTILE

pytestmark = [pytest.mark.browser, pytest.mark.skipif(BROWSER is None, reason="no Chromium on the path")]


def test_everything_is_drawn(page: Page) -> None:
    page.value("document.querySelector('tr[data-cluster=\"1\"]').click()")
    detail = page.value("document.getElementById('detail').textContent")
    assert all(words in detail for words in ("Cluster 1", "udp/53 dns", "single destination", HOSTILE))
    assert page.value("document.querySelectorAll('#cluster-table tbody tr').length") == 3
    assert page.value("document.querySelectorAll('.spark').length") >= 3
    assert page.value("document.querySelectorAll('#evolution-body tbody tr').length") == 3
    assert page.value("document.getElementById('table-status').textContent").startswith("3 clusters of 3")
    assert page.value("document.scrollingElement.scrollWidth <= innerWidth")
    assert page.problems == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_has_a_picture(page: Page, scheme: str, tmp_path: Path) -> None:
    page.open(page.value("location.href"), height=2400, scheme=scheme)
    page.picture(tmp_path / "report.png")
    # An empty page of this size is far smaller.
    assert (tmp_path / "report.png").stat().st_size > 40_000
