"""Pages that mkdocs generates from the repository: command line, record fields, notebooks, and README figures."""

import base64
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
from mkdocs.structure.files import File, Files

from telescope_transformer.fields import FIELDS

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ("analyze", "embeddings", "correlation-clustering")


def on_files(files: Files, config) -> Files:  # type: ignore[no-untyped-def]
    """Add the generated pages and pictures."""
    files.append(File.generated(config, "reference/cli.md", content=command_line()))
    for name in NOTEBOOKS:
        text, pictures = notebook(ROOT / "examples" / f"{name}.ipynb")
        files.append(File.generated(config, f"tutorials/{name}.md", content=text))
        for number, picture in enumerate(pictures):
            files.append(File.generated(config, f"tutorials/{name}-{number}.png", content=picture))
    return files


def on_page_markdown(markdown: str, page, config, files) -> str:  # type: ignore[no-untyped-def]
    """Fill the table of fields and the figures of quality."""
    markdown = markdown.replace("<!-- fields -->", "\n".join(field_rows()))
    return markdown.replace("<!-- how good -->", readme_section("How good"))


def readme_section(title: str) -> str:
    """The text below a second-level heading of the README."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return text.split(f"## {title}\n")[1].split("\n## ")[0].strip()


def field_rows() -> Iterator[str]:
    """A Markdown table of the fields of a flow record."""
    yield "| field | type | required | names of columns |"
    yield "|---|---|---|---|"
    for field in FIELDS:
        names = ", ".join(f"`{name}`" for name in field.aliases.split())
        yield f"| `{field.name}` | {field.type} | {'yes' if field.required else ''} | {names} |"


def command_line() -> str:
    """Every command with its options, as Markdown by Typer's own documentation command."""
    typer = [sys.executable, "-m", "typer", "telescope_transformer.cli.main", "utils", "docs"]
    command = [*typer, "--name", "telescope", "--title", "Command line"]
    text = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    # Click marks a paragraph whose line breaks are kept with this character; Markdown needs a code block instead.
    return re.sub(r"^Example: (.+)\n", r"Example:\n\n```\n\1\n```\n\n", text.replace("\b\n", ""), flags=re.MULTILINE)


def notebook(path: Path) -> tuple[str, list[bytes]]:
    """A notebook as Markdown, and its pictures in the order in which the text names them."""
    parts: list[str] = []
    pictures: list[bytes] = []
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
            continue
        parts.append(f"```python\n{cell.source}\n```")
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/png" in data:
                parts.append(f"![Output]({path.stem}-{len(pictures)}.png)")
                pictures.append(base64.b64decode(data["image/png"]))
            elif text := output.get("text") or data.get("text/plain"):
                parts.append(f"```text\n{text.rstrip()}\n```")
    parts.append(f"The notebook is `examples/{path.name}` in the repository.")
    return "\n\n".join(parts) + "\n", pictures
