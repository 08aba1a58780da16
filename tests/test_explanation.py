"""Explanation: what is found is where it was put, and what is said of a region is what happens without it."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from measures import in_db, power
from signals import RATE, FloatArray, noise, silence, sine, voice

from deepfake_audio import explanation
from deepfake_audio.audio import Recording, open_recording, recording_of
from deepfake_audio.calibration import Calibration
from deepfake_audio.datasets import read_dataset
from deepfake_audio.detector import Detection, Detector, Segment
from deepfake_audio.explanation import N_BANDS, TIMES_PER_WINDOW, Explanation, explain, most_telling
from deepfake_audio.modelfile import SHIPPED, WindowScores

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from deepfake_audio.speech import Window

AnyArray = npt.NDArray[Any]
# The edges of the bands of a model at 16 kHz.
EDGES_HZ = [0, 600, 1400, 2500, 3800, 5600, 8000]


@pytest.fixture(scope="module")
def detector(tiny_model: Path) -> Detector:
    """Return a detector that knows voices from robotic ones, by windows of one second."""
    return Detector.load(tiny_model)


def explained(detector: Detector, signal: AnyArray, rate: int = RATE, **options: Any) -> Explanation:
    """Return the explanation of a signal that has one."""
    found = explain(detector, recording_of(signal, rate), **options)
    assert found is not None
    return found


def listening(measure: Callable[[FloatArray], float], window_seconds: float = 1.0, hop_seconds: float = 1.0) -> Any:
    """Return a detector whose model is a function of a window, and which keeps what it was asked."""
    batches: list[int] = []

    def score_windows(windows: list[Window]) -> WindowScores:
        batches.append(len(windows))
        return WindowScores(np.array([measure(window.signal) for window in windows], dtype=np.float64))

    metadata = SimpleNamespace(
        sample_rate=RATE,
        window_samples=round(window_seconds * RATE),
        hop_samples=round(hop_seconds * RATE),
        calibration=Calibration(2.0, 1.0),
    )
    return SimpleNamespace(metadata=metadata, score_windows=score_windows, batches=batches)


def band(signal: AnyArray, low_hz: float, high_hz: float) -> AnyArray:
    """Return the part of a signal between two frequencies."""
    spectrum, hz = np.fft.rfft(signal), np.fft.rfftfreq(len(signal), 1 / RATE)
    return np.fft.irfft(np.where((hz >= low_hz) & (hz < high_hz), spectrum, 0), len(signal))


# --- where it is -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [60, 61, 62])
def test_a_robotic_second_is_found(detector: Detector, seed: int) -> None:
    """In a voice of which one second is robotic, that second alone speaks for a deepfake."""
    signal = voice(6.0, seed=seed)
    signal[2 * RATE : 3 * RATE] = voice(6.0, seed=seed + 1000, robotic=True)[2 * RATE : 3 * RATE]
    found = explained(detector, signal)
    robotic = (found.starts >= 1.99) & (found.ends <= 3.01)
    assert robotic.sum() == TIMES_PER_WINDOW
    assert found.by_time[robotic].max() < found.by_time[~robotic].min()
    assert found.by_time[robotic].sum() < 0 < found.by_time[~robotic].sum()
    assert found.change[:, robotic].min() < found.change[:, ~robotic].min()


@pytest.mark.parametrize("seed", [60, 61, 62])
@pytest.mark.parametrize("number", [0, 2])
def test_a_robotic_band_is_found(detector: Detector, seed: int, number: int) -> None:
    """
    In a voice of which one band buzzes at a fixed pitch, that band speaks most for a deepfake.

    The buzz is as loud as the voice at every time and frequency, so nothing else gives it away. The model of these
    tests goes by the lower bands.
    """
    real = voice(4.0, seed=seed).astype(np.float64)
    pulses = np.diff(np.floor(np.arange(len(real)) * 130 / RATE), prepend=0.0)
    buzz = explanation._shaped(pulses / pulses.std(), real, RATE)
    edges = EDGES_HZ[number], EDGES_HZ[number + 1]
    found = explained(detector, real - band(real, *edges) + band(buzz, *edges))
    assert found.by_band.argmin() == number
    assert found.by_band[number] < min(-0.2, explained(detector, real).by_band[number])


def test_what_speaks_for_what(detector: Detector) -> None:
    """A voice speaks for genuine and a robotic one for deepfake, by their times and by their cells."""
    for robotic, sign in ((False, 1), (True, -1)):
        found = explained(detector, voice(4.0, seed=70, robotic=robotic))
        assert np.sign(found.llr) == sign
        assert sign * found.by_time.sum() > 0
        assert sign * (found.llr - found.llr_of_noise) > 0
        strongest = found.change.ravel()[np.abs(found.change).argmax()]
        assert np.sign(strongest) == sign


def test_nothing_is_said_where_nothing_is(detector: Detector) -> None:
    """Where a band is empty, nothing is there to replace, and the score stays as it is."""
    signal = band(voice(3.0, seed=71), 0, 3_500).astype(np.float32)
    found = explained(detector, signal)
    assert np.abs(found.change[5, 1:-1]).max() < 1e-3
    # Cutting at the first and the last sample of speech makes a click, which is in all bands.
    assert np.abs(found.change[5]).max() < 0.02
    assert np.abs(found.change[:3]).max() > 0.1


def test_digital_silence_changes_nothing(detector: Detector) -> None:
    """Silence between words is in no stretch of speech, and what is said of the words is what was said without it."""
    words = [voice(1.0, seed=72), voice(1.0, seed=73)]
    beside = explained(detector, np.concatenate(words))
    apart = explained(detector, np.concatenate([words[0], silence(2.0), words[1]]))
    assert apart.llr == pytest.approx(beside.llr, abs=0.01)
    assert np.allclose(apart.change, beside.change, atol=0.02)
    assert not ((apart.speech[:, 0] < 2.9) & (apart.speech[:, 1] > 1.1)).any()
    assert (apart.starts[0], apart.ends[-1]) == pytest.approx((0, 4), abs=0.05)


@pytest.mark.parametrize("robotic", [False, True])
def test_deletion(detector: Detector, robotic: bool) -> None:  # noqa: FBT001
    """Without the cells that speak most for the verdict the score falls faster than without as many others."""
    gains = []
    for seed in range(80, 84):
        speech = voice(2.0, seed=seed, robotic=robotic).astype(np.float64)
        occlusion = explanation._Occlusion(detector, speech)
        cells = [(slice(b, b + 1), slice(t, t + 1)) for b in range(N_BANDS) for t in range(len(occlusion.cuts) - 1)]
        llr, change, _ = occlusion.changes([*cells], None)
        sign = np.sign(llr)
        removed = [excess_of(occlusion, cell) for cell in cells]

        def fall(order: AnyArray, n: int = 8) -> float:
            left = speech - np.sum([removed[k] for k in order[:n]], axis=0)  # noqa: B023
            after = explanation._Occlusion(detector, left).changes([], None)[0]
            return float(sign * (llr - after))  # noqa: B023

        order = np.argsort(-sign * change)
        others = np.mean([fall(np.random.default_rng(k).permutation(len(cells))) for k in range(4)])
        gains.append(fall(order) - others)
        assert fall(order) > others
        assert fall(order) > fall(order[::-1])
    assert np.mean(gains) > 0.15


def excess_of(occlusion: Any, region: tuple[slice, slice]) -> AnyArray:
    """Return what is taken away from the whole speech where a region is replaced."""
    at = np.arange(len(occlusion._speech))
    return np.asarray(occlusion._excess[region[0]].sum(axis=0) * occlusion._weight(at, region[1]))


# --- what it says ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0.45, 0.8, 1.0, 1.3, 2.0, 2.95, 4.6])
def test_the_score_is_that_of_the_detector(detector: Detector, seconds: float) -> None:
    """What is explained is what the detector says, however the windows lie and also where speech is repeated."""
    signal = voice(seconds, seed=74)
    found = explained(detector, signal)
    detection = detector.score_recording(recording_of(signal, RATE))
    assert found.llr == pytest.approx(detection.llr_genuine, abs=1e-4)
    assert found.n_windows == len(detection.segments)


def test_changes_by_definition() -> None:
    """
    A region's change is the score less that without it, through the calibration, over all windows.

    With a model that weighs samples, changes are those of the parts that were taken away, and add up: to half a
    hundredth, since a cell fades out over 10 ms beyond its end, where the next window begins and is not asked.
    """
    signal = voice(3.0, seed=75)
    weights = np.random.default_rng(0).standard_normal(RATE)
    found = explained(listening(lambda window: float(window.astype(np.float64) @ weights)), signal)
    speech = signal[round(found.speech[0, 0] * RATE) : round(found.speech[0, 1] * RATE)].astype(np.float64)
    assert len(found.speech) == 1
    excess = speech - explanation._noise_like(speech, RATE)
    # Windows of one second with the calibration 2 s + 1; the last one ends where the speech ends.
    starts = [0, RATE, len(speech) - RATE] if len(speech) > 2 * RATE else [0, len(speech) - RATE]
    taken = 2 * np.mean([excess[start : start + RATE] @ weights for start in starts])
    assert found.llr == pytest.approx(1 + 2 * np.mean([speech[s : s + RATE] @ weights for s in starts]), abs=1e-3)
    assert found.llr - found.llr_of_noise == pytest.approx(taken, abs=1e-3)
    assert found.by_band.sum() == pytest.approx(taken, abs=1e-3)
    assert np.allclose(found.change.sum(axis=1), found.by_band, atol=0.005 * np.abs(found.by_band).max())
    assert np.allclose(found.change.sum(axis=0), found.by_time, atol=1e-3)


def test_a_region_is_judged_in_its_own_time_and_band() -> None:
    """A model that hears one band alone is moved by regions of that band alone."""
    signal = np.concatenate([voice(1.0, seed=76), voice(1.0, seed=77)])
    found = explained(listening(lambda window: 1e3 * power(band(window, 2_700, 3_600))), signal)
    others = np.delete(np.abs(found.change), 3, axis=0)
    assert np.abs(found.change[3]).max() > 20 * others.max()
    assert np.abs(found.by_band).argmax() == 3


def test_it_is_always_the_same(detector: Detector) -> None:
    """The noise is no chance, and the state of numpy's own generator does not matter."""
    signal = voice(2.0, seed=78)
    np.random.seed(1)  # noqa: NPY002
    first = explained(detector, signal)
    np.random.seed(2)  # noqa: NPY002
    again = explained(detector, signal)
    for name in ("llr", "llr_of_noise", "change", "by_band", "by_time", "starts", "ends", "speech"):
        assert np.array_equal(getattr(first, name), getattr(again, name))


