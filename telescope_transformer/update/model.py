"""The model of a running analysis: the checkpoint named by the settings, or one that was adapted to the telescope.

An adapted checkpoint is stored in the state itself, so the state is always one complete file, even after a kill.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.analysis import AnalysisSettings, Embedder
from telescope_transformer.analysis.embedding_stage import MOST_LEARNED, unseen_windows
from telescope_transformer.calibration import Calibration
from telescope_transformer.embedding import embed_windows, load_network
from telescope_transformer.errors import StateError
from telescope_transformer.hub import checkpoint_folder
from telescope_transformer.placement import Embed
from telescope_transformer.progress import Say
from telescope_transformer.update.state import State
from telescope_transformer.windows import Windows


class StateModel:
    """Embeds windows with the model of a state.

    Args:
        state: an open state.
        settings: the model, and whether and how the shipped model is adapted.
        embedder: a function from windows to embeddings that replaces the model. Nothing is adapted then.
    """

    def __init__(self, state: State, settings: AnalysisSettings, embedder: Embed | None = None):
        self._state, self._settings, self._given = state, settings, embedder
        self._named = Embedder(settings.model)
        # The loaded checkpoint and the adaptation that it belongs to: a failed step rolls back to an older one.
        self._adapted: tuple[str | None, Embed] | None = None

    @property
    def adapts(self) -> bool:
        """Whether the model may be adapted to the telescope: trained on it, or at least centred."""
        return self._given is None and self._settings.model is None

    @property
    def wants_training(self) -> bool:
        """Whether the model may be trained on the telescope but has not been yet."""
        return self.adapts and self._settings.adapt and not (adaptation_of(self._state) or {}).get("adapted")

    @property
    def is_own(self) -> bool:
        """Whether the state holds the checkpoint that it uses."""
        return self._given is None and self._state.has_model

    @property
    def digest(self) -> str | None:
        """Digest of the named checkpoint; None if the state's own checkpoint or `embedder` is used instead."""
        return None if self._given is not None or self.is_own else self._named.digest

    def __call__(self, windows: pa.Table) -> np.ndarray:
        """Embeddings float32 (n_windows, dimensions)."""
        if self._given is not None:
            return self._given(windows)
        if not self.is_own:
            return self._named(windows)
        adaptation = self._state.setting("adaptation")
        if self._adapted is None or self._adapted[0] != adaptation:
            self._adapted = adaptation, self._load()
        return self._adapted[1](windows)

    def calibration(self) -> Calibration | None:
        """The calibration of the checkpoint; None if it has none."""
        if self._given is not None:
            return None
        if not self.is_own:
            return Calibration.of_checkpoint(checkpoint_folder(self._settings.model))
        with self._own_folder() as folder:
            return Calibration.load(folder)

    def _load(self) -> Embed:
        with self._own_folder() as folder:
            loaded = load_network(folder)
        return lambda table: embed_windows(*loaded, table, progress=False)

    @contextmanager
    def _own_folder(self) -> Iterator[str]:
        """A temporary folder with the checkpoint that the state holds."""
        with TemporaryDirectory(prefix="telescope-model-") as folder:
            for name, content in self._state.model_files().items():
                (Path(folder) / _plain_name(name)).write_bytes(content)
            yield folder

    def adapt(self, windows: Windows, say: Say, *, only_trained: bool = False) -> bool:
        """Adapt the shipped model to the newest of these windows.

        Args:
            windows: windows of any length.
            say: prints messages.
            only_trained: whether to keep the present model if the shipped one could be centred but not trained.

        Returns:
            Whether the model changed.
        """
        # Imported here, because most updates do not train.
        from telescope_transformer.learning.adapt import AdaptSettings, adapt

        settings = AdaptSettings(steps=self._settings.training_steps, seed=self._settings.seed)
        found = adapt(windows.slice(max(0, len(windows) - MOST_LEARNED), len(windows)), settings=settings, say=say)
        changed = found.adapted or (found.changed and not only_trained)
        if changed or not self.is_own:
            facts = {"facts": found.facts, "kept_out": found.kept_out.to_pylist()}
            self._state.set("adaptation", json.dumps(facts))
        if changed:
            with TemporaryDirectory(prefix="telescope-model-") as folder:
                found.save(folder)
                files = {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir()) if path.is_file()}
            self._state.set_model(files)
        return changed

    def unseen(self, sources: pa.ChunkedArray) -> np.ndarray | None:
        """Which windows have sources that the model has certainly not learned from, bool (n,); None if all have."""
        if self._given is not None:
            return None
        if not self.is_own:
            return unseen_windows(self._settings.model, sources)
        stored = json.loads(self._state.setting("adaptation") or "{}")
        if not stored or not stored["facts"]["adapted"]:
            return None
        kept_out = pa.array(stored["kept_out"], pa.string())
        return pc.is_in(sources, value_set=kept_out).to_numpy(zero_copy_only=False)


def adaptation_of(state: State) -> dict[str, Any] | None:
    """The facts about the adaptation of the model, for the report; None if none was tried."""
    stored = state.setting("adaptation")
    return json.loads(stored)["facts"] if stored else None


def _plain_name(name: str) -> str:
    """Return a stored name if it is a file name without a path, because somebody else may have made the state."""
    if name != os.path.basename(name) or name in ("", ".", ".."):
        raise StateError(f"the state's model has a file {name!r}, which is not a plain file name")
    return name
