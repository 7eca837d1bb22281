"""The reliability diagram: predicted against observed probability."""

from collections.abc import Mapping
from typing import Any

# Width and height in units of the SVG. Our choice.
SIZE = 200


def reliability_picture(calibration: Mapping[str, Any]) -> dict[str, Any] | None:
    """Points of the reliability diagram in a square of `SIZE` units, with y downwards; None if no bins were recorded.

    Args:
        calibration: has `reliability`, a list of {predicted, observed, pairs} with probabilities in 0..1.
    """
    bins = [row for row in calibration.get("reliability") or [] if row["pairs"] > 0]
    if not bins:
        return None
    points = [(SIZE * row["predicted"], SIZE * (1 - row["observed"])) for row in bins]
    return {
        "size": SIZE,
        "points": [(round(x, 1), round(y, 1)) for x, y in points],
        "rows": bins,
    }
