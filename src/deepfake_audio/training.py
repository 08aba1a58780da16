"""
Training: from utterances to a model file.

    utterances -> speech -> windows, changed copies -> features -> backend -> equality check ─┐
    scores of what each classifier did not learn from -> weights, calibration, thresholds    ─┴-> model file

Recordings are divided into parts of whole groups. Each part in turn is held out (with cross-validation; without, the
first one only), and what classifiers that never heard its groups say of it calibrates the model. Nothing is written
unless the file's graph gives the same scores as the models that were trained.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from deepfake_audio import __version__
from deepfake_audio.assembly import Branch, assembled, require_equal, runner
from deepfake_audio.augment import Augmentation
from deepfake_audio.backends import Run, Trained, load_backend, require_extra
from deepfake_audio.calibration import (
    Calibration,
    familiarity_threshold,
    fit_calibration,
    fit_weights,
    operating_points,
)
from deepfake_audio.errors import DataError, OutputError
from deepfake_audio.examples import (
    ExampleMaker,
    Features,
    Progress,
    Speech,
    balanced_weights,
    divide,
    read_speech,
    refuse_contradictions,
    require_both_classes,
    silent,
)
from deepfake_audio.features import extract
from deepfake_audio.files import replacing, require_writable
from deepfake_audio.metrics import calibration_error, cllr, decisions, eer, mean_eer
from deepfake_audio.modelfile import ModelMetadata, write_model
from deepfake_audio.store import FeatureStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deepfake_audio.datasets import Dataset, Utterance
    from deepfake_audio.recipe import Member, Recipe

FloatArray = npt.NDArray[np.float64]
# Recorded noise, rooms and sounds without speech by their kinds, "noises", "rooms" and "non_speech".
Recorded = dict[str, tuple[npt.NDArray[np.float32], ...]]

# Verdicts between odds of 2 to 1 for either side are inconclusive.
MARGIN = float(np.log(2.0))
# On how many windows the written graph is compared with the model that was trained.
_N_COMPARED = 128


@dataclass(frozen=True)
class HeldOut:
    """
    How well the classifiers do on recordings that they did not learn from.

    Attributes:
        n: How many recordings.
        eer: Equal error rate over all.
        mean_eer: Mean equal error rate of the sources that have both classes; None where there are none.
        balanced_accuracy: At the stored threshold.
        cllr: Cost of the log-likelihood ratios in bits.
        calibration_error: Expected calibration error of the probabilities.
        parts: Equal error rate of each part.
        operating_points: Thresholds for ``calibration.OPERATING_POINTS``.
        llr_genuine: By utterance.
    """

    n: int
    eer: float
    mean_eer: float | None
    balanced_accuracy: float
    cllr: float
    calibration_error: float
    parts: list[float]
    operating_points: dict[str, float]
    llr_genuine: dict[str, float] = field(repr=False)

    def figures(self) -> dict[str, Any]:
        """Return all of it but the single recordings, rounded, as plain values."""
        values = {key: value for key, value in asdict(self).items() if key != "llr_genuine"}
        return {key: round(value, 4) if isinstance(value, float) else value for key, value in values.items()}


@dataclass(frozen=True)
class TrainingRun:
    """What a run did; the run record is this as JSON. Without an output, ``model`` and ``sha256`` are empty."""

    model: str
    sha256: str
    metadata: ModelMetadata
    held_out: HeldOut
    history: list[dict[str, Any]]
    bad: list[dict[str, str]]
    seconds: dict[str, float]


@dataclass(frozen=True)
class _Data:
    """What was read, how it is divided, and what tells how it goes."""

    maker: ExampleMaker
    assigned: npt.NDArray[np.int64]
    parts: tuple[int, ...]
    log_dir: Path | None
    progress: Progress
    non_speech: _NonSpeech | None = None

    @property
    def utterances(self) -> list[Utterance]:
        return self.maker.speech.utterances

    @property
    def held_out(self) -> npt.NDArray[np.int64]:
        """The recordings that some classifier did not learn from."""
        return np.flatnonzero(np.isin(self.assigned, self.parts))


@dataclass(frozen=True)
class _NonSpeech:
    """
    Windows that the detector takes for speech in recordings in which nobody speaks.

    Attributes:
        windows: Shape (n_windows, window).
        rows: The recording of each window, counted from 0, shape (n_windows,).
        assigned: The part of each recording: neighbours, which are often alike, are held out together.
    """

    windows: npt.NDArray[np.float32]
    rows: npt.NDArray[np.int64]
    assigned: npt.NDArray[np.int64]

    @classmethod
    def of(cls, signals: Sequence[npt.NDArray[np.float32]], maker: ExampleMaker, n_parts: int) -> _NonSpeech | None:
        """Cut recordings; None where there are none, or none in which the detector would find speech."""
        cut = [windows for windows in map(maker.windows_of, signals) if windows]
        if not cut:
            return None
        rows = np.repeat(np.arange(len(cut)), [len(windows) for windows in cut])
        return cls(np.concatenate(cut), rows, np.arange(len(cut)) * n_parts // len(cut))

    def held_out(self, part: int | None) -> npt.NDArray[np.bool_]:
        """Return which windows are not learnt from when a part is held out."""
        return np.equal(self.assigned[self.rows], -1 if part is None else part)


@dataclass(frozen=True)
class _Learnt:
    """
    What became of one member.

    Attributes:
        classifiers: Those that the model is made of.
        scores: Of all recordings, NaN where none was held out, shape (n,).
        familiarity: The same; None if the backend does not know it.
        non_speech: The familiarity of recordings without speech, NaN where not held out; None where it was not learnt.
        facts: Of each classifier that was trained.
        difference: The largest between a classifier and its graph.
    """

    classifiers: list[Any]
    scores: FloatArray
    familiarity: FloatArray | None
    non_speech: FloatArray | None
    facts: list[dict[str, Any]]
    difference: float


def train(  # noqa: PLR0913 - what is not a choice of the recipe
    dataset: Dataset,
    recipe: Recipe,
    output: Path | None,
    *,
    parts: int | None = None,
    jobs: int = 1,
    noises: Sequence[npt.NDArray[np.float32]] = (),
    rooms: Sequence[npt.NDArray[np.float32]] = (),
    non_speech: Sequence[npt.NDArray[np.float32]] = (),
    cache: Path | None = None,
    log_dir: Path | None = None,
    progress: Progress = silent,
) -> TrainingRun:
    """
    Train a model and write its file, and a run record beside it.

    Args:
        dataset: What to learn from; nothing else is looked at.
        recipe: How.
        output: The model file to write; the record gets the suffix ``.json``. None writes nothing: the figures of
            recordings held out are all that is wanted.
        parts: Cross-validate over so many parts; None holds a fifth out, once.
        jobs: Processes for reading and augmenting.
        noises: Recorded noise for the changed copies, as ``examples.read_recorded`` gives it; without any it is made
            on the spot.
        rooms: Recorded impulse responses of rooms, likewise.
        non_speech: Recordings in which nobody speaks, likewise; what is like them will get no verdict.
        cache: A directory that keeps features for further runs; None forgets them.
        log_dir: Where TensorBoard logs go.
        progress: Told how it goes.

    Raises:
        DataError: If a class is missing, more than 5 % of the files cannot be used, or recorded noise or rooms would
            have no effect.
        TrainingError: If the model does not work, or its ONNX form differs from the original.
        MissingExtraError: If a backend's library is not installed.
    """
    for member in recipe.members:
        require_extra(load_backend(member.backend))
    recorded = {"noises": tuple(noises), "rooms": tuple(rooms), "non_speech": tuple(non_speech)}
    _require_effect(recipe, recorded)
    augmentations = [
        Augmentation(member.augmentation, recorded["noises"], recorded["rooms"]) for member in recipe.members
    ]
    for path in (output, record_path(output)) if output is not None else ():
        require_writable(path)
    for directory in (cache, log_dir):
        if directory is not None:
            _require_directory(directory)
    require_both_classes(dataset.utterances, str(dataset.root))
    clock = _Clock()
    with (
        tempfile.TemporaryDirectory(prefix="deepfake-audio-") as temporary,
        (Path(temporary) / "speech").open("wb") as file,
    ):
        sample_rate = recipe.sample_rate
        speech, bad = read_speech(Speech(file), dataset, sample_rate, jobs, progress)
        clock.lap("reading")
        refuse_contradictions(speech.utterances, speech.hashes)
        store = FeatureStore(cache or Path(temporary))
        maker = ExampleMaker(speech, sample_rate, recipe.window_samples, recipe.seed, jobs, store)
        assigned = divide(speech.utterances, recipe.seed, speech.hashes, parts)
        silence = _NonSpeech.of(recorded["non_speech"], maker, len(np.unique(assigned)))
        data = _Data(maker, assigned, tuple(range(parts or 1)), log_dir, progress, silence)
        learnt = [
            _learnt(data, member, augmentation, recipe.seed, refit=output is not None)
            for member, augmentation in zip(recipe.members, augmentations, strict=True)
        ]
        clock.lap("training")
        weights, calibration, held_out = _calibrated(data, np.stack([one.scores for one in learnt], axis=1))
        facts: dict[str, Any] = {
            "data": _data_facts(dataset, data),
            "recorded": _recorded_facts(recorded),
            "held_out": held_out.figures(),
            "onnx_difference": float(f"{max(one.difference for one in learnt):.1g}"),
            "members": [_without_history(one.facts[-1]) for one in learnt],
            "weights": [round(weight, 4) for weight in weights],
        }
    used = [one for one, weight in zip(learnt, weights, strict=True) if weight]
    least = _least_familiarity(data, used)
    if least is not None and (refused := _refused(used, least)):
        facts["held_out"] = {**held_out.figures(), "non_speech": refused}
    metadata = _metadata(recipe, calibration, least, held_out, facts)
    sha256 = ""
    if output is not None:
        branches = [
            Branch(member.specs, one.classifiers, weight)
            for member, one, weight in zip(recipe.members, learnt, weights, strict=True)
            if weight
        ]
        sha256 = write_model(output, assembled(branches, recipe.window_samples), metadata)
    history = [facts for one in learnt for facts in one.facts]
    run = TrainingRun(output.name if output else "", sha256, metadata, held_out, history, bad, clock.laps)
    if output is not None:
        with replacing(record_path(output)) as stream:
            stream.write(json.dumps(asdict(run), indent=2, sort_keys=True).encode() + b"\n")
    return run


def _require_directory(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: cannot be made ({error.strerror})") from error


def _require_effect(recipe: Recipe, recorded: Recorded) -> None:
    """Refuse recorded noise or rooms that no member's copies would ever meet, and sounds that nobody learns from."""
    if recorded["non_speech"]:
        _require_familiarity(recipe)
    for kind, change in (("noises", "noise"), ("rooms", "room")):
        if recorded[kind] and not any(m.copies and m.augmentation.get(change) for m in recipe.members):
            raise DataError(
                f"{kind}: the recipe {recipe.name!r} makes no copies with the change {change!r}, so they would have no "
                "effect; ask for copies, or leave them out"
            )


