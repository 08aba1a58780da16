"""What must not decide: level, polarity, offset, container, length; and codecs within limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile
import soxr
from signals import silence
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from deepfake_audio.datasets import read_dataset
from deepfake_audio.detector import Detection, Detector
from deepfake_audio.metrics import eer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from signals import FloatArray

    from deepfake_audio.datasets import Utterance

RATE = 16_000


@pytest.fixture(scope="module")
def detector() -> Detector:
    """Return the default model."""
    return Detector.load()


@pytest.fixture(scope="module")
def clips(shared: Path) -> list[FloatArray]:
    """Return 30 development recordings of as many sources as possible, half of them genuine."""
    of_source: dict[tuple[bool, str], Utterance] = {}
    for utterance in read_dataset(shared / "corpus" / "manifest.csv").select("dev").utterances:
        of_source.setdefault((utterance.is_bonafide, utterance.source), utterance)
    chosen = [[u for (genuine, _), u in of_source.items() if genuine is wanted][:15] for wanted in (True, False)]
    return [soundfile.read(u.path, dtype="float32")[0] for part in chosen for u in part]


def llrs(detector: Detector, paths: Sequence[Path]) -> FloatArray:
    """Return the log-likelihood ratio of each file."""
    results = [detector.score(path) for path in paths]
    assert all(isinstance(result, Detection) and result.llr_genuine is not None for result in results)
    return np.array([result.llr_genuine for result in results])  # type: ignore[union-attr]


def wav(path: Path, signal: FloatArray, rate: int = RATE) -> Path:
    """Write a WAV file of floating-point numbers."""
    soundfile.write(path.with_suffix(".wav"), signal, rate, subtype="FLOAT")
    return path.with_suffix(".wav")


@pytest.fixture(scope="module")
def expected(detector: Detector, clips: list[FloatArray], tmp_path_factory: pytest.TempPathFactory) -> FloatArray:
    """Return the log-likelihood ratios of the recordings as they are."""
    directory = tmp_path_factory.mktemp("plain")
    return llrs(detector, [wav(directory / str(i), clip) for i, clip in enumerate(clips)])


@pytest.fixture(scope="module")
def svm() -> Detector:
    """Return the model that sample rates move least."""
    return Detector.load("svm")


@pytest.fixture(scope="module")
def expected_of_svm(svm: Detector, clips: list[FloatArray], tmp_path_factory: pytest.TempPathFactory) -> FloatArray:
    """Return what this one says of the recordings as they are."""
    directory = tmp_path_factory.mktemp("plain-svm")
    return llrs(svm, [wav(directory / str(i), clip) for i, clip in enumerate(clips)])


def changed(change: Callable[[FloatArray], FloatArray]) -> Callable[[Path, FloatArray], Path]:
    """Return a writer of a changed signal."""
    return lambda path, clip: wav(path, change(clip))


def flac(path: Path, clip: FloatArray) -> Path:
    """Write 16-bit FLAC."""
    soundfile.write(path.with_suffix(".flac"), clip, RATE)
    return path.with_suffix(".flac")


HARMLESS: dict[str, Any] = {
    "20-db-louder": changed(lambda x: 10 * x),
    "20-db-softer": changed(lambda x: 0.1 * x),
    "polarity": changed(lambda x: -x),
    "offset": changed(lambda x: x + np.float32(0.1)),
    "half-a-second-of-silence-before": changed(lambda x: np.concatenate([silence(0.5), x])),
    "two-seconds-of-silence-before": changed(lambda x: np.concatenate([silence(2.0), x])),
    "two-seconds-of-silence-after": changed(lambda x: np.concatenate([x, silence(2.0)])),
    "silence-around": changed(lambda x: np.concatenate([silence(1.0), x, silence(1.0)])),
    "flac": flac,
}


@pytest.mark.parametrize("write", HARMLESS.values(), ids=HARMLESS)
def test_what_is_harmless_changes_little(
    detector: Detector,
    clips: list[FloatArray],
    expected: FloatArray,
    tmp_path: Path,
    write: Callable[[Path, FloatArray], Path],
) -> None:
    """Half of the recordings change by no more than a fifth of a natural unit."""
    found = llrs(detector, [write(tmp_path / str(i), clip) for i, clip in enumerate(clips)])
    assert np.median(np.abs(found - expected)) <= 0.2


def encoded(container: str, subtype: str, level: float) -> Callable[[Path, FloatArray], Path]:
    """Return a writer by libsndfile's encoders."""

    def write(path: Path, clip: FloatArray) -> Path:
        path = path.with_suffix(f".{container.lower()}")
        with soundfile.SoundFile(
            path, "w", RATE, 1, subtype=subtype, format=container, compression_level=level
        ) as file:
            file.write(clip)
        return path

    return write


CODECS: dict[str, Any] = {
    "mp3": encoded("MP3", "MPEG_LAYER_III", 0.2),
    "vorbis": encoded("OGG", "VORBIS", 0.3),
}


@pytest.mark.parametrize("write", CODECS.values(), ids=CODECS)
def test_codecs_change_it_within_limits(
    detector: Detector,
    clips: list[FloatArray],
    expected: FloatArray,
    tmp_path: Path,
    write: Callable[[Path, FloatArray], Path],
) -> None:
    """Half of the recordings change by no more than odds of 2 to 1."""
    found = llrs(detector, [write(tmp_path / str(i), clip) for i, clip in enumerate(clips)])
    assert np.median(np.abs(found - expected)) <= 0.7


@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_another_sample_rate_changes_little(
    svm: Detector, clips: list[FloatArray], expected_of_svm: FloatArray, tmp_path: Path, rate: int
) -> None:
    """Half of the recordings change by no more than a fifth of a natural unit."""
    paths = [wav(tmp_path / str(i), soxr.resample(clip, RATE, rate), rate) for i, clip in enumerate(clips)]
    assert np.median(np.abs(llrs(svm, paths) - expected_of_svm)) <= 0.2


@pytest.mark.parametrize("seconds", [10, 60])
def test_repetition_changes_little(
    detector: Detector, clips: list[FloatArray], expected: FloatArray, tmp_path: Path, seconds: int
) -> None:
    """The same speech over and over, up to a minute of it, is worth no more than the speech."""
    paths = [wav(tmp_path / str(i), np.resize(clip, seconds * RATE)) for i, clip in enumerate(clips)]
    assert np.median(np.abs(llrs(detector, paths) - expected)) <= 0.5


def measured(utterance: Utterance) -> list[float]:
    """Return seconds of leading silence, loudness in dB, and duration of a file."""
    signal, rate = soundfile.read(utterance.path)
    loud = np.flatnonzero(np.abs(signal) > 0.01 * np.abs(signal).max())
    return [loud[0] / rate, 10 * np.log10(np.mean(signal**2)), len(signal) / rate]


def test_silence_loudness_and_duration_alone_say_little(shared: Path) -> None:
    """A model that is fed nothing else is far from every model of ours, so these data do not teach a shortcut."""
    dataset = read_dataset(shared / "corpus" / "manifest.csv")
    parts = {}
    for part in ("train", "dev"):
        utterances = dataset.select(part).utterances[::2]
        values = np.array([measured(u) for u in utterances])
        parts[part] = (values, np.array([u.is_bonafide for u in utterances]))
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(*parts["train"])
    values, is_genuine = parts["dev"]
    scores = model.decision_function(values)
    assert eer(scores[is_genuine], scores[~is_genuine]).rate > 0.35
