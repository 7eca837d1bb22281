"""A synthetic telescope with ground truth: every source has an actor, and the sources of an actor behave alike."""

from telescope_transformer.simulation.telescope import (
    SimulationSettings,
    simulate,
    simulate_batches,
    write_simulation,
)

__all__ = ["SimulationSettings", "simulate", "simulate_batches", "write_simulation"]
