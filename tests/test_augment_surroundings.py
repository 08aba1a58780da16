"""Noise, rooms and colour against what they say that they do, and reading recordings of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile
from measures import delay_of, in_db, power, rng, spectrum
from signals import RATE, noise, sine, voice

from deepfake_audio.audio import open_recording
from deepfake_audio.augment import read_recordings, surroundings
from deepfake_audio.augment.surroundings import add_noise, equalise, reverberate
from deepfake_audio.errors import AudioError, DataError

if TYPE_CHECKING:
    from pathlib import Path


def test_noise() -> None:
    """Noise lies 5 to 40 dB below the signal, and its spectrum falls by 6 dB an octave or less, or rises slightly."""
    signal = voice(2)
    snr_db, slopes = [], []
    for seed in range(60):
        added = add_noise(signal, RATE, rng(seed)).astype(np.float64) - signal
        snr_db.append(in_db(power(signal) / power(added)))
        hz, amplitude = spectrum(added, RATE)
        used = (hz > 100) & (hz < 7_900)
        slopes.append(np.polyfit(np.log(hz[used]), 2 * np.log(amplitude[used]), 1)[0])

    assert 4.99 < min(snr_db) < 8
    assert 37 < max(snr_db) < 40.01
    assert -2.1 < min(slopes) < -1.7
    assert 0.2 < max(slopes) < 0.6


def test_recorded_noise() -> None:
    """What is added is one of the recordings from some place on, 5 to 40 dB below the signal."""
    signal, hum, hiss = voice(0.1), sine(50, 0.5), noise(0.5)
    snr_db, kinds, places = [], set(), set()
    for seed in range(40):
        added = add_noise(signal, RATE, rng(seed), (hum, hiss)).astype(np.float64) - signal
        snr_db.append(in_db(power(signal) / power(added)))
        for name, recording in (("hum", hum), ("hiss", hiss)):
            alike = np.correlate(recording, added, "valid") / np.sqrt(
                np.convolve(np.square(recording), np.ones(len(added)), "valid") * np.sum(added**2)
            )
            if alike.max() > 0.999:
                kinds.add(name)
                places.add(int(alike.argmax()) if name == "hiss" else -1)

    assert 4.99 < min(snr_db) < 8
    assert 37 < max(snr_db) < 40.01
    assert kinds == {"hum", "hiss"}
    assert len(places) > 10


def test_short_recorded_noise_repeats() -> None:
    """A recording that is shorter than the signal begins anew."""
    signal, recording = voice(1), noise(0.1)
    added = add_noise(signal, RATE, rng(0), (recording,)).astype(np.float64) - signal

    np.testing.assert_allclose(added[len(recording) :], added[: -len(recording)], atol=1e-6)
    assert power(added) > 1e-9


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


@pytest.mark.parametrize("direct", [0, 37, 400], ids=lambda place: f"peak-at-{place}")
def test_recorded_room(direct: int) -> None:
    """The signal is convolved with the response, in its place whatever stands before the peak, and at its level."""
    response = np.zeros(500, np.float32)
    response[direct], response[direct + 80] = 2.0, 1.0
    signal = voice(1)
    wet = reverberate(signal, RATE, rng(0), (response,))
    echo = signal.astype(np.float64) + 0.5 * np.pad(signal, (80, 0))[: len(signal)]

    np.testing.assert_allclose(wet, echo * np.sqrt(power(signal) / power(echo)), atol=1e-5)
    assert power(wet) == pytest.approx(power(signal), rel=1e-4)
    assert delay_of(wet, signal) == 0


def test_silent_room() -> None:
    """A response without any sound leaves the signal as it is."""
    np.testing.assert_array_equal(reverberate(voice(1), RATE, rng(0), (np.zeros(9, np.float32),)), voice(1))


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


# --- recordings ------------------------------------------------------------------------------------------------


def test_read_recordings(tmp_path: Path) -> None:
    """Files of any rate and number of channels become mono signals at the wanted rate, ten seconds of each."""
    soundfile.write(tmp_path / "a.wav", np.column_stack([sine(300, 1.0, 44_100)] * 2), 44_100)
    soundfile.write(tmp_path / "b.flac", sine(300, 11.0), RATE)
    short, long = read_recordings([tmp_path / "a.wav", tmp_path / "b.flac"], RATE, open_recording)

    assert [len(short), len(long)] == [RATE, 10 * RATE]
    np.testing.assert_allclose(short[500:-500], sine(300, 1.0)[500:-500], atol=1e-3)
    np.testing.assert_allclose(long, sine(300, 10.0), atol=1e-3)


def test_read_recordings_of_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many files some are read, from the first to the last."""
    monkeypatch.setattr(surroundings, "MAX_RECORDINGS", 3)
    paths = [tmp_path / f"{number}.wav" for number in range(1, 10)]
    for number, path in enumerate(paths, start=1):
        soundfile.write(path, np.full(number, 0.5), RATE)

    assert [len(recording) for recording in read_recordings(paths, RATE, open_recording)] == [1, 5, 9]


def test_read_recordings_refuses(tmp_path: Path) -> None:
    """No files, a silent one and a missing one are errors that say which."""
    soundfile.write(tmp_path / "silent.wav", np.zeros(100), RATE)

    with pytest.raises(DataError, match="no recordings of noise or rooms were found"):
        read_recordings([], RATE, open_recording)
    with pytest.raises(DataError, match=r"silent\.wav: is silent"):
        read_recordings([tmp_path / "silent.wav"], RATE, open_recording)
    with pytest.raises(AudioError, match=r"none\.wav: there is no such file"):
        read_recordings([tmp_path / "none.wav"], RATE, open_recording)
