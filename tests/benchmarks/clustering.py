"""Benchmarks of correlation clustering against the figures of its peers; writes results/clustering.json.

Run: python tests/benchmarks/clustering.py [section ...]
     python tests/benchmarks/clustering.py bounds:0,3

The second form measures single rows of `bounds` or `sparse` again, counted from 0, and keeps the other rows.

Sections: gaec, quality, certificates, modularity, cliques, search, signed, bounds, sweep, sparse. The instances are
those of the shared folder (TELESCOPE_SHARED, or `shared` beside the checkout) or generated here. The figures of the
peers, shown beside ours, were measured on an idle machine of the same kind. W is the sum of weights inside clusters;
higher is better. Seconds are wall time; `cpu` is processor time, which depends less on the load of the machine.

With CPU_CLOCK=1, time limits count processor time. CPP_P3 is the path of the program of
github.com/joey001/clique-partitioning (a tabu search in three phases); `search` then runs it beside ours.
"""

import gzip
import importlib.util
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from measuring import keep
from scipy import sparse

from telescope_transformer.correlation_clustering import (
    CorrelationClustering,
    DenseGraph,
    SparseGraph,
    gaec,
    sweep,
)
from telescope_transformer.correlation_clustering.components import roots
from telescope_transformer.correlation_clustering.graph import canonical_labels
from telescope_transformer.correlation_clustering.search.greedy import contract_greedily

SHARED = Path(os.environ.get("TELESCOPE_SHARED", Path(__file__).resolve().parents[3] / "shared"))

RESULTS = Path(__file__).parent / "results" / "clustering.json"
FOLDER = SHARED / "clustering"

CLIQUE_SECONDS = float(os.environ.get("CLIQUE_SECONDS", "60"))
if os.environ.get("CPU_CLOCK"):
    time.monotonic = time.process_time

# Instances as Zhou, Hao and Goeffon (2016) and Palubeckis et al. (2015) publish them: kind and nodes.
SEARCH = [("gauss", 500), ("uniform", 800), ("uniform", 1000)]
# kind, threshold, n, seconds, and the gap to reach.
BOUNDS = [
    ("b", 0.27, 2000, 4, 0.01),
    ("b", 0.25, 3000, 30, 0.002),
    ("a", 0.2, 5000, 30, 0.005),
    ("b", 0.25, 5000, 30, 0.01),
    ("a", 0.5, 10000, 30, 0.02),
    ("b", 0.25, 10000, 30, 0.05),
]
# Nodes, seconds, and the time that a peer takes.
SPARSE = [(100_000, 60.0, "andres GAEC alone 24.5 s"), (1_000_000, 560.0, "")]

# kind, threshold, n, the best W of the peers, the peer that found it, and its seconds.
QUALITY = [
    ("b", 0.3, 500, 1421.20, "fused moves", 0.09),
    ("b", 0.3, 1000, 4695.81, "fused moves", 0.18),
    ("a", 0.5, 2000, 12903.54, "andres GAEC + KLj", 11.2),
    ("b", 0.2, 2000, 31349.05, "andres GAEC + KLj", 7.6),
    ("b", 0.3, 2000, 15569.29, "fused moves", 3.3),
    ("a", 0.2, 2000, 44063.19, "fused moves", 1.3),
    ("b", 0.2, 5000, 214468.59, "fused moves", 14.6),
    ("a", 0.2, 10000, 1272490.6, "fused moves", 26.0),
]
CLIQUES = {
    "rand100-5": 1407, "rand200-5": 4079, "rand300-5": 7732, "rand400-5": 12133, "rand500-5": 17127,
    "regnier300-50": 32164, "zahn300": 2504, "rand100-100": 24296, "rand200-100": 74924, "rand300-100": 152709,
    "rand400-100": 222757, "rand500-100": 309125, "sym300-50": 17592,
}  # fmt: skip
MODULARITY = {
    "karate": 5714,
    "dolphins": 27805,
    "lesmis": 75321,
    "polbooks": 210338,
    "football": 460937,
    "adjnoun": 119058,
}


