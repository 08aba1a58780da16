"""
Regions for other programs: where recordings look synthetic, as the labels that editors, annotators and scorers read.

- ``csv``: one row per region and per cell of the timeline; holds many recordings.
- ``rttm``: one line per region with the ten fields of NIST's Rich Transcription Time Marked format (RT-09 evaluation
  plan, appendix A); holds many recordings.
- ``textgrid``: Praat's long text format; an interval tier of regions and one of cells, each covering the recording.
- ``audacity``: a label track: start, end and label between tabs.
- ``srt``: subtitles, to see a region while a video player plays it.

All times are seconds from the beginning of the recording. A recording without regions gives a valid file without any.
"""

from __future__ import annotations

import csv
import os
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from deepfake_audio.audio import STDIN
from deepfake_audio.errors import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from deepfake_audio.detector import Detection

CSV_COLUMNS = ["path", "kind", "start", "end", "p_deepfake", "llr_genuine"]
LABEL = "synthetic"

# An interval of a tier: where it begins and ends in seconds, and its text.
Interval = tuple[float, float, str]

# File systems take 255 bytes; a suffix and a number must fit beside the name.
_LONGEST_NAME = 200
# Names that Windows keeps for devices, whatever their suffix.
_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10))}


@dataclass(frozen=True)
class RegionFormat:
    """
    One way to write regions.

    Attributes:
        suffix: Of its files, with the dot.
        holds_many: Whether one file can tell several recordings apart.
        write: Writes named recordings to a text stream; only one unless ``holds_many``.
    """

    suffix: str
    holds_many: bool
    write: Callable[[Iterable[tuple[str, Detection]], TextIO], None]


def write_csv(named: Iterable[tuple[str, Detection]], stream: TextIO) -> None:
    """Write a table with a header: the regions of each recording, then the cells of its timeline."""
    rows = csv.writer(stream, lineterminator="\n")
    rows.writerow(CSV_COLUMNS)
    for _, detection in named:
        # csv would leave a lone carriage return unquoted.
        path = printable(detection.path) if "\r" in detection.path else detection.path
        rows.writerows([path, "region", *values] for values in _region_rows(detection))
        rows.writerows([path, "cell", *values] for values in _cell_rows(detection))


def _region_rows(detection: Detection) -> Iterator[list[float]]:
    for region in detection.regions or ():
        yield [
            round(region.start, 3),
            round(region.end, 3),
            round(region.p_deepfake, 4),
            round(region.llr, 4),
        ]


def _cell_rows(detection: Detection) -> Iterator[list[float]]:
    if detection.timeline is None:
        return
    timeline = detection.timeline
    columns = (timeline.start.round(3), timeline.end.round(3), timeline.p_deepfake.round(4), timeline.llr.round(4))
    yield from (list(values) for values in zip(*(column.tolist() for column in columns), strict=True))


def write_rttm(named: Iterable[tuple[str, Detection]], stream: TextIO) -> None:
    """Write one line per region; the confidence is the probability that it is synthetic."""
    for name, detection in named:
        for region in detection.regions or ():
            place = f"{region.start:.3f} {region.end - region.start:.3f}"
            stream.write(f"SPEAKER {name} 1 {place} <NA> <NA> {LABEL} {region.p_deepfake:.4f} <NA>\n")


def write_audacity(named: Iterable[tuple[str, Detection]], stream: TextIO) -> None:
    """Write a label track; the label ends with the probability."""
    for _, detection in named:
        stream.writelines(f"{start:.6f}\t{end:.6f}\t{text}\n" for start, end, text in _labels(detection))


def write_srt(named: Iterable[tuple[str, Detection]], stream: TextIO) -> None:
    """Write a subtitle per region, numbered from 1."""
    for _, detection in named:
        stream.writelines(
            f"{number}\n{_clock(start)} --> {_clock(end)}\n{text}\n\n"
            for number, (start, end, text) in enumerate(_labels(detection), start=1)
        )


def _labels(detection: Detection) -> Iterator[Interval]:
    for region in detection.regions or ():
        yield region.start, region.end, f"{LABEL} {region.p_deepfake:.2f}"


