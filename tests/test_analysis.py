"""Voice analysis: each figure against its definition, on signals of which the answer is known."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import butter, ellip, lfilter, sosfilt
from signals import RATE, FloatArray, noise, silence, sine, voice

from deepfake_audio.analysis import (
    EVENTS,
    FIGURES,
    MAX_SECONDS,
    Analysis,
    NotAnalysed,
    Range,
    Reference,
    analyse,
    analyse_all,
    analyse_recording,
    core,
    read_reference,
    reference,
    reference_ranges,
)
from deepfake_audio.analysis.changes import jolt_ratios, level_steps, peaks, spectral_changes
from deepfake_audio.analysis.figures import judge
from deepfake_audio.analysis.measures import Speech, _pitch_figures, find_speech
from deepfake_audio.analysis.pitch import _normalised_difference, frame_length, lags, voiced, yin
from deepfake_audio.analysis.samples import Runs, SampleFacts, band_limit_hz, bandwidth_hz
from deepfake_audio.analysis.tracks import BAND_EDGES_HZ, TrackBuilder, Tracks
from deepfake_audio.audio import Recording, recording_of
from deepfake_audio.datasets import read_dataset
from deepfake_audio.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

AnyArray = npt.NDArray[np.float64]

SPEECH = ("voiced_percent", "crest_db", "level_range_db", "syllables_per_second", "spectral_tilt_db_per_octave")


def pulses(hz: float, seconds: float = 2.0, rate: int = RATE) -> FloatArray:
    """Return a pulse train, low-passed so that pulses between two samples are not rounded."""
    harmonics = np.arange(1, int(3_000 / hz) + 1)[:, None]
    return np.asarray(np.cos(2 * np.pi * hz * harmonics * np.arange(round(seconds * rate)) / rate).mean(axis=0), "f")


def syllables(signal: FloatArray, per_second: float, depth_db: float = 30.0) -> FloatArray:
    """Give a steady sound the loudness of speech: so many peaks per second of such a depth, a faint noise beneath."""
    seconds = np.arange(len(signal)) / RATE
    level_db = depth_db / 2 * (np.cos(2 * np.pi * per_second * (seconds - 0.5 / per_second)) - 1)
    return np.asarray(0.5 * signal * 10 ** (level_db / 20) + noise(len(signal) / RATE, RATE, 1e-4), "f")


def talk(seconds: float, hz: float = 120.0) -> FloatArray:
    """Return speech without soft ends: syllables of 10 dB."""
    return syllables(pulses(hz, seconds), 4.0, 10.0)


def blocks_of(signal: FloatArray, lengths: Sequence[int]) -> Iterator[FloatArray]:
    """Cut a signal into blocks of these lengths, over and over."""
    at = 0
    while at < len(signal):
        for length in lengths:
            yield signal[at : at + length]
            at += length


def tracks_of(signal: FloatArray, lengths: Sequence[int] = (50_000,)) -> Tracks:
    """Return the tracks of a signal that comes in blocks."""
    builder = TrackBuilder()
    for block in blocks_of(signal, lengths):
        builder.add(block)
    return builder.finish()


def facts_of(signal: FloatArray, rate: int = RATE, lengths: Sequence[int] = (50_000,)) -> SampleFacts:
    """Return the facts of a signal that comes in blocks."""
    facts = SampleFacts(rate)
    for block in blocks_of(signal, lengths):
        facts.add(block)
    facts.finish()
    return facts


def analysed(signal: FloatArray, rate: int = RATE) -> Analysis:
    """Return the analysis of a signal in memory."""
    return analyse_recording(recording_of(signal, rate))


def value(analysis: Analysis, name: str) -> float:
    """Return the value of a figure that can be told."""
    found = analysis.figure(name).value
    assert found is not None
    return found


def assert_sound(analysis: Analysis) -> None:
    """Assert what holds for every analysis: all figures in order, finite numbers, contours of one length."""
    assert [figure.name for figure in analysis.figures] == list(FIGURES)
    for figure in analysis.figures:
        assert figure.value is None or math.isfinite(figure.value), figure
        assert not (figure.outside and (figure.value is None or figure.range is None or not figure.note)), figure
        if figure.unit == "%" and figure.value is not None:
            assert -100 <= figure.value <= 100
    assert all(math.isfinite(event.seconds) and math.isfinite(event.strength) for event in analysis.events)
    assert [e.seconds for e in analysis.events] == sorted(e.seconds for e in analysis.events)
    assert len(analysis.seconds) == len(analysis.pitch_hz) == len(analysis.level_db)
    assert abs(len(analysis.seconds) - 100 * analysis.analysed_seconds) <= 1
    assert np.isfinite(analysis.level_db).all()
    assert (np.isnan(analysis.pitch_hz) | (analysis.pitch_hz > 50)).all()


# --- pitch -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hz", [70.0, 120.0, 155.5, 220.0, 440.0])
def test_pitch_of_a_pulse_train(hz: float) -> None:
    """A pulse train has the pitch of its pulses, in every frame, within a fifth of a percent."""
    tracks = tracks_of(pulses(hz))
    inner = slice(5, -5)
    np.testing.assert_allclose(tracks.pitch_hz[inner], hz, rtol=2e-3)
    assert tracks.dip[inner].max() < 0.06
    assert tracks.voiced[inner].all()


def test_pitch_follows_a_glide() -> None:
    """The pitch of a frame is that of the voice at its middle."""
    seconds = np.arange(2 * RATE) / RATE
    phase = 2 * np.pi * (120 * seconds + 0.5 * 60 * seconds**2)  # from 120 Hz up by 60 Hz in each second
    tracks = tracks_of(np.asarray(sum(np.cos(k * phase) for k in range(1, 9)) / 8, dtype=np.float32))
    expected = 120 + 60 * tracks.seconds
    assert np.abs(tracks.pitch_hz / expected - 1)[5:-5].max() < 0.02


def test_noise_has_no_pitch() -> None:
    """In noise no voice is heard, nor in silence."""
    assert tracks_of(noise(5.0)).voiced.mean() < 0.01
    assert not tracks_of(silence()).voiced.any()
    assert not voiced(np.zeros(0), np.zeros(0), np.zeros(0)).any()


def test_a_voice_holds_its_pitch() -> None:
    """Frames whose pitch leaps are no voice, however periodic each of them is; neither are very soft ones."""
    steady, leaping = np.full(20, 100.0), np.where(np.arange(20) % 2, 100.0, 150.0)
    dip, level = np.zeros(20), np.full(20, -20.0)
    assert voiced(steady, dip, level).all()
    assert not voiced(leaping, dip, level).any()
    assert voiced(steady, dip, np.where(np.arange(20) < 10, -20.0, -70.0)).tolist() == [True] * 10 + [False] * 10
    assert not voiced(steady, np.where(np.arange(20) % 5 == 4, 0.9, 0.0), level).any()  # runs of four


def test_difference_function_is_that_of_the_paper() -> None:
    """What the Fourier transform gives is the sum of equation 6 and the normalisation of equation 8."""
    shortest, longest = lags(RATE)
    frame = np.random.default_rng(0).standard_normal(frame_length(RATE))
    window = 2 * longest
    difference = [sum((frame[:window] - frame[lag : lag + window]) ** 2) for lag in range(longest + 1)]
    expected = [1.0, *(difference[lag] * lag / sum(difference[1 : lag + 1]) for lag in range(1, longest + 1))]
    np.testing.assert_allclose(_normalised_difference(frame[None], longest)[0], expected, rtol=1e-9)
    hz, dip = yin(frame[None].astype(np.float32), RATE)
    assert dip[0] == pytest.approx(min(expected[shortest : longest + 1]), abs=1e-4)
    assert 55 < hz[0] < 550


# --- tracks ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("signal", "level_db"),
    [
        pytest.param(sine(1_000, peak=0.5), 20 * math.log10(0.5 / math.sqrt(2)), id="sine"),
        pytest.param(np.where(sine(100) >= 0, 1.0, -1.0).astype("f"), 0.0, id="square"),
        pytest.param(sine(1_000, peak=0.5) + np.float32(0.4), 20 * math.log10(0.5 / math.sqrt(2)), id="with offset"),
        pytest.param(silence(), -120.0, id="silence"),
        pytest.param(silence() + np.float32(0.5), -120.0, id="held value"),
    ],
)
def test_level(signal: FloatArray, level_db: float) -> None:
    """The level of a frame is its power in dBFS, without its mean."""
    np.testing.assert_allclose(tracks_of(signal).level_db[2:-2], level_db, atol=0.05)


@pytest.mark.parametrize("n", [0, 1, 159, 160, 161, 16_000, 160_001])
def test_a_frame_every_10_ms(n: int) -> None:
    """There is a frame for every 10 ms begun, centred in them."""
    tracks = tracks_of(noise(20.0)[:n])
    n_frames = -(-n // 160)
    assert len(tracks.seconds) == len(tracks.level_db) == len(tracks.pitch_hz) == len(tracks.bands_db) == n_frames
    assert len(tracks.jolts) == 20 * n_frames
    np.testing.assert_allclose(tracks.seconds, 0.005 + 0.01 * np.arange(n_frames))


def test_bands() -> None:
    """A sine stands out in the band that it lies in."""
    for band, (low, high) in enumerate(itertools.pairwise(BAND_EDGES_HZ)):
        tracks = tracks_of(sine(math.sqrt(low * high)))
        assert (tracks.bands_db[5:-5].argmax(axis=1) == band).all()


@settings(max_examples=20, deadline=None)
@given(lengths=st.lists(st.integers(1, 30_000), min_size=1, max_size=5))
def test_blocks_do_not_matter(lengths: list[int]) -> None:
    """Tracks and facts are the same however the signal is cut."""
    signal = np.concatenate([voice(3.0), silence(0.5), np.ones(300, dtype=np.float32), voice(3.0, seed=2)])
    whole, cut = tracks_of(signal, [len(signal)]), tracks_of(signal, lengths)
    for name, track in vars(whole).items():
        np.testing.assert_array_equal(getattr(cut, name), track, err_msg=name)
    facts, of_blocks = facts_of(signal, lengths=[len(signal)]), facts_of(signal, lengths=lengths)
    np.testing.assert_allclose(of_blocks.density, facts.density, rtol=1e-6)
    for runs, runs_of_blocks in ((facts.silent, of_blocks.silent), (facts.clipped, of_blocks.clipped)):
        assert vars(runs) == vars(runs_of_blocks)
    assert (of_blocks.peak, of_blocks.n) == (facts.peak, facts.n)
    assert of_blocks.power == pytest.approx(facts.power)
    assert of_blocks.mean == pytest.approx(facts.mean)


# --- samples ---------------------------------------------------------------------------------------------------


def plain_runs(values: Sequence[float], shortest: int) -> list[tuple[int, int]]:
    """Return first place and length of each run of one value, by going through them."""
    runs, start = [], 0
    for place in range(1, len(values) + 1):
        if place == len(values) or values[place] != values[start]:
            if place - start >= shortest:
                runs.append((start, place - start))
            start = place
    return runs


@given(
    values=st.lists(st.integers(0, 2), min_size=1, max_size=60),
    shortest=st.integers(2, 5),
    cut=st.integers(1, 60),
)
def test_runs(values: list[int], shortest: int, cut: int) -> None:
    """Runs of one value are found as by going through them, and across blocks."""
    same = np.diff(np.array(values, dtype=float), prepend=np.nan) == 0
    runs = Runs(shortest)
    runs.add(same[:cut])
    runs.add(same[cut:])
    runs.finish()
    expected = plain_runs(values, shortest)
    assert runs.places == expected
    assert runs.total == sum(length for _, length in expected)
    assert runs.longest == max((length for _, length in expected), default=0)


def test_only_so_many_runs_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """All runs count, but only the first ones have their places kept."""
    monkeypatch.setattr("deepfake_audio.analysis.samples._MOST_RUNS", 2)
    runs = Runs(2)
    runs.add(np.array([False, True, False, True, False, True, True]))
    runs.finish()
    assert (runs.total, runs.longest, runs.places) == (7, 3, [(0, 2), (2, 2)])


def test_clipping() -> None:
    """Of a sine of twice full scale, the share beyond full scale is 1 - 2/pi asin(1/2); one that just fits has none."""
    clipped = analysed(np.clip(sine(440, 2.0, peak=2.0), -1, 1))
    assert value(clipped, "clipped_percent") == pytest.approx(100 * (1 - 2 / math.pi * math.asin(0.5)), abs=0.5)
    assert "too loud" in clipped.figure("clipped_percent").note
    assert value(analysed(sine(440, 2.0, peak=0.999)), "clipped_percent") == 0
    at_half = np.clip(sine(440, 2.0, peak=2.0), -0.5, 0.5)  # flat, but not at full scale
    assert value(analysed(at_half), "clipped_percent") == 0


def test_digital_silence() -> None:
    """Samples that do not change are found with their place, be they zeros or not; less than 10 ms are not."""
    signal = np.concatenate([voice(2.0), silence(0.25), voice(1.0), np.full(800, 0.3, dtype=np.float32), voice(1.0)])
    analysis = analysed(signal)
    n_silent = 0.25 * RATE + 800
    assert value(analysis, "digital_silence_percent") == pytest.approx(100 * n_silent / len(signal), abs=0.01)
    assert value(analysis, "digital_silence_longest_seconds") == pytest.approx(0.25, abs=0.001)
    events = [event for event in analysis.events if event.kind == "digital_silence"]
    assert [event.seconds for event in events] == pytest.approx([2.0, 3.25], abs=0.001)
    assert [event.strength for event in events] == pytest.approx([0.25, 0.05], abs=0.001)
    assert "microphone" in analysis.figure("digital_silence_longest_seconds").note
    short = np.concatenate([voice(1.0), silence(0.009), voice(1.0)])
    assert value(analysed(short), "digital_silence_percent") == 0


def test_silence_at_the_ends_is_no_event() -> None:
    """What pads a recording counts as digital silence, but nothing happens there."""
    analysis = analysed(np.concatenate([silence(0.5), voice(2.0), silence(0.5)]))
    assert value(analysis, "digital_silence_longest_seconds") == pytest.approx(0.5, abs=0.001)
    assert not [event for event in analysis.events if event.kind == "digital_silence"]


@pytest.mark.parametrize("offset", [0.0, 0.02, -0.05])
def test_offset(offset: float) -> None:
    """The offset is the mean in percent of full scale, with its sign; the level is that of the rest."""
    signal = voice(3.0)
    analysis = analysed(signal + np.float32(offset))
    assert value(analysis, "dc_offset_percent") == pytest.approx(100 * (offset + float(signal.mean())), abs=1e-3)
    assert bool(analysis.figure("dc_offset_percent").note) == (abs(offset) >= 0.01)
    assert value(analysis, "loudness_dbfs") == pytest.approx(20 * math.log10(float(signal.std())), abs=1e-3)


def test_levels_of_a_sine() -> None:
    """Mean and peak level of a sine of half scale are -9.03 and -6.02 dBFS."""
    analysis = analysed(sine(1_000, 2.0, peak=0.5))
    assert value(analysis, "loudness_dbfs") == pytest.approx(-9.03, abs=0.01)
    assert value(analysis, "peak_dbfs") == pytest.approx(-6.02, abs=0.01)


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
@pytest.mark.parametrize("limit_hz", [3_400, 4_000, 5_500])
def test_band_limit(limit_hz: int, rate: int) -> None:
    """Noise that a filter or a codec ends has its band limit and its bandwidth there."""
    brick = np.fft.rfft(noise(2.0, rate))
    brick[round(2 * limit_hz) :] = 0
    steep = sosfilt(ellip(12, 0.5, 70, limit_hz, fs=rate, output="sos"), noise(2.0, rate))
    for signal in (np.fft.irfft(brick), steep):
        facts = facts_of(signal.astype(np.float32), rate)
        assert band_limit_hz(facts.density, rate) == pytest.approx(limit_hz, abs=150)
        assert bandwidth_hz(facts.density, rate) == pytest.approx(limit_hz, abs=200)  # what leaks from the limit


@pytest.mark.parametrize("rate", [4_000, 8_000, 44_100])
def test_no_band_limit(rate: int) -> None:
    """White noise fills the band; its spectrum ends nowhere. A spectrum that falls gently has no cliff."""
    facts = facts_of(noise(2.0, rate), rate)
    assert band_limit_hz(facts.density, rate) is None
    assert bandwidth_hz(facts.density, rate) == rate / 2
    gentle = lfilter([1.0], [1.0, -0.95], noise(2.0, rate)).astype(np.float32)
    assert band_limit_hz(facts_of(gentle, rate).density, rate) is None


def test_a_gap_in_the_spectrum_is_no_limit() -> None:
    """Where there is as much further up, a cliff is not the end."""
    spectrum = np.fft.rfft(noise(2.0))
    hz = np.fft.rfftfreq(2 * RATE, 1 / RATE)
    spectrum[(hz > 3_000) & (hz < 5_000)] = 0
    assert band_limit_hz(facts_of(np.fft.irfft(spectrum).astype(np.float32)).density, RATE) is None


def test_no_spectrum() -> None:
    """Silence has neither bandwidth nor limit; at 4 kHz there is no room for a limit of speech to be looked for."""
    facts = facts_of(silence())
    assert bandwidth_hz(facts.density, RATE) is None
    assert band_limit_hz(facts.density, RATE) is None
    assert band_limit_hz(np.ones(8), 1_000) is None
    assert (SampleFacts(RATE).mean, SampleFacts(RATE).power) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("through", "words"),
    [(8_000, "telephone"), (16_000, "wideband calls"), (22_050, "22 kHz"), (24_000, "24 kHz"), (32_000, "MP3")],
)
def test_what_a_band_limit_may_be(through: int, words: str) -> None:
    """A file of 44.1 kHz whose content came by way of a lower rate says so, in hertz and in words."""
    wide = 0.2 * noise(2.0, 44_100) + voice(2.0, 44_100)
    narrow = soxr.resample(soxr.resample(wide, 44_100, through), through, 44_100)
    figure = analysed(narrow, 44_100).figure("band_limit_hz")
    assert figure.value == pytest.approx(through / 2, rel=0.07)
    assert words in figure.note
    assert "a file of 44.1 kHz can hold up to 22.05 kHz" in figure.note


def test_bandwidth_that_does_not_fit_the_rate() -> None:
    """Where the spectrum ends far below half the sample rate without a cliff, that is said; at 8 kHz nothing is."""
    gentle = sosfilt(butter(3, 1_200, fs=48_000, output="sos"), noise(2.0, 48_000)).astype(np.float32)
    figure = analysed(gentle, 48_000).figure("bandwidth_hz")
    assert figure.value is not None
    assert figure.value < 12_000
    assert figure.outside == (figure.value < read_reference().ranges["bandwidth_hz"].p1)
    assert figure.outside or "Hardly any energy above" in figure.note
    full = analysed(voice(3.0, 8_000) + noise(3.0, 8_000, 0.01), 8_000).figure("bandwidth_hz")
    assert full.value == 4_000
    assert (full.outside, full.note) == (False, "")


# --- speech ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hz", [100.0, 120.0, 210.0])
def test_pitch_figures_of_a_monotone(hz: float) -> None:
    """A voice of one pitch has that median, no range and no variation; and all but its pauses is voiced."""
    analysis = analysed(syllables(pulses(hz, 4.0), 4.0))
    assert value(analysis, "pitch_median_hz") == pytest.approx(hz, rel=2e-3)
    assert value(analysis, "pitch_range_semitones") < 0.2
    assert value(analysis, "pitch_variation_percent") < 0.2
    assert value(analysis, "voiced_percent") > 95
    assert analysis.figure("pitch_range_semitones").outside
    assert "monotonous" in analysis.figure("pitch_range_semitones").note
    heard = ~np.isnan(analysis.pitch_hz)
    np.testing.assert_allclose(np.median(analysis.pitch_hz[heard]), hz, rtol=2e-3)


def test_pitch_range() -> None:
    """A pitch that glides steadily through an octave covers 90 % of 12 semitones between percentiles 5 and 95."""
    seconds = np.arange(4 * RATE) / RATE
    octaves = seconds / 4
    phase = 2 * np.pi * 100 * 4 / math.log(2) * (2**octaves - 1)
    glide = np.asarray(sum(np.cos(k * phase) for k in range(1, 9)) / 8, dtype=np.float32)
    analysis = analysed(syllables(glide, 4.0))
    assert value(analysis, "pitch_range_semitones") == pytest.approx(10.8, abs=0.5)
    assert value(analysis, "pitch_median_hz") == pytest.approx(100 * math.sqrt(2), rel=0.03)
    # From frame to frame it rises by 1/400 octave.
    assert value(analysis, "pitch_variation_percent") == pytest.approx(100 * (2 ** (1 / 400) - 1), rel=0.15)


@pytest.mark.parametrize("per_second", [2.0, 3.0, 5.0])
def test_syllables(per_second: float) -> None:
    """Peaks of loudness are counted, per second of speech."""
    analysis = analysed(syllables(pulses(130, 6.0), per_second))
    assert value(analysis, "syllables_per_second") == pytest.approx(per_second, rel=0.1)


def test_unvoiced_peaks_are_no_syllables() -> None:
    """Bursts of noise have the loudness of syllables, but no voice."""
    assert value(analysed(syllables(noise(6.0, peak=1.0), 4.0)), "syllables_per_second") < 0.5


@pytest.mark.parametrize("beneath", [0.0, 1e-3])
@pytest.mark.parametrize("lengths", [(), (0.4,), (0.3, 0.9)])
def test_pauses(lengths: tuple[float, ...], beneath: float) -> None:
    """Pauses are counted and measured, in digital silence and in noise; what surrounds the speech is none."""
    parts = [silence(0.7), talk(2.0)]
    for seconds in lengths:
        parts += [silence(seconds), talk(2.0)]
    signal = np.concatenate([*parts, silence(0.6)])
    analysis = analysed(signal + beneath * noise(len(signal) / RATE, peak=1.0))
    assert value(analysis, "pauses") == len(lengths)
    if lengths:
        assert value(analysis, "pause_mean_seconds") == pytest.approx(np.mean(lengths), abs=0.03)
        expected = 100 * sum(lengths) / (2.0 * (len(lengths) + 1) + sum(lengths))
        assert value(analysis, "pause_percent") == pytest.approx(expected, abs=1.0)
    else:
        assert analysis.figure("pause_mean_seconds").value is None
        assert value(analysis, "pause_percent") == 0
    assert analysis.speech_seconds == pytest.approx(2.0 * (len(lengths) + 1), abs=0.06)


@pytest.mark.parametrize("floor_db", [-70.0, -50.0, -40.0])
def test_noise_floor(floor_db: float) -> None:
    """The noise floor is the level of the noise between the words, and speech lies above it by the difference."""
    speech = np.concatenate([talk(2.0), silence(1.0), talk(2.0)])
    hiss = 10 ** (floor_db / 20) * np.random.default_rng(0).standard_normal(len(speech)).astype(np.float32)
    analysis = analysed(speech + hiss)
    assert value(analysis, "noise_floor_dbfs") == pytest.approx(floor_db, abs=1.0)
    level = 10 * math.log10(float(np.mean(np.square(speech[: 2 * RATE]))))
    assert value(analysis, "speech_to_noise_db") == pytest.approx(level - floor_db, abs=1.5)


def test_digital_silence_is_no_noise_floor() -> None:
    """A muted pause says nothing of the noise; of digital silence alone there is none to tell."""
    hiss = noise(5.0, peak=0.001)
    muted = np.concatenate([voice(2.0), silence(1.0), voice(2.0, seed=1)]) + hiss
    muted[2 * RATE : 3 * RATE] = 0
    assert value(analysed(muted), "noise_floor_dbfs") > -80
    assert analysed(silence(2.0)).figure("noise_floor_dbfs").value is None


@pytest.mark.parametrize("slope_db", [0.0, -6.0, -12.0])
def test_spectral_tilt(slope_db: float) -> None:
    """Noise whose power falls by so many dB per octave has that tilt."""
    n = 4 * RATE
    hz = np.maximum(np.fft.rfftfreq(n, 1 / RATE), 100.0)
    spectrum = np.fft.rfft(np.random.default_rng(0).standard_normal(n)) * 2 ** (slope_db / 6.0206 * np.log2(hz / 1_000))
    coloured = np.fft.irfft(spectrum)
    analysis = analysed(syllables(np.asarray(0.5 * coloured / np.abs(coloured).max(), "f"), 4.0))
    assert value(analysis, "spectral_tilt_db_per_octave") == pytest.approx(slope_db, abs=0.4)


def test_level_range_and_crest() -> None:
    """Syllables of 10 dB cover that, and 8 dB more where half are softer by so much; a click raises the crest alone."""
    speech = talk(3.0, 100.0)
    assert value(analysed(speech), "level_range_db") == pytest.approx(10, abs=0.5)
    both = np.concatenate([speech, noise(1.0, peak=1e-4), np.float32(10 ** (-8 / 20)) * speech])
    assert value(analysed(both), "level_range_db") == pytest.approx(17.5, abs=1.0)
    clicked = speech.copy()
    clicked[RATE] = 0.99
    difference = value(analysed(clicked), "crest_db") - value(analysed(speech), "crest_db")
    assert difference == pytest.approx(20 * math.log10(0.99 / np.abs(speech).max()), abs=0.2)
    power = float(np.mean(np.square(speech)))
    assert value(analysed(speech), "crest_db") == pytest.approx(
        10 * math.log10(np.abs(speech).max() ** 2 / power), abs=0.3
    )


@pytest.mark.parametrize("gain", [0.05, 0.1, 1.5])
def test_loudness_changes_nothing_but_levels(gain: float) -> None:
    """The same recording, softer or louder, has the same figures but for the absolute levels."""
    signal = np.concatenate([voice(2.0, seed=4), silence(0.4), voice(2.0, seed=5)]) + noise(4.4, peak=1e-3)
    one, other = analysed(signal), analysed(np.float32(gain) * signal)
    for name in FIGURES:
        if name == "band_limit_hz":
            assert one.figure(name).value == other.figure(name).value
        elif name.endswith("_dbfs"):
            assert value(other, name) == pytest.approx(value(one, name) + 20 * math.log10(gain), abs=0.01)
        elif name == "dc_offset_percent":
            assert value(other, name) == pytest.approx(gain * value(one, name), rel=1e-3)
        else:
            assert value(other, name) == pytest.approx(value(one, name), rel=1e-3, abs=1e-6), name


def test_no_speech() -> None:
    """Without speech there are no figures of speech; what the samples say is there all the same."""
    for signal in (silence(3.0), noise(3.0), sine(200, 3.0), noise(0.3)):
        analysis = analysed(signal)
        assert_sound(analysis)
        assert analysis.speech_seconds <= 0.3
        for name in (*SPEECH, *EVENTS, "pauses", "pitch_median_hz", "pitch_variation_percent"):
            assert analysis.figure(name).value is None, name
        assert analysis.figure("dc_offset_percent").value is not None


def test_too_little_voice_for_a_pitch() -> None:
    """Whispering is speech without pitch."""
    analysis = analysed(syllables(noise(3.0, peak=1.0), 4.0))
    assert value(analysis, "voiced_percent") < 5
    assert analysis.figure("pitch_median_hz").value is None
    assert analysis.figure("voiced_percent").outside
    assert "whispering" in analysis.figure("voiced_percent").note


def test_scattered_frames_have_no_variation() -> None:
    """Where no voiced frame follows another, the pitch has a median, but nothing from frame to frame."""
    tracks = tracks_of(pulses(120.0, 1.0))
    every_other = np.arange(100) % 2 == 0
    values = _pitch_figures(tracks, Speech(every_other, every_other, ()))
    assert values["pitch_median_hz"] == pytest.approx(120, rel=2e-3)
    assert values["pitch_variation_percent"] is None


def test_speech_of_frames() -> None:
    """Stretches become frames; the soft ones among them are not active, and in noise the border lies higher."""
    level = np.concatenate([np.full(20, -20.0), np.full(20, -60.0), np.full(20, -40.0), np.full(40, -70.0)])
    speech = find_speech(level, [(0, 60 * 160)])
    assert np.flatnonzero(speech.active).tolist() == [*range(20), *range(40, 60)]
    assert np.flatnonzero(speech.loud).tolist() == [*range(20), *range(40, 60)]
    assert (speech.pauses, speech.seconds) == ((), 0.6)
    # With noise at -44 dB the border lies three quarters of the way down to it, at -38 dB; loud enough all of it is.
    noisy = find_speech(np.maximum(level, -44.0), [(0, 60 * 160)])
    assert np.flatnonzero(noisy.active).tolist() == list(range(20))
    assert np.flatnonzero(noisy.loud).tolist() == list(range(60))
    # What is far from louder sounds is judged by what surrounds it, unless it is very faint.
    distant = np.concatenate([np.full(50, -20.0), np.full(60, -90.0), np.full(50, -60.0), np.full(60, -90.0)])
    assert np.flatnonzero(find_speech(distant, [(0, 35_200)]).loud).tolist() == [*range(50), *range(110, 160)]
    distant[110:160] = -75.0
    assert np.flatnonzero(find_speech(distant, [(0, 35_200)]).loud).tolist() == list(range(50))
    assert find_speech(level, []).seconds == 0


# --- changes ---------------------------------------------------------------------------------------------------


def stepped() -> FloatArray:
    """Return a voice that becomes softer by 15 dB at 2.6 s."""
    signal = voice(5.0, seed=3)
    signal[round(2.6 * RATE) :] *= np.float32(10 ** (-15 / 20))
    return signal


def test_a_level_step_is_found_at_its_place() -> None:
    """Where a voice becomes 15 dB softer from one sample to the next, there is a step of about as much."""
    signal = stepped()
    analysis = analysed(signal)
    (step,) = (event for event in analysis.events if event.kind == "level_step")
    assert step.seconds == pytest.approx(2.6, abs=0.15)
    assert step.strength == pytest.approx(13, abs=4)
    assert step.unit == "dB"
    figure = analysis.figure("level_step_db")
    assert (figure.value, figure.outside) == (step.strength, True)
    assert "splice" in figure.note


def test_a_change_of_spectrum_is_found_at_its_place() -> None:
    """Where a voice goes over to a telephone, its spectrum changes."""
    signal = voice(5.0, seed=3) + noise(5.0, peak=0.01)
    narrow = sosfilt(butter(8, 1_500, fs=RATE, output="sos"), signal)
    analysis = analysed(np.where(np.arange(len(signal)) < 2.5 * RATE, signal, narrow).astype(np.float32))
    (change,) = (event for event in analysis.events if event.kind == "spectral_change")
    assert change.seconds == pytest.approx(2.5, abs=0.15)
    assert analysis.figure("spectral_change_db").outside


def test_a_jolt_is_found_at_its_place() -> None:
    """A step between two samples, as a cut without a fade leaves one, is a jolt."""
    signal = np.asarray(syllables(pulses(110, 4.0), 3.0))
    signal[round(2.34 * RATE) :] *= -1
    signal[round(2.34 * RATE)] += 0.2
    analysis = analysed(signal)
    (jolt,) = (event for event in analysis.events if event.kind == "jolt")
    assert jolt.seconds == pytest.approx(2.34, abs=0.011)
    assert jolt.strength == value(analysis, "jolt_ratio") > read_reference().ranges["jolt_ratio"].p99


def test_nothing_changes_in_a_steady_voice() -> None:
    """A voice from one piece has no events."""
    assert analysed(syllables(pulses(130, 8.0), 4.0)).events == ()


def test_strengths_by_hand() -> None:
    """The smallest shift among the quantiles counts; changes of level are none of spectrum; pauses are left out."""
    loud = np.ones(400, dtype=bool)
    later = np.arange(400) >= 200
    steps = level_steps(np.where(later, -20.0, -30.0) + np.arange(400) % 2, loud)
    assert (steps[200], steps.max(), len(steps)) == (pytest.approx(10.0), pytest.approx(10.0), 401)
    assert steps[:100].max() == steps[301:].max() == 0
    # Louder and at the same time with softer soft parts: no step in either direction.
    spread = np.where(later, np.where(np.arange(400) % 2, -20.0, -30.0), -25.0)
    assert level_steps(spread, loud)[200] == 0
    bands = np.zeros((400, 4))
    bands[later] += 10.0
    assert spectral_changes(bands, loud).max() == pytest.approx(0.0)
    bands[later, 0] += 8.0
    # 8 dB in one of four bands: 6 and three times -2 about their mean.
    changes = spectral_changes(bands, loud)
    assert changes.argmax() == 200
    assert changes.max() == pytest.approx(math.sqrt((36 + 3 * 4) / 4))
    # A band that is empty at first counts as 80 dB below the others.
    bands = np.where(later[:, None] | (np.arange(4) > 0), 0.0, -200.0)
    assert spectral_changes(bands, loud).max() == pytest.approx(math.sqrt((60**2 + 3 * 20**2) / 4))
    # A pause between two loudnesses: the step is where speech resumes.
    pause = np.ones(500, dtype=bool)
    pause[200:300] = False
    steps = level_steps(np.where(pause, np.where(np.arange(500) < 250, -30.0, -20.0), -90.0), pause)
    assert steps[300] == steps.max() == pytest.approx(10.0)


def test_too_short_for_changes() -> None:
    """With less speech than is compared there is no change, and at the ends of a signal no jolt."""
    assert level_steps(np.full(100, -20.0), np.ones(100, dtype=bool)).max() == 0
    assert spectral_changes(np.zeros((0, 4)), np.zeros(0, dtype=bool)).tolist() == [0.0]
    jolts = np.ones(200)
    jolts[:5] = jolts[-5:] = 100.0
    assert jolt_ratios(jolts, 1.0).max() == 1.0
    assert jolt_ratios(np.ones(20), 1.0).max() == 0
    assert jolt_ratios(jolts, 0.0).max() == 0


def test_jolt_by_hand() -> None:
    """A jolt is measured by the strongest within 15 ms, but for its next neighbours; faint ones by the peak."""
    jolts = np.full(400, 0.1)
    jolts[200:202] = 0.8  # at 100 ms, which is boundary 10
    jolts[215] = 0.2
    ratios = jolt_ratios(jolts, 1.0)
    assert ratios.argmax() == 10
    assert ratios.max() == pytest.approx(4.0)
    assert jolt_ratios(jolts / 100, 1.0).max() == pytest.approx(0.008 / 0.02)


def test_peaks() -> None:
    """Of what is close, the strongest counts; what does not exceed the threshold does not."""
    strength = np.zeros(301)
    strength[[10, 30, 100, 139, 200, 300]] = [3.0, 5.0, 2.0, 2.5, 1.0, 4.0]
    assert peaks(strength, 1.0, 0.4) == [(0.3, 5.0), (1.39, 2.5), (3.0, 4.0)]
    assert peaks(strength, 1.0, 0.39) == [(0.3, 5.0), (1.0, 2.0), (1.39, 2.5), (3.0, 4.0)]
    assert peaks(np.zeros(1), 0.0, 1.0) == []


# --- what figures say ------------------------------------------------------------------------------------------


def judged(name: str, number: float, rate: int = RATE, seconds: float = 3.0, **others: Any) -> Any:
    """Return one figure, judged by the ranges that ship."""
    values: dict[str, float | None] = {**dict.fromkeys(FIGURES), name: number, **others}
    figures = judge(values, read_reference(), sample_rate=rate, speech_seconds=seconds)
    return {figure.name: figure for figure in figures}[name]


@pytest.mark.parametrize("name", sorted(read_reference().ranges))
def test_outside(name: str) -> None:
    """A figure is outside beyond percentile 1 or 99, where there are words for it, and is not at these percentiles."""
    spec, span = FIGURES[name], read_reference().ranges[name]
    assert not judged(name, span.p1).outside
    assert not judged(name, span.p99).outside
    low, high = judged(name, span.p1 - 1e-6), judged(name, span.p99 + 1e-6)
    assert (low.outside, high.outside) == (bool(spec.low), bool(spec.high))
    if spec.low:
        assert low.note == f"Lower than in 99 of 100 genuine clips: {spec.low}."
    if spec.high:
        assert high.note == f"Higher than in 99 of 100 genuine clips: {spec.high}."
    assert (low.low, low.high, low.unit, low.title) == (span.p1, span.p99, spec.unit, spec.title)


def test_no_figure_names_a_verdict() -> None:
    """The words say what a value may come from; they never say that a recording is genuine or a deepfake."""
    for spec in FIGURES.values():
        for words in (spec.low, spec.high):
            assert not {"deepfake", "fake", "genuine", "spoof"} & set(words.lower().replace(",", " ").split())
            assert not words.endswith(".")


def test_what_cannot_be_told_is_not_outside() -> None:
    """Without a value there is no note."""
    figures = judge(dict.fromkeys(FIGURES), read_reference(), sample_rate=RATE, speech_seconds=0.0)
    assert all((figure.value, figure.outside, figure.note) == (None, False, "") for figure in figures)


def test_a_rate_that_allows_no_more_is_not_outside() -> None:
    """A bandwidth of 4 kHz is remarkable at 16 kHz and not at 8 kHz."""
    assert judged("bandwidth_hz", 4_000, 16_000).outside
    assert not judged("bandwidth_hz", 4_000, 8_000).outside
    assert judged("bandwidth_hz", 9_000, 44_100).note.startswith("Hardly any energy above 9.0 kHz; a file of 44.1 kHz")
    assert judged("bandwidth_hz", 9_000, 44_100, band_limit_hz=9_000).note == ""
    assert "codecs, filters and resampling" in judged("band_limit_hz", 13_000, 44_100).note


@pytest.mark.parametrize("name", list(EVENTS))
def test_the_largest_of_many_grows_with_the_length(name: str) -> None:
    """In longer recordings more is needed; from percentile 95 to 99 is as far as to five times the length."""
    shipped = read_reference()
    span, needed = shipped.ranges[name], EVENTS[name].needs_seconds
    assert judged(name, span.p99 + 0.01, seconds=shipped.clip_seconds).outside
    assert not judged(name, span.p99 + 0.01, seconds=2 * shipped.clip_seconds).outside
    long = needed + 5 * (shipped.clip_seconds - needed)
    five = shipped.range_of(name, long)
    assert five is not None
    assert five.p99 == pytest.approx(2 * span.p99 - span.p95)
    assert five.p95 == pytest.approx(span.p99)
    assert (five.p1, five.p5, five.p50) == (span.p1, span.p5, span.p50)
    assert judged(name, five.p99 + 0.01, seconds=long).outside
    assert judged(name, five.p99, seconds=long).high == five.p99
    # Of clips that are shorter than what is compared, half a second counts.
    short = dataclasses.replace(shipped, clip_seconds=0.5)
    assert short.range_of(name, needed + 0.5) == span
    stretched = short.range_of(name, needed + 2.5)
    assert stretched is not None
    assert stretched.p99 == pytest.approx(five.p99)
    assert short.range_of(name, 0.1 + needed / 2) == span


def test_the_largest_of_many_normal_maxima() -> None:
    """Of clips whose maxima are distributed as Gumbel's, 1 % of recordings of any length are outside."""
    rng = np.random.default_rng(0)
    maxima = rng.gumbel(5.0, 2.0, (200_000, 8))
    span = Range(*np.percentile(maxima, (1, 5, 50, 95, 99)).tolist())
    made = dataclasses.replace(read_reference(), ranges={**read_reference().ranges, "jolt_ratio": span})
    stretched = made.range_of("jolt_ratio", 8 * made.clip_seconds)
    assert stretched is not None
    assert np.mean(maxima.max(axis=1) > stretched.p99) == pytest.approx(0.01, abs=0.002)


