"""The core works without the optional packages, and errors name the extra that is missing."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from telescope_transformer.cli import main
from telescope_transformer.errors import MissingExtraError
from telescope_transformer.extras import EXTRAS, missing_extra, require

ROOT = Path(__file__).resolve().parents[1]
# A process in which no optional package can be imported, except fsspec, which torch always installs.
WITHOUT = f"""
from importlib.machinery import PathFinder

plain = PathFinder.find_spec
hidden = {sorted(set(EXTRAS) - {"fsspec"})!r}


def find_spec(name, path=None, target=None):
    return None if name.partition(".")[0] in hidden else plain(name, path, target)


PathFinder.find_spec = staticmethod(find_spec)
"""


def run_without(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", WITHOUT + code], cwd=folder, capture_output=True, text=True)


def test_analysis_and_embeddings_need_no_extra(tmp_path: Path) -> None:
    code = """
from contextlib import suppress

from telescope_transformer import load
from telescope_transformer.cli.main import main

for arguments in (["simulate", "--sources", "60", "--output", "flows.parquet"],
                  ["analyze", "flows.parquet", "--time-limit", "1", "--quiet"]):
    with suppress(SystemExit):
        main(arguments)
print(load(device="cpu").encode("flows.parquet").shape[1])
"""
    done = run_without(code, tmp_path)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.splitlines()[-1]) > 0
    assert (tmp_path / "out" / "report.html").is_file()


def test_the_command_line_names_the_extra(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def lacking(*arguments: object, **options: object) -> None:
        raise ModuleNotFoundError("No module named 'matplotlib'", name="matplotlib.figure")

    monkeypatch.setattr(main, "app", lacking)
    with pytest.raises(SystemExit) as stop:
        main.main([])
    assert stop.value.code == 1
    told = "error: the package 'matplotlib' is not installed: run pip install 'telescope-transformer[train]'\n"
    assert capsys.readouterr().err == told
    assert missing_extra(ModuleNotFoundError("No module named 'other'", name="other")) is None


def test_require_imports_or_explains(monkeypatch: pytest.MonkeyPatch) -> None:
    assert require("fastavro.schema").__name__ == "fastavro.schema"
    monkeypatch.setitem(sys.modules, "fastavro", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'telescope-transformer\[flowtuple\]'"):
        require("fastavro")


def test_every_extra_is_declared() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(EXTRAS.values()) <= set(declared)
    for package, extra in EXTRAS.items():
        assert any(requirement.startswith(package) for requirement in declared[extra]), package
