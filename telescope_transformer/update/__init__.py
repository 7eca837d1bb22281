"""A running analysis: new inputs day by day, clusters that keep their identity, one state file."""

from telescope_transformer.update.running import Step, update
from telescope_transformer.update.state import State

__all__ = ["State", "Step", "update"]