@pytest.mark.parametrize("model", SHIPPED)
def test_every_backend_is_explained(model: str) -> None:
    """The models that ship have explanations of all of a recording, in 29 runs for each window at most."""
    with open_recording("tests/data/synthetic.flac") as recording:
        found = explain(Detector.load(model), recording, seconds=4.5)
    assert found is not None
    assert found.n_windows == 3
    assert found.n_runs <= 29 * 3
    assert found.edges_hz.tolist() == EDGES_HZ
    assert found.change.shape == (N_BANDS, len(found.starts))
    assert np.abs(found.change).max() > 0.01
    assert found.by_time.shape == found.starts.shape == found.ends.shape
    assert found.by_band.shape == (N_BANDS,)


# --- windows and times -----------------------------------------------------------------------------------------


@given(st.integers(6_400, 200_000))
@settings(deadline=None, max_examples=200)
def test_no_window_has_more_times_than_it_need(length: int) -> None:
    """Times follow each other from the first sample to the last, and a window touches three of them at most."""
    starts = [*range(0, length - 2 * RATE + 1, 2 * RATE)] or [0]
    starts += [length - 2 * RATE] * (length > 2 * RATE and length % (2 * RATE) > 0)
    cuts = explanation._cuts(length, starts, 2 * RATE)
    assert (cuts[0], cuts[-1]) == (0, length)
    assert all(begin < end for begin, end in itertools.pairwise(cuts))
    for start in starts:
        touched = [k for k, (a, b) in enumerate(itertools.pairwise(cuts)) if a < start + 2 * RATE and start < b]
        assert len(touched) <= TIMES_PER_WINDOW


