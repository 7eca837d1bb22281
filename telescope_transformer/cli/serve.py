"""`telescope serve`: the report on loopback."""

from pathlib import Path
from typing import Annotated

import typer

from telescope_transformer.progress import say


def serve(
    folders: Annotated[
        list[Path], typer.Argument(help="Output folders of analyze or update, or a folder that holds several.")
    ],
    port: Annotated[
        int, typer.Option(help="Port on the loopback address; 0 takes a free one.", min=0, max=65535)
    ] = 8707,
) -> None:
    """Serve reports on the loopback address, with a search over all sources; Ctrl-C ends it.

    Reload the page to see what `telescope watch` has written in the meantime. With several analyses, for example of
    several days, the page has a list of the newest 60 to choose from; new days appear in it.

    Example: telescope serve out
    """
    from telescope_transformer.errors import InputError
    from telescope_transformer.serve import Analyses, ReportServer

    analyses = Analyses(folders)
    try:
        server = ReportServer(analyses, port)
    except OSError as error:
        raise InputError(f"port {port}: {error.strerror}; choose another with --port") from error
    with server:
        say(f"open {server.address}")
        server.serve_forever()
