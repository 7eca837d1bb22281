"""Formats that other packages register."""

from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from telescope_transformer import export, plugins
from telescope_transformer.errors import ExportError


def write(members: Any, options: export.ExportOptions, path: Path) -> None:
    path.write_text(f"{members.sources.num_rows} sources, {options.tlp}", encoding="utf-8")


@pytest.fixture
def points(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[EntryPoint]]:
    found: list[EntryPoint] = []
    monkeypatch.setattr(plugins, "entry_points", lambda group: found if group == export.ENTRY_POINTS else [])
    export.formats.cache_clear()
    yield found
    export.formats.cache_clear()


def test_a_registered_format_is_written(
    points: list[EntryPoint], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    points += [EntryPoint(name, f"{__name__}:write", export.ENTRY_POINTS) for name in ("mine", "csv")]
    members = SimpleNamespace(sources=SimpleNamespace(num_rows=7), gone={})
    monkeypatch.setattr(export, "load_members", lambda *_: members)
    assert export.export_clusters(tmp_path, "mine", tmp_path / "out", options=export.ExportOptions(tlp="green")) == 7
    assert (tmp_path / "out").read_text(encoding="utf-8") == "7 sources, green"
    assert export.formats()["csv"] is export.FORMATS["csv"], "built-in formats stay"


def test_a_format_that_cannot_be_loaded_is_named(points: list[EntryPoint], tmp_path: Path) -> None:
    points.append(EntryPoint("broken", "no_such_module:write", export.ENTRY_POINTS))
    with pytest.raises(ExportError, match="the exporter broken"):
        export.export_clusters(tmp_path, "csv", tmp_path / "out")
    points[0] = EntryPoint("text", f"{__name__}:__doc__", export.ENTRY_POINTS)
    with pytest.raises(ExportError, match=r"the exporter text \(.*\) cannot be used: it is of type str"):
        export.export_clusters(tmp_path, "csv", tmp_path / "out")
