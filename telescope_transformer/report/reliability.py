"""What is known about the similarities: the threshold, how probabilities were tested, and the reliability diagram."""

from collections.abc import Mapping
from typing import Any

from telescope_transformer.threshold import DEFAULT_THRESHOLD, FEWEST_SOURCES

# Width and height in units of the SVG. Our choice.
SIZE = 200


def is_calibrated(solution: Mapping[str, Any]) -> bool:
    """Whether margins are log-odds in nats: without a calibration, the scale of the weights is 1."""
    return bool(solution.get("scale", 1.0) != 1.0)


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


def similarity_texts(solution: Mapping[str, Any], calibration: Mapping[str, Any] | None) -> list[str]:
    """Sentences about where the threshold comes from, and how the probabilities were tested.

    Args:
        solution: the solution of the clustering.
        calibration: the values of a `Calibration`; None if there is none.
    """
    return [*_about_threshold(solution, calibration), _about_probabilities(calibration)]


def _about_threshold(solution: Mapping[str, Any], calibration: Mapping[str, Any] | None) -> list[str]:
    learned = DEFAULT_THRESHOLD if calibration is None else calibration["threshold"]
    threshold = solution.get("threshold", None if calibration is None else learned)
    if threshold is None:
        return []
    default = calibration is None or calibration.get("agreement") == []
    if abs(threshold - learned) >= 0.0005:
        otherwise = "" if default else f"; learned without labels it would be {learned:.3f}"
        origin = f"which was set by hand{otherwise}"
    elif default:
        origin = f"the default, because fewer than {FEWEST_SOURCES} sources have two windows to learn it from"
    elif calibration is not None and calibration.get("from_checkpoint"):
        origin = "which comes with the checkpoint, because too few sources have two windows to learn it from"
    else:
        origin = "chosen without labels, so that other windows of the same sources form the same clusters"
    return [f"Two windows attract each other above a cosine similarity of {threshold:.3f}, {origin}."]


def _about_probabilities(calibration: Mapping[str, Any] | None) -> str:
    if calibration is None:
        return (
            "Too few sources have several windows, so it is not known how likely two windows of a given similarity "
            "are of one source."
        )
    what = "The probability that two windows are of one source, if half of all pairs are,"
    error = calibration["expected_calibration_error"]
    if calibration.get("from_checkpoint"):
        tested = "" if error is None else f" There, its expected calibration error was {error:.3f}."
        return (
            f"{what} comes with the checkpoint, because too few sources have two windows: it was fitted to records of "
            f"other telescopes or other days.{tested} On these records the error may be larger."
        )
    if error is None:
        return f"{what} was fitted to these records. It was not tested, because too few sources have two windows."
    seen = calibration.get("unseen") is False
    doubt = " The model may have learned from some of these sources, so the error on others may be larger."
    return (
        f"{what} was tested on sources that it was not fitted to. Its expected calibration error: {error:.3f}."
        f"{doubt if seen else ''}"
    )
