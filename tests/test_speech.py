"""From blocks of signal to windows of speech: what is left out, and that nothing else is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from signals import RATE, FloatArray, noise, silence, sine, voice

from deepfake_audio.speech import Stretch, Window, cut_windows, speech_stretches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


# --- what is speech --------------------------------------------------------------------------------------------


def stretches(signal: FloatArray, rate: int = RATE) -> list[Stretch]:
    """Return the speech of a whole signal."""
    return list(speech_stretches([signal], rate))


def seconds(found: list[Stretch], rate: int = RATE) -> float:
    """Return how much speech there is."""
    return sum(len(stretch.signal) for stretch in found) / rate


def dither(length_seconds: float) -> FloatArray:
    """Return the triangular dither of a silent 16 bit recording: -1, 0 or 1 step."""
    steps = np.random.default_rng(0).integers(0, 2, (2, round(length_seconds * RATE))).sum(axis=0) - 1
    return np.asarray(steps / 32_768, dtype=np.float32)


@pytest.mark.parametrize(
    "signal",
    [
        pytest.param(silence(0), id="no-sample"),
        pytest.param(silence(3), id="digital-silence"),
        pytest.param(silence(1 / RATE) + 1, id="one-sample"),
        pytest.param(silence(3) + np.float32(0.3), id="dc"),
        pytest.param(dither(3), id="dither"),
        pytest.param(np.concatenate([silence(1), dither(1), silence(1)]), id="dither-on-and-off"),
        pytest.param(np.tile(np.concatenate([dither(0.2), 3 * dither(0.2)]), 8), id="last-bits-in-motion"),
        pytest.param(sine(440, 3), id="tone"),
        pytest.param(sine(50, 35), id="mains-hum"),
        pytest.param(np.concatenate([silence(1), sine(440, 6), silence(1)]), id="tone-in-silence"),
        pytest.param(noise(3), id="noise"),
        pytest.param(noise(31.5), id="long-noise"),
        pytest.param(noise(0.1), id="short-noise"),
        pytest.param(noise(31) + np.eye(1, 31 * RATE, 70_000, dtype=np.float32)[0], id="click-in-noise"),
    ],
)
def test_no_speech(signal: FloatArray) -> None:
    """Silence, tones and steady noise are no speech, at any length and rate."""
    assert stretches(signal) == []
    assert stretches(signal, 44_100) == []


@pytest.mark.parametrize(
    "background",
    [
        pytest.param(silence, id="digital-silence"),
        pytest.param(dither, id="dither"),
        pytest.param(lambda length: noise(length, peak=1e-3), id="hiss"),
        pytest.param(lambda length: silence(length) + np.float32(0.2), id="dc"),
    ],
)
@pytest.mark.parametrize("spoken", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("around", [0.5, 2.0, 14.0])
def test_speech_among_silence(background: Callable[[float], FloatArray], spoken: float, around: float) -> None:
    """Speech is found where it is, with a little around it, however long and noisy the silence before and after."""
    signal = background(2 * around + spoken)
    at = round(around * RATE)
    signal[at : at + round(spoken * RATE)] += voice(spoken)

    found = stretches(signal)

    assert found[0].start / RATE == pytest.approx(around - 0.06, abs=0.1)
    end = (found[-1].start + len(found[-1].signal)) / RATE
    assert end == pytest.approx(around + spoken + 0.1, abs=0.15)
    for stretch in found:
        np.testing.assert_array_equal(stretch.signal, signal[stretch.start : stretch.start + len(stretch.signal)])


@pytest.mark.parametrize("amplitude", [1.0, 0.001], ids=["loud", "quiet"])
def test_digital_silence_around_speech_changes_nothing(amplitude: float) -> None:
    """What is found is the same sample by sample, whether zeros, and how many whole frames of them, stand around it."""
    spoken = np.float32(amplitude) * np.concatenate([voice(1.5), noise(0.3, peak=1e-3), voice(1.5, seed=1)])
    expected = np.concatenate([stretch.signal for stretch in stretches(spoken)])
    for before, after in [(0.02, 0.0), (2.0, 0.0), (0.0, 2.0), (1.0, 1.0)]:
        found = stretches(np.concatenate([silence(before), spoken, silence(after)]))
        np.testing.assert_array_equal(np.concatenate([stretch.signal for stretch in found]), expected)


def test_long_pause_is_left_out() -> None:
    """A pause within speech does not count as speech."""
    found = stretches(np.concatenate([voice(2), silence(5), voice(2, seed=1)]))

    assert len(found) == 2
    assert seconds(found) == pytest.approx(4.0, abs=0.5)


@pytest.mark.parametrize("rate", [4_000, 8_000, 11_025, 44_100])
def test_speech_at_any_rate(rate: int) -> None:
    """Speech is found at every sample rate."""
    assert seconds(stretches(voice(3, rate), rate), rate) == pytest.approx(3.0, abs=0.1)


@pytest.mark.parametrize("length", [29.98, 30.0, 30.02, 30.3, 32.99, 33.0, 60.02, 65.0])
def test_no_speech_is_lost_where_chunks_meet(length: float) -> None:
    """Speech without a pause is found to its last sample, however it fits into the chunks."""
    found = stretches(voice(length))

    assert sum(len(stretch.signal) for stretch in found) == round(length * RATE)
    assert [s.start for s in found] == [0, *np.cumsum([len(s.signal) for s in found])[:-1]]


@pytest.mark.parametrize(
    "change",
    [
        *(pytest.param(lambda x, db=db: x * np.float32(10 ** (db / 20)), id=f"{db}dB") for db in (-40, -20, -6, 6, 20)),
        pytest.param(lambda x: -x, id="polarity"),
        pytest.param(lambda x: x + np.float32(0.3), id="dc"),
        pytest.param(lambda x: x * np.float32(0.01) - np.float32(0.5), id="quiet-and-dc"),
    ],
)
def test_level_does_not_matter(change: Callable[[FloatArray], FloatArray]) -> None:
    """Gain, polarity and DC offset leave the same stretches, to within two frames."""
    signal = np.concatenate([silence(2), voice(2), silence(3), voice(2, seed=1), silence(2)])
    expected, found = stretches(signal), stretches(change(signal))

    assert len(found) == len(expected) == 2
    for one, other in zip(found, expected, strict=True):
        assert one.start == pytest.approx(other.start, abs=0.04 * RATE)
        assert len(one.signal) == pytest.approx(len(other.signal), abs=0.08 * RATE)


LONG = np.concatenate([silence(1), voice(8), silence(3), voice(22, seed=1), silence(4), voice(30, seed=2)])


@given(cuts=st.lists(st.integers(0, len(LONG)), max_size=40))
@settings(deadline=None, max_examples=25)
def test_speech_does_not_depend_on_blocks(cuts: list[int]) -> None:
    """Blocks of any size, also empty ones, give the same stretches."""
    found = list(speech_stretches(np.split(LONG, sorted(cuts)), RATE))

    assert [s.start for s in found] == [s.start for s in stretches(LONG)]
    for one, other in zip(found, stretches(LONG), strict=True):
        np.testing.assert_array_equal(one.signal, other.signal)


def test_speech_is_a_stream() -> None:
    """An hour of speech is not read further ahead than a block and the rest that a chunk may take in."""
    minute = voice(60)
    n_read = 0

    def hour() -> Iterator[FloatArray]:
        nonlocal n_read
        for block in np.split(minute, 6) * 60:
            n_read += len(block)
            yield block

    ahead = [n_read - (s.start + len(s.signal)) for s in speech_stretches(hour(), RATE)]

    assert n_read == 60 * len(minute)
    assert max(ahead) <= (10 + 3) * RATE


# --- windows ---------------------------------------------------------------------------------------------------


def laid_out(gaps_and_lengths: list[tuple[int, int]]) -> list[Stretch]:
    """Return stretches whose samples are their own places in the source."""
    result, at = [], 0
    for gap, length in gaps_and_lengths:
        at += gap
        result.append(Stretch(at, np.arange(at, at + length, dtype=np.float32)))
        at += length
    return result


def starts_of_windows(n_samples: int, window: int, hop: int) -> list[int]:
    """Return where windows begin within speech of some length: every hop, and one that ends with the speech."""
    if n_samples <= window:
        return [0] if n_samples else []
    regular = list(range(0, n_samples - window + 1, hop))
    return regular if regular[-1] + window == n_samples else [*regular, n_samples - window]


@given(
    parts=st.lists(st.tuples(st.integers(0, 50), st.integers(0, 60)), max_size=8),
    window_and_hop=st.integers(1, 40).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n))),
)
@settings(deadline=None, max_examples=200)
def test_windows(parts: list[tuple[int, int]], window_and_hop: tuple[int, int]) -> None:
    """Windows cover all speech to its last sample, in order, and say where it stood and how much of it is new."""
    window_samples, hop = window_and_hop
    speech = laid_out(parts)
    places = np.concatenate([silence(0), *(stretch.signal for stretch in speech)])

    windows = list(cut_windows(speech, 1, window_samples, hop))

    expected = [places[at : at + window_samples] for at in starts_of_windows(len(places), window_samples, hop)]
    assert [w.signal.tolist() for w in windows] == [np.resize(held, window_samples).tolist() for held in expected]
    assert [(w.start, w.end) for w in windows] == [(held[0], held[-1] + 1) for held in expected]
    covered = np.concatenate([silence(0), *(np.arange(w.start, w.end) for w in windows)])
    assert set(places) <= set(covered)
    assert sum(w.speech_seconds for w in windows) == len(places)
    assert all(w.speech_seconds > 0 for w in windows)


def test_window_of_short_speech() -> None:
    """Speech shorter than a window is repeated, and the window says how much there really was."""
    (window,) = cut_windows([Stretch(8_000, sine(seconds=0.3))], RATE, 16_000, 8_000)

    assert (window.start, window.end, window.speech_seconds) == (0.5, 0.8, 0.3)
    np.testing.assert_array_equal(window.signal, np.resize(sine(seconds=0.3), 16_000))


def test_windows_are_a_stream() -> None:
    """A window comes out as soon as its samples are there."""
    given_out = 0

    def endless() -> Iterator[Stretch]:
        nonlocal given_out
        while True:
            yield Stretch(given_out, silence(1))
            given_out += RATE

    windows: Iterator[Window] = cut_windows(endless(), RATE, 2 * RATE, RATE)

    for second in range(5):
        assert next(windows).start == second
        assert given_out <= (second + 2) * RATE
