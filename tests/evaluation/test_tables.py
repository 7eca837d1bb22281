"""Write recorded figures into documents."""

import json
from pathlib import Path

import pytest

from training.tables import main


def metrics(methods: dict[str, tuple[str, float]], **data: object) -> dict:
    """A metrics file with one figure for each method, given by kind and value."""

    def parts(value: float) -> dict:
        figure = {"mean": value, "low": value - 0.01, "high": value + 0.01, "splits": {"0": value}}
        return {"unseen_sources": {"same_source": {"auroc": figure}, "curious": {"auroc": figure}}}

    found = {name: {"title": name, "kind": kind, "parts": parts(value)} for name, (kind, value) in methods.items()}
    about = {"name": "simulated", "window": 8, "splits": [0]} | data
    row = {"dataset": "simulated", "split": "unseen_sources", "metric": "auroc", "value": 0.9}
    return {"schema": "telescope-evaluation/1", "data": about, "counts": {}, "methods": found} | {
        "differences": {},
        "results": [row],
    }


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    contents = {
        "model": metrics({"ours": ("model", 0.9123)}),
        "baselines": metrics({"control": ("control", 0.5), "peer": ("baseline", 0.8)}),
        "long": metrics({"ours": ("model", 0.95)}, window=32),
    }
    for name, content in contents.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    return [str(tmp_path / f"{name}.json") for name in contents]


def test_sections_get_their_tables_and_the_rest_stays(tmp_path: Path, files: list[str]) -> None:
    document = tmp_path / "README.md"
    section = "<!-- table:simulated sources{} -->\nold\n<!-- end -->"
    document.write_text(f"# Before\n{section.format('')}\nbetween\n{section.format(' 32')}\nafter\n")
    assert main([*files, "--into", str(document)]) == 0
    first = document.read_text()
    lines = first.splitlines()
    assert lines[0] == "# Before"
    assert lines[1:8] == [
        "<!-- table:simulated sources -->",
        "| method | AUROC |",
        "| --- | --- |",
        "| control | .500 [.490, .510] |",
        "| peer | .800 [.790, .810] |",
        "| ours | .912 [.902, .922] |",
        "<!-- end -->",
    ]
    assert "| ours | .950 [.940, .960] |" in lines
    assert lines[-1] == "after"
    assert main([*files, "--into", str(document)]) == 0
    assert document.read_text() == first


def test_condensed_files_give_the_same_tables(tmp_path: Path, files: list[str]) -> None:
    assert main([*files, "--condense"]) == 0
    assert not any("curious" in Path(file).read_text(encoding="utf-8") for file in files)
    document = tmp_path / "README.md"
    document.write_text("<!-- table:simulated sources -->\n<!-- end -->\n")
    assert main([*files, "--into", str(document)]) == 0
    assert "| ours | .912" in document.read_text()


def test_a_card_gets_the_rows_of_all_files(tmp_path: Path, files: list[str]) -> None:
    assert main([*files, "--card", str(tmp_path / "metrics.json"), "--measured-on", "models of splits"]) == 0
    card = json.loads((tmp_path / "metrics.json").read_text())
    assert len(card["results"]) == 3
    assert card["measured_on"] == "models of splits"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("nothing", "no section is marked"),
        ("<!-- table:other sources -->\n<!-- end -->", "no figures for <!-- table:other sources -->"),
        ("<!-- table:simulated nonsense -->\n<!-- end -->", "no figures for <!-- table:simulated nonsense -->"),
    ],
)
def test_documents_with_unknown_sections_are_refused(
    tmp_path: Path, files: list[str], text: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "README.md").write_text(text)
    assert main([*files, "--into", str(tmp_path / "README.md")]) == 1
    assert told in capsys.readouterr().err


def test_files_of_another_schema_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "metrics.json").write_text("[]")
    assert main([str(tmp_path / "metrics.json")]) == 1
    assert "not a file of schema" in capsys.readouterr().err