@pytest.mark.parametrize("hop_seconds", [0.5, 0.6, 0.75, 1.0])
def test_overlapping_windows(hop_seconds: float) -> None:
    """Windows that overlap by up to a half take no more runs than others, and are all run."""
    model = listening(power, 1.0, hop_seconds)
    found = explained(model, voice(4.0, seed=79))
    assert found.n_windows >= 4
    assert sum(model.batches) == found.n_runs <= 29 * found.n_windows
    assert max(model.batches) == 4


def test_progress_is_told() -> None:
    """Progress goes up to the number of runs."""
    told: list[tuple[int, int]] = []
    found = explained(listening(power), voice(2.0, seed=79), progress=lambda done, total: told.append((done, total)))
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    assert {total for _, total in told} == {found.n_runs}
    assert told[-1] == (found.n_runs, found.n_runs)


# --- parts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("signal", [silence(3.0), sine(440.0, 3.0), voice(0.3), np.zeros(1)])
def test_without_speech_there_is_nothing_to_explain(detector: Detector, signal: FloatArray) -> None:
    """What is no speech, or too little, has no explanation."""
    assert explain(detector, recording_of(signal, RATE)) is None


def test_a_part_is_explained_as_a_recording_of_its_own(detector: Detector) -> None:
    """From a second on, for some seconds of speech: the same as if the rest were not there, but for the times."""
    signal = voice(8.0, seed=90)
    part = explained(detector, signal, start_seconds=3.0, seconds=2.0)
    alone = explained(detector, signal[3 * RATE : 5 * RATE])
    assert part.llr == pytest.approx(alone.llr, abs=1e-4)
    assert np.allclose(part.change, alone.change, atol=1e-3)
    assert np.allclose(part.starts, alone.starts + 3.0)
    assert np.allclose(part.speech, alone.speech + 3.0)
    assert part.n_windows == 2