# --- ranges ----------------------------------------------------------------------------------------------------


def test_shipped_ranges() -> None:
    """Each figure has a range, or a reason why these clips say nothing of it; all that can be compared are."""
    shipped = read_reference()
    assert set(shipped.ranges) | set(shipped.left_out) == set(FIGURES)
    assert not set(shipped.ranges) & set(shipped.left_out)
    assert (shipped.n_clips, shipped.n_sources) == (1_648, 70)
    assert 3 < shipped.clip_seconds <= 3.4
    assert read_reference() is shipped
    assert shipped.range_of("pitch_median_hz", 600.0) == shipped.ranges["pitch_median_hz"]
    assert shipped.range_of("pauses", 600.0) is None


def test_shipped_ranges_are_of_the_training_clips(shared: Path) -> None:
    """The fingerprint that ships is that of the genuine clips of the training part."""
    dataset = read_dataset(shared / "corpus" / "manifest.csv").select("train")
    genuine = [u.path for u in dataset.utterances if u.is_bonafide]
    hashes = sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in genuine)
    assert hashlib.sha256("\n".join(hashes).encode()).hexdigest() == read_reference().fingerprint
    assert len(genuine) == read_reference().n_clips


def test_few_figures_of_genuine_clips_are_outside(shared: Path) -> None:
    """Of training clips, by construction about 2 % lie outside on each figure; a clip has 15 figures with a range."""
    dataset = read_dataset(shared / "corpus" / "manifest.csv").select("train")
    genuine = [str(u.path) for u in dataset.utterances if u.is_bonafide][::20]
    found = [analysis for analysis in analyse_all(genuine) if isinstance(analysis, Analysis)]
    assert len(found) == len(genuine)
    n_outside = sum(len(analysis.outside) for analysis in found)
    assert 0 < n_outside / len(found) / len(read_reference().ranges) < 0.035


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return a hundred short voices in files."""
    directory = tmp_path_factory.mktemp("clips")
    for number in range(100):
        clip = talk(0.8, 100.0 + number) + noise(0.8, peak=0.01, seed=number)
        soundfile.write(directory / f"{number}.wav", clip, RATE)
    return sorted(directory.iterdir())


def test_ranges_are_percentiles(clips: list[Path]) -> None:
    """A range is the percentiles of what the analysis gives for each clip."""
    calls = []
    found = reference_ranges(
        clips, n_sources=7, left_out={"loudness_dbfs": "they were set"}, advance=lambda: calls.append(1)
    )
    assert (found.n_clips, found.n_sources, len(calls)) == (100, 7, 100)
    analyses = [analysis for analysis in map(analyse, clips) if isinstance(analysis, Analysis)]
    for name in ("pitch_median_hz", "spectral_tilt_db_per_octave", "jolt_ratio"):
        expected = np.percentile([value(analysis, name) for analysis in analyses], (1, 5, 50, 95, 99))
        np.testing.assert_allclose(dataclasses.astuple(found.ranges[name]), expected, rtol=1e-5)
    assert found.left_out["loudness_dbfs"] == "they were set"
    assert found.left_out["band_limit_hz"] == "fewer than 100 of these clips have it"
    assert "peak_dbfs" in found.ranges
    assert found.clip_seconds == max(analysis.speech_seconds for analysis in analyses)


def test_ranges_do_not_depend_on_order(clips: list[Path]) -> None:
    """The same clips give the same ranges, in any order and by any number of processes."""
    assert reference_ranges(clips) == reference_ranges(clips[::-1], jobs=2)


def test_ranges_that_cannot_be(clips: list[Path], tmp_path: Path) -> None:
    """Too few clips, clips without speech, figures and words that are none: one line each."""
    with pytest.raises(DataError, match="ranges need 100 genuine clips or more, there are 2"):
        reference_ranges(clips[:2])
    with pytest.raises(DataError, match="there is no figure 'loudness' to leave out; figures: pitch_median_hz"):
        reference_ranges(clips, left_out={"loudness": "x"})
    with pytest.raises(DataError, match="cannot be written: words must be short and printable"):
        reference_ranges(clips, description="two\nlines")
    soundfile.write(tmp_path / "silence.wav", silence(0.1), RATE)
    with pytest.raises(DataError, match="no speech in any of these clips"):
        reference_ranges([tmp_path / "silence.wav"] * 100)


def test_ranges_are_read_as_they_were_written(clips: list[Path], tmp_path: Path) -> None:
    """What was written is read again, and recordings are compared with it."""
    found = reference_ranges(clips, description="voices")
    path = tmp_path / "ranges.json"
    path.write_text(found.to_json())
    assert read_reference(path) == found
    deep = analyse_recording(recording_of(syllables(pulses(70, 2.0), 4.0), RATE), read_reference(path))
    assert deep.reference.description == "voices"
    assert deep.figure("pitch_median_hz").low == found.ranges["pitch_median_hz"].p1
    assert deep.figure("pitch_median_hz").outside


def changed(change: Callable[[dict[str, Any]], Any]) -> str:
    """Return the ranges that ship with one change, as JSON."""
    values = json.loads(read_reference().to_json())
    change(values)
    return json.dumps(values)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no file of ranges"),
        ("[]", "expected a JSON object with the schema"),
        ("{}", "expected a JSON object with the schema"),
        ("[" * 100_000, "no file of ranges"),
        ("\xff", "no file of ranges"),
        (changed(lambda v: v.update(schema="deepfake-audio-ranges/2")), "the schema deepfake-audio-ranges/1"),
        (changed(lambda v: v.update(more=1)), "expected the keys ranges, left_out"),
        (changed(lambda v: v.pop("n_clips")), "expected the keys"),
        (changed(lambda v: v.update(n_clips=99)), "n_clips must be at least 100"),
        (changed(lambda v: v.update(n_clips=True)), "n_clips is True"),
        (changed(lambda v: v.update(n_clips=10**400)), "n_clips must be"),
        (changed(lambda v: v.update(n_sources=0)), "n_sources must be"),
        (changed(lambda v: v.update(clip_seconds=0)), "clip_seconds must be positive"),
        (changed(lambda v: v.update(clip_seconds=float("nan"))), "clip_seconds is nan"),
        (changed(lambda v: v.update(fingerprint="x" * 64)), "fingerprint must be 64"),
        (changed(lambda v: v.update(description="")), "words must be short"),
        (changed(lambda v: v.update(description="x" * 300)), "words must be short"),
        (changed(lambda v: v["left_out"].update(pauses=3)), "left_out.pauses is 3"),
        (changed(lambda v: v["left_out"].update(pauses="\x1b[31m")), "words must be short"),
        (changed(lambda v: v["left_out"].pop("pauses")), "every figure must have a range, or a reason"),
        (changed(lambda v: v["left_out"].update(jolt_ratio="x")), "every figure must have a range, or a reason"),
        (changed(lambda v: v["ranges"].update(jolt_ratio=[1, 2, 3, 4])), "ranges.jolt_ratio must hold 5 numbers"),
        (changed(lambda v: v["ranges"].update(jolt_ratio="12345")), "ranges.jolt_ratio is '12345'"),
        (changed(lambda v: v["ranges"].update(jolt_ratio=[1, 2, 3, 4, "5"])), "ranges.jolt_ratio is '5'"),
        (changed(lambda v: v["ranges"].update(jolt_ratio=[1, 2, 3, 4, 3])), "must not fall"),
        (changed(lambda v: v["ranges"].update(jolt_ratio=[1, 2, 3, 4, float("inf")])), "ranges.jolt_ratio is inf"),
        (changed(lambda v: v["ranges"].update(jolt_ratio=[1, 2, 3, 4, 10**400])), "no file of ranges"),
        (changed(lambda v: v["ranges"].update(jolt_ratio=[1, 2, 3, 4, 1e300])), "must be finite"),
        (" " * (1 << 20) + "{}", "larger than 1 MiB"),
    ],
)
def test_ranges_that_are_none(content: str, message: str, tmp_path: Path) -> None:
    """Reading is strict: what `to_json` cannot have written is refused in one line that names the file."""
    path = tmp_path / "odd.json"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(DataError, match=message) as error:
        read_reference(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_ranges_that_are_not_there(tmp_path: Path) -> None:
    """A missing file, a directory and a name that cannot be one are named."""
    for path, why in ((tmp_path / "none.json", "No such file"), (tmp_path, "directory"), (Path("a\0b"), "null")):
        with pytest.raises(DataError, match=why):
            read_reference(path)


# --- whole recordings ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_rates_and_channels(rate: int, channels: int, tmp_path: Path) -> None:
    """The same voice at any rate, mono or stereo, has the same figures of speech."""
    signal = voice(4.0, 48_000, seed=5)
    at_rate = soxr.resample(signal, 48_000, rate)
    soundfile.write(tmp_path / "a.wav", np.stack([at_rate] * channels, axis=1), rate)
    analysis = analyse(tmp_path / "a.wav")
    assert isinstance(analysis, Analysis)
    assert_sound(analysis)
    assert (analysis.sample_rate, analysis.channels, analysis.path) == (rate, channels, str(tmp_path / "a.wav"))
    assert analysis.sha256 == hashlib.sha256((tmp_path / "a.wav").read_bytes()).hexdigest()
    assert analysis.duration_seconds == pytest.approx(4.0)
    expected = analysed(signal, 48_000)
    for name, tolerance in (("pitch_median_hz", 0.01), ("syllables_per_second", 0.1), ("loudness_dbfs", 0.02)):
        assert value(analysis, name) == pytest.approx(value(expected, name), rel=tolerance)


@pytest.mark.parametrize(
    "signal",
    [
        pytest.param(np.zeros(1, "f"), id="one zero"),
        pytest.param(np.ones(1, "f"), id="one sample"),
        pytest.param(np.array([1, -1], "f"), id="two samples"),
        pytest.param(np.ones(100, "f"), id="a hundred ones"),
        pytest.param(silence(3.0), id="silence"),
        pytest.param(np.ones(3 * RATE, "f"), id="constant"),
        pytest.param(np.resize([1, -1], 3 * RATE).astype("f"), id="half the rate"),
        pytest.param(1e-30 * voice(3.0), id="denormal"),
        pytest.param(np.eye(1, 3 * RATE, RATE, dtype="f")[0], id="an impulse"),
        pytest.param(np.random.default_rng(0).choice([-1.0, 1.0], 3 * RATE).astype("f"), id="random signs"),
    ],
)
@pytest.mark.parametrize("rate", [4_000, RATE, 48_000, 384_000])
def test_odd_signals(signal: FloatArray, rate: int) -> None:
    """Nothing makes the analysis fail or say what is no number."""
    assert_sound(analysed(signal, rate))


@settings(max_examples=60, deadline=None)
@given(
    pieces=st.lists(
        st.tuples(
            st.sampled_from(["voice", "noise", "silence", "sine", "clipped", "constant"]),
            st.floats(0.001, 1.5),
            st.floats(-60, 0),
        ),
        min_size=1,
        max_size=5,
    ),
    rate=st.sampled_from([8_000, 16_000, 22_050, 48_000]),
)
def test_any_mixture(pieces: list[tuple[str, float, float]], rate: int) -> None:
    """Any row of sounds at any level has an analysis."""
    make: dict[str, Callable[[float], FloatArray]] = {
        "voice": lambda s: voice(s, rate),
        "noise": lambda s: noise(s, rate),
        "silence": lambda s: silence(s, rate),
        "sine": lambda s: sine(150, s, rate),
        "clipped": lambda s: np.clip(sine(150, s, rate, 5.0), -1, 1),
        "constant": lambda s: np.ones(round(s * rate), dtype=np.float32),
    }
    signal = np.concatenate([np.float32(10 ** (db / 20)) * make[name](seconds) for name, seconds, db in pieces])
    if len(signal):
        assert_sound(analysed(signal, rate))


def test_integers_as_they_are() -> None:
    """Samples that were never scaled to 1 have odd levels, but all that is relative holds."""
    one, scaled = analysed(voice(3.0)), analysed(np.float32(2**31) * voice(3.0))
    for name in ("pitch_median_hz", "syllables_per_second", "speech_to_noise_db", "spectral_tilt_db_per_octave"):
        assert value(scaled, name) == pytest.approx(value(one, name), rel=0.05)


def test_a_long_recording_comes_in_blocks() -> None:
    """Of a recording of 11 minutes the first ten are analysed in detail, all of it is looked at, none is kept."""
    minute = np.concatenate([syllables(pulses(120, 50.0), 4.0), silence(10.0)])
    clipped = np.clip(sine(300, 1.0, peak=3.0), -1, 1)

    def decoded() -> Iterator[FloatArray]:
        for _ in range(11):
            yield from np.array_split(minute[:, None], 17)
        yield clipped[:, None]

    analysis = analyse_recording(Recording("long", RATE, 1, "0" * 64, _decoded=decoded()))
    assert_sound(analysis)
    assert (analysis.duration_seconds, analysis.analysed_seconds) == (661.0, MAX_SECONDS)
    assert len(analysis.seconds) == 60_000
    assert value(analysis, "pitch_median_hz") == pytest.approx(120, rel=2e-3)
    assert value(analysis, "pauses") == 9
    assert value(analysis, "clipped_percent") == pytest.approx(100 * 0.78 / 661, rel=0.02)
    assert value(analysis, "digital_silence_percent") == pytest.approx(100 * 110 / 661, rel=0.02)
    assert len([event for event in analysis.events if event.kind == "digital_silence"]) == 11


def test_only_the_strongest_events_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each kind so many, in order of time."""
    monkeypatch.setattr(core, "MAX_EVENTS", 2)
    signal = np.concatenate([voice(1.0), silence(0.3), voice(1.0), silence(0.1), voice(1.0), silence(0.2), voice(1.0)])
    kept = [event for event in analysed(signal).events if event.kind == "digital_silence"]
    assert [event.seconds for event in kept] == pytest.approx([1.0, 3.4], abs=0.01)
    assert [event.strength for event in kept] == pytest.approx([0.3, 0.2], abs=0.01)


