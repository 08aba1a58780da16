"""
Results for programs: one record per recording, in JSON, JSON lines or CSV.

JSON and JSON lines hold the same keys in the same order; ``schema`` changes when one of them changes its meaning. CSV
holds the same values, flattened.
"""

from __future__ import annotations

import csv
import dataclasses
import json
from collections import Counter
from typing import TYPE_CHECKING, Any, TextIO

from deepfake_audio import __version__
from deepfake_audio.detector import Detection, Skipped
from deepfake_audio.errors import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from deepfake_audio.detector import Segment
    from deepfake_audio.localisation import Region
    from deepfake_audio.reports.assessment import Assessment

SCHEMA = "deepfake-audio/1"
EVALUATION_SCHEMA = "deepfake-audio-evaluation/2"
# Of what an evaluation could not read, so many are named and the rest are counted.
MOST_SKIPPED = 20

CSV_COLUMNS = [
    "schema",
    "path",
    "status",
    "verdict",
    "p_deepfake",
    "llr_genuine",
    "reasons",
    "duration_seconds",
    "speech_seconds",
    "sample_rate",
    "channels",
    "sha256",
    "segments",
    "regions",
    "model_name",
    "model_sha256",
    "version",
    "reason",
    "message",
]


def record(result: Detection | Skipped, *, segments: bool = False) -> dict[str, Any]:
    """
    Return a result as plain values.

    Args:
        result: What the detector said.
        segments: Whether to include the scores of the windows, and what the detector found of regions; ``segments``
            and ``regions`` are None otherwise.
    """
    tail = {"model": dataclasses.asdict(result.model), "version": __version__}
    if isinstance(result, Skipped):
        return {
            "schema": SCHEMA,
            "path": result.path,
            "status": "skipped",
            "reason": result.reason,
            "message": result.message,
            **tail,
        }
    return {
        "schema": SCHEMA,
        "path": result.path,
        "status": "scored",
        "verdict": result.verdict,
        "p_deepfake": _rounded(result.p_deepfake),
        "llr_genuine": _rounded(result.llr_genuine),
        "reasons": list(result.reasons),
        "duration_seconds": round(result.duration_seconds, 3),
        "speech_seconds": round(result.speech_seconds, 3),
        "sample_rate": result.sample_rate,
        "channels": result.channels,
        "sha256": result.sha256,
        "segments": _spans(result.segments if segments else None),
        "regions": _spans(result.regions if segments else None),
        **tail,
    }


def _spans(spans: Iterable[Segment | Region] | None) -> list[dict[str, float | None]] | None:
    if spans is None:
        return None
    return [{"start": round(s.start, 3), "end": round(s.end, 3), "p_deepfake": _rounded(s.p_deepfake)} for s in spans]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def write_json(results: Iterable[Detection | Skipped], stream: TextIO, *, segments: bool) -> None:
    """Write one JSON array."""
    separator = "[\n"
    for result in results:
        stream.write(separator + json.dumps(record(result, segments=segments), ensure_ascii=False))
        separator = ",\n"
    stream.write("[]\n" if separator == "[\n" else "\n]\n")


def write_jsonl(results: Iterable[Detection | Skipped], stream: TextIO, *, segments: bool) -> None:
    """Write one JSON object per line, each as soon as it is there."""
    for result in results:
        stream.write(json.dumps(record(result, segments=segments), ensure_ascii=False) + "\n")
        stream.flush()


def write_csv(results: Iterable[Detection | Skipped], stream: TextIO, *, segments: bool) -> None:
    """Write a table with a header; lists are written as JSON or separated by spaces."""
    rows = csv.DictWriter(stream, CSV_COLUMNS, lineterminator="\n")
    rows.writeheader()
    for result in results:
        values = record(result, segments=segments)
        model = values.pop("model")
        values |= {"model_name": model["name"], "model_sha256": model["sha256"]}
        if "\r" in values["path"]:
            values["path"] = printable(values["path"])  # csv would leave a lone carriage return unquoted
        values["reasons"] = " ".join(values.get("reasons", ()))
        for key in ("segments", "regions"):
            if values.get(key) is not None:
                values[key] = json.dumps(values[key])
        rows.writerow(values)


WRITERS: dict[str, Callable[..., None]] = {"json": write_json, "jsonl": write_jsonl, "csv": write_csv}


def evaluation_record(assessment: Assessment) -> dict[str, Any]:
    """Return everything that one run of `evaluate` found as plain values; the same run gives the same values."""
    evaluation = assessment.evaluation
    values = dataclasses.asdict(dataclasses.replace(evaluation, skipped=evaluation.skipped[:MOST_SKIPPED]))
    reasons = Counter(skipped.reason for skipped in evaluation.skipped)
    return {
        "schema": EVALUATION_SCHEMA,
        "subject": assessment.subject,
        "data": assessment.data,
        "layout": assessment.layout,
        "partition": list(assessment.partitions),
        "subset": list(assessment.subsets),
        "model": None if assessment.model is None else dataclasses.asdict(assessment.model),
        **values,
        "skipped": {
            "n": len(evaluation.skipped),
            "reasons": dict(reasons),
            "first": [{key: s[key] for key in ("path", "reason", "message")} for s in values["skipped"]],
        },
        "comparison": _plain(assessment.comparison),
        "stress": [dataclasses.asdict(row) for row in assessment.stress],
        "shortcuts": _plain(assessment.shortcuts),
        "versions": assessment.versions,
        "version": __version__,
    }


def _plain(value: Any) -> dict[str, Any] | None:
    return None if value is None else dataclasses.asdict(value)
