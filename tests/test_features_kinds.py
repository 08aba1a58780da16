"""Every kind of features against librosa or its definition, and against what physics says of simple signals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import scipy.special
from references import (
    SHAPES,
    WINDOWS,
    assert_close,
    dct_matrix,
    frames_db,
    make_spec,
    modulation_hz,
    reference,
    stft,
)
from signals import RATE, FloatArray, noise, sine, voice

from deepfake_audio.features import KINDS, FeatureSpec, extract, linear_filters, mel_filters
from deepfake_audio.features.spec import modulation_bands

if TYPE_CHECKING:
    from references import Array

# What each kind makes of bins 80 dB below the rest, where float32 ends; of noise, all are exact to much more.
TOLERANCES = {"linear": 3e-4, "fine": 2e-3, "cepstrum": 2e-3, "flatness": 1e-3, "phase": 2e-2, "modulation": 3e-4}
# A steady tone does not change: of what these measure, it holds rounding errors only.
OF_CHANGES = ("phase", "modulation", "correlation")

kinds = pytest.mark.parametrize("kind", KINDS)


def one(signal: Array, spec: FeatureSpec) -> Array:
    """Return the features of one window."""
    return np.asarray(extract(signal[np.newaxis].astype(np.float32), spec)[0])


def pulses(period: int, seconds: float = 1.0) -> FloatArray:
    """Return a pulse train whose period is given in samples."""
    return np.asarray(np.arange(round(seconds * RATE)) % period == 0, dtype=np.float32)


# --- references ------------------------------------------------------------------------------------------------


@kinds
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_equals_the_reference(kind: str, shape: dict[str, Any]) -> None:
    """Every kind equals librosa (mfcc, mel, linear) or its definition (all others), on every kind of signal."""
    spec = make_spec(kind, normalise_level=False, **shape)
    windows = WINDOWS[:-1] if kind in OF_CHANGES else WINDOWS

    features = extract(windows, spec)

    for values, signal in zip(features, windows, strict=True):
        assert_close(values, reference(signal, spec), TOLERANCES.get(kind, 1e-4))


@kinds
@pytest.mark.parametrize("seconds", [0.5, 1.7, 3.0])
@pytest.mark.parametrize(
    "shape",
    [
        pytest.param({}, id="16-khz"),
        pytest.param({"sample_rate": 22_050, "f_max": 11_025.0, "n_fft": 1_024, "window_length": 551}, id="22-khz"),
        pytest.param(
            {"sample_rate": 48_000, "f_min": 20.0, "f_max": 20_000.0, "n_fft": 2_048, "window_length": 1_201}
            | {"hop_length": 481, "n_bands": 50},
            id="48-khz",
        ),
        pytest.param({"n_fft": 256, "window_length": 255, "hop_length": 64, "n_bands": 24, "lag": 5}, id="short"),
    ],
)
def test_equals_the_reference_for_noise(kind: str, seconds: float, shape: dict[str, Any]) -> None:
    """Where all bins hold signal, the equality is close to what float32 can hold, for windows of any length."""
    spec = make_spec(kind, normalise_level=False, n_coefficients=20, **shape)
    signal = noise(seconds, spec.sample_rate, seed=4)

    assert_close(one(signal, spec), reference(signal, spec), 5e-5)


@pytest.mark.parametrize("lag", [0, 1, 2, 7])
def test_lag(lag: int) -> None:
    """Correlation looks as far back as the spec says."""
    spec = make_spec("correlation", lag=lag, n_bands=12, normalise_level=False)

    assert_close(one(WINDOWS[0], spec), reference(WINDOWS[0], spec))


@pytest.mark.parametrize("frames", range(3, 20))
def test_modulation_of_few_frames(frames: int) -> None:
    """Bands of modulation without a bin are left out, from the three frames on that it needs."""
    spec = make_spec("modulation", n_bands=6, hop_length=160, normalise_level=False)
    signal = noise(1.0)[: 160 * (frames - 1)]

    assert_close(one(signal, spec), reference(signal, spec))


# --- fine structure --------------------------------------------------------------------------------------------


def test_tone_lies_in_its_band() -> None:
    """A tone of 1 kHz is loudest in the bin of 1 kHz."""
    spectrum = one(sine(1_000, 1.0), FeatureSpec("linear")).mean(axis=1)

    assert np.argmax(spectrum) == 1_000 / 16_000 * 512
    assert spectrum[32] - np.median(spectrum) > 60


def test_fine_keeps_a_tone_and_drops_the_envelope() -> None:
    """A faint tone in noise stands out by as much in noise as loud at all frequencies as in noise that falls off."""
    tone = 0.02 * sine(3_000, 3.0)
    white = noise(3.0, seed=1)
    falling = np.convolve(white, [0.5, 0.5])[: len(white)]  # cos(pi f / 16 kHz): at 3 kHz 1.6 dB down, at 7.5 kHz 20
    spec = FeatureSpec("fine", statistics=("mean",))

    fine = [one(signal, spec) for signal in (white + 5 * tone, falling + 5 * tone)]

    for values in fine:
        assert np.argmax(values) == 3_000 / 16_000 * 512
        assert np.abs(np.delete(values, range(85, 108))[:-12]).max() < 2.5
    assert fine[0][96] == pytest.approx(fine[1][96], abs=2.0)


@pytest.mark.parametrize("period", [75, 99, 147, 201])
def test_cepstrum_of_a_pulse_train(period: int) -> None:
    """A pulse train has its peak at the quefrency of its period: the number of the coefficient is one in samples."""
    spec = FeatureSpec("cepstrum", n_fft=2_048, window_length=2_048, n_bands=60, n_coefficients=360)

    bands = one(pulses(period), spec).mean(axis=1)

    assert 5 + np.argmax(bands[5:]) == period // 6
    assert bands[period // 6] - np.median(bands[5:]) > 20


def test_cepstrum_in_half_precision_is_exact_enough() -> None:
    """Rounding the cosines to half precision changes no group of coefficients of speech by a tenth of a decibel."""
    spec = FeatureSpec("cepstrum", n_bands=32, n_coefficients=128, normalise_level=False)
    signal = voice(1.0) + noise(1.0, peak=1e-3)
    db = frames_db(np.abs(stft(signal, spec)) ** 2)

    energy = (dct_matrix(128, len(db)) @ db) ** 2

    exact = 10 * np.log10(energy.reshape(32, 4, -1).mean(axis=1))
    np.testing.assert_allclose(one(signal, spec), exact, atol=0.1)


def test_flatness_of_noise_and_tones() -> None:
    """Noise is 10 log10(e) * 0.5772 = 2.5 dB from flat (Euler's constant), a click is flat, a tone is far from it."""
    spec = FeatureSpec("flatness", n_fft=2_048, window_length=2_048, n_bands=5)
    between = slice(4, -4)  # frames wholly within the signal

    assert one(noise(3.0), spec)[:, between].mean(axis=1) == pytest.approx(np.full(5, 2.507), abs=0.15)
    click = one(np.eye(1, 16_000, 8_000)[0], FeatureSpec("flatness", normalise_level=False))
    np.testing.assert_allclose(click, 0, atol=1e-3)
    tone = one(sine(2_000, 3.0) + noise(3.0, peak=1e-3), spec)[:, between].mean(axis=1)
    band = int(np.argmax(mel_filters(spec)[:, 2_000 * 2_048 // RATE]))
    assert np.argmax(tone) == band
    assert tone[band] > 20


# --- phase -----------------------------------------------------------------------------------------------------


def phase_of(signal: Array, **changes: Any) -> dict[str, Array]:
    """Return the measures of phase by name, each of shape (n_bands, n_frames)."""
    values = one(signal, make_spec("phase", **changes))
    return dict(zip(("time", "frequency", "bend", "mixed"), np.split(values, 4), strict=True))


@pytest.mark.parametrize("hz", [1_010.0, 1_234.5, 5_021.0])
@pytest.mark.parametrize("window_length", [400, 401, 512])
def test_phase_of_a_steady_tone(hz: float, window_length: int) -> None:
    """The phase of a sinusoid goes on evenly in time, and by the same amount in all bins that see it."""
    measures = phase_of(
        sine(hz, 1.0), window_length=window_length, hop_length=100, n_bands=1, f_min=hz - 50, f_max=hz + 50
    )
    inside = slice(4, -4)

    assert measures["time"][0, inside] == pytest.approx(np.ones(151), abs=1e-3)
    # Its advance does not grow from bin to bin, as that of a click does.
    assert measures["mixed"][0, inside] == pytest.approx(np.full(151, np.cos(2 * np.pi * 100 / 512)), abs=1e-3)


@pytest.mark.parametrize("window_length", [400, 401])
def test_phase_of_a_click(window_length: int) -> None:
    """The phase of a click falls evenly with frequency, at a rate that follows from its distance to the frame."""
    at, hop = 8_000, 40
    signal = np.eye(1, 16_000, at)[0]

    measures = phase_of(signal, hop_length=hop, n_bands=8, window_length=window_length)

    frames = np.arange(at // hop - 3, at // hop + 4)
    # The middle of a window of odd length lies half a sample before the middle of the frame.
    distance = at - hop * frames + (window_length % 2) / 2
    for band in range(8):
        assert measures["bend"][band, frames] == pytest.approx(np.ones(7), abs=1e-3)
        assert measures["mixed"][band, frames[:-1]] == pytest.approx(np.ones(6), abs=1e-3)
        assert measures["frequency"][band, frames] == pytest.approx(np.cos(2 * np.pi * distance / 512), abs=1e-3)


def test_phase_of_noise() -> None:
    """Frames that do not overlap share nothing; neighbouring bins correlate by 2/3, which is Hann's window squared."""
    measures = phase_of(noise(3.0), n_fft=512, window_length=512, hop_length=512, n_bands=1)

    # The mean of the cosine between two complex normal numbers with a correlation of 2/3.
    neighbours = np.pi / 4 * (2 / 3) * scipy.special.hyp2f1(0.5, 0.5, 2, 4 / 9)
    assert measures["time"].mean() == pytest.approx(0, abs=0.03)
    assert measures["frequency"].mean() == pytest.approx(neighbours, abs=0.03)
    assert measures["mixed"].mean() == pytest.approx(neighbours**2, abs=0.03)


# --- sums over time --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hz", [3.0, 6.0, 11.0, 23.0, 38.0, 70.0, 100.0])
def test_modulation_of_throbbing_noise(hz: float) -> None:
    """Noise whose amplitude goes up and down is strongest, in every band, in the band of that frequency."""
    spec = FeatureSpec("modulation", n_fft=256, window_length=128, hop_length=64, n_bands=6)
    carrier = noise(3.0)
    throbbing = (1 + 0.9 * np.sin(2 * np.pi * hz * np.arange(len(carrier)) / RATE)) * carrier

    strengths = one(throbbing, spec).reshape(6, -1)

    expected = next(i for i, (low, high) in enumerate(modulation_hz(spec)) if low <= hz < high)
    assert np.argmax(strengths, axis=1).tolist() == [expected] * 6


def test_modulation_bands_cover_the_spectrum_once() -> None:
    """Bands follow upon each other without gap or overlap, from 0.5 Hz up to half the frame rate."""
    spec = make_spec("modulation", hop_length=64)

    bands = modulation_bands(spec, 48_000)

    hz = 250 / 1_024
    assert bands[0][0] == 3  # 0.73 Hz
    assert bands[-1][1] * hz == 125
    assert [last for _, last in bands[:-1]] == [first for first, _ in bands[1:]]
    assert len(bands) == len(modulation_hz(spec)) == 6 + 6


def stepped(levels_db: Array, hz: float) -> Array:
    """Return a tone whose level is another in each frame of 256 samples, about multiples of 256."""
    amplitudes = np.repeat(10 ** (levels_db / 20), 256)[128:]
    return amplitudes * np.sin(2 * np.pi * hz * np.arange(len(amplitudes)) / RATE)


# Frames that do not overlap: each sees one step.
STEPS: dict[str, Any] = {"n_fft": 256, "window_length": 256, "hop_length": 256, "n_bands": 3}


@pytest.mark.parametrize(
    ("period_db", "expected"),
    [pytest.param((0, 6), 1.0, id="every-second-alike"), pytest.param((0, 6, 12, 6), -1.0, id="every-second-opposite")],
)
def test_correlation_of_identical_bands(period_db: tuple[int, ...], expected: float) -> None:
    """Where all bands change alike, each correlates with each as with itself, two frames before."""
    signal = np.zeros(60 * 256 + 1)
    signal[::256] = 10 ** (np.resize(period_db, 61) / 20)  # one click in the middle of each frame

    matrix = one(signal, FeatureSpec("correlation", normalise_level=False, **STEPS))

    np.testing.assert_allclose(matrix, np.full(9, expected), atol=0.05)


@pytest.mark.parametrize("lag", [1, 2, 5])
def test_correlation_knows_who_leads(lag: int) -> None:
    """The row is the band that follows, the column the one that went before."""
    levels = np.random.default_rng(0).uniform(-20, 0, 180)
    leader, follower = stepped(levels[lag:], 2_000), stepped(levels[:-lag], 6_000)

    matrix = one(leader + follower, FeatureSpec("correlation", lag=lag, **STEPS)).reshape(3, 3)

    assert matrix[2, 0] == pytest.approx(1.0, abs=0.05)
    assert abs(matrix[0, 2]) < 0.3


# --- filters ---------------------------------------------------------------------------------------------------


def test_linear_filters() -> None:
    """Linear bands have one width and reach from one neighbour's centre to the other's."""
    filters = linear_filters(FeatureSpec("lfcc", n_fft=1_600, n_bands=7, n_coefficients=7))

    assert filters.shape == (7, 801)
    assert (np.argmax(filters, axis=1) * 10).tolist() == [1_000, 2_000, 3_000, 4_000, 5_000, 6_000, 7_000]
    np.testing.assert_allclose(filters.max(axis=1), 1.0)
    np.testing.assert_allclose(filters.sum(axis=0)[100:701], 1.0)
