"""From flow records to clusters of sources: the tables of an analysis, and its folder."""

import errno
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import adjusted_rand_score
from typer.testing import CliRunner

from telescope_transformer import analysis as analysis_package
from telescope_transformer.analysis import (
    AnalysisSettings,
    analyze,
    clustering_stage,
    description,
    embedding_stage,
    run,
    sources_table,
    work,
)
from telescope_transformer.arrays import unit_rows, with_column
from telescope_transformer.calibration import Calibration
from telescope_transformer.cli.main import app
from telescope_transformer.errors import CheckpointError, DatasetError, FlowRecordError, InputError, SolverError
from telescope_transformer.hub import SHIPPED_CHECKPOINT
from telescope_transformer.preparation import EngineSettings, read_manifest, settings, staging
from telescope_transformer.records import scan_records
from telescope_transformer.simulation import simulate
from telescope_transformer.windows import Windows
from telescope_transformer.words import counted

# A proof takes a fraction of a second, so the time limit never ends it and results are reproducible.
SETTINGS = AnalysisSettings(adapt=False, time_limit=60.0, threshold=0.6)


@pytest.fixture(scope="module")
def records() -> pa.Table:
    return simulate(60, seed=1, records_per_source=30.0)


class PortShares(embedding_stage.LazyEmbedder):
    """Embeds a window as the shares of its ports: fast, and equal for sources with equal behaviour."""

    def __call__(self, windows: pa.Table) -> np.ndarray:
        some = Windows.from_table(windows)
        shares = np.zeros((len(some), 32), dtype=np.float32)
        places = some.records["dst_port"].to_numpy().astype(np.int64) * 2654435761 % 2**32 >> 27
        np.add.at(shares, (some.window_of_record, places), 1.0)
        return unit_rows(shares)

    @property
    def digest(self) -> str:
        return "port shares"


def test_a_wrong_model_is_found_before_records_are_read(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="nowhere: no such folder"):
        analyze(iter([]), AnalysisSettings(model=str(tmp_path / "nowhere")))


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("config.json", '{"model_type": "telescope", "hidden_size": "wide"}', "hidden_size"),
        ("calibration.json", '{"knots": [], "slope": "steep"}', "calibration.json: not a calibration"),
        ("adaptation.json", "[", "adaptation.json does not describe an adaptation"),
    ],
)
def test_a_damaged_file_of_a_model_is_found_before_records_are_read(name, content, told, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(SHIPPED_CHECKPOINT, model)
    (model / name).write_text(content)
    with pytest.raises((CheckpointError, DatasetError), match=told):
        analyze(iter([]), AnalysisSettings(model=str(model)))


@pytest.fixture(autouse=True, scope="module")
def quick_embeddings():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "LazyEmbedder", PortShares)
        yield


@pytest.fixture(scope="module")
def analysis(records: pa.Table, quick_embeddings):
    return analyze(records, SETTINGS)


def window_rows(rows: list[tuple[str, int, int, int, int]]) -> pa.Table:
    names = ("source", "start", "end", "n_records", "cluster")
    return pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))


def test_a_source_gets_the_cluster_of_most_of_its_windows() -> None:
    windows = window_rows([("a", 5, 9, 8, 0), ("a", 10, 19, 8, 1), ("a", 20, 29, 8, 1), ("b", 0, 3, 9, 0)])
    table = sources_table(windows).to_pydict()
    assert table["source"] == ["a", "b"]
    assert table["cluster"] == [1, 0]
    assert table["n_windows"] == [3, 1]
    assert table["n_records"] == [24, 9]
    assert table["first_seen"] == [5, 0]
    assert table["last_seen"] == [29, 3]
    assert table["agreement"] == pytest.approx([2 / 3, 1.0])


def test_a_tie_between_clusters_goes_to_the_one_with_more_records() -> None:
    windows = window_rows([("a", 0, 1, 8, 0), ("a", 2, 3, 20, 1)])
    assert sources_table(windows)["cluster"].to_pylist() == [1]


