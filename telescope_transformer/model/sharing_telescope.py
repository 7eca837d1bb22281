"""What makes a folder loadable by stock clients without this package: its code beside the weights.

`AutoModel`, `AutoConfig`, `AutoTokenizer` and `pipeline` with `trust_remote_code=True` read the names of classes from
`auto_map` and `custom_pipelines` of the configurations, and the modules from files of the same flat folder.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CONTRASTIVE = "TelescopeForContrastiveLearning"
MODEL_CLASSES = {
    "AutoConfig": "configuration_telescope.TelescopeConfig",
    "AutoModel": "modeling_telescope.TelescopeModel",
}
# A pair of slow and fast class; a class that does not end in "Fast" stands first.
TOKENIZER_CLASSES = {"AutoTokenizer": ["tokenization_telescope.FlowTokenizer", None]}
PIPELINE = "pipeline_telescope.FlowEmbeddingPipeline"


def bundle_source(folder: str | Path) -> list[Path]:
    """Copy this folder's modules into `folder` and name their classes in its config.json and tokenizer_config.json.

    Returns:
        The modules that were copied.
    """
    target = Path(folder)
    modules = sorted(path for path in HERE.glob("*.py") if path.name != "__init__.py")
    for module in modules:
        shutil.copyfile(module, target / module.name)
    _extend(target / "config.json", _model_entries)
    _extend(target / "tokenizer_config.json", lambda known: {"auto_map": TOKENIZER_CLASSES})
    return [target / module.name for module in modules]


def _model_entries(config: dict[str, Any]) -> dict[str, Any]:
    """Names of the classes; the pipeline loads the projection head where the checkpoint has one."""
    classes, loader = dict(MODEL_CLASSES), "AutoModel"
    if CONTRASTIVE in (config.get("architectures") or ()):
        loader = "AutoModelForPreTraining"
        classes[loader] = f"modeling_telescope.{CONTRASTIVE}"
    return {"auto_map": classes, "custom_pipelines": {"flow-embedding": {"impl": PIPELINE, "pt": [loader]}}}


def _extend(path: Path, entries: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    if path.is_file():
        known = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps(known | entries(known), indent=2, sort_keys=True) + "\n", encoding="utf-8")


class SharedWithCode:
    """Mixin of classes with `push_to_hub`: what they upload carries the code that loads it."""

    def _upload_modified_files(self, working_dir: Any, *args: Any, **kwargs: Any) -> Any:
        bundle_source(working_dir)
        return super()._upload_modified_files(working_dir, *args, **kwargs)  # type: ignore[misc]