def test_a_part_behind_the_end(detector: Detector) -> None:
    """There is no speech there."""
    assert explain(detector, recording_of(voice(2.0), RATE), start_seconds=2.0) is None


def test_no_more_is_read_than_is_explained() -> None:
    """Of a recording of many hours, what lies behind the part is not even decoded."""
    served = []

    def blocks() -> Any:
        for number in range(10_000):
            served.append(number)
            yield voice(10.0, seed=number % 3)[:, np.newaxis]

    recording = Recording("endless", RATE, 1, "", _decoded=blocks())
    assert explain(listening(power), recording, seconds=5.0) is not None
    assert len(served) < 10


def detection(p: list[float], llr: float | None, seconds: float = 2.0) -> Any:
    """Return a detection of windows of some seconds, one after the other."""
    segments = tuple(Segment(k * seconds, (k + 1) * seconds, value) for k, value in enumerate(p))
    return SimpleNamespace(segments=segments, llr_genuine=llr)


@pytest.mark.parametrize(
    ("p", "llr", "start"),
    [
        pytest.param([0.9] * 15, -2.0, 0.0, id="short"),
        pytest.param([], None, 0.0, id="no speech"),
        pytest.param([0.5] * 20 + [0.9] * 15 + [0.5] * 9, -2.0, 40.0, id="deepfake"),
        pytest.param([0.5] * 20 + [0.9] * 15 + [0.1] * 30, 2.0, 70.0, id="genuine"),
        # One window alone would be more telling than fifteen, but a part is as long as it may be.
        pytest.param([0.2] * 40 + [0.9], -2.0, 52.0, id="at the end"),
        pytest.param([0.5] * 40, -2.0, 0.0, id="the same everywhere"),
    ],
)
def test_the_most_telling_part(p: list[float], llr: float | None, start: float) -> None:
    """The half minute that speaks most for the verdict; windows here have two seconds."""
    found: Detection = detection(p, llr)
    assert most_telling(found) == start


def test_the_most_telling_part_goes_by_the_threshold() -> None:
    """What is called a deepfake is told by the threshold, not by zero."""
    found: Detection = detection([0.1] * 20 + [0.4] * 20, 1.0)
    assert most_telling(found, threshold=0.0) == 0.0
    assert most_telling(found, threshold=2.0) == 40.0


def test_a_window_longer_than_a_part() -> None:
    """Windows over long pauses may be longer than a part, and then are one."""
    found: Detection = detection([0.1, 0.9, 0.2], -1.0, seconds=40.0)
    assert most_telling(found) == 40.0