def test_figures_without_a_range_give_no_events(clips: list[Path]) -> None:
    """Where the clips say nothing of a change, none is called strong."""
    signal = stepped()
    ranges = reference_ranges(clips, left_out=dict.fromkeys(EVENTS, "not looked at"))
    analysis = analyse_recording(recording_of(signal, RATE), ranges)
    assert analysis.events == ()
    assert (analysis.figure("level_step_db").range, analysis.figure("level_step_db").outside) == (None, False)


def test_what_cannot_be_read(tmp_path: Path) -> None:
    """A recording that cannot be read comes back as a value with a reason."""
    (tmp_path / "text.wav").write_text("no audio")
    for path, reason in ((tmp_path / "none.wav", "missing"), (tmp_path / "text.wav", "not_audio")):
        found = analyse(path)
        assert isinstance(found, NotAnalysed)
        assert (found.path, found.reason) == (str(path), reason)
        assert found.message.startswith(str(path))


def test_many(tmp_path: Path) -> None:
    """Many recordings come back in their order, the same by one process as by two."""
    paths = []
    for number in range(22):
        paths.append(str(tmp_path / f"{number}.wav"))
        soundfile.write(paths[-1], voice(0.5, seed=number), RATE)
    paths.insert(3, "none.wav")
    alone = list(analyse_all(paths))
    assert [result.path for result in alone] == paths
    assert list(analyse_all(paths, jobs=2)) == alone


def test_a_figure_by_its_name() -> None:
    """An unknown name is a KeyError."""
    with pytest.raises(KeyError, match="loudness_sone"):
        analysed(voice(1.0)).figure("loudness_sone")


def test_reference_is_a_value() -> None:
    """Ranges can be made in a program, and what does not hold is refused there too."""
    shipped = read_reference()
    assert dataclasses.replace(shipped, description="mine").description == "mine"
    with pytest.raises(ValueError, match="must not fall"):
        dataclasses.replace(shipped, ranges={**shipped.ranges, "jolt_ratio": Range(5, 4, 3, 2, 1)})
    assert isinstance(shipped, Reference)
    assert reference.SHIPPED_PATH.name == "analysis.json"