def _require_familiarity(recipe: Recipe) -> None:
    if not any(m.backend == "svm" and getattr(m.options, "kernel", "") == "rbf" for m in recipe.members):
        raise DataError(
            f"non_speech: no member of the recipe {recipe.name!r} tells how familiar a recording is, as the backend "
            "svm with the kernel rbf does, so these recordings would have no effect; leave them out"
        )


def record_path(model: Path) -> Path:
    """Return where the run record lies: beside the model, with ``.json`` for ``.onnx``, or after any other name."""
    return model.with_name(f"{model.name.removesuffix('.onnx')}.json")


class _Clock:
    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, name: str) -> None:
        now = time.monotonic()
        self.laps[name] = round(now - self._last, 1)
        self._last = now


# --- learning --------------------------------------------------------------------------------------------------


def _learnt(data: _Data, member: Member, augmentation: Augmentation, seed: int, *, refit: bool) -> _Learnt:
    """Train a member without each of the parts, score these, and keep its classifiers or fit one on all data."""
    backend = load_backend(member.backend)
    features = data.maker.features(
        member.specs, member.copies, augmentation, data.progress, f"features ({member.backend})"
    )
    scores, familiarity = np.full((2, len(data.utterances)), np.nan)
    others = data.non_speech
    unheard = None if others is None else np.full(len(others.windows), np.nan)
    unlike = None if others is None else extract(others.windows, member.specs, batch_size=4)
    some = _some_windows(data)
    classifiers, facts, differences = [], [], []
    last = [None] if backend.REFIT and refit else []
    for part in [*data.parts, *last]:
        held_out = data.assigned == part if part is not None else np.zeros(len(scores), dtype=bool)
        sounds = None if others is None or unlike is None else unlike[~others.held_out(part)]
        trained = _trained(data, member, features, seed, held_out, sounds)
        graph = assembled([Branch(member.specs, [trained.onnx])], data.maker.window)
        differences.append(require_equal(graph, trained, member.specs, some))
        classifiers.append(trained.onnx)
        facts.append(trained.facts)
        score, rows = runner(graph), np.flatnonzero(held_out).tolist()
        for number, row in enumerate(rows, start=1):
            found = score(data.maker.windows(row))
            scores[row] = found.score.mean()
            if found.familiarity is not None:
                familiarity[row] = found.familiarity.mean()
            data.progress(f"scoring what was held out ({member.backend})", number, len(rows))
        if others is not None and unheard is not None and others.held_out(part).any():
            found = score(others.windows[others.held_out(part)])
            unheard[others.held_out(part)] = np.nan if found.familiarity is None else found.familiarity
    kept = classifiers[-1:] if last else classifiers
    known = None if trained.familiarity is None else familiarity
    return _Learnt(kept, scores, known, _of_recordings(others, unheard), facts, max(differences))


