"""Upper bounds on a simulated telescope: partitions found with knowledge of the generator's parameters.

Scanners, backscatter and misconfigured hosts follow the schedule, walk or timer of their actor, which identifies it.
Sources of a worm begin when they are infected, and each sends at a different rate. If two worms have the same ports,
their sources can be distinguished only by the likelihood of their start and volume.
"""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from telescope_transformer.fields import DAY
from telescope_transformer.records.addresses import format_ipv4
from telescope_transformer.simulation import SimulationSettings
from telescope_transformer.simulation.behaviours import WORM
from telescope_transformer.simulation.population import INFECTION_DELAY, SOURCE_SPREAD, draw_population
from telescope_transformer.simulation.telescope import START


def oracle_partition(settings: SimulationSettings) -> tuple[pa.Array, NDArray[np.int64], NDArray[np.int64]]:
    """Sources of a simulation with their actors and the oracle's clusters.

    Returns:
        Addresses (n,), codes of the true actors (n,), and clusters (n,): each source is assigned to the most likely
        actor.
    """
    sources, duration = _drawn(settings)
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


def behaviour_partition(settings: SimulationSettings) -> tuple[pa.Array, NDArray[np.int64]]:
    """Sources of a simulation, clustered by the behaviour and the ports that the generator gave their actor.

    Two actors with the same behaviour and ports differ only in their rates, which vary between their sources, in their
    times, and in the order in which all their sources together visit the telescope. A window of one source hardly
    shows these differences.

    Returns:
        Addresses (n,) and clusters (n,).
    """
    sources, _ = _drawn(settings)
    seen = np.stack([sources[name].astype(np.int64) for name in ("kind", "first_port", "ports")], axis=1)
    return format_ipv4(sources["address"]), np.unique(seen, axis=0, return_inverse=True)[1].ravel()


def _drawn(settings: SimulationSettings) -> tuple[np.ndarray, int]:
    """The sources that the generator draws, and the duration of the simulation in microseconds."""
    duration = int(settings.days * DAY)
    population = draw_population(
        settings.sources, settings.seed, settings.records_per_source, settings.network, START, duration
    )
    return population.sources, duration


def _log_likelihood(begin: np.ndarray, volume: np.ndarray, members: np.ndarray) -> NDArray[np.float64]:
    """Log-likelihood (n,) that each source belongs to an actor, whose parameters are estimated from its members.

    The delay between the start of the worm (that of its first member) and an infection is exponential.
    """
    delay = begin - begin[members].min()
    infected = np.where(delay >= 0, -np.maximum(delay, 0) / INFECTION_DELAY, -np.inf)
    apart = (volume - volume[members].mean()) / SOURCE_SPREAD
    logarithm: NDArray[np.float64] = infected - apart**2 / 2 + np.log(members.sum())
    return logarithm
