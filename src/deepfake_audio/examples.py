"""
What a backend learns from: utterances -> speech -> windows, augmented -> features.

Recordings that share a ``group`` (a speaker, an author, a list of sentences) stay on one side of every split, so what
is held out comes from sources that were not learnt from.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from deepfake_audio import augment, features
from deepfake_audio.audio import open_recording
from deepfake_audio.backends import Examples
from deepfake_audio.datasets import audio_files
from deepfake_audio.errors import AudioError, DataError
from deepfake_audio.parallel import ordered_map
from deepfake_audio.speech import Stretch, cut_windows, speech_stretches

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from deepfake_audio.augment import Augmentation
    from deepfake_audio.datasets import Dataset, Utterance
    from deepfake_audio.features import FeatureSpec
    from deepfake_audio.store import FeatureStore

FloatArray = npt.NDArray[np.float32]

MAX_BAD_SHARE = 0.05
# Of one recording no more speech than this is used, so that a few long ones do not outweigh all others.
MAX_SPEECH_SECONDS = 60.0
_EXAMPLES_PER_TASK = 32


class Progress(Protocol):
    """Told how training goes."""

    def __call__(self, stage: str, step: int, steps: int, note: str = "") -> None:
        """Say that ``step`` of ``steps`` of a stage are done."""


def silent(stage: str, step: int, steps: int, note: str = "") -> None:
    """Report nothing."""


# --- reading ---------------------------------------------------------------------------------------------------


@dataclass
class Speech:
    """
    The speech of many recordings, in one temporary file instead of in memory.

    Attributes:
        file: Where their samples are, end to end.
        utterances: What they are.
        hashes: Of their files.
        ends: Where the speech of each ends in the file, in samples, after a leading 0.
        digest: Of the samples so far.
    """

    file: IO[bytes]
    utterances: list[Utterance] = field(default_factory=list)
    hashes: list[str] = field(default_factory=list)
    ends: list[int] = field(default_factory=lambda: [0])
    digest: Any = field(default_factory=hashlib.sha256, repr=False)

    def append(self, utterance: Utterance, sha256: str, signal: FloatArray) -> None:
        """Add a recording's speech."""
        samples = signal.astype(np.float32).tobytes()
        self.file.write(samples)
        self.digest.update(samples)
        self.utterances.append(utterance)
        self.hashes.append(sha256)
        self.ends.append(self.ends[-1] + len(signal))

    def signals(self) -> FloatArray:
        """Return all of it, end to end, mapped from the file."""
        self.file.flush()
        return np.memmap(self.file.name, dtype=np.float32, mode="r")

    def fingerprint(self) -> str:
        """Return a hash of the audio and its labels, whatever the order or the names of the files."""
        lines = sorted(f"{h} {u.label}" for h, u in zip(self.hashes, self.utterances, strict=True))
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def read_speech(
    speech: Speech, dataset: Dataset, sample_rate: int, jobs: int, progress: Progress
) -> tuple[Speech, list[dict[str, str]]]:
    """
    Read the speech of all recordings; return it, and what could not be used and why.

    Raises:
        DataError: If more than 5 % cannot be used, or a class is missing without them.
    """
    bad = []
    utterances = dataset.utterances
    tasks = ((str(u.path), sample_rate) for u in utterances)
    for done, (utterance, result) in enumerate(
        zip(utterances, ordered_map(_speech_of, tasks, jobs=jobs), strict=True), start=1
    ):
        if isinstance(result, AudioError):
            bad.append({"path": utterance.utterance_id, "reason": result.reason, "message": str(result)})
        elif len(result[1]) == 0:
            message = f"{utterance.path}: there is no speech in it"
            bad.append({"path": utterance.utterance_id, "reason": "no_speech", "message": message})
        else:
            speech.append(utterance, *result)
        progress("reading", done, len(utterances), f"{len(bad)} unusable" if bad else "")
    if len(bad) > MAX_BAD_SHARE * len(utterances):
        raise DataError(
            f"{dataset.root}: {len(bad):,} of {len(utterances):,} files cannot be used, more than "
            f"{MAX_BAD_SHARE:.0%}; the first: {bad[0]['message']}"
        )
    require_both_classes(speech.utterances, f"{dataset.root}, after leaving out {len(bad)} unusable files")
    return speech, bad