# --- noise and bands -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "signal",
    [
        pytest.param(voice(2.0, seed=91), id="voice"),
        pytest.param(noise(2.0, seed=92), id="noise"),
        pytest.param(np.concatenate([noise(1.0, seed=92), 0.1 * noise(1.0, seed=93)]), id="a level step"),
    ],
)
def test_the_noise_is_as_loud_everywhere_and_no_copy(signal: FloatArray) -> None:
    """In every band and quarter of a second it has the level of the signal, and its samples have nothing of it."""
    x = signal.astype(np.float64)
    y = explanation._noise_like(x, RATE)
    assert y.shape == x.shape
    for original, copy in zip(*(explanation._bands(z, np.array(EDGES_HZ), RATE) for z in (x, y)), strict=True):
        for at in range(0, len(x), RATE // 4):
            here = slice(at, at + RATE // 4)
            if power(original[here]) > 1e-3 * power(original):
                assert in_db(power(copy[here]) / power(original[here])) == pytest.approx(0, abs=3.5)
    assert in_db(power(y) / power(x)) == pytest.approx(-0.8, abs=1.2)
    assert abs(np.corrcoef(x, y)[0, 1]) < 0.1


def test_noise_of_silence_is_silence() -> None:
    """Nothing becomes nothing, to the last sample."""
    assert not explanation._noise_like(np.zeros(5_000), RATE).any()


@pytest.mark.parametrize("rate", [4_000, 8_000, 16_000, 48_000])
def test_bands_are_the_whole(rate: int) -> None:
    """The bands add up to the signal, go up to half the sample rate, and each is above the one before."""
    signal = noise(1.0, rate, seed=94).astype(np.float64)
    edges = explanation._edges_hz(rate)
    assert len(edges) == N_BANDS + 1
    assert (edges[0], edges[-1]) == (0, rate / 2)
    assert (np.diff(edges) >= 200).all()
    assert np.allclose(explanation._bands(signal, edges, rate).sum(axis=0), signal)


@pytest.mark.parametrize("number", range(N_BANDS))
def test_a_tone_is_in_its_band(number: int) -> None:
    """A sine in the middle of a band is in no other."""
    tone = sine((EDGES_HZ[number] + EDGES_HZ[number + 1]) / 2, 1.0) * np.hanning(RATE)
    powers = [power(part) for part in explanation._bands(tone, np.array(EDGES_HZ), RATE)]
    assert powers[number] == pytest.approx(power(tone), rel=1e-3)
    assert sum(powers) - powers[number] < 1e-6 * power(tone)


def test_times_are_the_whole(detector: Detector) -> None:
    """The weights of all times add up to 1, each is 1 within its time and fades over 20 ms."""
    occlusion = explanation._Occlusion(detector, voice(2.5, seed=95).astype(np.float64))
    at = np.arange(len(occlusion._speech))
    n_times = len(occlusion.cuts) - 1
    weights = np.stack([occlusion._weight(at, slice(t, t + 1)) for t in range(n_times)])
    assert np.allclose(weights.sum(axis=0), 1)
    assert weights.min() >= -1e-12
    for weight, (begin, end) in zip(weights, itertools.pairwise(occlusion.cuts), strict=True):
        assert np.allclose(weight[begin + 160 : end - 160], 1)
        assert weight[: max(0, begin - 160)].sum() == pytest.approx(0)
        assert weight[end + 160 :].sum() == pytest.approx(0)
    assert np.array_equal(occlusion._weight(at, slice(0, n_times)), np.ones(len(at)))


# --- real speech -----------------------------------------------------------------------------------------------


def test_deletion_on_real_speech(shared: Path) -> None:
    """On clips that the shipped model learnt from: without what speaks most for the verdict it falls faster."""
    detector = Detector.load("svm")
    utterances = read_dataset(shared / "corpus" / "manifest.csv").select("train").utterances
    falls = []
    for utterance in utterances[:: len(utterances) // 6][:6]:
        with open_recording(utterance.path) as recording:
            speech, _ = explanation._speech(recording.blocks(RATE), RATE, 0.0, 30.0)
        occlusion = explanation._Occlusion(detector, speech)
        cells = [(slice(b, b + 1), slice(t, t + 1)) for b in range(N_BANDS) for t in range(len(occlusion.cuts) - 1)]
        llr, change, _ = occlusion.changes([*cells], None)
        order = np.argsort(-np.sign(llr) * change)[: len(cells) // 5]
        for chosen in (order, np.random.default_rng(0).permutation(len(cells))[: len(order)]):
            left = speech - np.sum([excess_of(occlusion, cells[k]) for k in chosen], axis=0)
            after = explanation._Occlusion(detector, left).changes([], None)[0]
            falls.append(np.sign(llr) * (llr - after))
    first, others = np.reshape(falls, (-1, 2)).T
    assert (first > others).mean() > 0.8
    assert first.mean() > others.mean() + 0.5