def test_a_sources_label_is_the_one_of_most_of_its_windows() -> None:
    windows = window_rows([("b", 0, 1, 8, 0), ("a", 0, 1, 8, 0), ("b", 2, 3, 8, 0), ("b", 4, 5, 8, 0)])
    windows = windows.append_column("label", pa.array(["x", None, "y", "y"]))
    assert sources_table(windows)["label"].to_pylist() == [None, "y"]


def test_every_window_and_source_is_accounted_for(analysis, records: pa.Table) -> None:
    counts = analysis.counts
    assert counts["read"] == records.num_rows == counts["kept"] + counts["rejected"]
    assert counts["kept"] == counts["records_in_windows"] + counts["records_left_out"]
    assert analysis.windows.num_rows == counts["windows"]
    clusters = analysis.windows["cluster"].to_numpy()
    assert analysis.solution["n_clusters"] == clusters.max() + 1
    sizes = np.bincount(clusters)
    assert (np.diff(sizes) <= 0).all()
    assert [(one["cluster"], one["n_windows"]) for one in analysis.clusters] == list(
        enumerate(sizes[sizes > 1].tolist())
    )
    assert analysis.sources["source"].to_pylist() == sorted(set(records["src_ip"].to_pylist()))
    placed = analysis.sources.filter(analysis.sources["cluster"].is_valid())
    assert set(analysis.windows["source"].to_pylist()) == set(placed["source"].to_pylist())


def test_the_certificate_holds(analysis) -> None:
    solution = analysis.solution
    assert 0 < solution["lower_bound"] <= solution["cost"] * (1 + 1e-6)


def test_the_same_seed_gives_the_same_clusters(analysis, records: pa.Table) -> None:
    again = analyze(records, SETTINGS)
    assert np.array_equal(again.windows["cluster"].to_numpy(), analysis.windows["cluster"].to_numpy())


def test_the_kept_model_has_the_calibration_of_the_analysis(analysis, records: pa.Table, tmp_path) -> None:
    found = analyze(records, SETTINGS, keep_model=tmp_path / "model")
    kept = Calibration.load(tmp_path / "model")
    assert found.calibration is not None
    assert kept is not None
    assert kept.to_dict() == found.calibration.to_dict() == analysis.calibration.to_dict()


def test_a_folder_of_somebody_else_is_not_replaced_by_the_model(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "thesis.txt").touch()
    with pytest.raises(DatasetError, match="model exists, and no analysis wrote it"):
        analyze(iter([]), SETTINGS, keep_model=tmp_path / "model")
    assert (tmp_path / "model" / "thesis.txt").exists()


def test_a_model_that_cannot_be_kept_is_named_with_one_reason(tmp_path: Path, monkeypatch) -> None:
    def full(source: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(source))

    (tmp_path / "stage").mkdir()
    (tmp_path / "stage" / "config.json").touch()
    monkeypatch.setattr(work.shutil, "copyfile", full)
    with pytest.raises(DatasetError, match=r"^cannot write .*kept: No space left on device$"):
        work.copy_folder(tmp_path / "stage", tmp_path / "kept")
    assert os.listdir(tmp_path) == ["stage"]


def test_few_sources_have_the_calibration_of_the_checkpoint_which_is_said(analysis, records: pa.Table) -> None:
    few = records.filter(pc.is_in(records["src_ip"], value_set=pc.unique(records["src_ip"])[:3]))
    found = analyze(few, SETTINGS)
    assert found.calibration is not None
    assert found.calibration.from_checkpoint
    assert not analysis.calibration.from_checkpoint


def test_the_folder_holds_what_the_analysis_holds(analysis, tmp_path) -> None:
    report = analysis.write(tmp_path / "out")
    assert report.stat().st_size > 10_000
    written = json.loads((tmp_path / "out" / "clusters.json").read_text())
    assert written["solution"] == analysis.solution
    assert len(written["clusters"]) == len(analysis.clusters)
    assert pq.read_table(tmp_path / "out" / "windows.parquet").num_rows == analysis.windows.num_rows
    assert pq.read_table(tmp_path / "out" / "sources.parquet").equals(analysis.sources)
    assert pq.read_table(tmp_path / "out" / "rejects.parquet").num_rows == 0


