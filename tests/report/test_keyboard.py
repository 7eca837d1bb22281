"""The report in a real browser, used without a mouse or colours, and with hostile names in it."""

import json

import pytest
from devtools import BROWSER, Page
from made_telescope import HOSTILE

pytestmark = [pytest.mark.browser, pytest.mark.skipif(BROWSER is None, reason="no Chromium on the path")]

# Where the focus is, and whether it is visible.
FOCUS = """(() => {
  const e = document.activeElement, s = getComputedStyle(e);
  return { id: e.id, tag: e.tagName, text: (e.textContent || "").trim(), cluster: e.dataset?.open ?? null,
    inside: e.closest("section, form, nav, header")?.id || e.closest("nav")?.ariaLabel || "",
    seen: s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2 };
})()"""
ROWS = "[...document.querySelectorAll('#cluster-table tr[data-cluster]')].map((row) => Number(row.dataset.cluster))"
MAP = "document.getElementById('map-canvas').toDataURL()"


def focus_on(page: Page, selector: str) -> None:
    page.value(f"document.querySelector({json.dumps(selector)}).focus()")


def tab_stops(page: Page) -> list[dict]:
    """All elements that get the focus, from the top of the page to its end."""
    stops: list[dict] = []
    while len(stops) < 150:
        page.press("Tab")
        here = page.value(FOCUS)
        if here["tag"] == "BODY":
            break
        stops.append(here)
    return stops


def test_tab_reaches_everything_in_reading_order_and_the_focus_is_seen(page: Page) -> None:
    stops = tab_stops(page)
    names = [stop["id"] or stop["cluster"] or stop["text"] for stop in stops]
    wanted = ["Skip to the table of clusters", "Today", "Input", "search", "filter-from"]
    wanted += ["Name", "Sources", "Label", "0", "colour-by", "zoom-in", "map-canvas"]
    places = [names.index(name) for name in wanted]
    assert places == sorted(places)
    assert [stop for stop in stops if not stop["seen"]] == []
    # One tab stop for all rows: the arrow keys move between them.
    assert sum(stop["cluster"] is not None for stop in stops) == 1


def test_headings_sort_by_enter_and_by_space_and_keep_the_focus(page: Page) -> None:
    focus_on(page, "#cluster-table th:nth-child(2) button")
    page.press("Enter")
    assert page.value("document.querySelector('#cluster-table th:nth-child(2)').ariaSort") == "ascending"
    focus_on(page, "#cluster-table th:nth-child(1) button")
    page.press("Enter")
    names = "[...document.querySelectorAll('button.name')].map((button) => button.textContent)"
    assert page.value(names) == sorted(page.value(names))
    page.press(" ")
    assert page.value("document.querySelector('#cluster-table th').ariaSort") == "descending"
    assert page.value(names) == sorted(page.value(names), reverse=True)
    assert page.value(FOCUS)["text"] == "Name"


def test_rows_are_walked_by_arrows_opened_by_enter_and_closed_by_escape(page: Page) -> None:
    focus_on(page, "#cluster-table button.name")
    first = page.value(FOCUS)["cluster"]
    page.press("ArrowDown")
    second = page.value(FOCUS)["cluster"]
    assert first != second
    page.press("End")
    page.press("ArrowUp")
    page.press("Enter")
    assert page.value(FOCUS)["id"] == "detail"
    assert page.value("document.querySelector('button[aria-expanded=true]').dataset.open") == second
    page.press("Escape")
    assert page.value(FOCUS)["cluster"] == second
    assert page.value("document.getElementById('detail')") is None


def test_the_map_is_moved_zoomed_and_read_by_keys(page: Page) -> None:
    # The map is drawn again when its size is first known.
    page.value("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    focus_on(page, "#map-canvas")
    for key in ("ArrowLeft", "ArrowDown", "+", "-", "+", "0"):
        before = page.value(MAP)
        page.press(key)
        assert page.value(MAP) != before, key
    page.press("n", 2)
    told = page.value("document.getElementById('map-status').textContent")
    assert "source " in told
    page.press("Enter")
    chosen = page.value("document.querySelector('#detail h3').textContent")
    assert f"{chosen}," in told


def test_the_number_of_results_of_a_search_is_announced(page: Page) -> None:
    focus_on(page, "#search")
    page.write("dns")
    assert page.value(ROWS) == [1]
    assert page.value("document.getElementById('table-status').textContent") == "1 of 3 clusters"
    assert page.value("document.getElementById('filter-status').textContent") == "10 sources, 1 cluster"
    page.press("Enter")
    assert page.value(ROWS) == [1]


def test_clusters_can_be_told_apart_without_colour(page: Page) -> None:
    pairs = page.value("Array.from({ length: 48 }, (_, rank) => Object.values(symbolOf(rank)).join())")
    assert len(set(pairs)) == 48
    assert page.value("new Set(SHAPES).size * COLOURS.length") == 48
    named = page.value("[...document.querySelectorAll('#legend li')].map((item) => item.textContent)")
    names = page.value("[...document.querySelectorAll('button.name')].map((button) => button.textContent)")
    assert named == names
    # Names are shown on the map itself, at the densest place of each cluster.
    placed = """loadReport().then((report) => {
      const map = new WindowMap(report, () => {});
      map.draw();
      return densestPlaces(map).map((place) => place.name);
    })"""
    assert len(page.value(placed)) == 3
    assert all(name[:10] in " ".join(names) for name in page.value(placed))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast(chromium: Page, page: Page, scheme: str) -> None:
    """Contrast of at least 4.5 to 1 (WCAG 2.1, 1.4.3) of ink, quiet text, links and marks on page and card."""
    chromium.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    ratios = page.value("""(() => {
      const style = getComputedStyle(document.documentElement);
      const light = (name) => {
        const hex = style.getPropertyValue(name).trim();
        const [r, g, b] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255)
          .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      const ratio = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
      const grounds = ["--paper", "--card"].map(light);
      const texts = ["--ink", "--quiet", "--accent", "--mark-text"].map(light);
      return texts.flatMap((text) => grounds.map((ground) => ratio(text, ground)));
    })()""")
    assert min(ratios) >= 4.5


def test_hostile_names_stay_text_wherever_they_are_shown(page: Page) -> None:
    page.value("document.getElementById('colour-by').value = 'label'")
    page.value("document.getElementById('colour-by').dispatchEvent(new Event('input'))")
    assert HOSTILE in page.value("document.getElementById('legend').textContent")
    page.value("document.querySelector('button[data-open=\"1\"]').click()")
    assert HOSTILE in page.value("document.getElementById('detail').textContent")
    focus_on(page, "#map-canvas")
    page.press("n")
    assert HOSTILE in page.value("document.getElementById('map-status').textContent")
    page.value("document.getElementById('map-canvas').scrollIntoView({ block: 'center', behavior: 'instant' })")
    place = page.value("document.getElementById('map-canvas').getBoundingClientRect().toJSON()")
    # The pointer's first move may arrive before the page has been drawn at its new position.
    for step in range(10):
        page.move_mouse(place["x"] + place["width"] / 2 + step % 2, place["y"] + place["height"] / 2)
        if page.value("document.getElementById('tip').textContent"):
            break
        page.value("new Promise((done) => setTimeout(done, 100))")
    assert HOSTILE in page.value("document.getElementById('tip').textContent")
    assert page.value("document.images.length") == 0
    assert page.value("document.title") == HOSTILE
    assert page.problems == []