def read_recorded(directory: Path, sample_rate: int) -> tuple[FloatArray, ...]:
    """
    Read the recordings of noise, or the impulse responses of rooms, below a directory, as `Augmentation` takes them.

    Raises:
        DataError: If there are none, or one cannot be used.
    """
    paths = list(audio_files(directory))
    if not paths:
        raise DataError(f"{directory}: there are no audio files in it")
    try:
        return augment.read_recordings(paths, sample_rate, open_recording)
    except AudioError as error:
        raise DataError(str(error)) from error


def _speech_of(task: tuple[str, int]) -> tuple[str, FloatArray] | AudioError:
    """Return a file's hash and its speech, pauses left out; runs in a worker."""
    path, sample_rate = task
    held: list[FloatArray] = []
    missing = round(MAX_SPEECH_SECONDS * sample_rate)
    try:
        with open_recording(path) as recording:
            for stretch in speech_stretches(recording.blocks(sample_rate), sample_rate):
                held.append(stretch.signal[:missing].copy())  # a view would keep its whole chunk in memory
                missing -= len(held[-1])
                if missing == 0:
                    break
            return recording.sha256, np.concatenate(held) if held else np.empty(0, dtype=np.float32)
    except AudioError as error:
        return error


def require_both_classes(utterances: Sequence[Utterance], where: str) -> None:
    """Raise a ``DataError`` unless there are bona fide and spoofed recordings."""
    n_bonafide = sum(u.is_bonafide for u in utterances)
    if n_bonafide == 0 or n_bonafide == len(utterances):
        found = "bona fide" if n_bonafide else "spoofed"
        raise DataError(f"{where}: all {len(utterances):,} recordings are {found}; training needs both classes")


# --- splitting -------------------------------------------------------------------------------------------------

# Without cross-validation one of so many parts is held out.
HOLD_OUT_PARTS = 5


