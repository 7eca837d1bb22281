"""Embedding and clustering on Spark give the same result as on one machine."""

import shutil
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from telescope_transformer.analysis import (
    AnalysisSettings,
    LazyEmbedder,
    cluster_stage,
    embed_stage,
    spark_stages,
)
from telescope_transformer.analysis import clustering_stage as stage
from telescope_transformer.analysis.clustering_stage import read_clusters
from telescope_transformer.preparation import EngineSettings, PreparationSettings, WindowSettings, prepare
from telescope_transformer.progress import say_nothing
from telescope_transformer.records import scan_records
from telescope_transformer.simulation import SimulationSettings, write_simulation

SETTINGS = AnalysisSettings(adapt=False, threshold=0.6, core_records=1, time_limit=0.0)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    flows = tmp_path / "flows.parquet"
    write_simulation(flows, SimulationSettings(sources=300, records_per_source=12.0))
    settings = PreparationSettings(WindowSettings(min_records=1), shards=4)
    prepare(scan_records([flows]), tmp_path / "here", settings)
    return tmp_path / "here"


class Broadcast:
    """A broadcast value as executors see it: a copy for each task."""

    def __init__(self, value: object):
        self.value = value


# Spark pickles tasks with its own copy of cloudpickle.
cloudpickle = pytest.importorskip("cloudpickle")


def run_here(session: SimpleNamespace, task, number: int) -> list[dict]:
    """Run tasks as `preparation.spark.run_tasks` does, each from its pickled form, but without a cluster."""
    return [cloudpickle.loads(cloudpickle.dumps(task))(at) for at in range(number)]


def test_pickled_tasks_embed_and_assign_as_one_machine_does(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = SimpleNamespace(sparkContext=SimpleNamespace(broadcast=Broadcast))
    monkeypatch.setattr(stage, "MOST_SOLVED", 100)
    monkeypatch.setattr(spark_stages, "RANGE", 64)
    monkeypatch.setattr(spark_stages, "run_tasks", run_here)
    monkeypatch.setattr(spark_stages, "spark_over", lambda *_: nullcontext(session))
    there = work.with_name("there")
    shutil.copytree(work, there)
    engine = EngineSettings("spark")
    here = embed_stage(work, LazyEmbedder(None), say_nothing)
    found = embed_stage(there, LazyEmbedder(None), say_nothing, engine)
    assert np.abs(np.asarray(found) - np.asarray(here)).max() < 1e-6
    cluster_stage(work, SETTINGS, say_nothing)
    cluster_stage(there, SETTINGS, say_nothing, engine=engine)
    one, other = read_clusters(work).labels, read_clusters(there).labels
    assert len(one) > 2 * stage.MOST_SOLVED
    assert adjusted_rand_score(one, other) == 1.0
    assert not list(there.glob(".spark*"))
    assert not list(there.glob(".assigned-*"))


@pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs Java")
@pytest.mark.spark
def test_spark_embeds_and_assigns_as_one_machine_does(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyspark")
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
    # Most windows are assigned, not solved, in several ranges.
    monkeypatch.setattr(stage, "MOST_SOLVED", 100)
    monkeypatch.setattr(spark_stages, "RANGE", 64)
    there = work.with_name("there")
    shutil.copytree(work, there)
    here = embed_stage(work, LazyEmbedder(None), say_nothing)
    cluster_stage(work, SETTINGS, say_nothing)
    engine = EngineSettings("spark", master="local[1]", memory_limit="1GB")
    found = embed_stage(there, LazyEmbedder(None), say_nothing, engine)
    assert np.abs(np.asarray(found) - np.asarray(here)).max() < 1e-6
    cluster_stage(there, SETTINGS, say_nothing, engine=engine)
    one, other = read_clusters(work).labels, read_clusters(there).labels
    assert len(one) > 2 * stage.MOST_SOLVED
    assert adjusted_rand_score(one, other) == 1.0
    assert not list(there.glob(".spark*"))
    assert not list(there.glob(".assigned-*"))