def _of_recordings(others: _NonSpeech | None, familiarity: FloatArray | None) -> FloatArray | None:
    """Return the mean over the windows of each recording without speech."""
    if others is None or familiarity is None:
        return None
    return np.bincount(others.rows, familiarity) / np.bincount(others.rows)


def _some_windows(data: _Data) -> npt.NDArray[np.float32]:
    """Return windows to compare the written graph on, from all over the data."""
    rows = np.linspace(0, len(data.utterances) - 1, _N_COMPARED).astype(int)
    return np.concatenate([data.maker.windows(row)[:1] for row in np.unique(rows).tolist()])


def _trained(
    data: _Data,
    member: Member,
    features: Features,
    seed: int,
    held_out: npt.NDArray[np.bool_],
    non_speech: npt.NDArray[np.float32] | None,
) -> Trained:
    part = f"part {data.assigned[held_out][0] + 1}" if held_out.any() else "all"
    stage = f"training ({member.backend}, {f'without {part}' if held_out.any() else 'on all'})"
    run = Run(
        seed,
        None if data.log_dir is None else data.log_dir / f"{member.backend}-{part.replace(' ', '-')}",
        functools.partial(data.progress, stage),
    )
    return load_backend(member.backend).train(
        features.examples(data.utterances, ~held_out, non_speech),
        features.examples(data.utterances, held_out) if held_out.any() else None,
        member.options,
        run,
    )