def divide(
    utterances: Sequence[Utterance], seed: int, hashes: Sequence[str] = (), parts: int | None = None
) -> npt.NDArray[np.int64]:
    """
    Assign each utterance to one of several parts, whole groups only, the classes as evenly as groups allow.

    An utterance without a group belongs with its source, else its speaker, else it stands alone; where all would be one
    group, each stands alone. Identical files are of one group.

    Args:
        utterances: What to divide.
        seed: Another seed, another division.
        hashes: Of the files, to recognise identical ones.
        parts: How many; None takes five, or fewer where groups are few.

    Raises:
        DataError: If there are too few groups to have both classes in every part.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    groups = _groups(utterances, hashes)
    labels = np.array([u.is_bonafide for u in utterances])
    most = min(len(np.unique(groups)), *np.bincount(labels, minlength=2).tolist())
    # With few groups a part may lack a class; larger parts are less likely to.
    for n_parts in range(min(most, HOLD_OUT_PARTS), 1, -1) if parts is None else [parts] * (parts <= most):
        assigned = np.zeros(len(utterances), dtype=np.int64)
        folds = StratifiedGroupKFold(n_parts, shuffle=True, random_state=seed).split(labels, labels, groups)
        for number, (_, members) in enumerate(folds):
            assigned[members] = number
        if all(len(np.unique(labels[assigned == part])) == 2 for part in range(n_parts)):  # noqa: PLR2004
            return assigned
    n_bonafide, n_spoof = (len(np.unique(groups[labels == label])) for label in (True, False))
    raise DataError(
        f"{len(utterances)} recordings in {n_bonafide} groups with genuine and {n_spoof} with spoofed ones are too "
        f"few: both are needed in each of {parts or 2} parts that share no group, such as a folder or a speaker"
    )


def _groups(utterances: Sequence[Utterance], hashes: Sequence[str]) -> npt.NDArray[np.str_]:
    """Return the group of each utterance; groups that share an identical file are one."""
    names = [u.group or u.source or u.speaker or u.utterance_id for u in utterances]
    if len(set(names)) == 1:
        names = [u.utterance_id for u in utterances]
    root = {name: name for name in names}

    def find(name: str) -> str:
        while root[name] != name:
            name = root[name]
        return name

    first: dict[str, str] = {}
    for name, sha256 in zip(names, hashes, strict=False):
        root[find(name)] = find(first.setdefault(sha256, name))
    return np.array([find(name) for name in names])


def refuse_contradictions(utterances: Sequence[Utterance], hashes: Sequence[str]) -> None:
    """Raise a ``DataError`` if identical files are labelled both bona fide and spoofed."""
    seen: dict[str, Utterance] = {}
    for utterance, sha256 in zip(utterances, hashes, strict=True):
        other = seen.setdefault(sha256, utterance)
        if other.label is not utterance.label:
            raise DataError(f"{utterance.path} and {other.path} are identical files with different labels")


def balanced_weights(utterances: Sequence[Utterance]) -> npt.NDArray[np.float64]:
    """
    Return how much each utterance counts: large sources less per utterance, and both classes the same in all.

    An utterance of a source with n of its class weighs 1 / sqrt(n), scaled so that each class sums up to half the
    number of utterances; the mean weight is 1.
    """
    keys = [f"{u.label} {u.source}" for u in utterances]
    _, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
    weights = 1.0 / np.sqrt(counts[inverse])
    labels = np.array([u.is_bonafide for u in utterances])
    for label in (True, False):
        weights[labels == label] *= len(utterances) / 2 / weights[labels == label].sum()
    return weights


# --- examples --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Features:
    """
    The features of all windows of the data, and where each window comes from.

    Attributes:
        values: Shape (1 + n_copies, n_windows, *feature_shape), mapped from a file.
        rows: The utterance of each window, shape (n_windows,).
        sizes: As in ``Examples``.
    """

    values: FloatArray
    rows: npt.NDArray[np.int64]
    sizes: tuple[int, ...]

    def examples(
        self, utterances: Sequence[Utterance], chosen: npt.NDArray[np.bool_], non_speech: FloatArray | None = None
    ) -> Examples:
        """Return the examples of the chosen utterances; the windows of an utterance share its weight."""
        of_chosen = np.zeros(len(utterances))
        of_chosen[chosen] = balanced_weights([u for u, is_chosen in zip(utterances, chosen, strict=True) if is_chosen])
        windows = np.flatnonzero(chosen[self.rows])
        rows = self.rows[windows]
        weights = of_chosen[rows] / np.bincount(self.rows)[rows]
        is_bonafide = np.array([u.is_bonafide for u in utterances])[rows]
        return Examples(self.values, windows, is_bonafide, weights / weights.mean(), self.sizes, non_speech)


@dataclass(frozen=True)
class ExampleMaker:
    """
    Makes windows and their features out of the speech that was read.

    Attributes:
        speech: What was read.
        sample_rate: In Hz.
        window: Length of a window in samples.
        seed: Where the randomness of places and augmentation starts.
        jobs: How many processes to use.
        store: Where features are kept; they can be larger than memory.
    """

    speech: Speech
    sample_rate: int
    window: int
    seed: int
    jobs: int
    store: FeatureStore

    def windows(self, row: int) -> FloatArray:
        """Return all windows of a recording, as the detector would cut them."""
        signal = np.array(self.speech.signals()[self.speech.ends[row] : self.speech.ends[row + 1]])
        return np.stack(list(self._cut([Stretch(0, signal)])))

    def windows_of(self, signal: FloatArray) -> list[FloatArray]:
        """Return what the detector would take for windows of speech in a signal, none where it would find none."""
        return list(self._cut(speech_stretches([signal], self.sample_rate)))

    def _cut(self, stretches: Iterable[Stretch]) -> Iterator[FloatArray]:
        for window in cut_windows(stretches, self.sample_rate, self.window, self.window):
            yield window.signal

    def features(
        self, specs: tuple[FeatureSpec, ...], copies: int, augmentation: Augmentation, progress: Progress, stage: str
    ) -> Features:
        """
        Return the features of all recordings, from the store if it has them.

        As they are, the windows are those that the detector would cut; a changed copy of one comes from a random place
        in its recording, at most half a window off.
        """
        pieces = [(row, *piece) for row in range(len(self.speech.utterances)) for piece in self._pieces(row)]
        rows = np.array([row for row, *_ in pieces])
        shape = (1 + copies, len(pieces), *features.feature_shape(specs, self.window))
        key = self._key(specs, copies, augmentation)
        sizes = tuple(features.feature_shape(spec, self.window)[0] for spec in specs if spec.is_vector)
        if (values := self.store.find(key, shape)) is not None:
            progress(stage, 1, 1, "from the cache")
            return Features(values, rows, sizes)
        self.speech.file.flush()  # the workers map it
        with self.store.new(key, shape) as out:
            tasks = [
                (copy, at, pieces[at : at + _EXAMPLES_PER_TASK])
                for copy in range(1 + copies)
                for at in range(0, len(pieces), _EXAMPLES_PER_TASK)
            ]
            done = ordered_map(
                _features_of,
                tasks,
                jobs=self.jobs,
                initializer=_prepare_features,
                initargs=(self.speech.file.name, specs, self.window, self.seed, augmentation),
            )
            for number, ((copy, at, _), values) in enumerate(zip(tasks, done, strict=True), start=1):
                out[copy, at : at + len(values)] = values
                progress(stage, number, len(tasks))
        values = self.store.find(key, shape)
        assert values is not None  # noqa: S101 - it was stored just now
        return Features(values, rows, sizes)

    def _pieces(self, row: int) -> Iterator[tuple[int, int, int]]:
        """Yield where each window of a recording begins, and where the recording does and ends."""
        first, last = self.speech.ends[row], self.speech.ends[row + 1]
        for start in range(first, last, self.window):
            yield max(first, min(start, last - self.window)), first, last

    def _key(self, specs: tuple[FeatureSpec, ...], copies: int, augmentation: Augmentation) -> str:
        """Return a hash of all that the features depend on: the audio, the front end's graph, and what changes it."""
        digest = hashlib.sha256(features.frontend(specs, self.window).SerializeToString(deterministic=True))
        digest.update(json.dumps([self.speech.digest.hexdigest(), self.speech.ends, self.seed, copies]).encode())
        if copies:
            happens = sorted((name, p) for name, p in augmentation.probabilities.items() if p)
            digest.update(json.dumps(happens).encode())
            for recordings in (augmentation.noises, augmentation.rooms):
                digest.update(json.dumps([len(recording) for recording in recordings]).encode())
                for recording in recordings:
                    digest.update(recording.tobytes())
            for module in sorted(Path(augment.__file__).parent.glob("*.py")):
                digest.update(module.read_bytes())
        return digest.hexdigest()


_worker: dict[str, Any] = {}


def _prepare_features(
    path: str, specs: tuple[FeatureSpec, ...], window: int, seed: int, augmentation: Augmentation
) -> None:
    signals = np.memmap(path, dtype=np.float32, mode="r")
    _worker.update(signals=signals, specs=specs, window=window, seed=seed, augmentation=augmentation)


def _features_of(task: tuple[int, int, list[tuple[int, int, int, int]]]) -> FloatArray:
    """Return the features of some windows in one copy; runs in a worker, its randomness depends on the window alone."""
    copy, at, pieces = task
    specs, window = _worker["specs"], _worker["window"]
    windows = []
    for number, (_, place, first, last) in enumerate(pieces, start=at):
        rng = np.random.default_rng([_worker["seed"], copy, number])
        start = place
        if copy:
            lowest, highest = max(first, place - window // 2), min(place + window // 2, last - window)
            start = int(rng.integers(lowest, max(lowest, highest) + 1))
        signal = np.resize(_worker["signals"][start : min(start + window, last)], window)
        windows.append(_worker["augmentation"](signal, specs[0].sample_rate, rng) if copy else signal)
    return features.extract(np.stack(windows), specs, batch_size=4)
