"""The detector: what decides a verdict, and what must not."""

from __future__ import annotations

import dataclasses
import itertools
import math
import pickle
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import librosa
import numpy as np
import onnxruntime
import pytest
import soundfile
from signals import RATE, FloatArray, noise, sine, voice

from deepfake_audio.audio import open_recording
from deepfake_audio.calibration import Calibration
from deepfake_audio.detector import Detection, Detector, ModelRef, Skipped
from deepfake_audio.modelfile import WindowScores, read_model
from deepfake_audio.speech import speech_stretches

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt


@pytest.fixture(scope="module")
def detector(tiny_model: Path) -> Detector:
    """Return a detector that knows voices from robotic ones."""
    return Detector.load(tiny_model)


def write(path: Path, signal: npt.NDArray[Any], rate: int = RATE, **options: Any) -> Path:
    """Write a recording without loss."""
    soundfile.write(path, signal, rate, **{"subtype": "FLOAT", **options})
    return path


def scored(detector: Detector, path: Path) -> Detection:
    """Return the detection of a recording that can be scored."""
    result = detector.score(path)
    assert isinstance(result, Detection), result
    return result


def llr_of(detector: Detector, path: Path, signal: npt.NDArray[Any], rate: int = RATE, **options: Any) -> float:
    """Return the log-likelihood ratio of a signal, written to a file."""
    llr = scored(detector, write(path, signal, rate, **options)).llr_genuine
    assert llr is not None
    return llr


# --- verdicts --------------------------------------------------------------------------------------------------


def fixed(
    raw: float,
    *,
    threshold: float = 0.0,
    margin: float = 0.5,
    override: float | None = None,
    least: float | None = None,
    familiarity: tuple[float, ...] = (0.5,),
) -> Detector:
    """Return a detector whose model gives every window the same score, and one familiarity after the other."""
    each = itertools.cycle(familiarity)
    metadata = SimpleNamespace(
        name="fixed",
        sample_rate=RATE,
        window_samples=RATE,
        hop_samples=RATE,
        calibration=Calibration(2.0, 1.0),
        threshold=threshold,
        margin=margin,
        familiarity=least,
    )
    model: Any = SimpleNamespace(
        metadata=metadata,
        sha256="0" * 64,
        score=lambda windows: WindowScores(
            np.full(len(windows), raw, dtype=np.float32),
            None if least is None else np.array([next(each) for _ in windows], dtype=np.float32),
        ),
    )
    return Detector(model, threshold=override)


@pytest.mark.parametrize(
    ("raw", "options", "verdict", "reasons"),
    [
        # The calibration makes 2 * raw + 1 of a raw score.
        pytest.param(0.0, {}, "genuine", (), id="above"),
        pytest.param(-1.0, {}, "deepfake", (), id="below"),
        pytest.param(-0.5, {}, "inconclusive", ("too_close",), id="at the threshold"),
        pytest.param(-0.26, {}, "inconclusive", ("too_close",), id="just inside the margin"),
        pytest.param(-0.25, {}, "genuine", (), id="at the upper edge of the margin"),
        pytest.param(-0.75, {}, "deepfake", (), id="at the lower edge of the margin"),
        pytest.param(-0.5, {"margin": 0.0}, "genuine", (), id="at the threshold without a margin"),
        pytest.param(0.0, {"threshold": 2.0}, "deepfake", (), id="below the model's own threshold"),
        pytest.param(0.0, {"override": 2.0}, "deepfake", (), id="below a chosen threshold"),
        pytest.param(0.0, {"threshold": 2.0, "override": 0.0}, "genuine", (), id="the chosen threshold wins"),
        pytest.param(0.0, {"override": 1.2}, "inconclusive", ("too_close",), id="the margin goes with the threshold"),
        pytest.param(-40.0, {"override": -math.inf}, "genuine", (), id="a threshold below everything"),
        pytest.param(0.0, {"least": 0.5}, "genuine", (), id="just familiar enough"),
        pytest.param(0.0, {"least": 0.51}, "inconclusive", ("out_of_domain",), id="unfamiliar"),
        pytest.param(-9.0, {"least": 0.51}, "inconclusive", ("out_of_domain",), id="unfamiliar like a deepfake"),
        pytest.param(-0.5, {"least": 0.51}, "inconclusive", ("too_close", "out_of_domain"), id="unfamiliar and close"),
        pytest.param(
            0.0, {"least": 0.51, "override": -math.inf}, "inconclusive", ("out_of_domain",), id="at any threshold"
        ),
        # The three windows of three seconds count the same: on average 0.5.
        pytest.param(0.0, {"least": 0.49, "familiarity": (0.1, 0.6, 0.8)}, "genuine", (), id="familiar on average"),
        pytest.param(
            0.0,
            {"least": 0.51, "familiarity": (0.1, 0.6, 0.8)},
            "inconclusive",
            ("out_of_domain",),
            id="unfamiliar on average",
        ),
    ],
)
def test_verdict(raw: float, options: dict[str, Any], verdict: str, reasons: tuple[str, ...], tmp_path: Path) -> None:
    """The verdict follows from score, threshold and margin."""
    detection = scored(fixed(raw, **options), write(tmp_path / "a.wav", voice(3.0)))
    assert (detection.verdict, detection.reasons) == (verdict, reasons)
    assert detection.llr_genuine == pytest.approx(2 * raw + 1)
    assert detection.p_deepfake == pytest.approx(1 / (1 + math.exp(2 * raw + 1)))


