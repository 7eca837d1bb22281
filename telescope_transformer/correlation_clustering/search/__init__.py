"""Searches for clusterings of low cost."""
