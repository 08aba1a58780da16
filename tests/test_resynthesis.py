"""Vocoders against what they promise: the same speech, level and pitch, built anew."""

from __future__ import annotations

import importlib.util
import itertools
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.signal import lfilter
from signals import RATE, FloatArray, noise, silence, sine, voice

from deepfake_audio import resynthesis as module
from deepfake_audio.errors import MissingExtraError
from deepfake_audio.resynthesis import METHODS, available_methods, pitch_hz, splice

if TYPE_CHECKING:
    from deepfake_audio.resynthesis import Method

needs_pyworld = pytest.mark.skipif(importlib.util.find_spec("pyworld") is None, reason="needs the extra vocoders")
methods = pytest.mark.parametrize(
    "method",
    [pytest.param(METHODS[name], id=name, marks=[needs_pyworld] if name == "world" else []) for name in METHODS],
)
EIGHT_SEEDS = range(8)


def rng(seed: int = 0) -> np.random.Generator:
    """Return a generator."""
    return np.random.default_rng(seed)


def rms(signal: npt.NDArray[Any]) -> float:
    """Return the root of the mean square."""
    return float(np.sqrt(np.mean(np.square(signal, dtype=np.float64))))


def glide(seconds: float = 2.0, rate: int = RATE) -> tuple[FloatArray, npt.NDArray[np.float64]]:
    """Return a vowel that glides from 100 to 180 Hz, and its pitch at each sample."""
    hz = np.geomspace(100.0, 180.0, round(seconds * rate))
    source = np.diff(np.floor(np.cumsum(hz / rate)), prepend=0.0)
    for formant_hz in (600, 1_400, 2_500):
        radius = np.exp(-np.pi * 90 / rate)
        source = lfilter([1.0], [1.0, -2 * radius * np.cos(2 * np.pi * formant_hz / rate), radius**2], source)
    return (0.1 * source / rms(source)).astype(np.float32), hz


# --- all of them -----------------------------------------------------------------------------------------------


@methods
@pytest.mark.parametrize("rate", [4_000, 8_000, 22_050, 48_000])
@pytest.mark.parametrize(
    "signal",
    [
        pytest.param(voice(1)[:0], id="nothing"),
        pytest.param(voice(1)[:1], id="1-sample"),
        pytest.param(voice(1)[:101], id="101-samples"),
        pytest.param(silence(0.5), id="zeros"),
        pytest.param(np.full(4_000, -1, np.float32), id="dc"),
        pytest.param(np.eye(1, 3_000, 1_500, dtype=np.float32)[0], id="impulse"),
        pytest.param(noise(0.5), id="unvoiced"),
        pytest.param(np.concatenate([silence(0.3), voice(0.3), silence(0.3)]), id="between-zeros"),
    ],
)
def test_any_signal_gives_one_of_its_length_and_type(method: Method, signal: FloatArray, rate: int) -> None:
    """Nothing that a decoder may return makes a method fail, warn or give NaN."""
    for seed in range(3):
        out = method(signal, rate, rng(seed))
        assert out.shape == signal.shape
        assert out.dtype == np.float32
        assert np.isfinite(out).all()


@methods
def test_silence_stays_silent(method: Method) -> None:
    """Zeros in, zeros out."""
    assert not method(silence(0.5), RATE, rng()).any()


@methods
@pytest.mark.parametrize("peak", [1e-5, 0.3, 1e9])
def test_level_is_kept_and_changes_nothing_else(method: Method, peak: float) -> None:
    """The output has the RMS of the input, and scales with it: loudness says nothing about the class."""
    signal = voice(1)
    out = method(np.float32(peak) * signal, RATE, rng(1))
    assert rms(out) == pytest.approx(peak * rms(signal), rel=1e-3)
    np.testing.assert_allclose(out / np.float32(peak), method(signal, RATE, rng(1)), atol=0.03 * np.abs(signal).max())


@methods
def test_same_generator_same_result(method: Method) -> None:
    """The state of the generator decides everything."""
    signal = voice(1)
    np.testing.assert_array_equal(method(signal, RATE, rng(3)), method(signal, RATE, rng(3)))


@methods
def test_no_two_outputs_share_a_setting(method: Method) -> None:
    """Each draw gives another signal, none the input."""
    signal = voice(1)
    outs = [signal, *(method(signal, RATE, rng(seed)) for seed in EIGHT_SEEDS)]
    for number, out in enumerate(outs):
        for other in outs[:number]:
            assert rms(out - other) > 1e-3 * rms(signal)


