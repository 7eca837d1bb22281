"""A running analysis: it takes new inputs day by day, its clusters keep their ids, and its state is a single file."""

from telescope_transformer.update.running import Step, update
from telescope_transformer.update.state import State

__all__ = ["State", "Step", "update"]
