"""
The two streams of a command: results on standard output, messages and progress on standard error.

Standard output carries the result and nothing else. Progress is shown on a terminal only.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import TYPE_CHECKING, Any, TextIO

import typer

from deepfake_audio.errors import OutputError, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path


def say(text: str) -> None:
    """Write one line, whatever characters a file name or a model brings into it."""
    typer.echo(f"deepfake-audio: {printable(text)}", err=True)


def prepare_streams() -> None:
    """Never fail on a character that the terminal's encoding does not have, nor on closed standard error."""
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115 - os.devnull is no Path, and this stays open
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def refuse_overwriting(output: Path | None, inputs: Iterable[str]) -> None:
    """
    Find out before any work whether the output is one of the inputs.

    Raises:
        OutputError: If writing the result would destroy what it was made from.
    """
    if output is None or not output.is_file():
        return
    for path in inputs:
        with contextlib.suppress(OSError, ValueError):
            if output.samefile(path):
                raise OutputError(f"{output}: is an input; give the result another name")


@contextlib.contextmanager
def open_output(output: Path | None, *, machine: bool = False) -> Iterator[TextIO]:
    """Open standard output, or a file that appears once it is complete; what machines read is UTF-8 anywhere."""
    if output is None:
        with _standard_output() as stream:
            if machine and isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(encoding="utf-8", errors="backslashreplace")
            yield stream
        return
    from deepfake_audio.files import replacing

    with replacing(output) as raw:
        stream = io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", newline="")
        yield stream
        stream.flush()
        stream.detach()


@contextlib.contextmanager
def _standard_output() -> Iterator[TextIO]:
    """Yield standard output. Where its reader has gone (``| head``), stop without a word."""
    if sys.stdout is None:
        raise OutputError("standard output is closed; give --output")
    try:
        yield sys.stdout
        sys.stdout.flush()
    except (OSError, SystemExit) as error:  # rich makes a SystemExit of a broken pipe
        # Python writes what is left in its buffer when it ends; that must go somewhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, SystemExit | BrokenPipeError):
            raise typer.Exit(OutputError.exit_code) from error
        raise OutputError(f"standard output cannot be written ({error.strerror})") from error


@contextlib.contextmanager
def progress_bar(what: str, total: int, *, quiet: bool) -> Iterator[Callable[[], None]]:
    """Show a bar while the block runs; yield what to call for each item. The last call takes the bar away."""
    with _live(quiet=quiet or total == 1) as progress:
        if progress is None:
            yield lambda: None
            return
        task = progress.add_task(what, total=total, note="")

        def advance() -> None:
            progress.advance(task)
            if progress.finished:
                progress.stop()  # before a table is printed to the same terminal

        yield advance


@contextlib.contextmanager
def progress_bars(*, quiet: bool) -> Iterator[Callable[..., None]]:
    """Show a bar per named stage; yield what to call with the stage, the step, the number of steps and a note."""
    with _live(quiet=quiet) as progress:
        if progress is None:
            yield lambda *_args, **_kwargs: None
            return
        tasks: dict[str, Any] = {}

        def stage(name: str, step: int, steps: int, note: str = "") -> None:
            if name not in tasks:
                tasks[name] = progress.add_task(name, total=steps, note=note)
            progress.update(tasks[name], completed=step, total=steps, note=note)

        yield stage


@contextlib.contextmanager
def _live(*, quiet: bool) -> Iterator[Any]:
    """Yield rich's progress display on standard error; None where that is no terminal, or nobody wants it."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    # Standard output must stay itself: rich would otherwise take what is written to it for the terminal.
    with Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False) as progress:
        yield progress
