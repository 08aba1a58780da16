"""Voice analyses as text: a table per recording for people, records in JSON or JSON lines for programs."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, TextIO

from rich.table import Table
from rich.text import Text

from deepfake_audio import __version__
from deepfake_audio.analysis import EVENTS, FIGURES, SILENCE, Analysis, Figure, NotAnalysed
from deepfake_audio.errors import printable
from deepfake_audio.reports.tables import console_for

if TYPE_CHECKING:
    from collections.abc import Iterable

    from deepfake_audio.analysis import Event, Reference

SCHEMA = "deepfake-audio-analysis/1"

# Measured: of the genuine clips that the ranges are of, 17 % have a figure outside, of those of other sources 29 %; of
# the synthetic clips of the same sources, 17 and 18 %.
CAVEAT = (
    "These figures are evidence to look at. They are no verdict and change none: about one in five genuine clips has "
    "a figure outside of its range, and synthetic clips have one no more often."
)
# More events than these are only counted in a table; records have them all.
_MOST_EVENTS = 12
_EVENT_WORDS = {spec.kind: spec.words for spec in (*EVENTS.values(), SILENCE)}
_DECIMALS = 4


# --- for people ------------------------------------------------------------------------------------------------


def write_table(results: Iterable[Analysis | NotAnalysed], stream: TextIO, *, contours: bool = False) -> None:
    """
    Write a table of figures for each recording, and below it where something changes abruptly.

    Args:
        results: What the analysis found.
        stream: Where to.
        contours: Ignored: contours are for programs.
    """
    del contours
    console = console_for(stream)
    analysed: Analysis | None = None
    for result in results:
        console.print(Text(printable(result.path), style="bold"))
        if isinstance(result, NotAnalysed):
            message = result.message.removeprefix(f"{printable(result.path)}: ")
            console.print(Text(f"not analysed: {message}\n", style="magenta"))
            continue
        console.print(Text(facts_in_words(result)))
        console.print(_figures(result))
        for line in events_in_words(result):
            console.print(Text(line))
        console.print()
        analysed = result
    if analysed is not None:
        console.print(Text(reference_in_words(analysed.reference), style="dim"))
        console.print(Text(CAVEAT))


def _figures(analysis: Analysis) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("figure", overflow="fold")
    table.add_column("value", justify="right", overflow="fold")
    table.add_column("genuine clips", justify="right", overflow="fold")
    table.add_column("note", overflow="fold")
    for figure in analysis.figures:
        style = "yellow" if figure.outside else ""
        value = Text(value_in_words(figure), style=style)
        table.add_row(figure.title, value, range_in_words(figure), Text(figure.note, style=style))
    return table


def value_in_words(figure: Figure) -> str:
    """Return a value with its unit, ``-`` where it could not be told."""
    if figure.value is None:
        return "-"
    return f"{_number(figure.value, FIGURES[figure.name].digits)} {figure.unit}".rstrip()


def range_in_words(figure: Figure) -> str:
    """Return percentiles 1 and 99 of genuine clips, empty where there are none."""
    if figure.low is None or figure.high is None:
        return ""
    digits = FIGURES[figure.name].digits
    return f"{_number(figure.low, digits)} to {_number(figure.high, digits)}"


def _number(value: float, digits: int) -> str:
    text = f"{value:,.{digits}f}"
    return text.removeprefix("-") if float(text.replace(",", "")) == 0 else text


def facts_in_words(analysis: Analysis) -> str:
    """Return what the recording is, in one line."""
    channels = {1: "mono", 2: "stereo"}.get(analysis.channels, f"{analysis.channels} channels")
    text = (
        f"{analysis.duration_seconds:,.2f} s, {analysis.speech_seconds:,.2f} s of speech, "
        f"{analysis.sample_rate:,} Hz, {channels}"
    )
    if analysis.analysed_seconds < analysis.duration_seconds:
        text += (
            f"; pitch, speech and changes are those of the first {analysis.analysed_seconds / 60:g} minutes, "
            "what the samples themselves say is of all of it"
        )
    return text


def events_in_words(analysis: Analysis) -> list[str]:
    """Return a line for each place where something changes abruptly, the strongest few of each kind."""
    lines = []
    for kind, words in _EVENT_WORDS.items():
        events = [event for event in analysis.events if event.kind == kind]
        shown = sorted(sorted(events, key=lambda event: -event.strength)[:_MOST_EVENTS], key=lambda e: e.seconds)
        if shown:
            places = ", ".join(f"{event.seconds:.2f} s ({_strength(event)})" for event in shown)
            more = f", and {len(events) - len(shown)} more" if len(events) > len(shown) else ""
            lines.append(f"{words}: {places}{more}")
    return lines


def _strength(event: Event) -> str:
    return f"{event.strength:.2f} s" if event.unit == "s" else f"{event.strength:.1f} {event.unit or 'times'}"


def reference_in_words(reference: Reference) -> str:
    """Return what the ranges are of, and which figures have none and why."""
    text = (
        f"Ranges: percentiles 1 and 99 of {reference.n_clips:,} clips with up to {reference.clip_seconds:.1f} s of "
        f"speech from {reference.n_sources:,} sources ({reference.description})."
    )
    reasons: dict[str, list[str]] = {}
    for name, why in reference.left_out.items():
        reasons.setdefault(why, []).append(FIGURES[name].title)
    missing = "; ".join(f"{', '.join(titles)} ({why})" for why, titles in reasons.items())
    return f"{text} None for: {missing}." if missing else text


# --- for programs ----------------------------------------------------------------------------------------------


def analysis_record(result: Analysis | NotAnalysed, *, contours: bool = False) -> dict[str, Any]:
    """
    Return a result as plain values.

    Args:
        result: What the analysis found.
        contours: Whether to include pitch and level over time; ``contours`` is None otherwise.
    """
    head = {"schema": SCHEMA, "path": result.path}
    if isinstance(result, NotAnalysed):
        reason = {"reason": result.reason, "message": result.message}
        return {**head, "status": "skipped", **reason, "version": __version__}
    return {
        **head,
        "status": "analysed",
        "duration_seconds": round(result.duration_seconds, 3),
        "analysed_seconds": round(result.analysed_seconds, 3),
        "speech_seconds": round(result.speech_seconds, 3),
        "sample_rate": result.sample_rate,
        "channels": result.channels,
        "sha256": result.sha256,
        "figures": {figure.name: _figure_record(figure) for figure in result.figures},
        "events": [
            {
                "kind": event.kind,
                "seconds": round(event.seconds, 3),
                "strength": _rounded(event.strength),
                "unit": event.unit,
            }
            for event in result.events
        ],
        "contours": _contours(result) if contours else None,
        "reference": {
            "n_clips": result.reference.n_clips,
            "n_sources": result.reference.n_sources,
            "fingerprint": result.reference.fingerprint,
        },
        "version": __version__,
    }


def _figure_record(figure: Figure) -> dict[str, Any]:
    return {
        "value": _rounded(figure.value),
        "unit": figure.unit,
        "low": _rounded(figure.low),
        "high": _rounded(figure.high),
        "outside": figure.outside,
        "note": figure.note,
    }


def _contours(analysis: Analysis) -> dict[str, list[float | None]]:
    return {
        "seconds": [round(s, 3) for s in analysis.seconds.tolist()],
        "pitch_hz": [None if math.isnan(hz) else round(hz, 1) for hz in analysis.pitch_hz.tolist()],
        "level_db": [round(db, 1) for db in analysis.level_db.tolist()],
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DECIMALS)


def write_json(results: Iterable[Analysis | NotAnalysed], stream: TextIO, *, contours: bool = False) -> None:
    """Write one JSON array."""
    separator = "[\n"
    for result in results:
        stream.write(separator + json.dumps(analysis_record(result, contours=contours), ensure_ascii=False))
        separator = ",\n"
    stream.write("[]\n" if separator == "[\n" else "\n]\n")


def write_jsonl(results: Iterable[Analysis | NotAnalysed], stream: TextIO, *, contours: bool = False) -> None:
    """Write one JSON object per line, each as soon as it is there."""
    for result in results:
        stream.write(json.dumps(analysis_record(result, contours=contours), ensure_ascii=False) + "\n")
        stream.flush()
