"""
What genuine speech has: percentiles of each figure over many genuine clips, as a JSON file.

The file that ships was made from the genuine clips of the data that the shipped models learnt from:

    deepfake-audio analysis-ranges corpus/manifest.csv --partition train -o analysis.json --leave-out ...

It is data and nothing else; reading it is strict, since it may come from anywhere.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import itertools
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deepfake_audio.analysis.figures import EVENTS, FIGURES
from deepfake_audio.analysis.measuring import measure_recording
from deepfake_audio.audio import open_recording
from deepfake_audio.errors import DataError, printable
from deepfake_audio.parallel import ordered_map

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping

SCHEMA = "deepfake-audio-ranges/1"
SHIPPED_PATH = Path(__file__).parents[1] / "models" / "analysis.json"

PERCENTILES = (1, 5, 50, 95, 99)
# Of fewer clips, percentiles 1 and 99 would be the extremes.
LEAST_CLIPS = 100

# Clips that are hardly longer than what is compared count as having so many seconds of places to compare at.
_LEAST_PLACES_SECONDS = 0.5

_MAX_BYTES = 1 << 20
_MAX_WORDS = 200
_LARGEST = 1e12


@dataclass(frozen=True)
class Range:
    """Percentiles of a figure over genuine clips, in its unit."""

    p1: float
    p5: float
    p50: float
    p95: float
    p99: float


@dataclass(frozen=True)
class Reference:
    """
    The genuine clips that recordings are compared with.

    Attributes:
        ranges: By the name of the figure.
        left_out: For each of the other figures, why those clips say nothing of it.
        n_clips: How many they are.
        n_sources: Of how many sources.
        clip_seconds: The speech in the longest of them, in seconds.
        fingerprint: A hash of all of their files.
        description: What they are, in a few words.
    """

    ranges: Mapping[str, Range]
    left_out: Mapping[str, str]
    n_clips: int
    n_sources: int
    clip_seconds: float
    fingerprint: str
    description: str = field(default="genuine clips")

    def __post_init__(self) -> None:
        """Refuse what could not have been made by `reference_ranges`."""
        rules = {
            "every figure must have a range, or a reason why not": (
                sorted([*self.ranges, *self.left_out]) == sorted(FIGURES)
            ),
            "percentiles must be finite and must not fall": all(map(_is_ascending, self.ranges.values())),
            f"n_clips must be at least {LEAST_CLIPS}": LEAST_CLIPS <= self.n_clips <= _LARGEST,
            "n_sources must be 1 to n_clips": 1 <= self.n_sources <= self.n_clips,
            "clip_seconds must be positive": 0 < self.clip_seconds <= _LARGEST,
            "fingerprint must be 64 hexadecimal digits": _is_sha256(self.fingerprint),
            "words must be short and printable": all(map(_is_words, [self.description, *self.left_out.values()])),
        }
        for rule, holds in rules.items():
            if not holds:
                raise ValueError(rule)

    def range_of(self, name: str, speech_seconds: float) -> Range | None:
        """
        Return the range of a figure in genuine recordings with as much speech; None if the clips say nothing of it.

        Of the figures in ``EVENTS``, which are the largest of many, high percentiles rise with the logarithm of the
        length, as they do where large values are distributed exponentially (Gumbel 1958); how fast, percentiles 95 and
        99 of the clips say.
        """
        span = self.ranges.get(name)
        if span is None or name not in EVENTS or speech_seconds <= self.clip_seconds:
            return span
        needed = EVENTS[name].needs_seconds
        times_the_places = (speech_seconds - needed) / max(self.clip_seconds - needed, _LEAST_PLACES_SECONDS)
        rise = (span.p99 - span.p95) / math.log(5) * math.log(max(1.0, times_the_places))
        return dataclasses.replace(span, p95=span.p95 + rise, p99=span.p99 + rise)

    def to_json(self) -> str:
        """Return the content of a file."""
        values = dataclasses.asdict(self)
        values["ranges"] = {name: list(dataclasses.astuple(span)) for name, span in self.ranges.items()}
        return json.dumps({"schema": SCHEMA, **values}, indent=1, allow_nan=False) + "\n"


def _is_ascending(span: Range) -> bool:
    values = dataclasses.astuple(span)
    return all(abs(value) <= _LARGEST for value in values) and all(a <= b for a, b in itertools.pairwise(values))


def _is_sha256(text: str) -> bool:
    return len(text) == 64 and set(text) <= set("0123456789abcdef")  # noqa: PLR2004 - the length of a SHA-256


def _is_words(text: str) -> bool:
    return text.isprintable() and 0 < len(text) <= _MAX_WORDS


# --- making one ------------------------------------------------------------------------------------------------


def reference_ranges(
    paths: Iterable[str | os.PathLike[str]],
    *,
    n_sources: int = 1,
    left_out: Mapping[str, str] | None = None,
    description: str = "genuine clips",
    jobs: int = 1,
    advance: Callable[[], None] = lambda: None,
) -> Reference:
    """
    Return the percentiles of each figure over genuine clips.

    Args:
        paths: The clips.
        n_sources: Of how many sources they are.
        left_out: Figures that say nothing of genuine speech because of how these clips were prepared -> why.
        description: What they are, in a few words.
        jobs: How many processes.
        advance: Called after each clip.

    Raises:
        AudioError: If one of them cannot be read.
        DataError: If they are too few, or a figure to leave out does not exist.
    """
    reasons = dict(left_out or {})
    if unknown := sorted(set(reasons) - set(FIGURES)):
        raise DataError(f"there is no figure {unknown[0]!r} to leave out; figures: {', '.join(FIGURES)}")
    found = []
    for measured in ordered_map(_measured, map(str, paths), jobs=jobs):
        found.append(measured)
        advance()
    if len(found) < LEAST_CLIPS:
        raise DataError(f"ranges need {LEAST_CLIPS} genuine clips or more, there are {len(found)}")
    if not any(clip.speech_seconds for clip in found):
        raise DataError("there is no speech in any of these clips, so there are no ranges of speech")
    ranges = {}
    for name in FIGURES:
        values = [clip.values[name] for clip in found if clip.values[name] is not None]
        if name not in reasons and len(values) >= LEAST_CLIPS:
            percentiles = np.percentile(np.array(values, dtype=float), PERCENTILES)
            ranges[name] = Range(*(float(f"{value:.6g}") for value in percentiles))
        else:
            reasons.setdefault(name, f"fewer than {LEAST_CLIPS} of these clips have it")
    hashes = "\n".join(sorted(clip.sha256 for clip in found))
    try:
        return Reference(
            ranges=ranges,
            left_out={name: reasons[name] for name in FIGURES if name in reasons},
            n_clips=len(found),
            n_sources=n_sources,
            clip_seconds=max(clip.speech_seconds for clip in found),
            fingerprint=hashlib.sha256(hashes.encode()).hexdigest(),
            description=description,
        )
    except ValueError as error:
        raise DataError(f"these ranges cannot be written: {error}") from error


@dataclass(frozen=True)
class _Clip:
    sha256: str
    speech_seconds: float
    values: dict[str, float | None]


def _measured(path: str) -> _Clip:
    with open_recording(path) as recording:
        measured = measure_recording(recording)
        return _Clip(recording.sha256, measured.speech.seconds, measured.values)


# --- reading one -----------------------------------------------------------------------------------------------


def read_reference(path: str | os.PathLike[str] | None = None) -> Reference:
    """
    Read ranges.

    Args:
        path: What `Reference.to_json` was written to; None for those that ship.

    Raises:
        DataError: If it is missing or no such file; the message says what was expected.
    """
    return _shipped() if path is None else _read(Path(path))


@functools.cache
def _shipped() -> Reference:
    return _read(SHIPPED_PATH)


def _read(path: Path) -> Reference:
    name = printable(str(path))
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise DataError(f"{name}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    if len(content) > _MAX_BYTES:
        raise DataError(f"{name}: is no file of ranges: larger than 1 MiB")
    try:
        return _reference(json.loads(content))
    except (ValueError, OverflowError, RecursionError) as error:
        raise DataError(f"{name}: is no file of ranges that this version reads ({printable(str(error))})") from error


def _reference(values: Any) -> Reference:
    if not isinstance(values, dict) or values.get("schema") != SCHEMA:
        raise ValueError(f"expected a JSON object with the schema {SCHEMA}")
    if set(values) != {"schema", *_JSON_TYPES}:
        raise ValueError(f"expected the keys {', '.join(_JSON_TYPES)}")
    for key, kind in _JSON_TYPES.items():
        _require(key, values[key], kind)
    for key, value in values["left_out"].items():
        _require(f"left_out.{key}", value, str)
    for key, span in values["ranges"].items():
        _require(f"ranges.{key}", span, list)
        if len(span) != len(PERCENTILES):
            raise ValueError(f"ranges.{key} must hold {len(PERCENTILES)} numbers")
        for value in span:
            _require(f"ranges.{key}", value, int | float)
    ranges = {key: Range(*map(float, span)) for key, span in values["ranges"].items()}
    return Reference(**{key: values[key] for key in _JSON_TYPES} | {"ranges": ranges})


def _require(key: str, value: object, kind: Any) -> None:
    if (
        not isinstance(value, kind)
        or isinstance(value, bool)
        or (isinstance(value, float) and not math.isfinite(value))
    ):
        raise ValueError(f"{key} is {value!r:.40}")


_JSON_TYPES: dict[str, Any] = {
    "ranges": dict,
    "left_out": dict,
    "n_clips": int,
    "n_sources": int,
    "clip_seconds": int | float,
    "fingerprint": str,
    "description": str,
}
