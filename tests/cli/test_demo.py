"""`telescope demo`: the README's first command."""

import json

import pytest

from telescope_transformer.cli.demo import demo
from telescope_transformer.errors import InputError


def test_demo_finds_actors(tmp_path):
    # Too few sources to fill a batch of the recipe's size.
    demo(tmp_path / "demo", sources=60, seed=0)
    # Chance gives 0. With so few sources, the result depends on the last bits of training: .94 was measured alone and
    # .70 once among other tests.
    assert json.loads((tmp_path / "demo" / "metrics.json").read_text(encoding="utf-8"))["ari"] > 0.5
    assert (tmp_path / "demo" / "report.html").stat().st_size > 100_000
    assert (tmp_path / "demo" / "model" / "model.safetensors").is_file()


def test_demo_leaves_a_folder_with_files_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match="not an empty folder"):
        demo(tmp_path, sources=60, seed=0)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