@pytest.mark.parametrize(
    ("raw", "reasons"),
    [
        pytest.param(5.0, ("too_short",), id="clear"),
        pytest.param(-0.5, ("too_short", "too_close"), id="close as well"),
    ],
)
def test_little_speech_gives_a_score_but_no_verdict(raw: float, reasons: tuple[str, ...], tmp_path: Path) -> None:
    """Less than a second of speech is inconclusive however clear the score is."""
    detection = scored(fixed(raw), write(tmp_path / "a.wav", voice(0.8)))
    assert (detection.verdict, detection.reasons) == ("inconclusive", reasons)
    assert detection.speech_seconds == pytest.approx(0.8)
    assert detection.llr_genuine is not None
    assert len(detection.segments) == 1


@pytest.mark.parametrize(
    "signal",
    [
        pytest.param(np.zeros(3 * RATE, dtype=np.float32), id="silence"),
        pytest.param(np.full(3 * RATE, 0.3, dtype=np.float32), id="constant"),
        pytest.param(sine(1000, 3.0), id="tone"),
        pytest.param(noise(3.0), id="hiss"),
        pytest.param(np.concatenate([voice(0.15), np.zeros(RATE, dtype=np.float32)]), id="one syllable"),
        pytest.param(voice(0.3), id="short"),
        pytest.param(np.ones(1, dtype=np.float32), id="one sample"),
    ],
)
def test_no_speech_gives_no_score(signal: FloatArray, tmp_path: Path) -> None:
    """Where there is no speech nothing is made up."""
    detection = scored(fixed(5.0), write(tmp_path / "a.wav", signal))
    assert (detection.verdict, detection.reasons) == ("no_speech", ())
    assert detection.llr_genuine is None
    assert detection.p_deepfake is None
    assert detection.segments == ()
    assert detection.duration_seconds == pytest.approx(len(signal) / RATE)


def test_a_model_that_finds_all_unfamiliar(tiny_model: Path, tmp_path: Path) -> None:
    """With a threshold above all familiarity no verdict is left, with one below all every one; scores stay."""
    file = read_model(tiny_model)
    path = write(tmp_path / "a.wav", voice(9.5, seed=3000))
    none, every = (
        Detector(dataclasses.replace(file, metadata=dataclasses.replace(file.metadata, familiarity=least, margin=0.0)))
        for least in (1.01, 0.0)
    )
    unknown, known = scored(none, path), scored(every, path)
    assert (unknown.verdict, unknown.reasons) == ("inconclusive", ("out_of_domain",))
    assert (known.verdict, known.reasons) == ("genuine", ())
    assert dataclasses.replace(unknown, verdict="genuine", reasons=()) == known


def test_no_speech_is_not_unfamiliar(tmp_path: Path) -> None:
    """What holds nothing to judge is called that, whatever the model knows."""
    detection = scored(fixed(5.0, least=0.9), write(tmp_path / "a.wav", sine(1000, 3.0)))
    assert (detection.verdict, detection.reasons) == ("no_speech", ())


