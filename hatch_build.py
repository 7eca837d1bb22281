"""The README in the metadata of the package: links to files of the repository have no target there and become text."""

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

# A picture or a link of Markdown whose target is neither a URL nor a place on the page.
RELATIVE = re.compile(r"(?P<picture>!?)\[(?P<text>[^\]]*)\]\((?!https?://|#)[^)]*\)")


class ReadmeHook(MetadataHookInterface):
    """Found by hatchling through `[tool.hatch.metadata.hooks.custom]`."""

    def update(self, metadata: dict[str, Any]) -> None:
        readme = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        text = RELATIVE.sub(lambda link: "" if link["picture"] else link["text"], readme)
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