def _calibrated(data: _Data, scores: FloatArray) -> tuple[list[float], Calibration, HeldOut]:
    """
    Fit weights of the members and calibration on the recordings held out; return also how well that does.

    With cross-validation each part is judged by weights and calibration of the other parts; without, the figures are
    of the very recordings that both were fitted on.
    """
    rows = data.held_out
    utterances = [data.utterances[row] for row in rows]
    is_genuine = np.array([u.is_bonafide for u in utterances])
    balance = balanced_weights(utterances)
    scores, assigned = scores[rows], data.assigned[rows]

    def fitted(chosen: npt.NDArray[np.bool_]) -> tuple[FloatArray, Calibration]:
        weights = fit_weights(scores[chosen], is_genuine[chosen], balance[chosen])
        return weights, fit_calibration(scores[chosen] @ weights, is_genuine[chosen], balance[chosen])

    llr = np.empty(len(rows))
    for part in data.parts:
        here = assigned == part
        weights, calibration = fitted(~here if len(data.parts) > 1 else here)
        llr[here] = calibration.llr(scores[here] @ weights)
    weights, calibration = fitted(np.ones(len(rows), dtype=bool))
    return weights.tolist(), calibration, _judged(utterances, llr, assigned)


def _refused(used: list[_Learnt], least: float) -> dict[str, Any]:
    """Return how many recordings without speech were held out, and the share of them that gets no verdict."""
    known = [one.non_speech for one in used if one.familiarity is not None and one.non_speech is not None]
    if not known:
        return {}
    familiarity = np.mean(known, axis=0)
    familiarity = familiarity[np.isfinite(familiarity)]
    return {"n": len(familiarity), "refused": round(float(np.mean(familiarity < least)), 4)}


