"""The command that serves the screen."""

from __future__ import annotations

import webbrowser
from typing import Annotated

import typer

from lab.cli.session import open_session

app = typer.Typer()


@app.command(epilog="Example:  lab serve --open")
def serve(
    *,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="The port; 0 takes a free one.")
    ] = 8640,
    open_it: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    host: Annotated[
        str, typer.Option("--host", help="The address; any but loopback needs --token.")
    ] = "127.0.0.1",
    token: Annotated[str, typer.Option("--token", help="The secret in the address; else a new one.")] = "",
) -> None:
    """Show the runs of this folder as pages: alerts, events, cases, the live run; until Ctrl-C."""
    from lab.flow.screen import Serving
    from lab.pipeline import SERVE

    session = open_session()

    def shown(address: str) -> None:
        """Say where it is, and open it where that is wanted."""
        session.screen.line(address)
        session.screen.tell("Ctrl-C ends it; the address holds a token, so keep it to yourself")
        if open_it:
            webbrowser.open(address)

    session.run(SERVE, Serving(shown=shown, port=port, host=host, token=token))
