"""What a model file holds, as a record for programs and as tables for people; ``drawing`` draws it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TextIO

from rich.table import Table
from rich.text import Text

from deepfake_audio import __version__
from deepfake_audio.calibration import p_deepfake
from deepfake_audio.errors import printable
from deepfake_audio.inspection import alike, described, framed, summed
from deepfake_audio.reports.tables import console_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from deepfake_audio.inspection import Inspection, Kind, Operator, Part, Shape, Stage

SCHEMA = "deepfake-audio-model/1"
# What a file says of its recipe and training is written down to this depth: ours has half of it.
_DEEPEST = 12
# A larger number is none that a run could have measured or counted.
_LARGEST = 1e12


# --- for programs ----------------------------------------------------------------------------------------------


def inspection_record(inspection: Inspection) -> dict[str, Any]:
    """
    Return all that was found as plain values.

    Shapes are those of one window; null stands for what is not known. ``macs`` are multiply-accumulates.
    """
    metadata, speed = inspection.metadata, inspection.speed
    rate = metadata.sample_rate
    return {
        "schema": SCHEMA,
        "path": inspection.path,
        "sha256": inspection.sha256,
        "name": metadata.name,
        "backend": metadata.backend,
        "format": metadata.format,
        "versions": metadata.versions,
        "sample_rate": rate,
        "window_samples": metadata.window_samples,
        "window_seconds": metadata.window_samples / rate,
        "hop_samples": metadata.hop_samples,
        "hop_seconds": metadata.hop_samples / rate,
        "calibration": {"scale": metadata.calibration.scale, "offset": metadata.calibration.offset},
        "threshold": metadata.threshold,
        "margin": metadata.margin,
        "operating_points": metadata.operating_points,
        "familiarity": metadata.familiarity,
        "recipe": plain(metadata.recipe),
        "training": plain(metadata.training),
        "front_end": [_kind_record(kind) for kind in inspection.kinds],
        "stages": [_stage_record(stage) for stage in inspection.stages],
        "parameters": _with_total(inspection.n_parameters),
        "bytes": _with_total(inspection.n_bytes),
        "cost": {
            "macs_per_window": inspection.macs_per_window,
            "macs_per_second": inspection.macs_per_second,
            "macs_by_part": {name.replace(" ", "_"): count for name, count in inspection.macs.items()},
            "uncounted_operators": inspection.n_uncounted,
            "measured": speed
            and {
                "windows_per_second": round(speed.windows_per_second, 2),
                "audio_seconds_per_second": round(inspection.audio_seconds_per_second or 0, 2),
                "threads": 1,
                "windows": speed.n_windows,
                "machine": speed.machine,
            },
        },
        "graph": {
            "ir_version": inspection.ir_version,
            "opsets": inspection.opsets,
            "operators": len(inspection.operators),
        },
        "nodes": [_node_record(operator) for operator in inspection.operators],
        "version": __version__,
    }


def _kind_record(kind: Kind) -> dict[str, Any]:
    return {
        "member": kind.member,
        "kind": kind.spec.kind,
        "words": described(kind.spec),
        "frames": framed(kind.spec),
        "statistics": list(kind.spec.statistics),
        "shape": list(kind.shape),
        "spec": kind.spec.to_dict(),
    }


def _stage_record(stage: Stage) -> dict[str, Any]:
    return {
        "part": stage.part.kind,
        "member": stage.part.member,
        "classifier": stage.part.classifier,
        "kind": stage.kind,
        "name": stage.name,
        "words": stage.words,
        "output": None if stage.output is None else list(stage.output),
        "operators": stage.n_operators,
        "parameters": stage.n_parameters,
        "macs": stage.macs,
        "reads": list(stage.reads),
    }


def _node_record(operator: Operator) -> dict[str, Any]:
    return {
        "name": operator.name,
        "operator": operator.kind,
        "inputs": list(operator.inputs),
        "outputs": list(operator.outputs),
        "output_shapes": [None if shape is None else list(shape) for shape in operator.output_shapes],
        "parameters": operator.n_parameters,
        "macs": operator.macs,
        "constant": operator.is_constant,
    }


def _with_total(counts: Mapping[str, int]) -> dict[str, int]:
    return {**{name.replace(" ", "_"): count for name, count in counts.items()}, "total": sum(counts.values())}


def plain(value: Any, depth: int = _DEEPEST) -> Any:
    """
    Return what was read from JSON as what can be written as JSON: no NaN, no infinity, and nothing endlessly deep.

    Examples:
        >>> plain({"loss": [1.0, float("nan")]})
        {'loss': [1.0, None]}
    """
    if isinstance(value, dict | list) and not depth:
        return None
    if isinstance(value, dict):
        return {key: plain(each, depth - 1) for key, each in value.items()}
    if isinstance(value, list):
        return [plain(each, depth - 1) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


# --- for people ------------------------------------------------------------------------------------------------


def write_inspection(inspection: Inspection, stream: TextIO, *, nodes: bool = False) -> None:
    """
    Write what was found as tables.

    Args:
        inspection: What was found.
        stream: Where to.
        nodes: Whether to name each operator of the graph at the end.
    """
    console = console_for(stream)
    console.print(_pairs(_summary(inspection)))
    stages: dict[Part, list[Stage]] = {}
    for stage in inspection.stages:
        stages.setdefault(stage.part, []).append(stage)
    for part, title in titles(inspection).items():
        kinds = [kind for kind in inspection.kinds if part.kind == "front end" and kind.member == part.member]
        console.print(_front_end(title, stages[part], kinds) if kinds else _layers(title, stages[part]))
    console.print(_sizes(inspection))
    console.print(_pairs(_costs(inspection)))
    if nodes:
        console.print(_nodes(inspection.operators))


def titles(inspection: Inspection) -> dict[Part, str]:
    """Return the parts of a graph to tell of, one of each make, and what each is called."""
    groups = alike(inspection.stages)
    n_classifiers = sum(len(like) for part, like in groups.items() if part.kind == "classifier")
    several = len({part.member for part in groups if part.member}) > 1
    found = {}
    for part, like in groups.items():
        title = f"{len(like)} classifiers, each of them" if len(like) > 1 else part.kind
        if part.kind != "score" or n_classifiers != 1:  # the only classifier's score is passed on as it is
            found[part] = f"member {part.member}: {title}" if several and part.member else title
    return found


def shaped(shape: Shape | None) -> str:
    """
    Return a shape as text.

    Examples:
        >>> shaped((48, None, 49)), shaped(()), shaped(None)
        ('48 x ? x 49', '1', '')
    """
    if shape is None:
        return ""
    return " x ".join("?" if length is None else f"{length:,}" for length in shape) or "1"


def _pairs(rows: Iterable[tuple[str, str]]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(Text(printable(name)), Text(printable(value)))
    return table


def _summary(inspection: Inspection) -> Iterator[tuple[str, str]]:
    metadata = inspection.metadata
    rate, window, hop = metadata.sample_rate, metadata.window_samples, metadata.hop_samples
    scale, offset = metadata.calibration.scale, metadata.calibration.offset
    yield "model", f"{metadata.name} (backend {metadata.backend}, format {metadata.format})"
    yield "file", f"{inspection.path}, {sum(inspection.n_bytes.values()):,} bytes"
    yield "SHA-256", inspection.sha256
    yield "made with", _listed(metadata.versions)
    opsets = _listed(inspection.opsets)
    yield "graph", f"{len(inspection.operators):,} operators, ONNX IR version {inspection.ir_version}, opset {opsets}"
    yield "window / hop", f"{window:,} / {hop:,} samples at {rate:,} Hz ({window / rate:g} / {hop / rate:g} s)"
    yield "calibration", f"llr_genuine = {scale:.4g} x mean score of the windows {'-+'[offset >= 0]} {abs(offset):.4g}"
    threshold = f"llr_genuine {metadata.threshold:.3f} (P(deepfake) {_percent(p_deepfake(metadata.threshold))})"
    yield "threshold", f"{threshold}, inconclusive within {metadata.margin:.3f}"
    yield "operating points", _listed({name: f"{value:.3f}" for name, value in metadata.operating_points.items()})
    yield (
        "familiarity",
        "not told" if metadata.familiarity is None else f"inconclusive below {metadata.familiarity:.4f}",
    )
    yield from _training(metadata.training)


def _listed(values: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items()) or "none"


def _training(training: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what a file says of its training, of which nothing is sure to be there, or to be what it should."""
    data, held_out = _table(training, "data"), _table(training, "held_out")
    if words := _recordings(_table(data, "all")):
        where = [f"{key} {data[key]}" for key in ("layout", "partition") if isinstance(data.get(key), str)]
        yield "training data", ", ".join([words, *where])
    if isinstance(data.get("fingerprint"), str):
        yield "  fingerprint", data["fingerprint"]
    for kind, recorded in _table(training, "recorded").items():
        if isinstance(recorded, dict) and _is_number(recorded.get("n")):
            yield f"  recorded {kind}", f"{recorded['n']:,} recordings"
    if _is_number(held_out.get("n")):
        parts = data.get("parts")
        divided = f", in {len(parts)} parts, each in its turn" if isinstance(parts, list) and len(parts) > 1 else ""
        yield "held out", f"{held_out['n']:,} recordings{divided}"
    words = ", ".join(
        f"{name} {write(held_out[key])}" for name, key, write in _FIGURES if _is_number(held_out.get(key))
    )
    if words:
        yield "  figures", words
    rates = held_out.get("parts")
    if isinstance(rates, list) and rates and all(map(_is_number, rates)):
        yield "  EER of each part", ", ".join(map(_percent, rates))


