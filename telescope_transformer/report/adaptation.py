"""Describes in words how learning from the telescope's own records changed the model."""

from collections.abc import Mapping
from typing import Any

# What the figures of `learning.held_out` are called in the report.
NAMES = {
    "same_source": "windows of one source against windows of two",
    "hard": "the same among windows to one service",
}


def adaptation_text(facts: Mapping[str, Any] | None) -> str | None:
    """Returns one or two sentences, or None if adaptation was not tried.

    Args:
        facts: the value of `learning.adapt.Adaptation.facts`.
    """
    if not facts:
        return None
    if not facts.get("adapted"):
        what = "only centred on" if facts.get("centred") else "not adapted to"
        return f"The model was {what} this telescope: {facts.get('reason', 'the reason was not recorded')}."
    told = f"The model learned from {facts.get('sources', 0):,} sources of this telescope, without labels."
    before, after = facts.get("before") or {}, facts.get("after") or {}
    compared = [
        f"{name}: {before[key]:.3f} before, {after[key]:.3f} after"
        for key, name in NAMES.items()
        if isinstance(before.get(key), float) and isinstance(after.get(key), float)
    ]
    if not compared:
        return told
    return (
        f"{told} On {facts.get('kept_out', 0):,} sources that it did not learn from, AUROC of {'; '.join(compared)}."
    )