def test_clicks_are_unfamiliar(detector: Detector, tmp_path: Path) -> None:
    """A model of voices gives no verdict on a machine that beeps and ticks."""
    beeps = sine(1000, 4.0) * (np.arange(4 * RATE) % RATE < RATE // 4)
    beeps[:: RATE // 8] += 0.4
    detection = scored(detector, write(tmp_path / "a.wav", beeps.astype(np.float32)))
    assert detection.verdict == "inconclusive"
    assert "out_of_domain" in detection.reasons


def test_nan_is_no_threshold(tiny_model: Path) -> None:
    """A threshold that nothing is below would call every deepfake genuine."""
    with pytest.raises(ValueError, match="not NaN"):
        Detector.load(tiny_model, threshold=math.nan)


def test_tells_voices_apart(detector: Detector, tmp_path: Path) -> None:
    """On voices that it has not heard, the model that the tests train is right."""
    for seed in range(3000, 3005):
        human = scored(detector, write(tmp_path / "a.wav", voice(4.0, seed=seed)))
        robot = scored(detector, write(tmp_path / "b.wav", voice(4.0, seed=seed, robotic=True)))
        assert human.llr_genuine is not None
        assert robot.llr_genuine is not None
        assert human.llr_genuine > robot.llr_genuine


# --- scores ----------------------------------------------------------------------------------------------------


def test_score_is_the_calibrated_mean_of_the_windows(detector: Detector, tiny_model: Path, tmp_path: Path) -> None:
    """The score of a file is what onnxruntime gives for its windows, averaged and calibrated; p follows Bayes."""
    rate, window = detector.metadata.sample_rate, detector.metadata.window_samples
    path = write(tmp_path / "a.wav", voice(5.5, seed=7))
    with open_recording(path) as recording:
        speech = np.concatenate([s.signal for s in speech_stretches(recording.blocks(rate), rate)])
    starts = [*range(0, len(speech) - window, window), len(speech) - window]
    session = onnxruntime.InferenceSession(tiny_model.read_bytes(), providers=["CPUExecutionProvider"])
    (raw,) = session.run(["score"], {"signal": np.stack([speech[s : s + window] for s in starts])})
    scale, offset = detector.metadata.calibration.scale, detector.metadata.calibration.offset
    detection = scored(detector, path)
    llr = scale * raw.mean() + offset
    assert detection.llr_genuine == pytest.approx(llr, abs=1e-4)
    assert detection.p_deepfake == pytest.approx(1 / (1 + np.exp(llr)), abs=1e-4)
    expected = 1 / (1 + np.exp(scale * raw + offset))
    assert [s.p_deepfake for s in detection.segments] == pytest.approx(expected.tolist(), abs=1e-4)


@pytest.mark.parametrize("seconds", [0.5, 1.0, 1.01, 5.9, 33.0])
def test_segments_cover_the_recording(seconds: float, detector: Detector, tmp_path: Path) -> None:
    """Segments lie within the recording, in order, without a gap, up to its last sample."""
    detection = scored(detector, write(tmp_path / "a.wav", voice(seconds)))
    segments = detection.segments
    assert segments[0].start == 0.0
    assert segments[-1].end == pytest.approx(detection.duration_seconds, abs=1e-9)
    assert all(0 <= s.start < s.end <= detection.duration_seconds for s in segments)
    assert all(a.start < b.start <= a.end < b.end for a, b in itertools.pairwise(segments))
    assert len(segments) == math.ceil(round(seconds, 6))
    assert detection.speech_seconds == pytest.approx(seconds)


def test_segments_of_speech_with_pauses(detector: Detector, tmp_path: Path) -> None:
    """Segments keep their places in the recording, and pauses are not counted as speech."""
    pause = np.zeros(4 * RATE, dtype=np.float32)
    signal = np.concatenate([pause, voice(2.0, seed=1), pause, voice(2.0, seed=2), pause])
    detection = scored(detector, write(tmp_path / "a.wav", signal))
    assert 3.85 <= detection.segments[0].start <= 4.0
    assert 12.0 <= detection.segments[-1].end <= 12.15
    # At each of the four edges up to 0.1 s of hangover, 0.04 s of smoothing and 0.02 s of a frame are added.
    assert 4.0 <= detection.speech_seconds <= 4.0 + 4 * 0.16
    assert detection.duration_seconds == pytest.approx(16.0)


def test_facts_of_the_file(detector: Detector, tmp_path: Path) -> None:
    """A detection says what file it was and which model."""
    path = write(tmp_path / "a.wav", np.stack([voice(2.0)] * 2, axis=1), 22_050)
    detection = scored(detector, path)
    assert (detection.path, detection.sample_rate, detection.channels) == (str(path), 22_050, 2)
    assert detection.duration_seconds == pytest.approx(2.0 * RATE / 22_050)
    assert detection.model == detector.model == ModelRef("tiny", detector._file.sha256)


# --- what must not decide --------------------------------------------------------------------------------------

VOICE = voice(5.0, seed=11)
SIXTEEN_BITS = np.round(VOICE * 32_768).astype(np.int16)


@pytest.mark.parametrize(
    ("name", "samples", "subtype"),
    [
        pytest.param("a.wav", SIXTEEN_BITS.astype(np.int32) << 16, "PCM_24", id="wav of 24 bits"),
        pytest.param("a.wav", SIXTEEN_BITS.astype(np.int32) << 16, "PCM_32", id="wav of 32 bits"),
        pytest.param("a.wav", (SIXTEEN_BITS / 32_768).astype(np.float32), "FLOAT", id="wav of floats"),
        pytest.param("a.wav", SIXTEEN_BITS / 32_768, "DOUBLE", id="wav of doubles"),
        pytest.param("a.flac", SIXTEEN_BITS, "PCM_16", id="flac"),
        pytest.param("a.flac", SIXTEEN_BITS.astype(np.int32) << 16, "PCM_24", id="flac of 24 bits"),
        pytest.param("a.aiff", SIXTEEN_BITS, "PCM_16", id="aiff"),
        pytest.param("a.au", SIXTEEN_BITS, "PCM_16", id="au"),
        pytest.param("a.caf", SIXTEEN_BITS, "PCM_16", id="caf"),
        pytest.param("a.wav", np.stack([SIXTEEN_BITS] * 2, axis=1), "PCM_16", id="stereo of twice the same"),
        pytest.param("a.wav", np.stack([SIXTEEN_BITS] * 6, axis=1), "PCM_16", id="six channels of the same"),
        pytest.param("a.wav", -SIXTEEN_BITS, "PCM_16", id="polarity"),
    ],
)
def test_container_does_not_decide(name: str, samples: Any, subtype: str, detector: Detector, tmp_path: Path) -> None:
    """The same samples score the same in whatever they are wrapped."""
    plain = llr_of(detector, tmp_path / "plain.wav", SIXTEEN_BITS, subtype="PCM_16")
    assert llr_of(detector, tmp_path / name, samples, subtype=subtype) == pytest.approx(plain, abs=1e-4)


def test_channels_are_averaged(detector: Detector, tmp_path: Path) -> None:
    """A stereo file scores like the mean of its two channels."""
    other = voice(5.0, seed=12)
    stereo = llr_of(detector, tmp_path / "a.wav", np.stack([VOICE, other], axis=1))
    assert stereo == pytest.approx(llr_of(detector, tmp_path / "b.wav", (VOICE + other) / 2), abs=1e-4)


@pytest.mark.parametrize("rate", [22_050, 32_000, 44_100, 48_000, 96_000, 192_000])
def test_sample_rate_does_not_decide(rate: int, detector: Detector, tmp_path: Path) -> None:
    """The same voice at a higher sample rate scores nearly the same."""
    resampled = librosa.resample(VOICE, orig_sr=RATE, target_sr=rate)
    plain = llr_of(detector, tmp_path / "a.wav", VOICE)
    assert llr_of(detector, tmp_path / "b.wav", resampled, rate) == pytest.approx(plain, abs=0.1)


@pytest.mark.parametrize("level_db", [-20, -10, -3, 3, 10, 20])
def test_level_does_not_decide(level_db: float, detector: Detector, tmp_path: Path) -> None:
    """A louder or softer copy scores the same."""
    plain = llr_of(detector, tmp_path / "a.wav", 0.1 * VOICE)
    changed = 0.1 * 10 ** (level_db / 20) * VOICE
    assert llr_of(detector, tmp_path / "b.wav", changed) == pytest.approx(plain, abs=1e-3)


@pytest.mark.parametrize("offset", [-0.4, 0.05, 0.4])
def test_constant_offset_does_not_decide(offset: float, detector: Detector, tmp_path: Path) -> None:
    """A copy that is off zero scores the same."""
    plain = llr_of(detector, tmp_path / "a.wav", 0.5 * VOICE)
    assert llr_of(detector, tmp_path / "b.wav", 0.5 * VOICE + np.float32(offset)) == pytest.approx(plain, abs=0.01)


@pytest.mark.parametrize("seconds", [0.02, 0.1, 0.5, 1.0, 2.0])
def test_length_of_silence_does_not_decide(seconds: float, detector: Detector, tmp_path: Path) -> None:
    """Where there is some silence around the speech, more of it changes nothing at all."""

    def padded(before: float, after: float) -> float:
        parts = (np.zeros(round(before * RATE)), VOICE, np.zeros(round(after * RATE)))
        return llr_of(detector, tmp_path / "a.wav", np.concatenate(parts).astype(np.float32))

    plain = padded(0.2, 0.2)
    assert padded(0.2 + seconds, 0.2) == pytest.approx(plain, abs=1e-3)
    assert padded(0.2, 0.2 + seconds) == pytest.approx(plain, abs=1e-3)


@pytest.mark.parametrize("seconds", [0.013, 0.1, 0.7, 2.0])
def test_place_of_the_speech_decides_little(seconds: float, tiny_model: Path, tmp_path: Path) -> None:
    """Silence of any length before the speech moves its windows, which changes less than the classes differ by."""
    detector = Detector.load(tiny_model)
    shifts = []
    for seed in range(20, 26):
        speech = voice(5.0, seed=seed)
        moved = np.concatenate([np.zeros(round(seconds * RATE), dtype=np.float32), speech])
        plain = llr_of(detector, tmp_path / "a.wav", speech)
        shifts.append(llr_of(detector, tmp_path / "b.wav", moved) - plain)
    assert np.median(np.abs(shifts)) < 0.5


# --- resources -------------------------------------------------------------------------------------------------


def test_memory_does_not_grow_with_the_recording(detector: Detector, tmp_path: Path) -> None:
    """Twenty minutes take hardly more memory than one."""
    minute = np.concatenate([voice(15.0, seed=3)] * 4)
    peaks = []
    for n_minutes in (1, 20):
        path = tmp_path / f"{n_minutes}.wav"
        with soundfile.SoundFile(path, "w", RATE, 1, "PCM_16") as out:
            for _ in range(n_minutes):
                out.write(minute)
        tracemalloc.start()
        detection = scored(detector, path)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert detection.speech_seconds == pytest.approx(60 * n_minutes, rel=0.01)
        assert len(detection.segments) >= 60 * n_minutes - 1
    assert peaks[1] < 1.25 * peaks[0]


def test_one_detector_in_many_threads(detector: Detector, tmp_path: Path) -> None:
    """Four threads that share a detector get what one would get."""
    paths = [write(tmp_path / f"{n}.wav", voice(2.0 + n % 3, seed=n)) for n in range(8)] * 3
    alone = [detector.score(path) for path in paths]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(detector.score, paths))
    assert together == alone


# --- results ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        pytest.param(lambda _: None, "missing", id="missing"),
        pytest.param(lambda p: p.touch(), "empty", id="empty"),
        pytest.param(lambda p: p.write_text("hello " * 99), "not_audio", id="text"),
        pytest.param(lambda p: p.mkdir(), "not_a_file", id="directory"),
        pytest.param(lambda p: write(p, np.zeros(0, dtype=np.float32)), "no_samples", id="no samples"),
        pytest.param(lambda p: write(p, np.append(VOICE, np.float32(np.nan))), "not_finite", id="NaN at the end"),
    ],
)
def test_what_cannot_be_scored_is_skipped(make: Any, reason: str, detector: Detector, tmp_path: Path) -> None:
    """An unusable recording is a value with a reason, not an exception, and not a verdict."""
    path = tmp_path / "a.wav"
    make(path)
    result = detector.score(path)
    assert isinstance(result, Skipped)
    assert (result.path, result.reason, result.model) == (str(path), reason, detector.model)
    assert result.message.startswith(f"{path}: ")


def test_results_and_detector_travel(detector: Detector, tmp_path: Path) -> None:
    """Results are equal after a trip through pickle, and a detector still works after one."""
    good = write(tmp_path / "a.wav", VOICE)
    copy = pickle.loads(pickle.dumps(detector))  # noqa: S301 - our own
    for path in (good, tmp_path / "missing.wav"):
        result = detector.score(path)
        assert pickle.loads(pickle.dumps(result)) == result == copy.score(path)  # noqa: S301 - our own
