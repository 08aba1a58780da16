"""Each change of a signal against what it says that it does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from signals import RATE, FloatArray, noise, sine, voice

from deepfake_audio import augment as module
from deepfake_audio.augment import (
    add_noise,
    augment,
    band_limit,
    compress,
    equalise,
    gain,
    mask_spectrogram,
    quantise,
    resample_down_and_up,
    reverberate,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    Change = Callable[[FloatArray, int, np.random.Generator], FloatArray]

CHANGES = (
    add_noise,
    augment,
    band_limit,
    compress,
    equalise,
    gain,
    quantise,
    resample_down_and_up,
    reverberate,
)
changes = pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)


def rng(seed: int) -> np.random.Generator:
    """Return a generator."""
    return np.random.default_rng(seed)


def power(signal: npt.NDArray[Any]) -> float:
    """Return the mean square."""
    return float(np.mean(np.square(signal, dtype=np.float64)))


def in_db(ratio: float) -> float:
    """Return a ratio of powers in decibels."""
    return float(10 * np.log10(ratio))


def spectrum(signal: FloatArray, rate: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return frequencies and amplitudes."""
    return np.fft.rfftfreq(len(signal), 1 / rate), np.abs(np.fft.rfft(signal.astype(np.float64)))


# --- all of them -----------------------------------------------------------------------------------------------


@changes
@pytest.mark.parametrize("rate", [4_000, 8_000, 16_000, 22_050, 44_100, 96_000])
@pytest.mark.parametrize(
    "signal",
    [
        pytest.param(np.ones(1, np.float32), id="1-sample"),
        pytest.param(np.zeros(1, np.float32), id="1-zero"),
        pytest.param(voice(1)[:2], id="2-samples"),
        pytest.param(voice(1)[:101], id="101-samples"),
        pytest.param(np.zeros(4_000, np.float32), id="silence"),
        pytest.param(np.full(4_000, -1, np.float32), id="dc"),
        pytest.param(voice(1), id="voice"),
    ],
)
def test_keeps_length_and_type(change: Change, rate: int, signal: FloatArray) -> None:
    """Any signal keeps its length and type, stays finite, and the one that was given is left alone."""
    before = signal.copy()

    for seed in range(6):
        changed = change(signal, rate, rng(seed))
        assert changed.shape == signal.shape
        assert changed.dtype == np.float32
        assert np.isfinite(changed).all()

    np.testing.assert_array_equal(signal, before)


@changes
def test_same_generator_same_result(change: Change) -> None:
    """The same state of the generator gives the same signal, another one another."""
    results = [change(voice(1), RATE, rng(seed)) for seed in (*range(10), *range(10))]

    for one, other in zip(results[:10], results[10:], strict=True):
        np.testing.assert_array_equal(one, other)
    assert len({result.tobytes() for result in results}) > 3


@changes
def test_draws_do_not_depend_on_the_signal(change: Change) -> None:
    """A change draws as often for one signal as for another, so that no label can shift what comes later."""
    one, other = rng(3), rng(3)
    change(voice(1), RATE, one)
    change(-0.5 * voice(1, robotic=True), RATE, other)

    assert one.random() == other.random()


def test_augment_over_many_seeds() -> None:
    """Whatever combination is drawn, the length stays and nothing overflows; many signals stay as they are."""
    signal = voice(0.25)
    unchanged = 0
    for seed in range(300):
        changed = augment(signal, RATE, rng(seed))
        assert changed.shape == signal.shape
        assert np.isfinite(changed).all()
        assert np.abs(changed).max() < 100
        unchanged += np.array_equal(changed, signal)

    untouched = np.prod([1 - probability for probability, _ in module._CHAIN])
    assert unchanged / 300 == pytest.approx(untouched, abs=4 * np.sqrt(untouched * (1 - untouched) / 300))