@methods
def test_input_is_left_alone(method: Method) -> None:
    """No method writes into its argument."""
    signal = voice(1)
    before = signal.copy()
    method(signal, RATE, rng())
    np.testing.assert_array_equal(signal, before)


@methods
@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_spectrum_in_thirds_of_octaves_is_kept(method: Method, rate: int) -> None:
    """Between 150 Hz and 3.5 kHz, where the vowel has its formants, the long-term spectrum stays within 6 dB rms."""
    signal, _ = glide(rate=rate)
    edges = np.geomspace(150, 3_500, 14)

    def bands(x: FloatArray) -> npt.NDArray[np.float64]:
        power = np.square(np.abs(np.fft.rfft(x)))
        hz = np.fft.rfftfreq(len(x), 1 / rate)
        return np.array([10 * np.log10(power[(hz >= a) & (hz < b)].sum()) for a, b in itertools.pairwise(edges)])

    for seed in range(4):
        assert rms(bands(method(signal, rate, rng(seed))) - bands(signal)) < 6


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [
        pytest.param("griffin-lim", 0.03, id="griffin-lim"),
        pytest.param("world", 0.11, id="world", marks=needs_pyworld),
        pytest.param("lpc", 0.03, id="lpc"),
        pytest.param("harmonic", 0.03, id="harmonic"),
        pytest.param("excitation", 0.03, id="excitation"),
        pytest.param("upsample", 0.01, id="upsample"),
    ],
)
def test_pitch_is_kept(name: str, tolerance: float) -> None:
    """The glide from 100 to 180 Hz is still one; WORLD alone may shift it, by up to 10 %."""
    signal, hz = glide()
    expected = hz[::160]
    for seed in range(4):
        found = pitch_hz(METHODS[name](signal, RATE, rng(seed)), RATE)[: len(expected)]
        voiced = found > 0
        assert voiced.mean() > 0.7
        assert np.median(np.abs(found[voiced] / expected[voiced] - 1)) < tolerance


def test_importing_brings_no_heavy_library() -> None:
    """`predict` shares the package, and must not pay for scipy, librosa or pyworld."""
    code = "import sys, deepfake_audio.resynthesis; print({'scipy', 'librosa', 'pyworld'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "set()\n"


# --- some of them ----------------------------------------------------------------------------------------------


def test_missing_pyworld_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pyworld, world says what to install, and is not among the available methods."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert available_methods() == tuple(name for name in METHODS if name != "world")
    with pytest.raises(MissingExtraError, match=r"world needs the extra `vocoders`: pip install"):
        METHODS["world"](voice(1), RATE, rng())


@needs_pyworld
def test_all_methods_are_available() -> None:
    """With pyworld, every method is."""
    assert available_methods() == tuple(METHODS)


def test_phase_keeps_where_the_energy_is() -> None:
    """A burst between silences stays where it was, whichever phases are taken."""
    signal = np.concatenate([silence(0.5), noise(0.2), silence(0.5)])
    for seed in EIGHT_SEEDS:
        out = METHODS["phase"](signal, RATE, rng(seed))
        assert rms(out[int(0.43 * RATE) : int(0.77 * RATE)]) > 20 * rms(out[: int(0.43 * RATE)])


def test_upsample_mirrors_a_tone() -> None:
    """A tone leaves images at the multiples of the lower rate (8, 4 or 2 kHz) plus and minus its frequency."""
    signal = sine(600.0)
    hz = np.fft.rfftfreq(len(signal), 1 / RATE)
    for seed in EIGHT_SEEDS:
        out = METHODS["upsample"](signal, RATE, rng(seed))
        power = np.square(np.abs(np.fft.rfft(out * np.hanning(len(out)))))
        images = np.isin(hz, [7_400, 3_400, 4_600, 1_400, 2_600])
        assert power[images].max() > 10 * np.median(power[hz > 2_000])


def test_predictors_find_the_filter_that_made_a_signal() -> None:
    """White noise through a known all-pole filter of order 2: the coefficients and the power of the noise come back."""
    truth = np.array([1.0, -1.2, 0.8])
    driven = lfilter([1.0], truth, rng().standard_normal(40 * 1_024)).astype(np.float32)
    spectra = module._stft(driven, 1_024, 256)[4:-4]
    filters, error = module._predictors(spectra, 1_024, 2)
    np.testing.assert_allclose(filters.mean(axis=0), truth, atol=0.02)
    assert error.mean() / np.square(module._window(1_024)).sum() == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize(("length", "hop"), [(1, 4), (1_000, 100), (1_001, 128), (5_000, 200)])
