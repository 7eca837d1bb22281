"""Proved lower bounds of the cost."""
