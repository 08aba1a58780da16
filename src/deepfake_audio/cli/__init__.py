"""
The command line: parse, call, print, exit.

Results go to standard output and nothing else does; messages and progress go to standard error, progress only where
that is a terminal. All errors of this package end here, as one line and an exit code.
"""

from __future__ import annotations

import signal
import sys
import traceback
from typing import Annotated

import typer

from deepfake_audio import __version__
from deepfake_audio.cli.analyze import analysis_ranges, analyze
from deepfake_audio.cli.app import app_
from deepfake_audio.cli.evaluate import evaluate
from deepfake_audio.cli.inspect import inspect
from deepfake_audio.cli.options import EXIT_CODES, state
from deepfake_audio.cli.predict import predict
from deepfake_audio.cli.synthesize import synthesize
from deepfake_audio.cli.train import runs_, train
from deepfake_audio.errors import DeepfakeAudioError
from deepfake_audio.streams import prepare_streams, say

__all__ = ["analyze", "app", "app_", "evaluate", "inspect", "main", "predict", "runs_", "synthesize", "train"]

app = typer.Typer(
    name="deepfake-audio",
    help="Tell genuine speech from audio deepfakes: offline, with a model that ships inside.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(value: bool) -> None:  # noqa: FBT001 - typer's form
    if value:
        typer.echo(f"deepfake-audio {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    pass


for _command in (predict, evaluate, train):
    app.command(epilog=EXIT_CODES)(_command)
app.command("runs", epilog=EXIT_CODES)(runs_)
app.command(epilog=EXIT_CODES)(synthesize)
app.command(epilog=EXIT_CODES)(inspect)
app.command(epilog=EXIT_CODES)(analyze)
app.command(epilog=EXIT_CODES, hidden=True)(analysis_ranges)
app.command("app", epilog=EXIT_CODES)(app_)


def main() -> None:
    """Run the command line and turn errors into one line and an exit code."""
    prepare_streams()
    # An end that unwinds: temporary files are removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        app()
    except DeepfakeAudioError as error:
        if state["verbose"]:
            traceback.print_exc()
        say(str(error))
        sys.exit(error.exit_code)
    except Exception:  # noqa: BLE001 - Python would exit with 1, which says that a deepfake was found
        traceback.print_exc()
        say("this is an error in deepfake-audio itself; please report it with the lines above")
        sys.exit(DeepfakeAudioError.exit_code)
