"""
The tables of the model card: a model on a labelled manifest, by family, language and condition, with intervals.

Run by hand: ``python tests/benchmarks/card.py ../shared/corpus/manifest.csv dev default``. Intervals are the middle
95 % of 1,000 resamplings of whole sources.
"""

from __future__ import annotations

import csv
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile
import soxr

from deepfake_audio.augment import Augmentation
from deepfake_audio.detector import Detection, Detector
from deepfake_audio.metrics import eer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

RATE = 16_000
N_RESAMPLINGS = 1_000
Row = dict[str, str]


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def read(manifest: Path, split: str) -> list[Row]:
    """Return the rows of one split, with paths that can be opened."""
    with manifest.open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["split"] == split]
    return [{**row, "path": str(manifest.parent / row["path"])} for row in rows]


def llrs(detector: Detector, paths: Sequence[str]) -> np.ndarray[Any, Any]:
    """Return the log-likelihood ratio of each file, NaN where there is none."""
    results = [detector.score(path) for path in paths]
    found = [r.llr_genuine if isinstance(r, Detection) and r.llr_genuine is not None else np.nan for r in results]
    return np.array(found)


def rates(llr: np.ndarray[Any, Any], genuine: np.ndarray[Any, Any], threshold: float) -> list[float]:
    """Return EER, genuine called deepfake, deepfake called genuine; NaN where a class is missing."""
    a, b = llr[genuine], llr[~genuine]
    both = len(a) > 0 and len(b) > 0
    return [
        eer(a, b).rate if both else np.nan,
        float((a < threshold).mean()) if len(a) else np.nan,
        float((b >= threshold).mean()) if len(b) else np.nan,
    ]


def with_intervals(
    llr: np.ndarray[Any, Any], genuine: np.ndarray[Any, Any], sources: Sequence[str], threshold: float
) -> list[str]:
    """Return the rates in percent, each with the interval of resampled sources."""
    members = defaultdict(list)
    for number, source in enumerate(sources):
        members[source].append(number)
    groups = [np.array(group) for group in members.values()]
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(N_RESAMPLINGS):
        rows = np.concatenate([groups[i] for i in rng.integers(0, len(groups), len(groups))])
        drawn.append(rates(llr[rows], genuine[rows], threshold))
    low, high = np.nanpercentile(np.array(drawn), (2.5, 97.5), axis=0)
    values = rates(llr, genuine, threshold)
    return [
        "" if np.isnan(value) else f"{100 * value:.0f} ({100 * a:.0f} to {100 * b:.0f})"
        for value, a, b in zip(values, low, high, strict=True)
    ]


def written(container: str, subtype: str, rate: int, level: float | None) -> Callable[[np.ndarray[Any, Any]], bytes]:
    """Return what encodes a signal with libsndfile."""

    def encode(signal: np.ndarray[Any, Any]) -> bytes:
        with tempfile.NamedTemporaryFile(suffix=".x") as file:
            options = {} if level is None else {"compression_level": level}
            with soundfile.SoundFile(file.name, "w", rate, 1, subtype, format=container, **options) as out:
                out.write(soxr.resample(signal, RATE, rate))
            return Path(file.name).read_bytes()

    return encode


def changed(*names: str) -> Callable[[np.ndarray[Any, Any]], bytes]:
    """Return what changes a signal by changes of `augment.CHANGES` and writes it as WAV."""
    augmentation = Augmentation(dict.fromkeys(names, 1.0))
    plain = written("WAV", "PCM_16", RATE, None)
    return lambda signal: plain(np.clip(augmentation(signal, RATE, np.random.default_rng(0)), -1, 1))


CONDITIONS = {
    "as they are": written("WAV", "PCM_16", RATE, None),
    "MP3, 44.1 kHz": written("MP3", "MPEG_LAYER_III", 44_100, 0.667),
    "Opus, 48 kHz, low rate": written("OGG", "OPUS", 48_000, 0.93),
    "Vorbis": written("OGG", "VORBIS", 44_100, 0.7),
    "telephone (300 to 3,400 Hz, G.711)": changed("telephone"),
    "noise, 5 to 40 dB": changed("noise"),
    "reverberation": changed("room"),
}


def main() -> None:
    """Print the tables."""
    rows = read(Path(sys.argv[1]), sys.argv[2])
    detector = Detector.load(sys.argv[3])
    threshold = detector.threshold
    genuine = np.array([row["label"] == "bonafide" for row in rows])
    llr = llrs(detector, [row["path"] for row in rows])
    known = ~np.isnan(llr)
    sources = np.array([row["source"] for row in rows])
    say("| | genuine / deepfake | EER % | genuine called deepfake % | deepfake called genuine % |")
    say("|---|---|---|---|---|")

    def line(name: str, chosen: np.ndarray[Any, Any]) -> None:
        chosen = chosen & known
        counts = f"{(genuine & chosen).sum()} / {(~genuine & chosen).sum()}"
        cells = with_intervals(llr[chosen], genuine[chosen], sources[chosen].tolist(), threshold)
        say(f"| {name} | {counts} | {' | '.join(cells)} |")

    line("all", known)
    for column in ("family", "language"):
        values = np.array([row[column] for row in rows])
        for value in sorted(set(values)):
            here = values == value
            if column == "family" and value == "human":
                continue
            if here.sum() >= 20:  # fewer say nothing
                line(f"{column}: {value}", (here | genuine) if column == "family" else here)
    some = np.flatnonzero(known)[::5]
    for name, encode in CONDITIONS.items():
        found = []
        for row in some:
            with tempfile.NamedTemporaryFile(suffix=".audio") as file:
                file.write(encode(soundfile.read(rows[row]["path"], dtype="float32")[0]))
                file.flush()
                found.append(llrs(detector, [file.name])[0])
        values = np.array(found)
        scored = ~np.isnan(values)
        cells = with_intervals(values[scored], genuine[some][scored], sources[some][scored].tolist(), threshold)
        counts = f"{genuine[some][scored].sum()} / {(~genuine[some][scored]).sum()}"
        say(f"| every fifth, {name} | {counts} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
