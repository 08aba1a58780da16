"""`deepfake-audio inspect`."""

from __future__ import annotations

import enum
import json
import logging
import sys
import tempfile
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepfake_audio.cli.options import Output, Verbose, suffix_of
from deepfake_audio.streams import open_output, refuse_overwriting

if TYPE_CHECKING:
    from deepfake_audio.modelfile import ModelFile


class InspectionFormat(enum.StrEnum):
    """How what was found is written."""

    TABLE = "table"
    JSON = "json"


def inspect(
    model: Annotated[
        str, typer.Argument(help="A model file, or the name of a shipped one: default, svm, cnn.", metavar="MODEL")
    ] = "default",
    *,
    nodes: Annotated[
        bool, typer.Option("--nodes", help="Also list every operator of the graph in the table; JSON has them anyway.")
    ] = False,
    measure: Annotated[
        bool, typer.Option("--measure", help="Also run the model on noise, to tell how fast it is on this machine.")
    ] = False,
    plot: Annotated[
        Path | None,
        typer.Option(help="Also draw it to this file, .png or .svg.", metavar="FILE"),
    ] = None,
    netron: Annotated[
        bool,
        typer.Option(
            "--netron",
            help="Instead, show the graph in Netron (needs the extra viz) at an address of this machine that is "
            "printed, until Ctrl-C. Netron's own page asks to report its use to its makers.",
        ),
    ] = False,
    format_: Annotated[
        InspectionFormat | None,
        typer.Option("--format", "-f", help="How to write it.", show_default="by the suffix of --output, else table"),
    ] = None,
    output: Output = None,
    verbose: Verbose = False,  # noqa: ARG001 - its callback does the work
) -> None:
    """
    Show what a model file holds: front end, layers, parameters, cost, calibration, training data.

    Nothing of it is run, so this is safe and quick on a file of unknown origin; --measure runs it.

    Examples:
        deepfake-audio inspect default
        deepfake-audio inspect mine.onnx --plot mine.png
        deepfake-audio inspect mine.onnx -f json -o mine-model.json
        deepfake-audio inspect cnn --netron
    """
    from deepfake_audio.files import require_writable
    from deepfake_audio.inspection import inspect_model
    from deepfake_audio.modelfile import read_model

    if netron and (output is not None or format_ is not None or nodes or measure):
        raise typer.BadParameter(
            "--netron shows the graph instead; leave --output, --format, --nodes and --measure out"
        )
    if plot is not None and plot == output:
        raise typer.BadParameter("--plot and --output name the same file")
    found = read_model(model)
    for path in (plot, output):
        refuse_overwriting(path, [str(found.path)])
    if plot is not None:
        require_writable(plot)
    inspection = inspect_model(found, measure=measure)
    if plot is not None:
        from deepfake_audio.reports.drawing import save_drawing

        save_drawing(inspection, plot)
    if netron:
        _serve(found)
        return
    from deepfake_audio.reports.architecture import inspection_record, write_inspection

    chosen = format_ or (InspectionFormat.JSON if suffix_of(output) == "json" else InspectionFormat.TABLE)
    with open_output(output, machine=chosen == InspectionFormat.JSON) as stream:
        if chosen == InspectionFormat.JSON:
            stream.write(json.dumps(inspection_record(inspection), indent=2, ensure_ascii=False) + "\n")
        else:
            write_inspection(inspection, stream, nodes=nodes)


def _serve(model: ModelFile) -> None:
    """
    Show a model in Netron, to this machine alone, until it is interrupted.

    Netron serves all files beside the one that it shows, and writes its name into a page as it is: it gets a copy under
    a plain name in a directory of its own.
    """
    from deepfake_audio.errors import MissingExtraError

    if find_spec("netron") is None:
        raise MissingExtraError("viz", "--netron")
    netron = import_module("netron")
    logging.getLogger("netron").setLevel(logging.WARNING)  # what it would say is what is printed here
    name = "".join(c if c.isascii() and c.isalnum() else "-" for c in model.path.stem)[:40] or "model"
    with tempfile.TemporaryDirectory(prefix="deepfake-audio-") as directory:
        copy = Path(directory) / f"{name}.onnx"
        copy.write_bytes(model._content)  # noqa: SLF001 - the very bytes that were verified
        on_terminal = sys.stdout is not None and sys.stdout.isatty()
        host, port = netron.start(str(copy), address=("127.0.0.1", None), browse=on_terminal)
        with open_output(None) as stream:
            stream.write(f"http://{host}:{port}\n")
        netron.wait()