@contextmanager
def timed(row: dict[str, Any]) -> Iterator[None]:
    wall, cpu = time.monotonic(), time.process_time()
    yield
    row["seconds"] = round(time.monotonic() - wall, 3)
    row["cpu"] = round(time.process_time() - cpu, 3)


def embeddings(n: int, kind: str, seed: int = 0) -> np.ndarray:
    spec = importlib.util.spec_from_file_location("embedding_instances", FOLDER / "embedding_instances.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError(FOLDER / "embedding_instances.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.make(n, kind, seed)[0]


def inside(vectors: np.ndarray, threshold: float, labels: np.ndarray) -> float:
    """W of a clustering of the complete graph, computed from the sum of the vectors of each cluster."""
    vectors = vectors.astype(np.float64)
    sums = np.zeros((int(labels.max()) + 1, vectors.shape[1]))
    np.add.at(sums, labels, vectors)
    sizes = np.bincount(labels)
    return float((np.sum(sums**2) - np.sum(vectors**2)) / 2 - threshold * np.sum(sizes * (sizes - 1) / 2))


def solved(weights: np.ndarray, time_limit: float) -> dict[str, Any]:
    row: dict[str, Any] = {"n": len(weights)}
    solver = CorrelationClustering(random_state=0, time_limit=time_limit)
    with timed(row):
        solver.fit(weights)
    attraction = float(np.maximum(weights, 0).sum() / 2)
    return row | {"W": attraction - solver.cost_, "cost": solver.cost_, "gap": solver.gap_}


def bench_gaec() -> list[dict[str, Any]]:
    gaec(DenseGraph(np.zeros((5, 5), dtype=np.float32)))
    rows = []
    for kind, threshold, n, peer in (
        ("a", 0.5, 2000, "andres 6.6 s"),
        ("b", 0.2, 5000, "andres 86 s"),
        ("a", 0.5, 10000, "andres 435 s and 17.3 GB, dense-multicut 8.6 s"),
        ("b", 0.2, 10000, "dense-multicut 16.7 s"),
    ):
        vectors = embeddings(n, kind)
        row: dict[str, Any] = {"instance": f"{kind} {threshold}", "n": n, "peer": peer}
        started = time.monotonic()
        matrix = vectors @ vectors.T
        row["product_seconds"] = round(time.monotonic() - started, 3)
        with timed(row):
            labels = canonical_labels(roots(contract_greedily(matrix, threshold)))
        del matrix
        row["W"] = inside(vectors, threshold, labels)
        row["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        rows.append(row)
    return rows


def reached(solver: CorrelationClustering, value: float, best: float) -> float:
    """Seconds until W equalled ``best`` to six digits, for a solver that ended at ``value``; inf if it never did."""
    seconds = (s for s, cost in solver.history_ if value + solver.cost_ - cost >= best * (1 - 1e-6))
    return next(seconds, float("inf"))


def bench_quality() -> list[dict[str, Any]]:
    """Search with the peer's time as the limit, but at least 2 s, to outweigh the interpreter's noise."""
    for dtype in (np.float32, np.float64):
        vectors = embeddings(100, "a").astype(dtype)
        CorrelationClustering(method="local_search", random_state=0).fit_graph(DenseGraph(vectors @ vectors.T, 0.2))
    rows = []
    for kind, threshold, n, best, peer, seconds in QUALITY:
        vectors = embeddings(n, kind)
        row: dict[str, Any] = {"instance": f"{kind} {threshold}", "n": n, "peer": peer}
        row |= {"peer_W": best, "peer_seconds": seconds}
        # The time of a short search depends on the seed, so take the median of nine seeds.
        times, values = [], []
        for seed in range(9 if n <= 1000 else 1):
            solver = CorrelationClustering(method="local_search", random_state=seed, time_limit=max(seconds, 2.0))
            graph = solver.graph_of(vectors, threshold)
            with timed(row):
                solver.fit_graph(graph)
            values.append(inside(vectors, threshold, solver.labels_))
            times.append(reached(solver, values[-1], best))
        middle = float(np.median(times))
        after = round(middle, 3) if np.isfinite(middle) else None
        rows.append(row | {"seeds": len(times), "W": float(np.median(values)), "reached_seconds": after})
    return rows


def bench_certificates() -> list[dict[str, Any]]:
    rows = []
    for n, limit, seeds in ((300, 30, 3), (1000, 15, 1), (2000, 60, 1)):
        for kind, threshold in (("a", 0.5), ("a", 0.2), ("b", 0.2), ("b", 0.3)):
            for seed in range(seeds):
                vectors = embeddings(n, kind, seed).astype(np.float64)
                weights = vectors @ vectors.T - threshold
                np.fill_diagonal(weights, 0.0)
                rows.append({"instance": f"{kind} {threshold}", "seed": seed} | solved(weights, limit))
    return rows


def bench_modularity() -> list[dict[str, Any]]:
    rows = []
    for name, best in MODULARITY.items():
        values = np.array((FOLDER / "modularity" / f"{name}.txt").read_text().split(), dtype=float)
        weights = np.zeros((int(values[0]),) * 2)
        weights[np.triu_indices(len(weights), 1)] = values[1:]
        rows.append({"instance": name, "best_known": best} | solved(weights + weights.T, 60))
    return rows


def bench_cliques() -> list[dict[str, Any]]:
    rows = []
    for name, best in CLIQUES.items():
        text = gzip.decompress((FOLDER / "clique-partitioning" / f"{name}.txt.gz").read_bytes()).split()
        weights = np.zeros((int(text[0]),) * 2)
        weights[np.triu_indices(len(weights))] = -np.array(text[1:], dtype=float)
        weights += weights.T
        np.fill_diagonal(weights, 0)
        row: dict[str, Any] = {"instance": name, "n": len(weights), "best_known": best}
        solver = CorrelationClustering(method="local_search", random_state=0, time_limit=CLIQUE_SECONDS)
        with timed(row):
            solver.fit(weights)
        value = float(np.maximum(weights, 0).sum() / 2 - solver.cost_)
        rows.append(row | {"W": value, "reached_seconds": reached(solver, value, value)})
    return rows


def random_instance(kind: str, n: int) -> np.ndarray:
    """Integer weights: Gaussian with standard deviation 50, or uniform from -100 to 100."""
    rng = np.random.default_rng(n)
    values = np.rint(rng.normal(0, 50, (n, n))) if kind == "gauss" else rng.integers(-100, 101, (n, n)).astype(float)
    lower = np.tril(values, -1)
    return lower + lower.T


def three_phase_tabu(program: str, weights: np.ndarray, seconds: int) -> float:
    """The W that the peer's program finds; its time limit counts processor time."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        file.write(f"{len(weights)}\n")
        for i, row in enumerate(weights):
            file.write(" ".join(str(-int(weight)) for weight in row[i:]) + "\n")
        file.flush()
        done = subprocess.run(
            [program, "-f", file.name, "-s", str(seconds)], capture_output=True, text=True, check=True
        )
    return float(next(line for line in done.stdout.splitlines() if line.startswith("best result")).split(":")[1])


def bench_search() -> list[dict[str, Any]]:
    rows = []
    for kind, n in SEARCH:
        weights = random_instance(kind, n)
        for limit in (4, 12, 60):
            row: dict[str, Any] = {"instance": kind, "n": n, "time_limit": limit}
            solver = CorrelationClustering(method="local_search", random_state=0, time_limit=limit)
            with timed(row):
                solver.fit(weights)
            row["W"] = float(np.maximum(weights, 0).sum() / 2 - solver.cost_)
            if "CPP_P3" in os.environ:
                row["CPP-P3"] = three_phase_tabu(os.environ["CPP_P3"], weights, limit)
            rows.append(row)
    return rows


def signed_network(name: str) -> sparse.csr_array:
    """The sign of the sum of both directions of each edge, without self-loops and the few rows that lack a sign."""
    table = np.genfromtxt(FOLDER / "signed" / f"{name}.csv", delimiter=",", skip_header=1)
    table = table[(table[:, 0] != table[:, 1]) & ~np.isnan(table[:, 2])]
    _, ends = np.unique(table[:, :2], return_inverse=True)
    ends = ends.reshape(-1, 2)
    n = int(ends.max()) + 1
    half = sparse.coo_array((table[:, 2], (ends[:, 0], ends[:, 1])), shape=(n, n)).tocsr()
    both = (half + half.T).sign()
    both.eliminate_zeros()
    return both.tocsr()


def leiden_cost(rows: sparse.csr_array) -> float | None:
    """Cost of Leiden's clustering of the signed graph by CPM with resolution 0; None if Leiden is not installed."""
    try:
        import igraph
        import leidenalg
    except ImportError:
        return None
    upper = sparse.triu(rows, 1).tocoo()
    graph = igraph.Graph(n=rows.shape[0], edges=np.column_stack(upper.coords).tolist())
    found = leidenalg.find_partition(
        graph, leidenalg.CPMVertexPartition, weights=upper.data.tolist(), resolution_parameter=0.0, seed=0
    )
    indptr, indices = rows.indptr.astype(np.int64), rows.indices.astype(np.int32)
    return SparseGraph(indptr, indices, rows.data).cost(np.array(found.membership))


def bench_signed() -> list[dict[str, Any]]:
    rows = []
    for name in ("bitcoin_alpha", "bitcoin_otc"):
        network = signed_network(name)
        row: dict[str, Any] = {"instance": name, "n": network.shape[0], "time_limit": 10}
        solver = CorrelationClustering(random_state=0, time_limit=10)
        with timed(row):
            solver.fit(network)
        rows.append(row | {"cost": solver.cost_, "gap": solver.gap_, "leiden": leiden_cost(network)})
    for n in (30, 500, 2001):
        i, weights = np.arange(n), np.ones(n)
        weights[0] = -2.0
        half = sparse.coo_array((weights, (i, (i + 1) % n)), shape=(n, n))
        row = {"instance": "ring with one repulsive edge", "n": n, "time_limit": 10}
        solver = CorrelationClustering(random_state=0, time_limit=10)
        with timed(row):
            solver.fit((half + half.T).tocsr())
        rows.append(row | {"cost": solver.cost_, "gap": solver.gap_})
    return rows


def bench_bounds(chosen: list[int]) -> list[dict[str, Any]]:
    rows = []
    for kind, threshold, n, limit, aim in (BOUNDS[place] for place in chosen):
        row: dict[str, Any] = {"instance": f"{kind} {threshold}", "n": n, "time_limit": limit, "aim": aim}
        solver = CorrelationClustering(random_state=0, time_limit=limit)
        with timed(row):
            solver.fit_embeddings(embeddings(n, kind), threshold)
        rows.append(row | {"cost": solver.cost_, "gap": solver.gap_})
    return rows


def bench_sweep() -> list[dict[str, Any]]:
    vectors = embeddings(10000, "a")
    rows = []
    for method, count, peer in (("greedy", 100, "prototype 16.5 s"), ("local_search", 100, "")):
        row: dict[str, Any] = {"instance": f"a, n = 10000, {count} thresholds, {method}", "peer": peer}
        with timed(row):
            sweep(vectors, np.linspace(0.1, 0.9, count).tolist(), method=method, random_state=0)
        rows.append(row)
    return rows


def recall(vectors: np.ndarray, graph: SparseGraph, neighbours: int, sample: int = 500) -> float:
    """Share of the true nearest neighbours of a sample that are neighbours in the graph."""
    nodes = np.random.default_rng(0).choice(len(vectors), sample, replace=False)
    products = vectors[nodes] @ vectors.T
    products[np.arange(sample), nodes] = -np.inf
    nearest = np.argpartition(-products, neighbours, axis=1)[:, :neighbours]
    rows = [graph.indices[graph.indptr[i] : graph.indptr[i + 1]] for i in nodes]
    return float(np.mean([np.isin(true, row).mean() for true, row in zip(nearest, rows, strict=True)]))


def save_embeddings(n: int, path: str) -> None:
    np.save(path, embeddings(n, "a"))


def solve_sparse(n: int, limit: float, path: str) -> dict[str, Any]:
    """One row of `sparse`, on the vectors at ``path``."""
    warm = CorrelationClustering(random_state=0, memory_limit=0, pairs="neighbours")
    warm.fit_embeddings(embeddings(2500, "a"), 0.5)
    vectors = np.load(path)
    row: dict[str, Any] = {"instance": "a 0.5, 50 neighbours", "n": n, "time_limit": limit}
    solver = CorrelationClustering(random_state=0, time_limit=limit, memory_limit=0, pairs="neighbours")
    with timed(row):
        started = time.monotonic()
        graph = solver.graph_of(vectors, 0.5)
        stages = {"neighbours": time.monotonic() - started}
        solver.fit_graph(graph)
    row["stages"] = {name: round(seconds, 1) for name, seconds in (stages | solver.seconds_).items()}
    row |= {"edges": graph.indices.size // 2, "clusters": solver.n_clusters_, "cost": solver.cost_, "gap": solver.gap_}
    row["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return row | {"recall": round(recall(vectors, graph, 50), 4)}


def in_own_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """Run a function in a separate process, so that its peak memory can be measured; returns its result."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def bench_sparse(chosen: list[int]) -> list[dict[str, Any]]:
    rows = []
    for n, limit, peer in (SPARSE[place] for place in chosen):
        with tempfile.NamedTemporaryFile(suffix=".npy") as file:
            in_own_process(save_embeddings, n, file.name)
            rows.append({"peer": peer} | in_own_process(solve_sparse, n, limit, file.name))
    return rows


SECTIONS: dict[str, Callable[..., list[dict[str, Any]]]] = {
    "gaec": bench_gaec,
    "quality": bench_quality,
    "certificates": bench_certificates,
    "modularity": bench_modularity,
    "cliques": bench_cliques,
    "search": bench_search,
    "signed": bench_signed,
    "bounds": bench_bounds,
    "sweep": bench_sweep,
    "sparse": bench_sparse,
}


# Sections whose rows can be measured individually.
ROWS: dict[str, list[Any]] = {"bounds": BOUNDS, "sparse": SPARSE}


def main(names: list[str]) -> None:
    if not FOLDER.is_dir():
        sys.exit(f"no instances at {FOLDER}; set TELESCOPE_SHARED to the folder of shared data")
    CorrelationClustering(random_state=0).fit(np.array([[0.0, 1.0, 1.0], [1.0, 0.0, -1.0], [1.0, -1.0, 0.0]]))
    for argument in names or SECTIONS:
        name, _, places = argument.partition(":")
        if name in ROWS:
            chosen = [int(place) for place in places.split(",")] if places else list(range(len(ROWS[name])))
            rows = SECTIONS[name](chosen)
        else:
            chosen, rows = [], SECTIONS[name]()
        for row in rows:
            print(name, json.dumps(row))
        keep(RESULTS, name, replaced(name, chosen, rows) if places else rows)


def replaced(name: str, chosen: list[int], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The recorded rows of a section, some of them replaced by new ones."""
    recorded: list[dict[str, Any]] = json.loads(RESULTS.read_text(encoding="utf-8"))[name]
    for place, row in zip(chosen, rows, strict=True):
        recorded[place] = row
    return recorded


if __name__ == "__main__":
    main(sys.argv[1:])