def test_too_few_records_per_source_end_with_a_message(records: pa.Table) -> None:
    with pytest.raises(InputError, match="no source has 8 records"):
        analyze(records.slice(0, 3), AnalysisSettings(min_records=8))


def test_the_shipped_checkpoint_embeds(records: pa.Table, monkeypatch) -> None:
    monkeypatch.setattr(run, "LazyEmbedder", embedding_stage.LazyEmbedder)
    found = analyze(records.slice(0, 600), AnalysisSettings(adapt=False, time_limit=1.0))
    lengths = np.linalg.norm(np.stack(found.windows["embedding"].to_numpy(zero_copy_only=False)), axis=1)
    assert lengths == pytest.approx(np.ones(found.windows.num_rows), abs=1e-5)


def test_single_things_are_not_plural(records: pa.Table) -> None:
    sources = np.array(records["src_ip"].to_pylist())
    names, counts = np.unique(sources, return_counts=True)
    one_window = records.filter(sources == names[counts.argmax()]).slice(0, 8)
    said: list[str] = []
    analyze(one_window, SETTINGS, say=said.append)
    assert "1 window of 1 source" in said
    assert any(line.startswith("0 clusters and 1 window like no other at cosine") for line in said)
    assert [counted(1, "event"), counted(2_000, "event")] == ["1 event", "2,000 events"]


def test_paths_are_analyzed(records: pa.Table, flows, tmp_path) -> None:
    again = analyze(str(flows), SETTINGS)
    assert again.windows["cluster"].equals(analyze([flows], SETTINGS).windows["cluster"])
    with pytest.raises(InputError, match=r"nowhere\.csv: no such file"):
        analyze(tmp_path / "nowhere.csv", SETTINGS)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"window": 0}, DatasetError),
        ({"window": "16"}, DatasetError),
        ({"session_gap": "1h"}, DatasetError),
        ({"threshold": "high"}, SolverError),
        ({"threshold": float("nan")}, SolverError),
        ({"time_limit": -1}, SolverError),
        ({"adapt_steps": -1}, InputError),
        ({"core_records": 1.5}, InputError),
        ({"seed": 2**32}, InputError),
        ({"seed": None}, InputError),
    ],
)
def test_a_wrong_setting_is_refused_at_once(wrong: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error, match=next(iter(wrong)).replace("_", "[ _]")):
        AnalysisSettings(**wrong)


def test_settings_of_another_type_are_refused(records: pa.Table) -> None:
    with pytest.raises(TypeError, match="expected AnalysisSettings"):
        analyze(records, {"window": 8})
    with pytest.raises(TypeError, match="expected EngineSettings"):
        analyze(records, SETTINGS, engine="spark")


def test_a_table_without_a_column_is_refused(records: pa.Table) -> None:
    with pytest.raises(FlowRecordError, match="src_ip"):
        analyze(records.drop_columns(["src_ip"]))


@pytest.fixture(scope="module")
def flows(records: pa.Table, tmp_path_factory):
    path = tmp_path_factory.mktemp("flows") / "flows.parquet"
    pq.write_table(records, path)
    return path


def differences(one, other) -> list[str]:
    """The names of the parts in which two analyses differ by at least one bit, except for the solver's time."""
    tables = ("windows", "sources", "rejects")
    values = ("clusters", "counts", "calibration", "traffic")
    found = [name for name in tables if not getattr(one, name).equals(getattr(other, name))]
    found += [name for name in values if getattr(one, name) != getattr(other, name)]
    solutions = [{**analysis.solution, "seconds": 0} for analysis in (one, other)]
    return found + [name for name in solutions[0] if solutions[0][name] != solutions[1][name]]


def test_pieces_on_disk_give_what_one_piece_in_memory_gives(analysis, flows, tmp_path, monkeypatch) -> None:
    """Use many buckets and shards, DuckDB with little memory, and profiles from several files."""
    monkeypatch.setattr(staging, "FLUSH_RECORDS", 300)
    monkeypatch.setattr(settings, "RECORDS_PER_SHARD", 200)
    monkeypatch.setattr(description, "RECORDS_AT_A_TIME", 250)
    engine = EngineSettings(memory_limit="80MB", threads=1)
    found = analyze(
        scan_records([flows]),
        SETTINGS,
        work=tmp_path / "work",
        engine=engine,
    )
    assert read_manifest(tmp_path / "work").shards > 4
    assert differences(found, analysis) == []


