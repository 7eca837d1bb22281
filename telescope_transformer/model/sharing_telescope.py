"""Bundle the source code with the weights, so that stock clients can load a folder without this package.

With `trust_remote_code=True`, `AutoModel`, `AutoConfig`, `AutoTokenizer` and `pipeline` read the names of classes from
`auto_map` and `custom_pipelines` in the configuration files, and the modules from files in the same flat folder.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from huggingface_hub import CommitInfo, HfApi, ModelCard, ModelCardData
from huggingface_hub.errors import EntryNotFoundError

HERE = Path(__file__).parent
CONTRASTIVE = "TelescopeForContrastiveLearning"
MODEL_CLASSES = {
    "AutoConfig": "configuration_telescope.TelescopeConfig",
    "AutoModel": "modeling_telescope.TelescopeModel",
}
# (slow class, fast class). transformers expects a class whose name does not end with "Fast" in the first position.
TOKENIZER_CLASSES = {"AutoTokenizer": ["tokenization_telescope.FlowTokenizer", None]}
UPLOAD_OPTIONS = ("repo_id", "commit_message", "private", "token", "revision", "create_pr", "tags")
PIPELINE = "pipeline_telescope.FlowEmbeddingPipeline"


def bundle_source(folder: str | Path) -> list[Path]:
    """Copy the modules of `model/` into a folder, and register their classes in its configuration files.

    Args:
        folder: a saved model or tokenizer; its config.json and tokenizer_config.json are extended if they exist.

    Returns:
        Paths of the copies.
    """
    target = Path(folder)
    modules = sorted(path for path in HERE.glob("*.py") if path.name != "__init__.py")
    for module in modules:
        shutil.copyfile(module, target / module.name)
    _extend(target / "config.json", _model_entries)
    _extend(target / "tokenizer_config.json", lambda known: {"auto_map": TOKENIZER_CLASSES})
    return [target / module.name for module in modules]


def _model_entries(config: dict[str, Any]) -> dict[str, Any]:
    """Names of the classes; the pipeline loads the projection head if the checkpoint has one."""
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
    """Mixin for models and tokenizers: their uploads to the Hub include the code that loads them."""

    def save_pretrained(
        self, save_directory: str | Path, *args: Any, push_to_hub: bool = False, **options: Any
    ) -> Any:
        """Save as in transformers. `push_to_hub=True` then uploads with `push_to_hub` below.

        Args:
            save_directory: folder; also the name of the repository, unless `repo_id` is given.
            args: passed on to transformers.
            push_to_hub: whether to upload the folder.
            options: options of `save_pretrained` and, with `push_to_hub`, of the upload.
        """
        upload = {name: options.pop(name) for name in UPLOAD_OPTIONS if name in options} if push_to_hub else {}
        saved = super().save_pretrained(save_directory, *args, **options)  # type: ignore[misc]
        if push_to_hub:
            self.push_to_hub(upload.pop("repo_id", Path(save_directory).name), **upload)
        return saved

    def push_to_hub(
        self,
        repo_id: str,
        *,
        commit_message: str | None = None,
        commit_description: str | None = None,
        private: bool | None = None,
        token: str | bool | None = None,
        revision: str | None = None,
        create_pr: bool = False,
        tags: list[str] | None = None,
        **save_options: Any,
    ) -> CommitInfo:
        """Upload the model or tokenizer with its code, as one commit.

        Args:
            repo_id: "user/name"; created if it does not exist.
            commit_message: None names the class.
            commit_description: body of the commit message.
            private: whether a new repository is private; None uses the owner's default.
            token: access token; None uses HF_TOKEN or the stored token.
            revision: branch, created if it does not exist; None is main.
            create_pr: open a pull request instead of committing.
            tags: tags of the model card, which is created if the repository has none.
            save_options: options of `save_pretrained`, such as `max_shard_size`.

        Returns:
            The commit, whose `oid` can be used as a `revision`.
        """
        api = HfApi(token=token, library_name="telescope-transformer")
        name = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
        if revision is not None and not revision.startswith("refs/pr"):
            api.create_branch(name, branch=revision, exist_ok=True)
        with TemporaryDirectory() as folder:
            self.save_pretrained(folder, **save_options)
            bundle_source(folder)
            _tagged_card(name, tags or [], token).save(Path(folder) / "README.md")
            return api.upload_folder(
                repo_id=name,
                folder_path=folder,
                commit_message=commit_message or f"Upload {type(self).__name__}",
                commit_description=commit_description,
                revision=revision,
                create_pr=create_pr,
            )


def _tagged_card(name: str, tags: list[str], token: str | bool | None) -> ModelCard:
    """The card of the repository, or a new minimal card, with `tags` added."""
    try:
        card: ModelCard = ModelCard.load(name, token=token)  # type: ignore[arg-type]  # it takes what HfApi takes
    except EntryNotFoundError:
        card = ModelCard.from_template(
            ModelCardData(library_name="transformers"), template_str="---\n{{card_data}}\n---\n"
        )
    data: Any = card.data  # Its attributes are the keys of the metadata.
    known = list(data.tags or [])
    data.tags = known + [tag for tag in tags if tag not in known] or None
    return card