def _least_familiarity(data: _Data, used: list[_Learnt]) -> float | None:
    """
    Return below what familiarity a recording is unlike what the model knows; None if no member can tell.

    The recordings held out were measured by the classifiers that did not learn from their parts, others will be by the
    final one. That can be compared: familiarity is a mean over landmarks, which are drawn alike from nearly the same
    recordings.
    """
    known = [one.familiarity[data.held_out] for one in used if one.familiarity is not None]
    return familiarity_threshold(np.mean(known, axis=0), learnt=data.non_speech is not None) if known else None


def _judged(utterances: list[Utterance], llr: FloatArray, assigned: npt.NDArray[np.int64]) -> HeldOut:
    is_genuine = np.array([u.is_bonafide for u in utterances])
    bonafide, spoof = llr[is_genuine], llr[~is_genuine]
    p_deepfake = 1 / (1 + np.exp(np.clip(llr, -700, 700)))
    return HeldOut(
        n=len(llr),
        eer=eer(bonafide, spoof).rate,
        mean_eer=mean_eer(llr, is_genuine, [u.source for u in utterances]),
        balanced_accuracy=decisions(bonafide, spoof, 0.0).balanced_accuracy,
        cllr=cllr(bonafide, spoof),
        calibration_error=calibration_error(p_deepfake, ~is_genuine),
        parts=[
            round(eer(llr[is_genuine & (assigned == part)], llr[~is_genuine & (assigned == part)]).rate, 4)
            for part in np.unique(assigned)
        ],
        operating_points=operating_points(bonafide, spoof),
        llr_genuine={u.utterance_id: round(float(value), 4) for u, value in zip(utterances, llr, strict=True)},
    )


# --- what the record says --------------------------------------------------------------------------------------


def _metadata(
    recipe: Recipe, calibration: Calibration, familiarity: float | None, held_out: HeldOut, facts: dict[str, Any]
) -> ModelMetadata:
    """Return what goes into the file: nothing that differs between two runs on the same data with the same seed."""
    return ModelMetadata(
        name=recipe.name,
        backend=recipe.backend,
        sample_rate=recipe.sample_rate,
        window_samples=recipe.window_samples,
        hop_samples=recipe.window_samples,
        calibration=calibration,
        threshold=0.0,
        margin=MARGIN,
        operating_points=held_out.operating_points,
        recipe=recipe.to_dict(),
        training=facts,
        versions=_versions({member.backend for member in recipe.members}),
        familiarity=familiarity,
    )


def _without_history(facts: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in facts.items() if key != "history"}


def _data_facts(dataset: Dataset, data: _Data) -> dict[str, Any]:
    def counts(utterances: list[Utterance]) -> dict[str, int]:
        n_bonafide = sum(u.is_bonafide for u in utterances)
        sources = len({u.source for u in utterances})
        return {"bonafide": n_bonafide, "spoof": len(utterances) - n_bonafide, "sources": sources}

    return {
        "layout": dataset.layout,
        "fingerprint": data.maker.speech.fingerprint(),
        "all": counts(data.utterances),
        "parts": [
            counts([u for u, part in zip(data.utterances, data.assigned, strict=True) if part == number])
            for number in data.parts
        ],
    }


def _recorded_facts(recorded: Recorded) -> dict[str, Any]:
    """Return how many recordings of each kind were given, and a hash of their samples; nothing where there are none."""
    return {kind: {"n": len(signals), "sha256": _hash_of(signals)} for kind, signals in recorded.items() if signals}


def _hash_of(signals: Sequence[npt.NDArray[np.float32]]) -> str:
    digest = hashlib.sha256(json.dumps([len(signal) for signal in signals]).encode())
    for signal in signals:
        digest.update(signal.tobytes())
    return digest.hexdigest()


def _versions(backends: set[str]) -> dict[str, str]:
    names = ["numpy", "librosa", "onnx", "onnxruntime", "scikit-learn"]
    names += ["keras", "tensorflow", "tf2onnx"] * ("cnn" in backends)
    return {"deepfake-audio": __version__, **{name: importlib.metadata.version(name) for name in names}}
