"""Threads for the ascent on large complete graphs, with the same result as one thread.

The nodes are split into consecutive tiles. A triangle with nodes in the tiles a, b and c only changes pairs between
these three tiles, so threads can work on triangles of different tiles at the same time. A task waits for the tasks
before it that change the same pairs. Steps on different pairs do not influence each other, so the result is that of
running all tasks one after the other, whatever the number of threads.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import combinations_with_replacement
from queue import SimpleQueue
from typing import TypeVar

import numpy as np
from numba import config

from telescope_transformer.correlation_clustering.bounds.separation_triangles import BLOCK

Result = TypeVar("Result")

# Number of tiles of a large graph. Four rounds on 9,630 windows take 22 s of processor time with eight tiles and 28 s
# with sixteen, in two threads as in one.
_TILES = 8
# Graphs with fewer nodes are one tile, because their tasks would be too short: at 2,000 nodes, 0.6 ms each.
_LEAST_NODES = 2_048


class Tiling:
    """Tiles of the nodes of a complete graph, and threads for tasks on three tiles each.

    Attributes:
        tiles: first node and one past the last node of each tile. Tiles begin at multiples of `BLOCK`.
        triples: the three tiles of each task, in ascending order; a tile may occur several times.

    Args:
        n: number of nodes.
    """

    def __init__(self, n: int) -> None:
        count = 1 if n < _LEAST_NODES else _TILES
        borders = [n * t // count // BLOCK * BLOCK for t in range(count)]
        self.tiles = list(zip(borders, [*borders[1:], n], strict=True))
        self.triples = list(combinations_with_replacement(range(count), 3))
        self._numbers = {triple: task for task, triple in enumerate(self.triples)}
        pairs = [{(a, b), (a, c), (b, c)} for a, b, c in self.triples]
        self._meet = np.array([[not first.isdisjoint(second) for second in pairs] for first in pairs])

    def number(self, a: int, b: int, c: int) -> int:
        """Number of the task on three tiles, in any order."""
        first, second, third = sorted((a, b, c))
        return self._numbers[first, second, third]

    def run(self, work: Callable[[int], Result], tasks: Sequence[int]) -> list[Result]:
        """Run tasks in threads, with the same result as one after the other.

        Args:
            work: called with the place of each task in ``tasks``; must release the GIL to gain from threads.
            tasks: numbers of the tasks.

        Returns:
            The results, in the order of ``tasks``.
        """
        if len(tasks) <= 1:
            return [work(place) for place in range(len(tasks))]
        before = np.tril(self._meet[np.ix_(tasks, tasks)], -1)
        waits_for = before.sum(axis=1)
        results: dict[int, Result] = {}
        done: SimpleQueue[tuple[int, Future[Result]]] = SimpleQueue()

        def finish(place: int, future: Future[Result]) -> None:
            done.put((place, future))

        # One thread for each processor that this process may use, unless the environment sets NUMBA_NUM_THREADS.
        pool = ThreadPoolExecutor(config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]
        try:
            ready = np.flatnonzero(waits_for == 0)
            while len(results) < len(tasks):
                for place in ready.tolist():
                    pool.submit(work, place).add_done_callback(partial(finish, place))
                place, future = done.get()
                results[place] = future.result()
                after = np.flatnonzero(before[:, place])
                waits_for[after] -= 1
                ready = after[waits_for[after] == 0]
        finally:
            # After an interrupt, tasks that have begun end within a second, and the others are not started.
            pool.shutdown(cancel_futures=True)
        return [results[place] for place in range(len(tasks))]
