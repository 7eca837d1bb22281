"""An evaluation as one HTML page that works offline, with the tables and pictures."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment

from telescope_transformer.evaluation.tables import NOTES, sections


def page(metrics: Mapping[str, Any], pictures: Sequence[Path]) -> str:
    """Render the page; everything from data or options is escaped."""
    drawn = [(path.stem.replace("_", " "), b64encode(path.read_bytes()).decode()) for path in pictures]
    template = files("telescope_transformer.evaluation").joinpath("page.html.jinja").read_text(encoding="utf-8")
    return (
        Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
        .from_string(template)
        .render(data=metrics["data"], sections=sections(metrics), notes=NOTES, pictures=drawn)
    )