def test_augment_applies_its_chain_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is certain happens, what is impossible does not, one after the other."""

    def times_two(signal: FloatArray, *_: Any) -> FloatArray:
        return 2 * signal

    def plus_one(signal: FloatArray, *_: Any) -> FloatArray:
        return signal + np.float32(1)

    monkeypatch.setattr(module, "_CHAIN", ((1.0, times_two), (0.0, times_two), (1.0, plus_one)))

    assert augment(np.ones(3, np.float32), RATE, rng(0)).tolist() == [3, 3, 3]


# --- one after the other ---------------------------------------------------------------------------------------


def test_noise() -> None:
    """Noise lies 5 to 40 dB below the signal, and its spectrum falls by 6 dB an octave or less, or rises slightly."""
    signal = voice(2)
    snr_db, slopes = [], []
    for seed in range(60):
        added = add_noise(signal, RATE, rng(seed)).astype(np.float64) - signal
        snr_db.append(in_db(power(signal) / power(added)))
        hz, amplitude = spectrum(added.astype(np.float32), RATE)
        used = (hz > 100) & (hz < 7_900)
        slopes.append(np.polyfit(np.log(hz[used]), 2 * np.log(amplitude[used]), 1)[0])

    assert 4.99 < min(snr_db) < 8
    assert 37 < max(snr_db) < 40.01
    assert -2.1 < min(slopes) < -1.7
    assert 0.2 < max(slopes) < 0.6


def test_gain() -> None:
    """Gain is one factor of -20 to +20 dB, and what goes beyond full scale is clipped."""
    signal = sine(200, 1.0, peak=0.5)
    factors = []
    for seed in range(60):
        changed = gain(signal, RATE, rng(seed))
        unclipped = (np.abs(changed) < 1) & (signal != 0)
        factor = np.median(changed[unclipped] / signal[unclipped])
        np.testing.assert_allclose(changed, np.clip(factor * signal, -1, 1), atol=1e-5)
        factors.append(20 * np.log10(factor))

    assert -20.01 < min(factors) < -16
    assert 16 < max(factors) < 20.01


def test_band() -> None:
    """Above 3 to 8 kHz nothing is left, in a third of the cases also below 50 to 400 Hz; between nothing changes."""
    signal = noise(1.0, 48_000)
    hz, before = spectrum(signal, 48_000)
    highs, lows = [], []
    for seed in range(120):
        _, after = spectrum(band_limit(signal, 48_000, rng(seed)), 48_000)
        ratio = after / before
        kept = np.flatnonzero(ratio > 0.5)
        highs.append(hz[kept[-1]])
        lows.append(hz[kept[0]])
        np.testing.assert_allclose(ratio[(hz > lows[-1] + 30) & (hz < highs[-1] - 260)], 1, atol=1e-3)
        assert ratio[hz > highs[-1] + 260].max() < 1e-3

    assert 2_999 < min(highs) < 3_500
    assert 7_500 < max(highs) < 8_001
    with_low_cut = [low for low in lows if low > 0]
    assert 49 < min(with_low_cut) < 100
    assert 350 < max(with_low_cut) < 401
    assert len(with_low_cut) / 120 == pytest.approx(1 / 3, abs=0.13)


def test_colour() -> None:
    """Each frequency is raised or lowered by 8 dB at most, neighbours by nearly the same."""
    signal = noise(1.0)
    hz, before = spectrum(signal, RATE)
    heard = np.geomspace(30, 7_900, 200)
    steepest = 16 / (np.log(8_000 / 60) / 7)  # from one end to the other between two of eight frequencies
    for seed in range(20):
        _, after = spectrum(equalise(signal, RATE, rng(seed)), RATE)
        curve_db = np.interp(heard, hz, 20 * np.log10(after / before))
        assert np.abs(curve_db).max() < 8.01
        assert np.ptp(curve_db) > 1
        assert np.abs(np.diff(curve_db) / np.diff(np.log(heard))).max() < 1.05 * steepest


def test_lower_rate() -> None:
    """Below 3 kHz the signal stays, whatever the quality; what a rate of 8 kHz cannot hold is gone in some cases."""
    low, high = sine(500, 1.0), sine(7_700, 1.0)
    middle = slice(2_000, -2_000)
    left_db = []
    for seed in range(40):
        kept = resample_down_and_up(low, RATE, rng(seed))
        assert in_db(power(low[middle]) / power((kept - low)[middle])) > 25
        left_db.append(in_db(power(resample_down_and_up(high, RATE, rng(seed))[middle]) / power(high[middle])))

    assert min(left_db) < -80
    assert np.median(left_db) < -20


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
@pytest.mark.parametrize("peak", [0.05, 1.0, 4.0])
def test_codecs(monkeypatch: pytest.MonkeyPatch, rate: int, peak: float) -> None:
    """MP3, Vorbis and Opus all occur, change something, and leave a voice that sounds the same, at its level."""
    formats = set()
    real = soundfile.SoundFile

    def spy(*args: Any, **options: Any) -> Any:
        if "format" in options:
            formats.add((options["format"], options["subtype"]))
        return real(*args, **options)

    monkeypatch.setattr(soundfile, "SoundFile", spy)
    signal = voice(1, rate) / np.abs(voice(1, rate)).max() * np.float32(peak)
    for seed in range(12):
        changed = compress(signal, rate, rng(seed))
        assert not np.array_equal(changed, signal)
        assert np.corrcoef(changed, signal)[0, 1] > 0.9
        assert in_db(power(changed) / power(signal)) == pytest.approx(0, abs=1.5)

    assert formats == {("MP3", "MPEG_LAYER_III"), ("OGG", "VORBIS"), ("OGG", "OPUS")}


def test_quantisation() -> None:
    """A ramp becomes a staircase: 8 to 14 bits in even steps, or the 256 steps of the mu-law, finer near zero."""
    ramp = np.linspace(-0.7, 0.7, 200_001, dtype=np.float32)
    n_steps = []
    for seed in range(40):
        changed = quantise(ramp, RATE, rng(seed)).astype(np.float64)
        steps = np.unique(changed)
        n_steps.append(len(steps))
        if np.ptp(np.diff(steps)) < 1e-5:  # even steps: a half of one is the largest error
            assert np.log2(len(steps) - 1) == pytest.approx(round(np.log2(len(steps) - 1)))
            assert np.abs(changed - ramp).max() <= 0.7 / (len(steps) - 1) * 1.001
        else:  # G.711: about 38 dB at any level
            assert len(steps) in (256, 257)
            assert in_db(power(ramp) / power(changed - ramp)) == pytest.approx(38, abs=2)
            quiet = np.abs(ramp) < 0.07
            assert in_db(power(ramp[quiet]) / power((changed - ramp)[quiet])) > 28

    assert {257, 1_025, 16_385}.intersection(n_steps)
    assert len(set(n_steps)) > 4


def test_room() -> None:
    """The answer to a click is the click, and noise 3 to 20 dB below it that falls by 60 dB in 0.1 to 0.8 s."""
    click = np.zeros(RATE, np.float32)
    click[0] = 1
    levels_db, times = [], []
    for seed in range(60):
        tail = reverberate(click, RATE, rng(seed)).astype(np.float64) - click
        levels_db.append(in_db(np.sum(tail**2)))
        decay_db = 10 * np.log10(np.cumsum(tail[::-1] ** 2)[::-1] / np.sum(tail**2) + 1e-12)  # Schroeder 1965
        fitted = (decay_db < -5) & (decay_db > -35)
        times.append(-60 / np.polyfit(np.flatnonzero(fitted) / RATE, decay_db[fitted], 1)[0])

    assert -20.1 < min(levels_db) < -17
    assert -6 < max(levels_db) < -2.9
    assert 0.08 < min(times) < 0.2
    assert 0.7 < max(times) < 0.9


# --- spectrograms ----------------------------------------------------------------------------------------------


def runs(flags: npt.NDArray[np.bool_]) -> list[int]:
    """Return the lengths of the stretches that are set."""
    edges = np.flatnonzero(np.diff(flags.astype(int), prepend=0, append=0))
    return [int(width) for width in edges[1::2] - edges[::2]]


def test_mask() -> None:
    """Up to two stretches of bands and two of frames become the mean, and nothing else changes."""
    features = rng(0).standard_normal((60, 80)).astype(np.float32)
    before = features.copy()
    widths: dict[str, list[int]] = {"bands": [], "frames": []}
    ever = np.zeros(features.shape, dtype=bool)
    for seed in range(200):
        masked = mask_spectrogram(features, rng(seed))
        hidden = masked != features
        np.testing.assert_allclose(masked[hidden], features.mean(), rtol=1e-4, atol=1e-6)
        bands, frames = hidden.all(axis=1), hidden.all(axis=0)
        np.testing.assert_array_equal(hidden, bands[:, np.newaxis] | frames)
        for name, flags, widest in (("bands", bands, 60 // 6), ("frames", frames, 80 // 8)):
            assert len(runs(flags)) <= 2
            assert flags.sum() <= 2 * widest
            widths[name].append(int(flags.sum()))
        ever |= hidden

    np.testing.assert_array_equal(features, before)
    for found in widths.values():
        assert min(found) == 0
        assert max(found) > 10
    assert ever.all()


@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (6, 8), (1, 200), (200, 1)], ids=str)
def test_mask_of_any_shape(shape: tuple[int, int]) -> None:
    """Spectrograms of any size can be masked."""
    for seed in range(50):
        masked = mask_spectrogram(np.ones(shape, np.float32), rng(seed))
        np.testing.assert_allclose(masked, 1, rtol=1e-6)
