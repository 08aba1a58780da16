"""`deepfake-audio synthesize`."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from deepfake_audio.cli.options import EXIT_SKIPPED, Jobs, Quiet, Verbose
from deepfake_audio.streams import open_output, progress_bars, say


class Vocoder(enum.StrEnum):
    """What makes synthetic speech out of genuine speech."""

    GRIFFIN_LIM = "griffin-lim"
    WORLD = "world"
    LPC = "lpc"
    HARMONIC = "harmonic"
    PHASE = "phase"
    EXCITATION = "excitation"
    UPSAMPLE = "upsample"


def synthesize(
    bonafide: Annotated[
        Path,
        typer.Argument(help="A directory of genuine recordings (searched recursively).", metavar="BONAFIDE_DIR"),
    ],
    *,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="The directory to make: deepfakes in spoof/, and manifest.csv for train."),
    ],
    method: Annotated[
        list[Vocoder] | None,
        typer.Option(
            help="griffin-lim, world (needs the extra vocoders), lpc, harmonic, phase, excitation or upsample. Can be "
            "given several times: each recording gets one of them, by chance.",
            show_default="all that are installed",
            metavar="METHOD",
        ),
    ] = None,
    splice: Annotated[
        bool,
        typer.Option("--splice", help="Make partial fakes: one synthetic stretch of 1 to 3 s in a genuine recording."),
    ] = False,
    copies: Annotated[
        int, typer.Option(min=1, help="Deepfakes of each recording, each by another method while there are any left.")
    ] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same recordings, same deepfakes.")] = 0,
    jobs: Jobs = None,
    quiet: Quiet = False,
    verbose: Verbose = False,  # noqa: ARG001 - its callback does the work
) -> None:
    """
    Make deepfakes of genuine recordings, to train on.

    Each is the same speech by the same speaker, built anew by a vocoder that needs no weights; 16-bit FLAC.

    Of each recording the first 60 s are used.

    Examples:
        deepfake-audio synthesize genuine/ -o made/
        deepfake-audio synthesize genuine/ -o made/ --method lpc --method phase --copies 2
        deepfake-audio train made/manifest.csv --backend svm -o mine.onnx
    """
    from deepfake_audio.batch import find_inputs
    from deepfake_audio.parallel import usable_cores
    from deepfake_audio.synthesis import Plan, synthesise

    plan = Plan(tuple(method or ()), copies, splice, seed)
    with progress_bars(quiet=quiet) as progress:
        made = synthesise(
            bonafide, list(find_inputs([bonafide])), output, plan, jobs=jobs or usable_cores(), progress=progress
        )
    for message in made.bad:
        say(message)
    with open_output(None) as stream:
        stream.write(f"{made.manifest}\n")
    if not quiet:
        say(f"{made.n_copies:,} deepfakes made, {len(made.bad):,} recordings left out")
    if made.bad:
        raise typer.Exit(EXIT_SKIPPED)
