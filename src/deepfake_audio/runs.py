"""The table of training runs: a file of JSON lines, one per run, with its recipe and its figures."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from deepfake_audio.errors import DataError, OutputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from deepfake_audio.training import TrainingRun


# What the table shows of each run, by the names in `HeldOut`; the mean over sources can be missing.
FIGURES = ("n", "eer", "balanced_accuracy", "cllr", "calibration_error")


@dataclass(frozen=True)
class RunRecord:
    """
    One line of the table.

    Attributes:
        recipe: Every choice of the run, as ``Recipe.to_dict`` gives it.
        held_out: Its figures on what it did not learn from, as ``HeldOut.figures`` gives them.
        seconds: How long it took.
        fingerprint: Of the data.
        recorded: How many recordings of noise and rooms it was given, and their hashes.
    """

    recipe: dict[str, Any]
    held_out: dict[str, Any]
    seconds: float
    fingerprint: str
    recorded: dict[str, Any] = field(default_factory=dict)


def append_run(path: Path, run: TrainingRun) -> None:
    """
    Append a run to the table; the file is made if it is missing.

    Raises:
        OutputError: If the file cannot be written.
    """
    line = {
        "recipe": run.metadata.recipe,
        "held_out": run.metadata.training["held_out"],
        "seconds": round(sum(run.seconds.values()), 1),
        "fingerprint": run.metadata.training["data"]["fingerprint"],
        "recorded": run.metadata.training.get("recorded", {}),
    }
    try:
        with path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line, sort_keys=True) + "\n")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror})") from error


def read_runs(path: Path) -> list[RunRecord]:
    """
    Read the table.

    Raises:
        DataError: If the file cannot be read, or a line is no run.
    """
    records = []
    try:
        with path.open(encoding="utf-8") as stream:
            for number, line in enumerate(stream, start=1):
                if line.strip():
                    records.append(_record(line, f"{path}, line {number}"))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    if not records:
        raise DataError(f"{path}: holds no runs; `deepfake-audio train --runs {path}` appends one")
    return records


def _record(line: str, where: str) -> RunRecord:
    try:
        record = RunRecord(**json.loads(line))
        figures = [record.seconds, *(record.held_out[name] for name in FIGURES)]
        figures.append(record.held_out.get("mean_eer") or 0.0)
        texts = [record.fingerprint, record.recipe["name"]]
        fits = all(map(math.isfinite, figures)) and all(isinstance(text, str) for text in texts)
        _choices(record)
    except (ValueError, TypeError, AttributeError, LookupError, OverflowError, RecursionError):
        fits = False
    if not fits:
        raise DataError(f"{where}: is no run that `deepfake-audio train --runs` wrote")
    return record


def flattened(recipe: dict[str, Any]) -> dict[str, str]:
    """Return a recipe as pairs such as ``members.0.options.c`` and ``2.0``, in order."""

    def pairs(value: Any, path: str) -> list[tuple[str, str]]:
        if isinstance(value, dict):
            return [pair for key, part in value.items() for pair in pairs(part, f"{path}.{key}" if path else key)]
        if isinstance(value, list) and any(isinstance(part, dict) for part in value):
            return [pair for number, part in enumerate(value) for pair in pairs(part, f"{path}.{number}")]
        return [(path, ",".join(map(str, value)) if isinstance(value, list) else str(value))]

    return dict(pairs(recipe, ""))


def _choices(record: RunRecord) -> dict[str, str]:
    return flattened({**record.recipe, **record.recorded})


def differences(records: Sequence[RunRecord]) -> list[dict[str, str]]:
    """Return what in the recipe and the recordings of each run is not the same in all of them; the name apart."""
    flat = [_choices(record) for record in records]
    keys = list(dict.fromkeys(key for recipe in flat for key in recipe if key != "name"))
    varying = [key for key in keys if len({recipe.get(key) for recipe in flat}) > 1]
    return [{key: recipe[key] for key in varying if key in recipe} for recipe in flat]
