"""The model of a running analysis: the checkpoint named by the settings, or one that was adapted to the telescope.

An adapted checkpoint is stored in the state itself, so the state is always one complete file, even after a kill.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.analysis import AnalysisSettings, LazyEmbedder
from telescope_transformer.analysis.embedding_stage import MOST_LEARNED, unseen_windows
from telescope_transformer.calibration import Calibration
from telescope_transformer.embedding import embed_windows
from telescope_transformer.errors import StateError, TelescopeError
from telescope_transformer.files import file_digest, written_in
from telescope_transformer.hub import checkpoint_folder
from telescope_transformer.model import TelescopeForContrastiveLearning, WindowEncoder
from telescope_transformer.model_calibration import calibrate_telescope
from telescope_transformer.model_files import load_network
from telescope_transformer.placement import Embed
from telescope_transformer.progress import Say
from telescope_transformer.update.state import State
from telescope_transformer.windows import Windows

Loaded = tuple[TelescopeForContrastiveLearning, WindowEncoder]


class StateModel:
    """Embeds windows with the model of a state.

    Args:
        state: an open state.
        settings: the model, and whether and how the shipped model is adapted.
        embedder: a function from windows to embeddings that replaces the model. Nothing is adapted then.

    Raises:
        CheckpointError, HubError: if the model of the settings is missing or damaged.
    """

    def __init__(self, state: State, settings: AnalysisSettings, embedder: Embed | None = None):
        self._state, self._settings, self._given = state, settings, embedder
        self._named = LazyEmbedder(settings.model)
        if embedder is None:
            self._named.check()
        # The loaded checkpoint and the adaptation that it belongs to: a failed step rolls back to an older one.
        self._own: tuple[str | None, Loaded] | None = None

    @property
    def adapts(self) -> bool:
        """Whether the model may be adapted to the telescope: trained on it, or at least centred."""
        return self._given is None and self._settings.model is None

    @property
    def wants_training(self) -> bool:
        """Whether the model may be trained on the telescope but has not been yet."""
        return self.wants_more_windows and self._settings.adapt

    @property
    def wants_more_windows(self) -> bool:
        """Whether the model was at most centred on the telescope, which is better with more windows."""
        return self.adapts and not (adaptation_of(self._state) or {}).get("adapted")

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
        return embed_windows(*self._loaded(), windows, progress=False)

    def calibration(self, windows: Callable[[], pa.Table]) -> Calibration | None:
        """The calibration if too few sources have several windows: of the named checkpoint, or of shorter windows.

        Args:
            windows: returns windows of the telescope. If the state holds the model, they are cut to a few records, of
                which more sources have several, as in `telescope analyze`.
        """
        if self._given is not None:
            return None
        if not self.is_own:
            return Calibration.of_checkpoint(checkpoint_folder(self._settings.model))
        kept_out = self._kept_out()
        return calibrate_telescope(*self._loaded(), windows(), unseen=kept_out, seed=self._settings.seed)

    def _loaded(self) -> Loaded:
        """The checkpoint that the state holds."""
        adaptation = self._state.setting("adaptation")
        if self._own is None or self._own[0] != adaptation:
            with TemporaryDirectory(prefix="telescope-model-") as folder, written_in(Path(folder)):
                for name, content in self._state.model_files().items():
                    # Somebody else may have made the state.
                    if name != os.path.basename(name) or name in ("", ".", ".."):
                        raise StateError(f"{self._state.path}: the model has a file {name!r}, not a plain name")
                    (Path(folder) / name).write_bytes(content)
                try:
                    self._own = adaptation, load_network(folder)
                except TelescopeError as error:
                    # The user does not know the temporary folder.
                    reason = str(error).replace(f"{folder}{os.sep}", "").replace(folder, "the checkpoint")
                    raise StateError(f"{self._state.path}: the model is damaged: {reason}") from error
        return self._own[1]

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
        some = windows.slice(max(0, len(windows) - MOST_LEARNED), len(windows))
        # The state calibrates the model with its clustered windows.
        found = adapt(some, settings=settings, calibrated=False, say=say)
        changed = found.adapted or (found.changed and not only_trained)
        facts = {"facts": found.facts, "kept_out": found.kept_out.to_pylist()}
        if changed:
            with TemporaryDirectory(prefix="telescope-model-") as folder:
                found.save(folder)
                files = {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir()) if path.is_file()}
                # Windows may change without a change of the facts about them.
                facts["weights"] = file_digest(Path(folder) / "model.safetensors")
            self._state.set_model(files)
        if changed or not self.is_own:
            self._state.set("adaptation", json.dumps(facts))
        return changed

    def unseen(self, sources: pa.ChunkedArray) -> np.ndarray | None:
        """Which windows have sources that the model has certainly not learned from, bool (n,); None if all have."""
        if self._given is not None:
            return None
        if not self.is_own:
            return unseen_windows(self._settings.model, sources)
        kept_out = self._kept_out()
        return None if kept_out is None else pc.is_in(sources, value_set=kept_out).to_numpy(zero_copy_only=False)

    def _kept_out(self) -> pa.Array | None:
        """The sources that the state's own model was not trained on; None if it was not trained."""
        stored = self._state.stored("adaptation", {})
        trained = bool(stored) and stored["facts"]["adapted"]
        return pa.array(stored["kept_out"], pa.string()) if trained else None


def adaptation_of(state: State) -> dict[str, Any] | None:
    """The facts about the adaptation of the model, for the report; None if none was tried."""
    found: dict[str, Any] | None = state.stored("adaptation", {}).get("facts")
    return found