def test_the_next_run_uses_existing_stages(flows, tmp_path, monkeypatch) -> None:
    work, said = tmp_path / "work", []
    first = analyze(scan_records([flows]), SETTINGS, work=work)
    monkeypatch.setattr(embedding_stage, "embed_blocks", None)
    monkeypatch.setattr(clustering_stage, "cluster", None)
    again = analyze(scan_records([flows]), SETTINGS, work=work, say=said.append)
    assert differences(again, first) == []
    assert sum(line.startswith("using the") for line in said) == 4
    # From another current folder, and under another name, the stages and their model are the same.
    renamed = work.rename(tmp_path / "renamed")
    monkeypatch.chdir(tmp_path)
    assert differences(analyze(scan_records([flows]), SETTINGS, work="renamed"), first) == []
    work = renamed
    with pytest.raises(DatasetError, match="take another folder"):
        analyze(scan_records([flows]), AnalysisSettings(window=16), work=work)
    with pytest.raises(DatasetError, match="records in memory cannot be compared"):
        analyze(pq.read_table(flows), SETTINGS, work=work)


def test_a_stage_names_its_model_wherever_the_folder_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work, given = tmp_path / "work", tmp_path / "given"
    for folder in (work / "model", given, work / "embeddings"):
        folder.mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    recorded = [embedding_stage._recorded(Path("work"), model) for model in (None, "user/a", "given", "work/model")]
    assert recorded == [None, "user/a", str(given), "model"]
    moved = work.rename(tmp_path / "moved")
    for model, found in zip(recorded, [None, "user/a", str(given), str(moved / "model")], strict=True):
        (moved / "embeddings/stage.json").write_text(json.dumps({"model": model}))
        assert embedding_stage.model_of(moved) == found
    (moved / "embeddings/stage.json").write_text('{"model": {}}')
    with pytest.raises(
        DatasetError, match=r"moved has no embeddings; delete .*moved/embeddings and run telescope embed"
    ):
        embedding_stage.model_of(moved)


