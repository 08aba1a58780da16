"""`deepfake-audio app`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from deepfake_audio.cli.options import Verbose  # noqa: TC001 - typer reads it
from deepfake_audio.streams import open_output, say


def app_(
    *,
    host: Annotated[
        str, typer.Option(help="Where to listen. Any other than this machine's own lets others use the page.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="At which port; 0 takes any that is free.")] = 8501,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open it in the browser.")] = True,
    verbose: Verbose = False,  # noqa: ARG001 - its callback does the work
) -> None:
    """
    Show a page to drop recordings on, in the browser, until Ctrl-C (needs the extra app).

    Recordings go to this machine and no further; nothing of them is kept.

    Examples:
        deepfake-audio app
        deepfake-audio app --port 8600 --no-browser
    """
    from deepfake_audio.webapp.server import LOOPBACK, serving

    if host not in LOOPBACK:
        say(f"everybody who can reach {host} can use the page: it has no password, and is not encrypted")
    try:
        with serving(host, port) as (address, process):
            with open_output(None) as stream:
                stream.write(f"{address}\n")
            say("the page is up; Ctrl-C ends it")
            if browser:
                _open(address)
            code = process.wait()
    except KeyboardInterrupt:
        return  # the way to end it, so nothing that went wrong
    if code > 0:
        sys.exit(2)


def _open(address: str) -> None:
    import webbrowser

    if not webbrowser.open(address):
        say("no browser was found; open the address above in one")
