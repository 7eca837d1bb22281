"""Threads of the ascent on large complete graphs give the result of one thread."""

import threading

import numpy as np
import pytest

from telescope_transformer.correlation_clustering.bounds import tiles
from telescope_transformer.correlation_clustering.bounds.dual import DenseDual
from telescope_transformer.correlation_clustering.bounds.tiles import Tiling
from telescope_transformer.correlation_clustering.graph import DenseGraph
from telescope_transformer.correlation_clustering.search.local_search import gaec
from telescope_transformer.correlation_clustering.solution import Deadline

NODES = 600


@pytest.fixture(autouse=True)
def _small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "_LEAST_NODES", 0)


def noisy_clusters() -> DenseGraph:
    rng = np.random.default_rng(0)
    vectors = np.repeat(rng.normal(size=(15, 8)), NODES // 15, axis=0) + 0.9 * rng.normal(size=(NODES, 8))
    vectors /= np.linalg.norm(vectors, axis=1)[:, None]
    return DenseGraph(vectors @ vectors.T, 0.3)


def ascended(graph: DenseGraph, labels: np.ndarray) -> DenseDual:
    dual = DenseDual(graph, labels)
    for _ in range(4):
        dual.separate(Deadline())
        dual.sweep(Deadline())
        dual.smoothing *= 0.3
    return dual


def test_threads_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = noisy_clusters()
    labels = gaec(graph)
    found = []
    for threads in (1, 4):
        monkeypatch.setattr(tiles.config, "NUMBA_NUM_THREADS", threads)
        found.append(ascended(graph, labels))
    one, four = found
    assert one.multipliers.size > 1_000
    np.testing.assert_array_equal(one.triangles, four.triangles)
    np.testing.assert_array_equal(one.multipliers, four.multipliers)
    np.testing.assert_array_equal(one.reduced, four.reduced)


def test_tiles_prove_as_much_as_the_whole_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = noisy_clusters()
    labels = gaec(graph)
    in_tiles = ascended(graph, labels).bound()
    monkeypatch.setattr(tiles, "_LEAST_NODES", NODES + 1)
    whole = ascended(graph, labels).bound()
    cost = graph.cost(labels)
    assert 0.5 * cost < whole < cost
    assert in_tiles == pytest.approx(whole, rel=0.05)


def test_a_search_that_is_full_continues_where_it_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = noisy_clusters()
    dual = DenseDual(graph, gaec(graph))
    monkeypatch.setattr(dual, "_capacity", 40)
    searched = []
    for _ in range(8):
        searched.append(dual._next)
        dual.separate(Deadline())
    assert searched == list(range(8))
    assert dual._next == 0


def test_tasks_that_change_the_same_pairs_never_run_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles.config, "NUMBA_NUM_THREADS", 4)
    tiling = Tiling(NODES)
    tasks = list(range(len(tiling.triples)))[::-1]
    running: set[int] = set()
    together, ended, lock = 0, [], threading.Lock()

    def pairs(place: int) -> set[tuple[int, int]]:
        a, b, c = tiling.triples[tasks[place]]
        return {(a, b), (a, c), (b, c)}

    def work(place: int) -> int:
        nonlocal together
        with lock:
            assert all(pairs(place).isdisjoint(pairs(other)) for other in running)
            earlier = {other for other in range(place) if not pairs(place).isdisjoint(pairs(other))}
            assert earlier <= set(ended)
            running.add(place)
            together = max(together, len(running))
        threading.Event().wait(0.001)
        with lock:
            running.remove(place)
            ended.append(place)
        return place

    assert tiling.run(work, tasks) == list(range(len(tasks)))
    assert together > 1


def test_an_error_in_a_task_is_raised_and_the_bound_stays_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = noisy_clusters()
    labels = gaec(graph)
    dual = ascended(graph, labels)
    before, find = dual.bound(), dual._find

    def fail(x: np.ndarray, *task: object) -> object:
        if task[-1] == 20:
            raise KeyboardInterrupt
        return find(x, *task)  # type: ignore[arg-type]

    monkeypatch.setattr(dual, "_find", fail)
    with pytest.raises(KeyboardInterrupt):
        dual.separate(Deadline())
    # What was found before the interrupt is not kept, so the bound is that of the last sweep.
    assert dual.bound() == pytest.approx(before, rel=1e-9)
    assert before < graph.cost(labels)