def test_an_interrupted_embedding_continues(flows, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(embedding_stage, "BLOCK", 10)
    whole = analyze(scan_records([flows]), SETTINGS, work=tmp_path / "whole")
    embed, calls = PortShares.__call__, []

    def stops(self, windows):
        calls.append(windows.num_rows)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return embed(self, windows)

    monkeypatch.setattr(PortShares, "__call__", stops)
    with pytest.raises(KeyboardInterrupt):
        analyze(scan_records([flows]), SETTINGS, work=tmp_path / "work")
    found = analyze(scan_records([flows]), SETTINGS, work=tmp_path / "work")
    assert differences(found, whole) == []
    # Two blocks precede the interruption and are not repeated; later calls place short windows and explain clusters.
    blocks = -(-whole.windows.num_rows // 10)
    assert sum(calls[:2]) + sum(calls[3 : 3 + blocks - 2]) == whole.windows.num_rows


def test_more_windows_than_are_solved_at_once_join_the_clusters(flows, analysis, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(clustering_stage, "MOST_SOLVED", 25)
    found = analyze(scan_records([flows]), SETTINGS, work=tmp_path / "work")
    assert found.solution["n_solved"] == 25
    core = int((found.windows["n_records"].to_numpy() >= SETTINGS.core_records).sum())
    assert found.solution["assigned_share"] == pytest.approx(1 - 25 / core, abs=1e-4)
    whole, part = (one.windows["cluster"].to_numpy() for one in (analysis, found))
    assert adjusted_rand_score(whole, part) > 0.8


def test_every_source_is_placed_and_short_windows_change_nothing(records, analysis) -> None:
    long = analyze(records, replace(SETTINGS, min_records=8))
    short = analysis.windows["n_records"].to_numpy() < 8
    assert short.any()
    core = analysis.windows.filter(pa.array(~short))
    keys = ["source", "start"]
    assert core.select(keys).equals(long.windows.select(keys))
    assert adjusted_rand_score(core["cluster"].to_numpy(), long.windows["cluster"].to_numpy()) == 1.0
    assert core["placement"].null_count == len(core)
    confidence, clusters = analysis.windows["placement"].to_numpy()[short], analysis.windows["cluster"].to_numpy()
    assert np.isfinite(confidence).all()
    placed = np.isin(clusters[short], clusters[~short])
    assert np.array_equal(placed, confidence >= 0.5)
    assert analysis.sources["cluster"].null_count == 0
    rows = zip(*(analysis.windows[name].to_pylist() for name in ("source", "cluster", "n_records")), strict=True)
    with_long = {(source, cluster) for source, cluster, n_records in rows if n_records >= 8}
    of_sources = zip(*(analysis.sources[name].to_pylist() for name in ("source", "cluster", "placement")), strict=True)
    for source, cluster, placement in of_sources:
        assert (placement is None) == ((source, cluster) in with_long)


def test_an_ipv6_destination_keeps_its_text(records) -> None:
    six = pa.array([f"2001:db8:{i % 3}::1" for i in range(records.num_rows)])
    index = records.column_names.index("dst_ip")
    found = analyze(records.set_column(index, "dst_ip", six), SETTINGS)
    prefixes = {row["prefix"] for one in found.clusters for row in one["targets"]["prefixes"]}
    assert prefixes <= {"2001:db8::/48", "2001:db8:1::/48", "2001:db8:2::/48"}
    assert prefixes


@pytest.mark.parametrize("misspelt", ["dst_prot", "dport_number"])
def test_records_without_a_destination_port_are_refused_and_a_misspelt_column_is_named(records, misspelt: str) -> None:
    names = [misspelt if name == "dst_port" else name for name in records.column_names]
    with pytest.raises(FlowRecordError, match="dst_port"):
        analyze(records.rename_columns(names))


def test_the_single_commands_give_what_analyze_gives(flows, tmp_path, monkeypatch) -> None:
    for module in (analysis_package, clustering_stage):
        monkeypatch.setattr(module, "LazyEmbedder", PortShares)
    work, options = str(tmp_path / "work"), ["--threshold", "0.6", "--time-limit", "5"]
    commands = [
        ["analyze", str(flows), "--output", str(tmp_path / "whole"), "--no-adapt", *options],
        ["prepare", str(flows), "--output", work],
        ["embed", work, "--no-adapt"],
        ["cluster", work, *options],
        ["report", work, "--output", str(tmp_path / "single")],
    ]
    for command in commands:
        result = CliRunner().invoke(app, command)
        assert result.exit_code == 0, result.output
    for name in ("windows.parquet", "sources.parquet", "rejects.parquet"):
        assert pq.read_table(tmp_path / "whole" / name).equals(pq.read_table(tmp_path / "single" / name))
    whole, single = (json.loads((tmp_path / name / "clusters.json").read_text()) for name in ("whole", "single"))
    for summary in (whole, single):
        summary["solution"].pop("seconds")
    assert whole == single


def _write_rows(path: Path, change) -> None:
    pq.write_table(change(pq.read_table(path)), path)


def _write_json(path: Path, change) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def _without_values(table: pa.Table, name: str) -> pa.Table:
    return _with_values(table, name, None)


def _with_values(table: pa.Table, name: str, value: object) -> pa.Table:
    return with_column(table, name, pa.array([value] * len(table), table[name].type))


def _with_type(table: pa.Table, name: str, kind: pa.DataType) -> pa.Table:
    return with_column(table, name, table[name].cast(kind))


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("manifest.json", lambda path: _write_json(path, lambda found: found.update(fields=-1))),
        ("manifest.json", lambda path: _write_json(path, lambda found: found["days"].append(2**70))),
        ("clusters/solution.json", lambda path: _write_json(path, lambda found: found.update(solution=[]))),
        (
            "clusters/solution.json",
            lambda path: _write_json(path, lambda found: found.update(calibration={"slope": 1})),
        ),
        ("clusters/labels.npy", lambda path: path.write_bytes(b"")),
        ("clusters/labels.npy", lambda path: np.save(path, np.load(path) - 10**6)),
        ("clusters/margins.npy", lambda path: np.save(path, np.load(path)[:-1])),
        ("clusters/margins.npy", lambda path: np.save(path, np.load(path) * np.float32(np.nan))),
        ("clusters/margins.npy", lambda path: np.save(path, np.load(path).astype(np.float64))),
        ("embeddings/embeddings.npy", lambda path: path.write_bytes(b"")),
        ("embeddings/embeddings.npy", lambda path: np.savez(path.open("wb"), np.zeros(3))),
        ("embeddings/embeddings.npy", lambda path: np.save(path, np.load(path) * np.float32(np.nan))),
        ("embeddings/embeddings.npy", lambda path: np.save(path, np.load(path) * np.float32(1e30))),
        ("embeddings/embeddings.npy", lambda path: np.save(path, np.load(path)[:, :0])),
        ("clusters/confidence.npy", lambda path: np.save(path, np.full_like(np.load(path), 7))),
        ("manifest.json", lambda path: _write_json(path, lambda found: found.update(days=[[]]))),
        ("manifest.json", lambda path: _write_json(path, lambda found: found["ingests"][0].update(counts={}))),
        ("rejects.parquet", lambda path: path.write_bytes(b"")),
        ("rejects.parquet", lambda path: _write_rows(path, lambda table: table.drop_columns(["row"]))),
        (
            "sources-shard-00000.parquet",
            lambda path: _write_rows(path, lambda table: table.drop_columns(["services"])),
        ),
        (
            "sources-shard-00000.parquet",
            lambda path: _write_rows(path, lambda table: _without_values(table, "services")),
        ),
        ("sources-shard-00000.parquet", lambda path: _write_rows(path, lambda table: table.slice(1))),
        (
            "sources-shard-00000.parquet",
            lambda path: _write_rows(path, lambda table: _with_values(table, "services", [None])),
        ),
        (
            "sources-shard-00000.parquet",
            lambda path: _write_rows(path, lambda table: _with_values(table, "first_seen", -1)),
        ),
        (
            "windows/shard-00000.parquet",
            lambda path: _write_rows(path, lambda table: _without_values(table, "source")),
        ),
        (
            "windows/shard-00000.parquet",
            lambda path: _write_rows(path, lambda table: _with_type(table, "source", pa.large_string())),
        ),
        (
            "windows/shard-00000.parquet",
            lambda path: _write_rows(path, lambda table: _with_values(table, "start", 2**62)),
        ),
        (
            "windows/shard-00000.parquet",
            lambda path: _write_rows(path, lambda table: _without_values(table, "timestamp")),
        ),
    ],
)
def test_an_altered_file_of_a_work_folder_is_named(analysed: Path, tmp_path: Path, name: str, damage) -> None:
    work = tmp_path / "work"
    shutil.copytree(analysed, work)
    damage(work / name)
    with pytest.raises(DatasetError, match=Path(name).name):
        run.describe(work, SETTINGS, embed=PortShares(None), say=lambda text: None)


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        ("manifest.json", lambda found: found["ingests"][0].update(seconds=7.0), "made from other windows"),
        ("embeddings/stage.json", lambda found: found.update(checkpoint="another"), "made from other embeddings"),
    ],
)
def test_a_stage_of_what_the_folder_no_longer_holds_is_not_described(
    analysed: Path, tmp_path: Path, name: str, change, told: str
) -> None:
    work = tmp_path / "work"
    shutil.copytree(analysed, work)
    _write_json(work / name, change)
    with pytest.raises(DatasetError, match=f"{told}.* telescope (embed|cluster)"):
        run.describe(work, SETTINGS, embed=PortShares(None), say=lambda text: None)


@pytest.fixture(scope="module")
def analysed(records: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("analysed")
    pq.write_table(records, folder / "records.parquet")
    analyze(folder / "records.parquet", SETTINGS, work=folder / "work")
    return folder / "work"
