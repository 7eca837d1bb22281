"""Compare our search with GAEC and KLj of github.com/bjoern-andres/graph on sparse graphs; writes results/klj.json.

Run: ANDRES_GRAPH=folder-of-its-checkout python tests/benchmarks/klj.py

Compiles klj.cpp with g++ against the headers of the checkout. Our search gets as much processor time as GAEC and KLj
took together, but at least a tenth of a second, because Python needs about that long to start the first search.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from clustering import embeddings, signed_network
from measuring import keep
from scipy import sparse

from telescope_transformer.correlation_clustering import CorrelationClustering, SparseGraph

RESULTS = Path(__file__).parent / "results" / "klj.json"
SHORTEST = 0.1


def graphs() -> Iterator[tuple[str, SparseGraph]]:
    for name in ("bitcoin_alpha", "bitcoin_otc"):
        rows = signed_network(name)
        yield name, SparseGraph(rows.indptr.astype(np.int64), rows.indices.astype(np.int32), rows.data.astype(float))
    for n in (5_000, 20_000):
        solver = CorrelationClustering(random_state=0, memory_limit=0, pairs="neighbours")
        near = solver.graph_of(embeddings(n, "a"), 0.5)
        assert isinstance(near, SparseGraph)
        yield "a 0.5, 50 neighbours", near


def of_peer(program: Path, graph: SparseGraph, folder: Path) -> dict[str, float]:
    """Processor seconds and costs of GAEC alone, and of GAEC followed by KLj."""
    upper = sparse.triu(graph.rows(), 1).tocoo()
    edges = np.column_stack([*upper.coords, upper.data]).astype(np.float64)
    path = folder / "graph.bin"
    np.concatenate([[graph.n], edges.reshape(-1)]).tofile(path)
    out = subprocess.run([program, path], capture_output=True, text=True, check=True).stdout
    names = ("gaec_seconds", "gaec_cost", "klj_seconds", "klj_cost")
    return dict(zip(names, map(float, out.split()), strict=True))


def measured(program: Path, name: str, graph: SparseGraph, folder: Path) -> dict[str, Any]:
    row: dict[str, Any] = {"instance": name, "n": graph.n, "edges": graph.indices.size // 2}
    row |= of_peer(program, graph, folder)
    limit = max(row["klj_seconds"], SHORTEST)
    solver = CorrelationClustering(method="local_search", random_state=0, time_limit=limit)
    started = time.process_time()
    solver.fit_graph(graph)
    return row | {"cost": solver.cost_, "cpu": time.process_time() - started}


def main() -> None:
    checkout = os.environ.get("ANDRES_GRAPH")
    if checkout is None:
        sys.exit("set ANDRES_GRAPH to a checkout of github.com/bjoern-andres/graph")
    time.monotonic = time.process_time
    everything = list(graphs())
    for _, graph in everything[:1]:
        # An untimed run, because it compiles our kernels.
        CorrelationClustering(method="local_search", random_state=0).fit_graph(graph)
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "klj"
        source = Path(__file__).with_suffix(".cpp")
        include = Path(checkout) / "include"
        subprocess.run(["g++", "-O3", "-std=c++17", "-w", "-I", include, source, "-o", program], check=True)
        rows = [measured(program, name, graph, Path(folder)) for name, graph in everything]
    for row in rows:
        print(row)
    keep(RESULTS, "rows", rows)


if __name__ == "__main__":
    main()