def _table(values: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = values.get(key)
    return found if isinstance(found, dict) else {}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST


def _recordings(counts: Mapping[str, Any]) -> str:
    names = {"bonafide": "genuine", "spoof": "deepfake", "sources": "sources"}
    return ", ".join(f"{counts[key]:,} {name}" for key, name in names.items() if _is_number(counts.get(key)))


def _percent(rate: float) -> str:
    return f"{100 * rate:.1f} %"


# How well a model does on recordings that it did not learn from.
_FIGURES: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("EER", "eer", _percent),
    ("mean over sources", "mean_eer", _percent),
    ("balanced accuracy", "balanced_accuracy", _percent),
    ("Cllr", "cllr", "{:.3f} bits".format),
    ("calibration error", "calibration_error", "{:.3f}".format),
)


def _titled(title: str, words: Sequence[str], numbers: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", title=Text(f"\n{title}"), title_justify="left")
    for column in words:
        table.add_column(column, overflow="fold")
    for column in numbers:
        table.add_column(column, overflow="fold", justify="right")
    return table


# Of a stage or an operator; the multiply-accumulates are those of one window, in millions.
_AMOUNTS = ("parameters", "M MAC")


def _amounts(counted: Stage | Operator) -> tuple[str, str]:
    return f"{counted.n_parameters:,}", "?" if counted.macs is None else _millions(counted.macs)


def _millions(count: int) -> str:
    return f"{count / 1e6:,.2f}"


def _front_end(title: str, stages: Iterable[Stage], kinds: Iterable[Kind]) -> Table:
    words = ("features", "of each frame", "FFT / window / hop", "over the frames")
    table = _titled(title, words, ("give", "constants", _AMOUNTS[1]))
    specs = (kind.spec for kind in kinds)
    for stage in stages:
        told = [stage.words, "", ""]
        if stage.kind == "features":
            spec = next(specs)
            told = [described(spec), f"{spec.n_fft:,} / {spec.window_length:,} / {spec.hop_length:,}", summed(spec)]
        table.add_row(stage.name, *told, shaped(stage.output), *_amounts(stage))
    return table


def _layers(title: str, stages: Iterable[Stage]) -> Table:
    table = _titled(title, ("layer", "what it does"), ("gives", *_AMOUNTS))
    for stage in stages:
        table.add_row(stage.name, stage.words, shaped(stage.output), *_amounts(stage))
    return table


def _sizes(inspection: Inspection) -> Table:
    table = _titled("what the file is made of", ("",), ("parameters", "bytes", "M MAC"))
    for name, n_bytes in inspection.n_bytes.items():
        amounts = ("", f"{n_bytes:,}", "")
        if name in inspection.macs:
            amounts = (f"{inspection.n_parameters[name]:,}", f"{n_bytes:,}", _millions(inspection.macs[name]))
        table.add_row(name, *amounts)
    table.add_row(
        "all",
        f"{sum(inspection.n_parameters.values()):,}",
        f"{sum(inspection.n_bytes.values()):,}",
        _millions(inspection.macs_per_window),
    )
    return table


def _costs(inspection: Inspection) -> Iterator[tuple[str, str]]:
    yield "", ""
    yield "M MAC", "millions of multiply-accumulates for a window, in convolutions and matrix products"
    uncounted = f", without what cannot be told ({inspection.n_uncounted} operators)" if inspection.n_uncounted else ""
    yield "cost", f"{_millions(inspection.macs_per_second)} M MAC per second of audio{uncounted}"
    speed, rate = inspection.speed, inspection.audio_seconds_per_second
    if speed is None or rate is None:
        yield "speed", "not measured, since nothing was run; --measure does"
    else:
        how = f"on one thread of this machine ({speed.machine}), the median of {speed.n_windows}"
        yield "speed", f"{speed.windows_per_second:,.1f} windows, {rate:,.0f} s of audio, per second: {how}"


def _nodes(operators: Sequence[Operator]) -> Table:
    table = _titled("operators", ("operator", "name", "reads"), ("gives", *_AMOUNTS))
    for operator in operators:
        names = (printable(name) for name in (operator.kind, operator.name, ", ".join(operator.inputs)))
        shapes = "; ".join(shaped(shape) or "?" for shape in operator.output_shapes)
        table.add_row(*map(Text, names), shapes, *_amounts(operator))
    return table
