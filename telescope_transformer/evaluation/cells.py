"""Long evaluations in pieces: each cell of a table is a JSON file that is computed and written once."""

import json
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from telescope_transformer.errors import InputError, reason
from telescope_transformer.evaluation.tables import short
from telescope_transformer.files import read_json, text_digest, write_text

FOLDER = "cells"


@dataclass(frozen=True)
class Cells:
    """The cells of an evaluation in a folder.

    Args:
        output: the evaluation's folder.
        schema: identifies the kind of evaluation in the files.
    """

    output: Path
    schema: str

    def compute(
        self,
        key: Mapping[str, Any],
        measure: Callable[[], Mapping[str, Any]],
        depends: Mapping[str, Any],
        data: str | None = None,
    ) -> dict[str, Any]:
        """Read the cell of a key from its file, or compute it if there is none or its dependencies changed.

        Args:
            key: plain values that name the cell.
            measure: computes the content of the cell.
            depends: what the cell depends on besides its key, such as settings; values are compared as text.
            data: fingerprint of the records that are measured. Cells of earlier versions have none and are kept.
        """
        path = self._path(key)
        found = read_cell(path) if path.is_file() else {}
        settings = text_digest(json.dumps(depends, sort_keys=True, default=str))
        same = found.get("settings") == settings and found.get("data", data) == data
        if found.get("schema") == self.schema and same:
            return found
        begun = time.process_time()
        content = dict(measure())
        made_of = {"settings": settings} if data is None else {"settings": settings, "data": data}
        cell = {"schema": self.schema, **made_of, **key, **plain(content)}
        cell["processor_seconds"] = round(time.process_time() - begun, 1)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(cell, indent=1, allow_nan=False) + "\n")
        return cell

    def all(self) -> list[dict[str, Any]]:
        """Every cell that has a file, in the order of file names."""
        found = [read_cell(path) for path in sorted((self.output / FOLDER).glob("*.json"))]
        return [cell for cell in found if cell.get("schema") == self.schema]

    def _path(self, key: Mapping[str, Any]) -> Path:
        return self.output / FOLDER / f"{'_'.join(str(value).replace('/', '-') for value in key.values())}.json"


def read_cell(path: Path) -> dict[str, Any]:
    """A cell's file.

    Raises:
        InputError: if it is damaged.
    """
    try:
        cell = read_json(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a cell of an evaluation: {reason(error)}") from error
    if not isinstance(cell, dict):
        raise InputError(f"{path}: not a cell of an evaluation")
    return cell


def plain(value: Any) -> Any:
    """Values for JSON: floats with five digits, NaN as null."""
    if isinstance(value, Mapping):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    if isinstance(value, (float, np.floating)):
        return float(f"{value:.5g}") if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value


def spread(values: Iterable[float | None]) -> str:
    """Mean and range over seeds for a table, such as `.873 (.865 to .881)`; empty if there are no values."""
    known = [value for value in values if value is not None]
    if not known:
        return ""
    mean = short(float(np.mean(known)))
    return mean if len(known) == 1 else f"{mean} ({short(min(known))} to {short(max(known))})"


def check_known(names: Iterable[str], known: Collection[str], owner: str, what: str) -> None:
    """Refuse unknown names.

    Args:
        names: names to look up.
        known: all valid names.
        owner, what: for the message, as in "the plan has no telescope 'x'".

    Raises:
        InputError: naming the first unknown name.
    """
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InputError(f"{owner} has no {what} {unknown[0]!r}; it has {', '.join(known)}")
