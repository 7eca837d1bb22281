"""The ceiling on a simulated telescope: a partition by one who knows what the generator drew.

Scanners, backscatter and misconfigured hosts keep their actor's own schedule, walk or timer, which tell actors apart.
Sources of a worm begin when they are infected and send at their own rate, so sources of two worms with the same ports
can only be told apart by how likely their begin and volume are under each.
"""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from telescope_transformer.records.addresses import format_ipv4
from telescope_transformer.simulation import SimulationSettings
from telescope_transformer.simulation.behaviours import HOUR, WORM
from telescope_transformer.simulation.population import draw_population
from telescope_transformer.simulation.telescope import START

# What `simulation.population` draws: the mean delay of an infection in parts of the recording, and the spread of the
# logarithm of a source's volume.
INFECTION_DELAY, VOLUME_SPREAD = 0.15, 0.4


def oracle_partition(settings: SimulationSettings) -> tuple[pa.Array, NDArray[np.int64], NDArray[np.int64]]:
    """Sources of a simulation with their actors and the oracle's clusters.

    Returns:
        Addresses (n,), codes of the true actors (n,), and the clusters (n,): each source is with the actor that is
        most likely to have it.
    """
    duration = int(settings.days * 24 * HOUR)
    population = draw_population(
        settings.sources, settings.seed, settings.records_per_source, settings.network, START, duration
    )
    sources = population.sources
    actors = sources["actor"].astype(np.int64)
    clusters = actors.copy()
    begin = (sources["begin"] - START) / duration
    volume = np.log(sources["rate"] * (sources["end"] - sources["begin"]))
    worms = sources["kind"] == WORM
    for ports in np.unique(sources["first_port"][worms]):
        rows = np.flatnonzero(worms & (sources["first_port"] == ports))
        own = np.unique(actors[rows])
        likelihood = np.stack(
            [_log_likelihood(begin[rows], volume[rows], actors[rows] == actor) for actor in own], axis=1
        )
        clusters[rows] = own[likelihood.argmax(axis=1)]
    return format_ipv4(sources["address"]), actors, clusters


def _log_likelihood(begin: NDArray, volume: NDArray, members: NDArray) -> NDArray[np.float64]:
    """How likely each source is one of an actor's, whose parameters follow from its members, log (n,).

    An infection comes after the worm's begin, which is that of its first member, by an exponential delay.
    """
    delay = begin - begin[members].min()
    infected = np.where(delay >= 0, -np.maximum(delay, 0) / INFECTION_DELAY, -np.inf)
    apart = (volume - volume[members].mean()) / VOLUME_SPREAD
    return infected - apart**2 / 2 + np.log(members.sum())