def _clock(seconds: float) -> str:
    """Return a time as hours, minutes, seconds and milliseconds."""
    minutes, milliseconds = divmod(round(seconds * 1000), 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{milliseconds // 1000:02},{milliseconds % 1000:03}"


# --- Praat -----------------------------------------------------------------------------------------------------


def write_textgrid(named: Iterable[tuple[str, Detection]], stream: TextIO) -> None:
    """Write a grid of two tiers: the regions, and the probability of each cell."""
    for _, detection in named:
        cells = ((start, end, f"{p:.2f}") for start, end, p, _ in _cell_rows(detection))
        tiers = {"regions": _labels(detection), "P(deepfake)": cells}
        duration = _seconds(detection.duration_seconds)
        stream.write('File type = "ooTextFile"\nObject class = "TextGrid"\n\n')
        stream.write(f"xmin = 0\nxmax = {duration}\ntiers? <exists>\nsize = {len(tiers)}\nitem []:\n")
        stream.writelines(
            f"    item [{number}]:\n" + _tier(name, duration, intervals)
            for number, (name, intervals) in enumerate(tiers.items(), start=1)
        )


def _tier(name: str, duration: str, intervals: Iterable[Interval]) -> str:
    filled = list(_without_gaps(duration, intervals))
    lines = [
        'class = "IntervalTier"',
        f'name = "{name}"',
        "xmin = 0",
        f"xmax = {duration}",
        f"intervals: size = {len(filled)}",
    ]
    for number, (start, end, text) in enumerate(filled, start=1):
        lines += [f"intervals [{number}]:", f"    xmin = {start}", f"    xmax = {end}", f'    text = "{text}"']
    return "".join(f"        {line}\n" for line in lines)


def _without_gaps(duration: str, intervals: Iterable[Interval]) -> Iterator[tuple[str, str, str]]:
    """Yield intervals from 0 to the end, with empty ones between those given; each begins where the last one ended."""
    at = "0"
    for start, end, text in intervals:
        first, last = _seconds(start), _seconds(end)
        if float(first) > float(at):
            yield at, first, ""
            at = first
        if float(last) > float(at):
            yield at, last, text
            at = last
    if float(duration) > float(at):
        yield at, duration, ""


def _seconds(value: float) -> str:
    """Return a time in whole microseconds, without needless zeros: equal times become equal texts."""
    return f"{value:.6f}".rstrip("0").rstrip(".")


FORMATS: dict[str, RegionFormat] = {
    "csv": RegionFormat(".csv", holds_many=True, write=write_csv),
    "textgrid": RegionFormat(".TextGrid", holds_many=False, write=write_textgrid),
    "audacity": RegionFormat(".txt", holds_many=False, write=write_audacity),
    "rttm": RegionFormat(".rttm", holds_many=True, write=write_rttm),
    "srt": RegionFormat(".srt", holds_many=False, write=write_srt),
}


# --- names -----------------------------------------------------------------------------------------------------


def recording_names(paths: Sequence[str]) -> list[str]:
    """
    Return a name for each recording, for its file of regions and for RTTM: safe on any file system, no two alike.

    It is the path below the directory that all have in common, without suffix; what is no letter, digit, hyphen,
    underscore or dot becomes an underscore, and a number is added where two would differ in nothing or in case alone.
    """
    taken: set[str] = set()
    return [_unlike(_safe(text), taken) for text in _relative(paths)]


def _relative(paths: Sequence[str]) -> list[str]:
    """Return the paths below the directory that they share, without suffixes."""
    full = ["stdin" if path == STDIN else os.path.splitext(os.path.abspath(path))[0] for path in paths]  # noqa: PTH100, PTH122 - Path fails on names that are no names
    parents = {os.path.dirname(path) for path in full if path != "stdin"}  # noqa: PTH120 - as above
    try:
        shared = os.path.commonpath(parents) if parents else ""
    except ValueError:  # on several drives
        shared = ""
    return [path if path == "stdin" or not shared else os.path.relpath(path, shared) for path in full]


def _safe(text: str) -> str:
    name = "".join(c if c.isalnum() or c in "-_." else "_" for c in unicodedata.normalize("NFC", text)).strip(".")
    while len(name.encode()) > _LONGEST_NAME:
        name = name[1:]  # what tells recordings apart stands at the end of a path
    return f"_{name}" if name.partition(".")[0].lower() in _DEVICES else name or "recording"


def _unlike(name: str, taken: set[str]) -> str:
    """Return the name, with the first number that makes it unlike those taken, and take it."""
    candidate, number = name, 1
    while candidate.casefold() in taken:
        number += 1
        candidate = f"{name}-{number}"
    taken.add(candidate.casefold())
    return candidate