def test_spectra_without_change_give_the_signal_back(length: int, hop: int) -> None:
    """Analysis and synthesis are exact inverses up to the first and the last sample."""
    signal = noise(1)[:length]
    np.testing.assert_allclose(
        module._istft(module._stft(signal, 4 * hop, hop), 4 * hop, hop, length), signal, atol=1e-6
    )


def test_minimum_phase_of_a_minimum_phase_filter_is_itself() -> None:
    """A filter whose zeros lie inside the unit circle is determined by its magnitudes."""
    response = np.fft.rfft([1.0, -0.9, 0.5], 512)[np.newaxis]
    np.testing.assert_allclose(
        module._minimum_phase(np.log(np.abs(response)).astype(np.float32), 512), response, atol=1e-4
    )


# --- pitch -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
@pytest.mark.parametrize("hz", [75.0, 120.0, 220.0, 380.0])
def test_pitch_of_pulses(hz: float, rate: int) -> None:
    """A pulse train below 3.5 kHz has the pitch that it was made with, to 1 %."""
    pulses = sum(sine(k * hz, rate=rate, peak=0.05) for k in range(1, int(3_500 / hz)))
    assert pitch_hz(np.asarray(pulses), rate)[5:-5] == pytest.approx(hz, rel=0.01)


@pytest.mark.parametrize("signal", [silence(), noise()], ids=["silence", "noise"])
def test_no_pitch_where_there_is_none(signal: FloatArray) -> None:
    """Silence and noise are unvoiced."""
    assert (pitch_hz(signal, RATE) > 0).mean() < 0.05


# --- splice ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0.5, 2.0, 10.0])
@pytest.mark.parametrize("seed", range(5))
def test_splice_replaces_one_stretch(seconds: float, seed: int) -> None:
    """Outside the stretch nothing changes, inside it is the other version, and its length is as documented."""
    genuine, other = voice(seconds, seed=1), voice(seconds, seed=2)
    out, start, end = splice(genuine, other, RATE, rng(seed))
    first, last = round(start * RATE), round(end * RATE)
    np.testing.assert_array_equal(out[:first], genuine[:first])
    np.testing.assert_array_equal(out[last:], genuine[last:])
    inner = slice(first + RATE // 50, last - RATE // 50)
    level = np.clip(rms(genuine[first:last]) / rms(other[first:last]), 1 / 4, 4)  # matched within 12 dB
    np.testing.assert_allclose(out[inner], level * other[inner], atol=1e-6)
    assert min(0.5, seconds / 4) <= end - start <= min(3.2, seconds / 2 + 0.2)


def test_splice_of_equal_versions_changes_nothing() -> None:
    """The fades add up to one."""
    signal = voice(3)
    np.testing.assert_allclose(splice(signal, signal.copy(), RATE, rng())[0], signal, atol=1e-7)


def test_splice_cuts_where_it_is_quiet() -> None:
    """With a pause in reach of wherever an edge falls, both edges lie in pauses."""
    beat = np.concatenate([sine(300.0, 0.12), silence(0.06)])
    genuine = np.tile(beat, 40)
    for seed in EIGHT_SEEDS:
        _, start, end = splice(genuine, noise(len(genuine) / RATE), RATE, rng(seed))
        for edge in (start, end):
            assert edge % 0.18 > 0.12 or edge in {0.0, len(genuine) / RATE}


@pytest.mark.parametrize("length", [0, 1, 2, 3, 10, 300])
def test_splice_of_almost_nothing(length: int) -> None:
    """However short a signal is, it comes back in its length, and the stretch lies in it."""
    out, start, end = splice(voice(1)[:length], noise(1)[:length], RATE, rng())
    assert len(out) == length
    assert 0 <= start <= end <= length / RATE


def test_splice_of_silence_brings_no_noise() -> None:
    """A silent version leaves a hole, and one spliced into silence is not blown up."""
    out, start, end = splice(voice(4), silence(4), RATE, rng())
    assert not out[round(start * RATE) + 160 : round(end * RATE) - 160].any()
    assert np.abs(splice(silence(4), voice(4), RATE, rng())[0]).max() <= np.abs(voice(4)).max()


def test_splice_needs_one_length() -> None:
    """Two recordings of different lengths are no two versions of one."""
    with pytest.raises(ValueError, match="one length, not 16000 and 32000"):
        splice(voice(1), voice(2), RATE, rng())
