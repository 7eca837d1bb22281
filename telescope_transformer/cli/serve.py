"""`telescope serve`: the report on loopback."""

from pathlib import Path
from typing import Annotated

import typer


def serve(
    folder: Annotated[Path, typer.Argument(help="Output folder of analyze or update.")],
    port: Annotated[
        int, typer.Option(help="Port on the loopback address; 0 takes a free one.", min=0, max=65535)
    ] = 8707,
) -> None:
    """Show the report on this machine only, filtered live by day, service and source; Ctrl-C ends it.

    A page that is loaded again shows what `telescope watch` has written since.

    Example: telescope serve out
    """
    from telescope_transformer.cli.options import tell
    from telescope_transformer.errors import InputError
    from telescope_transformer.serve import ReportServer, Served

    served = Served(folder)
    try:
        server = ReportServer(served, port)
    except OSError as error:
        raise InputError(f"port {port}: {error.strerror}; choose another with --port") from error
    with server:
        tell(f"open {server.address}")
        server.serve_forever()
